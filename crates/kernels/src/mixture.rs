//! A level of experts as one operator: feature gates, experts, gate logits and mix.
//!
//! candle's backward pass makes a tensor of zeros and adds to it for every gradient of every operator, two more passes over
//! memory for each activation between two operators. Here the gradients of gated inputs, experts and logits go from one
//! backward pass to the next as plain buffers; only those of the level's inputs and outputs pass through candle's graph.

use crate::cuda::{self, Machine};
use crate::feature_gate::{self, FeatureGates};
use crate::gate::{GateLogits, InputGradient, Mix};
use crate::operator::{Argument, Forward, Fused, Gradients, apply};
use crate::rows::InputDims;
use crate::stacked_mlp::{self, StackedMlp};
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// What a mixture is made of.
#[derive(Debug)]
pub(crate) struct MixtureOperators {
    pub(crate) feature_gates: Option<FeatureGates>,
    pub(crate) experts: StackedMlp,
    pub(crate) logits: GateLogits,
    pub(crate) mix: Mix,
    gates_read_gated: bool,
}

/// Experts behind their feature gates, mixed by gates. Clones share everything.
///
/// ```
/// # use candle_core::{DType, Device, Result, Tensor, Var};
/// # use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
/// # use homebench_kernels::mixture::Mixture;
/// # use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
/// # use homebench_kernels::{Parameter, Role, Stack};
/// # fn main() -> Result<()> {
/// let parameter = |path: &str, shape: &[usize]| -> Result<Parameter> {
///     let var = Var::ones(shape, DType::F32, &Device::Cpu)?;
///     Ok(Parameter::new(path, var, Role::Trained))
/// };
/// // Two experts from 4 units to 2, and the gate of a task that sees both.
/// let layer = StackedLayer {
///     weight: Stack::new(vec![parameter("expert.weight", &[2, 4, 2])?], &[4, 2])?,
///     bias: None,
///     norm: Norm::None,
///     activation: Activation::Identity,
/// };
/// let experts = StackedMlp::new(vec![0, 0], vec![layer])?;
/// let logits = GateLogits::new(vec![LinearGate {
///     sources: vec![0],
///     weight: Some(parameter("gate.weight", &[4, 2])?),
///     bias: None,
///     num_logits: 2,
/// }])?;
/// let gate = MixGate {
///     experts: vec![0, 1],
///     activation: GateActivation::Softmax,
///     output: 0,
/// };
/// let mixture = Mixture::new(None, experts, logits, Mix::new(vec![gate], 2, 1)?, false)?;
///
/// let xs = Tensor::ones((8, 4), DType::F32, &Device::Cpu)?;
/// let mixed = mixture.forward_t(&xs, None, true)?;
/// assert_eq!(mixed.dims(), [1, 8, 2]);
/// assert_eq!(mixed.get(0)?.get(0)?.to_vec1::<f32>()?, [4.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Mixture {
    operators: Arc<MixtureOperators>,
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
            operators: Arc::new(MixtureOperators {
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
        let machine = Machine::of(xs).filter(|_| self.has_kernels());
        if machine.is_none() && !self.is_fused(xs, gate_xs) {
            let MixtureParts { experts, logits } = self.parts(xs, gate_xs, train)?;
            return self.operators.mix.forward(&experts, &logits);
        }
        self.check_inputs(xs, gate_xs, train)?;
        let gates_read = match gate_xs {
            Some(given) => GatesRead::Given {
                needs_gradient: given.track_op(),
            },
            None if self.operators.gates_read_gated => GatesRead::Gated,
            None => GatesRead::Inputs,
        };
        let gate_xs = gate_xs.unwrap_or(xs);
        if let Some(machine) = machine {
            return cuda::mixture(machine, &self.operators, gates_read, xs, gate_xs, train);
        }
        let passes = MixturePasses {
            operators: self.operators.clone(),
            train,
            needs_input_gradient: xs.track_op(),
            gates_read,
        };
        let anchor = self.operators.experts.first_parameter();
        apply(passes, xs, gate_xs, anchor)
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
        let mix = &self.operators.mix;
        mix.forward_composed(&experts, &logits)
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
        let parts = &*self.operators;
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
        let gates = self.operators.feature_gates.as_ref();
        self.operators.experts.has_kernels() && gates.is_none_or(FeatureGates::has_kernels)
    }

    fn is_fused(&self, xs: &Tensor, gate_xs: Option<&Tensor>) -> bool {
        let gates = self.operators.feature_gates.as_ref();
        self.operators.experts.is_fused(xs)
            && gates.is_none_or(|gates| gates.is_fused(xs))
            && gate_xs.is_none_or(|gate_xs| self.operators.logits.is_fused(gate_xs))
    }

    fn check_inputs(&self, xs: &Tensor, gate_xs: Option<&Tensor>, train: bool) -> Result<()> {
        let parts = &*self.operators;
        let mut expert_dims = xs.dims().to_vec();
        if let Some(gates) = &parts.feature_gates {
            gates.check_input(xs.dims())?;
            // Experts read one gated input for each feature gate instead of the inputs.
            expert_dims = [&[gates.num_gates()], &expert_dims[expert_dims.len() - 2..]].concat();
        }
        parts.experts.check_input(&expert_dims, train)?;
        let gate_dims = match (gate_xs, parts.gates_read_gated) {
            (Some(given), _) => given.dims(),
            (None, true) => &expert_dims,
            (None, false) => xs.dims(),
        };
        parts.logits.check_input(gate_dims)?;
        if InputDims::of(gate_dims)?.rows != InputDims::of(xs.dims())?.rows {
            candle_core::bail!("gates read {gate_dims:?} beside experts' {:?}", xs.dims());
        }
        Ok(())
    }
}

