//! Cells that fail, output that can't be written, folders that are someone else's.

use crate::harness::Bench;

#[test]
fn a_loss_that_is_no_number_fails_its_cell_and_the_others_go_on() {
    let bench = Bench::new();
    let more = [
        "--set",
        "seeds=[1]",
        "--set",
        "variants.mmoe.training.learning_rate=1e30",
    ];
    let ran = bench.quickstart("out", &more).expect(1);
    let cells = bench.rows("out/cells.csv");
    let state: Vec<&str> = cells.iter().map(|row| &row[5]).collect();
    assert_eq!(state, ["done", "failed", "done"]);
    let error = &cells[1][6];
    assert!(
        error.contains("loss became") && error.contains("at step"),
        "{error}"
    );
    assert!(error.contains("the last finite loss was"), "{error}");
    assert!(ran.stderr.contains("failed: mmoe/1"), "{}", ran.stderr);
    let id = &cells[1][0];
    assert!(
        bench
            .rows("out/metrics.csv")
            .iter()
            .all(|row| &row[0] != id)
    );
    // A failed cell is tried again, and counted.
    let again = bench.quickstart("out", &more).expect(1);
    assert!(
        again.stderr.contains("mmoe/1: failed before, trying again"),
        "{}",
        again.stderr
    );
    let log = format!("cells/{id}/log.txt");
    let row = &bench.rows("out/cells.csv")[1];
    assert_eq!([&row[15], &row[16]], ["1", &log]);
    assert!(bench.read(&format!("out/{log}")).contains("--- try 2, "));
}

#[test]
fn weights_that_diverge_in_the_last_step_fail_their_cell_and_the_folder_can_be_read() {
    let bench = Bench::new();
    // One step alone: its loss is of fresh weights, and nothing is trained after it.
    let more = [
        "--set",
        "seeds=[1]",
        "--set",
        "training.max_epochs=1",
        "--set",
        "training.batch_size=100000",
        "--set",
        "variants.mmoe.training.optimizer=sgd",
        "--set",
        "variants.mmoe.training.learning_rate=1e30",
    ];
    bench.quickstart("out", &more).expect(1);
    let cells = bench.rows("out/cells.csv");
    let state: Vec<&str> = cells.iter().map(|row| &row[5]).collect();
    assert_eq!(state, ["done", "failed", "done"]);
    let error = &cells[1][6];
    for part in [
        "the prediction of the task `",
        " of the validation split",
        "after step 1, epoch 1",
    ] {
        assert!(error.contains(part), "{error}");
    }
    for table in [
        "cells.csv",
        "metrics.csv",
        "curves.csv",
        "experts.csv",
        "gates.csv",
    ] {
        let text = bench.read(&format!("out/{table}"));
        assert!(
            !text.contains(",inf") && !text.contains(",-inf") && !text.contains(",NaN"),
            "{table}"
        );
    }
    bench.run(&["report", "out"]).expect(0);
    bench.run(&["status", "out"]).expect(1);
}

#[test]
fn a_task_of_weight_zero_is_said_to_have_no_part_in_selection() {
    let bench = Bench::new();
    let more = [
        "--set",
        "seeds=[1]",
        "--set",
        "training.task_weights={ like = 0.0 }",
        "--only",
        "shared_bottom/1",
    ];
    let ran = bench.quickstart("out", &more).expect(0);
    let said = "weight 0 for like: scored, but neither trained nor part of the choice of epochs and trials";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let report = bench.report("out");
    assert!(
        report.contains("neither trained nor part of the choice of epochs and trials: like."),
        "{report}"
    );
    // The score that is selected by is the mean over the other tasks.
    let cells = bench.rows("out/cells.csv");
    let (epoch, score): (&str, f64) = (&cells[0][7], cells[0][9].parse().unwrap());
    let aucs: Vec<f64> = bench
        .rows("out/curves.csv")
        .iter()
        .filter(|row| {
            &row[3] == epoch && &row[5] == "validation" && &row[7] == "auc" && &row[6] != "like"
        })
        .map(|row| row[8].parse().unwrap())
        .collect();
    let mean = aucs.iter().sum::<f64>() / aucs.len() as f64;
    assert!((score - mean).abs() < 1e-12, "{score} is not {mean}");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("out")).unwrap();
    bench.write("out/thesis.txt", "years of work");
    let refused = bench.quickstart("out", &["--fresh"]).expect(2);
    assert!(
        refused.stderr.contains("holds no results of homebench"),
        "{}",
        refused.stderr
    );
    assert_eq!(bench.files("out", &[]).len(), 1);
}

