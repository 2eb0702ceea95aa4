//! Gates: logits and mixes against their composed references.

mod common;

use candle_core::{DType, Result, Tensor};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check, execute, flat, place};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};

/// A gate of the logits' tests: its inputs, number of logits, and whether it has a bias.
type Gate = (&'static [usize], usize, bool);

fn logits(
    builder: &mut Builder,
    gates: &[Gate],
    inputs: &[usize],
    input_dim: usize,
) -> Result<Subject> {
    let reach = (1.0 / input_dim as f32).sqrt().max(0.1);
    let mut linear = Vec::new();
    for (index, (sources, num_logits, with_bias)) in gates.iter().enumerate() {
        let shape = [sources.len() * input_dim, *num_logits];
        let weight = (!sources.is_empty())
            .then(|| builder.parameter(&format!("{index}.weight"), &shape, reach))
            .transpose()?;
        let bias = with_bias
            .then(|| builder.bias(&format!("{index}.bias"), &[*num_logits]))
            .transpose()?;
        linear.push(LinearGate {
            sources: sources.to_vec(),
            weight,
            bias,
            num_logits: *num_logits,
        });
    }
    let gates = GateLogits::new(linear)?;
    let xs = builder.tensor("xs", inputs, 2.0)?;
    Ok(Subject::new(vec![xs], move |inputs, path| match path {
        Path::Fused => gates.forward(&inputs[0]),
        Path::Composed => gates.forward_composed(&inputs[0]),
    }))
}

/// (number of inputs, or 0 for an input of rank 2; gates)
const LOGITS: [(usize, &[Gate]); 7] = [
    (0, &[(&[0], 1, true)]),
    (1, &[(&[0], 3, false)]),
    // Several gates of one input.
    (0, &[(&[0], 4, true), (&[0], 1, true), (&[0], 6, false)]),
    // Gates of other inputs in between, and an input that nobody reads.
    (
        4,
        &[
            (&[2], 3, true),
            (&[0], 5, true),
            (&[2], 2, true),
            (&[3], 1, false),
        ],
    ),
    // Concatenated inputs, in either order, and one input twice.
    (
        3,
        &[
            (&[1, 0], 3, true),
            (&[0, 2], 17, true),
            (&[2, 2], 2, true),
            (&[0], 1, true),
        ],
    ),
    // No input at all: a learned vector; alone, and among others.
    (0, &[(&[], 5, true)]),
    (2, &[(&[1], 3, true), (&[], 2, true), (&[1, 0], 4, false)]),
];

#[test]
fn logits_equal_the_reference() {
    for rows in BATCHES {
        for input_dim in [1, 3, 64, 130] {
            for (num_inputs, gates) in LOGITS {
                let shape = match num_inputs {
                    0 => vec![rows, input_dim],
                    _ => vec![num_inputs, rows, input_dim],
                };
                let build = |b: &mut Builder| logits(b, gates, &shape, input_dim);
                let case = format!("gates {gates:?} of {shape:?}");
                check(&case, &build, Tolerance::SINGLE, Run::FUSED);
            }
        }
    }
}

#[test]
fn logits_add_gradients_up_and_leave_out_an_input_that_needs_none() {
    let build = |b: &mut Builder| logits(b, LOGITS[4].1, &[3, 70, 9], 9);
    for input_gradients in [false, true] {
        let run = Run {
            input_gradients,
            passes: 2,
            ..Run::FUSED
        };
        let outcome = check("two passes", &build, Tolerance::SINGLE, run);
        assert_eq!(outcome.values.contains_key("input 0"), input_gradients);
    }
}

/// candle panics where an operator leaves out the gradient of an argument that was itself computed.
#[test]
fn an_input_that_was_computed_and_that_no_gate_reads_gets_a_gradient_of_zero() {
    let mut builder = Builder::new(DType::F32);
    let subject = logits(&mut builder, LOGITS[5].1, &[7, 3], 3).unwrap();
    let variable = candle_core::Var::from_tensor(&subject.inputs[0]).unwrap();
    let computed = (variable.as_tensor() * 2.0).unwrap();
    let result = (subject.forward)(&[computed], Path::Fused).unwrap();
    let gradients = result.sum_all().unwrap().backward().unwrap();
    let gradient = flat(gradients.get(&variable).unwrap()).unwrap();
    assert!(gradient.iter().all(|value| *value == 0.0));
}

#[test]
fn gates_that_do_not_fit_are_refused_on_both_paths() {
    let wrong: [(&[Gate], &[usize]); 5] = [
        (&[(&[], 2, false)], &[7, 3]),
        (&[(&[0], 2, true)], &[7, 4]),
        (&[(&[1], 2, true)], &[7, 3]),
        (&[(&[2, 0], 2, true)], &[2, 7, 3]),
        (&[(&[0], 2, true)], &[3]),
    ];
    for (gates, shape) in wrong {
        for run in [Run::FUSED, Run::COMPOSED] {
            let outcome = execute(&|b: &mut Builder| logits(b, gates, shape, 3), run);
            assert!(outcome.is_err(), "{gates:?} of {shape:?}");
        }
    }
    let mut builder = Builder::new(DType::F32);
    let mut gate = |weight: &[usize], bias: &[usize]| LinearGate {
        sources: vec![0],
        weight: Some(builder.parameter("weight", weight, 1.0).unwrap()),
        bias: Some(builder.parameter("bias", bias, 1.0).unwrap()),
        num_logits: 2,
    };
    for gate in [gate(&[3, 4], &[2]), gate(&[3, 2], &[3]), gate(&[2], &[2])] {
        assert!(GateLogits::new(vec![gate]).is_err());
    }
}

/// A mix: number of experts, number of outputs, and (experts, activation, output) of each gate.
#[derive(Debug, Clone)]
struct MixCase {
    num_experts: usize,
    num_outputs: usize,
    gates: Vec<(Vec<usize>, GateActivation, usize)>,
    stopped: Vec<usize>,
}

impl MixCase {
    fn new(
        num_experts: usize,
        num_outputs: usize,
        gates: &[(&[usize], GateActivation, usize)],
    ) -> Self {
        Self {
            num_experts,
            num_outputs,
            gates: gates.iter().map(|(e, a, o)| (e.to_vec(), *a, *o)).collect(),
            stopped: Vec::new(),
        }
    }

    /// The same where gates stop the gradients of these experts, wherever they see them.
    fn stopping(mut self, stopped: &[usize]) -> Self {
        self.stopped = stopped.to_vec();
        self
    }

    fn mix(&self) -> Result<Mix> {
        let gate = |(experts, activation, output): &(Vec<usize>, GateActivation, usize)| MixGate {
            experts: experts.clone(),
            activation: *activation,
            output: *output,
            stopped: self
                .stopped
                .iter()
                .copied()
                .filter(|e| experts.contains(e))
                .collect(),
        };
        Mix::new(
            self.gates.iter().map(gate).collect(),
            self.num_experts,
            self.num_outputs,
        )
    }

    fn num_columns(&self) -> usize {
        self.gates.iter().map(|(experts, ..)| experts.len()).sum()
    }

    fn build(&self, b: &mut Builder, rows: usize, width: usize, reach: f32) -> Result<Subject> {
        let mix = self.mix()?;
        let inputs = vec![
            b.tensor("experts", &[self.num_experts, rows, width], 2.0)?,
            b.tensor("logits", &[rows, self.num_columns()], reach)?,
        ];
        Ok(Subject::new(inputs, move |inputs, path| match path {
            Path::Fused => mix.forward(&inputs[0], &inputs[1]),
            Path::Composed => mix.forward_composed(&inputs[0], &inputs[1]),
        }))
    }
}

fn mixes() -> Vec<MixCase> {
    use GateActivation::{Identity, Sigmoid, Softmax};
    vec![
        MixCase::new(1, 1, &[(&[0], Softmax, 0)]),
        MixCase::new(1, 1, &[(&[0], Sigmoid, 0)]),
        MixCase::new(2, 1, &[(&[1, 0], Identity, 0)]),
        MixCase::new(
            8,
            2,
            &[
                (&[0, 1, 2, 3, 4, 5, 6, 7], Softmax, 1),
                (&[7, 2], Softmax, 0),
            ],
        ),
        // Several gates to one output, of all three kinds, and one expert seen twice by one gate.
        MixCase::new(
            5,
            3,
            &[
                (&[4, 0, 2], Softmax, 2),
                (&[4], Sigmoid, 2),
                (&[0, 2], Identity, 0),
                (&[2, 4, 2], Softmax, 0),
                (&[0], Softmax, 1),
            ],
        ),
        // 17 experts in the last gate: more than one vector of logits. Experts 1 and 3 above are seen by no gate.
        MixCase::new(
            17,
            2,
            &[
                (&[3], Sigmoid, 0),
                (
                    &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
                    Softmax,
                    1,
                ),
            ],
        ),
        // No gradient reaches expert 2 by any of its three gates; those of the logits are as ever.
        MixCase::new(
            5,
            3,
            &[
                (&[4, 0, 2], Softmax, 2),
                (&[2], Sigmoid, 2),
                (&[0, 2], Identity, 0),
                (&[0, 1, 3], Softmax, 1),
            ],
        )
        .stopping(&[2]),
    ]
}

#[test]
fn mixes_equal_the_reference() {
    for rows in BATCHES {
        for width in [1, 3, 64, 65, 130] {
            for case in mixes() {
                let name = format!("{case:?}, {rows} rows of {width}");
                check(
                    &name,
                    &|b| case.build(b, rows, width, 3.0),
                    Tolerance::SINGLE,
                    Run::FUSED,
                );
            }
        }
    }
}

#[test]
fn an_expert_that_no_gate_sees_gets_a_gradient_of_exactly_zero() {
    let case = &mixes()[4];
    let (rows, width) = (70, 65);
    let outcome = execute(&|b| case.build(b, rows, width, 3.0), Run::FUSED).unwrap();
    let experts = outcome.values["input 0"].chunks(rows * width);
    for (expert, gradient) in experts.enumerate() {
        let seen = case
            .gates
            .iter()
            .any(|(experts, ..)| experts.contains(&expert));
        assert_eq!(gradient.iter().any(|g| *g != 0.0), seen, "expert {expert}");
    }
}

#[test]
fn logits_of_a_hundred_stay_finite_and_equal_the_reference() {
    for case in mixes() {
        let run = |run| execute(&|b| case.build(b, 70, 3, 100.0), run).unwrap();
        let (fused, expected) = (run(Run::FUSED), run(Run::REFERENCE));
        assert!(
            fused
                .values
                .values()
                .flatten()
                .all(|value| value.is_finite())
        );
        common::assert_close(
            &format!("{case:?}"),
            &fused,
            &expected,
            Tolerance {
                relative: 4e-6,
                absolute: 1e-5,
            },
        );
    }
}

/// The mix of experts that are all 1 is the sum of the weights.
#[test]
fn the_weights_of_a_softmax_gate_sum_to_one() {
    for case in mixes() {
        let softmax = |(_, activation, output): &(_, GateActivation, usize)| {
            let others = case
                .gates
                .iter()
                .filter(|(.., other)| other == output)
                .count();
            *activation == GateActivation::Softmax && others == 1
        };
        let mix = case.mix().unwrap();
        let builder = Builder::new(DType::F32);
        let shape = [case.num_experts, 257, 3];
        let ones = Tensor::ones(&shape, DType::F32, &place::device()).unwrap();
        let logits = builder
            .tensor("logits", &[257, case.num_columns()], 30.0)
            .unwrap();
        let sums = mix.forward(&ones, &logits).unwrap();
        for (index, gate) in case
            .gates
            .iter()
            .enumerate()
            .filter(|(_, gate)| softmax(gate))
        {
            let of_output = flat(&sums.get(gate.2).unwrap()).unwrap();
            assert!(
                of_output.iter().all(|sum| (sum - 1.0).abs() < 1e-6),
                "{case:?}"
            );
            let weights = mix.weights(&logits).unwrap()[index].sum(1).unwrap();
            assert!(
                flat(&weights)
                    .unwrap()
                    .iter()
                    .all(|sum| (sum - 1.0).abs() < 1e-6)
            );
        }
    }
}

#[test]
fn permuting_experts_permutes_their_gradients_and_nothing_else() {
    let case = mixes().swap_remove(4);
    let order = [3usize, 0, 4, 1, 2];
    let mut permuted = case.clone();
    for (experts, ..) in &mut permuted.gates {
        for expert in experts {
            *expert = order[*expert];
        }
    }
    let (rows, width) = (70, 65);
    let shuffled = |b: &mut Builder| {
        let mut subject = permuted.build(b, rows, width, 3.0)?;
        let mut moved = vec![None; order.len()];
        for (from, to) in order.iter().enumerate() {
            moved[*to] = Some(subject.inputs[0].get(from)?);
        }
        let moved: Vec<Tensor> = moved.into_iter().flatten().collect();
        subject.inputs[0] = Tensor::stack(&moved, 0)?;
        Ok(subject)
    };
    let plain = execute(&|b| case.build(b, rows, width, 3.0), Run::FUSED).unwrap();
    let moved = execute(&shuffled, Run::FUSED).unwrap();
    assert_eq!(plain.values["output"], moved.values["output"]);
    assert_eq!(plain.values["input 1"], moved.values["input 1"]);
    let size = rows * width;
    let of = |values: &[f64], expert: usize| values[expert * size..(expert + 1) * size].to_vec();
    for (from, to) in order.iter().enumerate() {
        assert_eq!(
            of(&plain.values["input 0"], from),
            of(&moved.values["input 0"], *to)
        );
    }
}

#[test]
fn mixes_that_do_not_fit_are_refused() {
    use GateActivation::Softmax;
    for wrong in [
        MixCase::new(2, 1, &[(&[2], Softmax, 0)]),
        MixCase::new(2, 1, &[(&[], Softmax, 0)]),
        MixCase::new(2, 1, &[(&[0], Softmax, 1)]),
        MixCase::new(2, 2, &[(&[0, 1], Softmax, 0)]),
    ] {
        assert!(wrong.mix().is_err(), "{wrong:?}");
    }
    let mix = MixCase::new(2, 1, &[(&[0, 1], Softmax, 0)]).mix().unwrap();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &place::device()).unwrap();
    for (experts, logits) in [
        (zeros(&[3, 7, 4]), zeros(&[7, 2])),
        (zeros(&[2, 7, 4]), zeros(&[6, 2])),
        (zeros(&[2, 7, 4]), zeros(&[7, 3])),
        (zeros(&[7, 4]), zeros(&[7, 2])),
    ] {
        assert!(mix.forward(&experts, &logits).is_err());
        assert!(mix.forward_composed(&experts, &logits).is_err());
    }
}
