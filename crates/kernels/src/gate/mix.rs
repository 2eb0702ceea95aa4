//! Gate weights and the sums of experts that they make.

use crate::composed;
use crate::parameter::{argument, values};
use crate::product::dot;
use crate::rows::{rows_of, split_by_chunk, strips, unspecified};
use crate::simd::{multiversioned, sigmoid};
use crate::softmax::{softmax, softmax_gradient};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// How logits become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateActivation {
    /// Weights of a row sum to 1.
    Softmax,
    /// Each weight on its own; a self-gate over one expert.
    Sigmoid,
    /// Logits are the weights; a free learned vector.
    Identity,
}

/// A gate: which experts it sees, and the output that its sum is added to.
#[derive(Debug, Clone)]
pub struct MixGate {
    /// Indices of the experts, in the order of the gate's logits.
    pub experts: Vec<usize>,
    /// How logits become weights.
    pub activation: GateActivation,
    /// Index of the output.
    pub output: usize,
}

/// All gates of a layer; their logits follow one another in the order of the gates.
#[derive(Debug, Clone)]
pub struct Mix {
    layout: Arc<MixLayout>,
}

#[derive(Debug)]
struct MixLayout {
    gates: Vec<(MixGate, Range<usize>)>,
    num_columns: usize,
    num_experts: usize,
    /// Per output: (column, expert) of every summand.
    outputs: Vec<Vec<(usize, usize)>>,
    /// Per expert: (column, output) of every use.
    uses: Vec<Vec<(usize, usize)>>,
}

impl Mix {
    /// Gates over `num_experts` experts with `num_outputs` outputs.
    ///
    /// # Errors
    /// A gate that sees no expert or one that isn't there, or an output that no gate feeds.
    pub fn new(gates: Vec<MixGate>, num_experts: usize, num_outputs: usize) -> Result<Self> {
        let mut layout = MixLayout {
            gates: Vec::new(),
            num_columns: 0,
            num_experts,
            outputs: vec![Vec::new(); num_outputs],
            uses: vec![Vec::new(); num_experts],
        };
        for gate in gates {
            if gate.experts.is_empty() || gate.output >= num_outputs {
                candle_core::bail!("a gate needs an expert, and an output among {num_outputs}");
            }
            let start = layout.num_columns;
            for (offset, expert) in gate.experts.iter().enumerate() {
                if *expert >= num_experts {
                    candle_core::bail!("a gate sees expert {expert} of {num_experts}");
                }
                layout.outputs[gate.output].push((start + offset, *expert));
                layout.uses[*expert].push((start + offset, gate.output));
            }
            layout.num_columns += gate.experts.len();
            layout.gates.push((gate, start..layout.num_columns));
        }
        if layout.outputs.iter().any(Vec::is_empty) {
            candle_core::bail!("every output needs a gate");
        }
        Ok(Self {
            layout: Arc::new(layout),
        })
    }

    /// Number of logits of all gates.
    pub fn num_columns(&self) -> usize {
        self.layout.num_columns
    }

    /// Sums experts with the gates' weights.
    ///
    /// # Shapes
    /// - experts: [experts, batch, expert_dim]
    /// - logits: [batch, logits of all gates]
    /// - result: [outputs, batch, expert_dim]
    ///
    /// # Errors
    /// Shapes that don't fit, or an empty batch.
    pub fn forward(&self, experts: &Tensor, logits: &Tensor) -> Result<Tensor> {
        self.check_inputs(experts, logits)?;
        if !(experts.device().is_cpu() && experts.dtype() == DType::F32) {
            return self.forward_composed(experts, logits);
        }
        let operator = Operator {
            layout: self.layout.clone(),
            weights: Mutex::default(),
        };
        experts
            .contiguous()?
            .apply_op2(&logits.contiguous()?, operator)
    }

