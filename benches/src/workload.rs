//! Training steps of the workloads in `peers/workloads/*.toml`.
//!
//! A step is forward, the sum over tasks of the mean binary cross-entropy with the model's own loss, if it has one, backward to every
//! variable and to the input (which embeddings need), and Adam, on one batch of random labels. Inputs are random and normal, or rows of
//! embedding tables, where reading and updating those is part of a step. With `one_task`, each row observes one task, at random.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig, Columns, EmbeddingTables, SparseRule};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    AuxiliaryLoss, BuildContext, InputColumns, ModelConfig, NoiseSource, Ranker, StepOutput,
    TaskGroup, TaskLayout, TrainingPass, VarBuilder, Variables,
};
use homebench_random::Philox;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// Why a workload can't be loaded or run.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Adam's step size in every workload.
const LEARNING_RATE: f64 = 1e-3;
/// Seed of weights, inputs and labels.
const SEED: u64 = 1;

/// A model with a batch to train it on.
pub struct Workload {
    model: Box<dyn Ranker>,
    variables: Variables,
    adam: Adam,
    inputs: Var,
    tables: Option<TablesOfBatch>,
    /// [batch, tasks]; NaN where a row does not observe a task.
    labels: Vec<f32>,
    /// Which those are, [batch, tasks], for models that read it.
    observed: Option<Tensor>,
}

/// Embedding tables, and the rows of them that the batch has.
struct TablesOfBatch {
    tables: EmbeddingTables,
    parameters: Vec<Parameter>,
    /// [batch, tables].
    ids: Vec<u32>,
    columns: Columns,
}

impl TablesOfBatch {
    /// From `count`, `rows` and `width` under [tables].
    fn new(sizes: &toml::Table, num_rows: usize) -> Result<Self, Failure> {
        let size = |key: &str| -> Result<usize, Failure> {
            let value = sizes.get(key).and_then(toml::Value::as_integer);
            Ok(usize::try_from(
                value.ok_or(format!("[tables] has no `{key}`"))?,
            )?)
        };
        let (count, rows, width) = (size("count")?, size("rows")?, size("width")?);
        let parameter = |table: usize| -> Result<Parameter, Failure> {
            let stream = Philox::new(SEED, "bench", &format!("table {table}"));
            let values = (0..(rows * width) as u64).map(|i| 0.1 * stream.normal(i));
            let values = Tensor::from_vec(values.collect(), (rows, width), &Device::Cpu)?;
            let path = format!("embedding.{table}.weight");
            let var = Var::from_tensor(&values)?;
            Ok(Parameter::new(path, var, Role::Trained))
        };
        let parameters: Vec<Parameter> = (0..count).map(parameter).collect::<Result<_, _>>()?;
        let stream = Philox::new(SEED, "bench", "ids");
        let limit = u32::try_from(rows)?;
        Ok(Self {
            tables: EmbeddingTables::new(
                parameters.clone(),
                SparseRule::Adam(AdamConfig::default()),
            )?,
            parameters,
            ids: (0..(num_rows * count) as u64)
                .map(|i| stream.below(i, limit))
                .collect(),
            columns: Columns {
                stride: count * width,
                offset: 0,
            },
        })
    }

    fn inputs(&self, num_rows: usize, device: &Device) -> Result<Var, Failure> {
        let mut values = vec![0f32; num_rows * self.columns.stride];
        self.tables.gather(&self.ids, &mut values, self.columns)?;
        Ok(Var::from_vec(
            values,
            (num_rows, self.columns.stride),
            device,
        )?)
    }
}

