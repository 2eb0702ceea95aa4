//! The backward pass, one pass over the rows a layer: from the gradient of a layer's norm output to that of the layer below.

use super::forward::activation_block;
use super::{Forward, LayerState, Plan, is_batch_norm};
use crate::precision::{Precision, precision};
use crate::product::{Matrix, SharedFactor, multiply};
use crate::rows::{blocks, reduce_parts, split_mut, unspecified};
use crate::stack::StackValues;
use crate::stacked_mlp::columns::{Affine, activation_gradient, add_weighted_rows, combine, outer};
use crate::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
use candle_core::Result;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Column sums of a gradient over some rows: plain, and weighted with the normalised values.
#[derive(Clone)]
struct Sums {
    plain: Vec<f32>,
    normalised: Vec<f32>,
}

impl Sums {
    fn zeros(width: usize) -> Self {
        Self {
            plain: vec![0.0; width],
            normalised: vec![0.0; width],
        }
    }
}

/// Factors of batch norm's gradient per column, `own * dy + other * z + constant`.
struct Factors {
    own: Vec<f32>,
    other: Vec<f32>,
    constant: Vec<f32>,
}

/// A task of a layer's pass: one expert's chunk of rows.
struct Task<'a> {
    /// Gradient of the norm's output, turned into that of the products.
    gradient: &'a mut [f32],
    /// Gradient for the layer below; empty for the first layer.
    below: &'a mut [f32],
    /// Weight gradient of these rows.
    weight: &'a mut [f32],
}

pub(super) fn run(
    mlp: &StackedMlp,
    forward: &Forward<'_>,
    gradient: Cow<'_, [f32]>,
    plan: &Plan<'_>,
    needs_input_gradient: bool,
) -> Result<Option<Vec<f32>>> {
    let Forward { xs, states, .. } = *forward;
    let last = mlp.layers.len() - 1;
    let (mut gradient, mut sums) =
        enter(mlp.layers[last].activation, &states[last], gradient, plan);
    for index in (0..mlp.layers.len()).rev() {
        let layer = &mlp.layers[index];
        let sums_of_layer = combine_chunks(&sums, plan.num_chunks);
        accumulate_columns(layer, &sums_of_layer);
        let factors = is_batch_norm(&layer.norm)
            .then(|| batch_norm_factors(layer, &states[index], &sums_of_layer, plan.num_rows));
        let pass = LayerPass {
            layer,
            state: &states[index],
            below: index
                .checked_sub(1)
                .map(|below| (&states[below], mlp.layers[below].activation)),
            xs,
            sources: &mlp.sources,
            factors: factors.as_deref(),
            plan,
        };
        let (below, below_sums) = pass.run(&mut gradient)?;
        if index == 0 {
            return needs_input_gradient
                .then(|| input_gradient(mlp, &gradient, xs.len(), plan))
                .transpose();
        }
        (gradient, sums) = (below, below_sums);
    }
    Ok(None)
}

/// The gradient through the last activation, with its column sums per (expert, chunk).
fn enter(
    activation: Activation,
    state: &LayerState,
    gradient: Cow<'_, [f32]>,
    plan: &Plan<'_>,
) -> (Vec<f32>, Vec<Sums>) {
    let width = state.affines[0].scale.len();
    let (mut result, from) = match gradient {
        Cow::Owned(gradient) => (gradient, None),
        Cow::Borrowed(gradient) => (unspecified(gradient.len()), Some(gradient)),
    };
    let sums = plan
        .split_mut(&mut result, width)
        .into_par_iter()
        .zip(&plan.parts)
        .enumerate()
        .map(|(task, (out, part))| {
            let expert = task / plan.num_chunks;
            if let Some(from) = from {
                out.copy_from_slice(plan.rows_of(from, expert, part, width));
            }
            let block = plan.rows_of(&state.products, expert, part, width);
            let mut sums = Sums::zeros(width);
            through_activation(activation, out, block, &state.affines[expert], &mut sums);
            sums
        })
        .collect();
    (result, sums)
}

