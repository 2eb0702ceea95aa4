//! Who has a results folder: a process of some machine, at some work.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;

/// What a process does in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Work {
    /// Runs cells: hours or days.
    Run,
    /// Writes figures or a report: seconds.
    Draw,
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Run => "runs cells",
            Self::Draw => "writes a report or figures",
        })
    }
}

/// A process that has a folder, as it writes itself down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    process: u32,
    host: String,
    /// When it began, as the system counts; with its number no other process has it. Empty where the system doesn't tell.
    birth: String,
    pub(super) work: Work,
}

/// What can be known of a holder from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It runs on this machine.
    Alive,
    /// It is gone from this machine.
    Gone,
    /// It is, or was, on another.
    Elsewhere,
}

impl Holder {
    /// This process.
    pub(super) fn this(work: Work) -> Self {
        let process = std::process::id();
        Self {
            process,
            host: host(),
            birth: birth(process).unwrap_or_default(),
            work,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        if self.host != host() {
            return Standing::Elsewhere;
        }
        let is_same = || self.birth.is_empty() || birth(self.process) == Some(self.birth.clone());
        match is_alive(self.process) && is_same() {
            true => Standing::Alive,
            false => Standing::Gone,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {}", self.process, self.host)
    }
}

/// A process that still has a folder whose parent is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// Its number.
    pub process: u32,
    /// Whether it was stopped, so that it can't end by itself.
    pub is_stopped: bool,
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = if self.is_stopped { " (stopped)" } else { "" };
        write!(formatter, "process {}{stopped}", self.process)
    }
}

/// Whether a process is one of a run's cells. A homebench that waits for the folder is none.
#[cfg(target_os = "linux")]
pub(super) fn is_cell(process: u32) -> bool {
    let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(1) == Some(b"cell")
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_cell(_process: u32) -> bool {
    true
}

/// Processes of a kind that have a file open, as far as this user may know.
#[cfg(target_os = "linux")]
pub(super) fn left_behind(file: &File, is_of_kind: impl Fn(u32) -> bool) -> Vec<LeftBehind> {
    use std::os::unix::fs::MetadataExt;
    let Ok(wanted) = file.metadata() else {
        return Vec::new();
    };
    let has_it = |process: u32| {
        let open = std::fs::read_dir(format!("/proc/{process}/fd"));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|entry| {
            std::fs::metadata(entry.path())
                .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
        })
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<LeftBehind> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| {
            *process != std::process::id() && is_of_kind(*process) && has_it(*process)
        })
        .map(|process| LeftBehind {
            process,
            is_stopped: matches!(state(process), Some('T' | 't')),
        })
        .collect();
    found.sort_by_key(|left| left.process);
    found
}

#[cfg(not(target_os = "linux"))]
pub(super) fn left_behind(_file: &File, _is_of_kind: impl Fn(u32) -> bool) -> Vec<LeftBehind> {
    Vec::new()
}

/// A process that ended and was not yet collected counts as gone.
#[cfg(target_os = "linux")]
pub(crate) fn is_alive(process: u32) -> bool {
    state(process).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_alive(process: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    // Refused is alive: it is another user's.
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

/// The fields of `/proc/<process>/stat` behind the name, which may hold anything.
#[cfg(target_os = "linux")]
fn fields(process: u32) -> Option<Vec<String>> {
    let text = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

#[cfg(target_os = "linux")]
fn state(process: u32) -> Option<char> {
    fields(process)?.first()?.chars().next()
}

/// The boot and the moment in it.
#[cfg(target_os = "linux")]
fn birth(process: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // `starttime` is the 22nd field, the 20th behind the name.
    let fields = fields(process)?;
    Some(format!("{} {}", boot.trim(), fields.get(19)?))
}

#[cfg(not(target_os = "linux"))]
fn birth(_process: u32) -> Option<String> {
    None
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_its_birth_and_its_machine() {
        let this = Holder::this(Work::Run);
        assert!(!is_cell(std::process::id()) || !cfg!(target_os = "linux"));
        assert_eq!(this.standing(), Standing::Alive);
        let elsewhere = Holder {
            host: "another".to_owned(),
            ..this.clone()
        };
        assert_eq!(elsewhere.standing(), Standing::Elsewhere);
        if cfg!(target_os = "linux") {
            // Its number was given again.
            let other = Holder {
                birth: "another boot 7".to_owned(),
                ..this
            };
            assert_eq!(other.standing(), Standing::Gone);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_has_a_file_open_is_found_and_one_that_was_stopped_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut holder = std::process::Command::new("sleep")
            .arg("60")
            .stdin(file.reopen().unwrap())
            .spawn()
            .unwrap();
        let stop = |signal| {
            let pid = rustix::process::Pid::from_child(&holder);
            rustix::process::kill_process(pid, signal).unwrap();
        };
        stop(rustix::process::Signal::STOP);
        let has_stopped = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            state(holder.id()) == Some('T')
        });
        let found = left_behind(file.as_file(), |_| true);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(has_stopped);
        let expected = LeftBehind {
            process: holder.id(),
            is_stopped: true,
        };
        assert_eq!(found, [expected]);
    }
}
