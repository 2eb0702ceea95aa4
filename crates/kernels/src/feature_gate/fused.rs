//! Feature gates as one candle operator on the CPU in f32.
//!
//! Everything that reads one input is packed side by side, [A of each LoRA of each gate | W of each gate], so that the low-rank
//! products of an input are one product. Backward is one pass over the rows. Kept for it: the packed product (its softmax
//! columns already weights) and each LoRA's sigmoid; making the sigmoids again would cost more time than reading them.

mod backward;
mod forward;
mod packed;

use super::FeatureGates;
use crate::operator::{self, Argument, Fused, Gradients, apply};
use crate::rows::chunks;
use backward::Backward;
use candle_core::{Result, Tensor};
use forward::Forward;

/// What forward keeps.
pub(crate) struct State {
    /// Per input: the packed product, [rows, width], with softmax weights in place of logits.
    hidden: Vec<Vec<f32>>,
    /// [gates, loras, rows, dim].
    sigmoids: Vec<f32>,
}

/// The forward pass: gated inputs [gates, rows, dim], and what the backward pass needs.
pub(crate) fn run_forward(gates: &FeatureGates, xs: Argument<'_>) -> Result<(Vec<f32>, State)> {
    let forward = Forward {
        gates,
        xs: xs.values,
        num_rows: xs.dims.rows,
        packed: gates.pack(xs.dims.inputs)?,
        lora_b: gates.lora_b.read()?,
    };
    Ok(forward.run())
}

/// The backward pass: adds to the parameters' gradients and gives the inputs'.
pub(crate) fn run_backward(
    gates: &FeatureGates,
    xs: Argument<'_>,
    state: &State,
    gradient: &[f32],
) -> Result<Vec<f32>> {
    let backward = Backward {
        gates,
        xs: xs.values,
        gradient,
        num_rows: xs.dims.rows,
        packed: gates.pack(xs.dims.inputs)?,
        state,
        chunks: chunks(xs.dims.rows),
    };
    backward.run()
}

struct FeatureGatesPasses {
    gates: FeatureGates,
    train: bool,
    needs_input_gradient: bool,
}

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor, train: bool) -> Result<Tensor> {
    let passes = FeatureGatesPasses {
        gates: gates.clone(),
        train,
        needs_input_gradient: xs.track_op(),
    };
    apply(passes, xs, xs, gates.weight.parameters()[0].tensor())
}

impl Fused for FeatureGatesPasses {
    const NAME: &'static str = "feature-gates";

    type Kept = State;

    fn forward(&self, xs: Argument<'_>, _same: Argument<'_>) -> operator::Forward<Vec<f32>, State> {
        let (out, state) = run_forward(&self.gates, xs)?;
        let shape = (self.gates.num_gates(), xs.dims.rows, self.gates.dim());
        Ok((out, shape.into(), self.train.then_some(state)))
    }

    fn backward(
        &self,
        xs: Argument<'_>,
        _same: Argument<'_>,
        gradient: &[f32],
        state: State,
    ) -> Result<Gradients<Vec<f32>>> {
        let of_xs = run_backward(&self.gates, xs, &state, gradient)?;
        Ok([self.needs_input_gradient.then_some(of_xs), None])
    }
}
