//! A level of experts as one operator: feature gates, experts, gate logits and mix.
//!
//! candle's backward pass makes a tensor of zeros and adds to it for every gradient of every operator, two more passes over
//! memory for each activation between two operators. Here the gradients of gated inputs, experts and logits go from one
//! backward pass to the next as plain buffers; only those of the level's inputs and outputs pass through candle's graph.

use crate::cuda::{self, Machine};
use crate::feature_gate::{self, FeatureGates};
use crate::gate::{GateLogits, InputGradient, Mix};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_3};
use crate::stacked_mlp::{self, StackedMlp};
use candle_core::{Result, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

/// What a mixture is made of.
#[derive(Debug)]
struct Parts {
    feature_gates: Option<FeatureGates>,
    experts: StackedMlp,
    logits: GateLogits,
    mix: Mix,
    gates_read_gated: bool,
}

/// Experts behind their feature gates, mixed by gates. Clones share everything.
#[derive(Debug, Clone)]
pub struct Mixture {
    parts: Arc<Parts>,
}

/// What a mixture computes between its inputs and its outputs.
#[derive(Debug)]
pub struct MixtureParts {
    /// Outputs of the experts, [experts, batch, expert_dim].
    pub experts: Tensor,
    /// Logits of all gates, [batch, logits].
    pub logits: Tensor,
}

impl Mixture {
    /// Experts read what `feature_gates` give, or the inputs where there are none. Gates read the inputs, or what
    /// `feature_gates` give where `gates_read_gated`.
    ///
    /// # Errors
    /// Numbers of experts or logits that don't meet, or gates of gated inputs without feature gates.
    pub fn new(
        feature_gates: Option<FeatureGates>,
        experts: StackedMlp,
        logits: GateLogits,
        mix: Mix,
        gates_read_gated: bool,
    ) -> Result<Self> {
        if experts.num_experts() != mix.num_experts() || logits.num_columns() != mix.num_columns() {
            candle_core::bail!(
                "a mix of {} experts by {} logits can't have {} experts and {} logits",
                mix.num_experts(),
                mix.num_columns(),
                experts.num_experts(),
                logits.num_columns()
            );
        }
        if gates_read_gated && feature_gates.is_none() {
            candle_core::bail!("gates can't read gated inputs without feature gates");
        }
        Ok(Self {
            parts: Arc::new(Parts {
                feature_gates,
                experts,
                logits,
                mix,
                gates_read_gated,
            }),
        })
    }

    /// The mixes of experts. Gates read `gate_xs` where it is given.
    ///
    /// # Shapes
    /// - xs, gate_xs: [inputs, batch, width], or [batch, width] for one input
    /// - result: [outputs, batch, expert_dim]
    ///
    /// # Errors
    /// Shapes that don't fit, an empty batch, or a batch of one row with batch norm in training.
    pub fn forward_t(&self, xs: &Tensor, gate_xs: Option<&Tensor>, train: bool) -> Result<Tensor> {
        if let Some(machine) =
            Machine::of(xs).filter(|_| self.has_kernels() && !self.parts.mix.stops_gradients())
        {
            self.check_inputs(xs, gate_xs, train)?;
            let parts = cuda::MixtureParts {
                feature_gates: self.parts.feature_gates.as_ref(),
                experts: &self.parts.experts,
                logits: &self.parts.logits,
                mix: &self.parts.mix,
                gates_read_gated: self.parts.gates_read_gated,
            };
            return cuda::mixture(machine, parts, xs, gate_xs, train);
        }
        if !self.is_fused(xs, gate_xs) {
            let MixtureParts { experts, logits } = self.parts(xs, gate_xs, train)?;
            return self.parts.mix.forward(&experts, &logits);
        }
        self.check_inputs(xs, gate_xs, train)?;
        let operator = Operator {
            parts: self.parts.clone(),
            train,
            needs_input_gradient: xs.track_op(),
            gates_read: match gate_xs {
                Some(given) => GatesRead::Given {
                    needs_gradient: given.track_op(),
                },
                None if self.parts.gates_read_gated => GatesRead::Gated,
                None => GatesRead::Inputs,
            },
        };
        let anchor = self.parts.experts.first_parameter();
        apply_3(operator, xs, gate_xs.unwrap_or(xs), anchor)
    }

    /// The same from candle's stock operators, on any device and type: the reference.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_composed(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor> {
        let MixtureParts { experts, logits } = self.run_parts(
            xs,
            gate_xs,
            FeatureGates::forward_composed,
            |experts, xs| experts.forward_composed(xs, train),
            GateLogits::forward_composed,
        )?;
        self.parts.mix.forward_composed(&experts, &logits)
    }

    /// What [`Self::forward_t`] keeps to itself, an operator a part.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn parts(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        train: bool,
    ) -> Result<MixtureParts> {
        self.run_parts(
            xs,
            gate_xs,
            |gates, xs| gates.forward_t(xs, train),
            |experts, xs| experts.forward_t(xs, train),
            GateLogits::forward,
        )
    }

    fn run_parts(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        feature_gates: impl Fn(&FeatureGates, &Tensor) -> Result<Tensor>,
        experts: impl Fn(&StackedMlp, &Tensor) -> Result<Tensor>,
        logits: impl Fn(&GateLogits, &Tensor) -> Result<Tensor>,
    ) -> Result<MixtureParts> {
        let parts = &*self.parts;
        let gates = parts.feature_gates.as_ref();
        let gated = gates.map(|gates| feature_gates(gates, xs)).transpose()?;
        let expert_xs = gated.as_ref().unwrap_or(xs);
        let gate_xs = gate_xs.unwrap_or(match parts.gates_read_gated {
            true => expert_xs,
            false => xs,
        });
        Ok(MixtureParts {
            experts: experts(&parts.experts, expert_xs)?,
            logits: logits(&parts.logits, gate_xs)?,
        })
    }

    /// Whether every part is of a kind that fused operators know.
    fn has_kernels(&self) -> bool {
        let gates = self.parts.feature_gates.as_ref();
        self.parts.experts.has_kernels() && gates.is_none_or(FeatureGates::has_kernels)
    }

    fn is_fused(&self, xs: &Tensor, gate_xs: Option<&Tensor>) -> bool {
        let gates = self.parts.feature_gates.as_ref();
        self.parts.experts.is_fused(xs)
            && gates.is_none_or(|gates| gates.is_fused(xs))
            && gate_xs.is_none_or(|gate_xs| self.parts.logits.is_fused(gate_xs))
    }

    fn check_inputs(&self, xs: &Tensor, gate_xs: Option<&Tensor>, train: bool) -> Result<()> {
        let parts = &*self.parts;
        let mut expert_dims = xs.dims().to_vec();
        if let Some(gates) = &parts.feature_gates {
            gates.check_input(xs.dims())?;
            expert_dims = [&[gates.num_gates()], &expert_dims[expert_dims.len() - 2..]].concat();
        }
        parts.experts.check_input(&expert_dims, train)?;
        let gate_dims = match (gate_xs, parts.gates_read_gated) {
            (Some(given), _) => given.dims(),
            (None, true) => &expert_dims,
            (None, false) => xs.dims(),
        };
        parts.logits.check_input(gate_dims)?;
        if num_rows(gate_dims) != num_rows(xs.dims()) {
            candle_core::bail!("gates read {gate_dims:?} beside experts' {:?}", xs.dims());
        }
        Ok(())
    }
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
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

