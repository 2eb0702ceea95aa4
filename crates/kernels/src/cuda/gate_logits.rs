//! The logits of all gates of a layer as a program: per input, the weights of every gate that reads it side by side, and one
//! product.

use super::buffer::{Address, Buffer};
use super::copies::{Copies, Copy};
use super::machine::Machine;
use super::operator::{Input, Program, apply};
use super::product::{Factor, Product};
use super::sums::column_sums;
use crate::gate::{GateLogits, InputGradient};
use crate::operator::{Forward, Gradients};
use crate::rows::InputDims;
use candle_core::{Result, Tensor};
use std::ops::Range;

/// `anchor` is any parameter of the gates.
pub(crate) fn forward(
    machine: Machine,
    gates: &GateLogits,
    xs: &Tensor,
    anchor: &Tensor,
) -> Result<Tensor> {
    let program = GateLogitsProgram::new(gates, xs.track_op());
    apply(machine, program, xs, xs, anchor)
}

pub(super) struct GateLogitsProgram {
    gates: GateLogits,
    needs_input_gradient: bool,
}

/// The columns of an input's readers with their weights, as [`GateLogits::readers`] has them.
struct Packed {
    columns: Range<usize>,
    weights: Option<Buffer>,
}

impl GateLogitsProgram {
    pub(super) fn new(gates: &GateLogits, needs_input_gradient: bool) -> Self {
        Self {
            gates: gates.clone(),
            needs_input_gradient,
        }
    }

    fn pack(&self, machine: &Machine, dims: InputDims) -> Result<Vec<Packed>> {
        let input_dim = dims.width;
        let mut packed = Vec::with_capacity(dims.inputs);
        for input in 0..dims.inputs {
            let columns = self.gates.readers(input);
            let weights = (!columns.is_empty())
                .then(|| machine.zeros(input_dim * columns.len()))
                .transpose()?;
            packed.push(Packed { columns, weights });
        }
        let mut copies = Copies::new(machine);
        for (gate, columns) in self.gates.columns() {
            let Some(weight) = &gate.weight else { continue };
            let from = weight.address()?;
            for (part, source) in gate.sources.iter().enumerate() {
                let home = &mut packed[*source];
                let Some(weights) = &mut home.weights else {
                    continue;
                };
                copies.push(Copy {
                    to: weights
                        .address()?
                        .offset(columns.start - home.columns.start),
                    to_stride: home.columns.len(),
                    from: from.offset(part * input_dim * columns.len()),
                    from_stride: columns.len(),
                    rows: input_dim,
                    columns: columns.len(),
                    // A gate that reads an input twice has the sum of both weights there.
                    add: true,
                })?;
            }
        }
        copies.launch()?;
        Ok(packed)
    }

    /// Hands each gate its part of an input's packed gradients, [input_dim, columns].
    fn accumulate(
        &self,
        machine: &Machine,
        packed: &[Packed],
        gradients: &mut [Option<Buffer>],
        sums: Address,
        input_dim: usize,
    ) -> Result<()> {
        let mut copies = Copies::new(machine);
        for (gate, columns) in self.gates.columns() {
            if let Some(bias) = &gate.bias {
                let (to, add) = bias.gradient_address(machine)?;
                let from = sums.offset(columns.start);
                copies.push(Copy::values(to, from, columns.len(), add))?;
            }
            let Some(weight) = &gate.weight else { continue };
            let (to, add) = weight.gradient_address(machine)?;
            for (part, source) in gate.sources.iter().enumerate() {
                let home = &packed[*source].columns;
                let Some(gradient) = &mut gradients[*source] else {
                    continue;
                };
                copies.push(Copy {
                    to: to.offset(part * input_dim * columns.len()),
                    to_stride: columns.len(),
                    from: gradient.address()?.offset(columns.start - home.start),
                    from_stride: home.len(),
                    rows: input_dim,
                    columns: columns.len(),
                    add,
                })?;
            }
        }
        copies.launch()
    }
}

impl Program for GateLogitsProgram {
    const NAME: &'static str = "gate-logits";

    type Kept = ();

