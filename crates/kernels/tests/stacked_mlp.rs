//! Stacked networks: the fused operator against its composed reference.

mod common;

use candle_core::{DType, Result, Tensor};
use common::{
    BATCHES, Builder, Path, Run, Subject, Tolerance, UNSTACKED, check, execute, flat, place,
};
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
use homebench_kernels::{Parameter, Role};

/// What a layer does between product and activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    Bias,
    Batch,
    Layer,
}

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    input_dim: usize,
    widths: Vec<usize>,
    counts: Vec<usize>,
    /// Number of inputs, or none for an input of rank 2.
    num_inputs: Option<usize>,
    sources: Vec<usize>,
    between: Between,
    activation: Activation,
    train: bool,
    frozen: Frozen,
}

/// Which variables of the stacks' first set are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    Nothing,
    All,
    /// The running mean alone, which has the variance stay too.
    Mean,
}

impl Frozen {
    fn freeze(self, parameters: &[Parameter]) {
        for parameter in parameters {
            let is_frozen = match self {
                Self::Nothing => false,
                Self::All => parameter.path().ends_with(".0"),
                Self::Mean => parameter.path().ends_with(".mean.0"),
            };
            if is_frozen {
                parameter.freeze();
            }
        }
    }
}

impl Case {
    fn new(rows: usize, input_dim: usize, widths: &[usize]) -> Self {
        Self {
            rows,
            input_dim,
            widths: widths.to_vec(),
            counts: vec![2],
            num_inputs: Some(2),
            sources: vec![0, 1],
            between: Between::Bias,
            activation: Activation::Silu,
            train: true,
            frozen: Frozen::Nothing,
        }
    }

    fn build(&self, builder: &mut Builder) -> Result<Subject> {
        let mut layers = Vec::new();
        let mut depth = self.input_dim;
        for (index, width) in self.widths.iter().enumerate() {
            layers.push(self.layer(builder, index, depth, *width)?);
            depth = *width;
        }
        self.frozen.freeze(&builder.parameters);
        let mlp = StackedMlp::new(self.sources.clone(), layers)?;
        let shape = match self.num_inputs {
            Some(inputs) => vec![inputs, self.rows, self.input_dim],
            None => vec![self.rows, self.input_dim],
        };
        let inputs = vec![builder.tensor("xs", &shape, 2.0)?];
        let train = self.train;
        Ok(Subject::new(inputs, move |inputs, path| match path {
            Path::Fused => mlp.forward_t(&inputs[0], train),
            Path::Composed => mlp.forward_composed(&inputs[0], train),
        }))
    }

    fn layer(
        &self,
        builder: &mut Builder,
        index: usize,
        depth: usize,
        width: usize,
    ) -> Result<StackedLayer> {
        let reach = (3.0 / depth as f32).sqrt().max(0.1);
        let path = |name: &str| format!("{index}.{name}");
        let counts = &self.counts;
        let weight = builder.stack(
            &path("weight"),
            counts,
            &[depth, width],
            |b, path, shape| b.parameter(path, shape, reach),
        )?;
        let per_unit = [width];
        let with_bias = matches!(self.between, Between::Bias | Between::Layer);
        let bias = with_bias
            .then(|| builder.stack(&path("bias"), counts, &per_unit, Builder::bias))
            .transpose()?;
        let mut positive = |name: &str, role| {
            builder.stack(&path(name), counts, &per_unit, |b, path, shape| {
                b.positive(path, shape, role)
            })
        };
        let norm = match self.between {
            Between::Nothing | Between::Bias => Norm::None,
            Between::Batch => Norm::Batch {
                scale: positive("scale", Role::Trained)?,
                running_variance: positive("variance", Role::Statistic)?,
                shift: builder.stack(&path("shift"), counts, &per_unit, Builder::bias)?,
                running_mean: builder.stack(
                    &path("mean"),
                    counts,
                    &per_unit,
                    Builder::statistic,
                )?,
            },
            Between::Layer => Norm::Layer {
                scale: positive("scale", Role::Trained)?,
                shift: builder.stack(&path("shift"), counts, &per_unit, Builder::bias)?,
            },
        };
        Ok(StackedLayer {
            weight,
            bias,
            norm,
            activation: self.activation,
        })
    }

