//! Feature gates as a program: per input, A of every LoRA and W of every gate side by side in one product, the LoRAs' second
//! products as strided batches, and one pass over the rows each way.

mod backward;

use self::backward::Backward;
use super::arguments::Arguments;
use super::buffer::{Address, Buffer};
use super::copies::{Copies, Copy};
use super::machine::{Grid, Machine};
use super::operator::{Gradients, Input, Program, apply};
use super::product::{Factor, Product};
use crate::feature_gate::FeatureGates;
use candle_core::{Result, Shape, Tensor};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

pub(crate) fn forward(
    machine: Machine,
    gates: &FeatureGates,
    xs: &Tensor,
    train: bool,
) -> Result<Tensor> {
    let program = FeatureGatesProgram::new(gates, train, xs.track_op());
    let anchor = gates.weight.parameters()[0].tensor();
    apply(machine, program, xs, xs, anchor)
}

pub(in crate::cuda) struct FeatureGatesProgram {
    gates: FeatureGates,
    train: bool,
    needs_input_gradient: bool,
    state: Mutex<Option<State>>,
}

/// What forward keeps.
struct State {
    /// Per input: the packed product, [rows, width], with softmax weights in place of logits.
    hidden: Vec<Option<Buffer>>,
    /// [gates, loras, rows, dim].
    sigmoids: Buffer,
}

/// What one input is multiplied with: [A of each LoRA of each gate | W of each gate].
struct Packed {
    /// Gates that read the input.
    gates: Vec<usize>,
    /// Number of columns.
    width: usize,
    /// [dim, width]; absent where nothing reads the input.
    weights: Option<Buffer>,
}

impl Packed {
    fn table(&self) -> Vec<u32> {
        self.gates.iter().map(|gate| *gate as u32).collect()
    }
}

fn num_inputs_and_rows(dims: &[usize]) -> (usize, usize) {
    match *dims {
        [inputs, rows, _] => (inputs, rows),
        [rows, ..] => (1, rows),
        [] => (0, 0),
    }
}

impl FeatureGatesProgram {
    pub(in crate::cuda) fn new(
        gates: &FeatureGates,
        train: bool,
        needs_input_gradient: bool,
    ) -> Self {
        Self {
            gates: gates.clone(),
            train,
            needs_input_gradient,
            state: Mutex::default(),
        }
    }

    fn pack(&self, machine: &Machine, num_inputs: usize) -> Result<Vec<Packed>> {
        let gates = &self.gates;
        let (dim, num_lora) = (gates.dim(), gates.num_lora());
        let mut packed = Vec::with_capacity(num_inputs);
        for input in 0..num_inputs {
            let readers: Vec<usize> = (0..gates.sources.len())
                .filter(|gate| gates.sources[*gate] == input)
                .collect();
            let width = readers.len() * num_lora * (gates.rank() + 1);
            packed.push(Packed {
                gates: readers,
                width,
                weights: (width > 0)
                    .then(|| machine.unspecified(dim * width))
                    .transpose()?,
            });
        }
        let lora_a = gates.lora_a.addresses()?;
        let weight = gates.weight.addresses()?;
        let mut copies = Copies::new(machine);
        for packed in &mut packed {
            let Some(weights) = &mut packed.weights else {
                continue;
            };
            let to = weights.address()?;
            for part in self.parts(packed) {
                let from = match part.is_lora {
                    true => lora_a[part.gate].offset(part.start),
                    false => weight[part.gate],
                };
                copies.push(Copy {
                    to: to.offset(part.column),
                    to_stride: packed.width,
                    from,
                    from_stride: part.columns,
                    rows: dim,
                    columns: part.columns,
                    add: false,
                })?;
            }
        }
        copies.launch()?;
        Ok(packed)
    }

    /// The matrices that lie side by side for one input.
    fn parts(&self, packed: &Packed) -> Vec<Part> {
        let gates = &self.gates;
        let mut parts = Vec::new();
        for (position, gate) in packed.gates.iter().enumerate() {
            for lora in 0..gates.num_lora() {
                parts.push(Part {
                    gate: *gate,
                    is_lora: true,
                    start: lora * gates.dim() * gates.rank(),
                    column: gates.lora_column(position, lora),
                    columns: gates.rank(),
                });
            }
            parts.push(Part {
                gate: *gate,
                is_lora: false,
                start: 0,
                column: gates.weight_column(position, packed.gates.len()),
                columns: gates.num_lora(),
            });
        }
        parts
    }

    /// Positions of the input's gates in runs whose B, and whose gradients of B, lie one after another in one variable:
    /// (first position, number).
    fn runs(&self, packed: &Packed) -> Vec<(usize, usize)> {
        let variables: Vec<Range<usize>> = self.gates.lora_b.expert_ranges().collect();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (position, gate) in packed.gates.iter().enumerate() {
            let goes_on = runs.last_mut().filter(|(first, count)| {
                let begin = packed.gates[*first];
                let of_one = |of: &Range<usize>| of.contains(&begin) && of.contains(gate);
                *gate == begin + *count && variables.iter().any(of_one)
            });
            match goes_on {
                Some((_, count)) => *count += 1,
                None => runs.push((position, 1)),
            }
        }
        runs
    }
}

