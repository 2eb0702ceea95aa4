//! Who works with a folder of the cache: a lock in each, shared by those who read, held alone by who prepares or removes it.

use homebench_diagnostic::regular_file;
use std::fs::{File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The file in a dataset's folder whose lock says that the dataset is in use, and whose time says when it last was.
pub(super) const IN_USE: &str = "in-use";

/// Keeps a prepared dataset from being cleared, and says which files it is.
#[derive(Debug, Clone, Default)]
pub struct CacheHold {
    identity: String,
    bytes: u64,
    _lock: Option<Arc<File>>,
}

impl CacheHold {
    pub(super) fn new(identity: String, bytes: u64, lock: Option<File>) -> Self {
        Self {
            identity,
            bytes,
            _lock: lock.map(Arc::new),
        }
    }

    /// What tells these files, whose bytes were checked, from any others: another process that finds the same needn't read
    /// them again.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.bytes
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
    // A folder that is removed and prepared again while this waits has another file.
    for _ in 0..3 {
        let for_writing = regular_file::unlinked().append(true).open(&path);
        let file = for_writing.and_then(regular_file::regular);
        let file = file.or_else(|_| regular_file::open(&path)).ok()?;
        // Whoever has it alone looks for a moment, or is about to remove the folder.
        file.lock_shared().ok()?;
        if is_at(&file, &path) {
            // Of a cache that another user owns the time stays as it was.
            let _ = file.set_modified(SystemTime::now());
            return Some(file);
        }
    }
    None
}

fn is_at(file: &File, path: &Path) -> bool {
    let key = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let (file, there) = (file.metadata().map(key), std::fs::metadata(path).map(key));
    file.is_ok_and(|file| there.is_ok_and(|there| there == file))
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
    let opened = regular_file::unlinked().append(true).open(path);
    let file = match opened.and_then(regular_file::regular) {
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
