//! Tasks of the feed: what they have in common, what each group and each task has of its own, and intercepts that give each
//! task its rate.
//!
//! A **part** is a random function of φ: `sqrt(1 - ν) w·φ + sqrt(2 ν) sin(2 w'·φ + b)`. There is one part that all tasks share,
//! one for each group and one for each task; on a sample of rows they are made uncorrelated and of unit variance, so that the
//! correlation of two tasks' logits is what their weights say: `between` across groups, `within` in a group. An unrelated task has its
//! own part alone; the weights of the others don't change by that.

use super::FeedConfig;
use super::sample::{Exposure, Sampler};
use crate::generated::{CALIBRATION_SPLIT, index, sigmoid};
use homebench_random::Philox;
use rayon::prelude::*;

/// Rows on which parts are decorrelated and intercepts are found; of a split that no dataset has.
const CALIBRATION_ROWS: u64 = 65_536;
/// Calibration rows made at a time.
const PIECE: u64 = 4096;

/// Numbers worked on at a time.
// Parts and tasks lie side by side in a vector. Each lane is a sum of its own over the factors in
// order, so that the width changes no number.
const LANES: usize = 8;
type Lanes = [f32; LANES];

/// The probability of every label.
#[derive(Debug)]
pub(super) struct Truth {
    num_parts: usize,
    /// Directions of the linear and of the waving half of each part, [lanes of parts, factors].
    directions: Vec<Vec<(Lanes, Lanes)>>,
    /// Phases of the waves in turns, [lanes of parts].
    phases: Vec<Lanes>,
    linear: f32,
    wave: f32,
    /// Whether the tasks of the groups after the first turn against what all have in common, by user segment.
    is_in_conflict: Vec<bool>,
    /// Weights of the parts in the logits, [parts, lanes of tasks]; by scenario, of each without and with conflict.
    weights: Vec<[Vec<Vec<Lanes>>; 2]>,
    /// What each scenario adds to the logits, [scenarios, lanes of tasks]; none without scenarios.
    shifts: Vec<Vec<Lanes>>,
    /// [lanes of tasks].
    intercepts: Vec<Lanes>,
    noise: f64,
    rates: Vec<f64>,
}

impl Truth {
    pub(super) fn new(config: &FeedConfig, sampler: &Sampler, num_factors: usize) -> Self {
        let names = part_names(config);
        let stream = |kind: &str, name: &str| {
            Philox::new(config.seed, "feed direction", &format!("{kind} {name}"))
        };
        // Lanes behind the last part are 0 and add nothing.
        let direction = |kind: &str, part: usize, factor: usize| {
            names
                .get(part)
                .map_or(0.0, |name| stream(kind, name).normal(factor as u64))
        };
        let groups = names.len().div_ceil(LANES);
        let lanes = |of: &dyn Fn(usize) -> f32, group: usize| -> Lanes {
            std::array::from_fn(|lane| of(group * LANES + lane))
        };
        let directions = (0..groups).map(|group| {
            let factors = (0..num_factors).map(|factor| {
                (
                    lanes(&|part| direction("linear", part, factor), group),
                    lanes(&|part| direction("wave", part, factor), group),
                )
            });
            factors.collect()
        });
        let phase = |part: usize| {
            names
                .get(part)
                .map_or(0.0, |name| stream("phase", name).uniform(0))
        };
        let tasks = config.tasks.len().div_ceil(LANES);
        let mut truth = Self {
            num_parts: names.len(),
            directions: directions.collect(),
            phases: (0..groups).map(|group| lanes(&phase, group)).collect(),
            linear: (1.0 - config.nonlinearity).sqrt() as f32,
            // The mean square of a sine is one half, so that its share of the variance takes a
            // factor of 2.
            wave: (2.0 * config.nonlinearity).sqrt() as f32,
            is_in_conflict: in_conflict(config),
            weights: Vec::new(),
            shifts: shifts(config),
            intercepts: vec![[0.0; LANES]; tasks],
            noise: config.noise,
            rates: config.tasks.iter().map(|task| task.rate).collect(),
        };
        truth.calibrate(config, sampler, num_factors);
        truth
    }

    /// Room for the parts of a row.
    pub(super) fn scratch(&self) -> Vec<Lanes> {
        vec![[0.0; LANES]; self.phases.len()]
    }

