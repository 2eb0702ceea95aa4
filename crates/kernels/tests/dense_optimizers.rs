//! Adagrad, gradient descent and clipping: against PyTorch's formulas in f64.

mod common;

use candle_core::{DType, Tensor, Var};
use common::{flat, place};
use homebench_kernels::optimizer::{
    AdagradConfig, AdamConfig, Columns, DenseRule, EmbeddingTables, Optimizer, SgdConfig,
    SparseRule, clip_gradient_norm,
};
use homebench_kernels::{Parameter, Role};
use homebench_random::Philox;

fn random(name: &str, count: usize) -> Vec<f32> {
    let stream = Philox::new(7, "test", name);
    (0..count as u64)
        .map(|index| stream.normal(index))
        .collect()
}

fn parameter(path: &str, count: usize, dtype: DType) -> Parameter {
    let values = Tensor::from_vec(random(path, count), count, &place::device()).unwrap();
    let var = Var::from_tensor(&values.to_dtype(dtype).unwrap()).unwrap();
    Parameter::new(path, var, Role::Trained)
}

/// Puts `gradient` into the parameter's buffer, by way of candle's graph.
fn give(parameter: &Parameter, gradient: &[f32]) {
    let tensor = parameter.tensor();
    let slopes = Tensor::from_slice(gradient, tensor.shape(), &place::device()).unwrap();
    let slopes = slopes.to_dtype(tensor.dtype()).unwrap();
    let loss = (tensor * slopes).unwrap().sum_all().unwrap();
    parameter.collect(&loss.backward().unwrap()).unwrap();
}

/// One element of PyTorch's `Adagrad` or `SGD`; `state` is the sum of squares or the velocity.
fn textbook(rule: DenseRule, value: &mut f64, state: &mut f64, slope: f64, rate: f64) {
    match rule {
        DenseRule::Adagrad(config) => {
            let slope = slope + config.weight_decay * *value;
            *state += slope * slope;
            *value -= rate * slope / (state.sqrt() + config.epsilon);
        }
        DenseRule::Sgd(config) => {
            let slope = slope + config.weight_decay * *value;
            *state = config.momentum * *state + slope;
            *value -= rate * *state;
        }
        DenseRule::Adam(_) => unreachable!("tested beside the sparse one"),
    }
}

fn rules() -> Vec<DenseRule> {
    let mut rules = Vec::new();
    for weight_decay in [0.0, 0.1] {
        rules.push(DenseRule::from(AdagradConfig {
            weight_decay,
            ..AdagradConfig::default()
        }));
        for momentum in [0.0, 0.9] {
            rules.push(DenseRule::from(SgdConfig {
                momentum,
                weight_decay,
            }));
        }
    }
    rules
}

