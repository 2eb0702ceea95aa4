//! Methods that bring the norms of gradients to each other, from step to step.

use super::super::losses::softmax;
use super::{BalanceState, Comparison, LEAST_LOSS};

/// Chen et al. 2018 (arXiv:1711.02257): weights `T softmax(w)`, w learned so that each weighed norm is the mean of them times `r^alpha`, r the
/// task's loss over that of the first epoch, in shares of the mean. 1 in the first epoch.
pub(super) fn gradnorm(
    of: &Comparison<'_>,
    state: &mut BalanceState,
    alpha: f64,
    learning_rate: f64,
) -> Vec<f64> {
    let batch = of.batch;
    let count = batch.observed.len() as f64;
    state.means.enter(of.moment.epoch - 1);
    if state.nadir.is_empty() {
        state.nadir = vec![f64::NAN; batch.losses.len()];
    }
    let BalanceState {
        means,
        nadir,
        scalars,
        ..
    } = state;
    let rates = batch.each(|task, loss| {
        if of.moment.epoch == 1 {
            means.add(task, loss);
            return f64::NAN;
        }
        if nadir[task].is_nan() {
            nadir[task] = means.last(task).unwrap_or(loss).max(LEAST_LOSS);
        }
        loss / nadir[task]
    });
    if of.moment.epoch == 1 {
        return vec![1.0; batch.observed.len()];
    }
    let shares = softmax(&batch.each(|task, _| scalars.values[task]));
    let weights: Vec<f64> = shares.iter().map(|share| count * share).collect();
    let norms = of.gram.norms();
    let weighed: Vec<f64> = weights.iter().zip(&norms).map(|(w, n)| w * n).collect();
    let mean_norm = weighed.iter().sum::<f64>() / count;
    let mean_rate = (rates.iter().sum::<f64>() / count).max(f64::MIN_POSITIVE);
    // The slope of sum |w n - target| by each weight; the target is a constant, as the paper has it.
    let slopes: Vec<f64> = (weighed.iter().zip(&norms).zip(&rates))
        .map(|((weighed, norm), rate)| {
            let target = mean_norm * libm::pow((rate / mean_rate).max(0.0), alpha);
            match weighed.total_cmp(&target) {
                std::cmp::Ordering::Less => -norm,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => *norm,
            }
        })
        .collect();
    let mean_slope: f64 = shares.iter().zip(&slopes).map(|(s, slope)| s * slope).sum();
    for ((task, share), slope) in batch.observed.iter().zip(&shares).zip(&slopes) {
        let gradient = count * share * (slope - mean_slope);
        scalars.update(*task, gradient, learning_rate, 0.0);
    }
    weights
}

/// Running means of norms, one a task: the first one seen, then a share `beta` of what it was.
fn running_norms(
    of: &Comparison<'_>,
    state: &mut BalanceState,
    beta: f64,
    norms: &[f64],
) -> Vec<f64> {
    if state.running.is_empty() {
        state.running = vec![f64::NAN; of.tasks.len()];
    }
    let mut norms = norms.iter();
    of.batch.each(|task, _| {
        let norm = norms.next().copied().unwrap_or(0.0);
        let mean = &mut state.running[task];
        *mean = match mean.is_nan() {
            true => norm,
            false => beta * *mean + (1.0 - beta) * norm,
        };
        *mean
    })
}

/// Lin et al. 2023 (DB-MTL, arXiv:2308.12029): the gradients of ln L_t, all brought to the largest norm. The running mean is of their norms.
pub(super) fn dual_balance(of: &Comparison<'_>, state: &mut BalanceState, beta: f64) -> Vec<f64> {
    let losses = of.batch.each(|_, loss| loss.max(LEAST_LOSS));
    let norms = of.gram.norms();
    let of_logarithms: Vec<f64> = norms.iter().zip(&losses).map(|(n, l)| n / l).collect();
    let means = running_norms(of, state, beta, &of_logarithms);
    let largest = means.iter().fold(0f64, |most, norm| most.max(*norm));
    let both = means.iter().zip(&losses);
    both.map(|(mean, loss)| largest / (mean.max(f64::MIN_POSITIVE) * loss))
        .collect()
}

/// He et al. 2022 (MetaBalance, arXiv:2203.06801): each gradient but the main task's gets `relaxation` of the way to the main one's norm.
pub(super) fn metabalance(
    of: &Comparison<'_>,
    state: &mut BalanceState,
    main: Option<&str>,
    relaxation: f64,
    beta: f64,
) -> Vec<f64> {
    let main = main.map_or(Some(0), |main| {
        of.tasks.iter().position(|task| task == main)
    });
    let main = main.expect("a spec's main task was looked up");
    let means = running_norms(of, state, beta, &of.gram.norms());
    let of_main = state.running[main];
    let mut means = means.into_iter();
    of.batch.each(|task, _| {
        let mean = means.next().unwrap_or(0.0);
        // Before the main task was seen there is no norm to go by.
        match task == main || of_main.is_nan() {
            true => 1.0,
            false => relaxation * of_main / mean.max(f64::MIN_POSITIVE) + (1.0 - relaxation),
        }
    })
}
