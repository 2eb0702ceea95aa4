//! The logits of all gates of a layer: `x W + b`, gates that read the same input in one product.

use crate::composed::matmul;
use crate::cuda::{self, Machine, is_on_processor};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::parameter::Parameter;
use crate::product::{Matrix, add_or_copy, multiply};
use crate::rows::{blocks, chunks, reduce_parts, rows_of, split_by_chunk, split_mut, unspecified};
use crate::stacked_mlp::add_column_sums;
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// A gate's linear map. Its input is the concatenation of `sources`; without a source, its logits are the bias alone, the
/// same for every row.
#[derive(Debug, Clone)]
pub struct LinearGate {
    /// Indices of the inputs that it reads, in the order of the weight's rows.
    pub sources: Vec<usize>,
    /// [sum of input widths, logits]; absent without a source.
    pub weight: Option<Parameter>,
    /// `[logits]`.
    pub bias: Option<Parameter>,
    /// Number of logits.
    pub num_logits: usize,
}

/// All gates of a layer. The logits of gate g follow those of gate g - 1.
#[derive(Debug, Clone)]
pub struct GateLogits {
    gates: Arc<[LinearGate]>,
    num_columns: usize,
}

impl GateLogits {
    /// Gates in the order of their columns.
    ///
    /// # Errors
    /// A gate with neither weight nor bias, or with one of another number of logits.
    pub fn new(gates: Vec<LinearGate>) -> Result<Self> {
        for gate in &gates {
            let dims = [&gate.weight, &gate.bias].map(|parameter| {
                let parameter = parameter.as_ref()?;
                Some(parameter.tensor().dims().to_vec())
            });
            let num_sources = gate.sources.len();
            let fits = match &dims {
                [None, Some(bias)] => num_sources == 0 && bias[..] == [gate.num_logits],
                [Some(weight), bias] => {
                    matches!(weight[..], [rows, columns]
                        if num_sources > 0 && rows % num_sources == 0 && columns == gate.num_logits)
                        && bias
                            .as_ref()
                            .is_none_or(|bias| bias[..] == [gate.num_logits])
                }
                [None, None] => false,
            };
            if !fits {
                candle_core::bail!(
                    "a gate of {} logits over {num_sources} inputs has weight and bias of {dims:?}",
                    gate.num_logits
                );
            }
        }
        Ok(Self {
            num_columns: gates.iter().map(|gate| gate.num_logits).sum(),
            gates: gates.into(),
        })
    }

    /// Number of logits of all gates.
    pub(crate) fn num_columns(&self) -> usize {
        self.num_columns
    }

    /// Whether the fused operator takes this input.
    pub(crate) fn is_fused(&self, xs: &Tensor) -> bool {
        is_on_processor(xs)
    }

    pub(crate) fn gates(&self) -> &[LinearGate] {
        &self.gates
    }

