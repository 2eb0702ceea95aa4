//! Ctrl-C, kills, and two parents on one folder.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, SMALL, experiment};
use crate::process::{LONG_ENOUGH, cells_of, send, wait_for_cell, wait_until_gone};
use crate::small_run::{SPEC, TUNED, done, run};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Starts the cut-down quickstart, made long enough to be caught, and waits until a cell runs.
#[expect(
    clippy::zombie_processes,
    reason = "whoever gets the parent waits for it"
)]
fn start(bench: &Bench, out: &str) -> (Child, u32) {
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let mut arguments = vec!["run", &spec, "--out", out, "--descriptions", &descriptions];
    arguments.extend(SMALL);
    arguments.extend([
        "--set",
        "training.max_epochs=1000",
        "--set",
        "training.patience=1000",
    ]);
    let mut command = bench.command(&arguments);
    let mut parent = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let start = Instant::now();
    loop {
        if let Some(cell) = cells_of(parent.id()).first() {
            return (parent, *cell);
        }
        if start.elapsed() > LONG_ENOUGH {
            parent.kill().expect("it can be ended");
            parent.wait().expect("it ends");
            panic!("no cell started");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interruption_ends_the_cells_and_says_how_to_go_on() {
    let bench = Bench::new();
    let (parent, child) = start(&bench, "out");
    assert!(send("INT", parent.id()));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: 0 of 9 cells ended and are kept"),
        "{stderr}"
    );
    // The last line is the command, fit for a shell.
    let last = stderr.trim_end().lines().last().unwrap_or_default();
    let program = env!("CARGO_BIN_EXE_homebench-under-test");
    assert!(last.starts_with(&format!("  {program} run ")), "{stderr}");
    assert!(last.contains("--out out "), "{stderr}");
    assert!(
        last.ends_with(" --set 'training.patience=1000'"),
        "{stderr}"
    );
    wait_until_gone(child);
    assert!(
        !bench.path("out/cells.csv").exists(),
        "an unfinished experiment has no tables"
    );
}

#[test]
fn a_killed_parent_takes_its_cells_along_and_the_rerun_ends_as_if_undisturbed() {
    let bench = Bench::new();
    let (mut parent, child) = start(&bench, "out");
    assert!(send("KILL", parent.id()));
    parent.wait().unwrap();
    wait_until_gone(child);
    let only = ["--set", "seeds=[1]", "--fresh"];
    bench.quickstart("out", &only).expect(0);
    bench.quickstart("undisturbed", &only).expect(0);
    for table in ["cells.csv", "metrics.csv", "curves.csv"] {
        assert_eq!(
            bench.read(&format!("out/{table}")),
            bench.read(&format!("undisturbed/{table}"))
        );
    }
}

#[test]
fn a_killed_cell_is_a_row_with_its_reason() {
    let bench = Bench::new();
    let (parent, child) = start(&bench, "out");
    assert!(send("KILL", child));
    // The next cell is on its way; end the run, and look at what became of the first.
    std::thread::sleep(Duration::from_millis(500));
    assert!(send("TERM", parent.id()));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("shared_bottom/1: failed"), "{stderr}");
    assert!(stderr.contains("SIGKILL"), "{stderr}");
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert!(
        status.contains("failed") && status.contains("SIGKILL"),
        "{status}"
    );
}

#[test]
fn a_second_parent_is_refused_by_name() {
    let bench = Bench::new();
    let (parent, _) = start(&bench, "out");
    let long = [
        "--set",
        "training.max_epochs=1000",
        "--set",
        "training.patience=1000",
    ];
    let refused = bench.quickstart("out", &long).expect(2).stderr;
    let name = format!("another homebench (process {} on ", parent.id());
    assert!(send("INT", parent.id()));
    parent.wait_with_output().unwrap();
    assert!(refused.contains(&name), "{refused}");
}

#[test]
fn a_run_is_watched_from_another_terminal_until_it_ends() {
    let bench = Bench::new();
    let (parent, _) = start(&bench, "out");
    let running = |text: &str| text.matches(" running").count();
    // Once the run has left a state with a cell.
    let since = Instant::now();
    let state = bench.path("out/.progress.toml");
    while !std::fs::read_to_string(&state).is_ok_and(|text| text.contains("[[cells]]")) {
        assert!(since.elapsed() < LONG_ENOUGH, "no state was left");
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert!(status.starts_with("9 cells: 0 done, "), "{status}");
    assert_eq!(
        running(&status),
        2,
        "in the counts and in its row: {status}"
    );
    let mut watcher = bench.command(&["status", "out", "--watch"]);
    let watcher = watcher.stdout(Stdio::piped()).stderr(Stdio::piped());
    let watcher = watcher.spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(700));
    assert!(send("INT", parent.id()));
    parent.wait_with_output().unwrap();
    let watched = watcher.wait_with_output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&watched.stdout),
        String::from_utf8_lossy(&watched.stderr),
    );
    assert_eq!(watched.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains(" is at work; Ctrl-C ends the watching, not the run"),
        "{stderr}"
    );
    assert!(stderr.contains(" has ended"), "{stderr}");
    assert!(stdout.contains("shared_bottom/1: started ("), "{stdout}");
    assert!(
        stdout.contains("9 cells: 0 done, 1 unfinished, 8 missing"),
        "{stdout}"
    );
    assert!(!bench.path("out/.progress.toml").exists());
    let nobody = bench.run(&["status", "out", "--watch"]).expect(1);
    assert_eq!(nobody.stderr, "no run is at work in out\n");
}

