//! Locks of files, and file systems that have none.

use homebench_diagnostic::regular_file;
use std::fs::File;
use std::io;
use std::path::Path;

/// Whether an error says that a file system has no locks, as some network file systems and containers have none.
pub fn is_without_locks(error: &io::Error) -> bool {
    let known = [
        libc::ENOSYS,
        libc::ENOLCK,
        libc::EOPNOTSUPP,
        libc::ENOTSUP,
        libc::EINVAL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| known.contains(&code))
}

/// Makes a file unless it is there, and waits for its lock; absent where the file system has none, so that whoever asks has to do
/// without. The file stays when the lock goes: somebody else may wait for it by now.
pub(crate) fn wait_for_lock(path: &Path) -> io::Result<Option<File>> {
    // Whatever else stands there, nothing is written through its name.
    let mut options = regular_file::unlinked();
    let options = options.create(true).truncate(false).write(true);
    let file = options.open(path).and_then(regular_file::regular)?;
    match file.lock() {
        Ok(()) => Ok(Some(file)),
        Err(error) if is_without_locks(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
