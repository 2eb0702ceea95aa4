//! Weights from losses alone: the methods of one backward pass. Everything is over the tasks that a batch observes.

use super::adam::Scalars;
use super::means::WindowMeans;
use super::{LEAST_LOSS, Moment};
use homebench_random::Philox;

/// A batch's losses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    /// One a task; anything where the task is not observed.
    pub(super) losses: &'a [f64],
    /// The tasks that at least one row observes, in order.
    pub(super) observed: &'a [usize],
}

impl Batch<'_> {
    /// A number for each observed task, from its place and its loss.
    pub(super) fn each(&self, mut number: impl FnMut(usize, f64) -> f64) -> Vec<f64> {
        let losses = self.losses;
        self.observed
            .iter()
            .map(|task| number(*task, losses[*task]))
            .collect()
    }

    fn num_observed(&self) -> f64 {
        self.observed.len() as f64
    }
}

/// Of numbers of any size.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|l| libm::exp(l - largest)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Kendall et al. 2018 (arXiv:1705.07115), the form of regressions for all tasks: the objective is `sum_t L_t / (2 e^s_t) + s_t / 2`, so
/// the weight is `e^-s_t / 2`; the scalars move towards `ln L_t`.
pub(super) fn uncertainty(batch: Batch<'_>, scalars: &mut Scalars, learning_rate: f64) -> Vec<f64> {
    batch.each(|task, loss| {
        let weight = libm::exp(-scalars.values[task]) / 2.0;
        scalars.update(task, 0.5 - weight * loss, learning_rate, 0.0);
        weight
    })
}

/// Liu et al. 2021 (IMTL-L, ICLR): the objective is `sum_t e^s_t L_t - s_t`, so the weight is `e^s_t`, which moves towards `1 / L_t`.
pub(super) fn impartial(batch: Batch<'_>, scalars: &mut Scalars, learning_rate: f64) -> Vec<f64> {
    batch.each(|task, loss| {
        let weight = libm::exp(scalars.values[task]);
        scalars.update(task, weight * loss - 1.0, learning_rate, 0.0);
        weight
    })
}

/// Liu et al. 2019 (arXiv:1803.10704): `T softmax(r / temperature)`, r the ratio of the last two windows' mean losses; 1 before there are
/// two.
pub(super) fn dynamic_average(
    batch: Batch<'_>,
    means: &mut WindowMeans,
    window: usize,
    temperature: f64,
) -> Vec<f64> {
    means.enter(window);
    let ratios = batch.each(|task, loss| {
        means.add(task, loss);
        means.ratio(task).unwrap_or(1.0) / temperature
    });
    let shares = softmax(&ratios);
    shares
        .iter()
        .map(|share| share * batch.num_observed())
        .collect()
}

/// Lin et al. 2022 (arXiv:2111.10603): the softmax of standard normals, drawn anew at every step from a stream of each task's own.
pub(super) fn random(batch: Batch<'_>, tasks: &[String], moment: &Moment) -> Vec<f64> {
    // By name, so that the order of tasks changes nothing.
    let logits = batch.each(|task, _| {
        let stream = Philox::new(moment.seed, "random-loss-weights", &tasks[task]);
        f64::from(stream.normal(moment.step))
    });
    softmax(&logits)
}

/// Chennupati et al. 2019 (arXiv:1904.08492): the objective is `(prod_t L_t)^(1/T)`; the weight is that over `T L_t`.
pub(super) fn geometric_mean(batch: Batch<'_>) -> Vec<f64> {
    let count = batch.num_observed();
    let logarithms = batch.each(|_, loss| libm::log(loss.max(LEAST_LOSS)));
    let mean = libm::exp(logarithms.iter().sum::<f64>() / count);
    batch.each(|_, loss| mean / (count * loss.max(LEAST_LOSS)))
}

/// Liu et al. 2023 (arXiv:2306.03792): the objective is `c sum_t z_t ln(L_t + 1e-8)`, z the softmax of the scalars and
/// `1 / c = sum_t z_t / (L_t + 1e-8)`; the weights sum to 1.
pub(super) fn famo(batch: Batch<'_>, scalars: &Scalars) -> Vec<f64> {
    let shares = softmax(&batch.each(|task, _| scalars.values[task]));
    let mut shares = shares.into_iter();
    let ratios = batch.each(|_, loss| shares.next().unwrap_or(0.0) / (loss + LEAST_LOSS));
    let sum: f64 = ratios.iter().sum();
    ratios.iter().map(|ratio| ratio / sum).collect()
}

/// What FAMO's scalars learn from a step: `w <- Adam(w, J^T (ln L_before - ln L_after))`, J the Jacobian of the softmax.
pub(super) fn famo_after(
    batch: Batch<'_>,
    after: &[f64],
    scalars: &mut Scalars,
    learning_rate: f64,
    weight_decay: f64,
) {
    let shares = softmax(&batch.each(|task, _| scalars.values[task]));
    let gains = batch
        .each(|task, before| libm::log(before + LEAST_LOSS) - libm::log(after[task] + LEAST_LOSS));
    let mean: f64 = shares
        .iter()
        .zip(&gains)
        .map(|(share, gain)| share * gain)
        .sum();
    // A step that made a loss no number ends training at the next one; the scalars stay as they were.
    if !mean.is_finite() {
        return;
    }
    for ((task, share), gain) in batch.observed.iter().zip(&shares).zip(&gains) {
        scalars.update(*task, share * (gain - mean), learning_rate, weight_decay);
    }
}

/// Lin et al. 2024 (arXiv:2402.19078): in the warm-up `sum_t ln L_t`, then `mu T ln sum_t e^(ln(L_t / n_t) / mu)`, n the mean loss of the
/// warm-up's last epoch.
pub(super) fn smooth_tchebycheff(
    batch: Batch<'_>,
    means: &mut WindowMeans,
    nadir: &mut Vec<f64>,
    mu: f64,
    warm_up_epochs: usize,
    epoch: usize,
) -> Vec<f64> {
    let is_warm_up = epoch <= warm_up_epochs;
    if is_warm_up {
        // Windows are epochs from 0, so that the last one's mean is there when the warm-up is over.
        means.enter(epoch - 1);
        return batch.each(|task, loss| {
            means.add(task, loss);
            1.0 / loss.max(LEAST_LOSS)
        });
    }
    if nadir.is_empty() {
        means.enter(epoch - 1);
        *nadir = vec![f64::NAN; batch.losses.len()];
    }
    let logits = batch.each(|task, loss| {
        if nadir[task].is_nan() {
            // A task that the warm-up never observed starts from its first loss.
            nadir[task] = means.last(task).unwrap_or(loss).max(LEAST_LOSS);
        }
        libm::log(loss.max(LEAST_LOSS) / nadir[task]) / mu
    });
    let mut shares = softmax(&logits).into_iter();
    let count = batch.num_observed();
    batch.each(|_, loss| count * shares.next().unwrap_or(0.0) / loss.max(LEAST_LOSS))
}
