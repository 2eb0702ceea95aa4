//! A level of experts as one program: those of its parts, with the gradients between them as plain buffers that never pass
//! candle's graph.

use super::buffer::{Address, Buffer};
use super::feature_gate::FeatureGatesProgram;
use super::gate_logits::{GateLogitsProgram, Wanted};
use super::machine::Machine;
use super::mix::MixProgram;
use super::operator::{Gradients, Input, Program, apply};
use super::stacked_mlp::StackedMlpProgram;
use crate::feature_gate::FeatureGates;
use crate::gate::{GateLogits, Mix};
use crate::stacked_mlp::StackedMlp;
use candle_core::{Result, Shape, Tensor};
use std::sync::{Mutex, PoisonError};

/// What a mixture is made of.
#[derive(Clone, Copy)]
pub(crate) struct MixtureParts<'a> {
    pub(crate) feature_gates: Option<&'a FeatureGates>,
    pub(crate) experts: &'a StackedMlp,
    pub(crate) logits: &'a GateLogits,
    pub(crate) mix: &'a Mix,
    pub(crate) gates_read_gated: bool,
}

/// Inputs must have been checked.
pub(crate) fn forward(
    machine: Machine,
    parts: MixtureParts<'_>,
    xs: &Tensor,
    gate_xs: Option<&Tensor>,
    train: bool,
) -> Result<Tensor> {
    let gates_read = match gate_xs {
        Some(given) => GatesRead::Given {
            needs_gradient: given.track_op(),
        },
        None if parts.gates_read_gated => GatesRead::Gated,
        None => GatesRead::Inputs,
    };
    let needs_input_gradient = xs.track_op();
    let is_gated = parts.feature_gates.is_some();
    let program = MixtureProgram {
        feature_gates: parts
            .feature_gates
            .map(|gates| FeatureGatesProgram::new(gates, train, needs_input_gradient)),
        experts: StackedMlpProgram::new(parts.experts, train, is_gated || needs_input_gradient),
        logits: GateLogitsProgram::new(parts.logits, false),
        mix: MixProgram::new(parts.mix),
        gates_read,
        train,
        kept: Mutex::default(),
    };
    let anchor = parts.experts.first_parameter();
    apply(machine, program, xs, gate_xs.unwrap_or(xs), anchor)
}

/// What the gates' logits are computed from.
#[derive(Clone, Copy, PartialEq)]
enum GatesRead {
    /// The experts' inputs, before any feature gate.
    Inputs,
    /// What the feature gates give.
    Gated,
    /// An input of their own.
    Given { needs_gradient: bool },
}

struct MixtureProgram {
    feature_gates: Option<FeatureGatesProgram>,
    experts: StackedMlpProgram,
    logits: GateLogitsProgram,
    mix: MixProgram,
    gates_read: GatesRead,
    train: bool,
    kept: Mutex<Option<Kept>>,
}

/// A buffer with its shape.
struct Value {
    buffer: Buffer,
    dims: Vec<usize>,
}

impl Value {
    fn new((buffer, shape): (Buffer, Shape)) -> Self {
        Self {
            buffer,
            dims: shape.into_dims(),
        }
    }

    fn input(&mut self) -> Result<Input<'_>> {
        Ok(Input {
            address: self.buffer.address()?,
            dims: &self.dims,
        })
    }
}

/// What forward keeps beside what its parts keep.
struct Kept {
    gated: Option<Value>,
    experts: Value,
    logits: Value,
}

impl MixtureProgram {
    /// What the gates read, of the program's second argument, or what the experts read.
    fn gate_input<'a>(&self, gate_xs: Input<'a>, expert_xs: Input<'a>) -> Input<'a> {
        match self.gates_read {
            GatesRead::Gated => expert_xs,
            GatesRead::Inputs | GatesRead::Given { .. } => gate_xs,
        }
    }
}

impl Program for MixtureProgram {
    fn name(&self) -> &'static str {
        "mixture"
    }

    fn forward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        gate_xs: Input<'_>,
    ) -> Result<(Buffer, Shape)> {
        let mut gated = match &self.feature_gates {
            Some(gates) => Some(Value::new(gates.forward(machine, xs, xs)?)),
            None => None,
        };
        let expert_xs = match &mut gated {
            Some(gated) => gated.input()?,
            None => xs,
        };
        let mut experts = Value::new(self.experts.forward(machine, expert_xs, expert_xs)?);
        let read = self.gate_input(gate_xs, expert_xs);
        let mut logits = Value::new(self.logits.forward(machine, read, read)?);
        let out = self
            .mix
            .forward(machine, experts.input()?, logits.input()?)?;
        if self.train {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept {
                gated,
                experts,
                logits,
            });
        }
        Ok(out)
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        gate_xs: Input<'_>,
        gradient: Address,
    ) -> Result<Gradients> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Kept {
            mut gated,
            mut experts,
            mut logits,
        }) = kept
        else {
            candle_core::bail!("mixture: a backward pass needs a forward pass in training");
        };
        let of_mix = self
            .mix
            .backward(machine, experts.input()?, logits.input()?, gradient)?;
        let [Some(mut of_experts), Some(mut of_logits)] = of_mix else {
            candle_core::bail!("mixture: a mix gives both gradients");
        };
        let expert_xs = match &mut gated {
            Some(gated) => gated.input()?,
            None => xs,
        };
        let (of_experts, of_logits) = (of_experts.address()?, of_logits.address()?);
        let [of_expert_xs, _] = self
            .experts
            .backward(machine, expert_xs, expert_xs, of_experts)?;
        let read = self.gate_input(gate_xs, expert_xs);
        let through_logits =
            |wanted: Wanted| self.logits.run_backward(machine, read, of_logits, wanted);
        let added_to = |others: Option<Buffer>| match others {
            Some(others) => Wanted::AddedTo(others),
            None => Wanted::Nothing,
        };
        let through_gates = |of_gated: Option<Buffer>| match (&self.feature_gates, of_gated) {
            (Some(gates), Some(mut of_gated)) => {
                let [of_xs, _] = gates.backward(machine, xs, xs, of_gated.address()?)?;
                Result::<_>::Ok(of_xs)
            }
            (_, of_xs) => Ok(of_xs),
        };
        match self.gates_read {
            GatesRead::Gated => {
                let of_gated = through_logits(added_to(of_expert_xs))?;
                Ok([through_gates(of_gated)?, None])
            }
            GatesRead::Inputs => {
                let of_xs = through_gates(of_expert_xs)?;
                Ok([through_logits(added_to(of_xs))?, None])
            }
            GatesRead::Given { needs_gradient } => {
                let wanted = match needs_gradient {
                    true => Wanted::Fresh,
                    false => Wanted::Nothing,
                };
                let of_gates = through_logits(wanted)?;
                Ok([through_gates(of_expert_xs)?, of_gates])
            }
        }
    }
}
