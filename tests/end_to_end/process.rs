//! Processes of the machine: a run's cells, signals, waiting.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::{Duration, Instant};

/// After this long something is stuck, on the slowest machine too.
pub(crate) const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// The processes of the cells of a run.
pub(crate) fn cells_of(parent: u32) -> Vec<u32> {
    children(parent)
        .into_iter()
        .filter(|child| is_cell(*child))
        .collect()
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

/// Sends a signal by its name; false where the process is gone.
#[must_use]
pub(crate) fn send(signal: &str, process: u32) -> bool {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {process} 2>/dev/null")])
        .status();
    sent.expect("a shell").success()
}

/// A process that is gone, or dead and not yet collected by whoever inherited it.
fn is_gone(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    status.map_or(true, |text| text.contains("State:\tZ"))
}

/// Waits for a process that is no child of this one.
#[track_caller]
pub(crate) fn wait_until_gone(process: u32) {
    let start = Instant::now();
    while !is_gone(process) {
        assert!(start.elapsed() < LONG_ENOUGH, "process {process} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first cell of a parent, as soon as there is one.
pub(crate) fn wait_for_cell(parent: u32) -> u32 {
    let start = Instant::now();
    loop {
        if let Some(cell) = cells_of(parent).first() {
            return *cell;
        }
        assert!(start.elapsed() < LONG_ENOUGH, "no cell started");
        std::thread::sleep(Duration::from_millis(10));
    }
}
