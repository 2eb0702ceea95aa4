//! Layer norm of rows as one operator: stock operators would pass over them a dozen times.

use crate::composed::{mean_of_rows, spread};
use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_3};
use crate::product::dot;
use crate::rows::{chunks, reduce_parts, split_mut, unspecified};
use crate::simd::multiversioned;
use crate::stacked_mlp::NORM_EPSILON;
use candle_core::{D, Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// `(x - mean) / sqrt(variance + 1e-5) * scale + shift`, mean and biased variance over each row's units (Ba et al.,
/// arXiv:1607.06450).
///
/// # Shapes
/// - xs, result: [rows, width]
/// - scale, shift: `[width]`
///
/// # Errors
/// Shapes that don't fit.
pub fn layer_norm(xs: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let (_, width) = xs.dims2()?;
    if scale.dims() != [width] || shift.dims() != [width] {
        candle_core::bail!(
            "rows of {width} units can't have scale and shift of {:?} and {:?}",
            scale.dims(),
            shift.dims()
        );
    }
    match is_on_processor(xs) {
        true => apply_3(LayerNorm, xs, scale, shift),
        false => layer_norm_composed(xs, scale, shift),
    }
}

/// The same from candle's stock operators: the reference.
///
/// # Errors
/// As [`layer_norm`].
pub fn layer_norm_composed(xs: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let width = xs.dim(D::Minus1)?;
    let centred = xs.sub(&spread(&mean_of_rows(xs)?, width)?)?;
    let variance = spread(&mean_of_rows(&centred.sqr()?)?, width)?;
    let deviation = (variance + NORM_EPSILON)?.sqrt()?;
    centred
        .div(&deviation)?
        .broadcast_mul(scale)?
        .broadcast_add(shift)
}

struct LayerNorm;

impl Fused<3> for LayerNorm {
    const NAME: &'static str = "layer-norm";
    type Kept = ();

    fn forward(&self, [xs, scale, shift]: [Argument<'_>; 3]) -> Result<Output<()>> {
        let width = scale.values.len();
        let mut out = unspecified(xs.values.len());
        let parts = chunks(xs.values.len() / width);
        split_mut(&mut out, width, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                let rows = &xs.values[part.start * width..part.end * width];
                normalise(out, rows, scale.values, shift.values);
            });
        Ok(Output::new(out, xs.dims, ()))
    }

    fn backward(
        &self,
        [xs, scale, _]: [Argument<'_>; 3],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<3>> {
        let (of_xs, of_scale, of_shift) = backward(xs.values, scale.values, arrived.gradient);
        Ok([Some(of_xs), Some(of_scale), Some(of_shift)])
    }
}

/// The gradients of the rows, of scale and of shift.
fn backward(xs: &[f32], scale: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = scale.len();
    let parts: Vec<Range<usize>> = chunks(xs.len() / width);
    let mut of_xs = unspecified(xs.len());
    let mut of_parts = vec![0f32; parts.len() * 2 * width];
    split_mut(&mut of_xs, width, &parts)
        .into_par_iter()
        .zip(of_parts.par_chunks_exact_mut(2 * width))
        .zip(&parts)
        .for_each(|((out, sums), part)| {
            let units = part.start * width..part.end * width;
            normalise_gradient(out, sums, &xs[units.clone()], &gradient[units], scale);
        });
    let mut sums = vec![0f32; 2 * width];
    // Chunks in order, whoever made them.
    reduce_parts(&mut sums, &of_parts, false);
    let of_shift = sums.split_off(width);
    (of_xs, sums, of_shift)
}

/// Mean of a row, and one over its deviation; the row less its mean is left in `centred`.
#[inline(always)]
fn centre(centred: &mut [f32], row: &[f32], ones: &[f32]) -> f32 {
    let width = row.len() as f32;
    let mean = dot(row, ones) / width;
    for (centred, x) in centred.iter_mut().zip(row) {
        *centred = x - mean;
    }
    let variance = dot(centred, centred) / width;
    1.0 / (variance + NORM_EPSILON as f32).sqrt()
}

multiversioned! {
    fn normalise(out: &mut [f32], xs: &[f32], scale: &[f32], shift: &[f32]) {
        let width = scale.len();
        let ones = vec![1f32; width];
        let shift = &shift[..width];
        for (out, row) in out.chunks_exact_mut(width).zip(xs.chunks_exact(width)) {
            let inverse = centre(out, row, &ones);
            for unit in 0..width {
                out[unit] = (out[unit] * inverse).mul_add(scale[unit], shift[unit]);
            }
        }
    }
}

multiversioned! {
    /// `sums` has those of scale, then those of shift.
    fn normalise_gradient(
        out: &mut [f32],
        sums: &mut [f32],
        xs: &[f32],
        gradient: &[f32],
        scale: &[f32],
    ) {
        let width = scale.len();
        let ones = vec![1f32; width];
        let mut normalised = vec![0f32; width];
        let (of_scale, of_shift) = sums.split_at_mut(width);
        let rows = out.chunks_exact_mut(width).zip(xs.chunks_exact(width));
        for ((out, row), gradient) in rows.zip(gradient.chunks_exact(width)) {
            let inverse = centre(&mut normalised, row, &ones);
            for unit in 0..width {
                normalised[unit] *= inverse;
                of_scale[unit] = gradient[unit].mul_add(normalised[unit], of_scale[unit]);
                of_shift[unit] += gradient[unit];
                out[unit] = gradient[unit] * scale[unit];
            }
            // dx = (dn - mean(dn) - n mean(dn n)) / deviation.
            let mean = dot(out, &ones) / width as f32;
            let slope = dot(out, &normalised) / width as f32;
            for unit in 0..width {
                out[unit] = (out[unit] - mean - normalised[unit] * slope) * inverse;
            }
        }
    }
}
