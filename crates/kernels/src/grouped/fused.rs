//! Linear maps by group as one operator of candle's graph, on rows laid out group after group.

use super::RowGroups;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output};
use crate::product::{Matrix, add_or_copy, multiply};
use crate::rows::{chunks, pieces, reduce_parts, unspecified};
use crate::stacked_mlp::add_column_sums;
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a product that one task makes, or that one chain sums; as of the products that are not by group.
const TASK_ROWS: usize = 64;

/// See the module.
pub(super) struct GroupedLinear {
    pub(super) groups: RowGroups,
    pub(super) needs_input_gradient: bool,
}

/// Sizes of a call.
#[derive(Clone, Copy)]
struct Sizes {
    num_inputs: usize,
    num_networks: usize,
    num_groups: usize,
    inputs: usize,
    outputs: usize,
}

impl Sizes {
    fn new(xs: &[usize], weights: &[usize]) -> Result<Self> {
        let ([num_inputs, _, _], [num_networks, num_groups, inputs, outputs]) = (xs, weights)
        else {
            candle_core::bail!("maps by group of {xs:?} can't have weights {weights:?}");
        };
        Ok(Self {
            num_inputs: *num_inputs,
            num_networks: *num_networks,
            num_groups: *num_groups,
            inputs: *inputs,
            outputs: *outputs,
        })
    }

    /// The input of a network.
    fn source(&self, network: usize) -> usize {
        match self.num_inputs {
            1 => 0,
            _ => network,
        }
    }

    /// The weights or biases, `size` numbers, of a network's group.
    fn part<'d>(&self, data: &'d [f32], network: usize, group: usize, size: usize) -> &'d [f32] {
        let start = (network * self.num_groups + group) * size;
        &data[start..start + size]
    }

    fn weights<'d>(&self, data: &'d [f32], network: usize, group: usize) -> Matrix<'d> {
        let data = self.part(data, network, group, self.inputs * self.outputs);
        Matrix::new(data, self.inputs, self.outputs)
    }
}

