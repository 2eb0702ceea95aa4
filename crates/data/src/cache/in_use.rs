//! Who works with a folder of the cache: a lock in each, shared by those who read, held alone by who prepares or removes it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The file in a dataset's folder whose lock says that the dataset is in use, and whose time says when it last was.
pub(super) const IN_USE: &str = "in-use";

/// Keeps a prepared dataset from being cleared, and says which files it is.
#[derive(Debug, Clone, Default)]
pub struct CacheHold {
    identity: String,
    _lock: Option<Arc<File>>,
}

impl CacheHold {
    pub(super) fn new(identity: String, lock: Option<File>) -> Self {
        Self {
            identity,
            _lock: lock.map(Arc::new),
        }
    }

    /// What tells these files, whose bytes were checked, from any others: another process that finds the same needn't read
    /// them again.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

// Where a dataset lies is no part of what it is.
impl PartialEq for CacheHold {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Says that the dataset of a folder is in use, for as long as what it gives lives.
// A file system without locks, or one that can't be written, has no such word; then nothing is cleared either.
pub(super) fn hold(folder: &Path) -> Option<File> {
    let path = folder.join(IN_USE);
    let for_writing = File::options().append(true).open(&path);
    let file = for_writing.or_else(|_| File::open(&path)).ok()?;
    file.try_lock_shared().ok()?;
    // Of a cache that another user owns the time stays as it was.
    let _ = file.set_modified(SystemTime::now());
    Some(file)
}

/// What the lock of a folder says.
#[derive(Debug)]
pub(super) enum LockState {
    /// Nobody works with it, and nobody can begin to while the file lives.
    Free(#[allow(dead_code)] File),
    /// Somebody works with it.
    Taken,
    /// There is no lock file: an older version made the folder, or something else.
    Absent,
    /// It can't be told here.
    Unknown,
}

/// Takes the lock of a folder for removing it.
pub(super) fn take(path: &Path) -> LockState {
    let file = match File::options().append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return LockState::Absent,
        Err(_) => return LockState::Unknown,
    };
    match file.try_lock() {
        Ok(()) => LockState::Free(file),
        Err(TryLockError::WouldBlock) => LockState::Taken,
        Err(TryLockError::Error(_)) => LockState::Unknown,
    }
}
