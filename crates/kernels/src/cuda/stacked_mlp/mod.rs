//! Stacked networks as a program: products of the experts of a variable as one strided batch, and between products one pass
//! each way. Forward keeps each layer's products and activations.

mod backward;
mod forward;

use super::arguments::POINTERS;
use super::buffer::{Address, Buffer};
use super::machine::Machine;
use super::operator::{Gradients, Input, Program, apply};
use super::sums::{Chunks, chunks};
use crate::stack::Stack;
use crate::stacked_mlp::{Activation, StackedLayer, StackedMlp};
use candle_core::{Result, Shape, Tensor};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

pub(crate) fn forward(
    machine: Machine,
    mlp: &StackedMlp,
    xs: &Tensor,
    train: bool,
) -> Result<Tensor> {
    let program = StackedMlpProgram::new(mlp, train, xs.track_op());
    apply(machine, program, xs, xs, mlp.first_parameter())
}

pub(in crate::cuda) struct StackedMlpProgram {
    mlp: StackedMlp,
    train: bool,
    needs_input_gradient: bool,
    states: Mutex<Option<Vec<LayerState>>>,
}

impl StackedMlpProgram {
    pub(in crate::cuda) fn new(mlp: &StackedMlp, train: bool, needs_input_gradient: bool) -> Self {
        Self {
            mlp: mlp.clone(),
            train,
            needs_input_gradient,
            states: Mutex::default(),
        }
    }
}

/// What the forward pass keeps of a layer.
struct LayerState {
    /// Before bias and norm, [experts, rows, out].
    products: Buffer,
    /// Of bias or norm, [experts, 4, out].
    factors: Buffer,
    /// [experts, rows, out]; not of the last layer, whose activations are the result.
    activations: Option<Buffer>,
}

/// Experts of one variable that read inputs at equal distances: one batch of products.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    experts: Range<usize>,
    source: usize,
    source_step: usize,
}

/// The runs of a stack whose experts read these sources.
fn runs(stack: &Stack, sources: &[usize]) -> Vec<Run> {
    let mut runs = Vec::new();
    for experts in stack.expert_ranges() {
        let mut first = experts.start;
        while first < experts.end {
            let step = match sources.get(first + 1) {
                Some(next) if first + 1 < experts.end => next.checked_sub(sources[first]),
                _ => Some(0),
            };
            let mut end = first + 1;
            if let Some(step) = step {
                while end < experts.end && sources[end - 1] + step == sources[end] {
                    end += 1;
                }
            }
            runs.push(Run {
                experts: first..end,
                source: sources[first],
                source_step: step.unwrap_or(0),
            });
            first = end;
        }
    }
    runs
}

fn dims(layer: &StackedLayer) -> (usize, usize) {
    let shape = layer.weight.expert_shape();
    (shape[0], shape[1])
}

fn activation_code(activation: Activation) -> usize {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Silu => 2,
    }
}

/// Experts of one launch of a kernel that takes their pointers.
fn groups(num_experts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..num_experts)
        .step_by(POINTERS)
        .map(move |start| start..num_experts.min(start + POINTERS))
}

/// The same of experts that are alike: all of a group read the statistics of their batch, or none.
fn groups_alike(reads_batch: &[bool]) -> impl Iterator<Item = (Range<usize>, bool)> {
    groups(reads_batch.len()).flat_map(|group| {
        let mut start = group.start;
        let alike = reads_batch[group].chunk_by(|a, b| a == b);
        alike.map(move |part| {
            let of_part = start..start + part.len();
            start = of_part.end;
            (of_part, part[0])
        })
    })
}

