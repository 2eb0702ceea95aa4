//! A chain of tasks, such as a click and a purchase after it: each label can be 1 only where the one before it is.
//!
//! Inputs x are standard normal. Given that the task before it is positive, task t is with probability
//! `sigmoid(b_t + signal f_t(x) + confounding u)`, where u is standard normal, the same for all tasks of a row, and no input:
//! what a model can know is the mean over u. `f_t = sqrt(1 - ν) w_t·x + sqrt(ν) (p_t·x) (q_t·x)` has mean 0 and variance 1. The w of
//! neighbours have the cosine `correlation`, so that rows with a click are other rows than all; p and q are each task's own. Intercepts give
//! each task its rate among the rows where the task before is positive.
//!
//! Row i of a split depends on (seed, split, i) alone.

use super::Batch;
use super::generated::{CALIBRATION_SPLIT, index, sigmoid};
use super::normal_inputs::NormalInputs;
use homebench_random::Philox;
use std::ops::Range;

/// Names the streams of this source.
const SOURCE: &str = "click chain";

/// Rows on which intercepts are found.
const CALIBRATION_ROWS: u64 = 32_768;

/// Places of u over which probabilities are averaged, evenly spaced, and how far they reach.
// A sum over even places of a function that falls like a normal density converges faster than any power of their distance.
const PLACES: usize = 65;
const REACH: f64 = 8.0;

/// Knobs of a chain of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct ClickChainConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Number of inputs; three a task or more.
    pub input_dim: usize,
    /// Cosine of the linear parts of neighbours, -1 to 1.
    pub correlation: f64,
    /// Standard deviation of what inputs tell of the logits.
    pub signal: f64,
    /// Share ν of that variance that is a product of two inputs' directions, 0 to 1.
    pub nonlinearity: f64,
    /// Standard deviation of what no input tells and all tasks share.
    pub confounding: f64,
    /// Tasks, each after the one before.
    pub tasks: Vec<ChainTask>,
}

/// A task of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainTask {
    /// Its name.
    pub name: String,
    /// Share of positive labels among rows where the task before is positive.
    pub rate: f64,
}

/// How many directions of the inputs so many tasks need.
pub(super) fn vectors_of(num_tasks: usize) -> usize {
    3 * num_tasks
}

/// What a task's probability is made from.
#[derive(Debug)]
struct Function {
    linear: Vec<f64>,
    products: [Vec<f64>; 2],
}

/// A generator of rows of a chain.
#[derive(Debug)]
pub(super) struct ClickChain {
    inputs: NormalInputs,
    functions: Vec<Function>,
    /// Weights of the linear part and of the product in a logit.
    weights: [f64; 2],
    intercepts: Vec<f64>,
    confounding: f64,
    hidden: Philox,
    /// Where each task's labels are drawn from.
    labels: Vec<Philox>,
    /// Places of u with their weights, which add up to 1.
    places: Vec<(f64, f64)>,
}

impl ClickChain {
    /// The chain of these knobs.
    pub(super) fn new(config: &ClickChainConfig) -> Self {
        let stream = |name: &str| Philox::new(config.seed, SOURCE, name);
        let num_tasks = config.tasks.len();
        let vectors = orthonormal(
            stream("directions"),
            config.input_dim,
            vectors_of(num_tasks),
        );
        let linear = (1.0 - config.nonlinearity).sqrt();
        let mut chain = Self {
            inputs: NormalInputs::new(stream("inputs"), config.input_dim),
            functions: functions(&vectors, config.correlation, num_tasks),
            weights: [linear, config.nonlinearity.sqrt()].map(|weight| config.signal * weight),
            intercepts: vec![0.0; num_tasks],
            confounding: config.confounding,
            hidden: stream("hidden"),
            labels: (config.tasks.iter())
                .map(|task| Philox::new(config.seed, "click chain labels", &task.name))
                .collect(),
            places: places(config.confounding),
        };
        chain.calibrate(config);
        chain
    }

