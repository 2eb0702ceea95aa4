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
    for set in sets(&bench, &["portable", "avx2", "avx512"]) {
        run(set).expect(0);
        bench.assert_same_results(set, "best");
    }
}

/// Of some instruction sets, those that this processor has.
fn sets<'a>(bench: &Bench, names: &[&'a str]) -> Vec<&'a str> {
    let is_there = |name: &&&str| {
        let variable = ("HOMEBENCH_INSTRUCTIONS", **name);
        bench.run_with(variable, &["devices"]).code != Some(2)
    };
    names.iter().filter(is_there).copied().collect()
}

/// HoME and what goes through candle's graph (layer norm, feature gates that mix before the sigmoid), in each precision.
fn precisions() -> String {
    let mut spec =
        "question = \"Which?\"\nseeds = [1]\n\n[dataset]\nname = \"synthetic\"\nrows = 300\n\n\
        [training]\nbatch_size = 128\nmax_epochs = 1\n"
            .to_owned();
    for precision in ["f32", "bf16", "bf16x3"] {
        for (name, knobs) in [
            ("home", "model = \"home\"\nrank = 4"),
            (
                "before_sigmoid",
                "model = \"home\"\nfeature_gate_mix = \"before_sigmoid\"",
            ),
            (
                "layer_norm",
                "model = \"mmoe\"\nnorm = \"layer\"\nactivation = \"silu\"",
            ),
        ] {
            spec += &format!("\n[variants.{name}_{precision}]\n{knobs}\n");
            spec += &format!("training.precision = \"{precision}\"\n");
        }
    }
    spec
}

#[test]
fn instruction_sets_change_no_byte_of_any_precision() {
    let bench = Bench::new();
    bench.write("precisions.toml", &precisions());
    let descriptions = experiment("datasets");
    let run = |out: &str, variable: (&str, &str)| {
        let words = ["run", "precisions.toml", "--descriptions", &descriptions];
        let words = [&words[..], &["--out", out]].concat();
        bench.run_with(variable, &words).expect(0);
    };
    // An empty variable says nothing: the best set.
    run("best", ("HOMEBENCH_INSTRUCTIONS", ""));
    for set in sets(&bench, &["portable", "avx2", "avx512"]) {
        run(set, ("HOMEBENCH_INSTRUCTIONS", set));
        bench.assert_same_results(set, "best");
    }
    // The precision reached the products: no two of a model's three have the same scores.
    let rows = bench.rows("best/metrics.csv");
    let scores = |variant: &str| -> Vec<String> {
        let of_variant = rows.iter().filter(|row| &row[1] == variant);
        of_variant.map(|row| row[6].to_owned()).collect()
    };
    for name in ["home", "before_sigmoid", "layer_norm"] {
        let [f32, bf16, bf16x3] =
            ["f32", "bf16", "bf16x3"].map(|precision| scores(&format!("{name}_{precision}")));
        assert!(!f32.is_empty(), "{rows:?}");
        assert!(f32 != bf16 && f32 != bf16x3 && bf16 != bf16x3, "{name}");
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