    /// Probabilities of a row's labels.
    pub(super) fn probabilities(
        &self,
        exposure: &Exposure,
        factors: &[f32],
        scratch: &mut [Lanes],
        to: &mut [f64],
    ) {
        self.parts(factors, scratch);
        let of_scenario = &self.weights[exposure.scenario as usize];
        let weights = &of_scenario[usize::from(self.is_in_conflict[exposure.segment as usize])];
        let shifts = self.shifts.get(exposure.scenario as usize);
        let parts = scratch.as_flattened();
        for (group, to) in to.chunks_mut(LANES).enumerate() {
            let mut logits = self.intercepts[group];
            if let Some(shifts) = shifts {
                for (logit, shift) in logits.iter_mut().zip(&shifts[group]) {
                    *logit += shift;
                }
            }
            for (part, weights) in parts.iter().zip(weights) {
                for (logit, weight) in logits.iter_mut().zip(&weights[group]) {
                    *logit += part * weight;
                }
            }
            let rates = &self.rates[group * LANES..];
            for ((to, logit), rate) in to.iter_mut().zip(logits).zip(rates) {
                *to = (1.0 - self.noise) * sigmoid(f64::from(logit)) + self.noise * rate;
            }
        }
    }

    fn parts(&self, factors: &[f32], to: &mut [Lanes]) {
        for ((to, directions), phases) in to.iter_mut().zip(&self.directions).zip(&self.phases) {
            let (mut linear, mut wave) = ([0.0f32; LANES], [0.0f32; LANES]);
            for (factor, (straight, waving)) in factors.iter().zip(directions) {
                for lane in 0..LANES {
                    linear[lane] += factor * straight[lane];
                    wave[lane] += factor * waving[lane];
                }
            }
            for lane in 0..LANES {
                let turns = std::f32::consts::FRAC_1_PI * wave[lane] + phases[lane];
                to[lane] = self.linear * linear[lane] + self.wave * sine_of_turns(turns);
            }
        }
    }

    fn calibrate(&mut self, config: &FeedConfig, sampler: &Sampler, num_factors: usize) {
        let starts: Vec<u64> = (0..CALIBRATION_ROWS).step_by(PIECE as usize).collect();
        let this = &*self;
        let rows: Vec<(usize, usize, Vec<f32>)> = starts
            .par_iter()
            .flat_map_iter(|start| {
                let (mut factors, mut scratch) = (vec![0.0; num_factors], this.scratch());
                (*start..start + PIECE).map(move |row| {
                    let exposure = sampler.expose(index(CALIBRATION_SPLIT, row), &mut factors);
                    this.parts(&factors, &mut scratch);
                    (
                        exposure.scenario as usize,
                        usize::from(this.is_in_conflict[exposure.segment as usize]),
                        scratch.as_flattened()[..this.num_parts].to_vec(),
                    )
                })
            })
            .collect();
        let whitening =
            Whitening::from_rows(rows.iter().map(|(.., parts)| &parts[..]), self.num_parts);
        let (num_parts, num_lanes) = (self.num_parts, self.intercepts.len());
        let of_row = |conflict: bool, scenario: usize| -> Vec<Vec<Lanes>> {
            let weight = |part: usize, task: usize| {
                let of_task = config.tasks.get(task);
                let weight = of_task.map_or(0.0, |_| {
                    whitening.weight(part, &composition(config, task, conflict, scenario))
                });
                (config.signal * weight) as f32
            };
            let of_part = |part: usize| -> Vec<Lanes> {
                (0..num_lanes)
                    .map(|group| std::array::from_fn(|lane| weight(part, group * LANES + lane)))
                    .collect()
            };
            (0..num_parts).map(of_part).collect()
        };
        let scenarios = 0..config.scenarios.count as usize;
        self.weights = scenarios
            .map(|scenario| [false, true].map(|conflict| of_row(conflict, scenario)))
            .collect();
        for (task, wanted) in config.tasks.iter().enumerate() {
            let (group, lane) = (task / LANES, task % LANES);
            let scores: Vec<f64> = rows
                .par_iter()
                .map(|(scenario, conflict, parts)| {
                    let weights = self.weights[*scenario][*conflict].iter();
                    let score: f64 = weights
                        .zip(parts)
                        .map(|(weights, part)| f64::from(weights[group][lane]) * f64::from(*part))
                        .sum();
                    let shifts = self.shifts.get(*scenario);
                    shifts.map_or(score, |shifts| score + f64::from(shifts[group][lane]))
                })
                .collect();
            self.intercepts[group][lane] = intercept(&scores, wanted.rate) as f32;
        }
    }
}

/// The part of all tasks, those of the groups and those of the tasks. The parts of a feed with more tasks keep those of the
/// others.
fn part_names(config: &FeedConfig) -> Vec<String> {
    let groups = (0..config.num_groups()).map(|group| format!("group {group}"));
    let tasks = config
        .tasks
        .iter()
        .map(|task| format!("task {}", task.name));
    // Behind the others, which are made uncorrelated first and so stay what they are.
    let scenarios = (0..config.scenarios.count)
        .filter(|_| config.has_scenarios())
        .map(|scenario| format!("scenario {scenario}"));
    std::iter::once("all".to_owned())
        .chain(groups)
        .chain(tasks)
        .chain(scenarios)
        .collect()
}

