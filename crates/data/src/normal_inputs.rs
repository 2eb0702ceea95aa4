//! Inputs of the sources on normal numbers: each standard normal, drawn by its row's place alone.

use super::{Batch, generated};
use homebench_random::Philox;
use std::ops::Range;

/// A generator of inputs.
#[derive(Debug)]
pub(super) struct NormalInputs {
    stream: Philox,
    input_dim: usize,
}

impl NormalInputs {
    /// `input_dim` inputs a row, from this stream.
    pub(super) fn new(stream: Philox, input_dim: usize) -> Self {
        Self { stream, input_dim }
    }

    /// What inputs are called.
    pub(super) fn names(input_dim: usize) -> Vec<String> {
        (0..input_dim).map(|input| format!("x{input}")).collect()
    }

    /// Rows `range` of a split; `label` is given the index of a row, its inputs and where to put its labels.
    pub(super) fn batch(
        &self,
        split: usize,
        range: Range<u64>,
        num_tasks: usize,
        mut label: impl FnMut(u64, &[f32], &mut Vec<f32>),
    ) -> Batch {
        let num_rows = (range.end - range.start) as usize;
        let mut batch = Batch {
            num_rows,
            numeric: Vec::with_capacity(num_rows * self.input_dim),
            labels: Vec::with_capacity(num_rows * num_tasks),
            ..Batch::default()
        };
        self.for_each_row(split, range, |index, inputs| {
            batch.numeric.extend_from_slice(inputs);
            label(index, inputs, &mut batch.labels);
        });
        batch
    }

    /// The index and the inputs of each row.
    pub(super) fn for_each_row(
        &self,
        split: usize,
        range: Range<u64>,
        mut visit: impl FnMut(u64, &[f32]),
    ) {
        // A draw gives two normal numbers. A row takes whole draws, so that it shares none with the
        // next one.
        let pairs = self.input_dim.div_ceil(2);
        let mut inputs = vec![0.0; 2 * pairs];
        for row in range {
            let index = generated::index(split, row);
            for (pair, inputs) in (0..).zip(inputs.chunks_exact_mut(2)) {
                inputs.copy_from_slice(&self.stream.normal2(index * pairs as u64 + pair));
            }
            visit(index, &inputs[..self.input_dim]);
        }
    }
}
