//! Successive halving and TPE from the command line: the same bytes for any jobs and after any kill, and a promoted trial is in the end
//! what it would be without rungs.

use crate::harness::{Bench, Ran, experiment};
use std::collections::BTreeSet;

/// Rungs of 1, 2 and 4 epochs with 4, 2 and 1 trials.
pub(crate) const HALVING: &str = r#"question = "Which is better, once halved?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 1500
[training]
batch_size = 256
max_epochs = 4
patience = 2
# What a rung must not cut short.
schedule = { kind = "cosine" }
embedding_dropout = 0.1
[tuning]
method = "successive_halving"
eta = 2
trials = 4
seeds = [11]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
[variants.bottom]
model = "shared_bottom"
expert_dims = [8]
"#;

const WITH_TIMES: &[&str] = &[
    "throughput.csv",
    "provenance.toml",
    "log.txt",
    ".lock",
    ".drawn.toml",
    "tries",
];

pub(crate) fn arguments<'a>(out: &'a str, descriptions: &'a str) -> [&'a str; 6] {
    [
        "run",
        "spec.toml",
        "--out",
        out,
        "--descriptions",
        descriptions,
    ]
}

pub(crate) fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    bench.run(&[&arguments(out, &descriptions)[..], more].concat())
}

#[track_caller]
fn assert_same(bench: &Bench, one: &str, other: &str) {
    let files = |out: &str| {
        let mut files = bench.files(out, WITH_TIMES);
        files.retain(|(path, _)| !path.to_string_lossy().contains("figures/throughput"));
        files
    };
    let (one, other) = (files(one), files(other));
    let names = |files: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<_> {
        files.iter().map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(names(&one), names(&other));
    for (one, other) in one.iter().zip(&other) {
        assert!(one.1 == other.1, "{} differs", one.0.display());
    }
}

fn ids(bench: &Bench, out: &str) -> BTreeSet<String> {
    let rows = bench.rows(&format!("{out}/cells.csv"));
    rows.iter().map(|row| row[0].to_owned()).collect()
}

#[test]
fn a_promoted_trial_is_what_it_is_without_rungs_whatever_the_jobs_and_kills() {
    let bench = Bench::new();
    bench.write("spec.toml", HALVING);
    let plan = bench
        .run(&[
            "plan",
            "spec.toml",
            "--out",
            "halved",
            "--descriptions",
            &experiment("datasets"),
        ])
        .expect(0);
    // Four for one epoch, two for one more, one for two more.
    assert!(
        plan.stderr
            .contains("bottom: tuning trains at most 8 epochs in 4 trials, "),
        "{}",
        plan.stderr
    );
    assert_eq!(
        plan.stdout.matches("after-rung-1").count(),
        2,
        "{}",
        plan.stdout
    );
    assert_eq!(
        plan.stdout.matches("after-rung-2").count(),
        1,
        "{}",
        plan.stdout
    );

    run(&bench, "halved", &["--jobs", "1"]).expect(0);
    assert_eq!(ids(&bench, "halved").len(), 4 + 2 + 1 + 1);
    assert_eq!(bench.rows("halved/tuning.csv").len(), 4);
    run(&bench, "jobs", &["--jobs", "3", "--threads", "1"]).expect(0);
    assert_same(&bench, "halved", "jobs");

    // Killed once on each of its rungs, and in the middle of one.
    for step in [1, 7, 15] {
        let out = format!("killed-{step}");
        let descriptions = experiment("datasets");
        let mut command = bench.command(&arguments(&out, &descriptions));
        let fault = format!("bottom/11=kill@{step}");
        let killed = command.env("HOMEBENCH_FAULTS", fault).output().unwrap();
        assert_eq!(killed.status.code(), Some(1));
        run(&bench, &out, &[]).expect(0);
        assert_same(&bench, "halved", &out);
    }
    let status = bench.run(&["status", "halved"]).expect(0).stdout;
    assert!(status.contains("8 cells: 8 done"), "{status}");
    let again = run(&bench, "halved", &[]).expect(0);
    assert!(
        again.stderr.contains("7 of 7 trials are done already"),
        "{}",
        again.stderr
    );

    // The same trials, each trained to its end.
    let random = HALVING.replace(
        "method = \"successive_halving\"\neta = 2",
        "method = \"random\"\nsampling = \"latin_hypercube\"",
    );
    bench.write("spec.toml", &random);
    run(&bench, "plain", &[]).expect(0);
    let (halved, plain) = (ids(&bench, "halved"), ids(&bench, "plain"));
    let both: Vec<&String> = halved.intersection(&plain).collect();
    // The trial of the last rung at least; the final cell too where the same one won.
    assert!(!both.is_empty());
    for id in both {
        let of = |out: &str| bench.read(&format!("{out}/cells/{id}/outcome.toml"));
        assert!(of("halved") == of("plain"), "{id}");
    }
}

#[test]
fn tpe_suggests_the_same_whatever_the_jobs_and_kills() {
    let bench = Bench::new();
    let spec = HALVING.replace(
        "method = \"successive_halving\"\neta = 2\ntrials = 4",
        "method = \"tpe\"\nstartup_trials = 3\ngeneration_size = 2\ntrials = 6",
    );
    bench.write(
        "spec.toml",
        &spec.replace("max_epochs = 4", "max_epochs = 1"),
    );
    run(&bench, "one", &["--jobs", "1"]).expect(0);
    assert_eq!(bench.rows("one/tuning.csv").len(), 6);
    run(&bench, "two", &["--jobs", "2", "--threads", "1"]).expect(0);
    assert_same(&bench, "one", "two");
    let descriptions = experiment("datasets");
    let mut command = bench.command(&arguments("killed", &descriptions));
    let killed = command
        .env("HOMEBENCH_FAULTS", "bottom/11=kill@3")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), Some(1));
    run(&bench, "killed", &[]).expect(0);
    assert_same(&bench, "one", "killed");
    let status = bench.run(&["status", "one"]).expect(0).stdout;
    assert!(status.contains("7 cells: 7 done"), "{status}");
    // And once more from the resolved spec.
    bench.write("spec.toml", &bench.read("one/spec.resolved.toml"));
    run(&bench, "resolved", &[]).expect(0);
    assert_same(&bench, "one", "resolved");
}
