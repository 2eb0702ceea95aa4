//! A level of expert sets and of the gates that mix them: what every mixture-of-experts model here is made of.
//!
//! Inputs are stacked, [inputs, batch, width]; expert sets and gates name the inputs that they read by index, so that the
//! choice of what each sees, HoME's hierarchy mask included, is data.

use super::expert::ExpertConfig;
use super::gate::GateReader;
use crate::ModelError;
use crate::knobs::Knobs;
use crate::ranker::{GateKind, Trace};
use crate::variables::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Stack;
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::mixture::{Mixture, MixtureParts};
use homebench_kernels::stacked_mlp::StackedMlp;
use std::ops::Range;

/// A set of experts that share variables' paths.
#[derive(Debug, Clone)]
pub(crate) struct ExpertSet {
    /// `meta.shared`; experts are at `meta.shared.expert`.
    pub(crate) path: String,
    /// Input of each expert.
    pub(crate) sources: Vec<usize>,
}

impl ExpertSet {
    /// A set whose experts all read one input.
    pub(crate) fn new(path: impl Into<String>, source: usize, num_experts: usize) -> Self {
        Self {
            path: path.into(),
            sources: vec![source; num_experts],
        }
    }
}

/// A gate, self-gate or residual.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// `task.click.gate`.
    pub(crate) path: String,
    pub(crate) kind: GateKind,
    /// Inputs that it reads, concatenated.
    pub(crate) sources: Vec<usize>,
    /// Sets whose gated inputs it reads instead, where gates read gated inputs.
    pub(crate) gated_sources: Vec<usize>,
    /// Experts that it sees, counted over all sets.
    pub(crate) experts: Vec<usize>,
    /// Output that its mix is added to.
    pub(crate) output: usize,
}

/// Feature gates of a level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureGateConfig {
    pub(crate) num_lora: usize,
    pub(crate) rank: usize,
    pub(crate) mix: FeatureGateMix,
    /// One per expert instead of one per set.
    pub(crate) per_expert: bool,
    /// Whether gates read the gated input.
    pub(crate) gates_read_gated: bool,
}

/// Everything a level is built from.
#[derive(Debug, Clone)]
pub(crate) struct LevelConfig {
    pub(crate) input_dim: usize,
    /// Width of the inputs that gates read, where those are others than the experts'.
    pub(crate) gate_input_dim: usize,
    pub(crate) expert: ExpertConfig,
    pub(crate) gate_dims: Vec<usize>,
    pub(crate) feature_gate: Option<FeatureGateConfig>,
    pub(crate) sets: Vec<ExpertSet>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) num_outputs: usize,
}

impl LevelConfig {
    /// An empty level; sets and gates are pushed.
    pub(crate) fn new(knobs: &Knobs, input_dim: usize, num_outputs: usize) -> Self {
        Self {
            input_dim,
            gate_input_dim: input_dim,
            expert: ExpertConfig::from_knobs(knobs),
            gate_dims: knobs.widths("gate_dims"),
            feature_gate: None,
            sets: Vec::new(),
            gates: Vec::new(),
            num_outputs,
        }
    }

    /// Adds a set and gives its experts' indices.
    pub(crate) fn add_set(&mut self, set: ExpertSet) -> Vec<usize> {
        let start: usize = self.sets.iter().map(|set| set.sources.len()).sum();
        let end = start + set.sources.len();
        if !set.sources.is_empty() {
            self.sets.push(set);
        }
        (start..end).collect()
    }

    /// Adds a softmax gate that reads one input.
    pub(crate) fn add_gate(
        &mut self,
        path: impl Into<String>,
        source: usize,
        experts: Vec<usize>,
        output: usize,
    ) {
        self.gates.push(Gate {
            path: path.into(),
            kind: GateKind::Softmax,
            sources: vec![source],
            gated_sources: Vec::new(),
            experts,
            output,
        });
    }
}

