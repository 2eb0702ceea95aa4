//! Crashes on purpose, after a step that is asked for: for tests of how a run takes them.
//!
//! `HOMEBENCH_FAULTS` holds a list, separated by commas, of `<cells>=<kind>[@<step>][:once]`: the cells' `variant/seed` (with
//! stars), what happens to them, after which training step (0, the default: before the first), and whether only at the
//! first start. Kinds: `panic`, `abort`, `segfault`, `kill`, `exit`, `hang`, `memory`. The variable is heard by the process of
//! a cell alone, which says so.

use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::matches_glob;
use std::process;
use std::time::Duration;

const VARIABLE: &str = "HOMEBENCH_FAULTS";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrashKind {
    Panic,
    Abort,
    Segfault,
    Kill,
    Exit,
    Hang,
    Memory,
}

/// Refuses crashes that are asked for in words that no cell would hear.
pub fn check_faults() -> Result<(), Diagnostic> {
    CrashAt::check(&std::env::var(VARIABLE).unwrap_or_default())
}

/// What is to happen to this process, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CrashAt {
    kind: CrashKind,
    step: usize,
}

impl CrashAt {
    /// The crash that the environment asks for in this start of a cell.
    pub(super) fn of_cell(label: &str, tries: usize) -> Option<Self> {
        Self::parse(&std::env::var(VARIABLE).ok()?, label, tries)
    }

    fn parse(text: &str, label: &str, tries: usize) -> Option<Self> {
        text.split(',').find_map(|item| {
            let (cells, only_first, crash) = Self::read(item)?;
            let applies = matches_glob(cells, label) && (tries == 1 || !only_first);
            applies.then_some(crash)
        })
    }

    /// An item of the list: the cells, whether it is for their first start alone, and what happens.
    fn read(item: &str) -> Option<(&str, bool, Self)> {
        let (cells, what) = item.split_once('=')?;
        let (what, only_first) = match what.strip_suffix(":once") {
            Some(what) => (what, true),
            None => (what, false),
        };
        let (kind, step) = what.split_once('@').unwrap_or((what, "0"));
        let kind = match kind {
            "panic" => CrashKind::Panic,
            "abort" => CrashKind::Abort,
            "segfault" => CrashKind::Segfault,
            "kill" => CrashKind::Kill,
            "exit" => CrashKind::Exit,
            "hang" => CrashKind::Hang,
            "memory" => CrashKind::Memory,
            _ => return None,
        };
        let step = step.parse().ok()?;
        Some((cells, only_first, Self { kind, step }))
    }

    /// Refuses a list that asks for what nothing here does; `parent=...` is heard elsewhere.
    fn check(text: &str) -> Result<(), Diagnostic> {
        let is_heard = |item: &&str| {
            item.is_empty() || item.starts_with("parent=kill@") || Self::read(item).is_some()
        };
        match text.split(',').find(|item| !is_heard(item)) {
            None => Ok(()),
            Some(item) => {
                let message = format!(
                    "`{item}`: expected `<cells>=<kind>[@<step>][:once]`; kinds are: panic, abort, segfault, kill, exit, hang, memory"
                );
                Err(Diagnostic::new(VARIABLE, message)
                    .hint("write, for example, `mmoe/*=abort@20:once`, or unset the variable"))
            }
        }
    }

    /// What a user reads who didn't expect it.
    pub(super) fn notice(self) -> String {
        format!(
            "fails on purpose after step {}, because {VARIABLE} is set: {:?}",
            self.step, self.kind
        )
    }

    /// Comes to pass if this is the step.
    pub(super) fn strike(self, step: usize) {
        if step != self.step {
            return;
        }
        match self.kind {
            CrashKind::Panic => panic!("a panic on purpose"),
            CrashKind::Abort => process::abort(),
            CrashKind::Segfault => die_of_bad_memory_access(),
            CrashKind::Kill => super::end_at_once(),
            CrashKind::Exit => process::exit(7),
            CrashKind::Hang => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            CrashKind::Memory => fill_memory(),
        }
    }
}

fn die_of_bad_memory_access() {
    use rustix::process::{Signal, getpid, kill_process};
    // The first is caught by the standard library, which looks for an overflow of the stack and lets the next one through.
    for _ in 0..100 {
        let _ = kill_process(getpid(), Signal::SEGV);
        std::thread::sleep(Duration::from_millis(10));
    }
    process::abort();
}

/// Up to 4 GiB, 16 MiB at a time; then it gives up, so that a machine without a limit lives.
fn fill_memory() {
    let mut filled = Vec::new();
    // Slow enough for a parent that looks every 20 ms; filled with other bytes than zeros, which would take no page.
    for round in 0..256u32 {
        filled.push(vec![round as u8 + 1; 16 << 20]);
        std::thread::sleep(Duration::from_millis(5));
    }
    let bytes: usize = std::hint::black_box(&filled).iter().map(Vec::len).sum();
    panic!("filled {bytes} bytes of memory on purpose, and nobody minded");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_for_the_cells_and_the_start_that_it_names() {
        let text = "mmoe/*=abort@20:once,home/2=hang";
        let abort = CrashAt {
            kind: CrashKind::Abort,
            step: 20,
        };
        assert_eq!(CrashAt::parse(text, "mmoe/3", 1), Some(abort));
        assert_eq!(CrashAt::parse(text, "mmoe/3", 2), None);
        let hang = CrashAt {
            kind: CrashKind::Hang,
            step: 0,
        };
        assert_eq!(CrashAt::parse(text, "home/2", 5), Some(hang));
        assert_eq!(CrashAt::parse(text, "home/1", 1), None);
    }

    #[test]
    fn a_crash_that_nobody_would_hear_is_refused() {
        for right in [
            "",
            "parent=kill@intended",
            "mmoe/*=abort@20:once,home/2=hang",
        ] {
            assert!(CrashAt::check(right).is_ok(), "{right}");
        }
        for wrong in ["a/1=sulk", "a/1", "a/1=kill@soon", "a/1=kill,b=bar"] {
            let refused = CrashAt::check(wrong).unwrap_err();
            let last = wrong.rsplit(',').next().unwrap();
            assert!(refused.message.starts_with(&format!("`{last}`")), "{wrong}");
        }
    }
}
