//! Tests that the tasks of an arc agree as much as they should, and that the best scores are what they should be.

use super::*;
use crate::TaskKind;
use crate::tests::correlation;
use crate::unit_tasks::UnitTask;
use homebench_metric as metric;

const ROWS: u64 = 40_000;

fn task(name: usize, kind: TaskKind) -> UnitTask {
    UnitTask {
        name: format!("t{name}"),
        kind,
        scale: 1.0,
    }
}

/// Eight regressions; with waves or without.
fn config(waves: &[(f64, f64)]) -> TaskArcConfig {
    TaskArcConfig {
        seed: 3,
        rows: [1000, 100, 100],
        input_dim: 7,
        step_degrees: 25.0,
        frequencies: waves.iter().map(|(a, _)| *a).collect(),
        phases: waves.iter().map(|(_, b)| *b).collect(),
        labels: LabelConfig {
            noise: 0.2,
            signal: 2.0,
            tasks: (0..8)
                .map(|name| task(name, TaskKind::Regression))
                .collect(),
        },
    }
}

/// The same with classes in place of numbers in every second task.
fn mixed() -> TaskArcConfig {
    let mut config = config(&[]);
    for task in config.labels.tasks.iter_mut().skip(1).step_by(2) {
        task.kind = TaskKind::Classification;
    }
    config
}

fn truth(config: &TaskArcConfig, task: usize) -> Vec<f64> {
    let outputs = config.generator().true_outputs(0, 0..ROWS, task);
    outputs.into_iter().map(f64::from).collect()
}

fn labels(config: &TaskArcConfig, task: usize) -> Vec<f32> {
    let rows = config.generator().rows(0, 0..ROWS);
    let width = config.labels.tasks.len();
    rows.labels
        .iter()
        .skip(task)
        .step_by(width)
        .copied()
        .collect()
}

#[test]
fn true_functions_correlate_by_the_cosine_of_their_angle() {
    let config = config(&[]);
    let truths: Vec<_> = (0..8).map(|task| truth(&config, task)).collect();
    for one in 0..8 {
        for other in 0..8 {
            let angle = (25.0 * (one as f64 - other as f64)).to_radians();
            assert!((config.correlation(one, other) - angle.cos()).abs() < 1e-12);
            let found = correlation(&truths[one], &truths[other]);
            assert!((found - angle.cos()).abs() < 0.02, "{one} {other}: {found}");
        }
    }
    assert!(config.correlation(0, 7) < -0.99);
}

#[test]
fn with_waves_correlations_means_and_variances_are_those_of_the_closed_form() {
    for waves in [
        vec![(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)],
        vec![(1.0, 0.5), (2.5, -1.0)],
        vec![(0.7, 2.0)],
    ] {
        let config = config(&waves);
        let truths: Vec<_> = (0..8).map(|task| truth(&config, task)).collect();
        for values in &truths {
            let mean = values.iter().sum::<f64>() / ROWS as f64;
            let squares = values.iter().map(|value| value * value);
            let variance = squares.sum::<f64>() / ROWS as f64;
            assert!(mean.abs() < 0.02, "{mean}");
            assert!((variance - 1.0).abs() < 0.03, "{variance}");
        }
        for other in 0..8 {
            let expected = config.correlation(0, other);
            let found = correlation(&truths[0], &truths[other]);
            assert!(
                (found - expected).abs() < 0.02,
                "{other}: {found} {expected}"
            );
        }
    }
    // An odd function falls all the way.
    let odd = config(&[(1.0, 0.0), (3.0, 0.0)]);
    let along: Vec<f64> = (0..8).map(|other| odd.correlation(0, other)).collect();
    assert!(along.is_sorted_by(|a, b| a > b), "{along:?}");
}

