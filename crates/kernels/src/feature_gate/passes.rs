//! Row passes of a feature gate over one block, between its products.

use crate::product::dot;
use crate::simd::{multiversioned, sigmoid};
use crate::softmax::{softmax, softmax_gradient};

multiversioned! {
    /// `values = sigmoid(values)`.
    pub(super) fn sigmoids(values: &mut [f32]) {
        for value in values {
            *value = sigmoid(*value);
        }
    }
}

multiversioned! {
    /// Softmax over columns `first..first + num_lora` of each row of [rows, stride], in place.
    pub(super) fn softmax_columns(values: &mut [f32], stride: usize, first: usize, num_lora: usize) {
        for row in values.chunks_exact_mut(stride) {
            softmax(&mut row[first..first + num_lora]);
        }
    }
}

multiversioned! {
    /// `out = x * sum_l 2 w_l s_l`, with the weights in columns `first..` of [rows, stride].
    pub(super) fn gate_rows(
        out: &mut [f32],
        xs: &[f32],
        sigmoids: &[&[f32]],
        weights: &[f32],
        stride: usize,
        first: usize,
        dim: usize,
    ) {
        let rows = out.chunks_exact_mut(dim).zip(xs.chunks_exact(dim)).zip(weights.chunks_exact(stride));
        for (row, ((out, xs), weights)) in rows.enumerate() {
            for (lora, sigmoids) in sigmoids.iter().enumerate() {
                let values = &sigmoids[row * dim..(row + 1) * dim];
                let weight = 2.0 * weights[first + lora];
                if lora == 0 {
                    for unit in 0..dim {
                        out[unit] = weight * values[unit];
                    }
                } else {
                    for unit in 0..dim {
                        out[unit] = values[unit].mul_add(weight, out[unit]);
                    }
                }
            }
            for unit in 0..dim {
                out[unit] *= xs[unit];
            }
        }
    }
}

/// What [`gate_gradient_rows`] reads; all of one block.
pub(super) struct GateBlock<'a> {
    /// Gradient of the output, [rows, dim].
    pub(super) gradient: &'a [f32],
    /// Inputs, [rows, dim].
    pub(super) xs: &'a [f32],
    /// Sigmoids of each LoRA, each [rows, dim].
    pub(super) sigmoids: &'a [&'a [f32]],
    /// Softmax weights in columns `first..`, [rows, stride].
    pub(super) weights: &'a [f32],
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) dim: usize,
}

multiversioned! {
    /// Writes `gradient * gate` to `input_gradient`, or adds it with `add`; writes the gradients of each LoRA's output into `loras`
    /// ([loras, rows, dim]) and those of the softmax logits into columns `first..` of `logits` ([rows, stride]).
    pub(super) fn gate_gradient_rows(
        block: &GateBlock<'_>,
        input_gradient: &mut [f32],
        loras: &mut [f32],
        logits: &mut [f32],
        add: bool,
    ) {
        let dim = block.dim;
        let num_rows = block.gradient.len() / dim;
        let num_lora = block.sigmoids.len();
        let mut products = vec![0f32; dim];
        for row in 0..num_rows {
            let range = row * dim..(row + 1) * dim;
            let gradient = &block.gradient[range.clone()];
            let xs = &block.xs[range.clone()];
            let out = &mut input_gradient[range.clone()];
            let products = &mut products[..dim];
            for unit in 0..dim {
                products[unit] = gradient[unit] * xs[unit];
            }
            let weights = &block.weights[row * block.stride + block.first..][..num_lora];
            let logits = &mut logits[row * block.stride + block.first..][..num_lora];
            for lora in 0..num_lora {
                let values = &block.sigmoids[lora][range.clone()];
                let weight = 2.0 * weights[lora];
                let start = lora * num_rows * dim + row * dim;
                let slopes = &mut loras[start..start + dim];
                if lora == 0 && !add {
                    for unit in 0..dim {
                        out[unit] = gradient[unit] * values[unit] * weight;
                    }
                } else {
                    for unit in 0..dim {
                        out[unit] = (gradient[unit] * values[unit]).mul_add(weight, out[unit]);
                    }
                }
                for unit in 0..dim {
                    let value = values[unit];
                    slopes[unit] = products[unit] * weight * (value - value * value);
                }
                logits[lora] = 2.0 * dot(products, values);
            }
            softmax_gradient(logits, weights);
        }
    }
}
