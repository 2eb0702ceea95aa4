//! Softmax of a few values and its gradient, for use inside vectorised passes.

use crate::product::dot;
use crate::simd::exp;

/// Softmax of a few values, in place; finite for any finite input.
#[inline(always)]
pub(crate) fn softmax(row: &mut [f32]) {
    subtract_largest(row);
    for value in row.iter_mut() {
        *value = exp(*value);
    }
    divide_by_sum(row);
}

/// What softmax does before the exponentials.
#[inline(always)]
pub(crate) fn subtract_largest(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in row {
        *value -= largest;
    }
}

/// What softmax does after the exponentials.
#[inline(always)]
pub(crate) fn divide_by_sum(row: &mut [f32]) {
    let sum: f32 = row.iter().fold(0.0, |sum, value| sum + value);
    let factor = 1.0 / sum;
    for value in row {
        *value *= factor;
    }
}

/// Turns gradients of softmax weights into gradients of their logits, in place.
#[inline(always)]
pub(crate) fn softmax_gradient(gradient: &mut [f32], weights: &[f32]) {
    let mean = dot(gradient, weights);
    for (gradient, weight) in gradient.iter_mut().zip(weights) {
        *gradient = weight * (*gradient - mean);
    }
}
