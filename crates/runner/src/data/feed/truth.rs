//! Tasks of the feed: correlated directions in φ's space, and intercepts that give each task its rate.

use super::FeedConfig;
use super::sample::{Sampler, index};
use homebench_kernels::random::Philox;

/// Rows on which intercepts are found; of a split that no dataset has.
const CALIBRATION_ROWS: u64 = 32_768;
const CALIBRATION_SPLIT: usize = 3;

#[derive(Debug)]
struct TaskTruth {
    linear: Vec<f32>,
    wave: Vec<f32>,
    phase: f64,
    intercept: f64,
    /// Makes the score's standard deviation 1 before the signal.
    scale: f64,
}

/// The probability of every label.
#[derive(Debug)]
pub(super) struct Truth {
    tasks: Vec<TaskTruth>,
    nonlinearity: f64,
    signal: f64,
}

impl Truth {
    pub(super) fn new(config: &FeedConfig, sampler: &Sampler) -> Self {
        let tasks = config.tasks.iter().map(|task| {
            let phase = Philox::new(config.seed, "feed phase", &task.name).uniform(0);
            TaskTruth {
                linear: direction(config, sampler, &task.name, task.group, "linear"),
                wave: direction(config, sampler, &task.name, task.group, "wave"),
                phase: std::f64::consts::TAU * f64::from(phase),
                intercept: 0.0,
                scale: 1.0,
            }
        });
        let mut truth = Self {
            tasks: tasks.collect(),
            nonlinearity: config.nonlinearity,
            signal: config.signal,
        };
        truth.calibrate(config, sampler);
        truth
    }

    /// Probabilities of a row's labels.
    pub(super) fn probabilities(&self, components: &[f32], to: &mut [f64]) {
        for (to, task) in to.iter_mut().zip(&self.tasks) {
            let score = task.score(components, self.nonlinearity) * task.scale;
            *to = sigmoid(task.intercept + self.signal * score);
        }
    }

    fn calibrate(&mut self, config: &FeedConfig, sampler: &Sampler) {
        let mut components = vec![0.0; sampler.num_components()];
        let mut scores = vec![Vec::with_capacity(CALIBRATION_ROWS as usize); self.tasks.len()];
        for row in 0..CALIBRATION_ROWS {
            sampler.expose(index(CALIBRATION_SPLIT, row), &mut components);
            for (scores, task) in scores.iter_mut().zip(&self.tasks) {
                scores.push(task.score(&components, self.nonlinearity));
            }
        }
        for ((task, scores), wanted) in self.tasks.iter_mut().zip(&scores).zip(&config.tasks) {
            let count = scores.len() as f64;
            let mean = scores.iter().sum::<f64>() / count;
            let variance = scores
                .iter()
                .map(|score| (score - mean).powi(2))
                .sum::<f64>()
                / count;
            task.scale = 1.0 / variance.sqrt().max(1e-9);
            let step = self.signal * task.scale;
            let rate = |intercept: f64| {
                scores
                    .iter()
                    .map(|score| sigmoid(intercept + step * score))
                    .sum::<f64>()
                    / count
            };
            // The rate grows with the intercept: bisection.
            let (mut low, mut high) = (-100.0, 100.0);
            for _ in 0..48 {
                let middle = (low + high) / 2.0;
                if rate(middle) < wanted.rate {
                    low = middle
                } else {
                    high = middle
                }
            }
            task.intercept = (low + high) / 2.0;
        }
    }
}

impl TaskTruth {
    fn score(&self, components: &[f32], nonlinearity: f64) -> f64 {
        let linear = (1.0 - nonlinearity) * product(&self.linear, components);
        let wave = (2.0 * product(&self.wave, components) + self.phase).sin();
        linear + nonlinearity * std::f64::consts::SQRT_2 * wave
    }
}

/// A task's direction: a part common to all tasks, a part common to its group, and its own. The direction of a feed
/// with more tasks keeps those of the others.
fn direction(
    config: &FeedConfig,
    sampler: &Sampler,
    task: &str,
    group: usize,
    kind: &str,
) -> Vec<f32> {
    let stream =
        |name: String| Philox::new(config.seed, "feed direction", &format!("{kind} {name}"));
    let [all, group, own] = [
        stream("all".to_owned()),
        stream(format!("group {group}")),
        stream(format!("task {task}")),
    ];
    let (between, within) = (config.group_correlation, config.task_correlation);
    let weights = [
        between,
        (1.0 - between) * within,
        (1.0 - between) * (1.0 - within),
    ]
    .map(|share| share.sqrt() as f32);
    (0..sampler.num_components() as u64)
        .map(|k| {
            weights[0] * all.normal(k) + weights[1] * group.normal(k) + weights[2] * own.normal(k)
        })
        .collect()
}

/// In eight lanes, whose order of additions is fixed.
fn product(left: &[f32], right: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 8];
    let (lefts, rights) = (left.chunks_exact(8), right.chunks_exact(8));
    let tail: f32 = lefts
        .remainder()
        .iter()
        .zip(rights.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in lefts.zip(rights) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    f64::from(lanes.iter().sum::<f32>() + tail)
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
