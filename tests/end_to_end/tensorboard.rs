//! Event files for TensorBoard: beside the results and no part of them, each point once however often a cell was killed.

use crate::harness::{Bench, experiment};
use std::path::Path;

const SPEC: &str = r#"question = "Which?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 1500
[training]
batch_size = 100
max_epochs = 2
evaluations_per_epoch = 3
patience = 9
embedding_dim = 2
[run]
checkpoint_every_seconds = 0
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"#;

fn run(bench: &Bench, out: &str, faults: &str, more: &[&str]) -> String {
    let descriptions = experiment("datasets");
    let words = [
        "run",
        "spec.toml",
        "--descriptions",
        &descriptions,
        "--out",
        out,
    ];
    let words = [&words, more].concat();
    let ran = bench.run_with(("HOMEBENCH_FAULTS", faults), &words);
    ran.expect(0).stderr
}

/// The one event file of the cell, in records: a length of 8 bytes, a checksum of 4, the event, a checksum of 4.
fn records(bench: &Bench, out: &str) -> Vec<Vec<u8>> {
    let files = bench.files(&format!("{out}/tensorboard"), &[]);
    let [(path, text)] = &files[..] else {
        panic!("{} event files", files.len())
    };
    assert_eq!(path.parent(), Some(Path::new("mmoe/1")));
    let mut rest = &text[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        records.push(rest[12..12 + length].to_vec());
        rest = &rest[12 + length + 4..];
    }
    records
}

/// An event without its time, which is its first field.
fn without_time(events: &[Vec<u8>]) -> Vec<&[u8]> {
    events.iter().map(|event| &event[9..]).collect()
}

#[test]
fn points_are_there_once_after_kills_and_results_are_those_of_a_run_without() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    let with = ["--set", "run.tensorboard=true"];
    run(&bench, "plain", "", &[]);
    let said = run(&bench, "whole", "", &with);
    assert!(
        said.contains("curves: tensorboard --logdir whole/tensorboard"),
        "{said}"
    );
    let whole = records(&bench, "whole");
    // The version of the format, and six evaluations.
    assert_eq!(whole.len(), 7);
    let killed = [&with[..], &["--set", "run.retries=2"]].concat();
    run(&bench, "killed", "mmoe/1=kill@17:once", &killed);
    let resumed = records(&bench, "killed");
    assert_eq!(without_time(&resumed), without_time(&whole));
    // Neither the id nor a byte of the results knows of it.
    for out in ["whole", "killed"] {
        std::fs::remove_dir_all(bench.path(out).join("tensorboard")).unwrap();
        bench.assert_same_results(out, "plain");
    }
    // Cells that are done get their points from their curves.
    let said = run(&bench, "plain", "", &with);
    assert!(said.contains("1 of 1 cells are done already"), "{said}");
    assert_eq!(
        without_time(&records(&bench, "plain")),
        without_time(&whole)
    );
    let before = records(&bench, "plain");
    run(&bench, "plain", "", &with);
    assert_eq!(records(&bench, "plain"), before);
}

/// They are no results, so a run says what it can't write and goes on.
#[test]
fn curves_are_written_into_no_file_of_others_and_through_no_link() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    let with = ["--set", "run.tensorboard=true"];
    let fresh = [&with[..], &["--fresh"]].concat();
    run(&bench, "out", "", &with);
    let whole = records(&bench, "out");
    let folder = bench.path("out/tensorboard/mmoe/1");
    let entry = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let own = entry.path();
    // What was emptied is filled again, though its cell is done.
    std::fs::write(&own, "").unwrap();
    run(&bench, "out", "", &with);
    assert_eq!(without_time(&records(&bench, "out")), without_time(&whole));
    let link = |to: &str, place: &Path| std::os::unix::fs::symlink(bench.path(to), place).unwrap();
    bench.write("notes", "mine");
    for target in ["notes", "nowhere"] {
        std::fs::remove_file(&own).unwrap();
        link(target, &own);
        // Both of cells that are done and of those that train.
        for words in [&with[..], &fresh] {
            let said = run(&bench, "out", "", words);
            assert!(said.contains("a link is in its place"), "{said}");
            assert_eq!(bench.read("notes"), "mine");
            assert!(!bench.path("nowhere").exists());
        }
    }
    std::fs::remove_file(&own).unwrap();
    std::fs::write(&own, "mine, and no event file of homebench's").unwrap();
    let said = run(&bench, "out", "", &fresh);
    assert!(said.contains("is no event file"), "{said}");
    assert!(std::fs::read_to_string(&own).unwrap().starts_with("mine"));
    std::fs::remove_dir_all(bench.path("out/tensorboard")).unwrap();
    std::fs::create_dir(bench.path("elsewhere")).unwrap();
    link("elsewhere", &bench.path("out/tensorboard"));
    for words in [&with[..], &fresh] {
        let said = run(&bench, "out", "", words);
        assert!(said.contains("out/tensorboard: it is a link"), "{said}");
        assert_eq!(bench.files("elsewhere", &[]).len(), 0);
    }
}