#[test]
fn a_cell_that_is_asked_to_end_is_no_failure_and_the_next_run_goes_on_from_its_checkpoint() {
    let bench = Bench::new();
    let settings = [
        "--set",
        "seeds=[1,2]",
        "--set",
        "training.max_epochs=6",
        "--set",
        "training.patience=6",
        "--only",
        "shared_bottom/*",
    ];
    bench.quickstart("undisturbed", &settings).expect(0);
    // A checkpoint after every step, and retries that a crash would be given.
    let more = [
        "--set",
        "run.checkpoint_every_seconds=0",
        "--set",
        "run.retries=3",
    ];
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let run = [
        "run",
        &spec,
        "--out",
        "out",
        "--descriptions",
        &descriptions,
    ];
    let arguments = [&run[..], SMALL, &settings, &more].concat();
    let mut command = bench.command(&arguments);
    let parent = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let checkpoint = wait_for_checkpoint(&bench);
    let cell = cells_of(parent.id())[0];
    assert!(send("TERM", cell));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("shared_bottom/1: was asked to end (SIGTERM)"),
        "{stderr}"
    );
    // The other cell went on to its end.
    assert!(stderr.contains("interrupted: 1 of 2 cells"), "{stderr}");
    assert!(!stderr.contains("starting it again"), "{stderr}");
    assert!(checkpoint.is_file());
    assert!(!checkpoint.with_file_name("outcome.toml").exists());
    let again = bench.run(&arguments).expect(0);
    assert!(!again.stderr.contains("failed before"), "{}", again.stderr);
    assert!(!checkpoint.exists());
    for table in ["cells.csv", "metrics.csv", "curves.csv"] {
        assert_eq!(
            bench.read(&format!("out/{table}")),
            bench.read(&format!("undisturbed/{table}"))
        );
    }
}

/// The first checkpoint of a run into `out`.
fn wait_for_checkpoint(bench: &Bench) -> PathBuf {
    let start = Instant::now();
    loop {
        let cells = std::fs::read_dir(bench.path("out/cells"));
        let mut kept = cells
            .into_iter()
            .flatten()
            .flatten()
            .map(|cell| cell.path().join("checkpoint"))
            .filter(|checkpoint| checkpoint.is_file());
        if let Some(checkpoint) = kept.next() {
            return checkpoint;
        }
        assert!(start.elapsed() < LONG_ENOUGH, "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_parent_that_is_asked_to_end_does_as_after_ctrl_c() {
    let bench = Bench::new();
    let (parent, child) = start(&bench, "out");
    assert!(send("TERM", parent.id()));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("to go on:"), "{stderr}");
    wait_until_gone(child);
    let cells = bench.files("out/cells", &[]);
    assert!(
        cells
            .iter()
            .all(|(path, _)| !path.ends_with("outcome.toml"))
    );
}

/// The command that an interrupted run prints goes on with what is there, also where a finished experiment had been extended.
#[test]
fn an_extended_experiment_that_was_interrupted_goes_on() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    let descriptions = experiment("datasets");
    let extended = SPEC.replace("seeds = [1, 2]", "seeds = [1, 2, 3]");
    bench.write("s.toml", &format!("{extended}{TUNED}"));
    let words = [
        "run",
        "s.toml",
        "--out",
        "done",
        "--descriptions",
        &descriptions,
    ];
    let mut parent = bench
        .command(&words)
        .env("HOMEBENCH_FAULTS", "mmoe/3=hang")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let cell = wait_for_cell(parent.id());
    for _ in 0..2 {
        assert!(send("TERM", parent.id()));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(parent.wait().expect("its end").code(), Some(130));
    wait_until_gone(cell);
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
    let left = bench.files("done", &[]);
    let is_aside = |(path, _): &(PathBuf, Vec<u8>)| path.to_string_lossy().contains(".damaged");
    assert!(!left.iter().any(is_aside));
}

/// A folder is one, however its path is spelled; and what is accepted is sealed in it, wherever the report goes.
#[test]
fn a_folder_at_work_is_kept_from_reports_by_every_spelling_of_its_path() {
    let bench = done(SPEC);
    std::os::unix::fs::symlink(bench.path("done"), bench.path("linked")).expect("a link");
    let descriptions = experiment("datasets");
    let words = ["run", "s.toml", "--out", "done", "--set", "seeds=[1,2,3]"];
    let words = [&words[..], &["--descriptions", &descriptions]].concat();
    let mut parent = bench
        .command(&words)
        .env("HOMEBENCH_FAULTS", "mmoe/3=hang")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let cell = wait_for_cell(parent.id());
    let whole = bench.path("done").display().to_string();
    for out in [
        "done",
        "./done",
        "new/../done",
        "done/only/../mine",
        "linked",
        &whole,
    ] {
        let said = bench.run(&["report", "done", "--out", out]);
        let said = said.expect(2).stderr;
        assert!(said.contains("wait until it ends"), "{out}: {said}");
    }
    let before = bench.read("done/provenance.toml");
    let accepting = ["report", "done", "--out", "else", "--accept-external"];
    let said = bench.run(&accepting).expect(2).stderr;
    assert!(said.contains("wait until it ends"), "{said}");
    assert_eq!(bench.read("done/provenance.toml"), before);
    // The run's tables are not merged yet, which the exit code says.
    bench.run(&["report", "done", "--out", "else"]).expect(1);
    assert!(send("KILL", parent.id()));
    parent.wait().expect("its end");
    wait_until_gone(cell);
    run(&bench, &["--set", "seeds=[1,2,3]"]).expect(0);
    bench.run(&accepting).expect(0);
}