/// What forward keeps for backward.
#[derive(Clone)]
struct Kept {
    /// Gated inputs with what the feature gates keep.
    gated: Option<(Vec<f32>, feature_gate::State)>,
    expert_states: Vec<stacked_mlp::LayerState>,
    experts: Vec<f32>,
    weights: Vec<f32>,
}

struct Operator {
    parts: Arc<Parts>,
    train: bool,
    needs_input_gradient: bool,
    gates_read: GatesRead,
}

/// Gradients of the inputs and of the gates' own input.
type InputGradients = (Option<Vec<f32>>, Option<Vec<f32>>);

impl Operator {
    fn run_forward(
        &self,
        xs: &[f32],
        gate_xs: &[f32],
        num_rows: usize,
    ) -> Result<(Vec<f32>, Kept)> {
        let parts = &*self.parts;
        let gated = parts
            .feature_gates
            .as_ref()
            .map(|gates| feature_gate::run_forward(gates, xs, num_rows))
            .transpose()?;
        let expert_xs = gated.as_ref().map_or(xs, |(gated, _)| gated);
        let (experts, expert_states) =
            stacked_mlp::run_forward(&parts.experts, expert_xs, num_rows, None, self.train)?;
        let gate_xs = self.gate_input(gate_xs, expert_xs);
        let mut weights = parts.logits.run_forward(gate_xs, num_rows)?;
        let width = parts.experts.output_dim();
        let out = parts.mix.sums(&experts, &mut weights, num_rows, width);
        let kept = Kept {
            gated,
            expert_states,
            experts,
            weights,
        };
        Ok((out, kept))
    }

