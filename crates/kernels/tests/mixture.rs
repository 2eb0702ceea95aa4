//! Mixtures: the one operator of a level against its composed reference and against its own parts.

mod common;

use candle_core::{DType, Tensor, Var};
use common::mixture::{Case, GatesRead};
use common::{BATCHES, Builder, Path, Run, Tolerance, check, execute, flat, place};
use homebench_kernels::feature_gate::FeatureGateMix;

/// Batch norm divides by spreads of few rows.
const TOLERANCE: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 2e-5,
};

fn reads() -> [GatesRead; 4] {
    [
        GatesRead::Inputs,
        GatesRead::Gated,
        GatesRead::Given,
        GatesRead::Nothing,
    ]
}

fn run(case: &Case, run: Run) {
    check(
        &format!("{case:?}, {run:?}"),
        &|b: &mut Builder| case.build(b),
        TOLERANCE,
        run,
    );
}

#[test]
fn mixtures_equal_the_reference() {
    for rows in BATCHES {
        for (dim, widths) in [(1, vec![1]), (33, vec![17, 65])] {
            for gates_read in reads() {
                for feature_gates in [true, false] {
                    if gates_read == GatesRead::Gated && !feature_gates {
                        continue;
                    }
                    for batch_norm in [true, false] {
                        let case = Case {
                            feature_gates,
                            gates_read,
                            // Of few rows, batch norm's variances are too small to compare in f32.
                            batch_norm: batch_norm && rows >= 64,
                            ..Case::new(rows, dim, &widths)
                        };
                        run(&case, Run::FUSED);
                    }
                }
            }
        }
    }
}

#[test]
fn evaluation_equals_the_reference() {
    for gates_read in reads() {
        for rows in [1, 257] {
            let case = Case {
                gates_read,
                train: false,
                ..Case::new(rows, 33, &[17, 65])
            };
            let forward_only = Run {
                backward: false,
                ..Run::FUSED
            };
            run(&case, forward_only);
        }
    }
}

#[test]
fn gradients_add_up_and_inputs_that_need_none_get_none() {
    for gates_read in reads() {
        for feature_gates in [true, false] {
            if gates_read == GatesRead::Gated && !feature_gates {
                continue;
            }
            for input_gradients in [true, false] {
                let case = Case {
                    feature_gates,
                    gates_read,
                    ..Case::new(70, 9, &[8, 5])
                };
                let passes = Run {
                    input_gradients,
                    passes: 2,
                    ..Run::FUSED
                };
                run(&case, passes);
                let outcome = execute(&|b: &mut Builder| case.build(b), passes).unwrap();
                assert_eq!(outcome.values.contains_key("input 0"), input_gradients);
            }
        }
    }
}

#[test]
fn a_part_that_is_not_fused_is_computed_by_its_parts() {
    let case = Case {
        mix: FeatureGateMix::BeforeSigmoid,
        ..Case::new(70, 9, &[8, 5])
    };
    run(&case, Run::FUSED);
}

#[test]
fn inputs_that_were_computed_get_their_gradients() {
    for gates_read in reads() {
        let case = Case {
            gates_read,
            ..Case::new(70, 9, &[8, 5])
        };
        let mut builder = Builder::new(DType::F32);
        let subject = case.build(&mut builder).unwrap();
        let variables: Vec<Var> = subject
            .inputs
            .iter()
            .map(|input| Var::from_tensor(input).unwrap())
            .collect();
        let computed: Vec<Tensor> = variables
            .iter()
            .map(|variable| (variable.as_tensor() * 1.0).unwrap())
            .collect();
        let result = (subject.forward)(&computed, Path::Fused).unwrap();
        let gradients = result.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for variable in &variables {
            let gradient = flat(gradients.get(variable).unwrap()).unwrap();
            assert!(gradient.iter().any(|value| *value != 0.0));
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let mut builder = Builder::new(DType::F32);
    let given = Case {
        gates_read: GatesRead::Given,
        ..Case::new(6, 9, &[5])
    };
    let subject = given.build(&mut builder).unwrap();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &place::device()).unwrap();
    let wrong = [
        ([zeros(&[2, 6, 8]), zeros(&[2, 6, 5])], "[2, 6, 8]"),
        ([zeros(&[1, 6, 9]), zeros(&[2, 6, 5])], "[1, 6, 9]"),
        ([zeros(&[2, 6, 9]), zeros(&[2, 6, 4])], "width 4"),
        ([zeros(&[2, 6, 9]), zeros(&[2, 7, 5])], "[2, 7, 5]"),
        ([zeros(&[2, 1, 9]), zeros(&[2, 1, 5])], "at least 2 rows"),
    ];
    for (inputs, expected) in wrong {
        let error = (subject.forward)(&inputs, Path::Fused).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
