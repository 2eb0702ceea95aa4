//! Tasks on normal inputs whose true functions have mean 0 and variance 1: what is made of those functions' values.
//!
//! A regression's label is `scale (f + noise ε)` with a normal ε, so that the best squared error is near `(scale noise)²`. A
//! classification's is 1 with the probability `sigmoid(signal f)`. Draws are keyed by the row and by the task's name: a task keeps its
//! labels whatever tasks stand beside it.

use super::generated::sigmoid;
use super::normal_inputs::NormalInputs;
use super::{Batch, TaskKind};
use homebench_random::Philox;
use std::ops::Range;

/// What is made of the values of true functions.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelConfig {
    /// Standard deviation of the noise of regressions, where that of the true function is 1.
    pub noise: f64,
    /// Standard deviation of the logits of classifications.
    pub signal: f64,
    /// Tasks in order.
    pub tasks: Vec<UnitTask>,
}

/// A task with a true function of mean 0 and variance 1.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitTask {
    /// Its name.
    pub name: String,
    /// Whether its labels are numbers or classes.
    pub kind: TaskKind,
    /// Factor of a regression's labels.
    pub scale: f64,
}

impl LabelConfig {
    /// The tasks whose labels are numbers.
    pub(super) fn regressions(&self) -> Vec<usize> {
        let tasks = self.tasks.iter().enumerate();
        tasks
            .filter(|(_, task)| task.kind == TaskKind::Regression)
            .map(|(place, _)| place)
            .collect()
    }
}

/// True functions of a source.
pub(super) trait TrueFunctions {
    /// The value of each task's function at these inputs.
    fn values(&self, inputs: &[f32], to: &mut [f64]);
}

/// A generator of rows whose labels come from true functions.
#[derive(Debug)]
pub(super) struct UnitTasks<F> {
    inputs: NormalInputs,
    tasks: Vec<UnitTask>,
    /// Where each task's labels are drawn from.
    streams: Vec<Philox>,
    noise: f64,
    signal: f64,
    functions: F,
}

impl<F: TrueFunctions> UnitTasks<F> {
    /// `source` names the streams of inputs and labels.
    pub(super) fn new(
        (seed, source): (u64, &str),
        inputs: NormalInputs,
        config: &LabelConfig,
        functions: F,
    ) -> Self {
        let purpose = format!("{source} labels");
        let streams = config.tasks.iter();
        Self {
            inputs,
            streams: streams
                .map(|task| Philox::new(seed, &purpose, &task.name))
                .collect(),
            tasks: config.tasks.clone(),
            noise: config.noise,
            signal: config.signal,
            functions,
        }
    }

    /// Rows `range` of a split (0 train, 1 validation, 2 test).
    pub(super) fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        let num_tasks = self.tasks.len();
        let mut values = vec![0.0; num_tasks];
        self.inputs
            .batch(split, range, num_tasks, |index, inputs, labels| {
                self.functions.values(inputs, &mut values);
                let values = values.iter().enumerate();
                labels.extend(values.map(|(task, value)| self.label(task, index, *value)));
            })
    }

    /// What a model that knows the truth would put out for a task: the label without its noise, or the logit of its probability.
    pub(super) fn true_outputs(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity((range.end - range.start) as usize);
        let mut values = vec![0.0; self.tasks.len()];
        let factor = match self.tasks[task].kind {
            TaskKind::Regression => self.tasks[task].scale,
            TaskKind::Classification => self.signal,
        };
        self.inputs.for_each_row(split, range, |_, inputs| {
            self.functions.values(inputs, &mut values);
            all.push((factor * values[task]) as f32);
        });
        all
    }

    fn label(&self, task: usize, index: u64, value: f64) -> f32 {
        let stream = &self.streams[task];
        match self.tasks[task].kind {
            // In f64 up to the label, which is rounded once.
            TaskKind::Regression => {
                let noise = self.noise * f64::from(stream.normal(index));
                (self.tasks[task].scale * (value + noise)) as f32
            }
            TaskKind::Classification => {
                let is_positive = f64::from(stream.uniform(index)) < sigmoid(self.signal * value);
                f32::from(u8::from(is_positive))
            }
        }
    }
}
