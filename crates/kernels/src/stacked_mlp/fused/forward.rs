//! The forward pass: products block by block, batch statistics beside them, activations on the way into the next layer.

use super::{LayerState, Plan};
use crate::product::{Matrix, SharedFactor, multiply};
use crate::rows::{blocks, unspecified};
use crate::stack::StackValues;
use crate::stacked_mlp::columns::{Affine, activate, add_column_squares, add_column_sums};
use crate::stacked_mlp::{
    Activation, BATCH_NORM_MOMENTUM, NORM_EPSILON, Norm, StackedLayer, StackedMlp,
};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Count, mean and summed squared distance of one column over some rows.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Chan's combination of two parts.
    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let distance = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + distance * (other.count / count),
            squares: self.squares
                + other.squares
                + distance * distance * (self.count * other.count / count),
        }
    }
}

/// Where a layer's inputs come from.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// The operator's inputs, [inputs, rows, in].
    Given(&'a [f32], &'a [usize]),
    /// The layer below.
    Below(&'a LayerState, Activation),
}

pub(super) fn run(
    mlp: &StackedMlp,
    xs: &[f32],
    plan: &Plan<'_>,
    train: bool,
) -> Result<(Vec<f32>, Vec<LayerState>)> {
    let mut states: Vec<LayerState> = Vec::with_capacity(mlp.layers.len());
    for (index, layer) in mlp.layers.iter().enumerate() {
        let input = match states.last() {
            Some(below) => Input::Below(below, mlp.layers[index - 1].activation),
            None => Input::Given(xs, &mlp.sources),
        };
        let state = forward_layer(layer, input, plan, train)?;
        states.push(state);
    }
    let last = &mlp.layers[mlp.layers.len() - 1];
    let out = output(last, &states[states.len() - 1], plan);
    Ok((out, states))
}

/// The last layer's activations.
fn output(layer: &StackedLayer, state: &LayerState, plan: &Plan<'_>) -> Vec<f32> {
    let width = layer.output_dim();
    let mut out = unspecified(state.products.len());
    plan.split_mut(&mut out, width)
        .into_par_iter()
        .zip(&plan.parts)
        .enumerate()
        .for_each(|(task, (out, part))| {
            let expert = task / plan.num_chunks;
            let block = plan.rows_of(&state.products, expert, part, width);
            activate(layer.activation, out, block, &state.affines[expert]);
        });
    out
}

fn forward_layer(
    layer: &StackedLayer,
    input: Input<'_>,
    plan: &Plan<'_>,
    train: bool,
) -> Result<LayerState> {
    let weights = layer.weight.read()?;
    let width = layer.output_dim();
    let num_experts = layer.weight.num_experts();
    let reads_batch = layer.reads_batch(train);
    let factors: Vec<SharedFactor<'_>> = (0..num_experts)
        .into_par_iter()
        .map(|expert| {
            let weights = weights.expert(expert);
            SharedFactor::new(Matrix::new(weights, weights.len() / width, width))
        })
        .collect();
    let mut products = unspecified(plan.total_rows() * width);
    let moments: Vec<Vec<Moments>> = plan
        .split_mut(&mut products, width)
        .into_par_iter()
        .zip(&plan.parts)
        .enumerate()
        .map_init(Vec::new, |scratch, (task, (out, part))| {
            let expert = task / plan.num_chunks;
            let with_moments = reads_batch[expert];
            let mut moments = vec![Moments::default(); if with_moments { width } else { 0 }];
            for block in blocks(part.clone()) {
                let at = block.start - part.start;
                let out = &mut out[at * width..(at + block.len()) * width];
                let inputs = input_block(input, expert, &block, plan, scratch);
                let inputs = Matrix::new(inputs, block.len(), inputs.len() / block.len());
                multiply(out, width, inputs, factors[expert].matrix(), false);
                if with_moments {
                    add_moments(&mut moments, out, width);
                }
            }
            moments
        })
        .collect();
    let affines = affines(layer, &moments, plan, &reads_batch)?;
    Ok(LayerState { products, affines })
}

/// A block of the layer's inputs: as given, or the activations of the layer below made again in `scratch`.
fn input_block<'a>(
    input: Input<'a>,
    expert: usize,
    block: &Range<usize>,
    plan: &Plan<'_>,
    scratch: &'a mut Vec<f32>,
) -> &'a [f32] {
    match input {
        Input::Given(xs, sources) => plan.inputs(xs, sources[expert], expert, block, scratch),
        Input::Below(below, activation) => {
            activation_block(below, activation, expert, block, plan, scratch)
        }
    }
}

/// Activations of one block, in `scratch`.
pub(super) fn activation_block<'a>(
    state: &LayerState,
    activation: Activation,
    expert: usize,
    block: &Range<usize>,
    plan: &Plan<'_>,
    scratch: &'a mut Vec<f32>,
) -> &'a [f32] {
    let affine = &state.affines[expert];
    let width = affine.scale.len();
    scratch.resize(block.len() * width, 0.0);
    let products = plan.rows_of(&state.products, expert, block, width);
    activate(activation, scratch, products, affine);
    scratch
}

