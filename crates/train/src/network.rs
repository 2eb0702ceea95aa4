//! Input, model and optimisers of a cell, and one step of their training.

use super::config::in_order;
use super::inspect::GradientNorms;
use super::loader::Loaded;
use super::variable_shapes::VariableShapes;
use super::warm_start::{PathError, PathKey, named};
use super::{TrainError, TrainingConfig};
use candle_core::{DType, Device, Tensor};
use homebench_data::{Batch, Schema, Task};
use homebench_kernels::cuda::is_deferred;
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Kept, Lists, Optimizer, clip_gradient_norm};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    AuxiliaryLoss, BuildContext, EmbeddedInput, FeatureDims, Ids, ModelConfig, NoiseSource, Ranker,
    StepOutput, TaskGroup, TaskLayout, Trace, TrainingPass, VarBuilder, Variables, table_shapes,
};

/// Input, model and optimiser of a cell.
pub(super) struct Network {
    layout: TaskLayout,
    input: EmbeddedInput,
    model: Box<dyn Ranker>,
    variables: Variables,
    /// Paths and shapes of the tables.
    tables: Vec<(String, [usize; 2])>,
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

/// The loss of a step: that of the tasks, and where the model has one its own, times its weight. Their sum is what is learned from.
pub(super) enum StepLoss {
    /// Read.
    Known(Losses),
    /// One scalar or two that the device may not have computed yet.
    OnDevice(Tensor),
}

/// What was read of a step's loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Losses {
    pub(super) of_tasks: f64,
    pub(super) auxiliary: Option<f64>,
}

impl Losses {
    pub(super) fn of_values(values: &[f32]) -> Self {
        Self {
            of_tasks: f64::from(values[0]),
            auxiliary: values.get(1).map(|value| f64::from(*value)),
        }
    }

    pub(super) fn total(self) -> f64 {
        self.of_tasks + self.auxiliary.unwrap_or(0.0)
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
            tables: table_shapes(&dims, &layout, tables),
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

    /// The losses of a step as they are known, and their sum.
    fn read_loss(
        &self,
        of_tasks: Tensor,
        auxiliary: Option<Tensor>,
    ) -> Result<(StepLoss, Tensor), TrainError> {
        let Some(auxiliary) = auxiliary else {
            // Reading a number waits for the device; its losses are read some steps later, many at once.
            let value = match is_deferred(&of_tasks) {
                false => StepLoss::Known(Losses::of_values(&[of_tasks.to_scalar::<f32>()?])),
                true => StepLoss::OnDevice(of_tasks.detach().reshape(1)?),
            };
            return Ok((value, of_tasks));
        };
        let both = Tensor::stack(&[of_tasks.detach(), auxiliary.detach()], 0)?;
        let value = match is_deferred(&of_tasks) {
            false => StepLoss::Known(Losses::of_values(&both.to_vec1::<f32>()?)),
            true => StepLoss::OnDevice(both),
        };
        Ok((value, (of_tasks + auxiliary)?))
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
        let observed = self.observed(batch)?;
        let pass = TrainingPass {
            observed: observed.as_ref(),
            noise: NoiseSource::Step {
                seed: step.seed,
                step: step.index,
            },
        };
        let StepOutput { logits, auxiliary } =
            self.model
                .forward_step(&self.input.of_step(&xs), &pass, None)?;
        let targets = Targets {
            task_weights: self.task_weights.clone(),
            positive_weights: self.positive_weights.clone(),
            regression: self.regression.clone(),
            ..Targets::observed(batch.labels.clone(), &batch.weights)
        };
        let of_tasks = multi_task_loss(&logits, &targets)?;
        let auxiliary = match auxiliary {
            Some(AuxiliaryLoss { loss, weight }) => Some((loss * weight)?),
            None => None,
        };
        let (value, loss) = self.read_loss(of_tasks, auxiliary)?;
        // Training ends with it: no update may spread it into the weights.
        if matches!(&value, StepLoss::Known(losses) if !losses.total().is_finite()) {
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
