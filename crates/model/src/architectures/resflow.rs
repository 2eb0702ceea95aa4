//! ResFlow: what a task's layers and its logit add to those of the task before it.
//!
//! Source: Fu et al., "Residual multi-task learner for applied ranking", arXiv:2411.09705: along a chain such as click, cart, purchase,
//! `h_t^l = f_t^l(h_t^{l-1}) + h_before(t)^l`, and logits likewise.
//!
//! Deviations: residuals join the layers of `expert_dims` and the logits, not the hidden layers of towers, which every model here has;
//! `tower_dims = []` leaves none out. The paper's sum of scores for ranking is not part of the model.
//!
//! # Shapes
//! - v: [B, D]; h^l: [T, B, H_l]
//! - result: [B, T]

use crate::ModelError;
use crate::chain;
use crate::features::Tables;
use crate::knobs::{Knobs, expert_knobs};
use crate::layers::{Chains, ExpertConfig, Towers};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const RESFLOW: Architecture = Architecture {
    name: "resflow",
    title: "ResFlow: residuals from the task before, at every layer and at the logit",
    paper: "arXiv:2411.09705",
    equation: "h_t^l = MLP_t^l(h_t^{l-1}) + h_before(t)^l; y_t = Tower_t(h_t^L) + y_before(t)",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

struct ResFlow {
    /// Each level's networks, one a task.
    levels: Vec<(Vec<Part>, StackedMlp)>,
    towers: Towers,
    chains: Chains,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let chains = Chains::new(RESFLOW.name, context)?;
    let num_tasks = context.layout.tasks.len();
    let config = ExpertConfig::from_knobs(knobs);
    let (mut levels, mut input_dim, mut flops_per_row) = (Vec::new(), context.input_dim, 0);
    for (index, width) in config.dims().iter().enumerate() {
        let place = |task: &Place| task.in_level(index).part(PartKind::Experts, index);
        let sets: Vec<Part> = Place::tasks(context.layout).iter().map(place).collect();
        let own = |task| vb.of_one_task(chain::is_last(context.after, task));
        let builders: Vec<(VarBuilder, usize)> = (sets.iter().enumerate())
            .map(|(task, set)| (own(task).part(set), 1))
            .collect();
        let sources = (0..num_tasks).map(|task| if index == 0 { 0 } else { task });
        let layer = config.layer(index);
        flops_per_row += num_tasks * layer.flops_per_row(input_dim);
        levels.push((sets, layer.build(input_dim, &builders, sources.collect())?));
        input_dim = *width;
    }
    let towers = Towers::of_chains(knobs, context, input_dim, (0..num_tasks).collect(), vb)?;
    Ok(Box::new(ResFlow {
        levels,
        flops_per_row: flops_per_row + towers.flops_per_row(),
        towers,
        chains,
    }))
}

impl Ranker for ResFlow {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let sum = |before: &Tensor, own: &Tensor| own + before;
        let mut hidden = xs.clone();
        for (sets, networks) in &self.levels {
            let own = networks.forward_t(&hidden, train)?;
            if let Some(trace) = trace.as_deref_mut() {
                for (task, set) in sets.iter().enumerate() {
                    trace.push_experts(set, &own.narrow(0, task, 1)?);
                }
            }
            hidden = self.chains.along(&own, sum)?;
        }
        let own = self.towers.forward_t(&hidden, train)?.t()?.contiguous()?;
        self.chains.along(&own, sum)?.t()?.contiguous()
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