fn through_activation(
    activation: Activation,
    gradient: &mut [f32],
    block: &[f32],
    affine: &Affine,
    sums: &mut Sums,
) {
    let Sums { plain, normalised } = sums;
    activation_gradient(activation, gradient, block, affine, plain, normalised);
}

/// Each expert's sums over all chunks, chunks in order.
fn combine_chunks(sums: &[Sums], num_chunks: usize) -> Vec<[Vec<f64>; 2]> {
    let add = |pick: fn(&Sums) -> &Vec<f32>, parts: &[Sums]| {
        let mut total = vec![0f64; pick(&parts[0]).len()];
        for part in parts {
            for (sum, value) in total.iter_mut().zip(pick(part)) {
                *sum += f64::from(*value);
            }
        }
        total
    };
    sums.chunks(num_chunks)
        .map(|parts| [add(|s| &s.plain, parts), add(|s| &s.normalised, parts)])
        .collect()
}

/// Gradients of bias, or of the norm's scale and shift.
fn accumulate_columns(layer: &StackedLayer, sums: &[[Vec<f64>; 2]]) {
    let flat = |which: usize| -> Vec<f32> {
        let of = |sums: &[Vec<f64>; 2]| sums[which].iter().map(|v| *v as f32).collect::<Vec<_>>();
        sums.iter().flat_map(of).collect()
    };
    if let Norm::Batch { scale, shift, .. } = &layer.norm {
        shift.accumulate_values(&flat(0));
        scale.accumulate_values(&flat(1));
    } else if let Some(bias) = &layer.bias {
        bias.accumulate_values(&flat(0));
    }
}

fn batch_norm_factors(
    layer: &StackedLayer,
    state: &LayerState,
    sums: &[[Vec<f64>; 2]],
    num_rows: usize,
) -> Vec<Factors> {
    let rows = num_rows as f64;
    let reads_batch = layer.reads_batch(true);
    let of = |((affine, [plain, normalised]), reads_batch): ((&Affine, &[Vec<f64>; 2]), bool)| {
        if !reads_batch {
            // Running statistics are constants of the step.
            return Factors {
                own: affine.scale.clone(),
                other: vec![0.0; plain.len()],
                constant: vec![0.0; plain.len()],
            };
        }
        let mut factors = Factors {
            own: affine.scale.clone(),
            other: Vec::with_capacity(plain.len()),
            constant: Vec::with_capacity(plain.len()),
        };
        for column in 0..plain.len() {
            // dz = scale (dy - mean(dy) - normalised mean(dy normalised)), normalised = inverse z + offset.
            let scale = f64::from(affine.scale[column]);
            let slope = -scale * normalised[column] / rows;
            factors
                .other
                .push((slope * f64::from(affine.inverse[column])) as f32);
            let constant = slope * f64::from(affine.offset[column]) - scale * plain[column] / rows;
            factors.constant.push(constant as f32);
        }
        factors
    };
    let experts = state.affines.iter().zip(sums).zip(reads_batch);
    experts.map(of).collect()
}

struct LayerPass<'a> {
    layer: &'a StackedLayer,
    state: &'a LayerState,
    below: Option<(&'a LayerState, Activation)>,
    xs: &'a [f32],
    sources: &'a [usize],
    factors: Option<&'a [Factors]>,
    plan: &'a Plan<'a>,
}

