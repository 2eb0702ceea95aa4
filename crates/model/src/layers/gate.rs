//! What the gates of a level read: an optional network before each softmax gate, then the linear maps of all gates.

use super::expert::plain_networks;
use super::level::Gate;
use crate::ModelError;
use crate::ranker::GateKind;
use crate::variables::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateLogits, LinearGate};
use homebench_kernels::stacked_mlp::StackedMlp;

/// The logits of a level's gates, softmax gates with a network before them first.
pub(super) struct GateReader {
    hidden: Option<Hidden>,
    direct: Option<GateLogits>,
    /// Gates in the order of their logits.
    pub(super) order: Vec<usize>,
    pub(super) flops_per_row: usize,
}

/// Networks before the softmax gates.
struct Hidden {
    /// Inputs of each gate, concatenated.
    sources: Vec<Vec<usize>>,
    networks: StackedMlp,
    logits: GateLogits,
}

impl GateReader {
    /// `sources` are each gate's inputs, each of width `input_dim`.
    pub(super) fn new(
        gates: &[Gate],
        sources: &[Vec<usize>],
        input_dim: usize,
        gate_dims: &[usize],
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let with_network = |gate: &Gate| gate.kind == GateKind::Softmax && !gate_dims.is_empty();
        let (behind, direct): (Vec<usize>, Vec<usize>) =
            (0..gates.len()).partition(|index| with_network(&gates[*index]));
        let mut flops_per_row = 0;
        let hidden = Self::hidden(
            gates,
            sources,
            input_dim,
            gate_dims,
            &behind,
            vb,
            &mut flops_per_row,
        )?;
        let mut linear = Vec::with_capacity(direct.len());
        for index in &direct {
            let gate = &gates[*index];
            let sources = match gate.kind {
                GateKind::Residual => Vec::new(),
                _ => sources[*index].clone(),
            };
            let width = sources.len() * input_dim;
            flops_per_row += 2 * width * gate.experts.len();
            linear.push(linear_gate(gate, sources, width, &vb.pp(&gate.path))?);
        }
        Ok(Self {
            hidden,
            direct: (!linear.is_empty())
                .then(|| GateLogits::new(linear))
                .transpose()?,
            order: behind.into_iter().chain(direct).collect(),
            flops_per_row,
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

    fn hidden(
        gates: &[Gate],
        sources: &[Vec<usize>],
        input_dim: usize,
        gate_dims: &[usize],
        behind: &[usize],
        vb: &VarBuilder,
        flops_per_row: &mut usize,
    ) -> std::result::Result<Option<Hidden>, ModelError> {
        let (Some(first), Some(hidden_dim)) = (behind.first(), gate_dims.last()) else {
            return Ok(None);
        };
        let mut dims = vec![sources[*first].len() * input_dim];
        dims.extend(gate_dims);
        let builders: Vec<VarBuilder> = behind
            .iter()
            .map(|index| vb.pp(&gates[*index].path).pp("hidden"))
            .collect();
        let networks = plain_networks(&dims, true, &builders, (0..behind.len()).collect())?;
        let mut linear = Vec::with_capacity(behind.len());
        for (position, index) in behind.iter().enumerate() {
            let gate = &gates[*index];
            linear.push(linear_gate(
                gate,
                vec![position],
                *hidden_dim,
                &vb.pp(&gate.path),
            )?);
            let network: usize = dims.windows(2).map(|w| 2 * w[0] * w[1]).sum();
            *flops_per_row += network + 2 * hidden_dim * gate.experts.len();
        }
        Ok(Some(Hidden {
            sources: behind.iter().map(|index| sources[*index].clone()).collect(),
            networks,
            logits: GateLogits::new(linear)?,
        }))
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
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
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

fn linear_gate(
    gate: &Gate,
    sources: Vec<usize>,
    width: usize,
    vb: &VarBuilder,
) -> std::result::Result<LinearGate, ModelError> {
    let num_logits = gate.experts.len();
    if gate.kind == GateKind::Residual {
        // AdaTT: ones for one expert, else uniform within the root of 1/n.
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
    let init = Init::fan_in(width);
    Ok(LinearGate {
        sources,
        weight: Some(vb.get((width, num_logits), "weight", init)?),
        bias: Some(vb.get(num_logits, "bias", init)?),
        num_logits,
    })
}
