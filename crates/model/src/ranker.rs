//! What every model is.

use crate::layout::TaskLayout;
use candle_core::{Result, Tensor};

/// What an architecture is built for.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext<'a> {
    /// Tasks and groups.
    pub layout: &'a TaskLayout,
    /// Width of the input, D.
    pub input_dim: usize,
    /// How many of its first columns come from embedding tables; the others are numeric features.
    pub num_embedded: usize,
    /// Whether the input comes once per task, [tasks, batch, input_dim], as a single-task model with embeddings of its own needs.
    pub input_per_task: bool,
}

/// A multi-task model: one logit per task from one input.
pub trait Ranker: Send {
    /// Scores a batch.
    ///
    /// With `train`, norms use the batch's statistics and update the running ones. What happens inside is left in `trace`,
    /// where one is given.
    ///
    /// # Shapes
    /// - xs: [batch, input_dim], or [tasks, batch, input_dim] where the model was built with an input per task
    /// - result: [batch, tasks]
    ///
    /// # Errors
    /// Another shape, or a batch of one row for batch norm in training.
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor>;

    /// Floating-point operations of a forward pass's matrix products, for one row; a multiply-add counts as two.
    fn flops_per_row(&self) -> usize;
}

/// Gate weights and expert outputs of one forward pass, by variable path.
#[derive(Debug, Default)]
pub struct Trace {
    /// `task.click.gate` and [batch, experts seen].
    pub gates: Vec<(String, Tensor)>,
    /// `meta.shared.expert` and [experts, batch, expert_dim].
    pub experts: Vec<(String, Tensor)>,
}