impl LayerPass<'_> {
    /// Turns `gradient` into the gradient of the products; gives that of the layer below with its sums.
    fn run(&self, gradient: &mut [f32]) -> Result<(Vec<f32>, Vec<Sums>)> {
        let (depth, width) = self.dims();
        let (num_chunks, num_experts) = (self.plan.num_chunks, self.sources.len());
        let values = self.layer.weight.read()?;
        // The first layer's pass has no layer below; the operator's input gradient has weights of its own.
        let weights = match self.below {
            Some(_) => transposed(&values, num_experts, width),
            None => Vec::new(),
        };
        let mut below = unspecified(match self.below {
            Some(_) => self.plan.total_rows() * depth,
            None => 0,
        });
        let mut partial = unspecified(num_experts * num_chunks * depth * width);
        let tasks = self.tasks(gradient, &mut below, &mut partial);
        let sums = tasks
            .into_par_iter()
            .enumerate()
            .map_init(Vec::new, |scratch, (index, task)| {
                let (expert, part) = (index / num_chunks, &self.plan.parts[index]);
                self.run_part(expert, part, task, weights.get(expert), scratch)
            })
            .collect();
        drop(weights);
        drop(values);
        self.reduce_weight_gradient(&partial);
        Ok((below, sums))
    }

    fn dims(&self) -> (usize, usize) {
        let shape = self.layer.weight.expert_shape();
        (shape[0], shape[1])
    }

    fn tasks<'t>(
        &self,
        gradient: &'t mut [f32],
        below: &'t mut [f32],
        partial: &'t mut [f32],
    ) -> Vec<Task<'t>> {
        let (depth, width) = self.dims();
        let gradients = self.plan.split_mut(gradient, width);
        let mut belows: Vec<&mut [f32]> = match self.below {
            Some(_) => self.plan.split_mut(below, depth),
            None => Vec::new(),
        };
        belows.resize_with(gradients.len(), Default::default);
        gradients
            .into_iter()
            .zip(belows)
            .zip(partial.chunks_exact_mut(depth * width))
            .map(|((gradient, below), weight)| Task {
                gradient,
                below,
                weight,
            })
            .collect()
    }

    fn run_part(
        &self,
        expert: usize,
        part: &Range<usize>,
        task: Task<'_>,
        weights: Option<&Transposed<'_>>,
        scratch: &mut Vec<f32>,
    ) -> Sums {
        let (depth, width) = self.dims();
        let plan = self.plan;
        let mut sums = Sums::zeros(if self.below.is_some() { depth } else { 0 });
        if part.is_empty() {
            task.weight.fill(0.0);
        }
        for block in blocks(part.clone()) {
            let at = block.start - part.start;
            let gradient = &mut task.gradient[at * width..(at + block.len()) * width];
            if let Some(factors) = self.factors.map(|factors| &factors[expert]) {
                let products = plan.rows_of(&self.state.products, expert, &block, width);
                let Factors {
                    own,
                    other,
                    constant,
                } = factors;
                combine(gradient, products, own, other, constant);
            }
            let inputs = match self.below {
                Some((state, activation)) => {
                    activation_block(state, activation, expert, &block, plan, scratch)
                }
                None => plan.inputs(self.xs, self.sources[expert], expert, &block, scratch),
            };
            weight_gradient(task.weight, inputs, gradient, width, at > 0);
            if let (Some((state, activation)), Some(weights)) = (self.below, weights) {
                let below = &mut task.below[at * depth..(at + block.len()) * depth];
                weights.input_gradient(below, gradient, width, false);
                let products = plan.rows_of(&state.products, expert, &block, depth);
                through_activation(
                    activation,
                    below,
                    products,
                    &state.affines[expert],
                    &mut sums,
                );
            }
        }
        sums
    }

    fn reduce_weight_gradient(&self, partial: &[f32]) {
        let (depth, width) = self.dims();
        let size = depth * width;
        let num_chunks = self.plan.num_chunks;
        self.layer.weight.accumulate(|gradient, first, add| {
            gradient
                .par_chunks_exact_mut(size)
                .enumerate()
                .for_each(|(expert, out)| {
                    let start = (first + expert) * num_chunks * size;
                    reduce_parts(out, &partial[start..start + num_chunks * size], add);
                });
        });
    }
}

/// `out (+)= inputs^T gradient`, [in, out].
fn weight_gradient(out: &mut [f32], inputs: &[f32], gradient: &[f32], width: usize, add: bool) {
    let rows = gradient.len() / width;
    let depth = inputs.len() / rows;
    if width == 1 && precision() == Precision::F32 {
        if !add {
            out.fill(0.0);
        }
        return add_weighted_rows(out, inputs, gradient);
    }
    multiply(
        out,
        width,
        Matrix::new(inputs, rows, depth).transposed(),
        Matrix::new(gradient, rows, width),
        add,
    );
}

