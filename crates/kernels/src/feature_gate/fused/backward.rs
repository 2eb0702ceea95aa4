//! The backward pass: one pass over the rows of an input, every gate that reads it in turn.

use super::packed::Packed;
use super::{FeatureGates, FeatureGatesDims, State, dims};
use crate::feature_gate::passes::{GateBlock, gate_gradient_rows};
use crate::product::{Matrix, SharedFactor, multiply};
use crate::rows::{BLOCK_ROWS, blocks, reduce_parts, rows_of, split_mut, unspecified};
use crate::stack::StackValues;
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

pub(super) struct Backward<'a> {
    pub(super) gates: &'a FeatureGates,
    pub(super) xs: &'a [f32],
    pub(super) gradient: &'a [f32],
    pub(super) num_rows: usize,
    pub(super) packed: Vec<Packed>,
    pub(super) state: &'a State,
    pub(super) chunks: Vec<Range<usize>>,
}

/// Weight gradients of one input's gates over one chunk.
struct Partial {
    /// [dim, width].
    packed: Vec<f32>,
    /// [gates of the input, loras, rank, dim].
    lora_b: Vec<f32>,
}

impl Backward<'_> {
    pub(super) fn run(&self) -> Result<Vec<f32>> {
        let dim = self.gates.dim();
        let num_chunks = self.chunks.len();
        let lora_b = self.gates.lora_b.read()?;
        let factors: Vec<SharedFactor<'_>> = (self.packed.iter())
            .map(|packed| SharedFactor::new(packed.matrix(dim).transposed()))
            .collect();
        let mut input_gradient = unspecified(self.xs.len());
        let partials: Vec<Partial> = split_mut(&mut input_gradient, dim, &self.chunks)
            .into_par_iter()
            .enumerate()
            .map(|(task, out)| {
                let (input, chunk) = (task / num_chunks, &self.chunks[task % num_chunks]);
                self.run_chunk(input, &factors[input], chunk, out, &lora_b)
            })
            .collect();
        drop(lora_b);
        self.accumulate(&partials);
        Ok(input_gradient)
    }

    fn run_chunk(
        &self,
        input: usize,
        factor: &SharedFactor<'_>,
        chunk: &Range<usize>,
        out: &mut [f32],
        lora_b: &StackValues<'_>,
    ) -> Partial {
        let FeatureGatesDims {
            dim,
            rank,
            num_lora,
        } = dims(self.gates);
        let packed = &self.packed[input];
        let mut partial = Partial {
            packed: unspecified(dim * packed.width),
            lora_b: unspecified(packed.gates.len() * num_lora * rank * dim),
        };
        let mut loras = unspecified(num_lora * BLOCK_ROWS.min(chunk.len()) * dim);
        let mut hidden = unspecified(BLOCK_ROWS.min(chunk.len()) * packed.width);
        if packed.width == 0 {
            out.fill(0.0);
            return partial;
        }
        for block in blocks(chunk.clone()) {
            let rows = block.len();
            let at = (block.start - chunk.start) * dim;
            let out = &mut out[at..at + rows * dim];
            let hidden = &mut hidden[..rows * packed.width];
            let loras = &mut loras[..num_lora * rows * dim];
            for position in 0..packed.gates.len() {
                let b = lora_b.expert(packed.gates[position]);
                let of_b = &mut partial.lora_b[position * num_lora * rank * dim..];
                let is_first = block.start == chunk.start;
                self.run_gate(
                    input, position, &block, out, loras, hidden, b, of_b, is_first,
                );
            }
            let xs = rows_of(self.xs, input, self.num_rows, &block, dim);
            let of_hidden = Matrix::new(hidden, rows, packed.width);
            multiply(
                &mut partial.packed,
                packed.width,
                Matrix::new(xs, rows, dim).transposed(),
                of_hidden,
                block.start > chunk.start,
            );
            multiply(out, dim, of_hidden, factor.matrix(), true);
        }
        partial
    }

    /// One gate on one block: adds to the input's gradient, which an input's first gate begins, and to that of its B, which a
    /// chunk's first block begins; fills the gate's columns of `hidden`.
    fn run_gate(
        &self,
        input: usize,
        position: usize,
        block: &Range<usize>,
        out: &mut [f32],
        loras: &mut [f32],
        hidden: &mut [f32],
        lora_b: &[f32],
        of_b: &mut [f32],
        is_first_block: bool,
    ) {
        let FeatureGatesDims {
            dim,
            rank,
            num_lora,
        } = dims(self.gates);
        let packed = &self.packed[input];
        let gate = packed.gates[position];
        let rows = block.len();
        let kept = rows_of(
            &self.state.hidden[input],
            0,
            self.num_rows,
            block,
            packed.width,
        );
        let sigmoids: Vec<&[f32]> = (0..num_lora)
            .map(|lora| {
                let index = gate * num_lora + lora;
                rows_of(&self.state.sigmoids, index, self.num_rows, block, dim)
            })
            .collect();
        let first = self.gates.weight_column(position, packed.gates.len());
        let rows_block = GateBlock {
            gradient: rows_of(self.gradient, gate, self.num_rows, block, dim),
            xs: rows_of(self.xs, input, self.num_rows, block, dim),
            sigmoids: &sigmoids,
            weights: kept,
            stride: packed.width,
            first,
            dim,
        };
        gate_gradient_rows(&rows_block, out, loras, hidden, position > 0);
        for (lora, slopes) in loras.chunks_exact(rows * dim).enumerate() {
            let column = self.gates.lora_column(position, lora);
            let slopes = Matrix::new(slopes, rows, dim);
            let b = Matrix::new(&lora_b[lora * rank * dim..][..rank * dim], rank, dim);
            multiply(
                &mut hidden[column..],
                packed.width,
                slopes,
                b.transposed(),
                false,
            );
            let hidden_before = Matrix::strided(&kept[column..], rows, rank, packed.width);
            let of_b = &mut of_b[lora * rank * dim..][..rank * dim];
            multiply(
                of_b,
                dim,
                hidden_before.transposed(),
                slopes,
                !is_first_block,
            );
        }
    }

    fn accumulate(&self, partials: &[Partial]) {
        let num_chunks = self.chunks.len();
        let size_b: usize = self.gates.lora_b.expert_shape().iter().product();
        let mut of_b = vec![0f32; self.gates.sources.len() * size_b];
        let mut of_packed = Vec::with_capacity(self.packed.len());
        for (packed, parts) in self.packed.iter().zip(partials.chunks(num_chunks)) {
            let mut total = vec![0f32; packed.weights.len()];
            for part in parts {
                if !total.is_empty() {
                    reduce_parts(&mut total, &part.packed, true);
                }
                for (gate, part) in packed.gates.iter().zip(part.lora_b.chunks_exact(size_b)) {
                    reduce_parts(&mut of_b[gate * size_b..(gate + 1) * size_b], part, true);
                }
            }
            of_packed.push(total);
        }
        self.gates.lora_b.accumulate_values(&of_b);
        self.gates.accumulate(&self.packed, &of_packed);
    }
}
