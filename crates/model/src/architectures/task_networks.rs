//! A network and a tower of each task's own on one input: what the models of chains have in common.

use crate::ModelError;
use crate::chain;
use crate::knobs::Knobs;
use crate::layers::{ExpertConfig, Towers};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Trace};
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) struct TaskNetworks {
    /// One network each.
    sets: Vec<Part>,
    networks: StackedMlp,
    pub(super) towers: Towers,
    networks_flops: usize,
    pub(super) output_dim: usize,
}

impl TaskNetworks {
    /// Networks at `task.<name>.expert` and towers at `task.<name>.tower`; `are_joined` says whether the logit of a task is part of those
    /// that come after it.
    pub(super) fn new(
        are_joined: bool,
        knobs: &Knobs,
        context: &BuildContext<'_>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let config = ExpertConfig::from_knobs(knobs);
        let sets: Vec<Part> = (Place::tasks(context.layout).iter())
            .map(|task| task.part(PartKind::Experts, 0))
            .collect();
        // A later task's loss goes through what the one before it makes.
        let own = |task| vb.of_one_task(chain::is_last(context.after, task));
        let builders: Vec<(VarBuilder, usize)> = (sets.iter().enumerate())
            .map(|(task, set)| (own(task).part(set), 1))
            .collect();
        let each: Vec<usize> = (0..sets.len()).collect();
        Ok(Self {
            networks: config.build(context.input_dim, &builders, vec![0; sets.len()])?,
            towers: match are_joined {
                true => Towers::of_chains(knobs, context, config.output_dim(), each, vb)?,
                false => Towers::new(knobs, context, config.output_dim(), each, vb)?,
            },
            networks_flops: sets.len() * config.flops_per_row(context.input_dim),
            output_dim: config.output_dim(),
            sets,
        })
    }

    /// What each network gives, [tasks, batch, H].
    pub(super) fn hidden(
        &self,
        xs: &Tensor,
        train: bool,
        trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        let hidden = self.networks.forward_t(xs, train)?;
        if let Some(trace) = trace {
            for (task, set) in self.sets.iter().enumerate() {
                trace.push_experts(set, &hidden.narrow(0, task, 1)?);
            }
        }
        Ok(hidden)
    }

    /// Of the networks and the towers.
    pub(super) fn flops_per_row(&self) -> usize {
        self.networks_flops + self.towers.flops_per_row()
    }
}
