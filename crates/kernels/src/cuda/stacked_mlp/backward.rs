//! The backward pass of a layer: gradients of activations, bias and norm, weights, and of what is below.

use super::{LayerState, Pass, activation_code, dims, groups_alike, runs};
use crate::cuda::arguments::Arguments;
use crate::cuda::buffer::{Address, Buffer};
use crate::cuda::copies::copy_columns;
use crate::cuda::machine::Grid;
use crate::cuda::product::{Factor, Product};
use crate::stack::Stack;
use crate::stacked_mlp::{Norm, StackedLayer};
use candle_core::Result;

impl Pass<'_> {
    /// From the gradient of a layer's activations to that of its products; hands bias and norm their gradients.
    pub(super) fn product_gradient(
        &self,
        layer: &StackedLayer,
        state: &mut LayerState,
        upper: Address,
    ) -> Result<Buffer> {
        let (_, width) = dims(layer);
        let num_experts = self.num_experts();
        let grid = Grid::tiles(width, self.chunks.count, num_experts);
        let mut slopes = self.machine.unspecified(state.products.len())?;
        let mut parts = self
            .machine
            .unspecified(num_experts * self.chunks.count * 2 * width)?;
        let (products, factors) = (state.products.address()?, state.factors.address()?);
        let arguments = Arguments::new()
            .pointer(upper)
            .pointer(products)
            .pointer(factors)
            .pointer(slopes.address()?)
            .pointer(parts.address()?)
            .int(self.num_rows)
            .int(width)
            .int(self.chunks.rows)
            .int(activation_code(layer.activation));
        self.machine
            .launch("activation_gradient", grid, &arguments)?;
        let reads_batch = layer.reads_batch(true);
        let mut combined = match layer.norm {
            Norm::Batch { .. } if !reads_batch.contains(&false) => {
                Some(self.machine.unspecified(num_experts * 3 * width)?)
            }
            // Zeros, since running statistics are constants of the step: but for their factor, they pass nothing on.
            Norm::Batch { .. } => Some(self.machine.zeros(num_experts * 3 * width)?),
            _ => None,
        };
        let to = combined.as_mut().map(Buffer::address).transpose()?;
        self.column_gradients(layer, parts.address()?, factors, to)?;
        if let Some(combined) = to {
            let arguments = Arguments::new()
                .pointer(slopes.address()?)
                .pointer(products)
                .pointer(combined)
                .int(self.num_rows)
                .int(width)
                .int(self.chunks.rows);
            self.machine.launch("combine", grid, &arguments)?;
        }
        Ok(slopes)
    }

    /// Gradients of bias, or of the norm's scale and shift, from the chunks' sums.
    fn column_gradients(
        &self,
        layer: &StackedLayer,
        parts: Address,
        factors: Address,
        combined: Option<Address>,
    ) -> Result<()> {
        let (_, width) = dims(layer);
        let num_experts = self.num_experts();
        let (shift, scale) = match &layer.norm {
            Norm::Batch { scale, shift, .. } => (Some(shift), Some(scale)),
            _ => (layer.bias.as_ref(), None),
        };
        let gradients = |stack: Option<&Stack>| match stack {
            Some(stack) => stack.gradient_addresses(self.machine),
            None => Ok(vec![(Address::NULL, false); num_experts]),
        };
        let (shift, scale) = (gradients(shift)?, gradients(scale)?);
        for (group, reads_batch) in groups_alike(&layer.reads_batch(true)) {
            let of = |gradients: &[(Address, bool)]| {
                let gradients = &gradients[group.clone()];
                let addresses: Vec<Address> = gradients.iter().map(|(a, _)| *a).collect();
                let bits = gradients.iter().enumerate();
                let bits = bits.map(|(place, (_, add))| u64::from(*add) << place);
                (addresses, bits.sum::<u64>())
            };
            let ((shift, shift_add), (scale, scale_add)) = (of(&shift), of(&scale));
            let to = combined.map(|a| a.offset(group.start * 3 * width));
            if let Some(to) = to.filter(|_| !reads_batch) {
                for (place, expert) in group.clone().enumerate() {
                    let scale = factors.offset(expert * 4 * width);
                    let to = to.offset(place * 3 * width);
                    copy_columns(self.machine, to, width, scale, 1, width)?;
                }
            }
            let to = to.filter(|_| reads_batch);
            let arguments = Arguments::new()
                .pointer(parts.offset(group.start * self.chunks.count * 2 * width))
                .pointer(factors.offset(group.start * 4 * width))
                .pointer(to.unwrap_or(Address::NULL))
                .int(self.chunks.count)
                .int(self.num_rows)
                .int(width)
                .pointers(&shift)
                .bits(shift_add)
                .pointers(&scale)
                .bits(scale_add);
            let grid = Grid::lists(width, group.len());
            self.machine.launch("column_gradients", grid, &arguments)?;
        }
        Ok(())
    }

    /// `inputs^T slopes` into the gradient of every expert's weights.
    pub(super) fn weight_gradient(
        &self,
        layer: &StackedLayer,
        inputs: Address,
        sources: &[usize],
        slopes: Address,
    ) -> Result<()> {
        let (depth, width) = dims(layer);
        let num_rows = self.num_rows;
        let gradients = layer.weight.gradient_addresses(self.machine)?;
        for run in runs(&layer.weight, sources) {
            let first = run.experts.start;
            let (gradient, add) = gradients[first];
            self.machine.multiply(&Product {
                rows: depth,
                columns: width,
                depth: num_rows,
                batch: run.experts.len(),
                left: Factor::new(inputs.offset(run.source * num_rows * depth), depth)
                    .transposed()
                    .step(run.source_step * num_rows * depth),
                right: Factor::new(slopes.offset(first * num_rows * width), width)
                    .step(num_rows * width),
                out: Factor::new(gradient, width).step(depth * width),
                add,
            })?;
        }
        Ok(())
    }

    /// `slopes weights^T`: the gradient of the activations of the layer below.
    pub(super) fn below(&self, layer: &StackedLayer, slopes: Address) -> Result<Buffer> {
        let (depth, width) = dims(layer);
        let num_rows = self.num_rows;
        let mut below = self
            .machine
            .unspecified(self.num_experts() * num_rows * depth)?;
        let out = below.address()?;
        let weights = layer.weight.addresses()?;
        for experts in layer.weight.expert_ranges() {
            let first = experts.start;
            self.machine.multiply(&Product {
                rows: num_rows,
                columns: depth,
                depth: width,
                batch: experts.len(),
                left: Factor::new(slopes.offset(first * num_rows * width), width)
                    .step(num_rows * width),
                right: Factor::new(weights[first], width)
                    .transposed()
                    .step(depth * width),
                out: Factor::new(out.offset(first * num_rows * depth), depth)
                    .step(num_rows * depth),
                add: false,
            })?;
        }
        Ok(below)
    }

    /// For each input, the sum over the experts that read it, in order.
    pub(super) fn input_gradient(
        &self,
        layer: &StackedLayer,
        slopes: Address,
        length: usize,
    ) -> Result<Buffer> {
        let (depth, width) = dims(layer);
        let num_rows = self.num_rows;
        let num_inputs = length / (num_rows * depth);
        let weights = layer.weight.addresses()?;
        let sources = self.mlp.sources();
        let is_read = |input: usize| sources.contains(&input);
        let mut gradient = match (0..num_inputs).all(is_read) {
            true => self.machine.unspecified(length)?,
            false => self.machine.zeros(length)?,
        };
        let out = gradient.address()?;
        let mut written = vec![false; num_inputs];
        for (expert, source) in sources.iter().enumerate() {
            self.machine.multiply(&Product {
                rows: num_rows,
                columns: depth,
                depth: width,
                batch: 1,
                left: Factor::new(slopes.offset(expert * num_rows * width), width),
                right: Factor::new(weights[expert], width).transposed(),
                out: Factor::new(out.offset(source * num_rows * depth), depth),
                add: std::mem::replace(&mut written[*source], true),
            })?;
        }
        Ok(gradient)
    }
}
