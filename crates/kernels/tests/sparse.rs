//! Sparse mixtures: the operator against its reference, and gathered rows against all rows, bit by bit.

mod common;

use candle_core::{DType, Result, Tensor, Var};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check, execute};
use homebench_kernels::Role;
use homebench_kernels::gate::{GateLogits, LinearGate};
use homebench_kernels::sparse::{Choice, RouteBy, Routing, SparseMixture, Weighting};
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};

const TOLERANCE: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 2e-5,
};
const TASKS: usize = 3;

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    experts: usize,
    always: usize,
    choice: Choice,
    weighting: Weighting,
    has_own_gates: bool,
    has_inactive: bool,
    batch_norm: bool,
    percent: usize,
}

impl Case {
    fn new(rows: usize, choice: Choice, weighting: Weighting) -> Self {
        Self {
            rows,
            experts: 6,
            always: 0,
            choice,
            weighting,
            has_own_gates: false,
            has_inactive: true,
            batch_norm: false,
            percent: 100,
        }
    }

    fn build(&self, builder: &mut Builder) -> Result<Subject> {
        let routing = Routing {
            num_tasks: TASKS,
            num_experts: self.experts,
            choice: self.choice,
            weighting: self.weighting,
        };
        let columns = TASKS * self.experts;
        let gates = self.has_own_gates.then(|| gates(builder, self.experts));
        let experts = self.experts(builder)?;
        let mixture =
            SparseMixture::new(experts, gates.transpose()?, routing)?.gathering(self.percent);
        let mut inputs = vec![builder.tensor("xs", &[self.rows, 9], 2.0)?];
        if !self.has_own_gates {
            let logits = builder.tensor("logits", &[self.rows, columns], 1.0)?;
            inputs.push(match self.weighting {
                // Some weights are exactly 0: those experts are not chosen.
                Weighting::Given => logits.relu()?,
                _ => logits,
            });
        }
        // No task of the first row, one of the second, and so on.
        let flag = |at: usize| f32::from(u8::from(!at.is_multiple_of(5) && at >= TASKS));
        let active: Vec<f32> = (0..self.rows * TASKS).map(flag).collect();
        let active = Tensor::from_vec(active, (self.rows, TASKS), &builder.device())?;
        let active = self.has_inactive.then_some(active.to_dtype(builder.dtype)?);
        Ok(Subject::new(inputs, move |inputs, path| {
            let by = inputs.get(1).map_or(RouteBy::Gates, RouteBy::Logits);
            match path {
                Path::Fused => mixture.forward_t(&inputs[0], by, active.as_ref(), true),
                Path::Composed => mixture.forward_composed(&inputs[0], by, active.as_ref(), true),
            }
        }))
    }

    fn experts(&self, builder: &mut Builder) -> Result<StackedMlp> {
        let counts = match self.always {
            0 => vec![self.experts],
            always => vec![self.experts, always],
        };
        let mut layers = Vec::new();
        let mut depth = 9;
        for (index, width) in [17, 8].into_iter().enumerate() {
            let path = |name: &str| format!("{index}.{name}");
            let reach = (3.0 / depth as f32).sqrt();
            let weight = builder.stack(
                &path("weight"),
                &counts,
                &[depth, width],
                |b, path, shape| b.parameter(path, shape, reach),
            )?;
            let shift = builder.stack(&path("shift"), &counts, &[width], Builder::bias)?;
            let mut positive = |name: &str, role| {
                builder.stack(&path(name), &counts, &[width], |b, path, shape| {
                    b.positive(path, shape, role)
                })
            };
            let (bias, norm) = match self.batch_norm {
                false => (Some(shift), Norm::None),
                true => (
                    None,
                    Norm::Batch {
                        scale: positive("scale", Role::Trained)?,
                        shift,
                        running_variance: positive("variance", Role::Statistic)?,
                        running_mean: builder.stack(
                            &path("mean"),
                            &counts,
                            &[width],
                            Builder::statistic,
                        )?,
                    },
                ),
            };
            layers.push(StackedLayer {
                weight,
                bias,
                norm,
                activation: Activation::Silu,
            });
            depth = width;
        }
        StackedMlp::new(vec![0; self.experts + self.always], layers)
    }
}

