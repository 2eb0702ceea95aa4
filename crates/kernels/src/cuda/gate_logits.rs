//! The logits of all gates of a layer as a program: per input, the weights of every gate that reads it side by side, and one
//! product.

use super::buffer::{Address, Buffer};
use super::copies::{Copies, Copy};
use super::machine::Machine;
use super::operator::{Gradients, Input, Program, apply};
use super::product::{Factor, Product};
use super::sums::column_sums;
use crate::gate::{GateLogits, LinearGate};
use candle_core::{Result, Shape, Tensor};
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

/// What a backward pass does with the gradient of its inputs.
pub(super) enum Wanted {
    /// Leaves it out.
    Nothing,
    /// Computes it.
    Fresh,
    /// Adds it to what another reader of the same inputs found.
    AddedTo(Buffer),
}

/// [inputs, rows, width] of an argument.
fn input_dims(dims: &[usize]) -> (usize, usize, usize) {
    match *dims {
        [rows, width] => (1, rows, width),
        [inputs, rows, width] => (inputs, rows, width),
        _ => (0, 0, 0),
    }
}

/// The columns from the first to the last gate that reads an input, and the weights of those columns, [input_dim, columns],
/// zero where a gate in between reads other inputs.
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

    /// Columns of each gate, in order.
    fn columns(&self) -> impl Iterator<Item = (&LinearGate, Range<usize>)> {
        self.gates.gates().iter().scan(0, |next, gate| {
            let start = *next;
            *next += gate.num_logits;
            Some((gate, start..*next))
        })
    }

    fn pack(&self, machine: &Machine, num_inputs: usize, input_dim: usize) -> Result<Vec<Packed>> {
        let mut packed = Vec::with_capacity(num_inputs);
        for input in 0..num_inputs {
            let readers = self.columns().filter(|(g, _)| g.sources.contains(&input));
            let columns = readers
                .map(|(_, columns)| columns)
                .reduce(|a, b| a.start..b.end)
                .unwrap_or(0..0);
            let weights = (!columns.is_empty())
                .then(|| machine.zeros(input_dim * columns.len()))
                .transpose()?;
            packed.push(Packed { columns, weights });
        }
        let mut copies = Copies::new(machine);
        for (gate, columns) in self.columns() {
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
        for (gate, columns) in self.columns() {
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
    fn name(&self) -> &'static str {
        "gate-logits"
    }

    fn forward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
    ) -> Result<(Buffer, Shape)> {
        let (num_inputs, num_rows, input_dim) = input_dims(xs.dims);
        let num_columns = self.gates.num_columns();
        let mut out = machine.unspecified(num_rows * num_columns)?;
        let to = out.address()?;
        let mut copies = Copies::new(machine);
        for (gate, columns) in self.columns() {
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
        for (input, packed) in self
            .pack(machine, num_inputs, input_dim)?
            .iter_mut()
            .enumerate()
        {
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
        Ok((out, (num_rows, num_columns).into()))
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
        gradient: Address,
    ) -> Result<Gradients> {
        let wanted = match self.needs_input_gradient {
            true => Wanted::Fresh,
            false => Wanted::Nothing,
        };
        Ok([self.run_backward(machine, xs, gradient, wanted)?, None])
    }
}

impl GateLogitsProgram {
    /// The backward pass with a choice of what becomes of the inputs' gradient.
    pub(super) fn run_backward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        slopes: Address,
        wanted: Wanted,
    ) -> Result<Option<Buffer>> {
        let (num_inputs, num_rows, input_dim) = input_dims(xs.dims);
        let num_columns = self.gates.num_columns();
        let mut packed = self.pack(machine, num_inputs, input_dim)?;
        let mut sums = machine.unspecified(num_columns)?;
        column_sums(machine, slopes, num_rows, num_columns, sums.address()?)?;
        let mut gradients = Vec::with_capacity(num_inputs);
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
        let (mut of_inputs, add) = match wanted {
            Wanted::Nothing => return Ok(None),
            Wanted::AddedTo(others) => (others, true),
            Wanted::Fresh if is_read => (machine.unspecified(xs.num_elements())?, false),
            Wanted::Fresh => (machine.zeros(xs.num_elements())?, false),
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