    fn check(&self, tolerance: Tolerance) {
        check(
            &format!("{self:?}"),
            &|b| self.build(b),
            tolerance,
            Run::FUSED,
        );
    }
}

/// (input width, widths of the layers): one unit, remainders of vectors, several layers.
const WIDTHS: [(usize, &[usize]); 6] = [
    (1, &[1]),
    (3, &[64, 3]),
    (64, &[65, 1]),
    (130, &[130]),
    (65, &[3, 64, 130]),
    (5, &[1, 1, 2]),
];

#[test]
fn networks_without_a_norm_equal_the_reference() {
    for rows in BATCHES {
        for (input_dim, widths) in WIDTHS {
            for (between, activation) in [
                (Between::Nothing, Activation::Identity),
                (Between::Bias, Activation::Silu),
            ] {
                Case {
                    between,
                    activation,
                    ..Case::new(rows, input_dim, widths)
                }
                .check(Tolerance::SINGLE);
            }
            Case {
                activation: Activation::Relu,
                ..Case::new(rows, input_dim, &widths[..widths.len().min(2)])
            }
            .check(Tolerance::SINGLE);
        }
    }
}

/// Batch norm subtracts nearly all of some gradients, so that what is left carries the rounding of the whole: the composed
/// operators in f32 are as far off.
const NORMALISED: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 6e-4,
};

#[test]
fn batch_norm_in_training_equals_the_reference_with_its_running_statistics() {
    for rows in &BATCHES[1..] {
        for (input_dim, widths) in WIDTHS {
            for activation in [Activation::Identity, Activation::Relu, Activation::Silu] {
                // Two rows have nothing but rounding for a gradient, magnified by later layers.
                if *rows == 2 && widths.len() > 1 {
                    continue;
                }
                Case {
                    between: Between::Batch,
                    activation,
                    ..Case::new(*rows, input_dim, widths)
                }
                .check(NORMALISED);
            }
        }
    }
}

#[test]
fn layer_norm_equals_the_reference() {
    for (input_dim, widths) in [(3, &[64, 3][..]), (65, &[130])] {
        Case {
            between: Between::Layer,
            ..Case::new(7, input_dim, widths)
        }
        .check(NORMALISED);
    }
}

#[test]
fn evaluation_equals_the_reference_and_leaves_the_running_statistics_alone() {
    for rows in [1, 7, 257] {
        for between in [Between::Bias, Between::Batch, Between::Layer] {
            let case = Case {
                between,
                train: false,
                ..Case::new(rows, 65, &[64, 130, 1])
            };
            let forward = Run {
                backward: false,
                ..Run::FUSED
            };
            let build = |b: &mut Builder| case.build(b);
            let outcome = check(&format!("{case:?}"), &build, Tolerance::SINGLE, forward);
            let mut builder = Builder::new(DType::F32);
            case.build(&mut builder).unwrap();
            for statistic in builder
                .parameters
                .iter()
                .filter(|p| p.role() == Role::Statistic)
            {
                let before = flat(statistic.tensor()).unwrap();
                assert_eq!(outcome.values[statistic.path()], before);
            }
        }
    }
}

