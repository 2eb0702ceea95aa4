//! A level of expert sets and of the gates that mix them: what every mixture-of-experts model here is made of.
//!
//! Inputs are stacked, [inputs, batch, width]; expert sets and gates name the inputs that they read by index, so that the
//! choice of what each sees, HoME's hierarchy mask included, is data.

use super::gate::GateReader;
use super::level_config::{ExpertSet, FeatureGateConfig, Gate, LevelConfig, Own};
use crate::ModelError;
use crate::part::{Part, PartKind};
use crate::ranker::{GateKind, Trace, TrainingPass};
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Stack;
use homebench_kernels::feature_gate::FeatureGates;
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::mixture::{Mixture, MixtureParts};
use homebench_kernels::stacked_mlp::StackedMlp;
use std::ops::Range;

/// See the module.
pub(crate) struct Level {
    body: Body,
    mix: Mix,
    /// Each set and the places of its experts.
    sets: Vec<(Part, Range<usize>)>,
    /// Gates, self-gates and residuals in the order of their logits.
    gates: Vec<Gate>,
    flops_per_row: usize,
}

/// How experts and logits are computed.
enum Body {
    /// Linear gates: all of the level is one operator.
    Linear(Mixture),
    /// Networks before the gates: an operator a part.
    Networks(Box<ByParts>),
}

/// The parts of a level whose gates have networks before them.
struct ByParts {
    feature_gates: Option<FeatureGates>,
    gates_read_gated: bool,
    experts: StackedMlp,
    reader: GateReader,
}

impl Body {
    /// Outputs of the experts and logits of the gates.
    fn parts(&self, xs: &Tensor, gate_xs: Option<&Tensor>, train: bool) -> Result<MixtureParts> {
        match self {
            Self::Linear(mixture) => mixture.parts(xs, gate_xs, train),
            Self::Networks(parts) => parts.forward_t(xs, gate_xs, train),
        }
    }
}

impl ByParts {
    fn forward_t(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        train: bool,
    ) -> Result<MixtureParts> {
        let gates = self.feature_gates.as_ref();
        let gated = gates.map(|gates| gates.forward_t(xs, train)).transpose()?;
        let expert_xs = gated.as_ref().unwrap_or(xs);
        let gate_xs = gate_xs.unwrap_or(match self.gates_read_gated {
            true => expert_xs,
            false => xs,
        });
        Ok(MixtureParts {
            experts: self.experts.forward_t(expert_xs, train)?,
            logits: self.reader.forward_t(gate_xs, train)?,
        })
    }
}

impl Level {
    /// Builds the level's variables under the paths of its sets and gates.
    pub(crate) fn new(
        config: &LevelConfig,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let (feature_gates, sources) = match &config.feature_gate {
            Some(gate) => {
                let (gates, sources) = build_feature_gates(gate, config, vb)?;
                (Some(gates), sources)
            }
            None => (None, raw_sources(&config.sets)),
        };
        let sets = set_ranges(config);
        let builders: Vec<(VarBuilder, usize)> = sets
            .iter()
            .enumerate()
            .map(|(index, (part, experts))| {
                let own = Own::has(&config.own.sets, index);
                (vb.of_one_task(own).part(part), experts.len())
            })
            .collect();
        // The reader orders the gates; whatever goes with their logits below follows that order.
        let reader = GateReader::new(config, vb)?;
        let order = reader.order.iter();
        let gates: Vec<Gate> = order.map(|index| config.gates[*index].clone()).collect();
        let mix = Mix::new(
            gates.iter().map(mix_gate).collect(),
            config.num_experts(),
            config.num_outputs,
        )?;
        let experts = config.expert.build(config.input_dim, &builders, sources)?;
        let gates_read_gated = config
            .feature_gate
            .is_some_and(|gate| gate.gates_read_gated);
        let body = match reader.into_linear() {
            Ok(logits) => Body::Linear(Mixture::new(
                feature_gates,
                experts,
                logits,
                mix.clone(),
                gates_read_gated,
            )?),
            // The one operator has no place for the networks of `gate_dims`; no default needs them.
            Err(reader) => Body::Networks(Box::new(ByParts {
                feature_gates,
                gates_read_gated,
                experts,
                reader: *reader,
            })),
        };
        Ok(Self {
            body,
            mix,
            sets,
            gates,
            flops_per_row: config.flops_per_row(),
        })
    }

