//! Streams times a mask that is a linear map of themselves, one map a stream: what `switch` does before each of its blocks.

use crate::composed::matmul;
use crate::cuda::is_on_processor;
use crate::parameter::{argument, values};
use crate::product::{Matrix, multiply};
use crate::rows::{blocks, chunks, reduce_parts, rows_of, split_mut, unspecified};
use crate::simd::multiversioned;
use crate::stacked_mlp::add_column_sums;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

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
    let operator = Operator {
        changes: Mutex::default(),
    };
    streams
        .contiguous()?
        .apply_op2(&maps.contiguous()?, operator)
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

struct Operator {
    /// `h W + b`.
    changes: Mutex<Vec<f32>>,
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "masked-streams"
    }

    fn cpu_fwd(
        &self,
        streams: &CpuStorage,
        layout: &Layout,
        maps: &CpuStorage,
        maps_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, rows, width) = layout.shape().dims3()?;
        let (streams, maps) = (argument(streams, layout)?, argument(maps, maps_layout)?);
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
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = changes;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        streams: &Tensor,
        maps: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let gradient = gradient.contiguous()?;
        let (count, rows, width) = streams.dims3()?;
        let (own, maps_values) = (values(streams)?, values(maps)?);
        let gradient = values(&gradient)?;
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
                let [own, changes, gradient] = [&own[..], &changes[..], &gradient[..]]
                    .map(|data| rows_of(data, stream, rows, part, width));
                scratch.resize(own.len(), 0.0);
                mask_gradient(out, scratch, own, changes, gradient);
                let (weights, _) = map_of(&maps_values, stream, width);
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
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            Some(tensor(of_streams, streams)?),
            Some(tensor(of_maps, maps)?),
        ))
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
