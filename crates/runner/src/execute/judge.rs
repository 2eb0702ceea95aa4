//! What became of a cell, from how its process ended.

use super::Verdict;
use super::process::{Exit, Limit};
use super::protocol::{EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_STOPPED};
use homebench_results::{CellFolder, Outcome, Status};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The signal that asks a process to end.
const SIGTERM: i32 = 15;

/// Judges a process that ended, with the last reason that it gave.
pub(super) fn judge(folder: &CellFolder, id: &str, exit: &Exit, reason: Option<String>) -> Verdict {
    let status = exit.status;
    if status.success() {
        // An exit code of 0 is no proof: a library may end a process so. The outcome is written last.
        let whole = Outcome::read(folder)
            .unwrap_or(None)
            .filter(|outcome| outcome.id == id && outcome.status == Status::Done);
        return whole.map_or_else(
            || broken("the process ended without an outcome".to_owned()),
            Verdict::Done,
        );
    }
    if let Some(limit) = exit.reached {
        // It would be reached again.
        return certain(describe(limit));
    }
    // Before it could listen for the signal, or as it was ending: nobody sends this one to say that a cell is broken.
    if status.signal() == Some(SIGTERM) {
        return Verdict::Stopped;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match (code, reason) {
        (Some(EXIT_STOPPED), _) => Verdict::Stopped,
        // Without a reason it is not from `cell::run_cell`: clap too ends with 2.
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

fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(6), _) => "the process aborted (SIGABRT)".to_owned(),
        (Some(9), _) => {
            "the process was killed (SIGKILL), by hand or for want of memory".to_owned()
        }
        (Some(11), _) => "the process was killed for a bad memory access (SIGSEGV)".to_owned(),
        (Some(signal), _) => format!("the process was killed by signal {signal}"),
        (None, Some(code)) => {
            format!("the process ended with exit code {code} and gave no reason")
        }
        (None, None) => "the process ended and gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judged(raw: i32, reason: Option<&str>, reached: Option<Limit>) -> Verdict {
        let exit = Exit {
            status: ExitStatus::from_raw(raw),
            reached,
            usage: None,
            seconds: 1.0,
        };
        judge(
            &CellFolder::new("nowhere"),
            "id",
            &exit,
            reason.map(str::to_owned),
        )
    }

    fn verdict(raw: i32, reason: Option<&str>, reached: Option<Limit>) -> (String, bool) {
        match judged(raw, reason, reached) {
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

    #[test]
    fn a_process_that_was_asked_to_end_is_no_broken_one() {
        let stopped = i32::from(EXIT_STOPPED) << 8;
        assert_eq!(judged(stopped, None, None), Verdict::Stopped);
        assert_eq!(judged(SIGTERM, None, None), Verdict::Stopped);
        assert_eq!(judged(SIGTERM, Some("loaded"), None), Verdict::Stopped);
    }
}
