//! What became of a cell, from how its process ended.

use crate::record::{CellFolder, Outcome, Status};
use std::process::ExitStatus;

/// The child's exit code for trouble that is not the cell's own: data that can't be read, output that can't be written.
pub(super) const EXIT_ENVIRONMENT: i32 = 2;

/// How a process ended, and the last reason it gave.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The cell ended, well or not.
    Ended(Outcome),
    /// No cell could end well here.
    Environment(String),
}

/// Judges a process that ended; `reason` is what it said last.
pub(super) fn judge(
    folder: &CellFolder,
    id: &str,
    status: ExitStatus,
    reason: Option<String>,
) -> Verdict {
    if status.success() {
        let whole = Outcome::read(folder)
            .filter(|outcome| outcome.id == id && outcome.status == Status::Done);
        return Verdict::Ended(whole.unwrap_or_else(|| {
            Outcome::failed(id, "the process ended without an outcome".to_owned())
        }));
    }
    match (status.code(), reason) {
        (Some(EXIT_ENVIRONMENT), Some(reason)) => Verdict::Environment(reason),
        (Some(_), Some(reason)) => Verdict::Ended(Outcome::failed(id, reason)),
        _ => Verdict::Ended(Outcome::failed(id, ending(status))),
    }
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(6) => "the process aborted (SIGABRT)".to_owned(),
        Some(9) => "the process was killed (SIGKILL), by hand or for want of memory".to_owned(),
        Some(11) => "the process was killed for a bad memory access (SIGSEGV)".to_owned(),
        Some(15) => "the process was asked to end (SIGTERM)".to_owned(),
        Some(signal) => format!("the process was killed by signal {signal}"),
        None => exit_code(status),
    }
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    exit_code(status)
}

fn exit_code(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("the process ended with exit code {code} and gave no reason"),
        None => "the process ended and gave no reason".to_owned(),
    }
}
