//! What became of a cell, from how its process ended.

use super::process::{Ended, Limit};
use homebench_results::{CellFolder, Outcome, Status};
use std::process::ExitStatus;

/// The child's exit code for trouble that is not the cell's own: data that can't be read, output that can't be written.
pub(crate) const EXIT_ENVIRONMENT: i32 = 2;
/// The child's exit code after it was asked to end.
pub(crate) const EXIT_STOPPED: i32 = 3;
/// Its code for a failure that training itself found.
pub(crate) const EXIT_FAILED: i32 = 1;

/// What a process that ended has made of its cell.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The cell is done.
    Done(Outcome),
    /// It ended as it was asked to.
    Stopped,
    /// It failed.
    Failed {
        reason: String,
        /// Whether another try could end otherwise.
        is_final: bool,
    },
    /// No cell could end well here.
    Environment(String),
}

/// Judges a process that ended.
pub(super) fn judge(folder: &CellFolder, id: &str, ended: Ended) -> Verdict {
    let Ended {
        status,
        reason,
        reached,
        ..
    } = ended;
    if status.success() {
        let whole = Outcome::read(folder)
            .filter(|outcome| outcome.id == id && outcome.status == Status::Done);
        return whole.map_or_else(
            || broken("the process ended without an outcome".to_owned()),
            Verdict::Done,
        );
    }
    if let Some(limit) = reached {
        // It would be reached again.
        return certain(describe(limit));
    }
    match (status.code(), reason) {
        (Some(EXIT_STOPPED), _) => Verdict::Stopped,
        (Some(EXIT_ENVIRONMENT), Some(reason)) => Verdict::Environment(reason),
        // The same seed gives the same numbers, so it would be found again.
        (Some(EXIT_FAILED), Some(reason)) => certain(reason),
        (Some(_), Some(reason)) => broken(reason),
        (None, Some(reason)) => broken(format!("{}, after it said: {reason}", ending(status))),
        (_, None) => broken(ending(status)),
    }
}

fn certain(reason: String) -> Verdict {
    Verdict::Failed {
        reason,
        is_final: true,
    }
}

fn broken(reason: String) -> Verdict {
    Verdict::Failed {
        reason,
        is_final: false,
    }
}

fn describe(limit: Limit) -> String {
    match limit {
        Limit::Time(time) => format!(
            "it ran longer than `run.time_limit_seconds` allows ({} s)",
            time.as_secs_f64()
        ),
        Limit::Memory(bytes) => {
            format!("it filled more memory than `run.memory_limit_bytes` allows ({bytes} bytes)")
        }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    fn verdict(raw: i32, reason: Option<&str>, reached: Option<Limit>) -> (String, bool) {
        let ended = Ended {
            status: ExitStatus::from_raw(raw),
            reason: reason.map(str::to_owned),
            reached,
            usage: None,
            seconds: 1.0,
        };
        match judge(&CellFolder::new("nowhere"), "id", ended) {
            Verdict::Failed { reason, is_final } => (reason, is_final),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_would_happen_again_is_not_tried_again() {
        let exit = |code: i32| code << 8;
        let (reason, is_final) = verdict(exit(1), Some("the loss became NaN"), None);
        assert_eq!((reason.as_str(), is_final), ("the loss became NaN", true));
        let limits = [
            Limit::Time(Duration::from_millis(1500)),
            Limit::Memory(1 << 30),
        ];
        let said = limits.map(|limit| verdict(9, None, Some(limit)));
        insta::assert_snapshot!(said.map(|(reason, _)| reason).join("\n"), @r"
        it ran longer than `run.time_limit_seconds` allows (1.5 s)
        it filled more memory than `run.memory_limit_bytes` allows (1073741824 bytes)
        ");
        assert!(verdict(9, None, Some(limits[0])).1);
    }

    #[test]
    fn a_process_that_broke_is_described_and_may_be_tried_again() {
        let exit = |code: i32| code << 8;
        let panicked = Some("panicked at a.rs:1: no");
        let all = [
            verdict(6, None, None),
            verdict(9, None, None),
            verdict(11, None, None),
            verdict(7, None, None),
            verdict(6, panicked, None),
            verdict(exit(101), panicked, None),
            verdict(exit(7), None, None),
            verdict(0, None, None),
        ];
        assert!(all.iter().all(|(_, is_final)| !is_final));
        insta::assert_snapshot!(all.map(|(reason, _)| reason).join("\n"), @r"
        the process aborted (SIGABRT)
        the process was killed (SIGKILL), by hand or for want of memory
        the process was killed for a bad memory access (SIGSEGV)
        the process was killed by signal 7
        the process aborted (SIGABRT), after it said: panicked at a.rs:1: no
        panicked at a.rs:1: no
        the process ended with exit code 7 and gave no reason
        the process ended without an outcome
        ");
    }
}