#[test]
fn stacks_of_several_parameters_and_shared_or_unread_inputs_equal_the_reference() {
    let layouts: [(&[usize], Option<usize>, &[usize]); 6] = [
        (&[UNSTACKED], None, &[0]),
        (&[1], Some(1), &[0]),
        (&[3], None, &[0, 0, 0]),
        (&[2, UNSTACKED, 1], Some(3), &[2, 0, 2, 0]),
        (&[UNSTACKED, UNSTACKED], Some(2), &[1, 1]),
        (&[1, 4], Some(5), &[4, 3, 1, 3, 4]),
    ];
    for (counts, num_inputs, sources) in layouts {
        for rows in [2, 7, 257] {
            for between in [Between::Bias, Between::Batch] {
                if rows == 2 && between == Between::Batch {
                    continue;
                }
                let case = Case {
                    counts: counts.to_vec(),
                    num_inputs,
                    sources: sources.to_vec(),
                    between,
                    ..Case::new(rows, 33, &[17, 1])
                };
                let build = |b: &mut Builder| case.build(b);
                let outcome = check(&format!("{case:?}"), &build, NORMALISED, Run::FUSED);
                let size = rows * 33;
                for (input, gradient) in outcome.values["input 0"].chunks(size).enumerate() {
                    let read = sources.contains(&input);
                    assert_eq!(
                        gradient.iter().any(|g| *g != 0.0),
                        read,
                        "input {input} of {case:?}"
                    );
                }
            }
        }
    }
}

/// Two experts of a first set that is frozen, and one of a second.
fn with_frozen(frozen: Frozen, rows: usize) -> Case {
    Case {
        counts: vec![2, 1],
        num_inputs: None,
        sources: vec![0, 0, 0],
        between: Between::Batch,
        frozen,
        ..Case::new(rows, 33, &[17, 5])
    }
}

#[test]
fn batch_norm_of_frozen_statistics_is_that_of_evaluation_and_the_others_go_on_as_before() {
    for rows in [7, 257] {
        for frozen in [Frozen::All, Frozen::Mean] {
            let case = with_frozen(frozen, rows);
            let build = |b: &mut Builder| case.build(b);
            let found = check(&format!("{case:?}"), &build, NORMALISED, Run::FUSED);
            let alone = |case: Case, backward| {
                let run = Run {
                    backward,
                    ..Run::FUSED
                };
                execute(&|b| case.build(b), run).unwrap().values
            };
            let evaluated = alone(
                Case {
                    train: false,
                    ..with_frozen(Frozen::Nothing, rows)
                },
                false,
            );
            let trained = alone(with_frozen(Frozen::Nothing, rows), true);
            let (first, second) = found.values["output"].split_at(2 * rows * 5);
            assert_eq!(first, &evaluated["output"][..first.len()]);
            assert_eq!(second, &trained["output"][first.len()..]);
            for (path, values) in &found.values {
                let is_statistic = path.contains("mean") || path.contains("variance");
                match path.ends_with(".0") {
                    true if is_statistic => assert_eq!(*values, evaluated[path], "{path}"),
                    true => assert_eq!(frozen, Frozen::Mean, "a gradient of {path}"),
                    false if path.contains('.') => assert_eq!(*values, trained[path], "{path}"),
                    false => {}
                }
            }
        }
    }
}

#[test]
fn one_row_is_enough_where_every_statistic_is_frozen() {
    let case = Case {
        counts: vec![2],
        frozen: Frozen::All,
        between: Between::Batch,
        ..Case::new(1, 3, &[2])
    };
    execute(&|b| case.build(b), Run::FUSED).unwrap();
}

#[test]
fn gradients_of_two_passes_add_up() {
    for between in [Between::Bias, Between::Batch] {
        let case = Case {
            between,
            ..Case::new(70, 9, &[5, 3])
        };
        let twice = Run {
            passes: 2,
            ..Run::FUSED
        };
        check(&format!("{case:?}"), &|b| case.build(b), NORMALISED, twice);
        let gradient = |run| execute(&|b| case.build(b), run).unwrap().values["0.weight.0"].clone();
        let (once, twice) = (gradient(Run::FUSED), gradient(twice));
        for (once, twice) in once.iter().zip(&twice) {
            assert!((2.0 * once - twice).abs() <= 1e-5, "{once} {twice}");
        }
    }
}

