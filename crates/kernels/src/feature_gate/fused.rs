//! Feature gates as one candle operator on the CPU in f32.
//!
//! Everything that reads one input is packed side by side, [A of each LoRA of each gate | W of each gate], so that the low-rank
//! products of an input are one product. Backward is one pass over the rows. Kept for it: the packed product (its softmax
//! columns already weights) and each LoRA's sigmoid; making the sigmoids again would cost more time than reading them.

use super::FeatureGates;
use super::passes::{GateBlock, gate_gradient_rows, gate_rows, sigmoids, softmax_columns};
use crate::parameter::{argument, values};
use crate::product::{Matrix, multiply};
use crate::rows::{
    BLOCK_ROWS, blocks, chunks, reduce_parts, rows_of, split_by_chunk, split_mut, unspecified,
};
use crate::stack::StackValues;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Everything that one input's gates multiply it with.
struct Packed {
    /// Gates that read the input.
    gates: Vec<usize>,
    /// Number of columns.
    width: usize,
    /// [dim, width].
    weights: Vec<f32>,
}

/// What forward keeps.
struct State {
    /// Per input: the packed product, [rows, width], with softmax weights in place of logits.
    hidden: Vec<Vec<f32>>,
    /// [gates, loras, rows, dim].
    sigmoids: Vec<f32>,
}

struct Operator {
    gates: FeatureGates,
    train: bool,
    needs_input_gradient: bool,
    state: Mutex<Option<State>>,
}

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor, train: bool) -> Result<Tensor> {
    let operator = Operator {
        gates: gates.clone(),
        train,
        needs_input_gradient: xs.track_op(),
        state: Mutex::default(),
    };
    xs.contiguous()?
        .apply_op2(gates.weight.parameters()[0].tensor(), operator)
}

impl FeatureGates {
    /// Column of LoRA `lora` of the `position`-th gate of an input.
    fn lora_column(&self, position: usize, lora: usize) -> usize {
        (position * self.num_lora() + lora) * self.rank()
    }

    /// First softmax column of the `position`-th of `count` gates.
    fn weight_column(&self, position: usize, count: usize) -> usize {
        count * self.num_lora() * self.rank() + position * self.num_lora()
    }

    fn pack(&self, num_inputs: usize) -> Result<Vec<Packed>> {
        let (lora_a, weight) = (self.lora_a.read()?, self.weight.read()?);
        let pack = |input: usize| {
            let gates: Vec<usize> = (0..self.sources.len())
                .filter(|gate| self.sources[*gate] == input)
                .collect();
            let width = gates.len() * self.num_lora() * (self.rank() + 1);
            let mut packed = Packed {
                weights: vec![0.0; self.dim() * width],
                width,
                gates,
            };
            self.fill(&mut packed, &lora_a, &weight);
            packed
        };
        Ok((0..num_inputs).map(pack).collect())
    }

    fn fill(&self, packed: &mut Packed, lora_a: &StackValues<'_>, weight: &StackValues<'_>) {
        let (dim, rank, num_lora) = (self.dim(), self.rank(), self.num_lora());
        for (position, gate) in packed.gates.iter().enumerate() {
            let weight_column = self.weight_column(position, packed.gates.len());
            for unit in 0..dim {
                let row = &mut packed.weights[unit * packed.width..(unit + 1) * packed.width];
                for lora in 0..num_lora {
                    let from = (lora * dim + unit) * rank;
                    let at = self.lora_column(position, lora);
                    row[at..at + rank].copy_from_slice(&lora_a.expert(*gate)[from..from + rank]);
                }
                row[weight_column..weight_column + num_lora]
                    .copy_from_slice(&weight.expert(*gate)[unit * num_lora..(unit + 1) * num_lora]);
            }
        }
    }

    /// Hands the packed gradients, [dim, width] per input, to the parameters.
    fn accumulate(&self, packed: &[Packed], gradients: &[Vec<f32>]) {
        let (dim, rank, num_lora) = (self.dim(), self.rank(), self.num_lora());
        let num_gates = self.sources.len();
        let mut of_a = vec![0f32; num_gates * num_lora * dim * rank];
        let mut of_weight = vec![0f32; num_gates * dim * num_lora];
        for (packed, gradient) in packed.iter().zip(gradients) {
            for (position, gate) in packed.gates.iter().enumerate() {
                let weight_column = self.weight_column(position, packed.gates.len());
                for (unit, row) in gradient.chunks_exact(packed.width).enumerate() {
                    for lora in 0..num_lora {
                        let to = ((gate * num_lora + lora) * dim + unit) * rank;
                        let at = self.lora_column(position, lora);
                        of_a[to..to + rank].copy_from_slice(&row[at..at + rank]);
                    }
                    let to = (gate * dim + unit) * num_lora;
                    of_weight[to..to + num_lora]
                        .copy_from_slice(&row[weight_column..weight_column + num_lora]);
                }
            }
        }
        self.lora_a.accumulate_values(&of_a);
        self.weight.accumulate_values(&of_weight);
    }
}

