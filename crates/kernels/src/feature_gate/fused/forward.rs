//! The forward pass: one block of rows at a time, its products and row passes while they are in cache.

use super::packed::Packed;
use super::{FeatureGates, FeatureGatesDims, State, dims};
use crate::feature_gate::passes::{gate_rows, sigmoids, softmax_columns};
use crate::product::{Matrix, SharedFactor, multiply};
use crate::rows::{blocks, rows_of, split_by_chunk, split_mut, unspecified};
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
    pub(super) fn run(&self, out: &mut [f32]) -> State {
        let (dim, num_rows) = (self.gates.dim(), self.num_rows);
        let num_lora = self.gates.num_lora();
        let parts: Vec<Range<usize>> = blocks(0..num_rows).collect();
        let factors: Vec<SharedFactor<'_>> = (self.packed.iter())
            .map(|packed| SharedFactor::new(packed.matrix(dim)))
            .collect();
        let mut kept = unspecified(out.len() * num_lora);
        let mut hidden: Vec<Vec<f32>> = self
            .packed
            .iter()
            .map(|packed| unspecified(packed.width * num_rows))
            .collect();
        let mut hidden_parts: Vec<Vec<&mut [f32]>> = parts.iter().map(|_| Vec::new()).collect();
        for (hidden, packed) in hidden.iter_mut().zip(&self.packed) {
            if packed.width > 0 {
                let slices = split_mut(hidden, packed.width, &parts);
                for (home, part) in hidden_parts.iter_mut().zip(slices) {
                    home.push(part);
                }
            } else {
                hidden_parts.iter_mut().for_each(|home| home.push(&mut []));
            }
        }
        split_by_chunk(out, dim, &parts)
            .into_par_iter()
            .zip(split_by_chunk(&mut kept, dim, &parts))
            .zip(hidden_parts)
            .zip(&parts)
            .for_each(|(((mut out, mut kept), mut hidden), block)| {
                for (input, packed) in self.packed.iter().enumerate() {
                    self.run_input(
                        input,
                        packed,
                        &factors[input],
                        block,
                        &mut out,
                        &mut kept,
                        &mut *hidden[input],
                    );
                }
            });
        State {
            hidden,
            sigmoids: kept,
        }
    }

    /// One input's gates on one block of rows; `out` and `kept` hold the block's rows of every gate and LoRA.
    fn run_input(
        &self,
        input: usize,
        packed: &Packed,
        factor: &SharedFactor<'_>,
        block: &Range<usize>,
        out: &mut [&mut [f32]],
        kept: &mut [&mut [f32]],
        hidden: &mut [f32],
    ) {
        let FeatureGatesDims {
            dim,
            rank,
            num_lora,
        } = dims(self.gates);
        if packed.width == 0 {
            return;
        }
        let xs = rows_of(self.xs, input, self.num_rows, block, dim);
        let rows = block.len();
        multiply(
            hidden,
            packed.width,
            Matrix::new(xs, rows, dim),
            factor.matrix(),
            false,
        );
        for (position, gate) in packed.gates.iter().enumerate() {
            let first = self.gates.weight_column(position, packed.gates.len());
            softmax_columns(hidden, packed.width, first, num_lora);
            for lora in 0..num_lora {
                let column = self.gates.lora_column(position, lora);
                let lora_b = &self.lora_b.expert(*gate)[lora * rank * dim..][..rank * dim];
                let out = &mut *kept[gate * num_lora + lora];
                multiply(
                    out,
                    dim,
                    Matrix::strided(&hidden[column..], rows, rank, packed.width),
                    Matrix::new(lora_b, rank, dim),
                    false,
                );
                sigmoids(out);
            }
            let values: Vec<&[f32]> = kept[gate * num_lora..(gate + 1) * num_lora]
                .iter()
                .map(|values| &**values)
                .collect();
            gate_rows(out[*gate], xs, &values, hidden, packed.width, first, dim);
        }
    }
}