/// What the gates' logits are computed from.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum GatesRead {
    /// The experts' inputs, before any feature gate.
    Inputs,
    /// What the feature gates give.
    Gated,
    /// An input of their own.
    Given { needs_gradient: bool },
}

impl GatesRead {
    /// Of the operator's second argument, which is the gates' own input or the first argument again, and of what the experts
    /// read.
    pub(crate) fn choose<A>(self, gate_xs: A, expert_xs: A) -> A {
        match self {
            Self::Gated => expert_xs,
            Self::Inputs | Self::Given { .. } => gate_xs,
        }
    }

    /// The gradients of the operator's two arguments, from the experts' gradient of what they read and the backward passes of
    /// the other parts. Where gates and experts read the same, the second of them adds to what the first found.
    pub(crate) fn input_gradients<B>(
        self,
        of_expert_xs: Option<B>,
        through_feature_gates: impl FnOnce(Option<B>) -> Result<Option<B>>,
        through_logits: impl FnOnce(InputGradient<B>) -> Result<Option<B>>,
    ) -> Result<Gradients<B>> {
        let added_to = |others| match others {
            Some(others) => InputGradient::AddTo(others),
            None => InputGradient::Unneeded,
        };
        Ok(match self {
            Self::Gated => {
                let of_gated = through_logits(added_to(of_expert_xs))?;
                [through_feature_gates(of_gated)?, None]
            }
            Self::Inputs => {
                let of_xs = through_feature_gates(of_expert_xs)?;
                [through_logits(added_to(of_xs))?, None]
            }
            Self::Given { needs_gradient } => [
                through_feature_gates(of_expert_xs)?,
                through_logits(InputGradient::if_needed(needs_gradient))?,
            ],
        })
    }
}

/// What forward keeps for backward.
struct Kept {
    /// Gated inputs with what the feature gates keep.
    gated: Option<(Vec<f32>, feature_gate::State)>,
    expert_states: Vec<stacked_mlp::LayerState>,
    experts: Vec<f32>,
    weights: Vec<f32>,
}

struct MixturePasses {
    operators: Arc<MixtureOperators>,
    train: bool,
    needs_input_gradient: bool,
    gates_read: GatesRead,
}

impl MixturePasses {
    /// What the experts read, where feature gates gave `gated` or left the inputs as they are.
    fn expert_input<'a>(&self, xs: Argument<'a>, gated: Option<&'a [f32]>) -> Argument<'a> {
        let Some(values) = gated else { return xs };
        let gates = self.operators.feature_gates.as_ref();
        let dims = InputDims {
            inputs: gates.map_or(1, FeatureGates::num_gates),
            ..xs.dims
        };
        Argument { values, dims }
    }
}

impl Fused for MixturePasses {
    const NAME: &'static str = "mixture";

    type Kept = Kept;

    fn forward(&self, xs: Argument<'_>, gate_xs: Argument<'_>) -> Forward<Vec<f32>, Kept> {
        let MixtureOperators {
            feature_gates,
            experts,
            logits,
            mix,
            ..
        } = &*self.operators;
        let gates = feature_gates.as_ref();
        let gated = gates
            .map(|gates| feature_gate::run_forward(gates, xs))
            .transpose()?;
        let expert_xs = self.expert_input(xs, gated.as_ref().map(|(gated, _)| &**gated));
        let (of_experts, expert_states) = stacked_mlp::run_forward(experts, expert_xs, self.train)?;
        let mut weights = logits.run_forward(self.gates_read.choose(gate_xs, expert_xs))?;
        let (num_rows, width) = (xs.dims.rows, experts.output_dim());
        let out = mix
            .layout()
            .sums(&of_experts, &mut weights, num_rows, width);
        let kept = self.train.then_some(Kept {
            gated,
            expert_states,
            experts: of_experts,
            weights,
        });
        Ok((out, (mix.num_outputs(), num_rows, width).into(), kept))
    }

    fn backward(
        &self,
        xs: Argument<'_>,
        gate_xs: Argument<'_>,
        gradient: &[f32],
        kept: Kept,
    ) -> Result<Gradients<Vec<f32>>> {
        let operators = &*self.operators;
        let (num_rows, width) = (xs.dims.rows, operators.experts.output_dim());
        let Kept {
            gated,
            expert_states,
            experts,
            weights,
        } = kept;
        let [of_experts, of_logits] = operators
            .mix
            .layout()
            .gradients(&experts, &weights, gradient, num_rows, width);
        // What is done with goes before the next pass makes its own buffers: a step's most memory is here.
        drop((experts, weights));
        let expert_xs = self.expert_input(xs, gated.as_ref().map(|(gated, _)| &**gated));
        let of_expert_xs = stacked_mlp::run_backward(
            &operators.experts,
            expert_xs,
            &expert_states,
            of_experts.into(),
            gated.is_some() || self.needs_input_gradient,
        )?;
        drop(expert_states);
        let read = self.gates_read.choose(gate_xs, expert_xs);
        let gates = operators.feature_gates.as_ref();
        self.gates_read.input_gradients(
            of_expert_xs,
            |of_gated| match (gates, &gated, of_gated) {
                (Some(gates), Some((_, state)), Some(of_gated)) => {
                    let of_xs = feature_gate::run_backward(gates, xs, state, &of_gated)?;
                    Ok(self.needs_input_gradient.then_some(of_xs))
                }
                (_, _, of_xs) => Ok(of_xs),
            },
            |wanted| operators.logits.run_backward(read, &of_logits, wanted),
        )
    }
}
