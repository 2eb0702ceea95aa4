//! Optimisers: against textbook formulas in f64, and sparse ones against dense ones.

mod common;

use candle_core::{DType, Result, Tensor, Var};
use common::{flat, place};
use homebench_kernels::optimizer::{Adam, AdamConfig, Columns, EmbeddingTables, SparseRule};
use homebench_kernels::{Parameter, Role};
use homebench_random::Philox;

fn random(name: &str, count: usize) -> Vec<f32> {
    let stream = Philox::new(7, "test", name);
    (0..count as u64)
        .map(|index| stream.normal(index))
        .collect()
}

fn parameter(path: &str, shape: &[usize], dtype: DType) -> Parameter {
    let values = random(path, shape.iter().product());
    let values = Tensor::from_vec(values, shape, &place::device()).unwrap();
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

/// Textbook Adam in f64, one element.
#[derive(Clone, Copy, Default)]
struct Textbook {
    first: f64,
    second: f64,
    step: i32,
}

impl Textbook {
    fn step(&mut self, value: &mut f64, slope: f64, rate: f64, config: &AdamConfig) {
        self.step += 1;
        self.first = config.beta1 * self.first + (1.0 - config.beta1) * slope;
        self.second = config.beta2 * self.second + (1.0 - config.beta2) * slope * slope;
        let mean = self.first / (1.0 - config.beta1.powi(self.step));
        let square = self.second / (1.0 - config.beta2.powi(self.step));
        *value -= rate * config.weight_decay * *value;
        *value -= rate * mean / (square.sqrt() + config.epsilon);
    }
}

#[test]
fn adam_follows_the_textbook_over_changing_gradients_and_rates() {
    place::everywhere(|| {
        // Around the borders of vectors and of the pieces that threads share.
        for count in [1, 17, 16_384, 16_385] {
            for weight_decay in [0.0, 0.1] {
                let config = AdamConfig {
                    weight_decay,
                    ..AdamConfig::default()
                };
                let parameter = parameter("w", &[count], DType::F32);
                let mut expected = flat(parameter.tensor()).unwrap();
                let mut states = vec![Textbook::default(); count];
                let mut adam = Adam::new(std::slice::from_ref(&parameter), config);
                for step in 0..20 {
                    let slopes = random(&format!("slopes {step}"), count);
                    let rate = 0.01 / f64::from(step + 1);
                    give(&parameter, &slopes);
                    adam.step(rate).unwrap();
                    assert_eq!(parameter.gradient(), None);
                    for ((value, state), slope) in expected.iter_mut().zip(&mut states).zip(slopes)
                    {
                        state.step(value, f64::from(slope), rate, &config);
                    }
                }
                let found = flat(parameter.tensor()).unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1.5e-6, "{found} {expected}");
                }
            }
        }
    });
}

/// PyTorch computes 1 - beta in f64; in f32 the first step would be off by 6e-6 of its length.
#[test]
fn the_first_step_is_the_learning_rate_to_seven_digits() {
    place::everywhere(|| {
        let var = Var::from_vec(vec![0f32; 3], 3, &place::device()).unwrap();
        let parameter = Parameter::new("w", var, Role::Trained);
        give(&parameter, &[1e-3, 1.0, -1e3]);
        let mut adam = Adam::new(
            std::slice::from_ref(&parameter),
            AdamConfig {
                epsilon: 0.0,
                ..AdamConfig::default()
            },
        );
        adam.step(0.1).unwrap();
        for (value, sign) in flat(parameter.tensor())
            .unwrap()
            .iter()
            .zip([-1.0, -1.0, 1.0])
        {
            assert!((value / sign / 0.1 - 1.0).abs() < 3e-7, "{value}");
        }
    });
}

#[test]
fn adam_of_another_type_takes_the_same_steps() {
    let [single, double] = [DType::F32, DType::F64].map(|dtype| parameter("w", &[5, 7], dtype));
    let parameters = [single.clone(), double.clone()];
    let mut adam = Adam::new(&parameters, AdamConfig::default());
    for step in 0..3 {
        for parameter in &parameters {
            give(parameter, &random(&format!("slopes {step}"), 35));
        }
        adam.step(0.01).unwrap();
    }
    assert_eq!(
        flat(single.tensor()).unwrap(),
        flat(double.tensor()).unwrap()
    );
}

#[test]
fn adam_leaves_statistics_alone() {
    place::everywhere(|| {
        let values = Var::from_vec(vec![1f32, 2.0], 2, &place::device()).unwrap();
        let statistic = Parameter::new("mean", values, Role::Statistic);
        give(&statistic, &[1.0, 1.0]);
        let mut adam = Adam::new(std::slice::from_ref(&statistic), AdamConfig::default());
        adam.step(0.1).unwrap();
        assert_eq!(flat(statistic.tensor()).unwrap(), [1.0, 2.0]);
    });
}

const COLUMNS: Columns = Columns {
    stride: 13,
    offset: 2,
};

/// Two tables of 11 and 5 rows of 5 units.
fn tables(rule: SparseRule) -> (Vec<Parameter>, EmbeddingTables) {
    let table = |path: &str, rows| parameter(path, &[rows, 5], DType::F32);
    let parameters = vec![table("a", 11), table("b", 5)];
    let tables = EmbeddingTables::new(parameters.clone(), rule).unwrap();
    (parameters, tables)
}

/// Ids of 300 rows that touch every row of both tables.
fn ids(step: u64) -> Vec<u32> {
    let stream = Philox::new(step, "test", "ids");
    let all = (0..300).flat_map(|row| match row {
        0..11 => [row as u32, row as u32 % 5],
        _ => [stream.below(2 * row, 11), stream.below(2 * row + 1, 5)],
    });
    all.collect()
}