    /// Runs the level; gates read `gate_xs` where given, else `xs` or its gated form.
    ///
    /// # Shapes
    /// - xs: [inputs, batch, input_dim] or [batch, input_dim]
    /// - result: [outputs, batch, expert_dim]
    pub(crate) fn forward_t(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        train: bool,
        trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        // A trace needs what the one operator keeps to itself. Both ways sum in the same order: looking inside changes no bit.
        if let (Body::Linear(mixture), None) = (&self.body, &trace) {
            return mixture.forward_t(xs, gate_xs, train);
        }
        let MixtureParts { experts, logits } = self.body.parts(xs, gate_xs, train)?;
        if let Some(trace) = trace {
            // The mix below gives no weights away, so they are made once more, apart from the graph.
            let weights = self.mix.weights(&logits.detach())?;
            for (gate, weights) in self.gates.iter().zip(weights) {
                // A residual is no gate.
                if gate.kind != GateKind::Residual {
                    trace.push_gate(&gate.part, gate.kind, &gate.experts, weights);
                }
            }
            for (part, range) in &self.sets {
                trace.push_experts(part, &experts.narrow(0, range.start, range.len())?);
            }
        }
        self.mix.forward(&experts, &logits)
    }

    /// As [`Self::forward_t`] in training, cut at what the experts put out.
    pub(crate) fn forward_cut(
        &self,
        xs: &Tensor,
        gate_xs: Option<&Tensor>,
        pass: &TrainingPass<'_>,
    ) -> Result<Tensor> {
        let MixtureParts { experts, logits } = self.body.parts(xs, gate_xs, true)?;
        self.mix.forward(&pass.represent(experts)?, &logits)
    }

    pub(crate) fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

fn mix_gate(gate: &Gate) -> MixGate {
    MixGate {
        experts: gate.experts.clone(),
        activation: match gate.kind {
            GateKind::Softmax => GateActivation::Softmax,
            // A softmax over one expert would always be 1. HoME says sigmoid there, softmax where a set has several.
            GateKind::SelfGate if gate.experts.len() == 1 => GateActivation::Sigmoid,
            GateKind::SelfGate => GateActivation::Softmax,
            GateKind::Residual => GateActivation::Identity,
        },
        output: gate.output,
        stopped: gate.stopped.clone(),
    }
}

/// The input of each expert, where no feature gates stand between.
fn raw_sources(sets: &[ExpertSet]) -> Vec<usize> {
    sets.iter().flat_map(|set| set.sources.clone()).collect()
}

fn set_ranges(config: &LevelConfig) -> Vec<(Part, Range<usize>)> {
    let mut start = 0;
    let sets = config.sets.iter();
    sets.map(|set| {
        let range = start..start + set.sources.len();
        start = range.end;
        (set.place.part(PartKind::Experts, config.index), range)
    })
    .collect()
}

/// The level's feature gates, and the gated input that each expert reads.
fn build_feature_gates(
    gate: &FeatureGateConfig,
    config: &LevelConfig,
    vb: &VarBuilder,
) -> std::result::Result<(FeatureGates, Vec<usize>), ModelError> {
    let dim = config.input_dim;
    // The product of [dim, rank] and [rank, dim] has no higher rank than dim: what is beyond would be learnt for nothing.
    if gate.rank > dim {
        return Err(ModelError::knob(
            "rank",
            format!(
                "expected at most the width of the gated input, {dim}, found {}",
                gate.rank
            ),
        ));
    }
    let (mut weights, mut lora_a, mut lora_b) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sources, mut expert_sources) = (Vec::new(), Vec::new());
    for (index, set) in config.sets.iter().enumerate() {
        let vb = vb.of_one_task(Own::has(&config.own.feature_gates, index));
        let vb = vb.part(&set.place.part(PartKind::FeatureGate, config.index));
        let first = sources.len();
        let lead: &[usize] = if gate.per_expert {
            expert_sources.extend(first..first + set.sources.len());
            sources.extend(&set.sources);
            &[set.sources.len()]
        } else {
            expert_sources.extend(vec![first; set.sources.len()]);
            // Only HoME has feature gates, and there all experts of a set read one input.
            sources.push(set.sources[0]);
            &[]
        };
        let shape = |rest: &[usize]| [lead, rest].concat();
        let (loras, rank) = (gate.num_lora, gate.rank);
        weights.push(vb.get(shape(&[dim, loras]), "weight", Init::fan_in(dim))?);
        lora_a.push(vb.get(shape(&[loras, dim, rank]), "lora_a", Init::fan_in(dim))?);
        // Zero, so that every gate starts at exactly 1.
        lora_b.push(vb.get(shape(&[loras, rank, dim]), "lora_b", Init::Constant(0.0))?);
    }
    let (loras, rank) = (gate.num_lora, gate.rank);
    let gates = FeatureGates::new(
        sources,
        Stack::new(weights, &[dim, loras])?,
        Stack::new(lora_a, &[loras, dim, rank])?,
        Stack::new(lora_b, &[loras, rank, dim])?,
        gate.mix,
    )?;
    Ok((gates, expert_sources))
}
