//! Group-bottom: a shared bottom per task group, `y_t = Tower_t(MLP_c(v))` for task t of group c.
//!
//! # Shapes
//! - v: [B, D]; bottoms of K groups: [K, B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const GROUP_BOTTOM: Architecture = Architecture {
    name: "group_bottom",
    title: "Group-bottom",
    paper: "none: an example",
    equation: "y_t = Tower_t(MLP_c(v))",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

struct GroupBottom {
    /// One network each.
    sets: Vec<Part>,
    bottoms: StackedMlp,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let config = ExpertConfig::from_knobs(knobs);
    let layout = context.layout;
    // A part says where its variables are and whom it serves, here at `group.<name>.expert` of layer 0.
    let sets: Vec<Part> = Place::groups(layout)
        .iter()
        .map(|group| group.part(PartKind::Experts, 0))
        .collect();
    // One network per group, all of them one operator; each reads input 0, the only one.
    let builders: Vec<(VarBuilder, usize)> = sets.iter().map(|set| (vb.part(set), 1)).collect();
    let bottoms = config.build(context.input_dim, &builders, vec![0; sets.len()])?;
    // Task t's tower reads the output of its group's network.
    let sources = (0..layout.tasks.len()).map(|t| layout.group_of(t));
    let towers = Towers::new(knobs, context, config.output_dim(), sources.collect(), vb)?;
    Ok(Box::new(GroupBottom {
        flops_per_row: sets.len() * config.flops_per_row(context.input_dim)
            + towers.flops_per_row(),
        sets,
        bottoms,
        towers,
    }))
}

impl Ranker for GroupBottom {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let hidden = self.bottoms.forward_t(xs, train)?;
        if let Some(trace) = trace {
            for (index, set) in self.sets.iter().enumerate() {
                trace.push_experts(set, &hidden.narrow(0, index, 1)?);
            }
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