    /// Every gate's logits.
    ///
    /// # Shapes
    /// - xs: [inputs, batch, input_dim], or [batch, input_dim] for one input
    /// - result: [batch, logits of all gates]
    ///
    /// # Errors
    /// Shapes that don't fit, or an empty batch.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.check_input(xs.dims())?;
        let anchor = self
            .gates
            .iter()
            .find_map(|g| g.weight.as_ref().or(g.bias.as_ref()));
        if let (Some(anchor), Some(machine)) = (anchor, Machine::of(xs)) {
            return cuda::gate_logits(machine, self, xs, anchor.tensor());
        }
        match anchor {
            Some(anchor) if self.is_fused(xs) => {
                let operator = Operator {
                    gates: self.clone(),
                    needs_input_gradient: xs.track_op(),
                };
                apply_2(operator, xs, anchor.tensor())
            }
            _ => self.forward_composed(xs),
        }
    }

    pub(crate) fn check_input(&self, dims: &[usize]) -> Result<()> {
        let (num_inputs, num_rows, input_dim) = match *dims {
            [rows, width] => (1, rows, width),
            [inputs, rows, width] => (inputs, rows, width),
            _ => candle_core::bail!("expected [inputs, batch, width], found {dims:?}"),
        };
        if num_rows == 0 {
            candle_core::bail!("gates need at least 1 row");
        }
        for gate in self.gates.iter() {
            if let Some(source) = gate.sources.iter().find(|source| **source >= num_inputs) {
                candle_core::bail!("a gate reads input {source} of {num_inputs}");
            }
            let rows = gate.weight.as_ref().map_or(0, |w| w.tensor().dims()[0]);
            if rows != gate.sources.len() * input_dim {
                candle_core::bail!(
                    "a gate over {} inputs of width {input_dim} has weights for {rows} units",
                    gate.sources.len()
                );
            }
        }
        Ok(())
    }

    /// The same from candle's stock operators: the reference.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_composed(&self, xs: &Tensor) -> Result<Tensor> {
        self.check_input(xs.dims())?;
        let xs = if xs.rank() == 2 {
            xs.unsqueeze(0)?
        } else {
            xs.clone()
        };
        let num_rows = xs.dim(1)?;
        let of = |gate: &LinearGate| -> Result<Tensor> {
            let bias = gate.bias.as_ref().map(|bias| bias.tensor());
            let Some(weight) = &gate.weight else {
                let bias = bias.expect("checked by new: a gate has a weight or a bias");
                return bias.reshape((1, gate.num_logits))?.repeat((num_rows, 1));
            };
            let inputs = gate
                .sources
                .iter()
                .map(|source| xs.get(*source))
                .collect::<Result<Vec<_>>>()?;
            let product = matmul(&Tensor::cat(&inputs, 1)?, weight.tensor())?;
            match bias {
                Some(bias) => product.broadcast_add(bias),
                None => Ok(product),
            }
        };
        let logits = self.gates.iter().map(of).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&logits, 1)
    }

    /// Columns of each gate, in order.
    fn columns(&self) -> impl Iterator<Item = (&LinearGate, Range<usize>)> {
        self.gates.iter().scan(0, |next, gate| {
            let start = *next;
            *next += gate.num_logits;
            Some((gate, start..*next))
        })
    }

    /// For each input: the columns from the first to the last that reads it, with the weights of those columns,
    /// [input_dim, columns], zero where a gate in between reads other inputs.
    fn pack(&self, num_inputs: usize, input_dim: usize) -> Result<Vec<Packed>> {
        let mut packed: Vec<Packed> = (0..num_inputs)
            .map(|input| {
                let readers = self.columns().filter(|(g, _)| g.sources.contains(&input));
                let columns = readers
                    .map(|(_, columns)| columns)
                    .reduce(|a, b| a.start..b.end);
                let columns = columns.unwrap_or(0..0);
                Packed {
                    weights: vec![0.0; input_dim * columns.len()],
                    columns,
                }
            })
            .collect();
        for (gate, columns) in self.columns() {
            let Some(weight) = &gate.weight else { continue };
            let weight = weight.read()?;
            for (part, source) in gate.sources.iter().enumerate() {
                let home = &mut packed[*source];
                let rows = &weight[part * input_dim * columns.len()..];
                let (stride, at) = (home.columns.len(), columns.start - home.columns.start);
                let rows = rows.chunks_exact(columns.len()).take(input_dim);
                for (row, values) in rows.enumerate() {
                    let out = &mut home.weights[row * stride + at..];
                    for (out, value) in out.iter_mut().zip(values) {
                        *out += value;
                    }
                }
            }
        }
        Ok(packed)
    }

    /// Hands each gate its part of the packed weight gradients, and of the column sums for the biases.
    fn accumulate(&self, weights: &[Vec<f32>], packed: &[Packed], sums: &[f32], input_dim: usize) {
        for (gate, columns) in self.columns() {
            if let Some(bias) = &gate.bias {
                bias.accumulate(|gradient, add| add_or_copy(gradient, &sums[columns.clone()], add));
            }
            let Some(weight) = &gate.weight else { continue };
            weight.accumulate(|gradient, add| {
                for (part, source) in gate.sources.iter().enumerate() {
                    let home = &packed[*source].columns;
                    let (stride, at) = (home.len(), columns.start - home.start);
                    let out = &mut gradient[part * input_dim * columns.len()..];
                    let out = out.chunks_exact_mut(columns.len()).take(input_dim);
                    for (row, out) in out.enumerate() {
                        let from = &weights[*source][row * stride + at..][..columns.len()];
                        add_or_copy(out, from, add);
                    }
                }
            });
        }
    }
}

