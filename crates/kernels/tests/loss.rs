//! The loss: fused against its composed reference, and against the textbook formula in f64.
// What is tested is compared with the platform's functions.
#![allow(clippy::disallowed_methods)]

mod common;

use candle_core::{DType, Result, Tensor, Var};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check, flat, place};
use homebench_kernels::loss::{
    Targets, multi_task_loss, multi_task_loss_composed, task_losses, task_losses_composed,
};
use homebench_random::Philox;

/// The composed operators have no `log(1 + x)`, so that a small loss keeps the rounding of 1.
const TOLERANCE: Tolerance = Tolerance {
    relative: 4e-6,
    absolute: 3e-7,
};

#[derive(Debug, Clone, Copy)]
struct Case {
    rows: usize,
    num_tasks: usize,
    masked: bool,
    weighted: bool,
    /// Whether every second task, from the first, predicts a number.
    numbers: bool,
    /// Largest logit.
    reach: f32,
}

impl Case {
    fn targets(&self) -> Targets {
        let stream = Philox::new(7, "test", "labels");
        let count = self.rows * self.num_tasks;
        let labels = (0..count as u64).map(|i| (stream.uniform(i) < 0.3) as u8 as f32);
        let mut targets = Targets::new(labels.collect());
        if self.masked {
            // Weights of 0, .25, .5 and .75; no row observes the last task.
            let weight = |index: usize| match (index + 1) % self.num_tasks {
                0 => 0.0,
                _ => stream.below(index as u64, 4) as f32 / 4.0,
            };
            targets.label_weights = Some((0..count).map(weight).collect());
        }
        if self.numbers {
            let regression: Vec<bool> = (0..self.num_tasks).map(|task| task % 2 == 0).collect();
            for (index, label) in targets.labels.iter_mut().enumerate() {
                if regression[index % self.num_tasks] {
                    *label = 3.0 * stream.normal(index as u64);
                }
            }
            targets.regression = Some(regression);
        }
        if self.weighted {
            let ramp = |start: f32| Some((0..self.num_tasks).map(|t| start + t as f32).collect());
            targets.task_weights = ramp(0.0);
            targets.positive_weights = ramp(0.5);
        }
        targets
    }

    fn build(&self, builder: &mut Builder) -> Result<Subject> {
        let targets = self.targets();
        let logits = builder.tensor("logits", &[self.rows, self.num_tasks], self.reach)?;
        Ok(Subject::new(vec![logits], move |inputs, path| match path {
            Path::Fused => multi_task_loss(&inputs[0], &targets),
            Path::Composed => multi_task_loss_composed(&inputs[0], &targets),
        }))
    }
}

#[test]
fn the_loss_equals_the_reference() {
    for rows in BATCHES {
        for num_tasks in [1, 2, 7, 17] {
            for switches in 0..8 {
                let case = Case {
                    rows,
                    num_tasks,
                    masked: switches & 1 > 0,
                    weighted: switches & 2 > 0,
                    numbers: switches & 4 > 0,
                    reach: 6.0,
                };
                check(
                    &format!("{case:?}"),
                    &|b| case.build(b),
                    TOLERANCE,
                    Run::FUSED,
                );
            }
        }
    }
}

#[test]
fn logits_of_a_hundred_stay_finite_and_equal_the_reference() {
    let case = Case {
        rows: 64,
        num_tasks: 7,
        masked: true,
        weighted: true,
        numbers: true,
        reach: 100.0,
    };
    let outcome = check("large logits", &|b| case.build(b), TOLERANCE, Run::FUSED);
    assert!(
        outcome
            .values
            .values()
            .flatten()
            .all(|value| value.is_finite())
    );
    for (logit, label, expected) in [
        (100f32, 0f32, 100f64),
        (-100.0, 1.0, 100.0),
        (100.0, 1.0, 0.0),
    ] {
        let logits = Tensor::from_vec(vec![logit], (1, 1), &place::device()).unwrap();
        let targets = Targets::new(vec![label]);
        for loss in [multi_task_loss, multi_task_loss_composed] {
            let found = flat(&loss(&logits, &targets).unwrap()).unwrap()[0];
            assert!((found - expected).abs() < 1e-30, "{found} {expected}");
        }
    }
}

/// `-y p log s - (1 - y) log(1 - s)`, or `(x - y)²` of a number; per task the weighted mean over the rows that observe it, times
/// the task's weight.
#[test]
fn the_loss_equals_the_textbook_formula() {
    for numbers in [false, true] {
        check_the_textbook_formula(numbers);
    }
}

