//! A mixture to test: two expert sets over two inputs, behind feature gates or not, and three gates.

use super::{Builder, Path, Subject};
use candle_core::Result;
use homebench_kernels::Role;
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
use homebench_kernels::mixture::Mixture;
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};

/// What the gates read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatesRead {
    Inputs,
    Gated,
    Given,
    /// No input at all: learned vectors.
    Nothing,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub rows: usize,
    pub dim: usize,
    pub widths: Vec<usize>,
    pub feature_gates: bool,
    pub mix: FeatureGateMix,
    pub gates_read: GatesRead,
    pub batch_norm: bool,
    pub train: bool,
}

/// Width of the gates' own input.
const GIVEN_DIM: usize = 5;

impl Case {
    pub fn new(rows: usize, dim: usize, widths: &[usize]) -> Self {
        Self {
            rows,
            dim,
            widths: widths.to_vec(),
            feature_gates: true,
            mix: FeatureGateMix::AfterSigmoid,
            gates_read: GatesRead::Inputs,
            batch_norm: true,
            train: true,
        }
    }

    /// Inputs: the mixture's, and the gates' own where they have one.
    pub fn build(&self, builder: &mut Builder) -> Result<Subject> {
        let mixture = Mixture::new(
            self.feature_gates
                .then(|| self.feature_gates(builder))
                .transpose()?,
            self.experts(builder)?,
            self.logits(builder)?,
            mix()?,
            self.gates_read == GatesRead::Gated,
        )?;
        let mut inputs = vec![builder.tensor("xs", &[2, self.rows, self.dim], 2.0)?];
        if self.gates_read == GatesRead::Given {
            inputs.push(builder.tensor("gate_xs", &[2, self.rows, GIVEN_DIM], 2.0)?);
        }
        let train = self.train;
        Ok(Subject::new(inputs, move |inputs, path| {
            let (xs, gate_xs) = (&inputs[0], inputs.get(1));
            match path {
                Path::Fused => mixture.forward_t(xs, gate_xs, train),
                Path::Composed => mixture.forward_composed(xs, gate_xs, train),
            }
        }))
    }

    /// One per set.
    fn feature_gates(&self, builder: &mut Builder) -> Result<FeatureGates> {
        let reach = (1.0 / self.dim as f32).sqrt().max(0.1);
        let mut stack = |path: &str, shape: &[usize], reach: f32| {
            builder.stack(path, &[1, 1], shape, |b, path, shape| {
                b.parameter(path, shape, reach)
            })
        };
        FeatureGates::new(
            vec![0, 1],
            stack("gate_weight", &[self.dim, 2], reach)?,
            stack("lora_a", &[2, self.dim, 1], reach)?,
            stack("lora_b", &[2, 1, self.dim], reach.max(0.5))?,
            self.mix,
        )
    }

    /// Two experts of the first set and one of the second.
    fn experts(&self, builder: &mut Builder) -> Result<StackedMlp> {
        let counts = [2, 1];
        let mut layers = Vec::new();
        let mut depth = self.dim;
        for (index, width) in self.widths.iter().enumerate() {
            let path = |name: &str| format!("{index}.{name}");
            let reach = (3.0 / depth as f32).sqrt().max(0.1);
            let weight = builder.stack(
                &path("weight"),
                &counts,
                &[depth, *width],
                |b, path, shape| b.parameter(path, shape, reach),
            )?;
            let shift = builder.stack(&path("shift"), &counts, &[*width], Builder::bias)?;
            let (bias, norm) = match self.batch_norm {
                false => (Some(shift), Norm::None),
                true => {
                    let mut positive = |name: &str, role| {
                        builder.stack(&path(name), &counts, &[*width], |b, path, shape| {
                            b.positive(path, shape, role)
                        })
                    };
                    let scale = positive("scale", Role::Trained)?;
                    let running_variance = positive("variance", Role::Statistic)?;
                    let running_mean =
                        builder.stack(&path("mean"), &counts, &[*width], Builder::statistic)?;
                    let norm = Norm::Batch {
                        scale,
                        shift,
                        running_mean,
                        running_variance,
                    };
                    (None, norm)
                }
            };
            layers.push(StackedLayer {
                weight,
                bias,
                norm,
                activation: Activation::Silu,
            });
            depth = *width;
        }
        StackedMlp::new(vec![0, 0, 1], layers)
    }

    fn logits(&self, builder: &mut Builder) -> Result<GateLogits> {
        let dim = match self.gates_read {
            GatesRead::Given => GIVEN_DIM,
            _ => self.dim,
        };
        let mut gates = Vec::new();
        for (index, (sources, num_logits)) in [(vec![0], 3), (vec![0, 1], 2), (vec![1], 1)]
            .into_iter()
            .enumerate()
        {
            let sources = match self.gates_read {
                GatesRead::Nothing => Vec::new(),
                _ => sources,
            };
            let shape = [sources.len() * dim, num_logits];
            let weight = (!sources.is_empty())
                .then(|| builder.parameter(&format!("gate.{index}.weight"), &shape, 0.3))
                .transpose()?;
            gates.push(LinearGate {
                sources,
                weight,
                bias: Some(builder.bias(&format!("gate.{index}.bias"), &[num_logits])?),
                num_logits,
            });
        }
        GateLogits::new(gates)
    }
}

/// A gate over all experts, one over two of them, and a self-gate that is added to the second.
fn mix() -> Result<Mix> {
    let gate = |experts: &[usize], activation, output| MixGate {
        experts: experts.to_vec(),
        activation,
        output,
        stopped: Vec::new(),
    };
    let gates = vec![
        gate(&[0, 1, 2], GateActivation::Softmax, 0),
        gate(&[2, 0], GateActivation::Softmax, 1),
        gate(&[2], GateActivation::Sigmoid, 1),
    ];
    Mix::new(gates, 3, 2)
}
