//! Cross-stitch networks: a network per task, and linear exchanges between them after every layer.
//!
//! Source: Misra et al., "Cross-stitch networks for multi-task learning", CVPR 2016, arXiv:1604.03539.
//!
//! Deviation: one number per pair of tasks and level, not one per channel; they start at .9 for a task's own and share .1.
//!
//! # Shapes
//! - v: [B, D]; a level's networks: [T, B, H_l]; its stitches: [T, T]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers, on_every_row};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Parameter;
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const CROSS_STITCH: Architecture = Architecture {
    name: "cross_stitch",
    title: "Cross-stitch networks",
    paper: "arXiv:1604.03539",
    equation: "x_t^l = sum_u A_l[t, u] MLP_u^l(x_u^{l-1}); y_t = Tower_t(x_t^L)",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

/// What a task's own network starts with; the others share what is left of 1.
const OWN: f32 = 0.9;

struct StitchLevel {
    sets: Vec<Part>,
    networks: StackedMlp,
    stitch: Parameter,
    mix: Mix,
}

struct CrossStitch {
    levels: Vec<StitchLevel>,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let num_tasks = context.layout.tasks.len();
    let config = ExpertConfig::from_knobs(knobs);
    let mut levels = Vec::new();
    let (mut input_dim, mut flops_per_row) = (context.input_dim, 0);
    for (index, width) in config.dims().iter().enumerate() {
        let layer = config.with_dims(&[*width]);
        levels.push(build_level(&layer, index, input_dim, context, vb)?);
        // Stitches are numbers times rows, as a gate's weights are, and left out like those.
        flops_per_row += num_tasks * layer.flops_per_row(input_dim);
        input_dim = *width;
    }
    let towers = Towers::new(knobs, context, input_dim, (0..num_tasks).collect(), vb)?;
    flops_per_row += towers.flops_per_row();
    Ok(Box::new(CrossStitch {
        levels,
        towers,
        flops_per_row,
    }))
}

fn build_level(
    layer: &ExpertConfig,
    index: usize,
    input_dim: usize,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<StitchLevel, ModelError> {
    let num_tasks = context.layout.tasks.len();
    let place = |task: &Place| task.in_level(index).part(PartKind::Experts, index);
    let sets: Vec<Part> = Place::tasks(context.layout).iter().map(place).collect();
    let builders: Vec<(VarBuilder, usize)> = sets.iter().map(|set| (vb.part(set), 1)).collect();
    // Every task reads the one input first, and then what it was given.
    let sources = (0..num_tasks).map(|task| if index == 0 { 0 } else { task });
    let init = match num_tasks {
        1 => Init::Constant(1.0),
        tasks => Init::Diagonal {
            size: tasks,
            on: OWN,
            off: (1.0 - OWN) / (tasks - 1) as f32,
        },
    };
    let gate = |output| MixGate {
        experts: (0..num_tasks).collect(),
        activation: GateActivation::Identity,
        output,
        stopped: Vec::new(),
    };
    Ok(StitchLevel {
        networks: layer.build(input_dim, &builders, sources.collect())?,
        stitch: vb
            .pp("level")
            .pp(index)
            .get((num_tasks, num_tasks), "stitch", init)?,
        mix: Mix::new((0..num_tasks).map(gate).collect(), num_tasks, num_tasks)?,
        sets,
    })
}

impl Ranker for CrossStitch {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut hidden = xs.clone();
        let num_rows = xs.dim(0)?;
        for level in &self.levels {
            let outputs = level.networks.forward_t(&hidden, train)?;
            if let Some(trace) = trace.as_deref_mut() {
                for (task, set) in level.sets.iter().enumerate() {
                    trace.push_experts(set, &outputs.narrow(0, task, 1)?);
                }
            }
            // A row of numbers, the same for every row: sums over rows of their gradient have one order then.
            let numbers = level.stitch.tensor().flatten_all()?.unsqueeze(0)?;
            let numbers = on_every_row(&numbers, num_rows)?;
            hidden = level.mix.forward(&outputs, &numbers)?;
        }
        self.towers.forward_t(&hidden, train)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