    fn forward(&self, machine: &Machine, xs: Input, _same: Input) -> Forward<Buffer, ()> {
        let (num_rows, input_dim) = (xs.dims.rows, xs.dims.width);
        let num_columns = self.gates.num_columns();
        let mut out = machine.unspecified(num_rows * num_columns)?;
        let to = out.address()?;
        let mut copies = Copies::new(machine);
        for (gate, columns) in self.gates.columns() {
            let from = gate.bias.as_ref().map(|bias| bias.address()).transpose()?;
            copies.push(Copy {
                to: to.offset(columns.start),
                to_stride: num_columns,
                from: from.unwrap_or(Address::NULL),
                from_stride: 0,
                rows: num_rows,
                columns: columns.len(),
                add: false,
            })?;
        }
        copies.launch()?;
        let mut packed = self.pack(machine, xs.dims)?;
        for (input, packed) in packed.iter_mut().enumerate() {
            let width = packed.columns.len();
            let Some(weights) = &mut packed.weights else {
                continue;
            };
            machine.multiply(&Product {
                rows: num_rows,
                columns: width,
                depth: input_dim,
                batch: 1,
                left: Factor::new(xs.address.offset(input * num_rows * input_dim), input_dim),
                right: Factor::new(weights.address()?, width),
                out: Factor::new(to.offset(packed.columns.start), num_columns),
                add: true,
            })?;
        }
        Ok((out, (num_rows, num_columns).into(), Some(())))
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input,
        _same: Input,
        gradient: Address,
        (): (),
    ) -> Result<Gradients<Buffer>> {
        let wanted = InputGradient::if_needed(self.needs_input_gradient);
        Ok([self.run_backward(machine, xs, gradient, wanted)?, None])
    }
}

impl GateLogitsProgram {
    /// The backward pass with a choice of what becomes of the inputs' gradient.
    pub(super) fn run_backward(
        &self,
        machine: &Machine,
        xs: Input,
        slopes: Address,
        wanted: InputGradient<Buffer>,
    ) -> Result<Option<Buffer>> {
        let (num_rows, input_dim) = (xs.dims.rows, xs.dims.width);
        let num_columns = self.gates.num_columns();
        let mut packed = self.pack(machine, xs.dims)?;
        let mut sums = machine.unspecified(num_columns)?;
        column_sums(machine, slopes, num_rows, num_columns, sums.address()?)?;
        let mut gradients = Vec::with_capacity(packed.len());
        for (input, packed) in packed.iter().enumerate() {
            let width = packed.columns.len();
            if width == 0 {
                gradients.push(None);
                continue;
            }
            let inputs = xs.address.offset(input * num_rows * input_dim);
            let mut of_weights = machine.unspecified(input_dim * width)?;
            machine.multiply(&Product {
                rows: input_dim,
                columns: width,
                depth: num_rows,
                batch: 1,
                left: Factor::new(inputs, input_dim).transposed(),
                right: Factor::new(slopes.offset(packed.columns.start), num_columns),
                out: Factor::new(of_weights.address()?, width),
                add: false,
            })?;
            gradients.push(Some(of_weights));
        }
        self.accumulate(machine, &packed, &mut gradients, sums.address()?, input_dim)?;
        let is_read = packed.iter().all(|packed| packed.weights.is_some());
        let length = xs.dims.num_elements();
        let (mut of_inputs, add) = match wanted {
            InputGradient::Unneeded => return Ok(None),
            InputGradient::AddTo(others) => (others, true),
            // Where no gate reads an input no product writes its gradient, which is 0.
            InputGradient::Fresh if is_read => (machine.unspecified(length)?, false),
            InputGradient::Fresh => (machine.zeros(length)?, false),
        };
        let to = of_inputs.address()?;
        for (input, packed) in packed.iter_mut().enumerate() {
            let width = packed.columns.len();
            let Some(weights) = &mut packed.weights else {
                continue;
            };
            machine.multiply(&Product {
                rows: num_rows,
                columns: input_dim,
                depth: width,
                batch: 1,
                left: Factor::new(slopes.offset(packed.columns.start), num_columns),
                right: Factor::new(weights.address()?, width).transposed(),
                out: Factor::new(to.offset(input * num_rows * input_dim), input_dim),
                add,
            })?;
        }
        Ok(Some(of_inputs))
    }
}
