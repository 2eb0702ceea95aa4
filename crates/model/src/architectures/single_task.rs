//! Single-task models: one network per task, nothing shared, embeddings included.
//!
//! Source: the baseline of all the papers. A task's network is an expert and a tower, so that it differs from shared-bottom in
//! sharing alone.
//!
//! # Shapes
//! - v: [T, B, D], each task's embeddings giving it an input of its own, or [B, D]
//! - hidden: [T, B, H]; result: [B, T]

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

pub(super) const SINGLE_TASK: Architecture = Architecture {
    name: "single_task",
    title: "Single-task",
    paper: "baseline",
    equation: "y_t = Tower_t(MLP_t(v_t))",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::PerTask,
    no_bottom: None,
    layers: &[],
};

struct SingleTask {
    /// One network each.
    sets: Vec<Part>,
    experts: StackedMlp,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let config = ExpertConfig::from_knobs(knobs);
    let sets: Vec<Part> = Place::tasks(context.layout)
        .iter()
        .map(|task| task.part(PartKind::Experts, 0))
        .collect();
    let own = vb.of_one_task(true);
    let builders: Vec<(VarBuilder, usize)> = sets.iter().map(|set| (own.part(set), 1)).collect();
    let each: Vec<usize> = (0..sets.len()).collect();
    // With embeddings shared after all, every network reads the one input that there is.
    let sources = match context.input_per_task {
        true => each.clone(),
        false => vec![0; sets.len()],
    };
    let towers = Towers::new(knobs, context, config.output_dim(), each, vb)?;
    Ok(Box::new(SingleTask {
        flops_per_row: sets.len() * config.flops_per_row(context.input_dim)
            + towers.flops_per_row(),
        experts: config.build(context.input_dim, &builders, sources)?,
        towers,
        sets,
    }))
}

impl Ranker for SingleTask {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let hidden = self.experts.forward_t(xs, train)?;
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
