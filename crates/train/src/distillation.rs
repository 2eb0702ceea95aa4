//! Training that also learns from the features of another model, the teacher: Li and Bilen, "Knowledge distillation for multi-task
//! learning", arXiv:2007.06889.
//!
//! `weight * sum over tasks of mean over rows of |n(f_t A_t) - n(f*_t)|^2`, `n(x) = x / sqrt(|x|^2 + 1e-6)`: `f_t` is what the tower of
//! task t reads, `f*_t` the same of the teacher in evaluation mode, and `A_t` a linear map without a bias. The maps belong to the
//! training and not to the model that it gives; they have an Adam of their own.
//!
//! A teacher has features for every row: a task has a target where its label is not observed. Weights of rows, of tasks and of
//! positive labels are of the tasks' losses alone.

use super::model_inputs::task_layout;
use super::network::Network;
use super::{TrainError, TrainingConfig};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result as CandleResult, Tensor};
use homebench_data::{Batch, Schema};
use homebench_kernels::optimizer::{AdamConfig, Kept, Optimizer};
use homebench_kernels::{Parameter, matmul, normalised_distance};
use homebench_model::{Init, ModelConfig, TaskFeatures, VarBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a training learns from its teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// What the distance of the features is multiplied by in a step's loss.
    pub weight: f64,
    /// Rate of the maps' Adam, times the factor of the schedule.
    pub adapter_learning_rate: f64,
    /// Of the maps: their squares times half of it are added to what Adam descends.
    pub adapter_weight_decay: f64,
    /// By task, the task whose teacher it has in place of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teachers: BTreeMap<String, String>,
}

impl Default for Distillation {
    /// As its authors trained: maps by Adam with rate .1 and decay 5e-4.
    fn default() -> Self {
        Self {
            weight: 1.0,
            adapter_learning_rate: 0.1,
            adapter_weight_decay: 5e-4,
            teachers: BTreeMap::new(),
        }
    }
}

/// The teacher of a training.
#[derive(Debug, Clone, Copy)]
pub struct DistillFrom<'a> {
    /// What is learned from it.
    pub how: &'a Distillation,
    /// Its model.
    pub model: &'a ModelConfig,
    /// How it was trained: its tables have that width.
    pub training: &'a TrainingConfig,
    /// Its selected weights, by variable path.
    pub weights: &'a BTreeMap<String, Tensor>,
}

/// A teacher, and the maps from features to its own.
pub(super) struct Distiller {
    teacher: Network,
    /// For each task, that whose features of the teacher are its target.
    targets: Vec<usize>,
    adapters: Adapters,
    weight: f64,
}

impl Distiller {
    /// For a model whose features have this width.
    pub(super) fn new(
        schema: &Schema,
        from: &DistillFrom<'_>,
        width: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        // Its weights come from elsewhere, so that no seed matters.
        let teacher = Network::new(schema, from.model, from.training, 0, device)?;
        teacher.variables().restore(from.weights)?;
        let tasks = task_layout(schema).tasks;
        let place = |task: &String| {
            let teacher = from.how.teachers.get(task).unwrap_or(task);
            let place = tasks.iter().position(|name| name == teacher);
            place.ok_or_else(|| TrainError::NoFeatures(format!("there is no task `{teacher}`")))
        };
        let targets = tasks.iter().map(place).collect::<Result<_, _>>()?;
        let of_teacher = teacher.feature_width().ok_or_else(|| {
            let model = from.model.name();
            TrainError::NoFeatures(format!("a teacher that is a {model} has no features"))
        })?;
        Ok(Self {
            adapters: Adapters::new(from.how, &tasks, (width, of_teacher), seed, device)?,
            weight: from.how.weight,
            teacher,
            targets,
        })
    }

    /// The distance of features from the teacher's on the same rows, times its weight.
    pub(super) fn loss(
        &self,
        features: &TaskFeatures,
        batch: &Batch,
    ) -> Result<Tensor, TrainError> {
        let of_teacher = self.teacher.features(batch)?;
        let targets = self.targets.iter().map(|task| of_teacher.of_task(*task));
        let targets = Tensor::stack(&targets.collect::<CandleResult<Vec<_>>>()?, 0)?;
        let own = (0..self.targets.len()).map(|task| features.of_task(task));
        let own = own.collect::<CandleResult<Vec<_>>>()?;
        let distance = self.adapters.distance(&own, &targets.detach())?;
        Ok((distance * self.weight)?)
    }

    pub(super) fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    pub(super) fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

/// A linear map for each task, and their Adam.
pub(super) struct Adapters {
    /// In the order of tasks.
    maps: Vec<Parameter>,
    optimizer: Optimizer,
    learning_rate: f64,
    weight_decay: f64,
}

impl Adapters {
    /// `distillation.task.<name>.adapter` of every task, [width, width of the teacher's].
    fn new(
        how: &Distillation,
        tasks: &[String],
        (width, of_teacher): (usize, usize),
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let vb = VarBuilder::from_seed(seed, DType::F32, device).pp("distillation");
        // Glorot and Bengio's normal, as PyTorch's `xavier_normal_` draws it.
        let init = Init::Normal((2.0 / (width + of_teacher) as f32).sqrt());
        let map = |task: &String| {
            let vb = vb.pp("task").pp(task);
            vb.get((width, of_teacher), "adapter", init)
        };
        let maps = tasks.iter().map(map).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            optimizer: Optimizer::new(&maps, AdamConfig::default()),
            learning_rate: how.adapter_learning_rate,
            weight_decay: how.adapter_weight_decay,
            maps,
        })
    }

    /// The distance of each task's mapped features, [batch, width], from targets, [tasks, batch, width of the teacher's].
    fn distance(&self, features: &[Tensor], targets: &Tensor) -> CandleResult<Tensor> {
        let mapped = features.iter().zip(&self.maps);
        let mapped = mapped.map(|(features, map)| matmul(features, map.tensor()));
        let mapped = Tensor::stack(&mapped.collect::<CandleResult<Vec<_>>>()?, 0)?;
        normalised_distance(&mapped, targets)
    }

    /// What their Adam descends beside the distance, and nothing else feels: as the decay of PyTorch's Adam, which joins the gradient.
    pub(super) fn penalty(&self) -> CandleResult<Tensor> {
        let squares = self.maps.iter().map(|map| map.tensor().sqr()?.sum_all());
        let squares = Tensor::stack(&squares.collect::<CandleResult<Vec<_>>>()?, 0)?;
        squares.sum_all()? * (0.5 * self.weight_decay)
    }

    /// One step.
    pub(super) fn step(&mut self, gradients: &GradStore, rate_factor: f64) -> CandleResult<()> {
        for map in &self.maps {
            map.collect(gradients)?;
        }
        self.optimizer.step(self.learning_rate * rate_factor)
    }

    /// What is trained.
    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.maps
    }

    pub(super) fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.optimizer.kept_mut()
    }

    pub(super) fn set_steps_done(&mut self, steps: u64) {
        self.optimizer.set_steps_done(steps);
    }
}

#[cfg(test)]
mod tests;
