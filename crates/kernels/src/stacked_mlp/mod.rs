//! Multi-layer perceptrons with the same widths but weights of their own, stacked and computed as one operator.
//!
//! Experts, towers and the layers before a gate are all this: each of E stacked networks reads one of N inputs, and each of
//! its layers is `activation(norm(x W + b))`.

mod columns;
pub(crate) use columns::add_column_sums;
mod composed;
mod fused;
pub(crate) use fused::{Forward, LayerState, run_backward, run_forward};

use crate::cuda::{self, Machine, is_on_processor};
use crate::stack::Stack;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// Momentum of batch norm's running statistics: the share of the new batch.
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;
/// Added to variances before the square root, in every norm.
pub const NORM_EPSILON: f64 = 1e-5;

/// What a layer applies last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(y, 0)`.
    Relu,
    /// `y sigmoid(y)`, the HoME paper's Swish.
    Silu,
}

/// How a layer normalises its products.
#[derive(Debug, Clone)]
pub enum Norm {
    /// Not at all.
    None,
    /// Over the batch's rows, with running statistics for evaluation, and in training for experts whose running statistics are
    /// frozen. All stacks are [experts, out].
    Batch {
        /// Learned factor.
        scale: Stack,
        /// Learned addend.
        shift: Stack,
        /// Running mean.
        running_mean: Stack,
        /// Running variance, unbiased.
        running_variance: Stack,
    },
    /// Over each row's units. Both stacks are [experts, out].
    Layer {
        /// Learned factor.
        scale: Stack,
        /// Learned addend.
        shift: Stack,
    },
}

/// One layer of every stacked network.
#[derive(Debug, Clone)]
pub struct StackedLayer {
    /// [experts, in, out].
    pub weight: Stack,
    /// [experts, out]; absent under batch norm, which would cancel it.
    pub bias: Option<Stack>,
    /// Between product and activation.
    pub norm: Norm,
    /// Applied last.
    pub activation: Activation,
}

impl StackedLayer {
    fn output_dim(&self) -> usize {
        self.weight.expert_shape()[1]
    }

    /// Whether each expert is normalised by the statistics of its batch, which then move its running ones.
    pub(crate) fn reads_batch(&self, train: bool) -> Vec<bool> {
        let Norm::Batch {
            running_mean,
            running_variance,
            ..
        } = &self.norm
        else {
            return vec![false; self.weight.num_experts()];
        };
        // Both together: a mean of one kind with a variance of the other would be those of no rows.
        let frozen = running_mean.are_frozen().zip(running_variance.are_frozen());
        frozen
            .map(|(mean, variance)| train && !mean && !variance)
            .collect()
    }

    /// Whether bias and norm have a value per expert and unit.
    fn check(&self, index: usize) -> Result<()> {
        let mut stacks: Vec<&Stack> = self.bias.iter().collect();
        match &self.norm {
            Norm::None => {}
            Norm::Layer { scale, shift } => stacks.extend([scale, shift]),
            Norm::Batch {
                scale,
                shift,
                running_mean,
                running_variance,
            } => stacks.extend([scale, shift, running_mean, running_variance]),
        }
        let experts = self.weight.num_experts();
        for stack in stacks {
            if stack.num_experts() != experts || stack.expert_shape() != [self.output_dim()] {
                candle_core::bail!(
                    "layer {index}: expected bias and norm of [{experts}, {}], found [{}, {:?}]",
                    self.output_dim(),
                    stack.num_experts(),
                    stack.expert_shape()
                );
            }
        }
        Ok(())
    }
}

/// Stacked networks: which input each reads, and their layers.
#[derive(Debug, Clone)]
pub struct StackedMlp {
    sources: Arc<[usize]>,
    layers: Arc<[StackedLayer]>,
}

impl StackedMlp {
    /// Network e reads input `sources[e]`.
    ///
    /// # Errors
    /// No layer, or layers whose number of experts or widths don't meet, within a layer or between two.
    pub fn new(sources: Vec<usize>, layers: Vec<StackedLayer>) -> Result<Self> {
        if layers.is_empty() || sources.is_empty() {
            candle_core::bail!("stacked networks need a layer and an expert");
        }
        for (index, layer) in layers.iter().enumerate() {
            if layer.weight.expert_shape().len() != 2 {
                candle_core::bail!(
                    "layer {index}: expected weights [in, out], found {:?}",
                    layer.weight.expert_shape()
                );
            }
            if layer.weight.num_experts() != sources.len() {
                candle_core::bail!(
                    "layer {index}: expected {} experts, found {}",
                    sources.len(),
                    layer.weight.num_experts()
                );
            }
            if layer.bias.is_some() && matches!(layer.norm, Norm::Batch { .. }) {
                candle_core::bail!("layer {index}: batch norm cancels a bias; leave it out");
            }
            layer.check(index)?;
            let width = layer.weight.expert_shape()[0];
            if index > 0 && width != layers[index - 1].output_dim() {
                candle_core::bail!(
                    "layer {index}: expected inputs of width {}, found {width}",
                    layers[index - 1].output_dim()
                );
            }
        }
        Ok(Self {
            sources: sources.into(),
            layers: layers.into(),
        })
    }