fn check_the_textbook_formula(numbers: bool) {
    let case = Case {
        rows: 7,
        num_tasks: 3,
        masked: true,
        weighted: true,
        numbers,
        reach: 3.0,
    };
    let mut targets = case.targets();
    let logits = Builder::new(DType::F64)
        .tensor("logits", &[7, 3], 3.0)
        .unwrap();
    let values = flat(&logits).unwrap();
    let weights = targets.label_weights.clone().unwrap();
    let mut expected = 0.0;
    for task in 0..3 {
        let (mut sum, mut weight_sum) = (0.0, 0.0);
        for index in (task..21).step_by(3) {
            let probability = 1.0 / (1.0 + (-values[index]).exp());
            let (label, weight) = (f64::from(targets.labels[index]), f64::from(weights[index]));
            let positive = f64::from(targets.positive_weights.as_ref().unwrap()[task]);
            let loss = match &targets.regression {
                Some(regression) if regression[task] => (values[index] - label).powi(2),
                _ => {
                    -label * positive * probability.ln() - (1.0 - label) * (1.0 - probability).ln()
                }
            };
            sum += weight * loss;
            weight_sum += weight;
        }
        if weight_sum > 0.0 {
            expected += f64::from(targets.task_weights.as_ref().unwrap()[task]) * sum / weight_sum;
        }
    }
    let close = |found: f64| (found - expected).abs() < 1e-6 * expected.abs().max(1.0);
    let single = logits.to_dtype(DType::F32).unwrap();
    let unobserved = |targets: &mut Targets| {
        for (label, weight) in targets.labels.iter_mut().zip(&weights) {
            if *weight == 0.0 {
                *label = f32::NAN;
            }
        }
    };
    for _ in 0..2 {
        for logits in [&logits, &single] {
            for loss in [multi_task_loss, multi_task_loss_composed] {
                let found = flat(&loss(logits, &targets).unwrap()).unwrap()[0];
                assert!(close(found), "{found} {expected}");
            }
        }
        // The same with labels that are no numbers where nobody looked.
        unobserved(&mut targets);
    }
}

#[test]
fn labels_that_were_not_observed_may_be_no_numbers_and_have_no_gradient() {
    for loss in [multi_task_loss, multi_task_loss_composed] {
        let logits = Var::from_vec(vec![1f32, -2.0, 0.5, 3.0], (2, 2), &place::device()).unwrap();
        let targets = Targets {
            label_weights: Some(vec![1.0, 0.0, 1.0, 0.0]),
            ..Targets::new(vec![1.0, f32::NAN, 0.0, f32::NAN])
        };
        let gradients = loss(&logits, &targets).unwrap().backward().unwrap();
        let gradient = flat(gradients.get(&logits).unwrap()).unwrap();
        assert!(gradient[0] < 0.0 && gradient[2] > 0.0);
        assert_eq!([gradient[1], gradient[3]], [0.0, 0.0]);
    }
}

/// Both max(x, 0) and |x| have their kink there; the loss has none.
#[test]
fn a_logit_of_zero_has_the_slope_of_one_half() {
    for loss in [multi_task_loss, multi_task_loss_composed] {
        for (label, expected) in [(0.0, 0.5), (1.0, -0.5)] {
            let logits = Var::from_vec(vec![0f32], (1, 1), &place::device()).unwrap();
            let loss = loss(&logits, &Targets::new(vec![label])).unwrap();
            let gradients = loss.backward().unwrap();
            assert_eq!(flat(gradients.get(&logits).unwrap()).unwrap(), [expected]);
        }
    }
}

#[test]
fn a_logit_or_an_observed_label_that_is_no_number_is_not_hidden() {
    for (logit, label) in [(f32::NAN, 1.0), (0.0, f32::NAN)] {
        let logits = Tensor::from_vec(vec![logit], (1, 1), &place::device()).unwrap();
        for loss in [multi_task_loss, multi_task_loss_composed] {
            let loss = loss(&logits, &Targets::new(vec![label])).unwrap();
            assert!(flat(&loss).unwrap()[0].is_nan(), "{logit} {label}");
        }
    }
}

/// A number far from 0 doesn't overflow where it is no class.
#[test]
fn numbers_of_any_size_have_the_slope_of_their_distance_and_no_positive_weight() {
    for loss in [multi_task_loss, multi_task_loss_composed] {
        let logits = Var::from_vec(vec![2.0f32, 0.0, -1e9, 0.0], (2, 2), &place::device()).unwrap();
        let targets = Targets {
            positive_weights: Some(vec![7.0, 1.0]),
            regression: Some(vec![true, false]),
            ..Targets::new(vec![-3.0, 1.0, 1e9, 0.0])
        };
        let loss = loss(&logits, &targets).unwrap();
        let expected = (25.0 + 4e18) / 2.0;
        assert!((flat(&loss).unwrap()[0] / expected - 1.0).abs() < 1e-6);
        let gradients = loss.backward().unwrap();
        let slopes = flat(gradients.get(&logits).unwrap()).unwrap();
        assert_eq!(slopes, [5.0, -0.25, -2e9, 0.25]);
    }
}

