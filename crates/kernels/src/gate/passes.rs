//! The passes of a mix on slices: weights from logits, weighted sums, and their gradients.

use super::{GateActivation, MixGate};
use crate::product::dot;
use crate::rows::{rows_of, split_by_chunk, strips, unspecified};
use crate::simd::{exp, multiversioned};
use crate::softmax::{divide_by_sum, softmax_gradient, subtract_largest};
use rayon::prelude::*;
use std::ops::Range;

/// Which expert each column of the weights belongs to, and which output it feeds.
#[derive(Debug)]
pub(super) struct MixLayout {
    pub(super) gates: Vec<(MixGate, Range<usize>)>,
    pub(super) num_columns: usize,
    pub(super) num_experts: usize,
    /// Per output: (column, expert) of every summand.
    pub(super) outputs: Vec<Vec<(usize, usize)>>,
    /// Per expert: (column, output) of every use.
    pub(super) uses: Vec<Vec<(usize, usize)>>,
}

impl MixLayout {
    /// Turns logits into weights, in place, and gives the sums of experts.
    pub(super) fn weights(&self, logits: &mut [f32], num_rows: usize) {
        let strips = strips(num_rows);
        split_by_chunk(logits, self.num_columns, &strips)
            .into_par_iter()
            .for_each(|mut logits| activate(&self.gates, self.num_columns, &mut *logits[0]));
    }

    pub(super) fn sums(
        &self,
        experts: &[f32],
        logits: &mut [f32],
        num_rows: usize,
        width: usize,
    ) -> Vec<f32> {
        let num_columns = self.num_columns;
        let strips = strips(num_rows);
        let mut out = unspecified(self.outputs.len() * num_rows * width);
        split_by_chunk(&mut out, width, &strips)
            .into_par_iter()
            .zip(split_by_chunk(logits, num_columns, &strips))
            .zip(&strips)
            .for_each(|((mut outputs, mut weights), strip)| {
                let weights = &mut *weights[0];
                activate(&self.gates, num_columns, weights);
                let matrices = strip_of_each(experts, num_rows, strip, width);
                let summands = &self.outputs;
                weighted_sums(
                    &mut outputs,
                    width,
                    &matrices,
                    summands,
                    weights,
                    num_columns,
                );
            });
        out
    }

    /// The gradients of the experts and of the logits.
    pub(super) fn gradients(
        &self,
        experts: &[f32],
        weights: &[f32],
        gradient: &[f32],
        num_rows: usize,
        width: usize,
    ) -> [Vec<f32>; 2] {
        let num_columns = self.num_columns;
        let strips = strips(num_rows);
        let mut expert_gradient = unspecified(experts.len());
        let mut logit_gradient = unspecified(num_rows * num_columns);
        split_by_chunk(&mut expert_gradient, width, &strips)
            .into_par_iter()
            .zip(split_by_chunk(&mut logit_gradient, num_columns, &strips))
            .zip(&strips)
            .for_each(|((mut out, mut logits), strip)| {
                let weights = rows_of(weights, 0, num_rows, strip, num_columns);
                let outputs = strip_of_each(gradient, num_rows, strip, width);
                let matrices = strip_of_each(experts, num_rows, strip, width);
                weighted_sums(&mut out, width, &outputs, &self.uses, weights, num_columns);
                let logits = &mut *logits[0];
                inner_products(logits, &self.outputs, &matrices, &outputs, width);
                activation_gradients(&self.gates, num_columns, logits, weights);
            });
        [expert_gradient, logit_gradient]
    }
}

/// The rows of a strip of every matrix in [matrices, rows, width].
fn strip_of_each<'a>(
    data: &'a [f32],
    num_rows: usize,
    strip: &Range<usize>,
    width: usize,
) -> Vec<&'a [f32]> {
    (0..data.len() / (num_rows * width))
        .map(|matrix| rows_of(data, matrix, num_rows, strip, width))
        .collect()
}