    /// Rows `range` of a split (0 train, 1 validation, 2 test).
    pub(super) fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        let num_tasks = self.functions.len();
        self.inputs
            .batch(split, range, num_tasks, |index, inputs, labels| {
                let u = self.confounding * f64::from(self.hidden.normal(index));
                let mut goes_on = true;
                for (task, stream) in self.labels.iter().enumerate() {
                    let chance = sigmoid(self.score(task, inputs) + u);
                    goes_on &= f64::from(stream.uniform(index)) < chance;
                    labels.push(f32::from(u8::from(goes_on)));
                }
            })
    }

    /// The logit of the probability of a task's label, u averaged out.
    pub(super) fn true_logits(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity((range.end - range.start) as usize);
        let mut scores = vec![0.0; task + 1];
        self.inputs.for_each_row(split, range, |_, inputs| {
            for (task, score) in scores.iter_mut().enumerate() {
                *score = self.score(task, inputs);
            }
            let chance = |(u, weight): &(f64, f64)| {
                let chances = scores.iter().map(|score| sigmoid(score + u));
                weight * chances.product::<f64>()
            };
            let chance: f64 = self.places.iter().map(chance).sum();
            all.push((libm::log(chance) - libm::log1p(-chance)) as f32);
        });
        all
    }

    /// The logit of a task, given the one before it, without what no input tells.
    fn score(&self, task: usize, inputs: &[f32]) -> f64 {
        let along = |vector: &[f64]| -> f64 {
            let products = vector.iter().zip(inputs);
            products.map(|(w, x)| w * f64::from(*x)).sum()
        };
        let Function { linear, products } = &self.functions[task];
        let [first, second] = products.each_ref().map(|vector| along(vector));
        self.intercepts[task] + self.weights[0] * along(linear) + self.weights[1] * first * second
    }

    /// Finds intercepts, task after task: the rate of each is among the rows of those before.
    fn calibrate(&mut self, config: &ClickChainConfig) {
        // How likely each row is to have come so far.
        let mut reached = vec![1.0; CALIBRATION_ROWS as usize];
        let mut hidden = Vec::with_capacity(reached.len());
        for row in 0..CALIBRATION_ROWS {
            let normal = self.hidden.normal(index(CALIBRATION_SPLIT, row));
            hidden.push(self.confounding * f64::from(normal));
        }
        for (task, ChainTask { rate, .. }) in config.tasks.iter().enumerate() {
            let mut scores = Vec::with_capacity(reached.len());
            let this = &*self;
            this.inputs
                .for_each_row(CALIBRATION_SPLIT, 0..CALIBRATION_ROWS, |_, inputs| {
                    scores.push(this.score(task, inputs));
                });
            scores
                .iter_mut()
                .zip(&hidden)
                .for_each(|(score, u)| *score += u);
            self.intercepts[task] = intercept(&scores, &reached, *rate);
            for (reached, score) in reached.iter_mut().zip(&scores) {
                *reached *= sigmoid(score + self.intercepts[task]);
            }
        }
    }
}

/// The intercept with which the weighted mean of probabilities is `rate`: it grows with it, so by bisection.
fn intercept(scores: &[f64], weights: &[f64], rate: f64) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = |intercept: f64| {
        let rows = scores.iter().zip(weights);
        rows.map(|(score, weight)| weight * sigmoid(score + intercept))
            .sum::<f64>()
            / total
    };
    let (mut low, mut high) = (-100.0, 100.0);
    for _ in 0..48 {
        let middle = (low + high) / 2.0;
        match mean(middle) < rate {
            true => low = middle,
            false => high = middle,
        }
    }
    (low + high) / 2.0
}

/// The functions of the tasks from orthonormal vectors: first one a task for the linear parts, then two each for products.
fn functions(vectors: &[Vec<f64>], correlation: f64, num_tasks: usize) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::with_capacity(num_tasks);
    let across = (1.0 - correlation * correlation).sqrt();
    for task in 0..num_tasks {
        let own = &vectors[task];
        let linear = match functions.last() {
            None => own.clone(),
            Some(Function { linear: before, .. }) => {
                let pairs = before.iter().zip(own);
                pairs
                    .map(|(before, own)| correlation * before + across * own)
                    .collect()
            }
        };
        let products = [0, 1].map(|which| vectors[num_tasks + 2 * task + which].clone());
        functions.push(Function { linear, products });
    }
    functions
}

/// Orthonormal vectors in random directions (Gram-Schmidt, twice over each for rounding).
fn orthonormal(stream: Philox, dim: usize, count: usize) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for place in 0..count {
        let numbers = (place * dim) as u64..((place + 1) * dim) as u64;
        let mut vector: Vec<f64> = numbers.map(|at| f64::from(stream.normal(at))).collect();
        for _ in 0..2 {
            for other in &vectors {
                let along = dot(&vector, other);
                vector
                    .iter_mut()
                    .zip(other)
                    .for_each(|(value, other)| *value -= along * other);
            }
        }
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
        vectors.push(vector);
    }
    vectors
}

/// Places of u, with the weights of a normal density.
fn places(confounding: f64) -> Vec<(f64, f64)> {
    if confounding == 0.0 {
        return vec![(0.0, 1.0)];
    }
    let step = 2.0 * REACH / (PLACES - 1) as f64;
    let places = (0..PLACES).map(|place| place as f64 * step - REACH);
    let density: Vec<(f64, f64)> = places.map(|u| (u, libm::exp(-u * u / 2.0))).collect();
    let total: f64 = density.iter().map(|(_, weight)| weight).sum();
    let scaled = density.into_iter();
    scaled
        .map(|(u, weight)| (confounding * u, weight / total))
        .collect()
}

#[cfg(test)]
mod tests;
