//! A level of experts as one program: those of its parts, with the gradients between them as plain buffers that never pass
//! candle's graph.

use super::buffer::{Address, Buffer};
use super::feature_gate::{self, FeatureGatesProgram};
use super::gate_logits::GateLogitsProgram;
use super::machine::Machine;
use super::mix::MixProgram;
use super::operator::{Input, Program, apply};
use super::stacked_mlp::{LayerState, StackedMlpProgram};
use crate::mixture::{GatesRead, MixtureOperators};
use crate::operator::{Forward, Gradients};
use crate::rows::InputDims;
use candle_core::{Result, Shape, Tensor};

/// Inputs must have been checked.
pub(crate) fn forward(
    machine: Machine,
    operators: &MixtureOperators,
    gates_read: GatesRead,
    xs: &Tensor,
    gate_xs: &Tensor,
    train: bool,
) -> Result<Tensor> {
    let needs_input_gradient = xs.track_op();
    let feature_gates = operators.feature_gates.as_ref();
    let of_experts = feature_gates.is_some() || needs_input_gradient;
    let program = MixtureProgram {
        feature_gates: feature_gates
            .map(|gates| FeatureGatesProgram::new(gates, train, needs_input_gradient)),
        experts: StackedMlpProgram::new(&operators.experts, train, of_experts),
        logits: GateLogitsProgram::new(&operators.logits, false),
        mix: MixProgram::new(&operators.mix),
        gates_read,
    };
    let anchor = operators.experts.first_parameter();
    apply(machine, program, xs, gate_xs, anchor)
}

struct MixtureProgram {
    feature_gates: Option<FeatureGatesProgram>,
    experts: StackedMlpProgram,
    logits: GateLogitsProgram,
    mix: MixProgram,
    gates_read: GatesRead,
}

/// A buffer with its sizes, and what the program that made it keeps.
struct Made<K> {
    buffer: Buffer,
    dims: InputDims,
    kept: Option<K>,
}

impl<K> Made<K> {
    fn new((buffer, shape, kept): (Buffer, Shape, Option<K>)) -> Result<Self> {
        let dims = InputDims::of(shape.dims())?;
        Ok(Self { buffer, dims, kept })
    }

    fn input(&mut self) -> Result<Input> {
        Ok(Input {
            address: self.buffer.address()?,
            dims: self.dims,
        })
    }

    fn take_kept(&mut self) -> Result<K> {
        match self.kept.take() {
            Some(kept) => Ok(kept),
            None => candle_core::bail!("mixture: a backward pass needs a forward pass in training"),
        }
    }
}

struct Kept {
    gated: Option<Made<feature_gate::State>>,
    experts: Made<Vec<LayerState>>,
    logits: Made<()>,
    weights: Buffer,
}

impl Program for MixtureProgram {
    const NAME: &'static str = "mixture";

    type Kept = Kept;

    fn forward(&self, machine: &Machine, xs: Input, gate_xs: Input) -> Forward<Buffer, Kept> {
        let gates = self.feature_gates.as_ref();
        let mut gated = gates
            .map(|gates| Made::new(gates.forward(machine, xs, xs)?))
            .transpose()?;
        let expert_xs = match &mut gated {
            Some(gated) => gated.input()?,
            None => xs,
        };
        let mut experts = Made::new(self.experts.forward(machine, expert_xs, expert_xs)?)?;
        let read = self.gates_read.choose(gate_xs, expert_xs);
        let mut logits = Made::new(self.logits.forward(machine, read, read)?)?;
        let of_mix = self
            .mix
            .forward(machine, experts.input()?, logits.input()?)?;
        let (out, shape, weights) = of_mix;
        let is_training = experts.kept.is_some();
        let kept = weights.filter(|_| is_training).map(|weights| Kept {
            gated,
            experts,
            logits,
            weights,
        });
        Ok((out, shape, kept))
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input,
        gate_xs: Input,
        gradient: Address,
        kept: Kept,
    ) -> Result<Gradients<Buffer>> {
        let Kept {
            mut gated,
            mut experts,
            mut logits,
            weights,
        } = kept;
        let (of_experts, of_logits) = (experts.input()?, logits.input()?);
        let of_mix = self
            .mix
            .backward(machine, of_experts, of_logits, gradient, weights)?;
        let [Some(mut of_experts), Some(mut of_logits)] = of_mix else {
            candle_core::bail!("mixture: a mix gives both gradients");
        };
        let expert_xs = match &mut gated {
            Some(gated) => gated.input()?,
            None => xs,
        };
        let (of_experts, of_logits) = (of_experts.address()?, of_logits.address()?);
        // Taken, so that the experts' buffers go as soon as their pass is asked for.
        let states = experts.take_kept()?;
        let [of_expert_xs, _] = self
            .experts
            .backward(machine, expert_xs, expert_xs, of_experts, states)?;
        let read = self.gates_read.choose(gate_xs, expert_xs);
        let gates = self.feature_gates.as_ref();
        self.gates_read.input_gradients(
            of_expert_xs,
            |of_gated| match (gates, &mut gated, of_gated) {
                (Some(gates), Some(gated), Some(mut of_gated)) => {
                    let (slopes, state) = (of_gated.address()?, gated.take_kept()?);
                    let [of_xs, _] = gates.backward(machine, xs, xs, slopes, state)?;
                    Ok(of_xs)
                }
                (_, _, of_xs) => Ok(of_xs),
            },
            |wanted| self.logits.run_backward(machine, read, of_logits, wanted),
        )
    }
}