/// The weights of every gate that reads one input.
struct Packed {
    columns: Range<usize>,
    weights: Vec<f32>,
}

/// What a backward pass does with the gradient of its inputs.
pub(crate) enum InputGradient {
    /// Leaves it out.
    Unneeded,
    /// Computes it.
    Fresh,
    /// Adds it to what another reader of the same inputs found.
    AddTo(Vec<f32>),
}

impl GateLogits {
    /// Number of inputs and their width, from all units of a row.
    fn input_sizes(&self, row_units: usize) -> (usize, usize) {
        let width_of = |gate: &LinearGate| {
            let rows = gate.weight.as_ref()?.tensor().dims()[0];
            Some(rows / gate.sources.len())
        };
        // Where no gate reads anything, how a row is divided is of no consequence.
        let input_dim = self.gates.iter().find_map(width_of).unwrap_or(row_units);
        (row_units / input_dim, input_dim)
    }

    /// The forward pass on slices: from inputs [inputs, rows, input_dim] to logits [rows, logits of all gates].
    pub(crate) fn run_forward(&self, xs: &[f32], num_rows: usize) -> Result<Vec<f32>> {
        let (num_inputs, input_dim) = self.input_sizes(xs.len() / num_rows);
        let packed = self.pack(num_inputs, input_dim)?;
        let num_columns = self.num_columns;
        let mut bias = vec![0f32; num_columns];
        for (gate, columns) in self.columns() {
            if let Some(parameter) = &gate.bias {
                bias[columns].copy_from_slice(&parameter.read()?);
            }
        }
        let parts: Vec<Range<usize>> = blocks(0..num_rows).collect();
        let mut out = unspecified(num_rows * num_columns);
        split_mut(&mut out, num_columns, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, block)| {
                for row in out.chunks_exact_mut(num_columns) {
                    row.copy_from_slice(&bias);
                }
                for (input, packed) in packed.iter().enumerate() {
                    let width = packed.columns.len();
                    if width > 0 {
                        let rows = rows_of(xs, input, num_rows, block, input_dim);
                        multiply(
                            &mut out[packed.columns.start..],
                            num_columns,
                            Matrix::new(rows, block.len(), input_dim),
                            Matrix::new(&packed.weights, input_dim, width),
                            true,
                        );
                    }
                }
            });
        Ok(out)
    }

    /// The backward pass on slices: adds to the parameters' gradients, and gives the inputs' where it is wanted.
    pub(crate) fn run_backward(
        &self,
        xs: &[f32],
        gradient: &[f32],
        num_rows: usize,
        wanted: InputGradient,
    ) -> Result<Option<Vec<f32>>> {
        let (num_inputs, input_dim) = self.input_sizes(xs.len() / num_rows);
        let packed = self.pack(num_inputs, input_dim)?;
        let backward = Backward {
            num_rows,
            input_dim,
            num_columns: self.num_columns,
            xs,
            gradient,
            packed: &packed,
            chunks: chunks(num_rows),
        };
        let (weights, sums) = backward.weight_gradients();
        self.accumulate(&weights, &packed, &sums, input_dim);
        Ok(match wanted {
            InputGradient::Unneeded => None,
            InputGradient::Fresh => Some(backward.input_gradient(unspecified(xs.len()), false)),
            InputGradient::AddTo(others) => Some(backward.input_gradient(others, true)),
        })
    }
}

