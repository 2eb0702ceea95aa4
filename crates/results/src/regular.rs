//! Reads files of a folder that may come from anywhere: regular files and nothing else, since a pipe waits for ever and a device never
//! ends.

use homebench_diagnostic::Diagnostic;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// What the system said, or that it is a pipe, a device or a folder.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Without waiting: to open a pipe would block until somebody writes into it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    regular(file)
}

/// The options for a file that homebench writes in place, such as a log: a link is not followed, and a pipe doesn't block.
pub fn unlinked() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// The file, if it is a regular one.
///
/// # Errors
/// That it is a pipe, a device or a folder.
pub fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        )),
    }
}

/// The text of a file; nothing where there is no such file. Absent and unreadable are two things.
///
/// # Errors
/// A file that is there and can't be read, is no regular one or no text.
pub fn read_text(path: &Path) -> Result<Option<String>, Diagnostic> {
    let refuse =
        |why: String| Diagnostic::new(path.display().to_string(), format!("can't be read: {why}"));
    let mut file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| refuse(error.to_string()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(refuse(format!("line {line} is no UTF-8 text")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_and_what_cannot_be_read_are_two_things() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert_eq!(read_text(&path).unwrap(), None);
        std::fs::write(&path, b"a\n\xff").unwrap();
        let said = read_text(&path).unwrap_err().to_string();
        assert!(said.contains("line 2 is no UTF-8 text"), "{said}");
        std::fs::remove_file(&path).unwrap();
        for special in [Path::new("/dev/zero"), folder.path()] {
            std::os::unix::fs::symlink(special, &path).unwrap();
            let said = read_text(&path).unwrap_err().to_string();
            assert!(said.contains("it is no regular file"), "{said}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
