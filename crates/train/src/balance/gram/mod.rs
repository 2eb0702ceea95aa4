//! Weights from the inner products of the tasks' gradients: numbers in, numbers out.
//!
//! Every method here finds a combination of the tasks' gradients, so that one matrix of their inner products is all that it has to know, and
//! the combination is all that has to be done.

mod conflict;
mod fairness;
mod matrix;
mod quadratic;
mod scale;
#[cfg(test)]
mod tests;

pub(crate) use matrix::Gram;

use super::losses::Batch;
use super::{BalanceConfig, BalanceMethod, BalanceState, GradientScaling, LEAST_LOSS, Moment};
use homebench_random::Philox;

/// A task whose squared norm is below this share of the largest has no gradient to speak of.
const LEAST_SHARE: f64 = 1e-24;

/// What weights are found from.
pub(super) struct Comparison<'a> {
    /// Losses of the tasks that are compared.
    pub(super) batch: Batch<'a>,
    /// Inner products of the gradients of these tasks, in their order.
    pub(super) gram: &'a Gram,
    /// Names of all tasks.
    pub(super) tasks: &'a [String],
    pub(super) moment: &'a Moment,
}

/// A weight for each observed task.
pub(super) fn weigh(
    config: &BalanceConfig,
    state: &mut BalanceState,
    of: &Comparison<'_>,
) -> Vec<f64> {
    let gram = of.gram;
    let squares: Vec<f64> = (0..gram.size()).map(|task| gram.at(task, task)).collect();
    let largest = squares.iter().fold(0f64, |most, square| most.max(*square));
    let lives = |task: &usize| squares[*task] > LEAST_SHARE * largest;
    let living: Vec<usize> = (0..gram.size()).filter(lives).collect();
    let observed: Vec<usize> = living.iter().map(|task| of.batch.observed[*task]).collect();
    // A task that moves nothing that is shared has nothing to be weighed against; it would make every matrix singular.
    let mut weights = vec![1.0; gram.size()];
    if living.is_empty() {
        return weights;
    }
    let found = weigh_living(
        config,
        state,
        &Comparison {
            batch: Batch {
                observed: &observed,
                ..of.batch
            },
            gram: &gram.of(&living),
            tasks: of.tasks,
            moment: of.moment,
        },
    );
    for (task, weight) in living.iter().zip(found) {
        weights[*task] = weight;
    }
    weights
}

fn weigh_living(config: &BalanceConfig, state: &mut BalanceState, of: &Comparison<'_>) -> Vec<f64> {
    let number = BalanceConfig::number;
    let (gram, batch) = (of.gram, of.batch);
    match config.method {
        BalanceMethod::GradNorm => scale::gradnorm(
            of,
            state,
            number(config.alpha),
            number(config.learning_rate),
        ),
        BalanceMethod::MinimumNorm => mgda(gram, batch, config.scaling),
        BalanceMethod::PcGrad => conflict::pcgrad(gram, &orders(of)),
        BalanceMethod::GradVac => {
            let (orders, beta) = (orders(of), number(config.beta));
            let size = of.tasks.len();
            let place =
                |one: usize, other: usize| batch.observed[one] * size + batch.observed[other];
            if state.running.is_empty() {
                state.running = vec![0.0; size * size];
            }
            let before = state.running.clone();
            let mut after = before.clone();
            let weights = conflict::gradvac(
                gram,
                &orders,
                &mut |one, other| before[place(one, other)],
                &mut |one, other, cosine| {
                    let mean = &mut after[place(one, other)];
                    *mean = (1.0 - beta) * *mean + beta * cosine;
                },
            );
            state.running = after;
            weights
        }
        BalanceMethod::CaGrad => conflict::cagrad(gram, number(config.c)),
        BalanceMethod::ImpartialGradients => equal_projections(gram),
        BalanceMethod::Nash => fairness::fair(gram, 1.0),
        BalanceMethod::FairGrad => fairness::fair(gram, number(config.alpha)),
        BalanceMethod::Aligned => aligned(gram),
        BalanceMethod::UpGrad => conflict::upgrad(gram),
        BalanceMethod::DualBalance => scale::dual_balance(of, state, number(config.beta)),
        BalanceMethod::MetaBalance => scale::metabalance(
            of,
            state,
            config.main_task.as_deref(),
            number(config.relaxation),
            number(config.beta),
        ),
        other => unreachable!("{} needs no gradients", other.name()),
    }
}