#[test]
fn the_best_error_of_a_regression_is_that_of_its_noise_at_any_scale() {
    let plain = config(&[(2.0, 0.3)]);
    let mut scaled = plain.clone();
    scaled.labels.tasks[5].scale = 100.0;
    for (config, scale) in [(&plain, 1.0), (&scaled, 100.0)] {
        let outputs = config.generator().true_outputs(0, 0..ROWS, 5);
        let best = metric::root_mean_squared_error(&outputs, &labels(config, 5)).unwrap();
        assert!((best / (0.2 * scale) - 1.0).abs() < 0.02, "{best}");
    }
    let pairs = labels(&plain, 5).into_iter().zip(labels(&scaled, 5));
    for (plain, scaled) in pairs {
        assert!((scaled - 100.0 * plain).abs() <= 2e-5 * scaled.abs().max(1.0));
    }
    assert_eq!(labels(&plain, 4), labels(&scaled, 4));
}

#[test]
fn the_best_auc_of_a_classification_is_that_of_its_logits() {
    let config = mixed();
    let logits = config.generator().true_outputs(0, 0..ROWS, 3);
    let labels = labels(&config, 3);
    assert!(labels.iter().all(|label| *label == 0.0 || *label == 1.0));
    // Two rows: a positive one weighs by the probability of that, a negative one likewise; normal logits on a grid.
    let grid = (-400..=400).map(|step| f64::from(step) / 50.0);
    let cells = grid.map(|x| {
        let (density, probability) = ((-x * x / 2.0).exp(), 1.0 / (1.0 + (-2.0 * x).exp()));
        (density * probability, density * (1.0 - probability))
    });
    let (mut below, mut both, mut positives) = (0.0, 0.0, 0.0);
    for (positive, negative) in cells {
        both += positive * (below + negative / 2.0);
        below += negative;
        positives += positive;
    }
    let expected = both / (positives * below);
    let best = metric::auc(&logits, &labels).unwrap();
    assert!((best - expected).abs() < 0.01, "{best} {expected}");
    // Logits are calibrated: rows with logits near 1 are positive as often as they say.
    let near = logits.iter().zip(&labels);
    let near: Vec<f32> = near
        .filter(|(logit, _)| (**logit - 1.0).abs() < 0.2)
        .map(|(_, label)| *label)
        .collect();
    let rate = near.iter().sum::<f32>() / near.len() as f32;
    assert!((rate - 0.731).abs() < 0.03, "{rate}");
}

#[test]
fn losses_of_two_kinds_stand_side_by_side() {
    let config = mixed();
    assert_eq!(config.labels.regressions(), [0, 2, 4, 6]);
    // The kind of a task changes no other task's labels.
    let numbers = self::config(&[]);
    assert_eq!(labels(&config, 2), labels(&numbers, 2));
    let truths = [2, 3].map(|task| truth(&config, task));
    let found = correlation(&truths[0], &truths[1]);
    assert!((found - config.correlation(2, 3)).abs() < 0.02, "{found}");
}

#[test]
fn the_first_tasks_of_a_longer_arc_are_those_of_a_shorter_one() {
    let long = config(&[(1.0, 0.0)]);
    let mut short = long.clone();
    short.labels.tasks.truncate(3);
    for task in 0..3 {
        assert_eq!(labels(&long, task), labels(&short, task));
    }
}

#[test]
fn a_row_depends_on_the_seed_the_split_and_its_index_alone() {
    let arc = config(&[]).generator();
    let (all, part) = (arc.rows(1, 0..100), arc.rows(1, 40..60));
    assert_eq!(part.numeric[..], all.numeric[40 * 7..60 * 7]);
    assert_eq!(part.labels[..], all.labels[40 * 8..60 * 8]);
    assert_eq!(
        arc.true_outputs(1, 40..60, 2),
        arc.true_outputs(1, 0..100, 2)[40..60]
    );
    assert_ne!(arc.rows(2, 0..10).numeric, arc.rows(1, 0..10).numeric);
    let other = TaskArcConfig {
        seed: 4,
        ..config(&[])
    };
    assert_ne!(other.generator().rows(1, 0..10).numeric, all.numeric[..70]);
}
