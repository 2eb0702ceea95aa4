//! Feature gates as one candle operator on the CPU in f32.
//!
//! Everything that reads one input is packed side by side, [A of each LoRA of each gate | W of each gate], so that the low-rank
//! products of an input are one product. Backward is one pass over the rows. Kept for it: the packed product (its softmax
//! columns already weights) and each LoRA's sigmoid; making the sigmoids again would cost more time than reading them.

mod backward;
mod forward;
mod packed;

use super::FeatureGates;
use crate::parameter::{argument, values};
use crate::rows::{chunks, unspecified};
use backward::Backward;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use forward::Forward;
use std::sync::{Mutex, PoisonError};

/// What forward keeps.
struct State {
    /// Per input: the packed product, [rows, width], with softmax weights in place of logits.
    hidden: Vec<Vec<f32>>,
    /// [gates, loras, rows, dim].
    sigmoids: Vec<f32>,
}

struct Operator {
    gates: FeatureGates,
    train: bool,
    needs_input_gradient: bool,
    state: Mutex<Option<State>>,
}

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        gates: gates.clone(),
        train,
        needs_input_gradient: xs.track_op(),
        state: Mutex::default(),
    };
    xs.contiguous()?
        .apply_op2(gates.weight.parameters()[0].tensor(), operator)
}

fn num_inputs_and_rows(dims: &[usize]) -> (usize, usize) {
    match *dims {
        [inputs, rows, _] => (inputs, rows),
        [rows, ..] => (1, rows),
        [] => (0, 0),
    }
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "feature-gates"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let xs = argument(storage, layout)?;
        let (num_inputs, num_rows) = num_inputs_and_rows(layout.dims());
        let (dim, num_gates) = (self.gates.dim(), self.gates.sources.len());
        let forward = Forward {
            gates: &self.gates,
            xs,
            num_rows,
            packed: self.gates.pack(num_inputs)?,
            lora_b: self.gates.lora_b.read()?,
        };
        let mut out = unspecified(num_gates * num_rows * dim);
        let state = forward.run(&mut out);
        if self.train {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
        Ok((CpuStorage::F32(out), (num_gates, num_rows, dim).into()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        _anchor: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let state = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(state) = state else {
            candle_core::bail!("feature-gates: a backward pass needs a forward pass in training");
        };
        let (num_inputs, num_rows) = num_inputs_and_rows(xs.dims());
        let gradient = gradient.contiguous()?;
        let backward = Backward {
            gates: &self.gates,
            xs: &values(xs)?,
            gradient: &values(&gradient)?,
            num_rows,
            packed: self.gates.pack(num_inputs)?,
            state: &state,
            chunks: chunks(num_rows),
        };
        let input_gradient = backward.run()?;
        let input_gradient = self
            .needs_input_gradient
            .then(|| Tensor::from_vec(input_gradient, xs.shape(), xs.device()))
            .transpose()?;
        Ok((input_gradient, None))
    }
}

/// Sizes that every gate of an operator has.
struct FeatureGatesDims {
    dim: usize,
    rank: usize,
    num_lora: usize,
}

fn dims(gates: &FeatureGates) -> FeatureGatesDims {
    FeatureGatesDims {
        dim: gates.dim(),
        rank: gates.rank(),
        num_lora: gates.num_lora(),
    }
}
