//! Stacked networks as one candle operator on the CPU in f32.
//!
//! Forward keeps each layer's products `z` alone; activations are made again, block by block, where a product needs them.
//! A layer's backward pass is one pass over its rows: batch norm's gradient, the weight gradient and the gradient of the
//! layer below, with its activation, all while the block is in cache.

mod backward;
mod forward;

use super::columns::Affine;
use super::{Norm, StackedMlp};
use crate::parameter::{argument, values};
use crate::rows::chunks;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;

/// What the forward pass keeps of a layer.
pub(crate) struct LayerState {
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
    fn new(mlp: &StackedMlp, num_rows: usize) -> Self {
        Self {
            num_rows,
            input_dim: mlp.layers[0].weight.expert_shape()[0],
            chunks: chunks(num_rows),
        }
    }
}

/// The forward pass on slices: from inputs [inputs, rows, input_dim] to outputs [experts, rows, output_dim], and what the
/// backward pass needs.
pub(crate) fn run_forward(
    mlp: &StackedMlp,
    xs: &[f32],
    num_rows: usize,
    train: bool,
) -> Result<(Vec<f32>, Vec<LayerState>)> {
    forward::run(mlp, xs, &Plan::new(mlp, num_rows), train)
}

/// The backward pass on slices: adds to the parameters' gradients, and gives the inputs' where it is needed. An owned
/// `gradient` of the outputs is worked on in place.
pub(crate) fn run_backward(
    mlp: &StackedMlp,
    xs: &[f32],
    states: &[LayerState],
    gradient: Cow<'_, [f32]>,
    num_rows: usize,
    needs_input_gradient: bool,
) -> Result<Option<Vec<f32>>> {
    let plan = Plan::new(mlp, num_rows);
    backward::run(mlp, xs, states, gradient, &plan, needs_input_gradient)
}

struct Operator {
    mlp: StackedMlp,
    train: bool,
    needs_input_gradient: bool,
    states: Mutex<Option<Vec<LayerState>>>,
}

pub(super) fn forward(mlp: &StackedMlp, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        mlp: mlp.clone(),
        train,
        needs_input_gradient: xs.track_op(),
        states: Mutex::default(),
    };
    // A variable among the arguments makes candle call the backward pass although the input may need no gradient.
    xs.contiguous()?.apply_op2(mlp.first_parameter(), operator)
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "stacked-mlp"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let xs = argument(storage, layout)?;
        let num_rows = num_rows(layout.dims());
        let (out, states) = run_forward(&self.mlp, xs, num_rows, self.train)?;
        if self.train {
            *self.lock() = Some(states);
        }
        let experts = self.mlp.num_experts();
        let width = out.len() / (experts * num_rows).max(1);
        Ok((CpuStorage::F32(out), (experts, num_rows, width).into()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        _anchor: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(states) = self.lock().take() else {
            candle_core::bail!("stacked-mlp: a backward pass needs a forward pass in training");
        };
        let gradient = gradient.contiguous()?;
        let input_gradient = run_backward(
            &self.mlp,
            &values(xs)?,
            &states,
            Cow::Borrowed(&values(&gradient)?),
            num_rows(xs.dims()),
            self.needs_input_gradient,
        )?;
        let input_gradient = input_gradient
            .map(|values| Tensor::from_vec(values, xs.shape(), xs.device()))
            .transpose()?;
        Ok((input_gradient, None))
    }
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
}

impl Operator {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<LayerState>>> {
        self.states
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether the layer's gradient runs through the batch's statistics.
fn is_batch_norm(norm: &Norm) -> bool {
    matches!(norm, Norm::Batch { .. })
}
