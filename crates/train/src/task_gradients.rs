//! One step of a method that compares the tasks' gradients: a backward pass a task through what is shared, the matrix of their inner products,
//! and the one gradient that the weights make of them.

use super::TrainError;
use super::balance::{BalanceAt, Balancer, Gram};
use super::balanced_loss::TaskLosses;
use super::network::Step;
use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use homebench_kernels::{Parameter, not_the_last_pass};
use homebench_model::{Ranker, Representation, Variables};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Which of the dense variables the losses of more than one task reach, as the architecture says.
pub(super) fn are_shared(dense: &[Parameter], variables: &Variables) -> Vec<bool> {
    let shared: BTreeSet<&str> = variables.shared().map(Parameter::path).collect();
    dense
        .iter()
        .map(|parameter| shared.contains(parameter.path()))
        .collect()
}

/// Why gradients of tasks can't be compared.
pub(super) fn check(
    balancer: &Balancer,
    is_shared: &[bool],
    model: &dyn Ranker,
    device: &Device,
) -> std::result::Result<(), TrainError> {
    let method = balancer.method().name();
    let refuse = |why: &str| Err(TrainError::Balance(format!("`{method}` {why}")));
    if !device.is_cpu() {
        return refuse(
            "compares the gradients of tasks, which is done on processors alone; use `device = \"cpu\"`, or a method of losses such as `famo`",
        );
    }
    if !is_shared.contains(&true) {
        return refuse(
            "compares gradients of what tasks share, and this model's tasks share nothing; use a method of losses such as `uw`",
        );
    }
    if balancer.at() == BalanceAt::Representation && !model.has_representation() {
        return refuse(
            "is to compare gradients at a representation, and this model has no one tensor that every task reads; use `balance_at = \"parameters\"`",
        );
    }
    Ok(())
}

/// What a step moves.
pub(super) struct Moved<'a> {
    /// The variables of the dense optimiser.
    pub(super) dense: &'a [Parameter],
    /// Which of them the losses of more than one task reach.
    pub(super) is_shared: &'a [bool],
    /// The gathered input.
    pub(super) xs: &'a Var,
    /// What the model's heads read, where gradients are compared there.
    pub(super) representation: Option<&'a Representation>,
}

/// Gradients of one loss.
struct Gradients {
    /// In the order of the dense variables; none where nothing arrived.
    dense: Vec<Option<Vec<f32>>>,
    xs: Option<Vec<f32>>,
    representation: Option<Vec<f32>>,
}

impl Gradients {
    /// Goes back from a loss, or from part of the way.
    fn of(from: &Tensor, moved: &Moved<'_>, is_last: bool) -> Result<Self> {
        let store = match is_last {
            true => from.backward()?,
            false => not_the_last_pass(|| from.backward())?,
        };
        let dense = moved.dense.iter().map(|parameter| {
            parameter.collect(&store)?;
            let mut values = None;
            parameter.consume_gradient(|gradient| values = Some(gradient.to_vec()));
            Ok(values)
        });
        Ok(Self {
            dense: dense.collect::<Result<_>>()?,
            xs: values_of(&store, moved.xs)?,
            representation: match moved.representation {
                Some(representation) => values_of(&store, representation.leaf())?,
                None => None,
            },
        })
    }
}

fn values_of(store: &GradStore, leaf: &Tensor) -> Result<Option<Vec<f32>>> {
    let found = store.get(leaf).map(|found| found.flatten_all()?.to_vec1());
    found.transpose()
}