multiversioned! {
    /// Turns logits into weights, in place.
    ///
    /// The exponentials of all gates are one loop over `weights`: a gate has too few experts to fill a vector. Free vectors
    /// are set aside meanwhile.
    fn activate(gates: &[(MixGate, Range<usize>)], num_columns: usize, weights: &mut [f32]) {
        let mut free = Vec::new();
        for row in weights.chunks_exact_mut(num_columns) {
            for (gate, columns) in gates {
                let logits = &mut row[columns.clone()];
                match gate.activation {
                    GateActivation::Identity => {
                        free.extend_from_slice(logits);
                        logits.fill(0.0);
                    }
                    GateActivation::Softmax => subtract_largest(logits),
                    GateActivation::Sigmoid => logits.iter_mut().for_each(|logit| *logit = -*logit),
                }
            }
        }
        for weight in weights.iter_mut() {
            *weight = exp(*weight);
        }
        let mut free = free.iter();
        for row in weights.chunks_exact_mut(num_columns) {
            for (gate, columns) in gates {
                let weights = &mut row[columns.clone()];
                match gate.activation {
                    GateActivation::Identity => {
                        for (weight, value) in weights.iter_mut().zip(&mut free) {
                            *weight = *value;
                        }
                    }
                    GateActivation::Softmax => divide_by_sum(weights),
                    GateActivation::Sigmoid => {
                        for weight in weights {
                            *weight = 1.0 / (1.0 + *weight);
                        }
                    }
                }
            }
        }
    }
}

multiversioned! {
    /// Turns gradients of weights into gradients of logits, in place.
    fn activation_gradients(
        gates: &[(MixGate, Range<usize>)],
        num_columns: usize,
        gradient: &mut [f32],
        weights: &[f32],
    ) {
        let rows = gradient.chunks_exact_mut(num_columns).zip(weights.chunks_exact(num_columns));
        for (gradient, weights) in rows {
            for (gate, columns) in gates {
                let (gradient, weights) = (&mut gradient[columns.clone()], &weights[columns.clone()]);
                match gate.activation {
                    GateActivation::Identity => {}
                    GateActivation::Softmax => softmax_gradient(gradient, weights),
                    GateActivation::Sigmoid => {
                        for (gradient, weight) in gradient.iter_mut().zip(weights) {
                            *gradient *= weight * (1.0 - weight);
                        }
                    }
                }
            }
        }
    }
}

/// The first `UNITS` units of one output's row, summed in registers; gives the units that are left.
#[inline(always)]
fn sum_units<'a, const UNITS: usize>(
    out: &'a mut [f32],
    from: &mut usize,
    summands: &[(usize, usize)],
    matrices: &[&[f32]],
    weights: &[f32],
) -> &'a mut [f32] {
    let (all, rest) = out.as_chunks_mut::<UNITS>();
    for units in all {
        let mut sums = [0f32; UNITS];
        for (column, matrix) in summands {
            let values: &[f32; UNITS] = matrices[*matrix][*from..]
                .first_chunk()
                .expect("a row has them");
            let weight = weights[*column];
            for lane in 0..UNITS {
                sums[lane] = values[lane].mul_add(weight, sums[lane]);
            }
        }
        *units = sums;
        *from += UNITS;
    }
    rest
}

multiversioned! {
    /// `outs[o][r] = sum over summands[o] (column, matrix) of weights[r, column] * matrices[matrix][r]`.
    ///
    /// Row by row, so that a row of every matrix is read from memory once and by its other users from the first-level cache.
    fn weighted_sums(
        outs: &mut [&mut [f32]],
        width: usize,
        matrices: &[&[f32]],
        summands: &[Vec<(usize, usize)>],
        weights: &[f32],
        num_columns: usize,
    ) {
        for (row, weights) in weights.chunks_exact(num_columns).enumerate() {
            let units = row * width..(row + 1) * width;
            for (out, summands) in outs.iter_mut().zip(summands) {
                let mut from = units.start;
                let out = &mut out[units.clone()];
                let out = sum_units::<64>(out, &mut from, summands, matrices, weights);
                let out = sum_units::<32>(out, &mut from, summands, matrices, weights);
                let out = sum_units::<16>(out, &mut from, summands, matrices, weights);
                let out = sum_units::<8>(out, &mut from, summands, matrices, weights);
                sum_units::<1>(out, &mut from, summands, matrices, weights);
            }
        }
    }
}

multiversioned! {
    /// `out[r, column] = experts[expert][r] . gradients[output][r]` for every summand of every output.
    fn inner_products(
        out: &mut [f32],
        outputs: &[Vec<(usize, usize)>],
        experts: &[&[f32]],
        gradients: &[&[f32]],
        width: usize,
    ) {
        let num_columns: usize = outputs.iter().map(Vec::len).sum();
        for (row, out) in out.chunks_exact_mut(num_columns).enumerate() {
            let range = row * width..(row + 1) * width;
            for (summands, gradient) in outputs.iter().zip(gradients) {
                let gradient = &gradient[range.clone()];
                for (column, expert) in summands {
                    out[*column] = dot(&experts[*expert][range.clone()], gradient);
                }
            }
        }
    }
}
