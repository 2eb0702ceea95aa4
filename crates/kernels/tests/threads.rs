//! The same bytes at any number of threads: outputs, all gradients, running statistics, and what optimisers leave.

mod common;

use candle_core::{DType, Device, Result, Tensor, Var};
use common::mixture::{self, GatesRead};
use common::{Builder, Path, Run, Subject, execute, num_experts};
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig, Columns, EmbeddingTables, SparseRule};
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
use homebench_kernels::{Parameter, Role};
use homebench_random::Philox;
use std::fmt::Debug;

/// Calls `compute` on pools of 1, 2 and 5 threads, several times each, and fails where results differ.
fn assert_same<T: PartialEq + Debug + Send>(case: &str, compute: impl Fn() -> Result<T> + Sync) {
    let mut expected: Option<T> = None;
    for num_threads in [1, 2, 5, 5, 5] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(num_threads)
            .build()
            .unwrap();
        let found = pool.install(&compute).unwrap();
        let first = expected.get_or_insert_with(|| compute().unwrap());
        assert!(
            found == *first,
            "{case}: {num_threads} threads give other bytes"
        );
    }
}

/// Row counts of one chunk, of several, and of several blocks in a chunk.
const ROWS: [usize; 4] = [7, 65, 1030, 2100];

fn operator(case: &str, build: impl Fn(&mut Builder) -> Result<Subject> + Sync) {
    let run = Run {
        passes: 2,
        ..Run::FUSED
    };
    assert_same(case, || execute(&build, run));
}

