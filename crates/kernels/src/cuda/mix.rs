//! Gate weights and the sums of experts as a program: what each gate sees is a table on the device.

use super::arguments::Arguments;
use super::buffer::{Address, Buffer};
use super::machine::{Grid, Machine};
use super::operator::{Gradients, Input, Program, apply};
use crate::gate::{GateActivation, Mix};
use candle_core::{Result, Shape, Tensor};
use std::sync::{Mutex, PoisonError};

pub(crate) fn forward(
    machine: Machine,
    mix: &Mix,
    experts: &Tensor,
    logits: &Tensor,
) -> Result<Tensor> {
    apply(machine, MixProgram::new(mix), experts, logits, logits)
}

/// What the kernels read, as whole numbers.
struct Tables {
    num_gates: usize,
    num_columns: usize,
    num_outputs: usize,
    num_experts: usize,
    /// (activation, first column, end) of every gate.
    gates: Vec<u32>,
    /// Of the pairs (column, expert) of every output, where each begins.
    output_starts: Vec<u32>,
    output_summands: Vec<u32>,
    /// Of the pairs (column, output) of every expert, where each begins.
    expert_starts: Vec<u32>,
    expert_summands: Vec<u32>,
    /// (expert, output) of every column.
    uses: Vec<u32>,
}

impl Tables {
    fn new(mix: &Mix) -> Self {
        let mut gates = Vec::new();
        let mut of_outputs = vec![Vec::new(); mix.num_outputs()];
        let mut of_experts = vec![Vec::new(); mix.num_experts()];
        let mut uses = Vec::new();
        for (gate, columns) in mix.gates() {
            let activation = match gate.activation {
                GateActivation::Softmax => 0,
                GateActivation::Sigmoid => 1,
                GateActivation::Identity => 2,
            };
            gates.extend([activation, columns.start as u32, columns.end as u32]);
            for (column, expert) in columns.clone().zip(&gate.experts) {
                of_outputs[gate.output].extend([column as u32, *expert as u32]);
                of_experts[*expert].extend([column as u32, gate.output as u32]);
                uses.extend([*expert as u32, gate.output as u32]);
            }
        }
        let starts = |lists: &[Vec<u32>]| {
            let ends = lists.iter().scan(0, |end, list| {
                *end += list.len() as u32 / 2;
                Some(*end)
            });
            std::iter::once(0).chain(ends).collect::<Vec<u32>>()
        };
        Self {
            num_gates: gates.len() / 3,
            num_columns: mix.num_columns(),
            num_outputs: of_outputs.len(),
            num_experts: of_experts.len(),
            gates,
            output_starts: starts(&of_outputs),
            output_summands: of_outputs.concat(),
            expert_starts: starts(&of_experts),
            expert_summands: of_experts.concat(),
            uses,
        }
    }
}

pub(super) struct MixProgram {
    tables: Tables,
    weights: Mutex<Option<Buffer>>,
}

impl MixProgram {
    pub(super) fn new(mix: &Mix) -> Self {
        Self {
            tables: Tables::new(mix),
            weights: Mutex::default(),
        }
    }

    /// Sums of `count` lists of matrices.
    fn sums(
        &self,
        machine: &Machine,
        matrices: Address,
        weights: Address,
        starts: &[u32],
        summands: &[u32],
        num_rows: usize,
        width: usize,
    ) -> Result<Buffer> {
        let count = starts.len() - 1;
        let mut out = machine.unspecified(count * num_rows * width)?;
        machine.launch(
            "weighted_sums",
            Grid::warps(num_rows, count),
            &Arguments::new()
                .pointer(matrices)
                .pointer(weights)
                .pointer(out.address()?)
                .pointer(machine.table(starts.to_vec())?)
                .pointer(machine.table(summands.to_vec())?)
                .int(num_rows)
                .int(width)
                .int(self.tables.num_columns),
        )?;
        Ok(out)
    }

    /// Runs a kernel on every gate's columns of every row.
    fn on_gates(
        &self,
        machine: &Machine,
        kernel: &str,
        first: Address,
        second: Address,
        num_rows: usize,
    ) -> Result<()> {
        let tables = &self.tables;
        machine.launch(
            kernel,
            Grid::list(num_rows * tables.num_gates),
            &Arguments::new()
                .pointer(first)
                .pointer(second)
                .pointer(machine.table(tables.gates.clone())?)
                .int(tables.num_gates)
                .int(num_rows)
                .int(tables.num_columns),
        )
    }
}

impl Program for MixProgram {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn forward(
        &self,
        machine: &Machine,
        experts: Input<'_>,
        logits: Input<'_>,
    ) -> Result<(Buffer, Shape)> {
        let (num_rows, width) = (experts.dims[1], experts.dims[2]);
        let tables = &self.tables;
        let mut weights = machine.unspecified(num_rows * tables.num_columns)?;
        let of_rows = weights.address()?;
        self.on_gates(machine, "gate_weights", logits.address, of_rows, num_rows)?;
        let (starts, summands) = (&tables.output_starts, &tables.output_summands);
        let out = self.sums(
            machine,
            experts.address,
            of_rows,
            starts,
            summands,
            num_rows,
            width,
        )?;
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = Some(weights);
        Ok((out, (tables.num_outputs, num_rows, width).into()))
    }

    fn backward(
        &self,
        machine: &Machine,
        experts: Input<'_>,
        _logits: Input<'_>,
        slopes: Address,
    ) -> Result<Gradients> {
        let (num_rows, width) = (experts.dims[1], experts.dims[2]);
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(weights) = weights.as_mut() else {
            candle_core::bail!("mix: a backward pass needs a forward pass");
        };
        let weights = weights.address()?;
        let tables = &self.tables;
        let (starts, summands) = (&tables.expert_starts, &tables.expert_summands);
        debug_assert_eq!(starts.len(), tables.num_experts + 1);
        let of_experts = self.sums(machine, slopes, weights, starts, summands, num_rows, width)?;
        let mut of_logits = machine.unspecified(num_rows * tables.num_columns)?;
        machine.launch(
            "gate_inner_products",
            Grid::warps(num_rows, tables.num_columns),
            &Arguments::new()
                .pointer(experts.address)
                .pointer(slopes)
                .pointer(of_logits.address()?)
                .pointer(machine.table(tables.uses.clone())?)
                .int(num_rows)
                .int(width)
                .int(tables.num_columns),
        )?;
        let to = of_logits.address()?;
        self.on_gates(machine, "gate_weight_gradients", to, weights, num_rows)?;
        Ok([Some(of_experts), Some(of_logits)])
    }
}
