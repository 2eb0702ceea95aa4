//! Gate weights and the sums of experts that they make.

use super::passes::MixLayout;
use crate::composed;
use crate::cuda::{self, Machine};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::parameter::values;
use candle_core::{DType, Result, Tensor};
use std::ops::Range;
use std::sync::Arc;

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
    /// Those of the experts that no gradient reaches through this gate: it reads them as they are.
    pub stopped: Vec<usize>,
}

/// All gates of a layer; their logits follow one another in the order of the gates.
#[derive(Debug, Clone)]
pub struct Mix {
    layout: Arc<MixLayout>,
}

impl Mix {
    /// Gates over `num_experts` experts with `num_outputs` outputs.
    ///
    /// # Errors
    /// A gate that sees no expert or one that isn't there, or stops one that it doesn't see; an output that no gate feeds.
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
                if !gate.stopped.contains(expert) {
                    layout.uses[*expert].push((start + offset, gate.output));
                }
            }
            if let Some(expert) = gate.stopped.iter().find(|e| !gate.experts.contains(e)) {
                candle_core::bail!(
                    "a gate stops the gradient of expert {expert}, which it doesn't see"
                );
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

    /// The gates with their columns.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (&MixGate, &Range<usize>)> {
        let gates = self.layout.gates.iter();
        gates.map(|(gate, columns)| (gate, columns))
    }

    /// Whether a gate reads an expert that it sends no gradient to. The device's kernels know no such gate.
    pub(crate) fn stops_gradients(&self) -> bool {
        let mut gates = self.layout.gates.iter();
        gates.any(|(gate, _)| !gate.stopped.is_empty())
    }

    /// Number of experts that gates may see.
    pub(crate) fn num_experts(&self) -> usize {
        self.layout.num_experts
    }

    /// Number of outputs.
    pub(crate) fn num_outputs(&self) -> usize {
        self.layout.outputs.len()
    }

    /// Turns logits into weights, in place, and gives the outputs [outputs, rows, width].
    pub(crate) fn sums(
        &self,
        experts: &[f32],
        logits: &mut [f32],
        num_rows: usize,
        width: usize,
    ) -> Vec<f32> {
        self.layout.sums(experts, logits, num_rows, width)
    }

    /// The gradients of the experts and of the logits, from the weights that [`Self::sums`] left.
    pub(crate) fn gradients(
        &self,
        experts: &[f32],
        weights: &[f32],
        gradient: &[f32],
        num_rows: usize,
        width: usize,
    ) -> [Vec<f32>; 2] {
        self.layout
            .gradients(experts, weights, gradient, num_rows, width)
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
        if let Some(machine) = Machine::of(experts).filter(|_| !self.stops_gradients()) {
            return cuda::mix(machine, self, experts, logits);
        }
        if !(experts.device().is_cpu() && experts.dtype() == DType::F32) {
            return self.forward_composed(experts, logits);
        }
        let operator = Operator {
            layout: self.layout.clone(),
        };
        apply_2(operator, experts, logits)
    }

    /// The same from candle's stock operators: the reference.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_composed(&self, experts: &Tensor, logits: &Tensor) -> Result<Tensor> {
        self.check_inputs(experts, logits)?;
        let weights = self.weights_composed(logits)?;
        let mut outputs: Vec<Option<Tensor>> = vec![None; self.layout.outputs.len()];
        for ((gate, _), weights) in self.layout.gates.iter().zip(weights) {
            for (offset, expert) in gate.experts.iter().enumerate() {
                let weight = weights.narrow(1, offset, 1)?;
                let expert = match gate.stopped.contains(expert) {
                    true => experts.get(*expert)?.detach(),
                    false => experts.get(*expert)?,
                };
                let weight = composed::spread(&weight, expert.dim(1)?)?;
                let part = (expert * weight)?;
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

    /// Each gate's weights, [batch, experts seen], outside candle's graph.
    ///
    /// # Errors
    /// Logits of another shape.
    pub fn weights(&self, logits: &Tensor) -> Result<Vec<Tensor>> {
        if !(logits.device().is_cpu() && logits.dtype() == DType::F32) {
            return self.weights_composed(&logits.detach());
        }
        let (num_rows, num_columns) = logits.dims2()?;
        if num_columns != self.layout.num_columns {
            candle_core::bail!(
                "expected {} logits, found {num_columns}",
                self.layout.num_columns
            );
        }
        let mut weights = values(&logits.contiguous()?)?.to_vec();
        self.layout.weights(&mut weights, num_rows);
        let of = |(gate, columns): &(MixGate, Range<usize>)| {
            let rows = weights.chunks_exact(num_columns);
            let own: Vec<f32> = rows
                .flat_map(|row| &row[columns.clone()])
                .copied()
                .collect();
            Tensor::from_vec(own, (num_rows, gate.experts.len()), logits.device())
        };
        self.layout.gates.iter().map(of).collect()
    }

    /// The same from candle's stock operators.
    fn weights_composed(&self, logits: &Tensor) -> Result<Vec<Tensor>> {
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
}

impl Fused<2> for Operator {
    const NAME: &'static str = "mix";
    /// The weights.
    type Kept = Vec<f32>;

    fn forward(&self, [experts, logits]: [Argument<'_>; 2]) -> Result<Output<Vec<f32>>> {
        let [_, num_rows, width] = experts.sizes()?;
        let mut weights = logits.values.to_vec();
        let out = (self.layout).sums(experts.values, &mut weights, num_rows, width);
        let shape = (self.layout.outputs.len(), num_rows, width);
        Ok(Output::new(out, shape, weights))
    }

    fn backward(
        &self,
        [experts, _]: [Argument<'_>; 2],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<2>> {
        let [_, num_rows, width] = experts.sizes()?;
        let (weights, gradient) = (&arrived.kept, arrived.gradient);
        let gradients = self
            .layout
            .gradients(experts.values, weights, gradient, num_rows, width);
        Ok(gradients.map(Some))
    }
}

/// The two passes on slices, without a graph around them: for benches.
#[derive(Debug)]
pub struct MixPasses<'a> {
    layout: &'a MixLayout,
    num_rows: usize,
    width: usize,
}

impl Mix {
    /// The passes over `num_rows` rows of experts of `width` units.
    pub fn passes(&self, num_rows: usize, width: usize) -> MixPasses<'_> {
        MixPasses {
            layout: &self.layout,
            num_rows,
            width,
        }
    }
}

impl MixPasses<'_> {
    /// Turns logits [rows, logits of all gates] into weights, in place, and gives the outputs [outputs, rows, width].
    ///
    /// # Panics
    /// The slices have other sizes.
    pub fn forward(&self, experts: &[f32], logits: &mut [f32]) -> Vec<f32> {
        self.layout.sums(experts, logits, self.num_rows, self.width)
    }

    /// The gradients of the experts and of the logits, from the weights that [`Self::forward`] left and the outputs' gradient.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn backward(&self, experts: &[f32], weights: &[f32], gradient: &[f32]) -> [Vec<f32>; 2] {
        self.layout
            .gradients(experts, weights, gradient, self.num_rows, self.width)
    }
}