#[test]
fn stacked_networks() {
    for rows in ROWS {
        for batch_norm in [false, true] {
            operator(&format!("{rows} rows, batch norm {batch_norm}"), |b| {
                let counts = [2, 1];
                let mut layers = Vec::new();
                for (index, (depth, width)) in [(33, 65), (65, 1)].into_iter().enumerate() {
                    let path = |name: &str| format!("{index}.{name}");
                    let shift = b.stack(&path("shift"), &counts, &[width], Builder::bias)?;
                    let mut positive = |name: &str, role| {
                        b.stack(&path(name), &counts, &[width], |b, path, shape| {
                            b.positive(path, shape, role)
                        })
                    };
                    let (scale, running_variance) = (
                        positive("scale", Role::Trained)?,
                        positive("variance", Role::Statistic)?,
                    );
                    let running_mean =
                        b.stack(&path("mean"), &counts, &[width], Builder::statistic)?;
                    let weight = b.stack(
                        &path("weight"),
                        &counts,
                        &[depth, width],
                        |b, path, shape| b.parameter(path, shape, 0.3),
                    )?;
                    let (bias, norm) = match batch_norm {
                        false => (Some(shift), Norm::None),
                        true => {
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
                }
                assert_eq!(num_experts(&counts), 3);
                let mlp = StackedMlp::new(vec![0, 1, 0], layers)?;
                let xs = b.tensor("xs", &[2, rows, 33], 2.0)?;
                Ok(Subject::new(vec![xs], move |inputs, _| {
                    mlp.forward_t(&inputs[0], true)
                }))
            });
        }
    }
}

#[test]
fn mixtures() {
    for rows in ROWS {
        for gates_read in [GatesRead::Inputs, GatesRead::Gated, GatesRead::Given] {
            let case = mixture::Case {
                gates_read,
                ..mixture::Case::new(rows, 33, &[65, 17])
            };
            operator(&format!("{case:?}"), |b| case.build(b));
        }
    }
}

#[test]
fn gate_logits() {
    for rows in ROWS {
        operator(&format!("{rows} rows"), |b| {
            let gate = |b: &mut Builder, path: &str, sources: &[usize], num_logits| -> Result<_> {
                Ok(LinearGate {
                    weight: Some(b.parameter(path, &[sources.len() * 65, num_logits], 0.3)?),
                    bias: Some(b.bias(&format!("{path}.bias"), &[num_logits])?),
                    sources: sources.to_vec(),
                    num_logits,
                })
            };
            let gates = vec![
                gate(b, "a", &[0], 3)?,
                gate(b, "b", &[1, 0], 5)?,
                gate(b, "c", &[0], 1)?,
            ];
            let gates = GateLogits::new(gates)?;
            let xs = b.tensor("xs", &[2, rows, 65], 2.0)?;
            Ok(Subject::new(vec![xs], move |inputs, _| {
                // Off the grid of exact sums, whose order would not show.
                gates.forward(&(&inputs[0] * 0.3)?)
            }))
        });
    }
}

#[test]
fn mixes() {
    for rows in ROWS {
        operator(&format!("{rows} rows"), |b| {
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
            let inputs = vec![
                b.tensor("experts", &[3, rows, 65], 2.0)?,
                b.tensor("logits", &[rows, 6], 3.0)?,
            ];
            Ok(Subject::new(inputs, move |inputs, _| {
                mix.forward(&inputs[0], &inputs[1])
            }))
        });
    }
}

#[test]
fn feature_gates() {
    for rows in ROWS {
        operator(&format!("{rows} rows"), |b| {
            let mut stack = |path: &str, shape: &[usize]| {
                b.stack(path, &[2, 1], shape, |b, path, shape| {
                    b.parameter(path, shape, 0.3)
                })
            };
            let gates = FeatureGates::new(
                vec![1, 0, 1],
                stack("weight", &[65, 2])?,
                stack("lora_a", &[2, 65, 9])?,
                stack("lora_b", &[2, 9, 65])?,
                FeatureGateMix::AfterSigmoid,
            )?;
            let xs = b.tensor("xs", &[2, rows, 65], 2.0)?;
            Ok(Subject::new(vec![xs], move |inputs, _| {
                gates.forward_t(&inputs[0], true)
            }))
        });
    }
}

#[test]
fn losses() {
    let numbers = Some(vec![false, true, false]);
    for (rows, regression) in ROWS
        .into_iter()
        .flat_map(|rows| [(rows, None), (rows, numbers.clone())])
    {
        operator(&format!("{rows} rows, {regression:?}"), |b| {
            let labels = (0..rows * 3).map(|index| (index % 5 == 0) as u8 as f32);
            let targets = Targets {
                regression: regression.clone(),
                ..Targets::new(labels.collect())
            };
            let logits = b.tensor("logits", &[rows, 3], 5.0)?;
            assert_eq!(b.dtype, DType::F32);
            Ok(Subject::new(vec![logits], move |inputs, path| {
                assert_eq!(path, Path::Fused);
                multi_task_loss(&inputs[0], &targets)
            }))
        });
    }
}

fn random(name: &str, count: usize) -> Vec<f32> {
    let stream = Philox::new(7, "test", name);
    (0..count as u64)
        .map(|index| stream.normal(index))
        .collect()
}

fn parameter(path: &str, dims: (usize, usize)) -> Result<Parameter> {
    let var = Var::from_vec(random(path, dims.0 * dims.1), dims, &Device::Cpu)?;
    Ok(Parameter::new(path, var, Role::Trained))
}

fn values(parameters: &[Parameter]) -> Result<Vec<Vec<f32>>> {
    let values = |parameter: &Parameter| parameter.tensor().flatten_all()?.to_vec1();
    parameters.iter().map(values).collect()
}

#[test]
fn adam() {
    assert_same("adam", || {
        let parameters = [parameter("a", (300, 200))?, parameter("b", (1, 7))?];
        let mut adam = Adam::new(&parameters, AdamConfig::default());
        for _ in 0..3 {
            for parameter in &parameters {
                let slopes = random("slopes", parameter.num_elements());
                let slopes = Tensor::from_vec(slopes, parameter.tensor().shape(), &Device::Cpu)?;
                let loss = (parameter.tensor() * slopes)?.sum_all()?;
                parameter.collect(&loss.backward()?)?;
            }
            adam.step(0.01)?;
        }
        values(&parameters)
    });
}

#[test]
fn embeddings() {
    const COLUMNS: Columns = Columns {
        stride: 17,
        offset: 1,
    };
    let rules = [
        SparseRule::Adam(AdamConfig::default()),
        SparseRule::RowWiseAdagrad {
            epsilon: 1e-8,
            weight_decay: 0.0,
        },
    ];
    for rule in rules {
        assert_same(&format!("{rule:?}"), || {
            let parameters: Vec<Parameter> = ["a", "b", "c", "d"]
                .into_iter()
                .map(|path| parameter(path, (50, 4)))
                .collect::<Result<_>>()?;
            let mut tables = EmbeddingTables::new(parameters.clone(), rule)?;
            let stream = Philox::new(7, "test", "ids");
            let ids: Vec<u32> = (0..4 * 1030).map(|index| stream.below(index, 50)).collect();
            let mut batch = vec![0f32; 1030 * COLUMNS.stride];
            for step in 0..3 {
                let gradient = random(&format!("gradient {step}"), batch.len());
                tables.update(&ids, &gradient, COLUMNS, 0.01)?;
            }
            tables.gather(&ids, &mut batch, COLUMNS)?;
            let mut all = values(&parameters)?;
            all.push(batch);
            Ok(all)
        });
    }
}
