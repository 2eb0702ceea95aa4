//! One parent at a time in a results folder.

use crate::diagnostic::Diagnostic;
use crate::record::ResultsFolder;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};

/// Held while a parent works in a results folder; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a results folder that exists.
    ///
    /// # Errors
    /// Another process has it, or the folder can't be written.
    pub fn take(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        let path = results.lock();
        let unwritable = |error| crate::record::unwritable(&path, &error);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(unwritable)?;
                write!(file, "{}", std::process::id()).map_err(unwritable)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Err(Diagnostic::new(
                    results.path().display().to_string(),
                    format!(
                        "another homebench (process {}) is at work in this folder",
                        holder.trim()
                    ),
                )
                .hint("wait until it ends, or give another folder with `--out DIR`"))
            }
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
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
        let holder = format!("another homebench (process {})", std::process::id());
        assert!(refusal.contains(&holder), "{refusal}");
        drop(first);
        FolderLock::take(&results).unwrap();
    }
}
