//! What a level is built from: sets of experts, and gates that name the inputs they read and the experts they see.

use super::expert::ExpertConfig;
use crate::knobs::Knobs;
use crate::part::{Part, PartKind, Place};
use crate::ranker::GateKind;
use homebench_kernels::feature_gate::FeatureGateMix;

/// A set of experts that share variables' paths.
#[derive(Debug, Clone)]
pub(crate) struct ExpertSet {
    /// `meta.shared`; experts are at `meta.shared.expert`.
    pub(crate) place: Place,
    /// Input of each expert.
    pub(crate) sources: Vec<usize>,
}

impl ExpertSet {
    /// A set whose experts all read one input.
    pub(crate) fn new(place: Place, source: usize, num_experts: usize) -> Self {
        Self {
            place,
            sources: vec![source; num_experts],
        }
    }
}

/// A gate, self-gate or residual.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// `task.click.gate`.
    pub(crate) part: Part,
    pub(crate) kind: GateKind,
    /// Inputs that it reads, concatenated; none for a residual, whose weights are the same on every row.
    pub(crate) sources: Vec<usize>,
    /// Sets whose gated inputs it reads instead, where gates read gated inputs.
    pub(crate) gated_sources: Vec<usize>,
    /// Experts that it sees, counted over all sets.
    pub(crate) experts: Vec<usize>,
    /// Output that its mix is added to.
    pub(crate) output: usize,
    /// Those of its experts that its mix sends no gradient to.
    pub(crate) stopped: Vec<usize>,
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
    /// Layer or level, from 0.
    pub(crate) index: usize,
    pub(crate) input_dim: usize,
    /// Width of the inputs that gates read, where those are others than the experts'.
    pub(crate) gate_input_dim: usize,
    pub(crate) expert: ExpertConfig,
    pub(crate) gate_dims: Vec<usize>,
    pub(crate) feature_gate: Option<FeatureGateConfig>,
    pub(crate) sets: Vec<ExpertSet>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) num_outputs: usize,
    /// Whether a residual over one expert is the constant 1, and no variable.
    pub(crate) single_residual_is_fixed: bool,
    /// What one task alone learns; nothing where nobody has looked.
    pub(super) own: Own,
}

/// Whether one task alone learns each part of a level; what is beyond a list is shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub(super) sets: Vec<bool>,
    pub(super) feature_gates: Vec<bool>,
    pub(super) gates: Vec<bool>,
}

impl Own {
    pub(super) fn has(parts: &[bool], index: usize) -> bool {
        parts.get(index).copied().unwrap_or(false)
    }
}

impl LevelConfig {
    /// An empty level; sets and gates are pushed.
    pub(crate) fn new(knobs: &Knobs, index: usize, input_dim: usize, num_outputs: usize) -> Self {
        Self {
            index,
            input_dim,
            gate_input_dim: input_dim,
            expert: ExpertConfig::from_knobs(knobs),
            gate_dims: knobs.widths("gate_dims"),
            feature_gate: None,
            sets: Vec::new(),
            gates: Vec::new(),
            num_outputs,
            single_residual_is_fixed: false,
            own: Own::default(),
        }
    }

    /// Adds a set and gives its experts' indices.
    pub(crate) fn add_set(&mut self, set: ExpertSet) -> Vec<usize> {
        let start = self.num_experts();
        let end = start + set.sources.len();
        // A knob may say 0, as in CGC without shared experts: then the model has no variables of the set at all.
        if !set.sources.is_empty() {
            self.sets.push(set);
        }
        (start..end).collect()
    }

    /// Adds a softmax gate that reads one input.
    pub(crate) fn add_gate(
        &mut self,
        part: Part,
        source: usize,
        experts: Vec<usize>,
        output: usize,
    ) {
        self.gates.push(Gate {
            part,
            kind: GateKind::Softmax,
            sources: vec![source],
            gated_sources: Vec::new(),
            experts,
            output,
            stopped: Vec::new(),
        });
    }

    /// A gate of this level at `<place>.<kind>`.
    pub(crate) fn gate_of(&self, place: &Place, kind: GateKind) -> Part {
        place.part(PartKind::Gate(kind), self.index)
    }

    pub(super) fn num_experts(&self) -> usize {
        self.sets.iter().map(|set| set.sources.len()).sum()
    }

    /// The inputs of a gate: raw ones, or those that the sets' feature gates give.
    pub(super) fn sources_of<'a>(&self, gate: &'a Gate) -> &'a [usize] {
        match self.feature_gate {
            Some(feature_gate) if feature_gate.gates_read_gated => &gate.gated_sources,
            _ => &gate.sources,
        }
    }

    /// Whether a gate has a network before it.
    pub(super) fn has_network(&self, gate: &Gate) -> bool {
        // Self-gates and residuals stay what their papers write, a linear map and a free vector.
        gate.kind == GateKind::Softmax && !self.gate_dims.is_empty()
    }

    /// FLOPs of all products of the level, for one row.
    pub(super) fn flops_per_row(&self) -> usize {
        let num_gated = match self.feature_gate {
            Some(gate) if gate.per_expert => self.num_experts(),
            _ => self.sets.len(),
        };
        let feature_gate = self.feature_gate.as_ref();
        self.num_experts() * self.expert.flops_per_row(self.input_dim)
            + self.gates_flops_per_row()
            + feature_gate.map_or(0, |gate| num_gated * gate.flops_per_row(self.input_dim))
    }

    /// FLOPs of the gates' products, for one row.
    pub(super) fn gates_flops_per_row(&self) -> usize {
        self.gates.iter().map(|gate| self.gate_flops(gate)).sum()
    }

    fn gate_flops(&self, gate: &Gate) -> usize {
        // Without a source, as of a residual, the width and so the count are 0.
        let mut dims = vec![self.sources_of(gate).len() * self.gate_input_dim];
        if self.has_network(gate) {
            dims.extend(&self.gate_dims);
        }
        dims.push(gate.experts.len());
        product_flops(&dims)
    }
}

impl FeatureGateConfig {
    fn flops_per_row(&self, dim: usize) -> usize {
        // Per low-rank map: a column of the softmax's product, and the maps down to the rank and up again.
        self.num_lora * (2 * dim + 2 * dim * self.rank + 2 * self.rank * dim)
    }
}

/// FLOPs of linear layers of these widths, one after another, for one row.
pub(crate) fn product_flops(dims: &[usize]) -> usize {
    // A multiply-add counts as two. Norms, activations and sums over experts are left out: they are small beside products.
    dims.windows(2).map(|pair| 2 * pair[0] * pair[1]).sum()
}