/// One matrix among those side by side: of a LoRA, or of a gate's softmax.
struct Part {
    gate: usize,
    is_lora: bool,
    /// Where it begins in the gate's A.
    start: usize,
    column: usize,
    columns: usize,
}

impl Program for FeatureGatesProgram {
    fn name(&self) -> &'static str {
        "feature-gates"
    }

    fn forward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
    ) -> Result<(Buffer, Shape)> {
        let gates = &self.gates;
        let (num_inputs, num_rows) = num_inputs_and_rows(xs.dims);
        let (dim, num_lora, rank) = (gates.dim(), gates.num_lora(), gates.rank());
        let num_gates = gates.sources.len();
        let mut packed = self.pack(machine, num_inputs)?;
        let lora_b = gates.lora_b.addresses()?;
        let mut out = machine.unspecified(num_gates * num_rows * dim)?;
        let mut sigmoids = machine.unspecified(num_gates * num_lora * num_rows * dim)?;
        let (to, loras) = (out.address()?, sigmoids.address()?);
        let mut kept = Vec::with_capacity(num_inputs);
        for (input, packed) in packed.iter_mut().enumerate() {
            let width = packed.width;
            let Some(weights) = &mut packed.weights else {
                kept.push(None);
                continue;
            };
            let xs = xs.address.offset(input * num_rows * dim);
            let mut hidden = machine.unspecified(num_rows * width)?;
            let of_rows = hidden.address()?;
            machine.multiply(&Product {
                rows: num_rows,
                columns: width,
                depth: dim,
                batch: 1,
                left: Factor::new(xs, dim),
                right: Factor::new(weights.address()?, width),
                out: Factor::new(of_rows, width),
                add: false,
            })?;
            let first = gates.weight_column(0, packed.gates.len());
            let readers = packed.gates.len();
            machine.launch(
                "feature_gate_weights",
                Grid::list(num_rows * readers),
                &Arguments::new()
                    .pointer(of_rows)
                    .int(num_rows)
                    .int(width)
                    .int(first)
                    .int(readers)
                    .int(num_lora),
            )?;
            for (position, count) in self.runs(packed) {
                let gate = packed.gates[position];
                machine.multiply(&Product {
                    rows: num_rows,
                    columns: dim,
                    depth: rank,
                    batch: count * num_lora,
                    left: Factor::new(of_rows.offset(gates.lora_column(position, 0)), width)
                        .step(rank),
                    right: Factor::new(lora_b[gate], dim).step(rank * dim),
                    out: Factor::new(loras.offset(gate * num_lora * num_rows * dim), dim)
                        .step(num_rows * dim),
                    add: false,
                })?;
            }
            machine.launch(
                "feature_gate_forward",
                Grid::warps(num_rows, readers),
                &Arguments::new()
                    .pointer(xs)
                    .pointer(loras)
                    .pointer(of_rows)
                    .pointer(to)
                    .pointer(machine.table(packed.table())?)
                    .int(num_rows)
                    .int(dim)
                    .int(width)
                    .int(first)
                    .int(num_lora),
            )?;
            kept.push(Some(hidden));
        }
        if self.train {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(State {
                hidden: kept,
                sigmoids,
            });
        }
        Ok((out, (num_gates, num_rows, dim).into()))
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
        gradient: Address,
    ) -> Result<Gradients> {
        let state = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut state) = state else {
            candle_core::bail!("feature-gates: a backward pass needs a forward pass in training");
        };
        let gates = &self.gates;
        let (num_inputs, num_rows) = num_inputs_and_rows(xs.dims);
        let (dim, num_lora) = (gates.dim(), gates.num_lora());
        let mut packed = self.pack(machine, num_inputs)?;
        let mut slopes = machine.unspecified(state.sigmoids.len())?;
        let mut of_inputs = match packed.iter().all(|packed| packed.weights.is_some()) {
            true => machine.unspecified(xs.num_elements())?,
            false => machine.zeros(xs.num_elements())?,
        };
        let backward = Backward {
            program: self,
            machine,
            num_rows,
            xs: xs.address,
            gradient,
            sigmoids: state.sigmoids.address()?,
            slopes: slopes.address()?,
            of_inputs: of_inputs.address()?,
            lora_b: gates.lora_b.addresses()?,
            of_lora_b: gates.lora_b.gradient_addresses(machine)?,
        };
        let mut of_packed = Vec::with_capacity(num_inputs);
        for (input, packed) in packed.iter_mut().enumerate() {
            let gradient = match &mut state.hidden[input] {
                Some(hidden) => Some(backward.run_input(input, packed, hidden.address()?)?),
                None => None,
            };
            of_packed.push(gradient);
        }
        debug_assert_eq!(
            slopes.len(),
            gates.sources.len() * num_lora * num_rows * dim
        );
        self.accumulate(machine, &packed, &mut of_packed)?;
        Ok([self.needs_input_gradient.then_some(of_inputs), None])
    }
}