/// The gradient of each table as the dense one, rows summed in the order of the batch.
fn dense(ids: &[u32], gradient: &[f32], table: usize, num_rows: usize) -> Vec<f32> {
    let mut sums = vec![0f32; num_rows * 5];
    for (ids, row) in ids.chunks(2).zip(gradient.chunks(COLUMNS.stride)) {
        let from = COLUMNS.offset + table * 5;
        for unit in 0..5 {
            sums[ids[table] as usize * 5 + unit] += row[from + unit];
        }
    }
    sums
}

#[test]
fn sparse_adam_where_every_row_is_touched_is_dense_adam() {
    place::everywhere(|| {
        for weight_decay in [0.0, 0.1] {
            let config = AdamConfig {
                weight_decay,
                ..AdamConfig::default()
            };
            let (sparse, mut embedding) = tables(SparseRule::Adam(config));
            let (whole, _) = tables(SparseRule::Adam(config));
            let mut adam = Adam::new(&whole, config);
            for step in 0..10 {
                let ids = ids(step);
                let gradient = random(&format!("gradient {step}"), 300 * COLUMNS.stride);
                embedding.update(&ids, &gradient, COLUMNS, 0.01).unwrap();
                for (table, parameter) in whole.iter().enumerate() {
                    let rows = parameter.tensor().dims()[0];
                    give(parameter, &dense(&ids, &gradient, table, rows));
                }
                adam.step(0.01).unwrap();
                // A device sums the gradients of a row in segments.
                let allowed = if place::is_cuda_path() { 1e-6 } else { 0.0 };
                for (sparse, whole) in sparse.iter().zip(&whole) {
                    let pairs = flat(sparse.tensor()).unwrap().into_iter();
                    for (sparse, whole) in pairs.zip(flat(whole.tensor()).unwrap()) {
                        assert!((sparse - whole).abs() <= allowed, "{sparse} {whole}");
                    }
                }
            }
        }
    });
}

#[test]
fn row_wise_adagrad_follows_its_formula_over_steps() {
    place::everywhere(|| {
        let (found, mut embedding) = tables(SparseRule::RowWiseAdagrad {
            epsilon: 1e-8,
            weight_decay: 0.0,
        });
        let mut expected: Vec<Vec<f64>> = found.iter().map(|p| flat(p.tensor()).unwrap()).collect();
        let mut squares = [vec![0f64; 11], vec![0f64; 5]];
        for step in 0..10 {
            // Not every row in every step.
            let ids: Vec<u32> = ids(step)[8 * step as usize..16 * step as usize + 8].to_vec();
            let gradient = random(&format!("gradient {step}"), ids.len() / 2 * COLUMNS.stride);
            embedding.update(&ids, &gradient, COLUMNS, 0.05).unwrap();
            for (table, values) in expected.iter_mut().enumerate() {
                let num_rows = squares[table].len();
                let slopes = dense(&ids, &gradient, table, num_rows);
                for row in 0..num_rows {
                    if !ids.chunks(2).any(|ids| ids[table] as usize == row) {
                        continue;
                    }
                    let slopes: Vec<f64> = slopes[row * 5..][..5]
                        .iter()
                        .map(|s| f64::from(*s))
                        .collect();
                    squares[table][row] += slopes.iter().map(|s| s * s).sum::<f64>() / 5.0;
                    for (value, slope) in values[row * 5..][..5].iter_mut().zip(slopes) {
                        *value -= 0.05 * slope / (squares[table][row].sqrt() + 1e-8);
                    }
                }
            }
        }
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in flat(found.tensor()).unwrap().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    });
}

#[test]
fn rows_are_gathered_as_they_are_and_the_rest_of_the_batch_stays() {
    place::everywhere(|| {
        let (parameters, embedding) = tables(SparseRule::Adam(AdamConfig::default()));
        assert_eq!(embedding.output_dim(), 10);
        let ids = ids(0);
        let mut out = vec![7f32; 300 * COLUMNS.stride];
        embedding.gather(&ids, &mut out, COLUMNS).unwrap();
        let values: Vec<Vec<f64>> = parameters
            .iter()
            .map(|p| flat(p.tensor()).unwrap())
            .collect();
        for (row, ids) in out.chunks(COLUMNS.stride).zip(ids.chunks(2)) {
            assert_eq!([row[0], row[1], row[12]], [7.0; 3]);
            for unit in 0..10 {
                let expected = values[unit / 5][ids[unit / 5] as usize * 5 + unit % 5];
                assert_eq!(f64::from(row[2 + unit]), expected);
            }
        }
    });
}

#[test]
fn ids_and_buffers_that_do_not_fit_are_refused() -> Result<()> {
    let (_, mut embedding) = tables(SparseRule::Adam(AdamConfig::default()));
    let buffer = |rows: usize| vec![0f32; rows * COLUMNS.stride];
    let narrow = Columns {
        stride: 11,
        offset: 2,
    };
    let cases: [(&[u32], Vec<f32>, Columns); 6] = [
        (&[11, 0], buffer(1), COLUMNS),
        (&[0, 5], buffer(1), COLUMNS),
        (&[0, 0, 1], buffer(2), COLUMNS),
        (&[0, 0, 1, 1], buffer(1), COLUMNS),
        (&[], buffer(1), COLUMNS),
        (&[0, 0], vec![0.0; 11], narrow),
    ];
    for (ids, mut values, columns) in cases {
        assert!(
            embedding.update(ids, &values, columns, 0.1).is_err(),
            "{ids:?}"
        );
        assert!(
            embedding.gather(ids, &mut values, columns).is_err(),
            "{ids:?}"
        );
    }
    embedding.gather(&[], &mut [], COLUMNS)?;
    embedding.update(&[], &[], COLUMNS, 0.1)
}
