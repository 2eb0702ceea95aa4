//! The forward pass of a layer: products, the factors of bias or norm, activations.

use super::{LayerState, Pass, activation_code, dims, groups, groups_alike, runs};
use crate::cuda::arguments::Arguments;
use crate::cuda::buffer::{Address, Buffer};
use crate::cuda::machine::Grid;
use crate::cuda::product::{Factor, Product};
use crate::stacked_mlp::{BATCH_NORM_MOMENTUM, NORM_EPSILON, Norm, StackedLayer};
use candle_core::Result;
use std::ops::Range;

impl Pass<'_> {
    /// A layer's state and its activations.
    pub(super) fn layer(
        &self,
        layer: &StackedLayer,
        input: Address,
        sources: &[usize],
        train: bool,
    ) -> Result<(LayerState, Buffer)> {
        let (depth, width) = dims(layer);
        let (num_rows, num_experts) = (self.num_rows, self.num_experts());
        let mut products = self.machine.unspecified(num_experts * num_rows * width)?;
        let out = products.address()?;
        let weights = layer.weight.addresses()?;
        for run in runs(&layer.weight, sources) {
            let first = run.experts.start;
            self.machine.multiply(&Product {
                rows: num_rows,
                columns: width,
                depth,
                batch: run.experts.len(),
                left: Factor::new(input.offset(run.source * num_rows * depth), depth)
                    .step(run.source_step * num_rows * depth),
                right: Factor::new(weights[first], width).step(depth * width),
                out: Factor::new(out.offset(first * num_rows * width), width)
                    .step(num_rows * width),
                add: false,
            })?;
        }
        let mut factors = self.factors(layer, out, train)?;
        let mut activations = self.machine.unspecified(products.len())?;
        self.machine.launch(
            "activate",
            Grid::tiles(width, self.chunks.count, num_experts),
            &Arguments::new()
                .pointer(out)
                .pointer(factors.address()?)
                .pointer(activations.address()?)
                .int(num_rows)
                .int(width)
                .int(self.chunks.rows)
                .int(activation_code(layer.activation)),
        )?;
        let state = LayerState {
            products,
            factors,
            activations: None,
        };
        Ok((state, activations))
    }

    /// The factors of bias or norm, [experts, 4, out].
    fn factors(&self, layer: &StackedLayer, products: Address, train: bool) -> Result<Buffer> {
        let (_, width) = dims(layer);
        let num_experts = self.num_experts();
        let mut factors = self.machine.unspecified(num_experts * 4 * width)?;
        let out = factors.address()?;
        let Norm::Batch {
            scale,
            shift,
            running_mean,
            running_variance,
        } = &layer.norm
        else {
            let bias = match &layer.bias {
                Some(bias) => bias.addresses()?,
                None => vec![Address::NULL; num_experts],
            };
            for group in groups(num_experts) {
                self.machine.launch(
                    "bias_factors",
                    Grid::lists(width, group.len()),
                    &Arguments::new()
                        .pointer(out.offset(group.start * 4 * width))
                        .int(width)
                        .pointers(&bias[group]),
                )?;
            }
            return Ok(factors);
        };
        let (scale, shift) = (scale.addresses()?, shift.addresses()?);
        let mean = running_mean.addresses_mut()?;
        let variance = running_variance.addresses_mut()?;
        let of = |arguments: Arguments, group: &Range<usize>| {
            arguments
                .pointers(&scale[group.clone()])
                .pointers(&shift[group.clone()])
                .pointers(&mean[group.clone()])
                .pointers(&variance[group.clone()])
        };
        let reads_batch = layer.reads_batch(train);
        let mut parts = match reads_batch.contains(&true) {
            true => Some(self.moments(products, width)?),
            false => None,
        };
        for (group, reads_batch) in groups_alike(&reads_batch) {
            let to = out.offset(group.start * 4 * width);
            let grid = Grid::lists(width, group.len());
            match parts.as_mut().filter(|_| reads_batch) {
                Some(parts) => {
                    let from = group.start * self.chunks.count * 3 * width;
                    let arguments = Arguments::new()
                        .pointer(parts.address()?.offset(from))
                        .pointer(to)
                        .int(self.chunks.count)
                        .int(self.num_rows)
                        .int(width);
                    let arguments = of(arguments, &group)
                        .double(BATCH_NORM_MOMENTUM)
                        .double(NORM_EPSILON);
                    self.machine
                        .launch("batch_norm_factors", grid, &arguments)?;
                }
                None => {
                    let arguments = Arguments::new().pointer(to).int(width);
                    let arguments = of(arguments, &group).double(NORM_EPSILON);
                    self.machine
                        .launch("running_norm_factors", grid, &arguments)?;
                }
            }
        }
        Ok(factors)
    }

    /// The moments of every column over every chunk, [experts, chunks, 3, out].
    fn moments(&self, products: Address, width: usize) -> Result<Buffer> {
        let num_experts = self.num_experts();
        let mut parts = self
            .machine
            .unspecified(num_experts * self.chunks.count * 3 * width)?;
        self.machine.launch(
            "column_moments",
            Grid::tiles(width, self.chunks.count, num_experts),
            &Arguments::new()
                .pointer(products)
                .pointer(parts.address()?)
                .int(self.num_rows)
                .int(width)
                .int(self.chunks.rows),
        )?;
        Ok(parts)
    }
}
