//! The backward pass of feature gates.

use super::{FeatureGatesProgram, Packed};
use crate::cuda::arguments::Arguments;
use crate::cuda::buffer::{Address, Buffer};
use crate::cuda::copies::{Copies, Copy};
use crate::cuda::machine::{Grid, Machine};
use crate::cuda::product::{Factor, Product};
use candle_core::Result;

impl FeatureGatesProgram {
    /// Hands the packed gradients, [dim, width] per input, to the parameters.
    pub(super) fn accumulate(
        &self,
        machine: &Machine,
        packed: &[Packed],
        gradients: &mut [Option<Buffer>],
    ) -> Result<()> {
        let lora_a = self.gates.lora_a.gradient_addresses(machine)?;
        let weight = self.gates.weight.gradient_addresses(machine)?;
        let mut copies = Copies::new(machine);
        for (packed, gradient) in packed.iter().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let from = gradient.address()?;
            for part in self.parts(packed) {
                let (to, add) = match part.is_lora {
                    true => (lora_a[part.gate].0.offset(part.start), lora_a[part.gate].1),
                    false => weight[part.gate],
                };
                copies.push(Copy {
                    to,
                    to_stride: part.columns,
                    from: from.offset(part.column),
                    from_stride: packed.width,
                    rows: self.gates.dim(),
                    columns: part.columns,
                    add,
                })?;
            }
        }
        copies.launch()
    }
}

/// Where everything is that the backward pass of an input reads and writes.
pub(super) struct Backward<'a> {
    pub(super) program: &'a FeatureGatesProgram,
    pub(super) machine: &'a Machine,
    pub(super) num_rows: usize,
    pub(super) xs: Address,
    pub(super) gradient: Address,
    pub(super) sigmoids: Address,
    pub(super) slopes: Address,
    pub(super) of_inputs: Address,
    pub(super) lora_b: Vec<Address>,
    pub(super) of_lora_b: Vec<(Address, bool)>,
}

impl Backward<'_> {
    /// The gradient of an input and of the B of its gates; gives that of its packed weights, [dim, width].
    pub(super) fn run_input(
        &self,
        input: usize,
        packed: &mut Packed,
        hidden: Address,
    ) -> Result<Buffer> {
        let (machine, gates) = (self.machine, &self.program.gates);
        let (num_rows, width) = (self.num_rows, packed.width);
        let (dim, num_lora, rank) = (gates.dim(), gates.num_lora(), gates.rank());
        let xs = self.xs.offset(input * num_rows * dim);
        let of_input = self.of_inputs.offset(input * num_rows * dim);
        let mut of_hidden = machine.unspecified(num_rows * width)?;
        let of_rows = of_hidden.address()?;
        machine.launch(
            "feature_gate_backward",
            Grid::warps(num_rows, 1),
            &Arguments::new()
                .pointer(xs)
                .pointer(self.gradient)
                .pointer(self.sigmoids)
                .pointer(hidden)
                .pointer(self.slopes)
                .pointer(of_rows)
                .pointer(of_input)
                .pointer(machine.table(packed.table())?)
                .int(packed.gates.len())
                .int(num_rows)
                .int(dim)
                .int(width)
                .int(gates.weight_column(0, packed.gates.len()))
                .int(num_lora),
        )?;
        for (position, count) in self.program.runs(packed) {
            let gate = packed.gates[position];
            let column = gates.lora_column(position, 0);
            let slopes = Factor::new(self.slopes.offset(gate * num_lora * num_rows * dim), dim)
                .step(num_rows * dim);
            machine.multiply(&Product {
                rows: num_rows,
                columns: rank,
                depth: dim,
                batch: count * num_lora,
                left: slopes,
                right: Factor::new(self.lora_b[gate], dim)
                    .transposed()
                    .step(rank * dim),
                out: Factor::new(of_rows.offset(column), width).step(rank),
                add: false,
            })?;
            let (of_b, add) = self.of_lora_b[gate];
            machine.multiply(&Product {
                rows: rank,
                columns: dim,
                depth: num_rows,
                batch: count * num_lora,
                left: Factor::new(hidden.offset(column), width)
                    .transposed()
                    .step(rank),
                right: slopes,
                out: Factor::new(of_b, dim).step(rank * dim),
                add,
            })?;
        }
        let mut of_packed = machine.unspecified(dim * width)?;
        machine.multiply(&Product {
            rows: dim,
            columns: width,
            depth: num_rows,
            batch: 1,
            left: Factor::new(xs, dim).transposed(),
            right: Factor::new(of_rows, width),
            out: Factor::new(of_packed.address()?, width),
            add: false,
        })?;
        let Some(weights) = &mut packed.weights else {
            candle_core::bail!("an input that gates read has weights");
        };
        machine.multiply(&Product {
            rows: num_rows,
            columns: dim,
            depth: width,
            batch: 1,
            left: Factor::new(of_rows, width),
            right: Factor::new(weights.address()?, width).transposed(),
            out: Factor::new(of_input, dim),
            add: true,
        })?;
        Ok(of_packed)
    }
}
