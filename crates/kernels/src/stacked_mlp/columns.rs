//! Passes over a block of rows whose columns have parameters of their own: bias or batch norm, activation, their
//! gradients, and the column sums these need.

use crate::simd::{multiversioned, sigmoid};
use crate::stacked_mlp::Activation;

/// Per-column factors of `y = scale * z + shift` and `normalised = inverse * z + offset`, each [width].
#[derive(Debug, Clone, Default)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) inverse: Vec<f32>,
    pub(crate) offset: Vec<f32>,
}

multiversioned! {
    /// Adds each column's sum over the block's rows to `sums`.
    pub(crate) fn add_column_sums(sums: &mut [f32], block: &[f32]) {
        let width = sums.len();
        for row in block.chunks_exact(width) {
            for column in 0..width {
                sums[column] += row[column];
            }
        }
    }
}

multiversioned! {
    /// Adds each column's sum of squared distances from `means` to `sums`.
    pub(crate) fn add_column_squares(sums: &mut [f32], block: &[f32], means: &[f32]) {
        let width = sums.len();
        let means = &means[..width];
        for row in block.chunks_exact(width) {
            for column in 0..width {
                let distance = row[column] - means[column];
                sums[column] = distance.mul_add(distance, sums[column]);
            }
        }
    }
}

macro_rules! activation_passes {
    ($forward:ident, $backward:ident, |$y:ident| $value:expr, $derivative:expr) => {
        multiversioned! {
            fn $forward(out: &mut [f32], block: &[f32], scale: &[f32], shift: &[f32]) {
                let width = scale.len();
                let shift = &shift[..width];
                for (out, row) in out.chunks_exact_mut(width).zip(block.chunks_exact(width)) {
                    for column in 0..width {
                        let $y = row[column].mul_add(scale[column], shift[column]);
                        out[column] = $value;
                    }
                }
            }
        }
        multiversioned! {
            fn $backward(
                gradient: &mut [f32],
                block: &[f32],
                affine: &Affine,
                sums: &mut [f32],
                normalised_sums: &mut [f32],
            ) {
                let width = affine.scale.len();
                let scale = &affine.scale[..width];
                let shift = &affine.shift[..width];
                let inverse = &affine.inverse[..width];
                let offset = &affine.offset[..width];
                let sums = &mut sums[..width];
                let normalised_sums = &mut normalised_sums[..width];
                let rows = gradient.chunks_exact_mut(width).zip(block.chunks_exact(width));
                for (gradient, row) in rows {
                    for column in 0..width {
                        #[allow(unused_variables, reason = "a constant derivative")]
                        let $y = row[column].mul_add(scale[column], shift[column]);
                        let value = gradient[column] * { $derivative };
                        gradient[column] = value;
                        sums[column] += value;
                        let normalised = row[column].mul_add(inverse[column], offset[column]);
                        normalised_sums[column] = normalised.mul_add(value, normalised_sums[column]);
                    }
                }
            }
        }
    };
}

activation_passes!(silu, silu_gradient, |y| y * sigmoid(y), {
    let gate = sigmoid(y);
    gate * (y * (1.0 - gate) + 1.0)
});
activation_passes!(
    relu,
    relu_gradient,
    // Not max(y, 0), which would turn a NaN into 0 and hide it.
    |y| if y < 0.0 { 0.0 } else { y },
    if y > 0.0 { 1.0 } else { 0.0 }
);
activation_passes!(identity, identity_gradient, |y| y, 1.0);

/// `out = activation(scale * block + shift)`.
pub(crate) fn activate(activation: Activation, out: &mut [f32], block: &[f32], affine: &Affine) {
    let pass = match activation {
        Activation::Identity => identity,
        Activation::Relu => relu,
        Activation::Silu => silu,
    };
    pass(out, block, &affine.scale, &affine.shift);
}

/// Turns a gradient of the activation into one of `y`, in place, and adds its column sums, plain and weighted with the
/// normalised values.
pub(crate) fn activation_gradient(
    activation: Activation,
    gradient: &mut [f32],
    block: &[f32],
    affine: &Affine,
    sums: &mut [f32],
    normalised_sums: &mut [f32],
) {
    let pass = match activation {
        Activation::Identity => identity_gradient,
        Activation::Relu => relu_gradient,
        Activation::Silu => silu_gradient,
    };
    pass(gradient, block, affine, sums, normalised_sums);
}

multiversioned! {
    /// `gradient = own * gradient + other * block + constant` per column: batch norm's gradient once its sums are known.
    pub(crate) fn combine(
        gradient: &mut [f32],
        block: &[f32],
        own: &[f32],
        other: &[f32],
        constant: &[f32],
    ) {
        let width = own.len();
        let other = &other[..width];
        let constant = &constant[..width];
        let rows = gradient.chunks_exact_mut(width).zip(block.chunks_exact(width));
        for (gradient, row) in rows {
            for column in 0..width {
                let rest = row[column].mul_add(other[column], constant[column]);
                gradient[column] = gradient[column].mul_add(own[column], rest);
            }
        }
    }
}

multiversioned! {
    /// Rows of `out` from one number each: `out[r] = values[r] * weights`, as a product of one term has it.
    pub(crate) fn outer(out: &mut [f32], values: &[f32], weights: &[f32]) {
        for (row, value) in out.chunks_exact_mut(weights.len()).zip(values) {
            for (out, weight) in row.iter_mut().zip(weights) {
                *out = value.mul_add(*weight, 0.0);
            }
        }
    }
}

multiversioned! {
    /// `out += sum over rows of values[r] * inputs[r, :]`.
    pub(crate) fn add_weighted_rows(out: &mut [f32], inputs: &[f32], values: &[f32]) {
        let width = out.len();
        for (row, value) in inputs.chunks_exact(width).zip(values) {
            for column in 0..width {
                out[column] = row[column].mul_add(*value, out[column]);
            }
        }
    }
}