fn add_moments(moments: &mut [Moments], block: &[f32], width: usize) {
    let rows = (block.len() / width) as f64;
    let mut sums = vec![0f32; width];
    add_column_sums(&mut sums, block);
    let means: Vec<f32> = sums.iter().map(|s| (f64::from(*s) / rows) as f32).collect();
    let mut squares = vec![0f32; width];
    add_column_squares(&mut squares, block, &means);
    for (column, moments) in moments.iter_mut().enumerate() {
        *moments = moments.merge(Moments {
            count: rows,
            mean: f64::from(means[column]),
            squares: f64::from(squares[column]),
        });
    }
}

/// Each expert's factors from bias or norm.
fn affines(
    layer: &StackedLayer,
    moments: &[Vec<Moments>],
    plan: &Plan<'_>,
    reads_batch: &[bool],
) -> Result<Vec<Affine>> {
    let width = layer.output_dim();
    let num_experts = layer.weight.num_experts();
    let Norm::Batch {
        scale,
        shift,
        running_mean,
        running_variance,
    } = &layer.norm
    else {
        let bias = layer.bias.as_ref().map(|bias| bias.read()).transpose()?;
        let shift = |expert| match &bias {
            Some(bias) => StackValues::expert(bias, expert).to_vec(),
            None => vec![0.0; width],
        };
        let plain = |expert| Affine {
            scale: vec![1.0; width],
            shift: shift(expert),
            inverse: vec![0.0; width],
            offset: vec![0.0; width],
        };
        return Ok((0..num_experts).map(plain).collect());
    };
    let of_batch: Vec<Option<Statistics>> = moments
        .chunks(plan.num_chunks)
        .zip(reads_batch)
        .map(|(parts, reads)| reads.then(|| batch_statistics(parts, width)))
        .collect();
    if reads_batch.contains(&true) {
        update_running(
            running_mean,
            running_variance,
            &of_batch,
            width,
            plan.num_rows,
        )?;
    }
    let (means, variances) = (running_mean.read()?, running_variance.read()?);
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let running = |e: usize| (wide(means.expert(e)), wide(variances.expert(e)));
    let of_batch = of_batch.into_iter().enumerate();
    let statistics: Vec<Statistics> = of_batch
        .map(|(expert, batch)| batch.unwrap_or_else(|| running(expert)))
        .collect();
    let (scale, shift) = (scale.read()?, shift.read()?);
    let of = |(expert, (mean, variance)): (usize, &Statistics)| {
        batch_norm_affine(mean, variance, scale.expert(expert), shift.expert(expert))
    };
    Ok(statistics.iter().enumerate().map(of).collect())
}

/// Mean and variance per column.
type Statistics = (Vec<f64>, Vec<f64>);

/// Mean and biased variance per column from the chunks' parts.
fn batch_statistics(parts: &[Vec<Moments>], width: usize) -> Statistics {
    let merged = |column: usize| {
        parts
            .iter()
            .fold(Moments::default(), |sum, part| sum.merge(part[column]))
    };
    (0..width)
        .map(merged)
        .map(|m| (m.mean, m.squares / m.count))
        .unzip()
}

fn update_running(
    means: &crate::stack::Stack,
    variances: &crate::stack::Stack,
    statistics: &[Option<Statistics>],
    width: usize,
    num_rows: usize,
) -> Result<()> {
    let unbiased = num_rows as f64 / (num_rows as f64 - 1.0);
    let blend = |old: &mut f32, new: f64| {
        let kept = f64::from(*old) * (1.0 - BATCH_NORM_MOMENTUM);
        *old = (kept + new * BATCH_NORM_MOMENTUM) as f32;
    };
    let columns = || {
        let experts = statistics.iter();
        experts.flat_map(move |one| (0..width).map(move |column| (one.as_ref(), column)))
    };
    let of_means = columns().map(|(one, column)| Some(one?.0[column]));
    means.update(of_means, blend)?;
    let of_variances = columns().map(|(one, column)| Some(one?.1[column] * unbiased));
    variances.update(of_variances, blend)
}

fn batch_norm_affine(mean: &[f64], variance: &[f64], scale: &[f32], shift: &[f32]) -> Affine {
    let mut affine = Affine::default();
    for column in 0..mean.len() {
        let inverse = 1.0 / (variance[column] + NORM_EPSILON).sqrt();
        let factor = f64::from(scale[column]) * inverse;
        affine.scale.push(factor as f32);
        affine
            .shift
            .push((f64::from(shift[column]) - mean[column] * factor) as f32);
        affine.inverse.push(inverse as f32);
        affine.offset.push((-mean[column] * inverse) as f32);
    }
    affine
}
