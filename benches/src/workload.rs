//! Training steps of the workloads in `peers/workloads/*.toml`.
//!
//! A step is forward, the sum over tasks of the mean binary cross-entropy, backward to every variable and to the input (which
//! embeddings would need), and Adam, on one batch of random normal inputs and random labels.

use candle_core::{DType, Device, Tensor, Var};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig};
use homebench_model::{
    BuildContext, ModelConfig, Ranker, TaskGroup, TaskLayout, VarBuilder, Variables,
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
    labels: Vec<f32>,
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
        };
        let model = config.build(&context, &vb)?;
        let variables = vb.finish()?;
        let (normal, uniform) = (
            Philox::new(SEED, "bench", "x"),
            Philox::new(SEED, "bench", "y"),
        );
        let values = (0..(num_rows * input_dim) as u64)
            .map(|i| normal.normal(i))
            .collect();
        let num_labels = (num_rows * layout.tasks.len()) as u64;
        Ok(Self {
            model,
            adam: Adam::new(variables.parameters(), AdamConfig::default()),
            variables,
            inputs: Var::from_vec::<_, f32>(values, (num_rows, input_dim), device)?,
            labels: (0..num_labels)
                .map(|i| f32::from(uniform.uniform(i) < 0.5))
                .collect(),
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
        let logits = self.model.forward_t(&self.inputs, true, None)?;
        let loss = multi_task_loss(&logits, &Targets::new(self.labels.clone()))?;
        let gradients = loss.backward()?;
        for parameter in self.variables.parameters() {
            parameter.collect(&gradients)?;
        }
        self.adam.step(LEARNING_RATE)?;
        Ok(loss.detach())
    }

    /// Every variable by path.
    ///
    /// # Errors
    /// A tensor can't be copied.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>, Failure> {
        Ok(self.variables.snapshot()?)
    }

    /// The batch's inputs, [batch, input_dim].
    pub fn inputs(&self) -> Tensor {
        self.inputs.as_detached_tensor()
    }

    /// Logits of the batch, [batch, tasks].
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn logits(&self, train: bool) -> Result<Tensor, Failure> {
        Ok(self.model.forward_t(&self.inputs(), train, None)?)
    }
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