#[test]
fn an_input_that_needs_no_gradient_gets_none_and_parameters_get_the_same() {
    for between in [Between::Bias, Between::Batch] {
        let case = Case {
            between,
            ..Case::new(70, 9, &[5, 3])
        };
        let constant = Run {
            input_gradients: false,
            ..Run::FUSED
        };
        let found = check(
            &format!("{case:?}"),
            &|b| case.build(b),
            NORMALISED,
            constant,
        );
        let mut expected = execute(&|b| case.build(b), Run::FUSED).unwrap();
        expected.values.remove("input 0").unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn an_input_that_is_a_view_equals_its_copy() {
    let case = Case {
        num_inputs: None,
        sources: vec![0, 0],
        ..Case::new(70, 9, &[5])
    };
    let mut builder = Builder::new(DType::F32);
    let subject = case.build(&mut builder).unwrap();
    let wide = builder.tensor("wide", &[9, 90], 1.0).unwrap().t().unwrap();
    let view = wide.narrow(0, 11, 70).unwrap();
    let run = |xs: &Tensor| {
        flat(&(subject.forward)(std::slice::from_ref(xs), Path::Fused).unwrap()).unwrap()
    };
    assert_eq!(run(&view), run(&view.force_contiguous().unwrap()));
}

#[test]
fn a_backward_pass_after_evaluation_is_an_error_that_says_so() {
    let case = Case {
        train: false,
        ..Case::new(7, 3, &[2])
    };
    let error = execute(&|b| case.build(b), Run::FUSED).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("needs a forward pass in training"),
        "{error}"
    );
}

#[test]
fn one_row_is_an_error_of_batch_norm_in_training_on_every_path() {
    let case = Case {
        between: Between::Batch,
        ..Case::new(1, 3, &[2])
    };
    for run in [Run::FUSED, Run::COMPOSED, Run::REFERENCE] {
        let error = execute(&|b| case.build(b), run).unwrap_err();
        assert!(error.to_string().contains("at least 2 rows"), "{error}");
    }
}

#[test]
fn an_empty_batch_is_an_error_on_every_path() {
    let case = Case::new(0, 3, &[2]);
    for run in [Run::FUSED, Run::COMPOSED] {
        let error = execute(&|b| case.build(b), run).unwrap_err();
        assert!(error.to_string().contains("at least 1 row"), "{error}");
    }
}

#[test]
fn parameters_that_do_not_fit_are_refused_when_the_networks_are_made() {
    let mut builder = Builder::new(DType::F32);
    let mut stack = |experts: usize, shape: &[usize]| {
        builder
            .stack("x", &[experts], shape, Builder::bias)
            .unwrap()
    };
    let layer = |weight, bias, norm| StackedLayer {
        weight,
        bias,
        norm,
        activation: Activation::Identity,
    };
    let layer_norm = |scale, shift| Norm::Layer { scale, shift };
    let wrong = [
        layer(stack(2, &[3]), None, Norm::None),
        layer(stack(3, &[3, 4]), None, Norm::None),
        layer(stack(2, &[3, 4]), Some(stack(1, &[4])), Norm::None),
        layer(stack(2, &[3, 4]), Some(stack(2, &[3])), Norm::None),
        layer(
            stack(2, &[3, 4]),
            None,
            layer_norm(stack(2, &[4]), stack(2, &[5])),
        ),
        layer(
            stack(2, &[3, 4]),
            None,
            layer_norm(stack(1, &[4]), stack(2, &[4])),
        ),
    ];
    for layer in wrong {
        assert!(StackedMlp::new(vec![0, 0], vec![layer]).is_err());
    }
    let right = layer(stack(2, &[3, 4]), Some(stack(2, &[4])), Norm::None);
    let mlp = StackedMlp::new(vec![0, 1], vec![right]).unwrap();
    for dims in [&[2, 7, 5][..], &[1, 7, 3], &[7, 3], &[3]] {
        let xs = Tensor::zeros(dims, DType::F32, &place::device()).unwrap();
        assert!(mlp.forward_t(&xs, true).is_err(), "{dims:?}");
        assert!(mlp.forward_composed(&xs, true).is_err(), "{dims:?}");
    }
}
