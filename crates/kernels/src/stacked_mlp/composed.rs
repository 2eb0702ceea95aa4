//! Stacked networks from candle's stock operators: the reference, and the path of devices without a kernel.

use super::{Activation, BATCH_NORM_MOMENTUM, NORM_EPSILON, Norm, StackedLayer, StackedMlp};
use crate::composed::{matmul, mean_of_rows, silu, spread};
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
    let ys = normalise(&layer.norm, &ys, train)?;
    match layer.activation {
        Activation::Identity => Ok(ys),
        Activation::Relu => ys.relu(),
        Activation::Silu => silu(&ys),
    }
}

fn normalise(norm: &Norm, ys: &Tensor, train: bool) -> Result<Tensor> {
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
            let (mean, variance) = if train {
                let mean = ys.mean_keepdim(1)?;
                let variance = ys.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
                let num_rows = ys.dim(1)? as f64;
                let unbiased = (variance.squeeze(1)? * (num_rows / (num_rows - 1.0)))?;
                for (running, batch) in [
                    (running_mean, mean.squeeze(1)?),
                    (running_variance, unbiased),
                ] {
                    let old = (running.cat()? * (1.0 - BATCH_NORM_MOMENTUM))?;
                    running.set(&(old + (batch * BATCH_NORM_MOMENTUM)?)?)?;
                }
                (mean, variance)
            } else {
                (
                    running_mean.cat()?.unsqueeze(1)?.detach(),
                    running_variance.cat()?.unsqueeze(1)?.detach(),
                )
            };
            let centred = ys.broadcast_sub(&mean)?;
            finish(&centred, &variance, &scale.cat()?, &shift.cat()?)
        }
    }
}

fn finish(centred: &Tensor, variance: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let deviation = (variance + NORM_EPSILON)?.sqrt()?;
    centred
        .broadcast_div(&deviation)?
        .broadcast_mul(&scale.unsqueeze(1)?)?
        .broadcast_add(&shift.unsqueeze(1)?)
}
