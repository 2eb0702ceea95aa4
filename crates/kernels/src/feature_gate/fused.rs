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
use crate::saved::{Saved, gradient_of};
use backward::Backward;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use forward::Forward;

/// What forward keeps.
#[derive(Clone)]
pub(crate) struct State {
    /// Per input: the packed product, [rows, width], with softmax weights in place of logits.
    hidden: Vec<Vec<f32>>,
    /// [gates, loras, rows, dim].
    sigmoids: Vec<f32>,
}

/// The forward pass on slices: from inputs [inputs, rows, dim] to gated inputs [gates, rows, dim], and what the backward pass
/// needs.
pub(crate) fn run_forward(
    gates: &FeatureGates,
    xs: &[f32],
    num_rows: usize,
) -> Result<(Vec<f32>, State)> {
    let dim = gates.dim();
    let forward = Forward {
        gates,
        xs,
        num_rows,
        packed: gates.pack(xs.len() / (num_rows * dim))?,
        lora_b: gates.lora_b.read()?,
    };
    let mut out = unspecified(gates.sources.len() * num_rows * dim);
    let state = forward.run(&mut out);
    Ok((out, state))
}

/// The backward pass on slices: adds to the parameters' gradients and gives the inputs'.
pub(crate) fn run_backward(
    gates: &FeatureGates,
    xs: &[f32],
    state: &State,
    gradient: &[f32],
    num_rows: usize,
) -> Result<Vec<f32>> {
    let backward = Backward {
        gates,
        xs,
        gradient,
        num_rows,
        packed: gates.pack(xs.len() / (num_rows * gates.dim()))?,
        state,
        chunks: chunks(num_rows),
    };
    backward.run()
}

struct Operator {
    gates: FeatureGates,
    train: bool,
    needs_input_gradient: bool,
    state: Saved<State>,
}

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        gates: gates.clone(),
        train,
        needs_input_gradient: xs.track_op(),
        state: Saved::default(),
    };
    xs.contiguous()?
        .apply_op2(gates.weight.parameters()[0].tensor(), operator)
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
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
        let num_rows = num_rows(layout.dims());
        let (dim, num_gates) = (self.gates.dim(), self.gates.sources.len());
        let (out, state) = run_forward(&self.gates, xs, num_rows)?;
        if self.train {
            self.state.put(state);
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
        let state = self.state.take(self.name())?;
        let gradient = gradient.contiguous()?;
        let (num_rows, gradient) = (num_rows(xs.dims()), &values(&gradient)?);
        let input_gradient = run_backward(&self.gates, &values(xs)?, &state, gradient, num_rows)?;
        let input_gradient = self.needs_input_gradient.then_some(input_gradient);
        Ok((gradient_of(xs, input_gradient)?, None))
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
