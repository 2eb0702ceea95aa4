//! The composed references' gradients against finite differences in f64: what every fused gradient is held against.

mod common;

use candle_core::{DType, Device, Result, Tensor, Var};
use common::mixture::{Case, GatesRead};
use common::{Builder, Path, UNSTACKED, flat};
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
use homebench_kernels::loss::{Targets, multi_task_loss_composed};
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
use homebench_kernels::{Role, Stack};

const STEP: f64 = 1e-6;

/// Compares candle's gradients of `forward` with central differences, for every element of `inputs` and of the trained
/// parameters, and sees to it that each has a gradient at all.
fn check(
    case: &str,
    builder: &Builder,
    inputs: &[Tensor],
    forward: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let inputs: Vec<Var> = inputs.iter().map(Var::from_tensor).collect::<Result<_>>()?;
    let tensors: Vec<Tensor> = inputs.iter().map(|var| var.as_tensor().clone()).collect();
    let trained = builder
        .parameters
        .iter()
        .filter(|p| p.role() == Role::Trained);
    let mut vars: Vec<(&str, &Var)> = trained.map(|p| (p.path(), p.var())).collect();
    vars.extend(inputs.iter().map(|var| ("input", var)));
    let loss = || -> Result<Tensor> {
        let output = forward(&tensors)?;
        let upstream = builder.tensor("upstream", output.dims(), 1.0)?;
        (output * upstream)?.sum_all()
    };
    let gradients = loss()?.backward()?;
    for (name, var) in vars {
        let Some(gradient) = gradients.get(var) else {
            panic!("{case}: {name} has no gradient");
        };
        let gradient = flat(gradient)?;
        let start = flat(var)?;
        for (index, found) in gradient.iter().enumerate() {
            let at = |distance: f64| -> Result<f64> {
                let mut moved = start.clone();
                moved[index] += distance;
                var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu)?)?;
                loss()?.to_scalar::<f64>()
            };
            let expected = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            assert!(
                (found - expected).abs() <= 1e-7 * (1.0 + expected.abs()),
                "{case}: {name}[{index}] is {found}, expected {expected}"
            );
        }
        var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu)?)?;
    }
    Ok(())
}

fn builder() -> Builder {
    Builder::new(DType::F64)
}

const COUNTS: [usize; 2] = [2, UNSTACKED];

fn trained(b: &mut Builder, path: &str, shape: &[usize]) -> Result<Stack> {
    b.stack(path, &COUNTS, shape, |b, path, shape| {
        b.parameter(path, shape, 1.0)
    })
}

fn norm(b: &mut Builder, name: &str, prefix: &str, width: usize) -> Result<Norm> {
    let path = |part: &str| format!("{prefix}.{part}");
    let positive = |b: &mut Builder, part: &str, role| {
        b.stack(&path(part), &COUNTS, &[width], |b, path, shape| {
            b.positive(path, shape, role)
        })
    };
    Ok(match name {
        "batch" => Norm::Batch {
            scale: positive(b, "scale", Role::Trained)?,
            shift: trained(b, &path("shift"), &[width])?,
            running_mean: b.stack(&path("mean"), &COUNTS, &[width], Builder::statistic)?,
            running_variance: positive(b, "variance", Role::Statistic)?,
        },
        "layer" => Norm::Layer {
            scale: positive(b, "scale", Role::Trained)?,
            shift: trained(b, &path("shift"), &[width])?,
        },
        _ => Norm::None,
    })
}

#[test]
fn stacked_networks() -> Result<()> {
    for name in ["none", "batch", "layer"] {
        for activation in [Activation::Identity, Activation::Relu, Activation::Silu] {
            for train in [true, false] {
                let mut b = builder();
                let mut layers = Vec::new();
                for (index, (depth, width)) in [(3, 4), (4, 2)].into_iter().enumerate() {
                    let bias = (name != "batch").then(|| {
                        b.stack(&format!("{index}.bias"), &COUNTS, &[width], Builder::bias)
                    });
                    layers.push(StackedLayer {
                        weight: trained(&mut b, &format!("{index}.weight"), &[depth, width])?,
                        bias: bias.transpose()?,
                        norm: norm(&mut b, name, &index.to_string(), width)?,
                        activation,
                    });
                }
                let mlp = StackedMlp::new(vec![1, 0, 1], layers)?;
                let xs = b.tensor("xs", &[2, 6, 3], 2.0)?;
                let case = format!("{name} {activation:?} train {train}");
                check(&case, &b, &[xs], |inputs| {
                    mlp.forward_composed(&inputs[0], train)
                })?;
            }
        }
    }
    Ok(())
}

