//! `.lease`: who has a results folder, kept young by its holder. It says what a lock of the system can't: who has it, on a file system
//! of several machines too, and where the system has no locks it is the lock.

use super::holder::{Holder, Standing};
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::{ResultsFolder, unwritable};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often a holder says that it is still there.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A lease of another machine that no beat was seen of for so long is nobody's. A network file system may show a change some seconds
/// late.
const OLD_ELSEWHERE: Duration = Duration::from_secs(15);
/// The same where the process is gone from this machine: long enough to see a beat of one that has the same name for its machine,
/// such as a container's.
const OLD_HERE: Duration = Duration::from_secs(3);
/// Whoever only looks can't wait: this much by the clock counts as young. Clocks of machines differ.
const YOUNG: Duration = Duration::from_secs(60);

/// A lease that this process has.
#[derive(Debug)]
pub(super) struct Lease {
    file: File,
    path: PathBuf,
}

/// A lease that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Absent where it is not written yet, or was altered.
    pub(super) holder: Option<Holder>,
    pub(super) metadata: Metadata,
}

impl Lease {
    /// Makes the lease; absent where there is one by now.
    pub(super) fn make(
        results: &ResultsFolder,
        holder: &Holder,
    ) -> Result<Option<Self>, Diagnostic> {
        let path = results.lease();
        let failed = |error| unwritable(&path, &error);
        let opened = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match opened {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let text = toml::to_string(holder).expect("a holder is plain TOML");
        let written = file.write_all(text.as_bytes());
        if let Err(error) = written {
            // An empty one would keep others waiting.
            let _ = std::fs::remove_file(&path);
            return Err(failed(error));
        }
        Ok(Some(Self { file, path }))
    }

    /// Says that its holder is still there. Needs no room on a disk.
    pub(super) fn beat(&self) {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        // A disk that doesn't answer now may do at the next beat.
        let _ = futimens(&self.file, &times);
    }

    pub(super) fn is_in_place(&self) -> bool {
        is_in_place(&self.file, &self.path)
    }

    /// Gives the lease back.
    pub(super) fn remove(&self) {
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a path still leads to an open file, and not to another or to nothing. A path that can't be looked at for another reason
/// counts as in place: a network may be slow for a while.
pub(super) fn is_in_place(file: &File, path: &Path) -> bool {
    let (Ok(ours), found) = (file.metadata(), std::fs::symlink_metadata(path)) else {
        return true;
    };
    match found {
        Ok(found) => (found.dev(), found.ino()) == (ours.dev(), ours.ino()),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

impl Found {
    /// The lease of a folder, if there is one.
    ///
    /// # Errors
    /// Something else in its place, or a file that can't be read, such as another user's.
    pub(super) fn read(results: &ResultsFolder) -> Result<Option<Self>, Diagnostic> {
        let path = results.lease();
        let failed = |error: std::io::Error| {
            let message =
                format!("can't be read, so that it can't be told who has the folder: {error}");
            Diagnostic::new(path.display().to_string(), message)
                .hint("if no homebench is at work there, remove it")
        };
        // Opened anew for each look: a network file system asks its server then.
        let opened = regular_file::unlinked().read(true).open(&path);
        let file = match opened.and_then(regular_file::regular) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        let mut text = String::new();
        // One that was altered may be of any length.
        let read = file.take(4096).read_to_string(&mut text);
        let holder = read.ok().and_then(|_| toml::from_str(&text).ok());
        Ok(Some(Self { holder, metadata }))
    }

    pub(super) fn standing(&self) -> Standing {
        let holder = self.holder.as_ref();
        holder.map_or(Standing::Elsewhere, Holder::standing)
    }

    /// How long it has to stand still until it is nobody's.
    pub(super) fn patience(&self) -> Duration {
        match self.standing() {
            Standing::Gone => OLD_HERE,
            Standing::Alive | Standing::Elsewhere => OLD_ELSEWHERE,
        }
    }

    /// Whether another look found the same lease without a beat in between.
    pub(super) fn stands_still(&self, later: &Self) -> bool {
        let key = |metadata: &Metadata| {
            let time = (metadata.mtime(), metadata.mtime_nsec());
            (metadata.dev(), metadata.ino(), time)
        };
        key(&self.metadata) == key(&later.metadata)
    }

    /// Whether somebody seems to be at work, for whoever only looks.
    pub(super) fn is_young(&self) -> bool {
        match self.standing() {
            Standing::Alive => true,
            Standing::Gone => false,
            Standing::Elsewhere => self
                .metadata
                .modified()
                .is_ok_and(|beat| distance(beat, SystemTime::now()) < YOUNG),
        }
    }

    /// Takes this lease away, and no other: somebody else may have done so, and may have one of their own by now.
    pub(super) fn remove(&self, results: &ResultsFolder) {
        // By its name of a partial file it is cleared away after a kill at this moment.
        let aside = results.join(&format!(".lease.{}-0.part", std::process::id()));
        if std::fs::rename(results.lease(), &aside).is_err() {
            return;
        }
        let is_it = std::fs::symlink_metadata(&aside).is_ok_and(|found| {
            (found.dev(), found.ino()) == (self.metadata.dev(), self.metadata.ino())
        });
        if !is_it {
            // Put back, unless there is a third by now; its holder sees that it is gone and stops.
            let _ = std::fs::hard_link(&aside, results.lease());
        }
        let _ = std::fs::remove_file(&aside);
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    let later = one.duration_since(other);
    later.unwrap_or_else(|earlier| earlier.duration())
}

#[cfg(test)]
mod tests {
    use super::super::holder::Work;
    use super::*;

    #[test]
    fn a_lease_is_made_once_beats_and_is_seen_where_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let holder = Holder::this(Work::Run);
        let lease = Lease::make(&results, &holder).unwrap().unwrap();
        assert!(Lease::make(&results, &holder).unwrap().is_none());
        let look = || Found::read(&results).unwrap();
        let first = look().unwrap();
        assert_eq!(first.holder.as_ref(), Some(&holder));
        assert!(first.is_young() && first.stands_still(&look().unwrap()));
        std::thread::sleep(Duration::from_millis(30));
        lease.beat();
        assert!(!first.stands_still(&look().unwrap()));
        assert!(lease.is_in_place());
        std::fs::remove_file(results.lease()).unwrap();
        assert!(!lease.is_in_place());
        let other = Lease::make(&results, &holder).unwrap().unwrap();
        // Neither the first holder nor whoever judged the first lease takes the second away.
        lease.remove();
        first.remove(&results);
        assert!(look().is_some() && other.is_in_place());
        other.remove();
        assert!(look().is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // What can't be read as a lease is told, and not taken for none.
        std::os::unix::fs::symlink("nowhere", results.lease()).unwrap();
        let said = Found::read(&results).unwrap_err().to_string();
        assert!(
            said.contains("it can't be told who has the folder"),
            "{said}"
        );
    }
}
