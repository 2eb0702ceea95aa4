//! Loss balancing: what each task's loss, or gradient, weighs in a step.
//!
//! - `method` and `config` are `[training.balance]`: the methods with their keys and defaults.
//! - `losses` has the methods of one backward pass, from losses alone; `gram` those that compare the tasks' gradients, from the matrix of
//!   their inner products. Both are numbers in and numbers out, in f64.
//! - A [`Balancer`] holds what a method keeps from step to step.
//!
//! A task that no row of a batch observes has no part in any of it: it enters no ratio, logarithm or matrix, and nothing of its own moves.

mod adam;
mod config;
mod gram;
mod losses;
mod means;
mod method;
#[cfg(test)]
mod tests;

pub use config::{BalanceAt, BalanceConfig, GradientScaling};
pub(crate) use gram::Gram;
pub use method::BalanceMethod;

use adam::Scalars;
use losses::Batch;
use means::WindowMeans;
use serde::{Deserialize, Serialize};

/// What is added to a loss, or what a smaller loss counts as, where a logarithm or a ratio is taken: a task that is learned to the last
/// bit has the loss 0.
pub(crate) const LEAST_LOSS: f64 = 1e-8;

/// When a step is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Of the cell.
    pub(crate) seed: u64,
    /// Counted from 0.
    pub(crate) step: u64,
    /// Counted from 1.
    pub(crate) epoch: usize,
}

/// What a method keeps from step to step: a part of checkpoints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BalanceState {
    /// Weights of the steps since the last evaluation.
    weight_sums: Vec<f64>,
    weight_counts: Vec<u32>,
    /// `stch`, `gradnorm`: the mean losses that later ones are compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nadir: Vec<f64>,
    /// Running means: of each pair's cosine (`gradvac`) or of each task's norm (`db_mtl`, `metabalance`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    running: Vec<f64>,
    scalars: Scalars,
    means: WindowMeans,
}

/// Weighs the tasks of a training, step after step.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    config: BalanceConfig,
    tasks: Vec<String>,
    state: BalanceState,
}

impl Balancer {
    /// Of a filled table; none where the losses are only summed.
    pub(crate) fn new(config: &BalanceConfig, tasks: &[String]) -> Option<Self> {
        if config.is_equal_weights() {
            return None;
        }
        let count = tasks.len();
        let initial = config.initial.unwrap_or(0.0);
        Some(Self {
            state: BalanceState {
                weight_sums: vec![0.0; count],
                weight_counts: vec![0; count],
                nadir: Vec::new(),
                running: Vec::new(),
                scalars: Scalars::new(count, initial),
                means: WindowMeans::new(count),
            },
            config: config.clone(),
            tasks: tasks.to_vec(),
        })
    }

    /// Everything that the next step depends on.
    pub(crate) fn state(&self) -> &BalanceState {
        &self.state
    }

    /// Goes on from what was kept; says whether it fits.
    pub(crate) fn go_on_from(&mut self, state: BalanceState) -> bool {
        let fits = state.weight_sums.len() == self.tasks.len();
        if fits {
            self.state = state;
        }
        fits
    }

    /// The weight of each task in the sum of this step's losses; 0 for one that is not observed.
    pub(crate) fn weigh_losses(
        &mut self,
        moment: &Moment,
        losses: &[f64],
        is_observed: &[bool],
    ) -> Vec<f64> {
        let observed = places(is_observed);
        let batch = Batch {
            losses,
            observed: &observed,
        };
        let weights = self.of_losses(batch, moment);
        self.settle(&observed, weights)
    }

