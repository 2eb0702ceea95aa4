//! One parent at a time in a results folder.

use homebench_diagnostic::Diagnostic;
use homebench_results::ResultsFolder;
use homebench_results::{open_regular, regular, unlinked};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// How long cells of a killed parent may take to end. They do as soon as they notice, so this is far more than they need, and
/// a successor that still waits is told that somebody is at work.
const LAST_CELLS: Duration = Duration::from_secs(15);
/// How long to wait for somebody who only draws, which takes seconds.
const DRAWING: Duration = Duration::from_secs(120);
/// What such a holder adds to its name.
const DRAWS: &str = ", drawing";
/// A person who starts the next run doesn't feel it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Held while a parent works in a results folder; the system lets go of it when the process ends, however it ends.
///
/// Cells inherit the file, so that a parent that was killed has a successor only after its last cell is gone: two processes
/// never write in one cell's folder.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a results folder that exists; waits where only cells of a parent that is gone have it.
    ///
    /// # Errors
    /// Another process has it, or the folder can't be written.
    pub fn take(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        Self::take_as(results, "")
    }

    /// As [`Self::take`], for who writes reports and figures alone: others wait for it, as it waits for others like it.
    ///
    /// # Errors
    /// As of [`Self::take`].
    pub fn take_to_draw(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        Self::take_as(results, DRAWS)
    }

    fn take_as(results: &ResultsFolder, role: &str) -> Result<Self, Diagnostic> {
        let path = results.lock();
        let unwritable = |error| homebench_results::unwritable(&path, &error);
        // What stands in its place, a link or a pipe, is not written through.
        let mut file = unlinked()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .and_then(regular)
            .map_err(unwritable)?;
        let start = Instant::now();
        // By looking again and again: a lock that blocks could not tell a living holder, who is to be named at once, from cells that
        // are about to end.
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&file).map_err(unwritable)?;
                    let patience = match holder.strip_suffix(DRAWS) {
                        Some(_) => DRAWING,
                        None if is_gone(&holder) => LAST_CELLS,
                        None => Duration::ZERO,
                    };
                    if start.elapsed() >= patience {
                        return Err(refusal(results, &holder));
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::Error(error)) => return Err(unwritable(error)),
            }
        }
        // Nobody else writes here now, so whatever is half a file is a killed writer's. Those of a cell go when it starts.
        homebench_results::remove_partials(results.path(), Some(&results.join("cells")))?;
        // The standard library closes files in children; this one is to outlive the parent in them.
        inherited_by_children(&file).map_err(unwritable)?;
        file.set_len(0).map_err(unwritable)?;
        file.rewind().map_err(unwritable)?;
        write!(file, "{} on {}{role}", std::process::id(), host()).map_err(unwritable)?;
        Ok(Self { _file: file })
    }
}

/// Who is at work in a results folder: the number and the machine of its process; absent where nobody is. Cells of a parent
/// that was killed count until they have ended.
pub fn at_work(results: &ResultsFolder) -> Option<String> {
    // Without a file that can be a lock, nobody holds it.
    let file = open_regular(&results.lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            Some(holder(&file).unwrap_or_else(|_| "unknown".to_owned()))
        }
        // A parent that starts at this moment waits for whoever only looks.
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Who holds a lock, as it wrote itself.
fn holder(mut file: &File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refusal(results: &ResultsFolder, holder: &str) -> Diagnostic {
    Diagnostic::new(
        results.path().display().to_string(),
        format!("another homebench (process {holder}) is at work in this folder"),
    )
    .hint("wait until it ends, or give another folder with `--out DIR`")
}

/// Whether a holder, as it wrote itself, was a process of this machine that is no more; or nobody yet: whoever only looks, or
/// is about to write itself.
fn is_gone(holder: &str) -> bool {
    if holder.is_empty() {
        return true;
    }
    let Some((process, name)) = holder.split_once(" on ") else {
        return false;
    };
    name == host() && process.parse().is_ok_and(|process: u32| !is_alive(process))
}

/// A process that ended and was not yet collected counts as gone.
#[cfg(target_os = "linux")]
fn is_alive(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/status"))
        .is_ok_and(|text| !text.contains("State:\tZ"))
}

#[cfg(not(target_os = "linux"))]
fn is_alive(_process: u32) -> bool {
    true
}

fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

fn inherited_by_children(file: &File) -> std::io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_parent_is_refused_by_name_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let first = FolderLock::take(&results).unwrap();
        let refusal = FolderLock::take(&results).unwrap_err().to_string();
        let holder = format!(
            "another homebench (process {} on {})",
            std::process::id(),
            host()
        );
        assert!(refusal.contains(&holder), "{refusal}");
        let process = at_work(&results).unwrap();
        assert!(holder.contains(&process), "{process}");
        drop(first);
        // A process that another test started in between may have it for a moment.
        let again = (0..500).any(|_| {
            std::thread::sleep(LOOK_EVERY);
            FolderLock::take(&results).is_ok()
        });
        assert!(again);
    }
}