#[test]
fn steps_follow_the_textbook_over_changing_gradients_and_rates() {
    place::everywhere(|| {
        assert_eq!(AdagradConfig::default().epsilon, 1e-10);
        // Around the borders of vectors and of the pieces that threads share.
        for count in [1, 17, 16_384, 16_385] {
            for rule in rules() {
                let parameter = parameter("w", count, DType::F32);
                let mut expected = flat(parameter.tensor()).unwrap();
                let mut states = vec![0f64; count];
                let mut optimizer = Optimizer::new(std::slice::from_ref(&parameter), rule);
                for step in 0..20 {
                    let slopes = random(&format!("slopes {step}"), count);
                    let rate = 0.01 / f64::from(step + 1);
                    give(&parameter, &slopes);
                    optimizer.step(rate).unwrap();
                    assert_eq!(parameter.gradient(), None);
                    for ((value, state), slope) in expected.iter_mut().zip(&mut states).zip(slopes)
                    {
                        textbook(rule, value, state, f64::from(slope), rate);
                    }
                }
                let found = flat(parameter.tensor()).unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 2e-6,
                        "{rule:?}: {found} {expected}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_variable_of_another_type_takes_the_same_steps() {
    place::everywhere(|| {
        for rule in rules() {
            let parameters = [DType::F32, DType::F64].map(|dtype| parameter("w", 35, dtype));
            let mut optimizer = Optimizer::new(&parameters, rule);
            for step in 0..3 {
                for parameter in &parameters {
                    give(parameter, &random(&format!("slopes {step}"), 35));
                }
                optimizer.step(0.01).unwrap();
            }
            let [single, double] = parameters.map(|parameter| flat(parameter.tensor()).unwrap());
            assert_eq!(single, double, "{rule:?}");
        }
    });
}

#[test]
fn without_a_gradient_nothing_moves_not_even_by_momentum() {
    place::everywhere(|| {
        for rule in rules() {
            let parameter = parameter("w", 5, DType::F32);
            let mut optimizer = Optimizer::new(std::slice::from_ref(&parameter), rule);
            give(&parameter, &[1.0; 5]);
            optimizer.step(0.1).unwrap();
            let before = flat(parameter.tensor()).unwrap();
            optimizer.step(0.1).unwrap();
            assert_eq!(flat(parameter.tensor()).unwrap(), before, "{rule:?}");
        }
    });
}

fn norm_of(parameters: &[Parameter], largest: f64) -> f64 {
    let norm = clip_gradient_norm(parameters, largest).unwrap();
    norm.value().unwrap()
}

#[test]
fn a_norm_over_all_buffers_is_clipped_and_a_smaller_one_is_left() {
    place::everywhere(|| {
        let parameters = ["a", "b", "c"].map(|path| parameter(path, 2, DType::F32));
        let statistic = Parameter::new(
            "mean",
            Var::from_vec(vec![1f32], 1, &place::device()).unwrap(),
            Role::Statistic,
        );
        give(&parameters[0], &[3.0, 0.0]);
        give(&parameters[1], &[0.0, 4.0]);
        give(&statistic, &[100.0]);
        let mut all = parameters.to_vec();
        all.push(statistic.clone());

        assert_eq!(norm_of(&all, 10.0), 5.0);
        assert_eq!(parameters[0].gradient(), Some(vec![3.0, 0.0]));

        assert_eq!(norm_of(&all, 1.0), 5.0);
        for (parameter, expected) in parameters.iter().zip([[0.6f32, 0.0], [0.0, 0.8]]) {
            for (found, expected) in parameter.gradient().unwrap().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6);
            }
        }
        assert_eq!(parameters[2].gradient(), None);
        assert_eq!(statistic.gradient(), Some(vec![100.0]));
    });
}

#[test]
fn a_clipped_norm_is_the_same_at_any_number_of_threads() {
    if !place::device().is_cpu() {
        // Threads are the processor's.
        return;
    }
    let clipped = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let parameters = [100_003, 17].map(|count| parameter("w", count, DType::F32));
            for parameter in &parameters {
                give(parameter, &random("slopes", parameter.num_elements()));
            }
            let norm = norm_of(&parameters, 0.5);
            (norm.to_bits(), parameters.map(|p| p.gradient().unwrap()))
        })
    };
    let one = clipped(1);
    let exact: f64 = random("slopes", 100_003)
        .iter()
        .chain(&random("slopes", 17))
        .map(|slope| f64::from(*slope).powi(2))
        .sum();
    assert!((f64::from_bits(one.0) / exact.sqrt() - 1.0).abs() < 1e-12);
    for threads in [2, 5] {
        assert_eq!(one, clipped(threads));
    }
}

#[test]
fn decay_of_an_embedding_shrinks_touched_rows_alone() {
    place::everywhere(|| {
        let adam = AdamConfig {
            weight_decay: 0.5,
            ..AdamConfig::default()
        };
        let columns = Columns {
            stride: 2,
            offset: 0,
        };
        for rule in [
            SparseRule::Adam(adam),
            SparseRule::RowWiseAdagrad {
                epsilon: 1e-10,
                weight_decay: 0.5,
            },
        ] {
            let values =
                Var::from_vec(vec![1f32, 2.0, 3.0, 4.0], (2, 2), &place::device()).unwrap();
            let parameter = Parameter::new("table", values, Role::Trained);
            let mut tables = EmbeddingTables::new(vec![parameter.clone()], rule).unwrap();
            tables.update(&[1], &[0.0, 0.0], columns, 0.1).unwrap();
            let found = flat(parameter.tensor()).unwrap();
            for (found, expected) in found.iter().zip([1.0, 2.0, 3.0 * 0.95, 4.0 * 0.95]) {
                assert!((found - expected).abs() < 1e-6, "{rule:?}: {found}");
            }
        }
    });
}