impl Program for StackedMlpProgram {
    fn name(&self) -> &'static str {
        "stacked-mlp"
    }

    fn forward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
    ) -> Result<(Buffer, Shape)> {
        let num_rows = xs.dims[xs.dims.len() - 2];
        let pass = Pass::new(machine, &self.mlp, num_rows);
        let num_experts = self.mlp.num_experts();
        let mut states = Vec::new();
        let own: Vec<usize> = (0..num_experts).collect();
        let (mut input, mut sources) = (xs.address, self.mlp.sources());
        let mut out = None;
        let last = self.mlp.layers().len() - 1;
        for (index, layer) in self.mlp.layers().iter().enumerate() {
            let (mut state, mut activations) = pass.layer(layer, input, sources, self.train)?;
            input = activations.address()?;
            sources = &own;
            match index == last {
                true => out = Some(activations),
                false => state.activations = Some(activations),
            }
            states.push(state);
        }
        if self.train {
            *self.states.lock().unwrap_or_else(PoisonError::into_inner) = Some(states);
        }
        let Some(out) = out else {
            candle_core::bail!("stacked networks need a layer");
        };
        let width = out.len() / (num_experts * num_rows);
        Ok((out, (num_experts, num_rows, width).into()))
    }

    fn backward(
        &self,
        machine: &Machine,
        xs: Input<'_>,
        _same: Input<'_>,
        gradient: Address,
    ) -> Result<Gradients> {
        let states = self
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut states) = states else {
            candle_core::bail!("stacked-mlp: a backward pass needs a forward pass in training");
        };
        let pass = Pass::new(machine, &self.mlp, xs.dims[xs.dims.len() - 2]);
        let own: Vec<usize> = (0..self.mlp.num_experts()).collect();
        let mut below: Option<Buffer> = None;
        for index in (0..states.len()).rev() {
            let layer = &self.mlp.layers()[index];
            let upper = match &mut below {
                Some(buffer) => buffer.address()?,
                None => gradient,
            };
            let mut slopes = pass.product_gradient(layer, &mut states[index], upper)?;
            let slopes = slopes.address()?;
            if index == 0 {
                pass.weight_gradient(layer, xs.address, self.mlp.sources(), slopes)?;
                let input_gradient = self
                    .needs_input_gradient
                    .then(|| pass.input_gradient(layer, slopes, xs.num_elements()))
                    .transpose()?;
                return Ok([input_gradient, None]);
            }
            let inputs = states[index - 1].activations.as_mut();
            let inputs = inputs
                .expect("kept for every layer but the last")
                .address()?;
            pass.weight_gradient(layer, inputs, &own, slopes)?;
            below = Some(pass.below(layer, slopes)?);
        }
        candle_core::bail!("stacked networks need a layer")
    }
}

/// One pass over a stack of networks.
struct Pass<'a> {
    machine: &'a Machine,
    mlp: &'a StackedMlp,
    num_rows: usize,
    chunks: Chunks,
}

impl<'a> Pass<'a> {
    fn new(machine: &'a Machine, mlp: &'a StackedMlp, num_rows: usize) -> Self {
        Self {
            machine,
            mlp,
            num_rows,
            chunks: chunks(num_rows),
        }
    }

    fn num_experts(&self) -> usize {
        self.mlp.num_experts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{Parameter, Role};
    use candle_core::{DType, Device, Var};

    #[test]
    fn runs_are_of_one_variable_and_equal_distances() {
        let parameter = |count: usize| {
            let var = Var::zeros((count, 1, 1), DType::F32, &Device::Cpu).unwrap();
            Parameter::new("w", var, Role::Trained)
        };
        let stack = Stack::new(vec![parameter(3), parameter(4), parameter(1)], &[1, 1]).unwrap();
        let run = |experts, source, source_step| Run {
            experts,
            source,
            source_step,
        };
        assert_eq!(
            runs(&stack, &[2, 2, 2, 0, 2, 4, 1, 0]),
            [
                run(0..3, 2, 0),
                run(3..6, 0, 2),
                run(6..7, 1, 0),
                run(7..8, 0, 0)
            ]
        );
        // More experts than a launch takes, of which some are frozen.
        let mut reads_batch = vec![true; POINTERS + 2];
        reads_batch[3..5].fill(false);
        let alike: Vec<_> = groups_alike(&reads_batch).collect();
        assert_eq!(
            alike,
            [
                (0..3, true),
                (3..5, false),
                (5..POINTERS, true),
                (POINTERS..POINTERS + 2, true)
            ]
        );
        // Distances downwards are none.
        let downwards: Vec<_> = runs(&stack, &[2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(downwards.len(), 5);
    }
}