/// What each scenario adds to the logits of each task.
fn shifts(config: &FeedConfig) -> Vec<Vec<Lanes>> {
    if !config.has_scenarios() {
        return Vec::new();
    }
    let shift = |scenario: u32, task: usize| {
        config.tasks.get(task).map_or(0.0, |task| {
            let stream = Philox::new(config.seed, "feed shift", &task.name);
            (config.scenarios.shift * f64::from(stream.normal(u64::from(scenario)))) as f32
        })
    };
    let groups = config.tasks.len().div_ceil(LANES);
    let of_scenario = |scenario: u32| -> Vec<Lanes> {
        (0..groups)
            .map(|group| std::array::from_fn(|lane| shift(scenario, group * LANES + lane)))
            .collect()
    };
    (0..config.scenarios.count).map(of_scenario).collect()
}

/// The segments whose users turn against the common part in all groups but the first: exactly the share asked for.
fn in_conflict(config: &FeedConfig) -> Vec<bool> {
    let count = config.num_user_segments;
    let chosen = (config.conflict * f64::from(count)).round() as usize;
    let order = Philox::new(config.seed, "feed", "conflict").permutation(count);
    let mut segments = vec![false; count as usize];
    order[..chosen]
        .iter()
        .for_each(|segment| segments[*segment as usize] = true);
    segments
}

/// Weights of the uncorrelated parts in a task's score in a scenario; their squares add up to 1.
fn composition(config: &FeedConfig, task: usize, conflict: bool, scenario: usize) -> Vec<f64> {
    let mut weights = usual_composition(config, task, conflict);
    if config.has_scenarios() && !config.tasks[task].is_unrelated {
        let own = config.scenarios.share;
        weights
            .iter_mut()
            .for_each(|weight| *weight *= (1.0 - own).sqrt());
        weights.resize(weights.len() + scenario, 0.0);
        weights.push(own.sqrt());
    }
    weights
}

/// The same without scenarios.
fn usual_composition(config: &FeedConfig, task: usize, conflict: bool) -> Vec<f64> {
    let (between, within) = (config.between_correlation, config.within_correlation);
    let group = config.tasks[task].group;
    let mut weights = vec![0.0; 1 + config.num_groups() + config.tasks.len()];
    if config.tasks[task].is_unrelated {
        weights[1 + config.num_groups() + task] = 1.0;
        return weights;
    }
    let turned = conflict && group > 0;
    weights[0] = between.sqrt() * if turned { -1.0 } else { 1.0 };
    weights[1 + group] = (within - between).sqrt();
    weights[1 + config.num_groups() + task] = (1.0 - within).sqrt();
    weights
}

impl FeedConfig {
    /// Correlation of the logits of two tasks, the mean over users of those segments where groups are turned and of the others.
    /// It is the same in every scenario.
    pub(crate) fn correlation(&self, task: usize, other: usize) -> f64 {
        let turned = in_conflict(self).iter().filter(|turned| **turned).count();
        let turned = turned as f64 / f64::from(self.num_user_segments.max(1));
        let of = |conflict: bool| -> f64 {
            let (one, other) = (
                composition(self, task, conflict, 0),
                composition(self, other, conflict, 0),
            );
            one.iter().zip(&other).map(|(a, b)| a * b).sum()
        };
        (1.0 - turned) * of(false) + turned * of(true)
    }
}

/// What turns parts into uncorrelated ones of mean 0 and variance 1, one after another (Gram-Schmidt). Means are left to the
/// intercepts.
struct Whitening {
    /// Of each new part, its weights of the old ones up to its own.
    rows: Vec<Vec<f64>>,
}

impl Whitening {
    fn from_rows<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone, num_parts: usize) -> Self {
        let count = rows.clone().count() as f64;
        let mut means = vec![0.0; num_parts];
        for row in rows.clone() {
            means
                .iter_mut()
                .zip(row)
                .for_each(|(mean, value)| *mean += f64::from(*value) / count);
        }
        let mut covariance = vec![vec![0.0; num_parts]; num_parts];
        for row in rows {
            for a in 0..num_parts {
                // The lower triangle is all that Cholesky reads.
                for b in 0..=a {
                    let product = (f64::from(row[a]) - means[a]) * (f64::from(row[b]) - means[b]);
                    covariance[a][b] += product / count;
                }
            }
        }
        Self {
            rows: inverse(&cholesky(&covariance)),
        }
    }

    /// The weight of an old part in a sum of new ones.
    fn weight(&self, part: usize, of_new: &[f64]) -> f64 {
        let rows = of_new.iter().zip(&self.rows);
        rows.map(|(weight, row)| weight * row.get(part).unwrap_or(&0.0))
            .sum()
    }
}

