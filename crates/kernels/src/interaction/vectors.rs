//! Numbers as fields: each times a vector of its own.

use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::product::dot;
use crate::rows::{chunks, reduce_parts, split_mut, unspecified};
use crate::simd::multiversioned;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// `x_n V_n` of each of a row's numbers.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::interaction::scaled_vectors;
///
/// # fn main() -> candle_core::Result<()> {
/// let numbers = Tensor::new(&[[2f32, -1.0]], &Device::Cpu)?;
/// let vectors = Tensor::new(&[[1f32, 3.0], [5.0, 0.5]], &Device::Cpu)?;
/// let fields = scaled_vectors(&numbers, &vectors)?;
/// assert_eq!(fields.to_vec3::<f32>()?, [[[2.0, 6.0], [-5.0, -0.5]]]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - numbers: [rows, numbers]
/// - vectors: [numbers, width]
/// - result: [rows, numbers, width]
///
/// # Errors
/// Another number of vectors than of numbers.
pub fn scaled_vectors(numbers: &Tensor, vectors: &Tensor) -> Result<Tensor> {
    let ((_, count), (num_vectors, _)) = (numbers.dims2()?, vectors.dims2()?);
    if count != num_vectors {
        candle_core::bail!("{count} numbers of a row can't have {num_vectors} vectors");
    }
    match is_on_processor(numbers) {
        true => apply_2(ScaledVectors, numbers, vectors),
        false => scaled_vectors_composed(numbers, vectors),
    }
}

/// The same from candle's stock operators: the reference.
///
/// # Errors
/// As [`scaled_vectors`].
pub fn scaled_vectors_composed(numbers: &Tensor, vectors: &Tensor) -> Result<Tensor> {
    numbers
        .unsqueeze(2)?
        .broadcast_mul(&vectors.unsqueeze(0)?.contiguous()?)
}

struct ScaledVectors;

impl Fused<2> for ScaledVectors {
    const NAME: &'static str = "scaled-vectors";
    type Kept = ();

    fn forward(&self, [numbers, vectors]: [Argument<'_>; 2]) -> Result<Output<()>> {
        let ([rows, count], [_, width]) = (numbers.sizes()?, vectors.sizes()?);
        let parts = super::parts_of(rows);
        let mut out = unspecified(rows * count * width);
        split_mut(&mut out, count * width, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                let numbers = &numbers.values[part.start * count..part.end * count];
                scale(out, numbers, vectors.values, width);
            });
        Ok(Output::new(out, (rows, count, width), ()))
    }

    fn backward(
        &self,
        [numbers, vectors]: [Argument<'_>; 2],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<2>> {
        let ([rows, count], [_, width]) = (numbers.sizes()?, vectors.sizes()?);
        let (own, of_vectors, slopes) = (numbers.values, vectors.values, arrived.gradient);
        let (parts, size) = (chunks(rows), count * width);
        let mut to_numbers = unspecified(own.len());
        let mut sums = vec![0f32; parts.len() * size];
        split_mut(&mut to_numbers, count, &parts)
            .into_par_iter()
            .zip(sums.par_chunks_exact_mut(size))
            .zip(&parts)
            .for_each(|((out, sums), part)| {
                let own = &own[part.start * count..part.end * count];
                let slopes = &slopes[part.start * size..part.end * size];
                scale_gradient(out, sums, own, of_vectors, slopes, width);
            });
        let mut to_vectors = unspecified(size);
        // Chunks in order, whoever made them.
        reduce_parts(&mut to_vectors, &sums, false);
        Ok([Some(to_numbers), Some(to_vectors)])
    }
}

multiversioned! {
    fn scale(out: &mut [f32], numbers: &[f32], vectors: &[f32], width: usize) {
        let rows = out.chunks_exact_mut(vectors.len());
        for (out, numbers) in rows.zip(numbers.chunks_exact(vectors.len() / width)) {
            let fields = out.chunks_exact_mut(width).zip(vectors.chunks_exact(width));
            for ((out, vector), number) in fields.zip(numbers) {
                for (out, unit) in out.iter_mut().zip(vector) {
                    *out = number * unit;
                }
            }
        }
    }
}

multiversioned! {
    /// `sums` gets those of the vectors, over these rows in order.
    fn scale_gradient(
        out: &mut [f32],
        sums: &mut [f32],
        numbers: &[f32],
        vectors: &[f32],
        slopes: &[f32],
        width: usize,
    ) {
        let count = vectors.len() / width;
        let rows = out.chunks_exact_mut(count).zip(numbers.chunks_exact(count));
        for ((out, numbers), slopes) in rows.zip(slopes.chunks_exact(vectors.len())) {
            for field in 0..count {
                let units = field * width..(field + 1) * width;
                let slopes = &slopes[units.clone()];
                out[field] = dot(slopes, &vectors[units.clone()]);
                for (sum, slope) in sums[units].iter_mut().zip(slopes) {
                    *sum = numbers[field].mul_add(*slope, *sum);
                }
            }
        }
    }
}
