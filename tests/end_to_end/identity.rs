//! The same experiment gives the same bytes, whatever jobs and threads it ran with.

use crate::harness::{Bench, experiment};

/// What may hold times, and the log.
const WITH_TIMES: &[&str] = &[
    "throughput.csv",
    "provenance.toml",
    "log.txt",
    "outcome.toml",
    ".lock",
    ".drawn.toml",
    "report.md",
];

#[test]
fn jobs_and_threads_change_no_byte() {
    let bench = Bench::new();
    let settings: [(&str, &[&str]); 3] = [
        ("one", &["--jobs", "1", "--threads", "1"]),
        ("two", &["--jobs", "2", "--threads", "1"]),
        ("three", &["--jobs", "1", "--threads", "3"]),
    ];
    for (out, more) in settings {
        bench
            .quickstart(out, &[more, &["--set", "seeds=[1, 2]"]].concat())
            .expect(0);
    }
    for other in ["two", "three"] {
        for table in [
            "cells.csv",
            "metrics.csv",
            "curves.csv",
            "spec.resolved.toml",
        ] {
            let (first, second) = (
                bench.read(&format!("one/{table}")),
                bench.read(&format!("{other}/{table}")),
            );
            assert_eq!(first, second, "{table} of {other}");
        }
    }
    let charts_have_times = |path: &std::path::Path| path.to_string_lossy().contains("throughput");
    let left = |out| {
        let mut files = bench.files(out, WITH_TIMES);
        files.retain(|(path, _)| !charts_have_times(path));
        files
    };
    assert!(
        left("one") == left("two"),
        "weights, charts or parts differ between jobs"
    );
    assert!(
        left("one") == left("three"),
        "weights, charts or parts differ between threads"
    );
}

/// A cell of every architecture, under every instruction set that this processor has.
#[test]
fn instruction_sets_change_no_byte() {
    let bench = Bench::new();
    let (spec, descriptions) = (experiment("zoo.toml"), experiment("datasets"));
    let run = |set: &str| {
        let words = [
            "run",
            &spec,
            "--out",
            set,
            "--descriptions",
            &descriptions,
            "--set",
            "dataset.rows=300",
            "--set",
            "training.max_epochs=1",
            "--set",
            "training.batch_size=128",
        ];
        match set {
            "best" => bench.run(&words),
            set => bench.run_with(("HOMEBENCH_INSTRUCTIONS", set), &words),
        }
    };
    run("best").expect(0);
    for set in ["portable", "avx2"] {
        let variable = ("HOMEBENCH_INSTRUCTIONS", set);
        if bench.run_with(variable, &["devices"]).code == Some(2) {
            // Not every processor has it.
            continue;
        }
        run(set).expect(0);
        bench.assert_same_results(set, "best");
    }
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused() {
    let variable = ("HOMEBENCH_INSTRUCTIONS", "avx9");
    let bench = Bench::new();
    let stderr = bench.run_with(variable, &["devices"]).expect(2).stderr;
    let expected = "\
        error: HOMEBENCH_INSTRUCTIONS: `avx9` is no instruction set\n\
        hint: unset it to use the best one of this processor, or set it to ";
    assert!(stderr.starts_with(expected), "{stderr}");
    // One that is empty says nothing, as in shells.
    let empty = ("HOMEBENCH_INSTRUCTIONS", "");
    let best = bench.run(&["devices"]).expect(0).stdout;
    assert_eq!(bench.run_with(empty, &["devices"]).expect(0).stdout, best);
    for name in ["HOMEBENCH_CACHE", "HOMEBENCH_DATA"] {
        bench
            .quickstart_with((name, ""), name, &["--only", "shared_bottom/1"])
            .expect(0);
    }
}

#[test]
fn another_seed_gives_other_numbers() {
    let bench = Bench::new();
    bench
        .quickstart("out", &["--set", "seeds=[1, 2]", "--only", "mmoe/*"])
        .expect(0);
    let values = |seed: &str| -> Vec<String> {
        let rows = bench.rows("out/metrics.csv");
        let of_seed = rows.iter().filter(|row| &row[2] == seed);
        of_seed.map(|row| row[6].to_owned()).collect()
    };
    assert_eq!(values("1").len(), values("2").len());
    assert_ne!(values("1"), values("2"));
}
