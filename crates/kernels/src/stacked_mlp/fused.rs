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
use std::ops::Range;
use std::sync::Mutex;

/// What the forward pass keeps of a layer.
struct LayerState {
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
    let anchor = mlp.layers[0].weight.parameters()[0].tensor();
    xs.contiguous()?.apply_op2(anchor, operator)
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
        let plan = self.plan(layout.dims());
        let num_rows = plan.num_rows;
        let (out, states) = forward::run(&self.mlp, xs, &plan, self.train)?;
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
        let plan = self.plan(xs.dims());
        let input = values(xs)?;
        let gradient = gradient.contiguous()?;
        let input_gradient = backward::run(
            &self.mlp,
            &input,
            &states,
            &values(&gradient)?,
            &plan,
            self.needs_input_gradient,
        )?;
        let input_gradient = input_gradient
            .map(|values| Tensor::from_vec(values, xs.shape(), xs.device()))
            .transpose()?;
        Ok((input_gradient, None))
    }
}

impl Operator {
    fn plan(&self, input_dims: &[usize]) -> Plan {
        let num_rows = input_dims[input_dims.len() - 2];
        Plan {
            num_rows,
            input_dim: input_dims[input_dims.len() - 1],
            chunks: chunks(num_rows),
        }
    }

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
