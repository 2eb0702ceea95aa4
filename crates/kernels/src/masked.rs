//! Streams times a mask that is a linear map of themselves, one map a stream: what `switch` does before each of its blocks.

use crate::composed::matmul;
use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::product::{Matrix, multiply};
use crate::rows::{blocks, chunks, reduce_parts, rows_of, split_mut, unspecified};
use crate::simd::multiversioned;
use crate::stacked_mlp::add_column_sums;
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// `h (1 + h W + b)` of every stream.
///
/// # Shapes
/// - streams, result: [streams, rows, width]
/// - maps: [streams, width + 1, width], the last row of each the bias
///
/// # Errors
/// Shapes that don't fit.
pub fn masked(streams: &Tensor, maps: &Tensor) -> Result<Tensor> {
    let (count, rows, width) = streams.dims3()?;
    if maps.dims() != [count, width + 1, width] || rows == 0 {
        candle_core::bail!(
            "{count} streams of {rows} rows of {width} units can't have maps {:?}",
            maps.dims()
        );
    }
    if !is_on_processor(streams) {
        return masked_composed(streams, maps);
    }
    apply_2(Masked, streams, maps)
}

/// The same from candle's stock operators: the reference.
///
/// # Errors
/// As [`masked`].
pub fn masked_composed(streams: &Tensor, maps: &Tensor) -> Result<Tensor> {
    let (count, rows, _) = streams.dims3()?;
    let ones = Tensor::ones((count, rows, 1), streams.dtype(), streams.device())?;
    let changes = matmul(&Tensor::cat(&[streams, &ones], 2)?, maps)?;
    streams + changes.mul(streams)?
}

struct Masked;

impl Fused<2> for Masked {
    const NAME: &'static str = "masked-streams";
    /// `h W + b`.
    type Kept = Vec<f32>;

    fn forward(&self, [streams, maps]: [Argument<'_>; 2]) -> Result<Output<Vec<f32>>> {
        let [_, rows, width] = streams.sizes()?;
        let (dims, streams, maps) = (streams.dims, streams.values, maps.values);
        let parts: Vec<Range<usize>> = blocks(0..rows).collect();
        let mut changes = unspecified(streams.len());
        let mut out = unspecified(streams.len());
        split_mut(&mut changes, width, &parts)
            .into_par_iter()
            .zip(split_mut(&mut out, width, &parts))
            .enumerate()
            .for_each(|(task, (changes, out))| {
                let (stream, part) = (task / parts.len(), &parts[task % parts.len()]);
                let (weights, bias) = map_of(maps, stream, width);
                for row in changes.chunks_exact_mut(width) {
                    row.copy_from_slice(bias);
                }
                let own = rows_of(streams, stream, rows, part, width);
                let left = Matrix::new(own, part.len(), width);
                multiply(
                    changes,
                    width,
                    left,
                    Matrix::new(weights, width, width),
                    true,
                );
                mask(out, own, changes);
            });
        Ok(Output::new(out, dims, changes))
    }

    fn backward(
        &self,
        [streams, maps]: [Argument<'_>; 2],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<2>> {
        let [count, rows, width] = streams.sizes()?;
        let own = streams.values;
        let parts: Vec<Range<usize>> = chunks(rows);
        let mut of_streams = unspecified(own.len());
        let size = (width + 1) * width;
        let mut of_parts = unspecified(count * parts.len() * size);
        split_mut(&mut of_streams, width, &parts)
            .into_par_iter()
            .zip(of_parts.par_chunks_exact_mut(size))
            .enumerate()
            .for_each_init(Vec::new, |scratch, (task, (out, of_map))| {
                let (stream, part) = (task / parts.len(), &parts[task % parts.len()]);
                let [own, changes, gradient] = [own, &arrived.kept, arrived.gradient]
                    .map(|data| rows_of(data, stream, rows, part, width));
                scratch.resize(own.len(), 0.0);
                mask_gradient(out, scratch, own, changes, gradient);
                let (weights, _) = map_of(maps.values, stream, width);
                let of_changes = Matrix::new(scratch, part.len(), width);
                let weights = Matrix::new(weights, width, width).transposed();
                multiply(out, width, of_changes, weights, true);
                let (of_weights, of_bias) = of_map.split_at_mut(width * width);
                let inputs = Matrix::new(own, part.len(), width).transposed();
                multiply(of_weights, width, inputs, of_changes, false);
                of_bias.fill(0.0);
                add_column_sums(of_bias, scratch);
            });
        let mut of_maps = unspecified(count * size);
        let of_streams_parts = of_parts.chunks_exact(parts.len() * size);
        for (out, parts) in of_maps.chunks_exact_mut(size).zip(of_streams_parts) {
            reduce_parts(out, parts, false);
        }
        Ok([Some(of_streams), Some(of_maps)])
    }
}

/// A stream's weights and bias.
fn map_of(maps: &[f32], stream: usize, width: usize) -> (&[f32], &[f32]) {
    let size = (width + 1) * width;
    maps[stream * size..(stream + 1) * size].split_at(width * width)
}

multiversioned! {
    fn mask(out: &mut [f32], streams: &[f32], changes: &[f32]) {
        for ((out, h), change) in out.iter_mut().zip(streams).zip(changes) {
            *out = h.mul_add(*change, *h);
        }
    }
}

multiversioned! {
    /// The gradient that goes past the map, and that of what the map gives.
    fn mask_gradient(
        out: &mut [f32],
        of_changes: &mut [f32],
        streams: &[f32],
        changes: &[f32],
        gradient: &[f32],
    ) {
        let length = out.len();
        let (of_changes, streams) = (&mut of_changes[..length], &streams[..length]);
        let (changes, gradient) = (&changes[..length], &gradient[..length]);
        for index in 0..length {
            out[index] = gradient[index].mul_add(changes[index], gradient[index]);
            of_changes[index] = gradient[index] * streams[index];
        }
    }
}
