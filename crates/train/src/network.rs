//! Input, model and optimisers of a cell, and one step of their training.

mod features;
mod gradients_of_task;
mod step;

pub(super) use step::Others;

use super::balance::Balancer;
use super::config::in_order;
use super::distillation::{Adapters, Distiller};
use super::inspect::GradientNorms;
use super::loader::Loaded;
use super::model_inputs::{feature_dims, input_features, task_layout};
use super::task_gradients;
use super::variable_shapes::VariableShapes;
use super::warm_start::{PathError, PathKey, named};
use super::{TrainError, TrainingConfig};
use candle_core::{DType, Device, Tensor};
use homebench_data::{Batch, Prepared, Schema, Task};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Kept, Lists, Optimizer};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    BuildContext, EmbeddedInput, Ids, InputColumns, ModelConfig, Ranker, TargetAttention,
    TaskLayout, Trace, VarBuilder, Variables, table_shapes,
};

/// Input, model and optimiser of a cell.
pub(super) struct Network {
    layout: TaskLayout,
    input: EmbeddedInput,
    /// What makes a model's input of lists that attend to a target, where there are such.
    attention: Option<TargetAttention>,
    model: Box<dyn Ranker>,
    variables: Variables,
    /// Paths and shapes of the tables.
    tables: Vec<(String, [usize; 2])>,
    /// What the optimiser of dense variables owns; tables are updated by `input`.
    dense: Vec<Parameter>,
    /// Which of them the losses of more than one task reach.
    is_shared: Vec<bool>,
    optimizer: Optimizer,
    task_weights: Option<Vec<f32>>,
    positive_weights: Option<Vec<f32>>,
    /// Which tasks predict a number; absent where none does.
    regression: Option<Vec<bool>>,
    /// Weighs the tasks of a step, where their losses are not only summed.
    balancer: Option<Balancer>,
    /// What it learns from beside labels.
    distiller: Option<Box<Distiller>>,
    /// The place of the scenario among a batch's ids of single features.
    scenario: Option<usize>,
}

/// What is particular to a step.
pub(super) struct Step {
    /// Counted from 0.
    pub(super) index: u64,
    /// Of the step sizes, from the schedule.
    pub(super) rate_factor: f64,
    /// Of the cell.
    pub(super) seed: u64,
    /// Counted from 1.
    pub(super) epoch: usize,
}

/// The loss of a step: that of the tasks, and where there are such the model's own and that of distillation, times their weights. Their
/// sum is what is learned from.
pub(super) enum StepLoss {
    /// Read.
    Known(Losses),
    /// A scalar of each that the device may not have computed yet.
    OnDevice(Tensor),
}

/// What was read of a step's loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Losses {
    pub(super) of_tasks: f64,
    pub(super) auxiliary: Option<f64>,
    pub(super) distillation: Option<f64>,
}

impl Losses {
    pub(super) fn total(self) -> f64 {
        self.of_tasks + self.auxiliary.unwrap_or(0.0) + self.distillation.unwrap_or(0.0)
    }
}

impl Network {
    pub(super) fn new(
        schema: &Schema,
        model: &ModelConfig,
        training: &TrainingConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let layout = task_layout(schema);
        let tables = model.tables();
        let dims = feature_dims(schema, tables, training);
        // Initial weights are a function of (seed, path): another order of building gives the same
        // model.
        let vb = VarBuilder::from_seed(seed, DType::F32, device);
        let features = input_features(schema, &dims);
        let context = BuildContext {
            layout: &layout,
            input_dim: dims.input_dim(),
            num_embedded: dims.num_embedded(),
            input_per_task: tables.per_task(),
            columns: InputColumns {
                features: &features,
                scenario: schema.scenario,
                num_scenarios: schema.num_scenarios(),
                embedding_dim: dims.embedding_dim,
            },
            after: &schema.after(),
        };
        let ranker = model.build(&context, &vb)?;
        let attention = TargetAttention::new(&dims, &layout, tables, &vb)?;
        // Before the tables are made, which the input updates row by row: a dense optimiser would
        // pass over every row of them at every step.
        let dense: Vec<Parameter> = vb
            .finish()?
            .parameters()
            .iter()
            .filter(|parameter| parameter.role() == Role::Trained)
            .cloned()
            .collect();
        let regression: Vec<bool> = schema.tasks.iter().map(Task::is_regression).collect();
        let is_shared = task_gradients::are_shared(&dense, &vb.finish()?);
        let balancer = Balancer::new(&training.balance, &layout.tasks);
        let rule = training.sparse_rule();
        let input = EmbeddedInput::new(&dims, &layout, tables, rule, &vb)?;
        Ok(Self {
            tables: table_shapes(&dims, &layout, tables),
            input,
            attention,
            model: ranker,
            variables: vb.finish()?,
            optimizer: Optimizer::new(&dense, training.dense_rule()),
            dense,
            task_weights: in_order(&training.task_weights, &layout.tasks),
            positive_weights: in_order(&training.positive_weights, &layout.tasks),
            regression: regression.contains(&true).then_some(regression),
            balancer,
            is_shared,
            layout,
            distiller: None,
            scenario: schema.scenario,
        })
    }

