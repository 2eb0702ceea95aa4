//! Stacked networks as one candle operator on the CPU in f32.
//!
//! Forward keeps each layer's products `z` alone; activations are made again, block by block, where a product needs them.
//! A layer's backward pass is one pass over its rows: batch norm's gradient, the weight gradient and the gradient of the
//! layer below, with its activation, all while the block is in cache.

mod backward;
mod forward;

use super::columns::Affine;
use super::{Norm, StackedMlp};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::rows::{chunks, rows_of};
use crate::selection::RowSelection;
use candle_core::{Result, Tensor};
use std::borrow::Cow;
use std::ops::Range;

/// What the forward pass keeps of a layer.
#[derive(Clone)]
pub(crate) struct LayerState {
    /// Products before bias and norm, [experts, rows, out].
    products: Vec<f32>,
    /// Per expert.
    affines: Vec<Affine>,
}

/// Which rows each expert runs in one call, and where its values lie in [experts, rows, width].
///
/// With a selection, an expert's rows are those that chose it, and the layout is ragged: expert after expert, each with as many
/// rows as it runs. Chunks are those of all rows, cut down to the selected ones, so that partial sums are of the same rows as
/// without: rows left out would have added exact zeros.
#[derive(Clone)]
struct Plan<'a> {
    num_rows: usize,
    input_dim: usize,
    num_chunks: usize,
    selection: Option<&'a RowSelection>,
    /// Of every expert and chunk, chunks innermost: rows counted within the expert's own.
    parts: Vec<Range<usize>>,
    /// The first row of each expert in the layout, and the end.
    starts: Vec<usize>,
}

impl<'a> Plan<'a> {
    fn new(mlp: &StackedMlp, num_rows: usize, selection: Option<&'a RowSelection>) -> Self {
        let num_experts = mlp.num_experts();
        let chunks = chunks(num_rows);
        let (parts, starts) = match selection {
            None => (
                vec![chunks.clone(); num_experts].concat(),
                (0..=num_experts).map(|expert| expert * num_rows).collect(),
            ),
            Some(selection) => {
                let of = |expert| {
                    chunks
                        .iter()
                        .map(move |chunk| selection.within(expert, chunk))
                };
                (
                    (0..num_experts).flat_map(of).collect(),
                    selection.starts().to_vec(),
                )
            }
        };
        Self {
            num_rows,
            input_dim: mlp.layers[0].weight.expert_shape()[0],
            num_chunks: chunks.len(),
            selection,
            parts,
            starts,
        }
    }

    /// Rows of all experts together.
    fn total_rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The rows `range` of an expert.
    fn rows_of<'d>(
        &self,
        data: &'d [f32],
        expert: usize,
        range: &Range<usize>,
        width: usize,
    ) -> &'d [f32] {
        let first = self.starts[expert];
        &data[(first + range.start) * width..(first + range.end) * width]
    }

    /// One slice per (expert, chunk), chunks innermost.
    fn split_mut<'d>(&self, data: &'d mut [f32], width: usize) -> Vec<&'d mut [f32]> {
        let mut rest = data;
        let cut = |part: &Range<usize>| {
            let (first, tail) = std::mem::take(&mut rest).split_at_mut(part.len() * width);
            rest = tail;
            first
        };
        self.parts.iter().map(cut).collect()
    }

    /// Inputs of some of an expert's rows, gathered into `scratch` where those are not neighbours.
    fn inputs<'d>(
        &self,
        xs: &'d [f32],
        source: usize,
        expert: usize,
        range: &Range<usize>,
        scratch: &'d mut Vec<f32>,
    ) -> &'d [f32] {
        let width = self.input_dim;
        let Some(selection) = self.selection else {
            return rows_of(xs, source, self.num_rows, range, width);
        };
        let xs = &xs[source * self.num_rows * width..];
        scratch.clear();
        for row in &selection.rows(expert)[range.clone()] {
            let start = *row as usize * width;
            scratch.extend_from_slice(&xs[start..start + width]);
        }
        scratch
    }
}

/// The forward pass on slices: from inputs [inputs, rows, input_dim] to outputs [experts, rows, output_dim], ragged with a
/// selection, and what the backward pass needs.
pub(crate) fn run_forward(
    mlp: &StackedMlp,
    xs: &[f32],
    num_rows: usize,
    selection: Option<&RowSelection>,
    train: bool,
) -> Result<(Vec<f32>, Vec<LayerState>)> {
    forward::run(mlp, xs, &Plan::new(mlp, num_rows, selection), train)
}

/// What a backward pass reads, as the forward pass had it.
pub(crate) struct Forward<'a> {
    pub(crate) xs: &'a [f32],
    pub(crate) num_rows: usize,
    pub(crate) selection: Option<&'a RowSelection>,
    pub(crate) states: &'a [LayerState],
}

/// The backward pass on slices: adds to the parameters' gradients, and gives the inputs' where it is needed. An owned
/// `gradient` of the outputs is worked on in place.
pub(crate) fn run_backward(
    mlp: &StackedMlp,
    forward: &Forward<'_>,
    gradient: Cow<'_, [f32]>,
    needs_input_gradient: bool,
) -> Result<Option<Vec<f32>>> {
    let plan = Plan::new(mlp, forward.num_rows, forward.selection);
    backward::run(mlp, forward, gradient, &plan, needs_input_gradient)
}

struct Operator {
    mlp: StackedMlp,
    train: bool,
    needs_input_gradient: bool,
}

pub(super) fn forward(mlp: &StackedMlp, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        mlp: mlp.clone(),
        train,
        needs_input_gradient: xs.track_op(),
    };
    apply_2(operator, xs, mlp.first_parameter())
}

impl Fused<2> for Operator {
    const NAME: &'static str = "stacked-mlp";
    type Kept = Vec<LayerState>;

    fn forward(&self, [xs, _anchor]: [Argument<'_>; 2]) -> Result<Output<Vec<LayerState>>> {
        let num_rows = num_rows(xs.dims);
        let (out, states) = run_forward(&self.mlp, xs.values, num_rows, None, self.train)?;
        let experts = self.mlp.num_experts();
        let width = out.len() / (experts * num_rows).max(1);
        Ok(Output {
            values: out,
            shape: (experts, num_rows, width).into(),
            kept: self.train.then_some(states),
        })
    }

    fn backward(
        &self,
        [xs, _anchor]: [Argument<'_>; 2],
        arrived: Arrived<'_, Vec<LayerState>>,
    ) -> Result<Gradients<2>> {
        let forward = Forward {
            xs: xs.values,
            num_rows: num_rows(xs.dims),
            selection: None,
            states: &arrived.kept,
        };
        let gradient = Cow::Borrowed(arrived.gradient);
        let of_xs = run_backward(&self.mlp, &forward, gradient, self.needs_input_gradient)?;
        Ok([of_xs, None])
    }
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
}

/// Whether the layer's products have a norm whose gradient has to be made.
fn is_batch_norm(norm: &Norm) -> bool {
    matches!(norm, Norm::Batch { .. })
}