/// One expert's weights, as its input gradient takes them.
struct Transposed<'a> {
    values: &'a [f32],
    /// [out, in].
    factor: SharedFactor<'a>,
}

/// Every expert's weights, [in, width].
fn transposed<'a>(
    weights: &'a StackValues<'_>,
    num_experts: usize,
    width: usize,
) -> Vec<Transposed<'a>> {
    let of = |expert| {
        let values = weights.expert(expert);
        let matrix = Matrix::new(values, values.len() / width, width);
        Transposed {
            values,
            factor: SharedFactor::new(matrix.transposed()),
        }
    };
    (0..num_experts).into_par_iter().map(of).collect()
}

impl Transposed<'_> {
    /// `out (+)= gradient weights^T`, [rows, in].
    fn input_gradient(&self, out: &mut [f32], gradient: &[f32], width: usize, add: bool) {
        let rows = gradient.len() / width;
        let depth = self.values.len() / width;
        if width == 1 && !add && precision() == Precision::F32 {
            return outer(out, gradient, self.values);
        }
        let gradient = Matrix::new(gradient, rows, width);
        multiply(out, depth, gradient, self.factor.matrix(), add);
    }
}

impl Transposed<'_> {
    /// As [`Self::input_gradient`] with `add`, for rows of `out` that are not neighbours; `out` begins with row `first`.
    fn add_scattered(
        &self,
        out: &mut [f32],
        gradient: &[f32],
        rows: &[u32],
        first: usize,
        scratch: &mut Vec<f32>,
    ) {
        if rows.is_empty() {
            return;
        }
        let width = gradient.len() / rows.len();
        let depth = self.values.len() / width;
        let place = |row: &u32| {
            let start = (*row as usize - first) * depth;
            start..start + depth
        };
        scratch.clear();
        for row in rows {
            scratch.extend_from_slice(&out[place(row)]);
        }
        self.input_gradient(scratch, gradient, width, true);
        for (row, values) in rows.iter().zip(scratch.chunks_exact(depth)) {
            out[place(row)].copy_from_slice(values);
        }
    }
}

/// The gradient of the operator's inputs: for each, the sum over the experts that read it, in order.
fn input_gradient(
    mlp: &StackedMlp,
    gradient: &[f32],
    length: usize,
    plan: &Plan<'_>,
) -> Result<Vec<f32>> {
    let shape = mlp.layers[0].weight.expert_shape();
    let (depth, width) = (shape[0], shape[1]);
    let weights = mlp.layers[0].weight.read()?;
    let weights = transposed(&weights, mlp.sources.len(), width);
    let num_inputs = length / (plan.num_rows * depth);
    let all: Vec<Range<usize>> = blocks(0..plan.num_rows).collect();
    let mut result = unspecified(length);
    split_mut(&mut result, depth, &all)
        .into_par_iter()
        .enumerate()
        .for_each_init(Vec::new, |scratch, (task, out)| {
            let (input, block) = (task / all.len(), &all[task % all.len()]);
            debug_assert!(input < num_inputs);
            let readers = (0..mlp.sources.len()).filter(|e| mlp.sources[*e] == input);
            let mut add = false;
            for expert in readers {
                let weights = &weights[expert];
                let Some(selection) = plan.selection else {
                    let gradient = plan.rows_of(gradient, expert, block, width);
                    weights.input_gradient(out, gradient, width, add);
                    add = true;
                    continue;
                };
                // A chain that starts from 0 is one that goes on from there.
                if !std::mem::replace(&mut add, true) {
                    out.fill(0.0);
                }
                let within = selection.within(expert, block);
                let gradient = plan.rows_of(gradient, expert, &within, width);
                let rows = &selection.rows(expert)[within];
                weights.add_scattered(out, gradient, rows, block.start, scratch);
            }
            if !add {
                out.fill(0.0);
            }
        });
    Ok(result)
}