/// Sener and Koltun 2018 (arXiv:1810.04650): the weights on the simplex of the shortest combination, of gradients that may be divided by
/// their norms and losses first.
fn mgda(gram: &Gram, batch: Batch<'_>, scaling: Option<GradientScaling>) -> Vec<f64> {
    let norms = gram.norms();
    let losses = batch.each(|_, loss| loss.max(LEAST_LOSS));
    let divisor = |task: usize| match scaling {
        None | Some(GradientScaling::None) => 1.0,
        Some(GradientScaling::L2) => norms[task],
        Some(GradientScaling::Loss) => losses[task],
        Some(GradientScaling::LossL2) => losses[task] * norms[task],
    };
    let scaled = Gram::new(gram.size(), |row, column| {
        gram.at(row, column) / (divisor(row) * divisor(column))
    });
    quadratic::least(&scaled, &vec![0.0; gram.size()], true)
}

/// Liu et al. 2021 (IMTL-G, ICLR): the combination, its weights of the sum 1, with the same product with every gradient's direction.
fn equal_projections(gram: &Gram) -> Vec<f64> {
    let pairs = matrix::eigen(gram);
    let least = pairs[0].0 * matrix::rank_tolerance(gram.size());
    let norms = gram.norms();
    let mut weights = vec![0.0; gram.size()];
    // M a = norms, by the pseudo-inverse: parallel gradients share what one of them would have.
    for (value, vector) in pairs.iter().filter(|(value, _)| *value > least) {
        let share = matrix::dot(vector, &norms) / value;
        weights
            .iter_mut()
            .zip(vector)
            .for_each(|(weight, entry)| *weight += share * entry);
    }
    let sum: f64 = weights.iter().sum();
    let size: f64 = weights.iter().map(|weight| weight.abs()).sum();
    // Opposite gradients have no direction with a product above 0 with both.
    match sum.abs() > 1e-12 * size && size > 0.0 {
        true => weights.iter().map(|weight| weight / sum).collect(),
        false => vec![1.0 / gram.size() as f64; gram.size()],
    }
}

/// Senushkin et al. 2023 (arXiv:2305.19000): every principal component of the gradients gets the length of the shortest; `a = sqrt(l_min)
/// V L^(-1/2) V^T 1 / T`.
fn aligned(gram: &Gram) -> Vec<f64> {
    let pairs = matrix::eigen(gram);
    let least = pairs[0].0 * matrix::rank_tolerance(gram.size());
    let kept: Vec<_> = pairs.iter().filter(|(value, _)| *value > least).collect();
    let shortest = kept.last().map_or(1.0, |(value, _)| *value);
    let mut weights = vec![0.0; gram.size()];
    for (value, vector) in kept {
        let mean = vector.iter().sum::<f64>() / gram.size() as f64;
        let share = (shortest / value).sqrt() * mean;
        weights
            .iter_mut()
            .zip(vector)
            .for_each(|(weight, entry)| *weight += share * entry);
    }
    weights
}

/// For each task, the others in an order drawn anew at every step.
fn orders(of: &Comparison<'_>) -> Vec<Vec<usize>> {
    let tasks: Vec<&String> = of
        .batch
        .observed
        .iter()
        .map(|task| &of.tasks[*task])
        .collect();
    let order = |(task, name): (usize, &&String)| {
        // A number each pair, by names, so that the order of tasks in the data changes nothing.
        let key = |other: &usize| {
            let pair = format!("{name} {}", tasks[*other]);
            let stream = Philox::new(of.moment.seed, "order-of-projections", &pair);
            stream.uniform(of.moment.step)
        };
        let mut others: Vec<usize> = (0..tasks.len()).filter(|other| *other != task).collect();
        others.sort_by(|one, other| key(one).total_cmp(&key(other)));
        others
    };
    tasks.iter().enumerate().map(order).collect()
}