fn num_inputs_and_rows(dims: &[usize]) -> (usize, usize) {
    match *dims {
        [inputs, rows, _] => (inputs, rows),
        [rows, ..] => (1, rows),
        [] => (0, 0),
    }
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "feature-gates"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let xs = argument(storage, layout)?;
        let (num_inputs, num_rows) = num_inputs_and_rows(layout.dims());
        let (dim, num_gates) = (self.gates.dim(), self.gates.sources.len());
        let forward = Forward {
            gates: &self.gates,
            xs,
            num_rows,
            packed: self.gates.pack(num_inputs)?,
            lora_b: self.gates.lora_b.read()?,
        };
        let mut out = unspecified(num_gates * num_rows * dim);
        let state = forward.run(&mut out);
        if self.train {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
        Ok((CpuStorage::F32(out), (num_gates, num_rows, dim).into()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        _anchor: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let state = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(state) = state else {
            candle_core::bail!("feature-gates: a backward pass needs a forward pass in training");
        };
        let (num_inputs, num_rows) = num_inputs_and_rows(xs.dims());
        let gradient = gradient.contiguous()?;
        let backward = Backward {
            gates: &self.gates,
            xs: &values(xs)?,
            gradient: &values(&gradient)?,
            num_rows,
            packed: self.gates.pack(num_inputs)?,
            state: &state,
            chunks: chunks(num_rows),
        };
        let input_gradient = backward.run()?;
        let input_gradient = self
            .needs_input_gradient
            .then(|| Tensor::from_vec(input_gradient, xs.shape(), xs.device()))
            .transpose()?;
        Ok((input_gradient, None))
    }
}

struct Forward<'a> {
    gates: &'a FeatureGates,
    xs: &'a [f32],
    num_rows: usize,
    packed: Vec<Packed>,
    lora_b: StackValues<'a>,
}

impl Forward<'_> {
    fn run(&self, out: &mut [f32]) -> State {
        let (dim, num_rows) = (self.gates.dim(), self.num_rows);
        let num_lora = self.gates.num_lora();
        let parts: Vec<Range<usize>> = blocks(0..num_rows).collect();
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
            Matrix::new(&packed.weights, dim, packed.width),
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

struct FeatureGatesDims {
    dim: usize,
    rank: usize,
    num_lora: usize,
}

fn dims(gates: &FeatureGates) -> FeatureGatesDims {
    FeatureGatesDims {
        dim: gates.dim(),
        rank: gates.rank(),
        num_lora: gates.num_lora(),
    }
}

struct Backward<'a> {
    gates: &'a FeatureGates,
    xs: &'a [f32],
    gradient: &'a [f32],
    num_rows: usize,
    packed: Vec<Packed>,
    state: &'a State,
    chunks: Vec<Range<usize>>,
}

/// Weight gradients of one input's gates over one chunk.
struct Partial {
    /// [dim, width].
    packed: Vec<f32>,
    /// [gates of the input, loras, rank, dim].
    lora_b: Vec<f32>,
}

impl Backward<'_> {
    fn run(&self) -> Result<Vec<f32>> {
        let dim = self.gates.dim();
        let num_chunks = self.chunks.len();
        let lora_b = self.gates.lora_b.read()?;
        let mut input_gradient = unspecified(self.xs.len());
        let partials: Vec<Partial> = split_mut(&mut input_gradient, dim, &self.chunks)
            .into_par_iter()
            .enumerate()
            .map(|(task, out)| {
                let (input, chunk) = (task / num_chunks, &self.chunks[task % num_chunks]);
                self.run_chunk(input, chunk, out, &lora_b)
            })
            .collect();
        drop(lora_b);
        self.accumulate(&partials);
        Ok(input_gradient)
    }

    fn run_chunk(
        &self,
        input: usize,
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
            packed: vec![0.0; dim * packed.width],
            lora_b: vec![0.0; packed.gates.len() * num_lora * rank * dim],
        };
        let mut loras = unspecified(num_lora * BLOCK_ROWS.min(chunk.len()) * dim);
        let mut hidden = unspecified(BLOCK_ROWS.min(chunk.len()) * packed.width);
        out.fill(0.0);
        if packed.width == 0 {
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
                self.run_gate(input, position, &block, out, loras, hidden, b, of_b);
            }
            let xs = rows_of(self.xs, input, self.num_rows, &block, dim);
            let of_hidden = Matrix::new(hidden, rows, packed.width);
            multiply(
                &mut partial.packed,
                packed.width,
                Matrix::new(xs, rows, dim).transposed(),
                of_hidden,
                true,
            );
            let weights = Matrix::new(&packed.weights, dim, packed.width);
            multiply(out, dim, of_hidden, weights.transposed(), true);
        }
        partial
    }

    /// One gate on one block: adds to the input's gradient and to that of its B, and fills its columns of `hidden`.
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
        gate_gradient_rows(&rows_block, out, loras, hidden);
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
            multiply(of_b, dim, hidden_before.transposed(), slopes, true);
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
