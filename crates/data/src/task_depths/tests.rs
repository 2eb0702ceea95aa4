//! Tests that tasks at depths are what the network of their knobs says, and need the layers that they should.

use super::*;
use crate::TaskKind;
use crate::unit_tasks::UnitTask;
use homebench_metric as metric;

const ROWS: u64 = 20_000;
const WIDTH: usize = 6;

fn config(depths: &[usize]) -> TaskDepthsConfig {
    let tasks = (0..depths.len()).map(|place| UnitTask {
        name: format!("task{place}"),
        kind: TaskKind::Regression,
        scale: 1.0,
    });
    TaskDepthsConfig {
        seed: 9,
        rows: [1000, 100, 100],
        input_dim: WIDTH,
        hidden_dim: WIDTH,
        depths: depths.to_vec(),
        labels: LabelConfig {
            noise: 0.1,
            signal: 2.0,
            tasks: tasks.collect(),
        },
    }
}

fn functions(config: &TaskDepthsConfig) -> TaskDepths {
    let stream = Philox::new(config.seed, SOURCE, "inputs");
    TaskDepths::new(config, &NormalInputs::new(stream, config.input_dim))
}

/// Rows of a column-major matrix.
type Columns = Vec<Vec<f64>>;

/// φ_1, φ_2, ... of the first training rows, unit by unit, written out from the formula.
fn layers_by_hand(config: &TaskDepthsConfig) -> Vec<Columns> {
    let rows = config.generator().rows(0, 0..ROWS).numeric;
    let input = |unit: usize| rows.iter().skip(unit).step_by(WIDTH);
    let mut layers: Vec<Columns> = vec![
        (0..WIDTH)
            .map(|unit| input(unit).map(|x| f64::from(*x)).collect())
            .collect(),
    ];
    for layer in &functions(config).layers {
        let below = layers.last().unwrap();
        let unit = |unit: usize| -> Vec<f64> {
            let value = |row: usize| {
                let mut sum = 0.0;
                for (weight, column) in layer.weights[unit].iter().zip(below) {
                    sum += weight * column[row];
                }
                (sum.abs() - layer.means[unit]) / layer.deviations[unit]
            };
            (0..ROWS as usize).map(value).collect()
        };
        layers.push((0..WIDTH).map(unit).collect());
    }
    layers
}

fn truth(config: &TaskDepthsConfig, task: usize) -> Vec<f64> {
    let outputs = config.generator().true_outputs(0, 0..ROWS, task);
    outputs.into_iter().map(f64::from).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// R² of the best linear function of these columns and a constant, by orthogonalising them.
fn explained(columns: &Columns, values: &[f64]) -> f64 {
    let mut basis: Columns = Vec::new();
    let mut rest = |mut column: Vec<f64>| -> Vec<f64> {
        for direction in &basis {
            let along = dot(direction, &column);
            let pairs = column.iter_mut().zip(direction);
            pairs.for_each(|(value, unit)| *value -= along * unit);
        }
        let length = dot(&column, &column).sqrt();
        basis.push(column.iter().map(|value| value / length).collect());
        column
    };
    rest(vec![1.0; values.len()]);
    for column in columns {
        rest(column.clone());
    }
    let left = rest(values.to_vec());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    1.0 - dot(&left, &left) / dot(&centred, &centred)
}

#[test]
fn truths_are_what_the_formula_gives_by_hand() {
    let config = config(&[1, 2, 3, 4]);
    let layers = layers_by_hand(&config);
    let functions = functions(&config);
    for (task, (layer, head)) in functions.heads.iter().enumerate() {
        assert_eq!(*layer, task);
        let found = truth(&config, task);
        for row in [0, 1, 77, ROWS as usize - 1] {
            let mut sum = 0.0;
            for (weight, column) in head.weights[0].iter().zip(&layers[*layer]) {
                sum += weight * column[row];
            }
            let expected = (sum - head.means[0]) / head.deviations[0];
            assert!((found[row] - expected).abs() < 1e-6, "{task} {row}");
        }
    }
}

#[test]
fn weights_have_length_one_and_units_and_truths_are_standard() {
    let config = config(&[1, 2, 3, 3]);
    for layer in &functions(&config).layers {
        for weights in &layer.weights {
            assert!((dot(weights, weights) - 1.0).abs() < 1e-12);
        }
    }
    let layers = layers_by_hand(&config);
    let truths: Columns = (0..4).map(|task| truth(&config, task)).collect();
    for column in layers.iter().flatten().chain(&truths) {
        let mean = column.iter().sum::<f64>() / ROWS as f64;
        let variance = dot(column, column) / ROWS as f64 - mean * mean;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.06, "{variance}");
    }
}

#[test]
fn a_task_is_linear_in_its_own_layer_and_in_none_above_it() {
    let config = config(&[1, 2, 3]);
    let layers = layers_by_hand(&config);
    for (task, layer) in layers.iter().enumerate() {
        let own = explained(layer, &truth(&config, task));
        assert!(own > 1.0 - 1e-6, "{task}: {own}");
    }
    // What is even has no linear part.
    for task in [1, 2] {
        let linear = explained(&layers[0], &truth(&config, task));
        assert!(linear < 0.01, "{task}: {linear}");
    }
    let shallow = explained(&layers[1], &truth(&config, 2));
    assert!(shallow < 0.3, "{shallow}");
}

#[test]
fn the_best_error_is_that_of_the_noise_at_every_depth_and_scale() {
    let mut config = config(&[1, 2, 3]);
    config.labels.tasks[2].scale = 100.0;
    let rows = config.generator().rows(2, 0..ROWS);
    for (task, scale) in [1.0, 1.0, 100.0].into_iter().enumerate() {
        let labels: Vec<f32> = rows.labels.iter().skip(task).step_by(3).copied().collect();
        let outputs = config.generator().true_outputs(2, 0..ROWS, task);
        let best = metric::root_mean_squared_error(&outputs, &labels).unwrap();
        assert!((best / (0.1 * scale) - 1.0).abs() < 0.03, "{task}: {best}");
        let r_squared = metric::r_squared(&outputs, &labels).unwrap();
        assert!(
            (r_squared - 1.0 / 1.01).abs() < 0.002,
            "{task}: {r_squared}"
        );
    }
}

#[test]
fn a_deeper_task_more_changes_no_other_label() {
    let labels = |depths: &[usize], task: usize| -> Vec<f32> {
        let rows = config(depths).generator().rows(0, 0..500);
        let labels = rows.labels.iter().skip(task).step_by(depths.len());
        labels.copied().collect()
    };
    for task in 0..2 {
        assert_eq!(labels(&[2, 1], task), labels(&[2, 1, 4], task));
    }
}

#[test]
fn a_row_depends_on_the_seed_the_split_and_its_index_alone() {
    let network = config(&[1, 3]).generator();
    let (all, part) = (network.rows(1, 0..100), network.rows(1, 40..60));
    assert_eq!(part.numeric[..], all.numeric[40 * WIDTH..60 * WIDTH]);
    assert_eq!(part.labels[..], all.labels[80..120]);
    assert_ne!(network.rows(2, 0..10).labels, network.rows(1, 0..10).labels);
}
