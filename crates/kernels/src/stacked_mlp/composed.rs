//! Stacked networks from candle's stock operators: the reference, and the path of devices without a kernel.

use super::{Activation, BATCH_NORM_MOMENTUM, NORM_EPSILON, Norm, StackedLayer, StackedMlp};
use crate::composed::{matmul, mean_of_rows, silu, spread};
use crate::stack::Stack;
use candle_core::{D, Result, Tensor};

pub(super) fn forward(mlp: &StackedMlp, xs: &Tensor, train: bool) -> Result<Tensor> {
    let xs = if xs.rank() == 2 {
        xs.unsqueeze(0)?
    } else {
        xs.clone()
    };
    let inputs = mlp
        .sources
        .iter()
        .map(|source| xs.get(*source))
        .collect::<Result<Vec<_>>>()?;
    let mut hidden = Tensor::stack(&inputs, 0)?;
    for layer in mlp.layers.iter() {
        hidden = forward_layer(layer, &hidden, train)?;
    }
    Ok(hidden)
}

fn forward_layer(layer: &StackedLayer, xs: &Tensor, train: bool) -> Result<Tensor> {
    let mut ys = matmul(xs, &layer.weight.cat()?)?;
    if let Some(bias) = &layer.bias {
        ys = ys.broadcast_add(&bias.cat()?.unsqueeze(1)?)?;
    }
    let ys = normalise(&layer.norm, &ys, &layer.reads_batch(train))?;
    match layer.activation {
        Activation::Identity => Ok(ys),
        Activation::Relu => ys.relu(),
        Activation::Silu => silu(&ys),
    }
}

/// `reads_batch` says of each expert whether the statistics of the batch are used.
fn normalise(norm: &Norm, ys: &Tensor, reads_batch: &[bool]) -> Result<Tensor> {
    match norm {
        Norm::None => Ok(ys.clone()),
        Norm::Layer { scale, shift } => {
            let width = ys.dim(D::Minus1)?;
            let centred = (ys - spread(&mean_of_rows(ys)?, width)?)?;
            let variance = spread(&mean_of_rows(&centred.sqr()?)?, width)?;
            finish(&centred, &variance, &scale.cat()?, &shift.cat()?)
        }
        Norm::Batch {
            scale,
            shift,
            running_mean,
            running_variance,
        } => {
            let (mean, variance) = statistics(running_mean, running_variance, ys, reads_batch)?;
            let centred = ys.broadcast_sub(&mean)?;
            finish(&centred, &variance, &scale.cat()?, &shift.cat()?)
        }
    }
}

/// What each expert is normalised by, [experts, 1, out]; moves the running statistics of those that read their batch.
fn statistics(
    running_mean: &Stack,
    running_variance: &Stack,
    ys: &Tensor,
    reads_batch: &[bool],
) -> Result<(Tensor, Tensor)> {
    let stacks = [running_mean, running_variance];
    // Copies: below the variables change in place.
    let running = |stack: &Stack| stack.cat()?.detach().copy();
    let [old_mean, old_variance] = [running(running_mean)?, running(running_variance)?];
    if !reads_batch.contains(&true) {
        return Ok((old_mean.unsqueeze(1)?, old_variance.unsqueeze(1)?));
    }
    let mean = ys.mean_keepdim(1)?;
    let variance = ys.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
    let num_rows = ys.dim(1)? as f64;
    let unbiased = (variance.squeeze(1)? * (num_rows / (num_rows - 1.0)))?;
    let batch = [mean.squeeze(1)?, unbiased];
    for ((stack, old), batch) in stacks
        .into_iter()
        .zip([&old_mean, &old_variance])
        .zip(batch)
    {
        let kept = (old * (1.0 - BATCH_NORM_MOMENTUM))?;
        let moved = (kept + (batch * BATCH_NORM_MOMENTUM)?)?;
        stack.set(&each(reads_batch, &moved, old)?)?;
    }
    Ok((
        each(reads_batch, &mean, &old_mean.unsqueeze(1)?)?,
        each(reads_batch, &variance, &old_variance.unsqueeze(1)?)?,
    ))
}

/// Of each expert, what the batch gives where it is read, else what is running.
fn each(reads_batch: &[bool], batch: &Tensor, running: &Tensor) -> Result<Tensor> {
    if !reads_batch.contains(&false) {
        return Ok(batch.clone());
    }
    let of = |(expert, reads): (usize, &bool)| match reads {
        true => batch.narrow(0, expert, 1),
        false => running.narrow(0, expert, 1),
    };
    let experts = reads_batch.iter().enumerate();
    Tensor::cat(&experts.map(of).collect::<Result<Vec<_>>>()?, 0)
}

fn finish(centred: &Tensor, variance: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let deviation = (variance + NORM_EPSILON)?.sqrt()?;
    centred
        .broadcast_div(&deviation)?
        .broadcast_mul(&scale.unsqueeze(1)?)?
        .broadcast_add(&shift.unsqueeze(1)?)
}
