//! Feature gates (HoME, "FeaGate"): each expert set reads the input scaled, unit by unit, by a low-rank gate.
//!
//! `LoRA_l(x) = x A_l B_l`, `gate(x) = sum_l softmax(x W)_l 2 sigmoid(LoRA_l(x))`, output `x * gate(x)`.

mod composed;
mod fused;
mod passes;

pub(crate) use fused::{State, run_backward, run_forward};

use crate::cuda::{self, Machine, is_on_processor};
use crate::stack::Stack;
use candle_core::{Result, Tensor};

/// Where the softmax weights are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureGateMix {
    /// `sum_l w_l 2 sigmoid(LoRA_l(x))`.
    AfterSigmoid,
    /// `2 sigmoid(sum_l w_l LoRA_l(x))`.
    BeforeSigmoid,
}

/// Feature gates computed as one operator; gate s reads input `sources[s]`.
#[derive(Debug, Clone)]
pub struct FeatureGates {
    pub(crate) sources: Vec<usize>,
    pub(crate) weight: Stack,
    pub(crate) lora_a: Stack,
    pub(crate) lora_b: Stack,
    mix: FeatureGateMix,
}

impl FeatureGates {
    /// Stacks over gates: `weight` [dim, loras], `lora_a` [loras, dim, rank], `lora_b` [loras, rank, dim].
    ///
    /// # Errors
    /// Stacks of different sizes.
    pub fn new(
        sources: Vec<usize>,
        weight: Stack,
        lora_a: Stack,
        lora_b: Stack,
        mix: FeatureGateMix,
    ) -> Result<Self> {
        let (&[dim, num_lora], &[loras_a, dim_a, rank], &[loras_b, rank_b, dim_b]) = (
            weight.expert_shape(),
            lora_a.expert_shape(),
            lora_b.expert_shape(),
        ) else {
            candle_core::bail!(
                "feature gates need stacks of [dim, loras], [loras, dim, rank] and [loras, rank, dim]"
            );
        };
        let counts = [&weight, &lora_a, &lora_b].map(Stack::num_experts);
        if (num_lora, dim) != (loras_a, dim_a)
            || (num_lora, rank, dim) != (loras_b, rank_b, dim_b)
            || counts != [sources.len(); 3]
        {
            candle_core::bail!(
                "feature gates of {} inputs: stacks {counts:?} of {:?}, {:?} and {:?} don't fit",
                sources.len(),
                weight.expert_shape(),
                lora_a.expert_shape(),
                lora_b.expert_shape()
            );
        }
        Ok(Self {
            sources,
            weight,
            lora_a,
            lora_b,
            mix,
        })
    }

    /// The gated inputs.
    ///
    /// # Shapes
    /// - xs: [inputs, batch, dim], or [batch, dim] for one input
    /// - result: [gates, batch, dim]
    ///
    /// # Errors
    /// Shapes that don't fit, or an empty batch.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.check_input(xs.dims())?;
        if let Some(machine) = Machine::of(xs).filter(|_| self.has_kernels()) {
            cuda::feature_gates(machine, self, xs, train)
        } else if self.is_fused(xs) {
            fused::forward(self, xs, train)
        } else {
            composed::forward(self, xs)
        }
    }

    /// The same from candle's stock operators: the reference.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_composed(&self, xs: &Tensor) -> Result<Tensor> {
        self.check_input(xs.dims())?;
        composed::forward(self, xs)
    }

    /// Whether the fused operator takes this input.
    pub(crate) fn is_fused(&self, xs: &Tensor) -> bool {
        self.has_kernels() && is_on_processor(xs)
    }

    /// Whether fused operators know this kind.
    pub(crate) fn has_kernels(&self) -> bool {
        self.mix == FeatureGateMix::AfterSigmoid
    }

    /// Number of gated inputs.
    pub(crate) fn num_gates(&self) -> usize {
        self.sources.len()
    }

    pub(crate) fn check_input(&self, dims: &[usize]) -> Result<()> {
        let (num_inputs, num_rows, width) = match *dims {
            [rows, width] => (1, rows, width),
            [inputs, rows, width] => (inputs, rows, width),
            _ => candle_core::bail!("expected [inputs, batch, width], found {dims:?}"),
        };
        if width != self.dim() || self.sources.iter().any(|s| *s >= num_inputs) {
            candle_core::bail!(
                "feature gates of width {} over inputs {:?} can't read {dims:?}",
                self.dim(),
                self.sources
            );
        }
        if num_rows == 0 {
            candle_core::bail!("feature gates need at least 1 row");
        }
        Ok(())
    }

    pub(crate) fn dim(&self) -> usize {
        self.weight.expert_shape()[0]
    }

    pub(crate) fn num_lora(&self) -> usize {
        self.weight.expert_shape()[1]
    }

    pub(crate) fn rank(&self) -> usize {
        self.lora_a.expert_shape()[2]
    }

    // Everything that reads one input is multiplied with it side by side: [A of each LoRA of each gate | W of each gate].

    /// Column of LoRA `lora` of the `position`-th gate of an input.
    pub(crate) fn lora_column(&self, position: usize, lora: usize) -> usize {
        (position * self.num_lora() + lora) * self.rank()
    }

    /// First softmax column of the `position`-th of `count` gates of an input.
    pub(crate) fn weight_column(&self, position: usize, count: usize) -> usize {
        count * self.num_lora() * self.rank() + position * self.num_lora()
    }
}