/// Leaves in the dense variables the gradient that the balancer makes of the tasks', the model's own loss beside it, and gives that of the
/// gathered input.
pub(super) fn balance(
    losses: &TaskLosses,
    auxiliary: Option<&Tensor>,
    moved: &Moved<'_>,
    balancer: &mut Balancer,
    step: &Step,
) -> std::result::Result<Option<Tensor>, TrainError> {
    let is_observed = &losses.is_observed;
    let observed: Vec<usize> = (0..is_observed.len())
        .filter(|task| is_observed[*task])
        .collect();
    // Passes of heads may go through parts of the body too, as gates do that read what its encoder gives.
    let goes_on = auxiliary.is_some() || moved.representation.is_some();
    let mut gradients = Vec::with_capacity(observed.len());
    for (place, task) in observed.iter().enumerate() {
        let is_last = !goes_on && place + 1 == observed.len();
        let loss = losses.losses.get(*task)?;
        gradients.push(Gradients::of(&loss, moved, is_last)?);
    }
    let gram = compare(&gradients, moved, balancer.at());
    let values = &losses.values;
    let weights = balancer.weigh_gradients(&step.moment(), values, is_observed, &gram);
    let weights: Vec<f64> = observed.iter().map(|task| weights[*task]).collect();
    let ones = vec![1.0; weights.len()];
    let of_heads = if balancer.weighs_heads() {
        &weights
    } else {
        &ones
    };
    let mut parts: Vec<Gradients> = Vec::new();
    if let Some(auxiliary) = auxiliary {
        // Added as it is: it is no task's.
        parts.push(Gradients::of(
            auxiliary,
            moved,
            moved.representation.is_none(),
        )?);
    }
    if let Some(representation) = moved.representation {
        // Heads have their gradients; the weighed one of what they read goes on through the body, once.
        let all = gradients.iter().chain(&parts);
        let of_leaf: Vec<_> = all.map(|of| of.representation.as_deref()).collect();
        let factors = with_ones(&weights, of_leaf.len());
        if let Some(summed) = sum(&of_leaf, &factors) {
            let summed =
                Tensor::from_vec(summed, representation.leaf().shape(), moved.xs.device())?;
            let through = (representation.output() * summed)?.sum_all()?;
            parts.push(Gradients::of(&through, moved, true)?);
        }
    }
    let all: Vec<&Gradients> = gradients.iter().chain(&parts).collect();
    let of_shared = with_ones(&weights, all.len());
    let of_heads = with_ones(of_heads, all.len());
    let places = moved.dense.iter().zip(moved.is_shared).enumerate();
    for (place, (parameter, is_shared)) in places {
        let own: Vec<_> = all.iter().map(|of| of.dense[place].as_deref()).collect();
        let factors = if *is_shared { &of_shared } else { &of_heads };
        if let Some(summed) = sum(&own, factors) {
            parameter.add_gradient(&summed);
        }
    }
    let of_xs: Vec<_> = all.iter().map(|of| of.xs.as_deref()).collect();
    let summed = sum(&of_xs, &of_shared);
    let tensor = summed.map(|values| Tensor::from_vec(values, moved.xs.shape(), moved.xs.device()));
    Ok(tensor.transpose()?)
}

/// Weights of the tasks, and 1 for what comes after them.
fn with_ones(weights: &[f64], length: usize) -> Vec<f64> {
    let mut all = weights.to_vec();
    all.resize(length, 1.0);
    all
}

/// Inner products where the gradients are compared.
fn compare(gradients: &[Gradients], moved: &Moved<'_>, at: BalanceAt) -> Gram {
    let count = gradients.len();
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|row| (row..count).map(move |column| (row, column)))
        .collect();
    // A pair is a job, never a range of numbers: each sum has one order at any number of threads.
    let product = |&(row, column): &(usize, usize)| -> f64 {
        let (one, other) = (&gradients[row], &gradients[column]);
        if at == BalanceAt::Representation {
            return inner(&one.representation, &other.representation);
        }
        let shared = moved.is_shared.iter().enumerate().filter(|(_, is)| **is);
        shared
            .map(|(place, _)| inner(&one.dense[place], &other.dense[place]))
            .sum()
    };
    let products: Vec<f64> = pairs.par_iter().map(product).collect();
    Gram::new(count, |row, column| {
        // Rows before this one have one pair fewer each.
        let before = row * count - row * (row + 1) / 2;
        products[before + column]
    })
}

/// In f64, in blocks whose sums are added in order, so that long sums lose little.
fn inner(one: &Option<Vec<f32>>, other: &Option<Vec<f32>>) -> f64 {
    const BLOCK: usize = 4096;
    let (Some(one), Some(other)) = (one, other) else {
        return 0.0;
    };
    let blocks = one.chunks(BLOCK).zip(other.chunks(BLOCK));
    blocks.map(|(one, other)| block(one, other)).sum()
}

/// Eight sums side by side, which a processor adds at once; added up in order.
fn block(one: &[f32], other: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    let (ones, rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    for (one, other) in ones.iter().zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(one).zip(other) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    let tail: f64 = (rest.iter().zip(other_rest))
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    sums.iter().sum::<f64>() + tail
}

/// The sum of factors times what there is; none where there is nothing.
fn sum(parts: &[Option<&[f32]>], factors: &[f64]) -> Option<Vec<f32>> {
    let present: Vec<(&[f32], f32)> = parts
        .iter()
        .zip(factors)
        .filter_map(|(part, factor)| Some(((*part)?, *factor as f32)))
        .collect();
    let (first, rest) = present.split_first()?;
    let mut sum: Vec<f32> = first.0.iter().map(|value| value * first.1).collect();
    for (part, factor) in rest {
        for (sum, value) in sum.iter_mut().zip(*part) {
            *sum += value * factor;
        }
    }
    Some(sum)
}