    /// Refuses a training whose balance needs what there is not.
    pub(super) fn check_balance(&self) -> Result<(), TrainError> {
        match &self.balancer {
            Some(balancer) if balancer.needs_gradients() => {
                task_gradients::check(balancer, &self.is_shared, self.model(), self.device())
            }
            _ => Ok(()),
        }
    }

    /// Refuses weights that no training row would move: those of a scenario without any.
    pub(super) fn check_scenarios(&self, dataset: &Prepared) -> Result<(), TrainError> {
        let (Some(scenarios), Some(feature)) = (self.model.scenarios(), self.scenario) else {
            return Ok(());
        };
        let mut has_rows = vec![false; scenarios.num_scenarios()];
        // Those of no known scenario have the id 0.
        for id in dataset.train.ids(feature).into_iter().filter(|id| *id > 0) {
            has_rows[id as usize - 1] = true;
        }
        match has_rows.iter().position(|has_rows| !has_rows) {
            Some(idle) => Err(TrainError::IdleScenario {
                feature: dataset.schema.categorical[feature].name.clone(),
                value: dataset.scenarios[idle].clone(),
            }),
            None => Ok(()),
        }
    }

    /// The losses that a step left as numbers, in their order.
    pub(super) fn losses(&self, values: &[f32]) -> Losses {
        let mut values = values.iter().map(|value| f64::from(*value));
        let of_tasks = values.next().expect("a step has a loss");
        let distillation = self.distiller.as_ref().and_then(|_| values.next_back());
        Losses {
            of_tasks,
            auxiliary: values.next(),
            distillation,
        }
    }

    /// Leaves the variables that these paths name as they are, running statistics included, whose norms then go by them.
    pub(super) fn freeze(
        &mut self,
        paths: &[String],
        training: &TrainingConfig,
    ) -> Result<(), PathError> {
        let shapes = self.variable_shapes();
        for path in paths {
            let frozen = named(&shapes, path, PathKey::Freeze)?;
            let parameters = self.variables.parameters().iter();
            parameters
                .filter(|parameter| frozen.contains(&parameter.path()))
                .for_each(Parameter::freeze);
        }
        // Neither decay nor clipping nor measured gradients know of them.
        self.dense.retain(|parameter| !parameter.is_frozen());
        self.is_shared = task_gradients::are_shared(&self.dense, &self.variables);
        self.optimizer = Optimizer::new(&self.dense, training.dense_rule());
        Ok(())
    }

    /// Its variables by path.
    pub(super) fn variable_shapes(&self) -> VariableShapes {
        VariableShapes::new(&self.variables, &self.tables)
    }

    pub(super) fn model(&self) -> &dyn Ranker {
        &*self.model
    }

    /// FLOPs of a row's products, in the model and in front of it.
    pub(super) fn flops_per_row(&self) -> usize {
        let before = self.attention.as_ref().map(TargetAttention::flops_per_row);
        before.unwrap_or(0) + self.model.flops_per_row()
    }

    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Where its variables are.
    pub(super) fn device(&self) -> &Device {
        self.input.device()
    }

    pub(super) fn layout(&self) -> &TaskLayout {
        &self.layout
    }

    /// Steps of the optimiser of dense variables, and updates of the tables.
    pub(super) fn steps_done(&self) -> [u64; 2] {
        [self.optimizer.steps_done(), self.input.steps_done()]
    }

    /// Goes on as after so many steps and updates.
    pub(super) fn set_steps_done(&mut self, [dense, embedding]: [u64; 2]) {
        self.optimizer.set_steps_done(dense);
        // The maps of distillation have a step in every step of the others.
        if let Some(distiller) = &mut self.distiller {
            distiller.adapters_mut().set_steps_done(dense);
        }
        self.input.set_steps_done(embedding);
    }

    /// What weighs the tasks, where their losses are not only summed.
    pub(super) fn balancer(&self) -> Option<&Balancer> {
        self.balancer.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn balancer_mut(&mut self) -> Option<&mut Balancer> {
        self.balancer.as_mut()
    }

    /// Everything the optimisers keep from step to step, by name, in a fixed order.
    pub(super) fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        let adapters = self
            .distiller
            .iter_mut()
            .map(|distiller| distiller.adapters_mut());
        let model = self.optimizer.kept_mut().chain(self.input.kept_mut());
        model.chain(adapters.flat_map(Adapters::kept_mut))
    }

