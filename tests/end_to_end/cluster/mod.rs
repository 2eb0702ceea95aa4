//! Cells as tasks: the protocol of files between a parent and tasks that are plain processes, and what a batch system may do to it, played by
//! scripts in its place. `tests/cluster/slurm.py` does the same with Slurm itself.
#![cfg(target_os = "linux")]

mod ends;
mod slurm;
mod tasks;

use crate::harness::{Bench, Ran, experiment};
use crate::process::{LONG_ENOUGH, send};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Four cells, each of a second or more.
pub(crate) const SPEC: &str = r#"question = "Which?"
seeds = [1, 2, 3, 4]
[run]
checkpoint_every_seconds = 0
[dataset]
name = "synthetic"
rows = 400
[training]
batch_size = 16
max_epochs = 2
embedding_dim = 2
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"#;
/// The same without an end in sight.
const LONG: [&str; 4] = [
    "--set",
    "training.max_epochs=100000",
    "--set",
    "training.patience=100000",
];
/// Long enough to be caught, and then ends: some seconds for a cell, with and without an optimised build.
const SLOW: [&str; 4] = match cfg!(debug_assertions) {
    true => [
        "--set",
        "training.max_epochs=12",
        "--set",
        "training.patience=12",
    ],
    false => [
        "--set",
        "training.max_epochs=20",
        "--set",
        "training.patience=20",
    ],
};
/// What tests ask for: to learn soon what takes minutes on a cluster.
pub(crate) const SETTINGS: &str = "tasks = 2\npoll_seconds = 0.3\nsilence_seconds = 5\n";

pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    let tables = ["processes", "manual"].map(|name| format!("[{name}]\n{SETTINGS}"));
    let slurm = format!("[slurm]\nmemory = \"1GiB\"\n{SETTINGS}");
    bench.write("cluster.toml", &(tables.concat() + &slurm));
    bench
}

fn arguments<'a>(out: &'a str, more: &[&'a str], descriptions: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![
        "run",
        "s.toml",
        "--out",
        out,
        "--descriptions",
        descriptions,
    ];
    arguments.extend(["--threads", "1"]);
    arguments.extend(more);
    arguments
}

fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    bench.run(&arguments(out, more, &experiment("datasets")))
}

fn run_with(bench: &Bench, variable: (&str, &str), out: &str, more: &[&str]) -> Ran {
    bench.run_with(variable, &arguments(out, more, &experiment("datasets")))
}

fn start(bench: &Bench, out: &str, more: &[&str]) -> Child {
    let mut command = bench.command(&arguments(out, more, &experiment("datasets")));
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

const PROCESSES: [&str; 2] = ["--executor", "processes"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PROCESSES[..], more].concat()
}

/// The processes of tasks whose submission lies in a folder.
fn tasks(bench: &Bench) -> Vec<u32> {
    let folder = std::fs::canonicalize(bench.path(".")).expect("a folder");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    let processes = std::fs::read_dir("/proc").expect("Linux has it").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_task = |process: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.get(1) == Some(&"task") && words.get(2).is_some_and(|word| word.starts_with(&folder))
    };
    let mut found: Vec<u32> = numbers.filter(is_task).collect();
    found.sort_unstable();
    found
}

#[track_caller]
fn wait_for(what: &str, mut has_come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !has_come() {
        assert!(start.elapsed() < 2 * LONG_ENOUGH, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether some cell has a checkpoint.
fn has_checkpoint(bench: &Bench, out: &str) -> bool {
    let cells = std::fs::read_dir(bench.path(&format!("{out}/cells")));
    let mut cells = cells.into_iter().flatten().flatten();
    cells.any(|cell| cell.path().join("checkpoint").exists())
}

/// Starts a run, and waits until one of its cells has a checkpoint.
#[track_caller]
fn start_until_checkpoint(bench: &Bench, more: &[&str]) -> Child {
    let child = start(bench, "out", more);
    wait_for("a checkpoint", || has_checkpoint(bench, "out"));
    child
}

/// What a run has said, once it has ended with this exit code.
#[track_caller]
fn end(run: Child, code: i32) -> String {
    let output = run.wait_with_output().expect("it was started");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// Leaves tasks without an end in sight, one of whose cells has a checkpoint.
#[track_caller]
fn leave_running(bench: &Bench) {
    run(bench, "out", &[&with(&["--no-wait"])[..], &LONG].concat()).expect(4);
    wait_for("a checkpoint", || has_checkpoint(bench, "out"));
}

#[track_caller]
fn assert_says(text: &str, words: &str) {
    assert!(text.contains(words), "no `{words}` in: {text}");
}

/// A test that fails leaves no task behind.
struct EndTasks<'a>(&'a Bench);

impl Drop for EndTasks<'_> {
    fn drop(&mut self) {
        for task in tasks(self.0) {
            let _ = send("KILL", task);
        }
    }
}
