//! Levels one after another, then towers: the shape of every mixture-of-experts model here.

use super::{Level, Towers};
use crate::ranker::{Ranker, Trace};
use candle_core::{Result, Tensor};

/// See the module.
pub(crate) struct Levels {
    pub(crate) levels: Vec<Level>,
    pub(crate) towers: Towers,
    /// Whether every level's gates read the model's input and not the level's.
    pub(crate) gates_read_input: bool,
}

impl Ranker for Levels {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut hidden = xs.clone();
        for level in &self.levels {
            // ML-MMoE's gates read the model's input on every level, PLE's and AdaTT's what their level reads.
            let gate_xs = self.gates_read_input.then_some(xs);
            hidden = level.forward_t(&hidden, gate_xs, train, trace.as_deref_mut())?;
        }
        self.towers.forward_t(&hidden, train)
    }

    fn flops_per_row(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::flops_per_row).sum();
        levels + self.towers.flops_per_row()
    }
}