    /// Whether a task predicts a number.
    pub(super) fn is_regression(&self, task: usize) -> bool {
        self.regression.as_ref().is_some_and(|tasks| tasks[task])
    }

    /// Whether a task's loss counts: its weight is not 0.
    pub(super) fn is_trained(&self, task: &str) -> bool {
        let place = self.layout.tasks.iter().position(|name| name == task);
        let weight = |weights: &Vec<f32>| place.map(|place| weights[place]);
        self.task_weights.as_ref().and_then(weight) != Some(0.0)
    }

    /// For the gradients of this network's sets of experts.
    pub(super) fn gradient_norms(&self) -> GradientNorms {
        let place = |variable: &Parameter| {
            let mut dense = self.dense.iter();
            dense.position(|parameter| parameter.path() == variable.path())
        };
        let sets = self.variables.expert_sets().map(|(set, variables)| {
            let places = variables.into_iter().filter_map(place);
            (set.path.clone(), places.collect())
        });
        GradientNorms::new(sets.collect())
    }

    /// Logits of a batch in evaluation, row-major [rows, tasks]; what happens inside is left in `trace`, where one is given.
    pub(super) fn scores(
        &self,
        batch: &Batch,
        trace: Option<&mut Trace>,
    ) -> Result<Vec<f32>, TrainError> {
        let xs = self.input_of(batch)?;
        let logits = self.pass(batch, || self.model.forward_t(&xs, false, trace))?;
        Ok(logits.flatten_all()?.to_vec1::<f32>()?)
    }

    /// What the model reads of a batch where no gradient reaches the tables, and nothing is dropped.
    fn input_of(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        let (ids, numeric) = (ids(batch), &batch.numeric);
        let gathered = self.input.gather(ids, numeric, batch.num_rows, None)?;
        Ok(self.attended(gathered.as_detached_tensor(), ids, None)?)
    }

    /// What the model reads of what was gathered.
    fn attended(
        &self,
        gathered: Tensor,
        ids: Ids<'_>,
        dropout: Option<&Dropout>,
    ) -> candle_core::Result<Tensor> {
        match &self.attention {
            Some(attention) => attention.forward(&gathered, ids, dropout),
            None => Ok(gathered),
        }
    }

    /// A pass of the model, told the scenarios of the batch's rows where it has weights for each.
    fn pass<T>(
        &self,
        batch: &Batch,
        pass: impl FnOnce() -> candle_core::Result<T>,
    ) -> candle_core::Result<T> {
        match (self.model.scenarios(), self.scenario) {
            (Some(scenarios), Some(scenario)) => {
                let width = batch.categorical.len() / batch.num_rows.max(1);
                let rows = batch.categorical.chunks_exact(width.max(1));
                let ids: Vec<u32> = rows.map(|row| row[scenario]).collect();
                scenarios.during(&ids, pass)
            }
            _ => pass(),
        }
    }

    /// Which tasks the rows of a batch observe, where some are not and the model wants to know.
    fn observed(&self, batch: &Batch) -> Result<Option<Tensor>, TrainError> {
        let is_missing = |label: &f32| label.is_nan();
        if !self.model.reads_observed() || !batch.labels.iter().any(is_missing) {
            return Ok(None);
        }
        let flag = |label: &f32| if label.is_nan() { 0.0 } else { 1.0 };
        let flags: Vec<f32> = batch.labels.iter().map(flag).collect();
        let shape = (batch.num_rows, self.layout.tasks.len());
        Ok(Some(Tensor::from_vec(flags, shape, self.device())?))
    }

    /// The labels of a batch, where the model wants to know; 0 where a task is not observed.
    fn labels(&self, batch: &Batch) -> Result<Option<Tensor>, TrainError> {
        if !self.model.reads_labels() {
            return Ok(None);
        }
        let known = |label: &f32| if label.is_nan() { 0.0 } else { *label };
        let labels: Vec<f32> = batch.labels.iter().map(known).collect();
        let shape = (batch.num_rows, self.layout.tasks.len());
        Ok(Some(Tensor::from_vec(labels, shape, self.device())?))
    }
}

/// The ids of a batch, as an input sees them.
fn ids(batch: &Batch) -> Ids<'_> {
    Ids {
        single: &batch.categorical,
        lists: Lists {
            ids: &batch.list_ids,
            ends: &batch.list_ends,
        },
    }
}
