//! Towers: a network per task, from its mix of experts to one logit.

use super::expert::plain_networks;
use super::level_config::product_flops;
use crate::ModelError;
use crate::knobs::Knobs;
use crate::ranker::BuildContext;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

/// The towers of all tasks.
pub(crate) struct Towers {
    networks: StackedMlp,
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
        let mut dims = vec![input_dim];
        dims.extend(knobs.widths("tower_dims"));
        dims.push(1);
        let tasks = &context.layout.tasks;
        let builders: Vec<VarBuilder> = tasks
            .iter()
            .map(|task| vb.pp("task").pp(task).pp("tower"))
            .collect();
        Ok(Self {
            // No ReLU after the last layer: a logit may have either sign.
            networks: plain_networks(&dims, false, &builders, sources)?,
            flops_per_row: product_flops(&dims) * tasks.len(),
        })
    }

    /// # Shapes
    /// - xs: [inputs, batch, input_dim]
    /// - result: [batch, tasks]
    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        // Towers are stacked, [tasks, batch, 1]; losses and metrics go row by row, [batch, tasks].
        let logits = self.networks.forward_t(xs, train)?;
        logits.squeeze(2)?.t()?.contiguous()
    }

    pub(crate) fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