#[test]
fn what_a_start_left_that_was_killed_as_it_wrote_the_spec_is_no_obstacle() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("out")).unwrap();
    bench.write("out/.lock", "4194303 on nowhere");
    bench.write("out/.spec.resolved.toml.4194303-0.part", "question = ");
    let small = ["--set", "seeds=[1]", "--only", "shared_bottom/1"];
    bench.quickstart("out", &small).expect(0);
    let left = bench.files("out", &[]);
    let is_partial = |path: &std::path::Path| path.extension().is_some_and(|end| end == "part");
    assert!(left.iter().all(|(path, _)| !is_partial(path)));
}

#[test]
fn finished_cells_of_another_spec_are_not_replaced_unasked() {
    let bench = Bench::new();
    let small = ["--set", "seeds=[1]", "--only", "shared_bottom/1"];
    bench.quickstart("out", &small).expect(0);
    let before = bench.read("out/metrics.csv");
    let other = [&small[..], &["--set", "training.learning_rate=0.01"]].concat();
    let refused = bench.quickstart("out", &other).expect(2);
    assert!(
        refused
            .stderr
            .contains("1 finished cells that this experiment does not have: of shared_bottom/1, `training.learning_rate` was 0.001, is 0.01"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--fresh"), "{}", refused.stderr);
    assert_eq!(before, bench.read("out/metrics.csv"));
    bench
        .quickstart("out", &[&other[..], &["--fresh"]].concat())
        .expect(0);
    assert_ne!(before, bench.read("out/metrics.csv"));
}

#[test]
fn a_cell_altered_by_hand_is_seen_and_not_reused() {
    let bench = Bench::new();
    let small = ["--set", "seeds=[1]", "--only", "shared_bottom/1"];
    bench.quickstart("out", &small).expect(0);
    let before = bench.read("out/metrics.csv");
    let id = bench.rows("out/cells.csv")[0][0].to_owned();
    let outcome = format!("out/cells/{id}/outcome.toml");
    let text = bench.read(&outcome);
    bench.write(&outcome, &text.replace(",auc,0.", ",auc,0.9"));
    assert_ne!(bench.read(&outcome), text);
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert!(status.contains("outcome.toml: altered"), "{status}");
    let again = bench.quickstart("out", &small).expect(0);
    assert!(
        again.stderr.contains("outcome.toml: altered")
            && again.stderr.contains("its cell is not reused"),
        "{}",
        again.stderr
    );
    assert_eq!(before, bench.read("out/metrics.csv"));
    // So is a merged table; the other variants are missing either way.
    let is_altered = || {
        let status = bench.run(&["status", "out"]).expect(1).stdout;
        status.contains("\nmetrics.csv: altered")
    };
    assert!(!is_altered());
    bench.write("out/metrics.csv", &before.replace("0.", "0.9"));
    assert!(is_altered());
    bench.quickstart("out", &small).expect(0);
    assert!(!is_altered());
    bench.quickstart("out", &["--set", "seeds=[1]"]).expect(0);
    bench.run(&["status", "out"]).expect(0);
}

#[test]
fn output_that_cannot_be_written_is_said() {
    let bench = Bench::new();
    // A file where a folder should be: refused for every user, root included.
    bench.write("results", "a file");
    let refused = bench.quickstart("results/quick", &[]).expect(2);
    assert!(
        refused
            .stderr
            .contains("error: results/quick: can't be written"),
        "{}",
        refused.stderr
    );
    assert!(
        refused
            .stderr
            .contains("`homebench run` takes one with `--out DIR`"),
        "{}",
        refused.stderr
    );
}