struct Operator {
    gates: GateLogits,
    needs_input_gradient: bool,
}

/// Rows of [inputs, rows, width] or [rows, width].
fn num_rows(dims: &[usize]) -> usize {
    dims[dims.len() - 2]
}

impl Fused<2> for Operator {
    const NAME: &'static str = "gate-logits";
    type Kept = ();

    fn forward(&self, [xs, _anchor]: [Argument<'_>; 2]) -> Result<Output<()>> {
        let num_rows = num_rows(xs.dims);
        let out = self.gates.run_forward(xs.values, num_rows)?;
        Ok(Output::new(out, (num_rows, self.gates.num_columns), ()))
    }

    fn backward(
        &self,
        [xs, _anchor]: [Argument<'_>; 2],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<2>> {
        let wanted = match self.needs_input_gradient {
            true => InputGradient::Fresh,
            false => InputGradient::Unneeded,
        };
        let (num_rows, gradient) = (num_rows(xs.dims), arrived.gradient);
        let of_xs = self
            .gates
            .run_backward(xs.values, gradient, num_rows, wanted)?;
        Ok([of_xs, None])
    }
}

struct Backward<'a> {
    num_rows: usize,
    input_dim: usize,
    num_columns: usize,
    xs: &'a [f32],
    gradient: &'a [f32],
    packed: &'a [Packed],
    chunks: Vec<Range<usize>>,
}

impl Backward<'_> {
    /// The gradient of each input's packed weights, and the column sums.
    fn weight_gradients(&self) -> (Vec<Vec<f32>>, Vec<f32>) {
        let num_chunks = self.chunks.len();
        let mut weights = Vec::with_capacity(self.packed.len());
        for (input, packed) in self.packed.iter().enumerate() {
            let width = packed.columns.len();
            let size = self.input_dim * width;
            let mut parts = unspecified(size * num_chunks);
            if size > 0 {
                parts
                    .par_chunks_exact_mut(size)
                    .zip(&self.chunks)
                    .for_each(|(part, chunk)| {
                        let rows = rows_of(self.xs, input, self.num_rows, chunk, self.input_dim);
                        multiply(
                            part,
                            width,
                            Matrix::new(rows, chunk.len(), self.input_dim).transposed(),
                            self.gradient_view(chunk, packed),
                            false,
                        );
                    });
            }
            let mut total = unspecified(size);
            if size > 0 {
                reduce_parts(&mut total, &parts, false);
            }
            weights.push(total);
        }
        let mut sums = vec![0f32; self.num_columns];
        add_column_sums(&mut sums, self.gradient);
        (weights, sums)
    }

    fn gradient_view(&self, rows: &Range<usize>, packed: &Packed) -> Matrix<'_> {
        let start = rows.start * self.num_columns + packed.columns.start;
        Matrix::strided(
            &self.gradient[start..],
            rows.len(),
            packed.columns.len(),
            self.num_columns,
        )
    }

    /// Writes the inputs' gradient into `result`, or adds it to what is there.
    fn input_gradient(&self, mut result: Vec<f32>, add: bool) -> Vec<f32> {
        let parts: Vec<Range<usize>> = blocks(0..self.num_rows).collect();
        split_by_chunk(&mut result, self.input_dim, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(inputs, block)| {
                for (out, packed) in inputs.into_iter().zip(self.packed) {
                    let width = packed.columns.len();
                    if width == 0 {
                        if !add {
                            out.fill(0.0);
                        }
                        continue;
                    }
                    multiply(
                        out,
                        self.input_dim,
                        self.gradient_view(block, packed),
                        Matrix::new(&packed.weights, self.input_dim, width).transposed(),
                        add,
                    );
                }
            });
        result
    }
}
