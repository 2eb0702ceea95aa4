//! Two results folders against each other.

use crate::harness::Bench;

/// Spoils every test AUC of a variant by a little that differs from seed to seed.
fn spoil(bench: &Bench, folder: &str, variant: &str, by: f64) {
    let file = format!("{folder}/metrics.csv");
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut reader = csv::Reader::from_path(bench.path(&file)).expect("a table");
    writer
        .write_record(reader.headers().expect("a header"))
        .expect("in memory");
    for record in reader.records() {
        let record = record.expect("a row");
        let mut fields: Vec<String> = record.iter().map(str::to_owned).collect();
        if &record[1] == variant && &record[3] == "test" && &record[5] == "auc" {
            let seed: f64 = record[2].parse().expect("a seed");
            let value: f64 = record[6].parse().expect("a value");
            fields[6] = (value - by * (1.0 + 0.01 * seed)).to_string();
        }
        writer.write_record(fields).expect("in memory");
    }
    let bytes = writer.into_inner().expect("in memory");
    bench.write(&file, std::str::from_utf8(&bytes).expect("UTF-8"));
}

fn copy(bench: &Bench, from: &str, to: &str) {
    std::fs::create_dir(bench.path(to)).expect("an empty place");
    for name in [
        "cells.csv",
        "metrics.csv",
        "spec.resolved.toml",
        "provenance.toml",
    ] {
        bench.write(
            &format!("{to}/{name}"),
            &bench.read(&format!("{from}/{name}")),
        );
    }
    bench.unseal(to);
}

#[test]
fn a_repeat_is_identical_and_a_spoilt_variant_is_a_regression() {
    let bench = Bench::new();
    let spec = ["--only", "*/*", "--set", "training.max_epochs=1"];
    bench.quickstart("a", &spec).expect(0);
    copy(&bench, "a", "b");
    let same = bench.run(&["diff", "a", "b"]).expect(0).stdout;
    let first = "A and B have the same settings and data.\n\n";
    assert!(same.starts_with(first), "{same}");
    let rows = same.lines().skip(3).take_while(|line| !line.is_empty());
    assert!(rows.clone().count() >= 3 * 4 * 2, "{same}");
    assert!(
        rows.clone().all(|line| line.contains("identical")),
        "{same}"
    );

    spoil(&bench, "b", "mmoe", 0.02);
    let worse = bench.run(&["diff", "a", "b", "--metric", "auc"]).expect(1);
    for line in worse.stdout.lines().skip(3).take(12) {
        assert_eq!(line.contains("worse"), line.starts_with("mmoe"), "{line}");
    }
    assert!(
        worse.stdout.contains("B against A: 0 better; 4 worse;"),
        "{}",
        worse.stdout
    );
    let better = bench
        .run(&["diff", "b", "a", "--metric", "auc"])
        .expect(0)
        .stdout;
    assert!(better.contains("4 better; 0 worse"), "{better}");

    let csv = bench
        .run(&["diff", "a", "b", "--metric", "auc", "--csv"])
        .expect(1)
        .stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let records: Vec<_> = reader.records().collect::<Result<_, _>>().expect("a table");
    assert_eq!(records.len(), 12);
    assert!(records.iter().all(|row| row.len() == 16));
}

#[test]
fn folders_that_cannot_be_compared_are_refused() {
    let bench = Bench::new();
    bench.quickstart("a", &["--only", "mmoe/1"]).expect(0);
    bench.quickstart("b", &["--only", "home/1"]).expect(0);
    let mut said = String::new();
    for arguments in [
        &["diff", "a", "nowhere"][..],
        &["diff", "a", "b"],
        &["diff", "a", "a", "--metric", "acu"],
        &["diff", "a", "a", "--metric", "calibration"],
    ] {
        said += &bench.run(arguments).expect(2).stderr;
    }
    bench.write("a/metrics.csv", "cell,variant\n");
    said += &bench.run(&["diff", "b", "a"]).expect(2).stderr;
    insta::assert_snapshot!(said, @"
    error: nowhere: no such folder
    hint: `homebench run <spec.toml>` makes one, by default as runs/<name of the spec>
    error: a and b: no variant, task and seed with a test score is in both
    hint: a has mmoe on click, long_view, like, follow; b has home on click, long_view, like, follow
    error: acu: no such metric in either folder; there are auc, log_loss, normalised_entropy, calibration, expected_calibration_error, gauc, gauc_unweighted, gauc_users, gauc_users_left_out, best_auc, auc_regret
    hint: did you mean `auc`?
    error: calibration: of this metric neither way is better, so it has no verdict
    hint: leave `--metric` away to compare every metric that has one
    warning: a/metrics.csv: altered since homebench wrote it
    hint: restore it, or run the experiment again, which writes it anew
    error: a/metrics.csv, line 1: expected a column `split`, found cell,variant
    hint: `homebench run DIR/spec.resolved.toml --out DIR` writes it again, where DIR is the results folder
    ");
}
