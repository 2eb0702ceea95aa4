//! Stacked networks as one candle operator on the CPU in f32.
//!
//! Forward keeps each layer's products `z` alone; activations are made again, block by block, where a product needs them.
//! A layer's backward pass is one pass over its rows: batch norm's gradient, the weight gradient and the gradient of the
//! layer below, with its activation, all while the block is in cache.

mod backward;
mod forward;

use super::columns::Affine;
use super::{Norm, StackedMlp};
use crate::operator::{Argument, Forward, Fused, Gradients, apply};
use crate::rows::{InputDims, chunks};
use candle_core::{Result, Tensor};
use std::borrow::Cow;
use std::ops::Range;

/// What the forward pass keeps of a layer.
pub(crate) struct LayerState {
    // Activations are made again, block by block, and not written to memory and read back.
    /// Products before bias and norm, [experts, rows, out].
    products: Vec<f32>,
    /// Per expert.
    affines: Vec<Affine>,
}

/// Sizes of one call.
#[derive(Clone)]
struct Plan {
    num_rows: usize,
    input_dim: usize,
    chunks: Vec<Range<usize>>,
}

impl Plan {
    fn new(dims: InputDims) -> Self {
        Self {
            num_rows: dims.rows,
            input_dim: dims.width,
            chunks: chunks(dims.rows),
        }
    }
}

/// The forward pass: outputs [experts, rows, output_dim], and what the backward pass needs.
pub(crate) fn run_forward(
    mlp: &StackedMlp,
    xs: Argument<'_>,
    train: bool,
) -> Result<(Vec<f32>, Vec<LayerState>)> {
    forward::run(mlp, xs.values, &Plan::new(xs.dims), train)
}

/// The backward pass: adds to the parameters' gradients, and gives the inputs' where it is needed. An owned `gradient` of the
/// outputs is worked on in place.
pub(crate) fn run_backward(
    mlp: &StackedMlp,
    xs: Argument<'_>,
    states: &[LayerState],
    gradient: Cow<'_, [f32]>,
    needs_input_gradient: bool,
) -> Result<Option<Vec<f32>>> {
    let plan = Plan::new(xs.dims);
    backward::run(
        mlp,
        xs.values,
        states,
        gradient,
        &plan,
        needs_input_gradient,
    )
}

struct StackedMlpPasses {
    mlp: StackedMlp,
    train: bool,
    needs_input_gradient: bool,
}

pub(super) fn forward(mlp: &StackedMlp, xs: &Tensor, train: bool) -> Result<Tensor> {
    let passes = StackedMlpPasses {
        mlp: mlp.clone(),
        train,
        needs_input_gradient: xs.track_op(),
    };
    apply(passes, xs, xs, mlp.first_parameter())
}

impl Fused for StackedMlpPasses {
    const NAME: &'static str = "stacked-mlp";

    type Kept = Vec<LayerState>;

    fn forward(&self, xs: Argument<'_>, _same: Argument<'_>) -> Forward<Vec<f32>, Vec<LayerState>> {
        let (out, states) = run_forward(&self.mlp, xs, self.train)?;
        let shape = (self.mlp.num_experts(), xs.dims.rows, self.mlp.output_dim());
        Ok((out, shape.into(), self.train.then_some(states)))
    }

    fn backward(
        &self,
        xs: Argument<'_>,
        _same: Argument<'_>,
        gradient: &[f32],
        states: Vec<LayerState>,
    ) -> Result<Gradients<Vec<f32>>> {
        let needed = self.needs_input_gradient;
        let of_xs = run_backward(&self.mlp, xs, &states, gradient.into(), needed)?;
        Ok([of_xs, None])
    }
}

/// Whether the layer's gradient runs through the batch's statistics.
fn is_batch_norm(norm: &Norm) -> bool {
    matches!(norm, Norm::Batch { .. })
}
