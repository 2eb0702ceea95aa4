//! Ctrl-C, kills, and two parents on one folder.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, SMALL, experiment};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LONG_ENOUGH: Duration = Duration::from_secs(60);

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
        if let Some(cell) = children(parent.id())
            .into_iter()
            .find(|child| is_cell(*child))
        {
            return (parent, cell);
        }
        if start.elapsed() > LONG_ENOUGH {
            parent.kill().expect("it can be ended");
            parent.wait().expect("it ends");
            panic!("no cell started");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task");
    let threads = std::fs::read_dir(path).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The parent asks git about itself too; those are no cells.
fn is_cell(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/cmdline"))
        .is_ok_and(|line| line.split('\0').nth(1) == Some("cell"))
}

fn send(signal: &str, process: u32) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {process}")])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// A process that is gone, or dead and not yet collected by whoever inherited it.
fn is_gone(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    status.map_or(true, |text| text.contains("State:\tZ"))
}

#[track_caller]
fn wait_until_gone(process: u32) {
    let start = Instant::now();
    while !is_gone(process) {
        assert!(start.elapsed() < LONG_ENOUGH, "process {process} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interruption_ends_the_cells_and_says_how_to_go_on() {
    let bench = Bench::new();
    let (parent, child) = start(&bench, "out");
    send("INT", parent.id());
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: 0 of 9 cells ended and are kept"),
        "{stderr}"
    );
    assert!(
        stderr.contains("hint: run the same command again to go on"),
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
    send("KILL", parent.id());
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
    send("KILL", child);
    // The next cell is on its way; end the run, and look at what became of the first.
    std::thread::sleep(Duration::from_millis(500));
    send("TERM", parent.id());
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("shared_bottom/1: failed"), "{stderr}");
    assert!(stderr.contains("SIGKILL"), "{stderr}");
    let status = bench.run(&["status", "out"]).expect(0).stdout;
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
    let name = format!("another homebench (process {}) is at work", parent.id());
    send("INT", parent.id());
    parent.wait_with_output().unwrap();
    assert!(refused.contains(&name), "{refused}");
}