    /// The same from candle's stock operators: the reference.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_composed(&self, experts: &Tensor, logits: &Tensor) -> Result<Tensor> {
        self.check_inputs(experts, logits)?;
        let weights = self.weights(logits)?;
        let mut outputs: Vec<Option<Tensor>> = vec![None; self.layout.outputs.len()];
        for ((gate, _), weights) in self.layout.gates.iter().zip(weights) {
            for (offset, expert) in gate.experts.iter().enumerate() {
                let weight = weights.narrow(1, offset, 1)?;
                let part = experts.get(*expert)?.broadcast_mul(&weight)?;
                let home = &mut outputs[gate.output];
                *home = Some(match home.take() {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
        let outputs: Vec<Tensor> = outputs.into_iter().flatten().collect();
        Tensor::stack(&outputs, 0)
    }

    fn check_inputs(&self, experts: &Tensor, logits: &Tensor) -> Result<()> {
        let (num_experts, num_rows, _) = experts.dims3()?;
        if num_experts != self.layout.num_experts
            || logits.dims() != [num_rows, self.layout.num_columns]
        {
            candle_core::bail!(
                "expected {} experts and [{num_rows}, {}] logits, found {:?} and {:?}",
                self.layout.num_experts,
                self.layout.num_columns,
                experts.dims(),
                logits.dims()
            );
        }
        if num_rows == 0 {
            candle_core::bail!("gates need at least 1 row");
        }
        Ok(())
    }

    /// Each gate's weights, [batch, experts seen], by candle's stock operators.
    ///
    /// # Errors
    /// Logits of another shape.
    pub fn weights(&self, logits: &Tensor) -> Result<Vec<Tensor>> {
        let of = |(gate, columns): &(MixGate, Range<usize>)| {
            let logits = logits.narrow(1, columns.start, columns.len())?;
            match gate.activation {
                GateActivation::Identity => Ok(logits),
                GateActivation::Sigmoid => composed::sigmoid(&logits),
                GateActivation::Softmax => composed::softmax(&logits),
            }
        };
        self.layout.gates.iter().map(of).collect()
    }
}

struct Operator {
    layout: Arc<MixLayout>,
    weights: Mutex<Vec<f32>>,
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        logits: &CpuStorage,
        logits_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let experts = argument(storage, layout)?;
        let (_, num_rows, width) = layout.shape().dims3()?;
        let mut weights = argument(logits, logits_layout)?.to_vec();
        let num_outputs = self.layout.outputs.len();
        let strips = strips(num_rows);
        let mut out = unspecified(num_outputs * num_rows * width);
        split_by_chunk(&mut out, width, &strips)
            .into_par_iter()
            .zip(split_by_chunk(
                &mut weights,
                self.layout.num_columns,
                &strips,
            ))
            .zip(&strips)
            .for_each(|((mut outputs, mut weights), strip)| {
                let weights = &mut *weights[0];
                activate(&self.layout.gates, self.layout.num_columns, weights);
                let matrices: Vec<&[f32]> = (0..self.layout.num_experts)
                    .map(|expert| rows_of(experts, expert, num_rows, strip, width))
                    .collect();
                for (out, summands) in outputs.iter_mut().zip(&self.layout.outputs) {
                    weighted_sums(
                        out,
                        width,
                        &matrices,
                        summands,
                        weights,
                        self.layout.num_columns,
                    );
                }
            });
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
        Ok((CpuStorage::F32(out), (num_outputs, num_rows, width).into()))
    }

    fn bwd(
        &self,
        experts: &Tensor,
        logits: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (num_experts, num_rows, width) = experts.dims3()?;
        let weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let gradient = gradient.contiguous()?;
        let (expert_values, gradients) = (values(experts)?, values(&gradient)?);
        let (expert_values, gradients): (&[f32], &[f32]) = (&expert_values, &gradients);
        let num_columns = self.layout.num_columns;
        let strips = strips(num_rows);
        let mut expert_gradient = unspecified(num_experts * num_rows * width);
        let mut logit_gradient = unspecified(num_rows * num_columns);
        split_by_chunk(&mut expert_gradient, width, &strips)
            .into_par_iter()
            .zip(split_by_chunk(&mut logit_gradient, num_columns, &strips))
            .zip(&strips)
            .for_each(|((mut experts, mut logits), strip)| {
                let weights = rows_of(&weights, 0, num_rows, strip, num_columns);
                let outputs: Vec<&[f32]> = (0..self.layout.outputs.len())
                    .map(|output| rows_of(gradients, output, num_rows, strip, width))
                    .collect();
                let matrices: Vec<&[f32]> = (0..num_experts)
                    .map(|expert| rows_of(expert_values, expert, num_rows, strip, width))
                    .collect();
                for (out, uses) in experts.iter_mut().zip(&self.layout.uses) {
                    weighted_sums(out, width, &outputs, uses, weights, num_columns);
                }
                let logits = &mut *logits[0];
                inner_products(logits, &self.layout.outputs, &matrices, &outputs, width);
                activation_gradients(&self.layout.gates, num_columns, logits, weights);
            });
        Ok((
            Some(Tensor::from_vec(
                expert_gradient,
                experts.shape(),
                experts.device(),
            )?),
            Some(Tensor::from_vec(
                logit_gradient,
                logits.shape(),
                logits.device(),
            )?),
        ))
    }
}

multiversioned! {
    /// Turns logits into weights, in place.
    fn activate(gates: &[(MixGate, Range<usize>)], num_columns: usize, weights: &mut [f32]) {
        for row in weights.chunks_exact_mut(num_columns) {
            for (gate, columns) in gates {
                let weights = &mut row[columns.clone()];
                match gate.activation {
                    GateActivation::Identity => {}
                    GateActivation::Softmax => softmax(weights),
                    GateActivation::Sigmoid => {
                        for weight in weights {
                            *weight = sigmoid(*weight);
                        }
                    }
                }
            }
        }
    }
}

multiversioned! {
    /// Turns gradients of weights into gradients of logits, in place.
    fn activation_gradients(
        gates: &[(MixGate, Range<usize>)],
        num_columns: usize,
        gradient: &mut [f32],
        weights: &[f32],
    ) {
        let rows = gradient.chunks_exact_mut(num_columns).zip(weights.chunks_exact(num_columns));
        for (gradient, weights) in rows {
            for (gate, columns) in gates {
                let (gradient, weights) = (&mut gradient[columns.clone()], &weights[columns.clone()]);
                match gate.activation {
                    GateActivation::Identity => {}
                    GateActivation::Softmax => softmax_gradient(gradient, weights),
                    GateActivation::Sigmoid => {
                        for (gradient, weight) in gradient.iter_mut().zip(weights) {
                            *gradient *= weight * (1.0 - weight);
                        }
                    }
                }
            }
        }
    }
}

/// Units summed at a time, in registers.
const STRIP: usize = 64;

multiversioned! {
    /// `out[r] = sum over summands (column, matrix) of weights[r, column] * matrices[matrix][r]`.
    fn weighted_sums(
        out: &mut [f32],
        width: usize,
        matrices: &[&[f32]],
        summands: &[(usize, usize)],
        weights: &[f32],
        num_columns: usize,
    ) {
        for (row, (out, weights)) in
            out.chunks_exact_mut(width).zip(weights.chunks_exact(num_columns)).enumerate()
        {
            let start = row * width;
            let (strips, rest) = out.as_chunks_mut::<STRIP>();
            for (index, strip) in strips.iter_mut().enumerate() {
                let mut sums = [0f32; STRIP];
                for (column, matrix) in summands {
                    let from = start + index * STRIP;
                    let values = &matrices[*matrix][from..from + STRIP];
                    let weight = weights[*column];
                    for lane in 0..STRIP {
                        sums[lane] = values[lane].mul_add(weight, sums[lane]);
                    }
                }
                *strip = sums;
            }
            let from = start + width - rest.len();
            rest.fill(0.0);
            for (column, matrix) in summands {
                let values = &matrices[*matrix][from..start + width];
                for (sum, value) in rest.iter_mut().zip(values) {
                    *sum = value.mul_add(weights[*column], *sum);
                }
            }
        }
    }
}

multiversioned! {
    /// `out[r, column] = experts[expert][r] . gradients[output][r]` for every summand of every output.
    fn inner_products(
        out: &mut [f32],
        outputs: &[Vec<(usize, usize)>],
        experts: &[&[f32]],
        gradients: &[&[f32]],
        width: usize,
    ) {
        let num_columns: usize = outputs.iter().map(Vec::len).sum();
        for (row, out) in out.chunks_exact_mut(num_columns).enumerate() {
            let range = row * width..(row + 1) * width;
            for (summands, gradient) in outputs.iter().zip(gradients) {
                let gradient = &gradient[range.clone()];
                for (column, expert) in summands {
                    out[*column] = dot(&experts[*expert][range.clone()], gradient);
                }
            }
        }
    }
}
