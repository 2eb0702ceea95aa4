//! What `just reproduce` says of two runs of one experiment.

use crate::harness::{Bench, repository};
use std::process::Command;

/// Exit code and what the script said.
fn compared(bench: &Bench, committed: &str, again: &str) -> (Option<i32>, String) {
    let output = Command::new("bash")
        .arg(repository().join(".ci/same-results"))
        .args([committed, again])
        .current_dir(bench.path(""))
        .output()
        .expect("bash starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn a_repeat_with_other_threads_is_the_same_byte_for_byte_and_every_difference_is_named() {
    let bench = Bench::new();
    bench
        .quickstart("one", &["--only", "*/1", "--threads", "1"])
        .expect(0);
    bench
        .quickstart("two", &["--only", "*/1", "--threads", "2"])
        .expect(0);
    let (code, said) = compared(&bench, "one", "two");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("verdict: the same, byte for byte"), "{said}");

    let table = bench.read("two/gates.csv");
    bench.write("two/gates.csv", &table.replacen("0.", "0.9", 1));
    std::fs::remove_file(bench.path("two/figures/gates_mmoe.svg")).expect("it was drawn");
    bench.write("two/figures/new.svg", "");
    let (code, said) = compared(&bench, "one", "two");
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "differs:           gates.csv",
        "not there again:   figures/gates_mmoe.svg",
        "only there again:  figures/new.svg",
        "verdict: 3 of ",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
    let (code, said) = compared(&bench, "one", "nowhere");
    assert_eq!(code, Some(2), "{said}");
}