    /// `gate_xs` is the operator's second argument: the gates' own input, or the first argument again.
    fn gate_input<'a>(&self, gate_xs: &'a [f32], expert_xs: &'a [f32]) -> &'a [f32] {
        match self.gates_read {
            GatesRead::Gated => expert_xs,
            GatesRead::Inputs | GatesRead::Given { .. } => gate_xs,
        }
    }

    fn run_backward(
        &self,
        xs: &[f32],
        gate_xs: &[f32],
        gradient: &[f32],
        num_rows: usize,
        kept: Kept,
    ) -> Result<InputGradients> {
        let parts = &*self.parts;
        let width = parts.experts.output_dim();
        let Kept {
            gated,
            expert_states,
            experts,
            weights,
        } = kept;
        let [of_experts, of_logits] =
            (parts.mix).gradients(&experts, &weights, gradient, num_rows, width);
        drop((experts, weights));
        let expert_xs = gated.as_ref().map_or(xs, |(gated, _)| gated);
        let of_expert_xs = stacked_mlp::run_backward(
            &parts.experts,
            &stacked_mlp::Forward {
                xs: expert_xs,
                num_rows,
                selection: None,
                states: &expert_states,
            },
            Cow::Owned(of_experts),
            gated.is_some() || self.needs_input_gradient,
        )?;
        drop(expert_states);
        let gate_xs = self.gate_input(gate_xs, expert_xs);
        let through_logits = |others: InputGradient| {
            (parts.logits).run_backward(gate_xs, &of_logits, num_rows, others)
        };
        let through_feature_gates = |of_gated: Option<Vec<f32>>| match (&gated, of_gated) {
            (Some((_, state)), Some(of_gated)) => {
                let gates = parts.feature_gates.as_ref().expect("they gave `gated`");
                feature_gate::run_backward(gates, xs, state, &of_gated, num_rows).map(Some)
            }
            (_, of_xs) => Ok(of_xs),
        };
        let add_to = |others: Option<Vec<f32>>| match others {
            Some(others) => InputGradient::AddTo(others),
            None => InputGradient::Unneeded,
        };
        Ok(match self.gates_read {
            GatesRead::Gated => {
                let of_gated = through_logits(add_to(of_expert_xs))?;
                (through_feature_gates(of_gated)?, None)
            }
            GatesRead::Inputs => {
                let of_xs = through_feature_gates(of_expert_xs)?;
                let of_xs = of_xs.filter(|_| self.needs_input_gradient);
                (through_logits(add_to(of_xs))?, None)
            }
            GatesRead::Given { needs_gradient } => {
                let wanted = match needs_gradient {
                    true => InputGradient::Fresh,
                    false => InputGradient::Unneeded,
                };
                (
                    through_feature_gates(of_expert_xs)?,
                    through_logits(wanted)?,
                )
            }
        })
    }
}

impl Fused<3> for Operator {
    const NAME: &'static str = "mixture";
    type Kept = Kept;

    fn forward(&self, [xs, gate_xs, _anchor]: [Argument<'_>; 3]) -> Result<Output<Kept>> {
        let num_rows = num_rows(xs.dims);
        let (out, kept) = self.run_forward(xs.values, gate_xs.values, num_rows)?;
        let width = self.parts.experts.output_dim();
        Ok(Output {
            values: out,
            shape: (self.parts.mix.num_outputs(), num_rows, width).into(),
            kept: self.train.then_some(kept),
        })
    }

    fn backward(
        &self,
        [xs, gate_xs, _anchor]: [Argument<'_>; 3],
        arrived: Arrived<'_, Kept>,
    ) -> Result<Gradients<3>> {
        let (of_xs, of_gate_xs) = self.run_backward(
            xs.values,
            gate_xs.values,
            arrived.gradient,
            num_rows(xs.dims),
            arrived.kept,
        )?;
        let of_xs = of_xs.filter(|_| self.needs_input_gradient);
        Ok([of_xs, of_gate_xs, None])
    }
}
