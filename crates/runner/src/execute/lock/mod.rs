//! One parent at a time in a results folder.
//!
//! The system's lock of `.lock` keeps others out, of this machine at least, and ends with the last process that has it. `.lease` says
//! who has the folder; where a file system has no locks, or says yes to everybody, it is what keeps others out. A holder looks every
//! second whether both are still in place.

mod holder;
mod lease;

use crate::output::note;
pub use holder::LeftBehind;
pub(crate) use holder::{host, is_alive};

use anyhow::anyhow;
use holder::{Holder, Standing, Work, is_cell, left_behind};
use homebench_data::is_without_locks;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::{ResultsFolder, unwritable};
use lease::{BEAT, Found, Lease, is_in_place};
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long cells of a killed parent may take to end. They do as soon as they notice, so this is far more than they need, and
/// a successor that still waits is told that somebody is at work.
const LAST_CELLS: Duration = Duration::from_secs(15);
/// How long a lock without a name is waited for: a holder writes itself at once, and whoever only looks takes no time.
const NAMELESS: Duration = Duration::from_secs(3);
/// How long another's drawing is waited for: far longer than the largest takes.
const LAST_FIGURE: Duration = Duration::from_secs(600);
/// Whoever waits longer is told for whom.
const SILENCE: Duration = Duration::from_secs(1);
/// A person who starts the next run doesn't feel it.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Without the system's locks, two that take over a lease at the same moment see after so long who of them has it.
const SETTLE: Duration = Duration::from_millis(300);

/// Held while a process works in a results folder; the system lets go of it when the process ends, however it ends.
///
/// Cells inherit the file, so that a parent that was killed has a successor only after its last cell is gone: two processes
/// never write in one cell's folder.
#[derive(Debug)]
pub struct FolderLock {
    /// Held to the end.
    _file: Arc<File>,
    lease: Arc<Lease>,
    watch: LockWatch,
    /// Dropped to end the beat.
    beat: Option<(Sender<()>, JoinHandle<()>)>,
    notice: Option<String>,
}

/// Whether a folder is still its holder's, for whoever works in it.
#[derive(Debug, Clone, Default)]
pub struct LockWatch(Arc<OnceLock<Diagnostic>>);

/// The folder of a run is no longer its own; nothing more may be written into it.
#[derive(Debug)]
pub struct LostFolder;

impl fmt::Display for LostFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the run was stopped, and its cells with it: its folder may be another's by now"
        )
    }
}

impl LockWatch {
    /// Says that the folder is no longer its holder's, because of this.
    pub(crate) fn lose(&self, why: Diagnostic) {
        // What came first is the reason.
        let _ = self.0.set(why);
    }

    /// Looks whether the folder is still its holder's.
    ///
    /// # Errors
    /// [`LostFolder`], because of what happened to it.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.0.get() {
            Some(why) => Err(anyhow!(why.clone()).context(LostFolder)),
            None => Ok(()),
        }
    }
}

impl FolderLock {
    /// Takes a results folder that exists, to run cells in it; waits where only cells of a parent that is gone have it, and for
    /// somebody who draws.
    ///
    /// # Errors
    /// Another process has it, or the folder can't be written.
    pub fn take(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        Self::take_for(results, Work::Run)
    }

    /// The same, to draw figures or write a report.
    ///
    /// # Errors
    /// As of [`Self::take`].
    pub fn take_to_draw(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        Self::take_for(results, Work::Draw)
    }

    fn take_for(results: &ResultsFolder, work: Work) -> Result<Self, Diagnostic> {
        let path = results.lock();
        let failed = |error: io::Error| unwritable(&path, &error);
        let (file, absence) = lock_file(results)?;
        let lease = loop {
            give_way(results, absence.is_none())?;
            let Some(lease) = Lease::make(results, &Holder::this(work))? else {
                continue;
            };
            if absence.is_some() {
                std::thread::sleep(SETTLE);
                if !lease.is_in_place() {
                    continue;
                }
            }
            break lease;
        };
        // Nobody else writes here now, so whatever is half a file is a killed writer's. Those of a cell go when it starts.
        homebench_results::remove_partials(results.path(), Some(&results.join("cells")))?;
        // The standard library closes files in children; this one is to outlive the parent in them.
        inherited_by_children(&file).map_err(failed)?;
        let notice = absence.map(|why| {
            format!(
                "{}: the file system has no locks ({why}); the file .lease in the folder keeps other runs out instead",
                results.path().display()
            )
        });
        let (file, lease) = (Arc::new(file), Arc::new(lease));
        let watch = LockWatch::default();
        let beat = keep_up(results, (Arc::clone(&file), Arc::clone(&lease)), &watch);
        Ok(Self {
            _file: file,
            lease,
            watch,
            beat,
            notice,
        })
    }

