//! `[selection]`: epochs, trials and what is said of them go by what the spec chose.

use crate::harness::{Bench, Ran, experiment};
use std::collections::BTreeMap;

const SPEC: &str = r#"question = "Which is better by what counts here?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 3000
[training]
batch_size = 256
max_epochs = 4
patience = 4
learning_rate = 2e-2
[selection]
metric = "gauc"
tasks = { click = 1.0, like = 3.0 }
[tuning]
trials = 2
seeds = [11]
[tuning.random]
"training.learning_rate" = { log_range = [1e-3, 1e-1] }
[variants.bottom]
model = "shared_bottom"
expert_dims = [8]
"#;

fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        out,
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&arguments, more].concat())
}

/// The best epoch of a cell's curve by the weighted mean over tasks of a metric, and its score.
fn best(bench: &Bench, cell: &str, metric: &str, weights: &[(&str, f64)], sign: f64) -> (u64, f64) {
    let mut epochs = BTreeMap::<u64, f64>::new();
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    for row in bench.rows_of(cell, "curves.csv") {
        let weight = weights.iter().find(|(task, _)| *task == &row[6]);
        if let (true, Some((_, weight))) = (&row[5] == "validation" && &row[7] == metric, weight) {
            let value: f64 = row[8].parse().expect("a value");
            *epochs.entry(row[3].parse().expect("an epoch")).or_default() +=
                sign * weight * value / total;
        }
    }
    let better = |best: (u64, f64), (epoch, score): (&u64, &f64)| match *score > best.1 {
        true => (*epoch, *score),
        false => best,
    };
    epochs.iter().fold((0, f64::MIN), better)
}

#[track_caller]
pub(crate) fn assert_selected(
    bench: &Bench,
    out: &str,
    metric: &str,
    weights: &[(&str, f64)],
    sign: f64,
) {
    for row in bench.rows(&format!("{out}/cells.csv")) {
        let cell = format!("{out}/cells/{}", &row[0]);
        let (epoch, score) = best(bench, &cell, metric, weights, sign);
        assert_eq!(row[7], epoch.to_string(), "{row:?}");
        let found: f64 = row[9].parse().expect("a score");
        assert!((found - score).abs() < 1e-12, "{row:?} {score}");
    }
}

#[test]
fn epochs_and_trials_go_by_the_metric_and_the_tasks_of_the_spec_and_it_is_said() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    let ran = run(&bench, "out", &[]).expect(0);
    let said = "epochs and trials are selected on validation by the mean of GAUC over click (weight 1) and like (weight 3)";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let weights = [("click", 1.0), ("like", 3.0)];
    assert_selected(&bench, "out", "gauc", &weights, 1.0);
    let report = bench.report("out");
    assert!(
        report.contains("by the mean of GAUC over click (weight 1) and like (weight 3)"),
        "{report}"
    );
    let resolved = bench.read("out/spec.resolved.toml");
    assert!(
        resolved.contains("[selection]\nmetric = \"gauc\"\ncombine = \"mean\"\n"),
        "{resolved}"
    );
    // The best trial by that score has won.
    let scores: Vec<f64> = bench
        .rows("out/tuning.csv")
        .iter()
        .map(|row| row[4].parse().expect("a score"))
        .collect();
    let winner = if scores[1] > scores[0] { 2 } else { 1 };
    assert!(
        bench
            .read("out/winners.toml")
            .contains(&format!("trial = {winner}\n"))
    );
    // What is there fits its curve, so it is used again.
    let again = run(&bench, "out", &[]).expect(0);
    assert!(
        again.stderr.contains("1 of 1 cells are done already"),
        "{}",
        again.stderr
    );
}

#[test]
fn lower_losses_win_and_the_default_is_what_it_is_without_the_table() {
    let bench = Bench::new();
    let by_loss = SPEC.replace(
        "metric = \"gauc\"\ntasks = { click = 1.0, like = 3.0 }",
        "metric = \"log_loss\"\ntasks = { like = 1.0 }",
    );
    bench.write("spec.toml", &by_loss);
    run(&bench, "loss", &[]).expect(0);
    assert_selected(&bench, "loss", "log_loss", &[("like", 1.0)], -1.0);

    let without = SPEC.replace(
        "[selection]\nmetric = \"gauc\"\ntasks = { click = 1.0, like = 3.0 }\n",
        "",
    );
    bench.write("spec.toml", &without);
    run(&bench, "without", &[]).expect(0);
    let default = SPEC.replace(
        "metric = \"gauc\"\ntasks = { click = 1.0, like = 3.0 }",
        "metric = \"main\"",
    );
    bench.write("spec.toml", &default);
    run(&bench, "default", &[]).expect(0);
    let cells = |out: &str| bench.read(&format!("{out}/cells.csv"));
    assert_eq!(cells("without"), cells("default"));
    assert_ne!(cells("without"), cells("loss"));
    let id = bench.rows("default/cells.csv")[0][0].to_owned();
    let content = bench.part(&format!("default/cells/{id}"), "cell.toml");
    assert!(!content.contains("selection"), "{content}");
}