    /// A variable that every pass goes through.
    pub(crate) fn first_parameter(&self) -> &Tensor {
        self.layers[0].weight.parameters()[0].tensor()
    }

    /// Width of an output.
    pub(crate) fn output_dim(&self) -> usize {
        self.layers.last().map_or(0, StackedLayer::output_dim)
    }

    /// Number of stacked networks, E.
    pub fn num_experts(&self) -> usize {
        self.sources.len()
    }

    /// Runs every network; with `train`, batch norm uses the batch's statistics and updates the running ones.
    ///
    /// # Shapes
    /// - xs: [inputs, batch, input_dim], or [batch, input_dim] for one input
    /// - result: [experts, batch, output_dim]
    ///
    /// # Errors
    /// Shapes that don't fit, an empty batch, or a batch of one row with batch norm in training.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.check_input(xs.dims(), train)?;
        if let Some(machine) = Machine::of(xs).filter(|_| self.has_kernels()) {
            cuda::stacked_mlp(machine, self, xs, train)
        } else if self.is_fused(xs) {
            fused::forward(self, xs, train)
        } else {
            composed::forward(self, xs, train)
        }
    }

    /// The same from candle's stock operators, on any device and type: the reference.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_composed(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.check_input(xs.dims(), train)?;
        composed::forward(self, xs, train)
    }

    pub(crate) fn check_input(&self, dims: &[usize], train: bool) -> Result<()> {
        let (num_inputs, num_rows, width) = match *dims {
            [rows, width] => (1, rows, width),
            [inputs, rows, width] => (inputs, rows, width),
            _ => candle_core::bail!("expected [inputs, batch, width], found {dims:?}"),
        };
        let expected = self.layers[0].weight.expert_shape()[0];
        if width != expected {
            candle_core::bail!("expected inputs of width {expected}, found {width}");
        }
        if let Some(source) = self.sources.iter().find(|s| **s >= num_inputs) {
            candle_core::bail!("an expert reads input {source} of {num_inputs}");
        }
        let reads_batch = |layer: &StackedLayer| layer.reads_batch(train).contains(&true);
        if num_rows < 2 && self.layers.iter().any(reads_batch) {
            candle_core::bail!(
                "batch norm needs at least 2 rows in training, found {num_rows}: use larger batches"
            );
        }
        if num_rows == 0 {
            candle_core::bail!("stacked networks need at least 1 row");
        }
        Ok(())
    }

    /// Whether the fused operator takes this input.
    pub(crate) fn is_fused(&self, xs: &Tensor) -> bool {
        is_on_processor(xs) && self.has_kernels()
    }

    /// Whether every layer is of a kind that fused operators know.
    pub(crate) fn has_kernels(&self) -> bool {
        let plain = |layer: &StackedLayer| !matches!(layer.norm, Norm::Layer { .. });
        self.layers.iter().all(plain)
    }

    /// The running statistics of all layers, with copies of their values.
    pub(crate) fn running_statistics(&self) -> Result<Vec<(&Stack, Tensor)>> {
        fn of_layer(layer: &StackedLayer) -> Vec<&Stack> {
            match &layer.norm {
                Norm::Batch {
                    running_mean,
                    running_variance,
                    ..
                } => vec![running_mean, running_variance],
                _ => Vec::new(),
            }
        }
        let statistics = self.layers.iter().flat_map(of_layer);
        statistics
            .map(|statistic| Ok((statistic, statistic.cat()?.copy()?)))
            .collect()
    }

    /// Whether a layer's statistics are over the batch.
    pub(crate) fn has_batch_norm(&self) -> bool {
        let is_batch_norm = |layer: &StackedLayer| matches!(layer.norm, Norm::Batch { .. });
        self.layers.iter().any(is_batch_norm)
    }

    pub(crate) fn sources(&self) -> &[usize] {
        &self.sources
    }

    pub(crate) fn layers(&self) -> &[StackedLayer] {
        &self.layers
    }
}
