//! Feature gates: the fused operator against its composed reference.

mod common;

use candle_core::{DType, Result, Tensor};
use common::{
    BATCHES, Builder, Path, Run, Subject, Tolerance, UNSTACKED, check, execute, num_experts,
};
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    dim: usize,
    rank: usize,
    num_lora: usize,
    counts: Vec<usize>,
    /// Number of inputs, or none for an input of rank 2.
    num_inputs: Option<usize>,
    sources: Vec<usize>,
    mix: FeatureGateMix,
    train: bool,
    /// Largest weight.
    reach: f32,
}

impl Case {
    fn new(rows: usize, dim: usize, rank: usize, num_lora: usize) -> Self {
        Self {
            rows,
            dim,
            rank,
            num_lora,
            counts: vec![2],
            num_inputs: Some(2),
            sources: vec![1, 0],
            mix: FeatureGateMix::AfterSigmoid,
            train: true,
            reach: (1.0 / dim as f32).sqrt().max(0.1),
        }
    }

    fn build(&self, builder: &mut Builder) -> Result<Subject> {
        let Self {
            dim,
            rank,
            num_lora,
            counts,
            ..
        } = self;
        let mut stack = |path: &str, shape: &[usize], reach: f32| {
            builder.stack(path, counts, shape, |b, path, shape| {
                b.parameter(path, shape, reach)
            })
        };
        let gates = FeatureGates::new(
            self.sources.clone(),
            stack("weight", &[*dim, *num_lora], self.reach)?,
            stack("lora_a", &[*num_lora, *dim, *rank], self.reach)?,
            stack("lora_b", &[*num_lora, *rank, *dim], self.reach.max(0.5))?,
            self.mix,
        )?;
        let shape = match self.num_inputs {
            Some(inputs) => vec![inputs, self.rows, *dim],
            None => vec![self.rows, *dim],
        };
        let inputs = vec![builder.tensor("xs", &shape, 2.0)?];
        let train = self.train;
        Ok(Subject::new(inputs, move |inputs, path| match path {
            Path::Fused => gates.forward_t(&inputs[0], train),
            Path::Composed => gates.forward_composed(&inputs[0]),
        }))
    }

    fn check(&self, run: Run) -> common::Outcome {
        check(
            &format!("{self:?}"),
            &|b| self.build(b),
            Tolerance::SINGLE,
            run,
        )
    }
}

#[test]
fn gates_equal_the_reference() {
    for rows in BATCHES {
        for (dim, rank) in [(1, 1), (3, 2), (64, 16), (65, 1), (130, 17)] {
            for num_lora in [1, 2, 3] {
                Case::new(rows, dim, rank, num_lora).check(Run::FUSED);
            }
        }
    }
}

#[test]
fn stacks_of_several_parameters_and_shared_or_unread_inputs_equal_the_reference() {
    let layouts: [(&[usize], Option<usize>, &[usize]); 5] = [
        (&[UNSTACKED], None, &[0]),
        (&[3], Some(1), &[0, 0, 0]),
        (&[UNSTACKED, 2], None, &[0, 0, 0]),
        (&[2, UNSTACKED, 1], Some(3), &[2, 0, 2, 0]),
        (&[1, 4], Some(5), &[4, 3, 1, 3, 4]),
    ];
    for (counts, num_inputs, sources) in layouts {
        assert_eq!(num_experts(counts), sources.len());
        for rows in [1, 7, 300] {
            for mix in [FeatureGateMix::AfterSigmoid, FeatureGateMix::BeforeSigmoid] {
                let case = Case {
                    counts: counts.to_vec(),
                    num_inputs,
                    sources: sources.to_vec(),
                    mix,
                    ..Case::new(rows, 33, 5, 2)
                };
                let outcome = case.check(Run::FUSED);
                let inputs = outcome.values["input 0"].chunks(rows * 33);
                for (input, gradient) in inputs.enumerate() {
                    let read = sources.contains(&input);
                    assert_eq!(gradient.iter().any(|g| *g != 0.0), read, "{case:?}");
                }
            }
        }
    }
}

#[test]
fn gradients_of_two_passes_add_up_and_an_input_that_needs_none_gets_none() {
    for input_gradients in [false, true] {
        let run = Run {
            input_gradients,
            passes: 2,
            ..Run::FUSED
        };
        let outcome = Case::new(70, 9, 4, 2).check(run);
        assert_eq!(outcome.values.contains_key("input 0"), input_gradients);
    }
}

#[test]
fn evaluation_equals_the_reference_and_has_no_backward_pass() {
    let case = Case {
        train: false,
        ..Case::new(70, 9, 4, 2)
    };
    case.check(Run {
        backward: false,
        ..Run::FUSED
    });
    let error = execute(&|b| case.build(b), Run::FUSED).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("needs a forward pass in training"),
        "{error}"
    );
}

#[test]
fn gates_whose_second_factor_is_zero_pass_their_input_on_unchanged() {
    let mut builder = Builder::new(DType::F32);
    let subject = Case::new(70, 65, 4, 3).build(&mut builder).unwrap();
    for parameter in builder
        .parameters
        .iter()
        .filter(|p| p.path().starts_with("lora_b"))
    {
        parameter.update(|values| values.fill(0.0)).unwrap();
    }
    let gated = (subject.forward)(&subject.inputs, Path::Fused).unwrap();
    let swapped = Tensor::stack(
        &[
            subject.inputs[0].get(1).unwrap(),
            subject.inputs[0].get(0).unwrap(),
        ],
        0,
    );
    let distance = (gated - swapped.unwrap()).unwrap().abs().unwrap();
    let largest = distance.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest <= 5e-7, "{largest}");
}

#[test]
fn saturated_gates_stay_finite() {
    let case = Case {
        reach: 20.0,
        ..Case::new(70, 33, 4, 2)
    };
    let outcome = execute(&|b| case.build(b), Run::FUSED).unwrap();
    assert!(
        outcome
            .values
            .values()
            .flatten()
            .all(|value| value.is_finite())
    );
}

#[test]
fn gates_that_do_not_fit_are_refused() {
    let right = Case::new(7, 3, 2, 2);
    let wrong = [
        Case {
            sources: vec![0],
            ..right.clone()
        },
        Case {
            sources: vec![0, 2],
            ..right.clone()
        },
        Case {
            num_inputs: None,
            ..right.clone()
        },
        Case { rows: 0, ..right },
    ];
    for case in wrong {
        for run in [Run::FUSED, Run::COMPOSED] {
            assert!(execute(&|b| case.build(b), run).is_err(), "{case:?}");
        }
    }
}