#[test]
fn targets_of_another_shape_are_refused() {
    let logits = Tensor::zeros((2, 3), DType::F32, &place::device()).unwrap();
    let right = Targets::new(vec![0.0; 6]);
    let wrong = [
        Targets::new(vec![0.0; 5]),
        Targets {
            label_weights: Some(vec![1.0; 3]),
            ..right.clone()
        },
        Targets {
            task_weights: Some(vec![1.0; 2]),
            ..right.clone()
        },
        Targets {
            positive_weights: Some(vec![1.0; 6]),
            ..right.clone()
        },
        Targets {
            regression: Some(vec![true; 2]),
            ..right.clone()
        },
    ];
    for loss in [multi_task_loss, multi_task_loss_composed] {
        for targets in &wrong {
            assert!(loss(&logits, targets).is_err());
        }
        assert!(loss(&logits.flatten_all().unwrap(), &right).is_err());
        let empty = Tensor::zeros((0, 3), DType::F32, &place::device()).unwrap();
        assert!(loss(&empty, &Targets::new(Vec::new())).is_err());
    }
}

#[test]
fn a_label_that_was_not_observed_counts_nothing() -> Result<()> {
    let logits = Var::from_vec(vec![0.5f32, -1.0, 2.0, 0.25], (2, 2), &place::device())?;
    let gaps = Targets::observed(vec![1.0, f32::NAN, 0.0, 1.0], &[]);
    let loss = multi_task_loss(&logits, &gaps)?;
    let of = |logit: f64, label: f64| (1.0 + logit.exp()).ln() - label * logit;
    // The first task's mean is over two rows, the second's over the one that observes it.
    let expected = (of(0.5, 1.0) + of(2.0, 0.0)) / 2.0 + of(0.25, 1.0);
    assert!((f64::from(loss.to_scalar::<f32>()?) - expected).abs() < 1e-6);
    let slopes = loss.backward()?.get(&logits).unwrap().to_vec2::<f32>()?;
    assert_eq!(slopes[0][1], 0.0);
    assert!(slopes[1][1] != 0.0);

    assert!(
        Targets::observed(vec![1.0, 0.0], &[])
            .label_weights
            .is_none()
    );
    let none = Targets::observed(vec![f32::NAN; 4], &[]);
    let loss = multi_task_loss(&logits, &none)?;
    assert_eq!(loss.to_scalar::<f32>()?, 0.0);
    Ok(())
}

#[test]
fn a_row_of_weight_three_counts_as_three_rows() -> Result<()> {
    let logits =
        |values: &[f32]| Tensor::from_slice(values, (values.len() / 2, 2), &place::device());
    let weighted = Targets::observed(vec![1.0, f32::NAN, 0.0, 1.0], &[3.0, 1.0]);
    let found = multi_task_loss(&logits(&[0.5, -1.0, 2.0, 0.25])?, &weighted)?;
    let (nan, yes, no) = (f32::NAN, 1.0, 0.0);
    let repeated = Targets::observed(vec![yes, nan, yes, nan, yes, nan, no, yes], &[]);
    let rows = [0.5, -1.0, 0.5, -1.0, 0.5, -1.0, 2.0, 0.25];
    let expected = multi_task_loss(&logits(&rows)?, &repeated)?;
    let distance = found.to_scalar::<f32>()? - expected.to_scalar::<f32>()?;
    assert!(distance.abs() < 1e-6, "{distance}");
    Ok(())
}

/// What weighs each task's loss afterwards is a factor of that task's slopes, as a weight of the task is.
#[test]
fn weighed_losses_of_tasks_are_the_loss_with_those_weights() -> Result<()> {
    for masked in [false, true] {
        for numbers in [false, true] {
            let case = Case {
                rows: 33,
                num_tasks: 3,
                masked,
                weighted: false,
                numbers,
                reach: 4.0,
            };
            let targets = case.targets();
            let stream = Philox::new(3, "test", "logits");
            let logits: Vec<f32> = (0..99).map(|index| 2.0 * stream.normal(index)).collect();
            let logits = Var::from_vec(logits, (33, 3), &candle_core::Device::Cpu)?;
            let weights = [0.5f32, 2.0, 3.0];
            let whole = Targets {
                task_weights: Some(weights.to_vec()),
                ..targets.clone()
            };
            let factors = Tensor::new(&weights, logits.device())?;
            for losses in [
                task_losses(&logits, &targets)?,
                task_losses_composed(&logits, &targets)?,
            ] {
                // A forward pass for each backward pass.
                let expected = multi_task_loss(&logits, &whole)?;
                let found = (losses * &factors)?.sum_all()?;
                let values = [&expected, &found].map(|loss| loss.to_scalar::<f32>().unwrap());
                assert!((values[0] - values[1]).abs() < 1e-5 * values[0].abs());
                let slopes = [&expected, &found].map(|loss| {
                    let gradients = loss.backward().unwrap();
                    flat(gradients.get(&logits).unwrap()).unwrap()
                });
                for (one, other) in slopes[0].iter().zip(&slopes[1]) {
                    assert!((one - other).abs() < 1e-6, "{one} {other}");
                }
            }
            let observed = targets.observed_tasks(3);
            assert_eq!(observed, [true, true, !masked]);
        }
    }
    Ok(())
}
