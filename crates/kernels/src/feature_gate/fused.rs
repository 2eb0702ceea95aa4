//! Feature gates as one candle operator on the CPU in f32.
//!
//! Everything that reads one input is packed side by side, [A of each LoRA of each gate | W of each gate], so that the low-rank
//! products of an input are one product. Backward is one pass over the rows. Kept for it: the packed product (its softmax
//! columns already weights) and each LoRA's sigmoid; making the sigmoids again would cost more time than reading them.

mod backward;
mod forward;
mod packed;

use super::FeatureGates;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::rows::{chunks, unspecified};
use backward::Backward;
use candle_core::{Result, Tensor};
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
}

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        gates: gates.clone(),
        train,
        needs_input_gradient: xs.track_op(),
    };
    apply_2(operator, xs, gates.weight.parameters()[0].tensor())
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
}

impl Fused<2> for Operator {
    const NAME: &'static str = "feature-gates";
    type Kept = State;

    fn forward(&self, [xs, _anchor]: [Argument<'_>; 2]) -> Result<Output<State>> {
        let num_rows = num_rows(xs.dims);
        let (out, state) = run_forward(&self.gates, xs.values, num_rows)?;
        Ok(Output {
            values: out,
            shape: (self.gates.sources.len(), num_rows, self.gates.dim()).into(),
            kept: self.train.then_some(state),
        })
    }

    fn backward(
        &self,
        [xs, _anchor]: [Argument<'_>; 2],
        arrived: Arrived<'_, State>,
    ) -> Result<Gradients<2>> {
        let (num_rows, gradient) = (num_rows(xs.dims), arrived.gradient);
        let of_xs = run_backward(&self.gates, xs.values, &arrived.kept, gradient, num_rows)?;
        Ok([self.needs_input_gradient.then_some(of_xs), None])
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