    /// What a user should know of how the folder is kept, if anything.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// What ended a run, or that its folder is no longer its own, which is why it could not be written.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        if !self.lease.is_in_place() {
            // The look that sees it may be a beat away.
            std::thread::sleep(BEAT + LOOK_EVERY);
        }
        self.watch.check().err().unwrap_or(error)
    }

    /// Tells whether the folder is still this lock's.
    pub fn watch(&self) -> &LockWatch {
        &self.watch
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Some((stop, beat)) = self.beat.take() {
            drop(stop);
            let _ = beat.join();
        }
        self.lease.remove();
    }
}

/// Keeps a lease young, and looks whether the folder is still its holder's, on a thread of its own: drawing takes long too.
fn keep_up(
    results: &ResultsFolder,
    (file, lease): (Arc<File>, Arc<Lease>),
    watch: &LockWatch,
) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    let (results, watch) = (results.clone(), watch.clone());
    let looks = move || {
        while receiver.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            lease.beat();
            let lost = [
                (results.lock(), is_in_place(&file, &results.lock())),
                (results.lease(), lease.is_in_place()),
            ];
            if let Some((path, _)) = lost.into_iter().find(|(_, is_there)| !is_there) {
                let _ = watch.0.set(lost_folder(&results, &path));
                return;
            }
        }
    };
    let named = std::thread::Builder::new().name("lease".to_owned());
    Some((sender, named.spawn(looks).ok()?))
}

fn lost_folder(results: &ResultsFolder, path: &Path) -> Diagnostic {
    let message = match results.path().exists() {
        true => "was removed or replaced while the run was at work",
        false => "is gone: its folder was moved or removed while the run was at work",
    };
    Diagnostic::new(path.display().to_string(), message)
        .hint("leave a folder as it is until its run has ended; the same command goes on with the cells that are there")
}