fn gates(builder: &mut Builder, experts: usize) -> Result<GateLogits> {
    let gate = |task: usize| {
        Ok(LinearGate {
            sources: vec![0],
            weight: Some(builder.parameter(&format!("gate.{task}.weight"), &[9, experts], 0.5)?),
            bias: Some(builder.bias(&format!("gate.{task}.bias"), &[experts])?),
            num_logits: experts,
        })
    };
    GateLogits::new((0..TASKS).map(gate).collect::<Result<_>>()?)
}

const CHOICES: [(Choice, Weighting); 6] = [
    (Choice::TopK(1), Weighting::Raw),
    (Choice::TopK(2), Weighting::Renormalised),
    (Choice::TopK(6), Weighting::Renormalised),
    (Choice::TopK(3), Weighting::Raw),
    (
        Choice::SharedThenPrivate {
            shared: 2,
            private: 1,
        },
        Weighting::Renormalised,
    ),
    (Choice::Nonzero, Weighting::Given),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in BATCHES {
        for (choice, weighting) in CHOICES {
            let case = Case::new(rows, choice, weighting);
            if weighting != Weighting::Given {
                cases.push(Case {
                    has_own_gates: true,
                    ..case.clone()
                });
            }
            cases.push(Case {
                always: 2,
                has_inactive: rows != 7,
                ..case
            });
        }
    }
    cases
}

#[test]
fn sparse_mixtures_equal_the_reference() {
    for case in cases() {
        check(
            &format!("{case:?}"),
            &|builder| case.build(builder),
            TOLERANCE,
            Run::FUSED,
        );
    }
}

#[test]
fn batch_norm_has_the_statistics_of_all_rows() {
    for (choice, weighting) in CHOICES {
        let case = Case {
            batch_norm: true,
            ..Case::new(257, choice, weighting)
        };
        check(
            &format!("{case:?}"),
            &|builder| case.build(builder),
            TOLERANCE,
            Run::FUSED,
        );
    }
}

#[test]
fn gathered_rows_give_the_bytes_of_all_rows() {
    for case in cases() {
        for passes in [1, 2] {
            let run = Run {
                passes,
                ..Run::FUSED
            };
            let of = |percent: usize| {
                let case = Case {
                    percent,
                    ..case.clone()
                };
                execute(&|builder: &mut Builder| case.build(builder), run).unwrap()
            };
            // -0 and 0 are the same number, and no sum here begins with -0.
            assert_eq!(of(100), of(0), "{case:?}");
        }
    }
}

#[test]
fn an_expert_that_nobody_chose_has_no_gradient() {
    let mut builder = Builder::new(DType::F32);
    let case = Case::new(64, Choice::TopK(2), Weighting::Renormalised);
    let subject = case.build(&mut builder).unwrap();
    let xs = Var::from_tensor(&subject.inputs[0]).unwrap();
    // Expert 3 comes last in every pair.
    let column = Tensor::arange(0u32, (TASKS * 6) as u32, xs.device()).unwrap();
    let far: Vec<f32> = column
        .to_vec1::<u32>()
        .unwrap()
        .iter()
        .map(|column| if column % 6 == 3 { -9.0 } else { 0.0 })
        .collect();
    let far = Tensor::new(far, xs.device()).unwrap();
    let logits = Var::from_tensor(&subject.inputs[1].broadcast_add(&far).unwrap()).unwrap();
    let inputs = [xs.as_tensor().clone(), logits.as_tensor().clone()];
    let out = (subject.forward)(&inputs, Path::Fused).unwrap();
    let gradients = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for parameter in &builder.parameters {
        let gradient = parameter.gradient().unwrap();
        let size = gradient.len() / 6;
        for (expert, gradient) in gradient.chunks(size).enumerate() {
            let is_zero = gradient.iter().all(|value| *value == 0.0);
            assert_eq!(is_zero, expert == 3, "{} {expert}", parameter.path());
        }
    }
    // Nor do the logits of a pair that takes no part: the first row's.
    let of_logits: Vec<Vec<f32>> = gradients.get(&logits).unwrap().to_vec2().unwrap();
    assert!(of_logits[0].iter().all(|value| *value == 0.0));
    assert!(of_logits[5].iter().any(|value| *value != 0.0));
}
