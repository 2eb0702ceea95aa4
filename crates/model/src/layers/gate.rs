//! What the gates of a level read: an optional network before each softmax gate, then the linear maps of all gates.

use super::expert::plain_networks;
use super::level_config::{Gate, LevelConfig, Own};
use crate::ModelError;
use crate::ranker::GateKind;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor, Var};
use homebench_kernels::gate::{GateLogits, LinearGate};
use homebench_kernels::stacked_mlp::StackedMlp;
use homebench_kernels::{Parameter, Role};

/// The logits of a level's gates, softmax gates with a network before them first.
pub(super) struct GateReader {
    hidden: Option<Hidden>,
    direct: Option<GateLogits>,
    /// Gates in the order of their logits.
    pub(super) order: Vec<usize>,
}

/// Networks before the softmax gates.
struct Hidden {
    /// Inputs of each gate, concatenated.
    sources: Vec<Vec<usize>>,
    networks: StackedMlp,
    logits: GateLogits,
}

impl GateReader {
    pub(super) fn new(
        config: &LevelConfig,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let gates = &config.gates;
        // Gates behind networks read what those give, the others the level's inputs: two operators, so two runs of columns.
        let (behind, direct): (Vec<usize>, Vec<usize>) =
            (0..gates.len()).partition(|index| config.has_network(&gates[*index]));
        let mut linear = Vec::with_capacity(direct.len());
        for index in &direct {
            let sources = config.sources_of(&gates[*index]).to_vec();
            let width = sources.len() * config.gate_input_dim;
            let gate = &gates[*index];
            if gate.kind == GateKind::Residual
                && gate.experts.len() == 1
                && config.single_residual_is_fixed
            {
                linear.push(constant_gate(gate, vb)?);
                continue;
            }
            let vb = vb.of_one_task(Own::has(&config.own.gates, *index));
            linear.push(linear_gate(gate, sources, width, &vb)?);
        }
        Ok(Self {
            hidden: Hidden::new(config, &behind, vb)?,
            direct: (!linear.is_empty())
                .then(|| GateLogits::new(linear))
                .transpose()?,
            order: behind.into_iter().chain(direct).collect(),
        })
    }

    /// The linear maps, where that is all; else the reader again.
    pub(super) fn into_linear(self) -> std::result::Result<GateLogits, Box<Self>> {
        match self {
            Self {
                hidden: None,
                direct: Some(logits),
                ..
            } => Ok(logits),
            other => Err(Box::new(other)),
        }
    }

    /// # Shapes
    /// - xs: [inputs, batch, input_dim] or [batch, input_dim]
    /// - result: [batch, logits]
    pub(super) fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let hidden = self
            .hidden
            .as_ref()
            .map(|hidden| hidden.forward_t(xs, train))
            .transpose()?;
        let direct = self
            .direct
            .as_ref()
            .map(|direct| direct.forward(xs))
            .transpose()?;
        match (hidden, direct) {
            (Some(hidden), Some(direct)) => Tensor::cat(&[hidden, direct], 1),
            (Some(logits), None) | (None, Some(logits)) => Ok(logits),
            (None, None) => candle_core::bail!("a level without gates"),
        }
    }
}

impl Hidden {
    /// The networks before the gates `behind`; none where there are no such gates.
    fn new(
        config: &LevelConfig,
        behind: &[usize],
        vb: &VarBuilder,
    ) -> std::result::Result<Option<Self>, ModelError> {
        let gates: Vec<&Gate> = behind.iter().map(|index| &config.gates[*index]).collect();
        let (Some(first), Some(hidden_dim)) = (gates.first(), config.gate_dims.last()) else {
            return Ok(None);
        };
        // One operator runs them all, so they have one width. Each architecture's gates of a level read equally many inputs.
        let mut dims = vec![config.sources_of(first).len() * config.gate_input_dim];
        dims.extend(&config.gate_dims);
        let own = behind
            .iter()
            .map(|index| vb.of_one_task(Own::has(&config.own.gates, *index)));
        let own: Vec<VarBuilder> = own.collect();
        let builders: Vec<VarBuilder> = (gates.iter().zip(&own))
            .map(|(gate, vb)| vb.pp(&gate.part.path).pp("hidden"))
            .collect();
        let networks = plain_networks(&dims, true, &builders, (0..gates.len()).collect())?;
        let linear = gates
            .iter()
            .enumerate()
            .map(|(place, gate)| linear_gate(gate, vec![place], *hidden_dim, &own[place]));
        Ok(Some(Self {
            logits: GateLogits::new(linear.collect::<std::result::Result<_, _>>()?)?,
            sources: gates
                .iter()
                .map(|gate| config.sources_of(gate).to_vec())
                .collect(),
            networks,
        }))
    }

    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        // The first level of most models has one input, which comes without a dimension of inputs.
        let xs = if xs.rank() == 2 {
            xs.unsqueeze(0)?
        } else {
            xs.clone()
        };
        let input = |sources: &Vec<usize>| {
            let parts = sources
                .iter()
                .map(|s| xs.get(*s))
                .collect::<Result<Vec<_>>>()?;
            Tensor::cat(&parts, 1)
        };
        let inputs = self.sources.iter().map(input).collect::<Result<Vec<_>>>()?;
        let hidden = self
            .networks
            .forward_t(&Tensor::stack(&inputs, 0)?, train)?;
        self.logits.forward(&hidden)
    }
}

/// A residual of the weight 1, which nothing learns and nothing saves.
fn constant_gate(gate: &Gate, vb: &VarBuilder) -> std::result::Result<LinearGate, ModelError> {
    let one = Var::from_tensor(&Tensor::ones(1, vb.dtype(), vb.device())?)?;
    Ok(LinearGate {
        sources: Vec::new(),
        weight: None,
        bias: Some(Parameter::new(&gate.part.path, one, Role::Statistic)),
        num_logits: 1,
    })
}

/// A gate's map of inputs of `width` together; the gate becomes one of the model's parts.
fn linear_gate(
    gate: &Gate,
    sources: Vec<usize>,
    width: usize,
    vb: &VarBuilder,
) -> std::result::Result<LinearGate, ModelError> {
    let vb = vb.part(&gate.part);
    let num_logits = gate.experts.len();
    if gate.kind == GateKind::Residual {
        // AdaTT's own start: one expert passes as it is, several are weighed at random within the root of 1/n.
        let init = match num_logits {
            1 => Init::Constant(1.0),
            n => Init::Uniform((1.0 / n as f32).sqrt()),
        };
        // The path names the vector itself.
        let (parent, name) = vb.split();
        return Ok(LinearGate {
            sources,
            weight: None,
            bias: Some(parent.get(num_logits, &name, init)?),
            num_logits,
        });
    }
    // No bias is left out although a softmax over one expert ignores it: the papers' gates are `W x + b`.
    let init = Init::fan_in(width);
    Ok(LinearGate {
        sources,
        weight: Some(vb.get((width, num_logits), "weight", init)?),
        bias: Some(vb.get(num_logits, "bias", init)?),
        num_logits,
    })
}