/// The lower triangle L with L Lᵀ = a.
fn cholesky(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(a.len());
    for (row, values) in a.iter().enumerate() {
        let mut new = vec![0.0; row + 1];
        for column in 0..=row {
            let known: f64 = (0..column)
                .map(|k| {
                    new[k]
                        * if column == row {
                            new[k]
                        } else {
                            lower[column][k]
                        }
                })
                .sum();
            let left = values[column] - known;
            new[column] = match column == row {
                // Parts of too few factors depend on each other; the description refuses that, rounding must not divide by 0.
                true => left.max(1e-9).sqrt(),
                false => left / lower[column][column],
            };
        }
        lower.push(new);
    }
    lower
}

/// The inverse of a lower triangle.
fn inverse(lower: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(lower.len());
    for (row, values) in lower.iter().enumerate() {
        let mut new = vec![0.0; row + 1];
        new[row] = 1.0 / values[row];
        for column in 0..row {
            let sum: f64 = (column..row).map(|k| values[k] * rows[k][column]).sum();
            new[column] = -sum / values[row];
        }
        rows.push(new);
    }
    rows
}

/// The intercept with which scores have a mean probability of `rate`: the mean grows with it, so by bisection.
fn intercept(scores: &[f64], rate: f64) -> f64 {
    let mean = |intercept: f64| {
        // Pieces of a fixed size, added in order: the same intercept at any number of threads.
        let pieces: Vec<f64> = scores
            .par_chunks(PIECE as usize)
            .map(|scores| scores.iter().map(|score| sigmoid(intercept + score)).sum())
            .collect();
        pieces.iter().sum::<f64>() / scores.len() as f64
    };
    let (mut low, mut high) = (-100.0, 100.0);
    // 200 / 2^48 is far below what the f32 of an intercept keeps.
    for _ in 0..48 {
        let middle = (low + high) / 2.0;
        if mean(middle) < rate {
            low = middle
        } else {
            high = middle
        }
    }
    (low + high) / 2.0
}

/// The sine of an angle in turns, without branches; within 2e-6 of the true one for a few turns.
#[inline(always)]
fn sine_of_turns(turns: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let turns = turns - ((turns + ROUND) - ROUND);
    // The other half of the circle mirrors the quarter next to it.
    let folded = 0.25 - (turns.abs() - 0.25).abs();
    let angle = std::f32::consts::TAU * folded.copysign(turns);
    let square = angle * angle;
    let mut series = -1.0f32 / 39_916_800.0;
    for divisor in [362_880.0f32, -5040.0, 120.0, -6.0] {
        series = series * square + 1.0 / divisor;
    }
    angle + angle * square * series
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_sine_is_within_its_stated_error() {
        for step in -40_000..=40_000 {
            let turns = step as f32 * 1e-4;
            let truth = (std::f64::consts::TAU * f64::from(turns)).sin();
            assert!(
                (f64::from(sine_of_turns(turns)) - truth).abs() < 2e-6,
                "{turns}"
            );
        }
    }

    #[test]
    fn whitened_parts_are_uncorrelated_and_of_unit_variance() {
        let stream = Philox::new(3, "test", "whitening");
        let rows: Vec<Vec<f32>> = (0..2000)
            .map(|row| {
                let [a, b, c] = [0, 1, 2].map(|k| stream.normal(3 * row + k));
                vec![2.0 * a + 1.0, a + b, 3.0 * c - a + 0.5 * b]
            })
            .collect();
        let whitening = Whitening::from_rows(rows.iter().map(|row| &row[..]), 3);
        let unit =
            |new: usize| -> Vec<f64> { (0..3).map(|k| f64::from(u8::from(k == new))).collect() };
        let of = |new: usize| -> Vec<f64> {
            let weights: Vec<f64> = (0..3)
                .map(|part| whitening.weight(part, &unit(new)))
                .collect();
            let values: Vec<f64> = rows
                .iter()
                .map(|row| {
                    row.iter()
                        .zip(&weights)
                        .map(|(x, w)| f64::from(*x) * w)
                        .sum()
                })
                .collect();
            let mean = values.iter().sum::<f64>() / 2000.0;
            values.iter().map(|value| value - mean).collect()
        };
        for a in 0..3 {
            for b in 0..3 {
                let covariance: f64 = of(a).iter().zip(of(b)).map(|(x, y)| x * y / 2000.0).sum();
                assert!(
                    (covariance - f64::from(u8::from(a == b))).abs() < 1e-6,
                    "{a} {b}: {covariance}"
                );
            }
        }
    }
}
