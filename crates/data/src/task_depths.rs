//! Tasks at depths: a task of depth d needs features that d - 1 layers make of the inputs.
//!
//! Inputs x are standard normal. A fixed random network makes of them the layers `φ_1 = x` and
//! `φ_{l+1} = (|W_l φ_l| - mean) / deviation`, row by row, with rows of W_l of length 1. The true function of a task of depth d is linear in φ_d:
//! `f = (v·φ_d - mean) / deviation`. Means and deviations are those of a sample of rows that no dataset has.
//!
//! Absolute values, since they can be made of two ReLUs each, and since they are even: what is deeper than 1 has no
//! correlation with any linear function of the inputs. Layers of ReLUs would keep most of it.

use super::generated::CALIBRATION_SPLIT;
use super::normal_inputs::NormalInputs;
use super::unit_tasks::{LabelConfig, TrueFunctions, UnitTasks};
use homebench_random::Philox;
use rayon::prelude::*;

/// Names the streams of this source.
const SOURCE: &str = "task depths";

/// Rows on which means and deviations are found.
const CALIBRATION_ROWS: u64 = 16_384;

/// Knobs of tasks at depths.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDepthsConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Number of inputs.
    pub input_dim: usize,
    /// Units of each layer of the fixed network.
    pub hidden_dim: usize,
    /// Depth of each task, 1 for a linear function of the inputs.
    pub depths: Vec<usize>,
    /// Tasks, and what their labels are.
    pub labels: LabelConfig,
}

impl TaskDepthsConfig {
    /// The generator of these knobs.
    pub(super) fn generator(&self) -> UnitTasks<TaskDepths> {
        let stream = |name: &str| Philox::new(self.seed, SOURCE, name);
        let inputs = || NormalInputs::new(stream("inputs"), self.input_dim);
        let functions = TaskDepths::new(self, &inputs());
        UnitTasks::new((self.seed, SOURCE), inputs(), &self.labels, functions)
    }
}

/// The true functions of tasks at depths.
#[derive(Debug)]
pub(super) struct TaskDepths {
    /// What makes φ_2, φ_3 and so on.
    layers: Vec<Standardised>,
    /// Of each task the function of its layer, and which layer that is, 0 for the inputs.
    heads: Vec<(usize, Standardised)>,
}

impl TaskDepths {
    fn new(config: &TaskDepthsConfig, inputs: &NormalInputs) -> Self {
        let deepest = config.depths.iter().copied().max().unwrap_or(1);
        // Features of the sample's rows, a layer after the other.
        let mut features: Vec<Vec<Vec<f64>>> = vec![sample(inputs)];
        let mut layers = Vec::new();
        for layer in 1..deepest {
            let below = &features[layer - 1];
            let weights = directions(config, &format!("layer {layer}"), config.hidden_dim, below);
            let map = Standardised::calibrated(weights, true, below);
            features.push(below.par_iter().map(|row| map.apply(row)).collect());
            layers.push(map);
        }
        let tasks = config.depths.iter().zip(&config.labels.tasks);
        let heads = tasks.map(|(depth, task)| {
            let features = &features[depth - 1];
            let weights = directions(config, &format!("task {}", task.name), 1, features);
            (
                depth - 1,
                Standardised::calibrated(weights, false, features),
            )
        });
        Self {
            heads: heads.collect(),
            layers,
        }
    }
}

impl TrueFunctions for TaskDepths {
    fn values(&self, inputs: &[f32], to: &mut [f64]) {
        let mut features: Vec<Vec<f64>> = vec![widened(inputs)];
        for layer in &self.layers {
            let next = layer.apply(&features[features.len() - 1]);
            features.push(next);
        }
        for (to, (layer, head)) in to.iter_mut().zip(&self.heads) {
            *to = head.apply(&features[*layer])[0];
        }
    }
}

/// A linear map, a row of weights for each output, and what makes its outputs standard.
#[derive(Debug)]
struct Standardised {
    weights: Vec<Vec<f64>>,
    /// Whether outputs are absolute values.
    is_absolute: bool,
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standardised {
    /// The map whose outputs on these rows have mean 0 and variance 1.
    fn calibrated(weights: Vec<Vec<f64>>, is_absolute: bool, rows: &[Vec<f64>]) -> Self {
        let mut map = Self {
            means: vec![0.0; weights.len()],
            deviations: vec![1.0; weights.len()],
            weights,
            is_absolute,
        };
        let raw: Vec<Vec<f64>> = rows.par_iter().map(|row| map.apply(row)).collect();
        // Added in the order of the rows: the same bits at any number of threads.
        let mean_of = |of: &dyn Fn(&Vec<f64>) -> f64| -> f64 {
            raw.iter().map(of).sum::<f64>() / raw.len() as f64
        };
        for (unit, mean) in map.means.iter_mut().enumerate() {
            *mean = mean_of(&|row| row[unit]);
            let variance = mean_of(&|row| (row[unit] - *mean) * (row[unit] - *mean));
            map.deviations[unit] = variance.sqrt();
        }
        map
    }

    fn apply(&self, from: &[f64]) -> Vec<f64> {
        let standard = self.means.iter().zip(&self.deviations);
        let outputs = self.weights.iter().zip(standard);
        outputs
            .map(|(weights, (mean, deviation))| {
                let output: f64 = weights.iter().zip(from).map(|(w, x)| w * x).sum();
                let output = if self.is_absolute {
                    output.abs()
                } else {
                    output
                };
                (output - mean) / deviation
            })
            .collect()
    }
}

/// `count` random directions, vectors of length 1, in the space of these features.
fn directions(
    config: &TaskDepthsConfig,
    name: &str,
    count: usize,
    features: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let stream = Philox::new(config.seed, "task depths directions", name);
    let width = features[0].len();
    let mut numbers = (0..).map(|place| f64::from(stream.normal(place)));
    let rows = (0..count).map(|_| {
        let row: Vec<f64> = numbers.by_ref().take(width).collect();
        let length = row.iter().map(|w| w * w).sum::<f64>().sqrt();
        row.iter().map(|w| w / length).collect()
    });
    rows.collect()
}

/// Inputs of the rows on which means and deviations are found.
fn sample(inputs: &NormalInputs) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    inputs.for_each_row(CALIBRATION_SPLIT, 0..CALIBRATION_ROWS, |_, inputs| {
        rows.push(widened(inputs));
    });
    rows
}

fn widened(inputs: &[f32]) -> Vec<f64> {
    inputs.iter().copied().map(f64::from).collect()
}

#[cfg(test)]
mod tests;