impl GroupedLinear {
    /// Some rows of a group, side by side: as they lie where all rows are of it.
    fn gathered<'d>(
        &self,
        data: &'d [f32],
        width: usize,
        group: usize,
        range: Range<usize>,
        scratch: &'d mut Vec<f32>,
    ) -> &'d [f32] {
        let rows = self.groups.selection.rows(group);
        if rows.len() == self.groups.num_rows() {
            return &data[range.start * width..range.end * width];
        }
        scratch.clear();
        for row in &rows[range] {
            let start = *row as usize * width;
            scratch.extend_from_slice(&data[start..start + width]);
        }
        scratch
    }

    /// Of each matrix and each group some rows at a time, in the order of a layout [matrices, groups, rows of the group].
    fn tasks(&self, num_matrices: usize) -> Vec<(usize, usize, Range<usize>)> {
        let of_group = |matrix, group| {
            let rows = 0..self.groups.num_rows_of(group);
            pieces(rows, TASK_ROWS).map(move |piece| (matrix, group, piece))
        };
        (0..num_matrices)
            .flat_map(|matrix| {
                (0..self.groups.num_groups()).flat_map(move |group| of_group(matrix, group))
            })
            .collect()
    }

    /// Has `write` make each task's rows of `width` numbers, and puts them where the rows lie: [matrices, rows, width].
    fn make(
        &self,
        num_matrices: usize,
        width: usize,
        write: impl Fn(usize, usize, Range<usize>, &mut [f32], &mut Vec<f32>) + Sync,
    ) -> Vec<f32> {
        let num_rows = self.groups.num_rows();
        let mut grouped = unspecified(num_matrices * num_rows * width);
        let mut rest = &mut grouped[..];
        let jobs: Vec<_> = (self.tasks(num_matrices).into_iter())
            .map(|(matrix, group, piece)| {
                let cut = piece.len() * width;
                let (own, tail) = std::mem::take(&mut rest).split_at_mut(cut);
                rest = tail;
                (matrix, group, piece, own)
            })
            .collect();
        jobs.into_par_iter()
            .for_each_init(Vec::new, |scratch, (matrix, group, piece, own)| {
                write(matrix, group, piece, own, scratch);
            });
        let is_in_place =
            (0..self.groups.num_groups()).any(|group| self.groups.num_rows_of(group) == num_rows);
        if is_in_place || grouped.is_empty() {
            return grouped;
        }
        let mut out = unspecified(grouped.len());
        out.par_chunks_exact_mut(num_rows * width)
            .zip(grouped.par_chunks_exact(num_rows * width))
            .for_each(|(out, grouped)| {
                let rows = self.groups.of_rows.iter().enumerate();
                for ((row, group), out) in rows.zip(out.chunks_exact_mut(width)) {
                    let place = self.groups.selection.place(row, *group as usize);
                    let start = place.expect("a row is in its group") * width;
                    out.copy_from_slice(&grouped[start..start + width]);
                }
            });
        out
    }

    fn outputs(&self, xs: &[f32], weights: &[f32], biases: &[f32], sizes: Sizes) -> Vec<f32> {
        let size = self.groups.num_rows() * sizes.inputs;
        let Sizes { outputs, .. } = sizes;
        self.make(
            sizes.num_networks,
            outputs,
            |network, group, piece, out, scratch| {
                let source = sizes.source(network);
                let own = &xs[source * size..(source + 1) * size];
                let count = piece.len();
                let left = self.gathered(own, sizes.inputs, group, piece, scratch);
                let left = Matrix::new(left, count, sizes.inputs);
                let right = sizes.weights(weights, network, group);
                multiply(out, outputs, left, right, false);
                // After the product, as networks without groups have it.
                let bias = sizes.part(biases, network, group, outputs);
                for row in out.chunks_exact_mut(outputs) {
                    add_or_copy(row, bias, true);
                }
            },
        )
    }

    /// The gradient of the inputs: of one that several networks read the sum, in their order.
    fn input_gradient(&self, gradient: &[f32], weights: &[f32], sizes: Sizes) -> Vec<f32> {
        let size = self.groups.num_rows() * sizes.outputs;
        self.make(
            sizes.num_inputs,
            sizes.inputs,
            |input, group, piece, out, scratch| {
                let networks = (0..sizes.num_networks).filter(|n| sizes.source(*n) == input);
                for (index, network) in networks.enumerate() {
                    let own = &gradient[network * size..(network + 1) * size];
                    let left = self.gathered(own, sizes.outputs, group, piece.clone(), scratch);
                    let left = Matrix::new(left, piece.len(), sizes.outputs);
                    let right = sizes.weights(weights, network, group).transposed();
                    multiply(out, sizes.inputs, left, right, index > 0);
                }
            },
        )
    }

    /// The gradients of weights and biases. Chains are of the rows of a piece of all rows that are of the group, pieces are added in order,
    /// then chunks: as if the other groups' rows were there as zeros.
    fn weight_gradients(&self, xs: &[f32], gradient: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
        let Sizes {
            inputs, outputs, ..
        } = sizes;
        let num_rows = self.groups.num_rows();
        let parts = chunks(num_rows);
        let (size, num_maps) = (inputs * outputs, sizes.num_networks * sizes.num_groups);
        let stride = size + outputs;
        let mut sums = vec![0f32; num_maps * parts.len() * stride];
        if stride == 0 {
            return (Vec::new(), Vec::new());
        }
        sums.par_chunks_exact_mut(stride).enumerate().for_each_init(
            || (Vec::new(), Vec::new(), vec![0f32; size]),
            |(of_xs, of_gradient, chain), (task, sums)| {
                let (map, part) = (task / parts.len(), &parts[task % parts.len()]);
                let (network, group) = (map / sizes.num_groups, map % sizes.num_groups);
                let source = sizes.source(network) * num_rows * inputs;
                let xs = &xs[source..source + num_rows * inputs];
                let start = network * num_rows * outputs;
                let gradient = &gradient[start..start + num_rows * outputs];
                let (of_weights, of_biases) = sums.split_at_mut(size);
                for piece in pieces(part.clone(), TASK_ROWS) {
                    let rows = self.groups.selection.within(group, &piece);
                    if rows.is_empty() {
                        continue;
                    }
                    let count = rows.len();
                    let left = self.gathered(xs, inputs, group, rows.clone(), of_xs);
                    let right = self.gathered(gradient, outputs, group, rows, of_gradient);
                    let left = Matrix::new(left, count, inputs).transposed();
                    multiply(
                        chain,
                        outputs,
                        left,
                        Matrix::new(right, count, outputs),
                        false,
                    );
                    add_or_copy(of_weights, chain, true);
                    add_column_sums(of_biases, right);
                }
            },
        );
        let mut of_weights = unspecified(num_maps * size);
        let mut of_biases = unspecified(num_maps * outputs);
        let mut whole = vec![0f32; stride];
        for (map, sums) in sums.chunks_exact(parts.len() * stride).enumerate() {
            reduce_parts(&mut whole, sums, false);
            of_weights[map * size..(map + 1) * size].copy_from_slice(&whole[..size]);
            of_biases[map * outputs..(map + 1) * outputs].copy_from_slice(&whole[size..]);
        }
        (of_weights, of_biases)
    }
}

impl Fused<3> for GroupedLinear {
    const NAME: &'static str = "grouped-linear";
    type Kept = ();

    fn forward(&self, [xs, weights, biases]: [Argument<'_>; 3]) -> Result<Output<()>> {
        let sizes = Sizes::new(xs.dims, weights.dims)?;
        let out = self.outputs(xs.values, weights.values, biases.values, sizes);
        let shape = (sizes.num_networks, self.groups.num_rows(), sizes.outputs);
        Ok(Output::new(out, shape, ()))
    }

    fn backward(
        &self,
        [xs, weights, _]: [Argument<'_>; 3],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<3>> {
        let sizes = Sizes::new(xs.dims, weights.dims)?;
        let gradient = arrived.gradient;
        let of_xs = (self.needs_input_gradient)
            .then(|| self.input_gradient(gradient, weights.values, sizes));
        let (of_weights, of_biases) = self.weight_gradients(xs.values, gradient, sizes);
        Ok([of_xs, Some(of_weights), Some(of_biases)])
    }
}