impl Workload {
    /// Reads `peers/workloads/<name>.toml` and builds its model on `device` from a fixed seed.
    ///
    /// # Errors
    /// No such workload, or one that makes no model.
    pub fn load(name: &str, device: &Device) -> Result<Self, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/workloads");
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml")))?;
        let mut table: toml::Table = text.parse()?;
        let count = |key: &str| -> Result<usize, Failure> {
            let value = table.get(key).and_then(toml::Value::as_integer);
            Ok(usize::try_from(
                value.ok_or(format!("{name}: no `{key}`"))?,
            )?)
        };
        let (num_rows, input_dim) = (count("rows")?, count("input_dim")?);
        let is_one_task = table.get("one_task").and_then(toml::Value::as_bool) == Some(true);
        let tables = match table.remove("tables") {
            Some(toml::Value::Table(sizes)) => Some(TablesOfBatch::new(&sizes, num_rows)?),
            _ => None,
        };
        let Some(toml::Value::Table(mut model)) = table.remove("model") else {
            return Err(format!("{name}: no [model]").into());
        };
        let layout = layout(&mut model)?;
        let architecture = model.remove("model");
        let architecture = architecture.as_ref().and_then(toml::Value::as_str);
        let config = ModelConfig::from_table(architecture.unwrap_or_default(), &model)?;
        let vb = VarBuilder::from_seed(SEED, DType::F32, device);
        let context = BuildContext {
            layout: &layout,
            input_dim,
            num_embedded: 0,
            input_per_task: false,
            columns: InputColumns::default(),
            after: &[],
        };
        let model = config.build(&context, &vb)?;
        let variables = vb.finish()?;
        let normal = Philox::new(SEED, "bench", "x");
        let labels = labels(num_rows, layout.tasks.len(), is_one_task)?;
        let observed = match is_one_task && model.reads_observed() {
            true => Some(observed(&labels, layout.tasks.len(), device)?),
            false => None,
        };
        let values = (0..(num_rows * input_dim) as u64)
            .map(|i| normal.normal(i))
            .collect();
        Ok(Self {
            model,
            adam: Adam::new(variables.parameters(), AdamConfig::default()),
            variables,
            inputs: match &tables {
                Some(tables) => tables.inputs(num_rows, device)?,
                None => Var::from_vec::<_, f32>(values, (num_rows, input_dim), device)?,
            },
            tables,
            labels,
            observed,
        })
    }

    /// Rows of the batch.
    pub fn num_rows(&self) -> usize {
        self.inputs.dims()[0]
    }

    /// One training step; gives the loss before it, a scalar that a device may not have computed yet.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn step(&mut self) -> Result<Tensor, Failure> {
        if let Some(tables) = &self.tables {
            self.inputs = tables.inputs(self.num_rows(), self.inputs.device())?;
        }
        let (loss, gradients) = self.backward()?;
        self.adam.step(LEARNING_RATE)?;
        if let Some(tables) = &mut self.tables {
            let gradient = gradients.get(&self.inputs).ok_or("no input gradient")?;
            let gradient = gradient.contiguous()?;
            let (storage, layout) = gradient.storage_and_layout();
            let candle_core::Storage::Cpu(storage) = &*storage else {
                return Err("tables are on the processor alone".into());
            };
            let gradient = &storage.as_slice::<f32>()?[layout.start_offset()..];
            let TablesOfBatch {
                tables,
                ids,
                columns,
                ..
            } = tables;
            tables.update(ids, gradient, *columns, LEARNING_RATE)?;
        }
        Ok(loss.detach())
    }

    fn forward_step(&self) -> Result<StepOutput, Failure> {
        let pass = TrainingPass {
            observed: self.observed.as_ref(),
            // No workload is of a chain of tasks.
            labels: None,
            noise: NoiseSource::Step {
                seed: SEED,
                step: 0,
            },
            cut: None,
        };
        Ok(self.model.forward_step(&self.inputs, &pass, None)?)
    }

    /// The loss, and its gradients: of variables in their buffers, of the inputs in candle's.
    fn backward(&self) -> Result<(Tensor, GradStore), Failure> {
        // No workload predicts twice.
        let StepOutput {
            logits, auxiliary, ..
        } = self.forward_step()?;
        let targets = Targets::observed(self.labels.clone(), &[]);
        let mut loss = multi_task_loss(&logits, &targets)?;
        if let Some(AuxiliaryLoss { loss: own, weight }) = auxiliary {
            loss = (loss + (own * weight)?)?;
        }
        let gradients = loss.backward()?;
        for parameter in self.variables.parameters() {
            parameter.collect(&gradients)?;
        }
        Ok((loss, gradients))
    }

    /// What a step would be led by: `loss`, and `gradient/...` of every learned variable by path and of `x`.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn gradients(&self) -> Result<BTreeMap<String, Tensor>, Failure> {
        let (loss, gradients) = self.backward()?;
        let mut found = BTreeMap::from([("loss".to_owned(), loss.detach())]);
        let of_inputs = gradients.get(&self.inputs).ok_or("no input gradient")?;
        found.insert("gradient/x".to_owned(), of_inputs.clone());
        for parameter in self.variables.parameters() {
            if let Some(gradient) = parameter.gradient() {
                let gradient =
                    Tensor::from_vec(gradient, parameter.tensor().shape(), &Device::Cpu)?;
                found.insert(format!("gradient/{}", parameter.path()), gradient);
                parameter.consume_gradient(|_| {});
            }
        }
        Ok(found)
    }

    /// Every variable by path.
    ///
    /// # Errors
    /// A tensor can't be copied.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>, Failure> {
        let mut weights = self.variables.snapshot()?;
        let tables = self.tables.iter().flat_map(|tables| &tables.parameters);
        weights.extend(tables.map(|table| (table.path().to_owned(), table.tensor().clone())));
        Ok(weights)
    }

    /// The batch as a peer needs it: `x` [batch, input_dim], `labels` [batch, tasks], NaN where a task is not observed, and `ids`
    /// [batch, tables] where there are tables.
    ///
    /// # Errors
    /// A tensor can't be made.
    pub fn batch(&self) -> Result<BTreeMap<String, Tensor>, Failure> {
        let shape = (self.num_rows(), self.labels.len() / self.num_rows());
        let labels = Tensor::from_slice(&self.labels, shape, &Device::Cpu)?;
        let mut batch = BTreeMap::from([
            ("x".to_owned(), self.inputs()),
            ("labels".to_owned(), labels),
        ]);
        if let Some(tables) = &self.tables {
            let ids = tables.ids.iter().map(|id| i64::from(*id)).collect();
            let shape = (self.num_rows(), tables.parameters.len());
            batch.insert(
                "ids".to_owned(),
                Tensor::from_vec(ids, shape, &Device::Cpu)?,
            );
        }
        Ok(batch)
    }

    /// The batch's inputs, [batch, input_dim].
    pub fn inputs(&self) -> Tensor {
        self.inputs.as_detached_tensor()
    }

    /// Logits of the batch, [batch, tasks]; with `train`, as a step has them.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn logits(&self, train: bool) -> Result<Tensor, Failure> {
        match train {
            true => Ok(self.forward_step()?.logits),
            false => Ok(self.model.forward_t(&self.inputs(), false, None)?),
        }
    }
}