#[test]
fn gate_logits() -> Result<()> {
    let mut b = builder();
    let mut gates = Vec::new();
    for (index, (sources, num_logits)) in [(vec![1], 2), (vec![], 3), (vec![0, 1], 2)]
        .into_iter()
        .enumerate()
    {
        let shape = [sources.len() * 3, num_logits];
        gates.push(LinearGate {
            weight: match sources.is_empty() {
                true => None,
                false => Some(b.parameter(&format!("{index}.weight"), &shape, 1.0)?),
            },
            bias: Some(b.bias(&format!("{index}.bias"), &[num_logits])?),
            sources,
            num_logits,
        });
    }
    let gates = GateLogits::new(gates)?;
    let xs = b.tensor("xs", &[2, 4, 3], 2.0)?;
    check("gate logits", &b, &[xs], |inputs| {
        gates.forward_composed(&inputs[0])
    })
}

#[test]
fn mixes() -> Result<()> {
    let gate = |experts: &[usize], activation, output| MixGate {
        experts: experts.to_vec(),
        activation,
        output,
        stopped: Vec::new(),
    };
    let mix = Mix::new(
        vec![
            gate(&[2, 0, 1], GateActivation::Softmax, 1),
            gate(&[0], GateActivation::Sigmoid, 1),
            gate(&[1, 2], GateActivation::Identity, 0),
        ],
        3,
        2,
    )?;
    let b = builder();
    let inputs = [
        b.tensor("experts", &[3, 4, 2], 2.0)?,
        b.tensor("logits", &[4, 6], 3.0)?,
    ];
    check("mix", &b, &inputs, |inputs| {
        mix.forward_composed(&inputs[0], &inputs[1])
    })
}

#[test]
fn feature_gates() -> Result<()> {
    for mix in [FeatureGateMix::AfterSigmoid, FeatureGateMix::BeforeSigmoid] {
        for num_lora in [1, 2, 3] {
            let mut b = builder();
            let gates = FeatureGates::new(
                vec![1, 0, 1],
                trained(&mut b, "weight", &[3, num_lora])?,
                trained(&mut b, "lora_a", &[num_lora, 3, 2])?,
                trained(&mut b, "lora_b", &[num_lora, 2, 3])?,
                mix,
            )?;
            let xs = b.tensor("xs", &[2, 4, 3], 2.0)?;
            let case = format!("{mix:?}, {num_lora} LoRAs");
            check(&case, &b, &[xs], |inputs| {
                gates.forward_composed(&inputs[0])
            })?;
        }
    }
    Ok(())
}

#[test]
fn loss() -> Result<()> {
    let classes = Targets {
        label_weights: Some(vec![1.0, 0.5, 0.0, 1.0, 0.25, 1.0]),
        task_weights: Some(vec![2.0, 0.5]),
        positive_weights: Some(vec![0.5, 3.0]),
        ..Targets::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    };
    let with_numbers = Targets {
        labels: vec![1.0, -2.5, 0.0, 0.75, 1.0, 4.0],
        regression: Some(vec![false, true]),
        ..classes.clone()
    };
    let b = builder();
    let logits = b.tensor("logits", &[3, 2], 4.0)?;
    // Neither kink of the formula may show.
    let zero = Tensor::zeros((3, 2), DType::F64, &Device::Cpu)?;
    for targets in [&classes, &with_numbers] {
        for logits in [&logits, &zero] {
            check("loss", &b, std::slice::from_ref(logits), |inputs| {
                multi_task_loss_composed(&inputs[0], targets)
            })?;
        }
    }
    Ok(())
}

#[test]
fn mixtures() {
    for gates_read in [GatesRead::Inputs, GatesRead::Gated, GatesRead::Given] {
        let case = Case {
            gates_read,
            ..Case::new(6, 4, &[3, 2])
        };
        let mut builder = Builder::new(DType::F64);
        let subject = case.build(&mut builder).unwrap();
        let forward = |inputs: &[Tensor]| (subject.forward)(inputs, Path::Composed);
        check(&format!("{case:?}"), &builder, &subject.inputs, forward).unwrap();
    }
}