/// The system's lock of a folder; why there is none where the file system has none.
fn lock_file(results: &ResultsFolder) -> Result<(File, Option<String>), Diagnostic> {
    let path = results.lock();
    let failed = |error: io::Error| unwritable(&path, &error);
    let start = Instant::now();
    let mut is_said = false;
    // By looking again and again: a lock that blocks could not tell a living holder, who is to be named at once, from cells that
    // are about to end.
    loop {
        let file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // Somebody may have removed the file that was opened, and another may have made the next.
                if !is_in_place(&file, &path) {
                    std::thread::sleep(LOOK_EVERY);
                    continue;
                }
                let is_kept = matches!(
                    open(&path).map_err(failed)?.try_lock(),
                    Err(TryLockError::WouldBlock)
                );
                let lie = || "it gives a lock to everybody".to_owned();
                return Ok((file, (!is_kept).then(lie)));
            }
            Err(TryLockError::WouldBlock) => {
                let holder = wait_for(results, &file, start)?;
                if !is_said && start.elapsed() >= SILENCE {
                    is_said = true;
                    say_waiting(results, holder.as_ref());
                }
            }
            Err(TryLockError::Error(error)) if is_without_locks(&error) => {
                return Ok((file, Some(error.to_string())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Nothing else may be written through its name.
    let mut options = regular_file::unlinked();
    let options = options.create(true).truncate(false).read(true).write(true);
    options.open(path).and_then(regular_file::regular)
}

/// Waits a moment for whoever has the lock.
///
/// # Errors
/// It has to be waited for too long.
fn wait_for(
    results: &ResultsFolder,
    file: &File,
    start: Instant,
) -> Result<Option<Holder>, Diagnostic> {
    let holder = Found::read(results)?.and_then(|found| found.holder);
    let waited = start.elapsed();
    match holder.clone() {
        // About to write itself, about to end, or somebody who only looks.
        None if waited <= NAMELESS => {}
        None => return Err(refusal(results, None)),
        Some(holder) if holder.standing() == Standing::Gone => {
            let left = left_behind(file, is_cell);
            // One that was stopped doesn't end, however long it is waited for.
            let is_stuck = !left.is_empty() && left.iter().all(|left| left.is_stopped);
            let patience = if is_stuck {
                LAST_CELLS / 10
            } else {
                LAST_CELLS
            };
            if waited > patience {
                return Err(refusal_of_cells(results, &holder, &left));
            }
        }
        Some(holder) if holder.work == Work::Draw && waited <= LAST_FIGURE => {}
        Some(holder) => {
            // Whoever has just ended took its name away before its lock.
            std::thread::sleep(LOOK_EVERY);
            let is_still = Found::read(results)?.and_then(|found| found.holder);
            if is_still.as_ref() == Some(&holder) {
                return Err(refusal(results, Some(&holder)));
            }
        }
    }
    std::thread::sleep(LOOK_EVERY);
    Ok(holder)
}

/// Says whom a command waits for, which would otherwise look as if it did nothing.
fn say_waiting(results: &ResultsFolder, holder: Option<&Holder>) {
    let folder = results.path().display();
    match holder {
        Some(holder) => note!(
            "{folder}: waiting for process {holder}, which {} there",
            holder.work
        ),
        None => note!("{folder}: waiting for whoever has it"),
    }
}

/// Returns once no lease is in the way. With the system's lock in hand, one of a process of this machine that is gone counts for
/// nothing; without it, it has to stand still for a while too.
///
/// # Errors
/// Somebody has the folder.
fn give_way(results: &ResultsFolder, has_lock: bool) -> Result<(), Diagnostic> {
    let start = Instant::now();
    let mut first: Option<(Found, Instant)> = None;
    loop {
        let Some(found) = Found::read(results)? else {
            return Ok(());
        };
        let is_alive = found.standing() == Standing::Alive;
        let (first_look, since) = first.get_or_insert_with(|| (found.clone(), Instant::now()));
        if is_alive || !first_look.stands_still(&found) {
            let draws = found
                .holder
                .as_ref()
                .is_some_and(|holder| holder.work == Work::Draw);
            if !draws || start.elapsed() > LAST_FIGURE {
                return Err(refusal(results, found.holder.as_ref()));
            }
            first = None;
        } else if (has_lock && found.standing() == Standing::Gone)
            || since.elapsed() > found.patience()
        {
            found.remove(results);
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Who is at work in a results folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtWork {
    /// The number and the machine of its process; empty where it hasn't said so.
    pub holder: String,
    /// Whether the process itself is gone, so that what is left is about to end, or was stopped.
    pub is_gone: bool,
    /// Whether it runs cells, and doesn't only draw.
    pub is_run: bool,
    /// Where that process is gone: those of its cells that are still there.
    pub left_behind: Vec<LeftBehind>,
}

impl AtWork {
    fn new(holder: Option<&Holder>, left_behind: Vec<LeftBehind>) -> Self {
        Self {
            holder: holder.map(Holder::to_string).unwrap_or_default(),
            is_gone: holder.is_some_and(|holder| holder.standing() == Standing::Gone),
            is_run: holder.is_none_or(|holder| holder.work == Work::Run),
            left_behind,
        }
    }

    /// What to do about cells that were left behind by a parent that is gone.
    pub fn advice(&self) -> Option<String> {
        advice(&self.left_behind)
    }

    /// That somebody is at work, in words.
    pub fn sentence(&self) -> String {
        sentence(&self.holder)
    }
}

/// Who is at work in a results folder; absent where nobody is. Cells of a parent that was killed count until they have ended.
pub fn at_work(results: &ResultsFolder) -> Option<AtWork> {
    let found = Found::read(results).ok().flatten();
    let locked = || -> Option<AtWork> {
        // Without a file that can be a lock, nobody holds it.
        let file = regular_file::open(&results.lock()).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            // A parent that starts at this moment waits for whoever only looks.
            return None;
        }
        let holder = found.as_ref().and_then(|found| found.holder.as_ref());
        let is_gone = holder.is_some_and(|holder| holder.standing() == Standing::Gone);
        let left_behind = match is_gone {
            true => left_behind(&file, is_cell),
            false => Vec::new(),
        };
        Some(AtWork::new(holder, left_behind))
    };
    let leased = || {
        let found = found.as_ref().filter(|found| found.is_young())?;
        Some(AtWork::new(Some(found.holder.as_ref()?), Vec::new()))
    };
    locked().or_else(leased)
}

fn sentence(holder: &str) -> String {
    let process = match holder {
        "" => String::new(),
        holder => format!(" (process {holder})"),
    };
    format!("another homebench{process} is at work in this folder")
}

fn refusal(results: &ResultsFolder, holder: Option<&Holder>) -> Diagnostic {
    let holder = holder.map(Holder::to_string).unwrap_or_default();
    Diagnostic::new(results.path().display().to_string(), sentence(&holder))
        .hint("wait until it ends, or let `homebench run` or `homebench report` write into another folder with `--out DIR`")
}

/// The same where only cells are left.
fn refusal_of_cells(results: &ResultsFolder, holder: &Holder, left: &[LeftBehind]) -> Diagnostic {
    let Some(advice) = advice(left) else {
        return refusal(results, Some(holder));
    };
    Diagnostic::new(
        results.path().display().to_string(),
        format!(
            "{}: it is gone itself, but not its cells: {}",
            sentence(&holder.to_string()),
            list(left)
        ),
    )
    .hint(format!("{advice}, then give the same command again"))
}

fn list(left: &[LeftBehind]) -> String {
    let texts: Vec<String> = left.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn advice(left: &[LeftBehind]) -> Option<String> {
    let numbers: Vec<String> = left.iter().map(|left| left.process.to_string()).collect();
    (!numbers.is_empty()).then(|| {
        format!(
            "end what is left of it with `kill -KILL {}`",
            numbers.join(" ")
        )
    })
}

fn inherited_by_children(file: &File) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
