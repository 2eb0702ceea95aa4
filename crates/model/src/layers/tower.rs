//! Towers: a network per task, from its mix of experts to one logit.

use super::expert::plain_networks;
use super::level_config::product_flops;
use crate::ModelError;
use crate::chain;
use crate::knobs::Knobs;
use crate::ranker::BuildContext;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

/// The towers of all tasks.
pub(crate) struct Towers {
    networks: StackedMlp,
    features: FeatureTap,
    flops_per_row: usize,
}

impl Towers {
    /// Towers under `task.<name>.tower`; tower t reads input `sources[t]`, of width `input_dim`.
    pub(crate) fn new(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        input_dim: usize,
        sources: Vec<usize>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        Self::named("tower", knobs, context, input_dim, sources, vb)
    }

    /// The same of a model in which the losses of later tasks of a chain reach the towers of those before.
    pub(crate) fn of_chains(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        input_dim: usize,
        sources: Vec<usize>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let is_own = |task| chain::is_last(context.after, task);
        Self::build("tower", is_own, knobs, context, input_dim, (sources, vb))
    }

    /// The same under `task.<task>.<name>`.
    pub(crate) fn named(
        name: &str,
        knobs: &Knobs,
        context: &BuildContext<'_>,
        input_dim: usize,
        sources: Vec<usize>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        Self::build(name, |_| true, knobs, context, input_dim, (sources, vb))
    }

    fn build(
        name: &str,
        is_own: impl Fn(usize) -> bool,
        knobs: &Knobs,
        context: &BuildContext<'_>,
        input_dim: usize,
        (sources, vb): (Vec<usize>, &VarBuilder),
    ) -> std::result::Result<Self, ModelError> {
        let mut dims = vec![input_dim];
        dims.extend(knobs.widths("tower_dims"));
        dims.push(1);
        let tasks = &context.layout.tasks;
        let builders: Vec<VarBuilder> = tasks
            .iter()
            .enumerate()
            .map(|(t, task)| vb.of_one_task(is_own(t)).pp("task").pp(task).pp(name))
            .collect();
        Ok(Self {
            features: FeatureTap::new(input_dim, sources.clone()),
            // No ReLU after the last layer: a logit may have either sign.
            networks: plain_networks(&dims, false, &builders, sources)?,
            flops_per_row: product_flops(&dims) * tasks.len(),
        })
    }

    /// # Shapes
    /// - xs: [inputs, batch, input_dim]
    /// - result: [batch, tasks]
    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.features.pass(xs);
        // Towers are stacked, [tasks, batch, 1]; losses and metrics go row by row, [batch, tasks].
        let logits = self.networks.forward_t(xs, train)?;
        logits.squeeze(2)?.t()?.contiguous()
    }

    /// What they read.
    pub(crate) fn features(&self) -> &FeatureTap {
        &self.features
    }

    pub(crate) fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
