//! The forward pass: one block of rows at a time, its products and row passes while they are in cache.

use super::packed::Packed;
use super::{FeatureGates, State};
use crate::feature_gate::passes::{gate_rows, sigmoids, softmax_columns};
use crate::fresh::{FreshPart, FreshValues};
use crate::product::{Matrix, multiply_into};
use crate::rows::{blocks, rows_of};
use crate::stack::StackValues;
use rayon::prelude::*;
use std::ops::Range;

pub(super) struct Forward<'a> {
    pub(super) gates: &'a FeatureGates,
    pub(super) xs: &'a [f32],
    pub(super) num_rows: usize,
    pub(super) packed: Vec<Packed>,
    pub(super) lora_b: StackValues<'a>,
}

impl Forward<'_> {
    pub(super) fn run(&self) -> (Vec<f32>, State) {
        let (dim, num_rows) = (self.gates.dim(), self.num_rows);
        let num_lora = self.gates.num_lora();
        let parts: Vec<Range<usize>> = blocks(0..num_rows).collect();
        let size = self.gates.num_gates() * num_rows * dim;
        let (mut out, mut kept) = (FreshValues::new(size), FreshValues::new(size * num_lora));
        let mut hidden: Vec<FreshValues> = (self.packed.iter())
            .map(|packed| FreshValues::new(packed.width * num_rows))
            .collect();
        // An input that no gate reads has no values and no part.
        let mut hidden_parts: Vec<Vec<FreshPart<'_>>> = parts.iter().map(|_| Vec::new()).collect();
        for (hidden, packed) in hidden.iter_mut().zip(&self.packed) {
            let of_input = hidden.split(packed.width, &parts);
            for (home, part) in hidden_parts.iter_mut().zip(of_input) {
                home.push(part);
            }
        }
        out.split_by_chunk(dim, &parts)
            .into_par_iter()
            .zip(kept.split_by_chunk(dim, &parts))
            .zip(hidden_parts)
            .zip(&parts)
            .for_each(|(((mut out, mut kept), hidden), block)| {
                let read = self.packed.iter().enumerate().filter(|(_, p)| p.width > 0);
                for ((input, packed), hidden) in read.zip(hidden) {
                    self.run_input(input, packed, block, &mut out, &mut kept, hidden);
                }
            });
        let state = State {
            hidden: hidden.into_iter().map(FreshValues::finish).collect(),
            sigmoids: kept.finish(),
        };
        (out.finish(), state)
    }

    /// One input's gates on one block of rows; `out` and `kept` hold the block's rows of every gate and LoRA.
    fn run_input(
        &self,
        input: usize,
        packed: &Packed,
        block: &Range<usize>,
        out: &mut [FreshPart<'_>],
        kept: &mut [FreshPart<'_>],
        mut hidden: FreshPart<'_>,
    ) {
        let [dim, rank, num_lora] = self.gates.sizes();
        let xs = rows_of(self.xs, input, self.num_rows, block, dim);
        let rows = block.len();
        let weights = Matrix::new(&packed.weights, dim, packed.width);
        let hidden =
            hidden.write_rest(|out| multiply_into(out, Matrix::new(xs, rows, dim), weights));
        for (position, gate) in packed.gates.iter().enumerate() {
            let first = self.gates.weight_column(position, packed.gates.len());
            softmax_columns(hidden, packed.width, first, num_lora);
            let of_lora = |lora: usize| -> &[f32] {
                let column = self.gates.lora_column(position, lora);
                let lora_b = &self.lora_b.expert(*gate)[lora * rank * dim..][..rank * dim];
                let lora_b = Matrix::new(lora_b, rank, dim);
                let hidden = Matrix::strided(&hidden[column..], rows, rank, packed.width);
                let values = kept[gate * num_lora + lora]
                    .write_rest(|out| multiply_into(out, hidden, lora_b));
                sigmoids(values);
                values
            };
            let values: Vec<&[f32]> = (0..num_lora).map(of_lora).collect();
            out[*gate]
                .write_rest(|out| gate_rows(out, xs, &values, hidden, packed.width, first, dim));
        }
    }
}