    fn of_losses(&mut self, batch: Batch<'_>, moment: &Moment) -> Vec<f64> {
        let (config, state) = (&self.config, &mut self.state);
        let rate = || BalanceConfig::number(config.learning_rate);
        match config.method {
            BalanceMethod::Uncertainty => losses::uncertainty(batch, &mut state.scalars, rate()),
            BalanceMethod::ImpartialLosses => losses::impartial(batch, &mut state.scalars, rate()),
            BalanceMethod::DynamicAverage => {
                let window = match config.every_steps {
                    Some(steps) => moment.step as usize / steps,
                    None => moment.epoch - 1,
                };
                let temperature = BalanceConfig::number(config.temperature);
                losses::dynamic_average(batch, &mut state.means, window, temperature)
            }
            BalanceMethod::RandomWeights => losses::random(batch, &self.tasks, moment),
            BalanceMethod::GeometricMean => losses::geometric_mean(batch),
            BalanceMethod::Famo => losses::famo(batch, &state.scalars),
            BalanceMethod::SmoothTchebycheff => losses::smooth_tchebycheff(
                batch,
                &mut state.means,
                &mut state.nadir,
                BalanceConfig::number(config.mu),
                config.warm_up_epochs.unwrap_or(1),
                moment.epoch,
            ),
            other => unreachable!("{} needs gradients", other.name()),
        }
    }

    /// How it weighs.
    pub(crate) fn method(&self) -> BalanceMethod {
        self.config.method
    }

    /// Whether weights are found by [`Self::weigh_gradients`].
    pub(crate) fn needs_gradients(&self) -> bool {
        self.config.method.needs_gradients()
    }

    /// Whether what is a task's alone is weighed as well.
    pub(crate) fn weighs_heads(&self) -> bool {
        self.config.weigh_heads == Some(true)
    }

    /// Where gradients are compared.
    pub(crate) fn at(&self) -> BalanceAt {
        self.config.balance_at.unwrap_or_default()
    }

    /// The weight of each task's gradient; 0 for one that is not observed. `gram` is of the observed tasks, in order.
    pub(crate) fn weigh_gradients(
        &mut self,
        moment: &Moment,
        losses: &[f64],
        is_observed: &[bool],
        gram: &Gram,
    ) -> Vec<f64> {
        let observed = places(is_observed);
        let comparison = gram::Comparison {
            batch: Batch {
                losses,
                observed: &observed,
            },
            gram,
            tasks: &self.tasks,
            moment,
        };
        let weights = gram::weigh(&self.config, &mut self.state, &comparison);
        self.settle(&observed, weights)
    }

    /// Whether the losses after a step are wanted.
    pub(crate) fn looks_again(&self) -> bool {
        self.config.method == BalanceMethod::Famo
    }

    /// Learns from the losses of a batch before and after its step.
    pub(crate) fn look_again(&mut self, before: &[f64], after: &[f64], is_observed: &[bool]) {
        let batch = Batch {
            losses: before,
            observed: &places(is_observed),
        };
        let rate = BalanceConfig::number(self.config.learning_rate);
        let decay = BalanceConfig::number(self.config.weight_decay);
        losses::famo_after(batch, after, &mut self.state.scalars, rate, decay);
    }

    /// Weights of the observed tasks on their scale, remembered for the curves and put at their places.
    fn settle(&mut self, observed: &[usize], mut weights: Vec<f64>) -> Vec<f64> {
        if self.config.normalise == Some(true) {
            let sum: f64 = weights.iter().sum();
            // A sum of 0, as of directions that cancel out, has no scale to be brought to.
            if sum > 0.0 && sum.is_finite() {
                let factor = weights.len() as f64 / sum;
                weights.iter_mut().for_each(|weight| *weight *= factor);
            }
        }
        let mut all = vec![0.0; self.tasks.len()];
        for (task, weight) in observed.iter().zip(weights) {
            all[*task] = weight;
            self.state.weight_sums[*task] += weight;
            self.state.weight_counts[*task] += 1;
        }
        all
    }

    /// Each task's mean weight over the steps that observed it since this was asked last; none where no step did.
    pub(crate) fn take_mean_weights(&mut self) -> Vec<Option<f64>> {
        let state = &mut self.state;
        let sums = state.weight_sums.iter_mut().zip(&mut state.weight_counts);
        sums.map(|(sum, count)| {
            let (sum, count) = (std::mem::take(sum), std::mem::take(count));
            (count > 0).then(|| sum / f64::from(count))
        })
        .collect()
    }
}

/// The places of what is so.
fn places(is_so: &[bool]) -> Vec<usize> {
    let places = is_so.iter().enumerate().filter(|(_, is)| **is);
    places.map(|(place, _)| place).collect()
}