fn labels(num_rows: usize, num_tasks: usize, is_one_task: bool) -> Result<Vec<f32>, Failure> {
    let (of_labels, of_tasks) = (
        Philox::new(SEED, "bench", "y"),
        Philox::new(SEED, "bench", "task"),
    );
    let limit = u32::try_from(num_tasks)?;
    let label = |index: u64| {
        let (row, task) = (index / u64::from(limit), index % u64::from(limit));
        match is_one_task && u64::from(of_tasks.below(row, limit)) != task {
            true => f32::NAN,
            false => f32::from(of_labels.uniform(index) < 0.5),
        }
    };
    Ok((0..(num_rows * num_tasks) as u64).map(label).collect())
}

fn observed(labels: &[f32], num_tasks: usize, device: &Device) -> Result<Tensor, Failure> {
    let flag = |label: &f32| if label.is_nan() { 0.0 } else { 1.0 };
    let flags: Vec<f32> = labels.iter().map(flag).collect();
    let shape = (labels.len() / num_tasks, num_tasks);
    Ok(Tensor::from_vec(flags, shape, device)?)
}

fn layout(model: &mut toml::Table) -> Result<TaskLayout, Failure> {
    let words = |value: &toml::Value| -> Vec<String> {
        let words = value.as_array().into_iter().flatten();
        words
            .filter_map(|word| Some(word.as_str()?.to_string()))
            .collect()
    };
    let tasks = words(&model.remove("tasks").ok_or("no `tasks`")?);
    let groups = model.remove("groups").ok_or("no `groups`")?;
    let group = |value: &toml::Value| -> Result<TaskGroup, Failure> {
        let name = value
            .get("name")
            .and_then(toml::Value::as_str)
            .ok_or("a group without a name")?;
        let of_group = words(value.get("tasks").ok_or("a group without tasks")?);
        let index = |word: &String| tasks.iter().position(|task| task == word);
        let indices: Option<Vec<usize>> = of_group.iter().map(index).collect();
        Ok(TaskGroup {
            name: name.to_string(),
            tasks: indices.ok_or(format!("group {name} names an unknown task"))?,
        })
    };
    let groups = groups
        .as_array()
        .into_iter()
        .flatten()
        .map(group)
        .collect::<Result<_, _>>()?;
    Ok(TaskLayout { tasks, groups })
}