/// See the module.
pub(crate) struct Level {
    body: Body,
    mix: Mix,
    set_paths: Vec<(String, Range<usize>)>,
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
        let sources: Vec<usize> = config
            .sets
            .iter()
            .flat_map(|set| set.sources.clone())
            .collect();
        let (feature_gates, expert_sources) = match &config.feature_gate {
            Some(gate) => {
                let (gates, sources) = build_feature_gates(gate, config, vb)?;
                (Some(gates), sources)
            }
            None => (None, sources.clone()),
        };
        let builders: Vec<(VarBuilder, usize)> = config
            .sets
            .iter()
            .map(|set| (vb.pp(&set.path).pp("expert"), set.sources.len()))
            .collect();
        let gates_read_gated = config
            .feature_gate
            .is_some_and(|gate| gate.gates_read_gated);
        let gate_sources: Vec<Vec<usize>> = config
            .gates
            .iter()
            .map(|gate| match gates_read_gated {
                true => gate.gated_sources.clone(),
                false => gate.sources.clone(),
            })
            .collect();
        let reader = GateReader::new(
            &config.gates,
            &gate_sources,
            config.gate_input_dim,
            &config.gate_dims,
            vb,
        )?;
        let ordered: Vec<&Gate> = reader
            .order
            .iter()
            .map(|index| &config.gates[*index])
            .collect();
        let mix = Mix::new(
            ordered.iter().map(|gate| mix_gate(gate)).collect(),
            sources.len(),
            config.num_outputs,
        )?;
        let flops_per_row = sources.len() * config.expert.flops_per_row(config.input_dim)
            + reader.flops_per_row
            + feature_gate_flops(config, sources.len());
        let gates = ordered.into_iter().cloned().collect();
        let experts = config
            .expert
            .build(config.input_dim, &builders, expert_sources)?;
        let body = match reader.into_linear() {
            Ok(logits) => Body::Linear(Mixture::new(
                feature_gates,
                experts,
                logits,
                mix.clone(),
                gates_read_gated,
            )?),
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
            gates,
            set_paths: set_ranges(&config.sets),
            flops_per_row,
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
        if let (Body::Linear(mixture), None) = (&self.body, &trace) {
            return mixture.forward_t(xs, gate_xs, train);
        }
        let MixtureParts { experts, logits } = self.body.parts(xs, gate_xs, train)?;
        if let Some(trace) = trace {
            let weights = self.mix.weights(&logits.detach())?;
            for (gate, weights) in self.gates.iter().zip(weights) {
                // A residual is no gate.
                if gate.kind != GateKind::Residual {
                    trace.push_gate(&gate.path, gate.kind, &gate.experts, weights);
                }
            }
            for (path, range) in &self.set_paths {
                trace.push_experts(path, &experts.narrow(0, range.start, range.len())?);
            }
            trace.end_layer();
        }
        self.mix.forward(&experts, &logits)
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
            GateKind::SelfGate if gate.experts.len() == 1 => GateActivation::Sigmoid,
            GateKind::SelfGate => GateActivation::Softmax,
            GateKind::Residual => GateActivation::Identity,
        },
        output: gate.output,
    }
}

fn set_ranges(sets: &[ExpertSet]) -> Vec<(String, Range<usize>)> {
    let mut start = 0;
    sets.iter()
        .map(|set| {
            let range = start..start + set.sources.len();
            start = range.end;
            (format!("{}.expert", set.path), range)
        })
        .collect()
}

fn feature_gate_flops(config: &LevelConfig, num_experts: usize) -> usize {
    let Some(gate) = &config.feature_gate else {
        return 0;
    };
    let count = if gate.per_expert {
        num_experts
    } else {
        config.sets.len()
    };
    count * gate.num_lora * (4 * config.input_dim * gate.rank + 2 * config.input_dim)
}

/// The level's feature gates, and the gated input that each expert reads.
fn build_feature_gates(
    gate: &FeatureGateConfig,
    config: &LevelConfig,
    vb: &VarBuilder,
) -> std::result::Result<(FeatureGates, Vec<usize>), ModelError> {
    let dim = config.input_dim;
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
    for set in &config.sets {
        let vb = vb.pp(&set.path).pp("feature_gate");
        let first = sources.len();
        let lead: &[usize] = if gate.per_expert {
            expert_sources.extend(first..first + set.sources.len());
            sources.extend(&set.sources);
            &[set.sources.len()]
        } else {
            expert_sources.extend(vec![first; set.sources.len()]);
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
