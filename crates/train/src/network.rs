//! Input, model and optimisers of a cell, and one step of their training.

use super::config::in_order;
use super::inspect::GradientNorms;
use super::loader::Loaded;
use super::{TrainError, TrainingConfig};
use candle_core::{DType, Device, Tensor};
use homebench_data::{Batch, Schema, Task};
use homebench_kernels::cuda::is_deferred;
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Kept, Lists, Optimizer, clip_gradient_norm};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    BuildContext, EmbeddedInput, FeatureDims, Ids, ModelConfig, Ranker, TaskGroup, TaskLayout,
    Trace, VarBuilder, Variables,
};

/// Input, model and optimiser of a cell.
pub(super) struct Network {
    layout: TaskLayout,
    input: EmbeddedInput,
    model: Box<dyn Ranker>,
    variables: Variables,
    /// What the optimiser of dense variables owns; tables are updated by `input`.
    dense: Vec<Parameter>,
    optimizer: Optimizer,
    task_weights: Option<Vec<f32>>,
    positive_weights: Option<Vec<f32>>,
    /// Which tasks predict a number; absent where none does.
    regression: Option<Vec<bool>>,
}

/// What is particular to a step.
pub(super) struct Step {
    /// Counted from 0.
    pub(super) index: u64,
    /// Of the step sizes, from the schedule.
    pub(super) rate_factor: f64,
    /// Of the cell.
    pub(super) seed: u64,
}

/// The loss of a step.
pub(super) enum StepLoss {
    /// Read.
    Known(f64),
    /// A scalar that the device may not have computed yet.
    OnDevice(Tensor),
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
        let dims = feature_dims(schema, tables.width(training.embedding_dim));
        // Initial weights are a function of (seed, path): another order of building gives the same
        // model.
        let vb = VarBuilder::from_seed(seed, DType::F32, device);
        let context = BuildContext {
            layout: &layout,
            input_dim: dims.input_dim(),
            num_embedded: dims.num_embedded(),
            input_per_task: tables.per_task(),
        };
        let ranker = model.build(&context, &vb)?;
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
        let rule = training.sparse_rule();
        let input = EmbeddedInput::new(&dims, &layout, tables, rule, &vb)?;
        Ok(Self {
            input,
            model: ranker,
            variables: vb.finish()?,
            optimizer: Optimizer::new(&dense, training.dense_rule()),
            dense,
            task_weights: in_order(&training.task_weights, &layout.tasks),
            positive_weights: in_order(&training.positive_weights, &layout.tasks),
            regression: regression.contains(&true).then_some(regression),
            layout,
        })
    }

    pub(super) fn model(&self) -> &dyn Ranker {
        &*self.model
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
        self.input.set_steps_done(embedding);
    }

    /// Everything the optimisers keep from step to step, by name, in a fixed order.
    pub(super) fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.optimizer.kept_mut().chain(self.input.kept_mut())
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
        let xs = self
            .input
            .gather(ids(batch), &batch.numeric, batch.num_rows, None)?;
        let logits = self
            .model
            .forward_t(&xs.as_detached_tensor(), false, trace)?;
        Ok(logits.flatten_all()?.to_vec1::<f32>()?)
    }

    /// One training step; gives the loss before it. On a device, nothing is waited for. `norms` sees the gradients.
    pub(super) fn step(
        &mut self,
        loaded: &mut Loaded,
        training: &TrainingConfig,
        step: &Step,
        norms: Option<&mut GradientNorms>,
    ) -> Result<StepLoss, TrainError> {
        let rate = training.embedding_dropout;
        // Keyed by the step and not by a state, so that a training that goes on drops the same
        // units.
        let dropout = (rate > 0.0).then(|| Dropout::new(rate, step.seed, step.index, "embedding"));
        let Loaded { batch, copied } = loaded;
        let (of_batch, num_rows) = (ids(batch), batch.num_rows);
        let xs = match copied {
            Some(copied) => {
                let input = &self.input;
                input.gather_copied(of_batch, copied, num_rows, dropout.as_ref())?
            }
            None => {
                let (input, numeric) = (&self.input, &batch.numeric);
                input.gather(of_batch, numeric, num_rows, dropout.as_ref())?
            }
        };
        let logits = self.model.forward_t(&xs, true, None)?;
        let targets = Targets {
            task_weights: self.task_weights.clone(),
            positive_weights: self.positive_weights.clone(),
            regression: self.regression.clone(),
            ..Targets::observed(batch.labels.clone(), &batch.weights)
        };
        let loss = multi_task_loss(&logits, &targets)?;
        // Reading a number waits for the device; its losses are read some steps later, many at
        // once.
        let value = match is_deferred(&loss) {
            false => StepLoss::Known(f64::from(loss.to_scalar::<f32>()?)),
            true => StepLoss::OnDevice(loss.detach()),
        };
        // Training ends with it: no update may spread it into the weights.
        if matches!(&value, StepLoss::Known(loss) if !loss.is_finite()) {
            return Ok(value);
        }
        let gradients = loss.backward()?;
        for parameter in &self.dense {
            parameter.collect(&gradients)?;
        }
        if let Some(norms) = norms {
            // Before clipping, which would hide what the experts receive.
            norms.measure(&self.dense)?;
        }
        if training.gradient_clip_norm > 0.0 {
            clip_gradient_norm(&self.dense, training.gradient_clip_norm)?;
        }
        self.optimizer
            .step(training.learning_rate * step.rate_factor)?;
        // Tables are no variables of candle's graph, where their gradient would be as large as they
        // are: the gradient of the gathered rows is scattered to those rows alone.
        if let Some(gradient) = gradients.get(&xs) {
            let rate = training
                .embedding_learning_rate
                .unwrap_or(training.learning_rate);
            self.input.update(
                of_batch,
                gradient,
                dropout.as_ref(),
                rate * step.rate_factor,
            )?;
        }
        Ok(value)
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

/// The tasks and groups of a schema, as a model sees them.
pub fn task_layout(schema: &Schema) -> TaskLayout {
    let in_group = |group: usize| {
        let tasks = schema.tasks.iter().enumerate();
        tasks
            .filter(move |(_, task)| task.group == group)
            .map(|(index, _)| index)
    };
    TaskLayout {
        tasks: schema.tasks.iter().map(|task| task.name.clone()).collect(),
        groups: schema
            .groups
            .iter()
            .enumerate()
            .map(|(group, name)| TaskGroup {
                name: name.clone(),
                tasks: in_group(group).collect(),
            })
            .collect(),
    }
}

/// The features of a schema, as an input sees them.
pub fn feature_dims(schema: &Schema, embedding_dim: usize) -> FeatureDims {
    FeatureDims {
        vocabularies: schema
            .categorical
            .iter()
            .map(|feature| (feature.name.clone(), feature.vocabulary_size))
            .collect(),
        lists: schema
            .lists
            .iter()
            .map(|list| {
                (
                    list.name.clone(),
                    list.vocabulary_size,
                    operator_pooling(list.pooling),
                )
            })
            .collect(),
        num_numeric: schema.numeric.len(),
        embedding_dim,
    }
}
/// A description's word for pooling as the operators have it.
fn operator_pooling(
    pooling: homebench_data::schema::Pooling,
) -> homebench_kernels::optimizer::Pooling {
    use homebench_data::schema::Pooling as Described;
    use homebench_kernels::optimizer::Pooling;
    match pooling {
        Described::Sum => Pooling::Sum,
        Described::Mean => Pooling::Mean,
    }
}
