//! The sum of the products of all pairs of a row's fields, unit by unit.

use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::rows::{split_mut, unspecified};
use crate::simd::multiversioned;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// `sum over i < j of e_i e_j`, unit by unit, in one pass over a row: bi-interaction pooling, He and Chua, "Neural factorization machines for
/// sparse predictive analytics", SIGIR 2017, arXiv:1708.05027.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::interaction::sum_of_pairs;
///
/// # fn main() -> candle_core::Result<()> {
/// // One row of three fields: 1 2 + 1 3 + 2 3.
/// let fields = Tensor::new(&[[[1f32], [2.0], [3.0]]], &Device::Cpu)?;
/// assert_eq!(sum_of_pairs(&fields)?.to_vec2::<f32>()?, [[11.0]]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - fields: [rows, fields, width]
/// - result: [rows, width]
///
/// # Errors
/// Another rank, or no field.
pub fn sum_of_pairs(fields: &Tensor) -> Result<Tensor> {
    let (_, count, width) = fields.dims3()?;
    if count == 0 || width == 0 {
        candle_core::bail!("pairs of {count} fields of {width} units have no sum");
    }
    match is_on_processor(fields) {
        true => apply_1(SumOfPairs, fields),
        false => sum_of_pairs_composed(fields),
    }
}

/// The same from candle's stock operators, by `((sum e)^2 - sum e^2) / 2`: the reference.
///
/// # Errors
/// As [`sum_of_pairs`].
pub fn sum_of_pairs_composed(fields: &Tensor) -> Result<Tensor> {
    let squared = fields.sum(1)?.sqr()?;
    (squared - fields.sqr()?.sum(1)?)? * 0.5
}

struct SumOfPairs;

impl Fused<1> for SumOfPairs {
    const NAME: &'static str = "sum-of-pairs";
    type Kept = ();

    fn forward(&self, [fields]: [Argument<'_>; 1]) -> Result<Output<()>> {
        let [rows, count, width] = fields.sizes()?;
        let (parts, size) = (super::parts_of(rows), count * width);
        let mut out = unspecified(rows * width);
        split_mut(&mut out, width, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                pairs(
                    out,
                    &fields.values[part.start * size..part.end * size],
                    width,
                );
            });
        Ok(Output::new(out, (rows, width), ()))
    }

    fn backward(
        &self,
        [fields]: [Argument<'_>; 1],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<1>> {
        let [rows, count, width] = fields.sizes()?;
        let (parts, size) = (super::parts_of(rows), count * width);
        let mut out = unspecified(fields.values.len());
        split_mut(&mut out, size, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                let own = &fields.values[part.start * size..part.end * size];
                let slopes = &arrived.gradient[part.start * width..part.end * width];
                pairs_gradient(out, own, slopes, width);
            });
        Ok([Some(out)])
    }
}

multiversioned! {
    fn pairs(out: &mut [f32], fields: &[f32], width: usize) {
        let size = fields.len() / (out.len() / width);
        let mut sum = vec![0f32; width];
        for (out, row) in out.chunks_exact_mut(width).zip(fields.chunks_exact(size)) {
            // A field at a time, times the sum of those before it. The difference of squares would lose digits, and not be 0 for one field.
            out.fill(0.0);
            sum.fill(0.0);
            for field in row.chunks_exact(width) {
                for unit in 0..width {
                    out[unit] = sum[unit].mul_add(field[unit], out[unit]);
                    sum[unit] += field[unit];
                }
            }
        }
    }
}

multiversioned! {
    fn pairs_gradient(out: &mut [f32], fields: &[f32], slopes: &[f32], width: usize) {
        let size = fields.len() / (slopes.len() / width);
        let mut sum = vec![0f32; width];
        let rows = out.chunks_exact_mut(size).zip(fields.chunks_exact(size));
        for ((out, row), slopes) in rows.zip(slopes.chunks_exact(width)) {
            sum.fill(0.0);
            for field in row.chunks_exact(width) {
                for unit in 0..width {
                    sum[unit] += field[unit];
                }
            }
            let fields = out.chunks_exact_mut(width).zip(row.chunks_exact(width));
            for (out, field) in fields {
                for unit in 0..width {
                    out[unit] = slopes[unit] * (sum[unit] - field[unit]);
                }
            }
        }
    }
}
