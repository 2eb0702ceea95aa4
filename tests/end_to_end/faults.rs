//! Cells whose process breaks: each is a row with its reason, the others go on, and what may go better is tried again.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, Ran, SMALL, experiment};

/// Runs cells of the small quickstart with faults on purpose.
fn run(bench: &Bench, out: &str, faults: &str, settings: &[&str]) -> Ran {
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let mut arguments = vec!["run", &spec, "--out", out, "--descriptions", &descriptions];
    arguments.extend(SMALL);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(["--only", "shared_bottom/*", "--jobs", "2", "--threads", "1"]);
    let output = bench
        .command(&arguments)
        .env("HOMEBENCH_FAULTS", faults)
        .output()
        .expect("the binary starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Per cell: its label, status, reason and tries, and whether the log that its row names is there.
fn states(bench: &Bench, out: &str) -> String {
    let mut lines = Vec::new();
    for row in bench.rows(&format!("{out}/cells.csv")) {
        let log = &row[16];
        assert_eq!(log.is_empty(), &row[5] != "failed");
        assert!(log.is_empty() || bench.path(&format!("{out}/{log}")).is_file());
        lines.push(format!(
            "{}/{}: {} [{}] {}",
            &row[1], &row[4], &row[5], &row[15], &row[6]
        ));
    }
    lines.join("\n")
}

#[test]
fn every_way_to_break_is_a_row_with_its_reason_and_the_others_go_on() {
    let bench = Bench::new();
    let faults = "*/1=panic@3,*/2=abort@3,*/3=segfault,*/4=kill@3,*/5=exit@3";
    let ran = run(&bench, "out", faults, &["seeds=[1,2,3,4,5,6]"]).expect(1);
    insta::with_settings!({filters => vec![(r"crash_at\.rs:\d+", "crash_at.rs:LINE")]}, {
        insta::assert_snapshot!(states(&bench, "out"), @r"
        shared_bottom/1: failed [1] panicked at crates/runner/src/cell/crash_at.rs:LINE: a panic on purpose
        shared_bottom/2: failed [1] the process aborted (SIGABRT)
        shared_bottom/3: failed [1] the process was killed for a bad memory access (SIGSEGV)
        shared_bottom/4: failed [1] the process was killed (SIGKILL), by hand or for want of memory
        shared_bottom/5: failed [1] the process ended with exit code 7 and gave no reason
        shared_bottom/6: done []
        ");
    });
    assert!(
        ran.stderr.contains("shared_bottom/4: failed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_cell_that_reaches_a_limit_is_ended_and_not_tried_again() {
    let bench = Bench::new();
    let settings = [
        "seeds=[1,2,3]",
        "run.time_limit_seconds=10",
        "run.memory_limit_bytes=\"600MB\"",
        "run.retries=3",
    ];
    run(&bench, "out", "*/1=hang@3,*/2=memory@3", &settings).expect(1);
    insta::assert_snapshot!(states(&bench, "out"), @r"
    shared_bottom/1: failed [1] it ran longer than `run.time_limit_seconds` allows (10 s)
    shared_bottom/2: failed [1] it filled more memory than `run.memory_limit_bytes` allows (600000000 bytes)
    shared_bottom/3: done []
    ");
}

#[test]
fn a_cell_that_broke_is_tried_again_and_ends_with_the_same_bytes() {
    let bench = Bench::new();
    let settings = [
        "seeds=[1,2]",
        "run.retries=2",
        "run.checkpoint_every_seconds=0",
    ];
    run(&bench, "undisturbed", "", &settings).expect(0);
    let ran = run(
        &bench,
        "out",
        "*/1=kill@9:once,*/2=abort@14:once",
        &settings,
    )
    .expect(0);
    assert!(ran.stderr.contains("try 2 of 3"), "{}", ran.stderr);
    bench.assert_same_results("out", "undisturbed");
}

#[test]
fn limits_that_make_no_sense_are_refused_with_their_place() {
    let bench = Bench::new();
    let refused = [
        "run.time_limit_seconds=0",
        "run.memory_limit_bytes=\"much\"",
        "run.checkpoint_every_seconds=-1",
        "run.retries=-1",
    ]
    .map(|setting| run(&bench, "out", "", &[setting]).expect(2).stderr);
    insta::assert_snapshot!(refused.join("\n"), @r#"
    error: --set run.time_limit_seconds=0: `run.time_limit_seconds`: expected a time above 0, found 0
    hint: leave the key out to set no limit

    error: --set run.memory_limit_bytes="much": `run.memory_limit_bytes`: expected a number of bytes, or a text with its unit, found "much"
    hint: such as 2147483648, "2GiB" or "500MB"

    error: --set run.checkpoint_every_seconds=-1: `run.checkpoint_every_seconds`: expected a number of seconds, found -1

    error: --set run.retries=-1: `run.retries`: expected a whole number, 0 or more, found integer `-1`
    "#);
}
