//! Files that users name: regular ones alone, since a pipe keeps its reader waiting for ever and a device has no end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The most bytes of a file of TOML, or of another text that is read at once.
// The largest spec known has a few kilobytes; parsing takes many times the text's memory.
pub const MOST_TEXT_BYTES: u64 = 16 << 20;

/// Opens a file to read.
///
/// # Errors
/// None there, none that may be read, or none that is regular: the error's text then names what it is.
pub fn open(path: &Path) -> Result<File> {
    again_if_stale(|| open_once(path))
}

/// Reads by a path, and once more where the file was replaced meanwhile: a network file system says of one that it has open under a name
/// which another has by now that it is stale, and the second look finds the other.
///
/// # Errors
/// What `read` says.
pub fn again_if_stale<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    match read() {
        Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => read(),
        other => other,
    }
}

fn open_once(path: &Path) -> Result<File> {
    // Without waiting for a writer, which opening a pipe does; on a regular file it means nothing.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| of_special_file(path).unwrap_or(error))?;
    // Of what is open: between a look at the path and the opening of it another may have come there.
    regular(file)
}

/// The options for a file that is written in place, such as a log: a link is not followed, and a pipe doesn't block.
pub fn unlinked() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// The file, if it is a regular one.
///
/// # Errors
/// What it is instead.
pub fn regular(file: File) -> Result<File> {
    match what_else(&file.metadata()?) {
        Some(what) => Err(not_regular(what)),
        None => Ok(file),
    }
}

/// What is wrong with a path that can't be opened because of what is there, such as a socket.
fn of_special_file(path: &Path) -> Option<Error> {
    what_else(&std::fs::metadata(path).ok()?).map(not_regular)
}

fn not_regular(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("it is {what} and not a file"),
    )
}

/// What is there instead of a regular file.
fn what_else(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    Some(match () {
        () if kind.is_file() => return None,
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe (FIFO)",
        () if kind.is_socket() => "a socket",
        () => "a device",
    })
}

/// The text of a file of at most [`MOST_TEXT_BYTES`].
///
/// # Errors
/// See [`open`]; a larger file; text that is no UTF-8, with the line.
pub fn read_text(path: &Path) -> Result<String> {
    read_text_up_to(path, MOST_TEXT_BYTES)
}

/// As [`read_text`], of a file of at most so many bytes.
///
/// # Errors
/// See [`read_text`].
pub fn read_text_up_to(path: &Path, most_bytes: u64) -> Result<String> {
    let bytes = again_if_stale(|| {
        let mut bytes = Vec::new();
        open(path)?.take(most_bytes + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    })?;
    let refuse = |message: String| Error::new(ErrorKind::InvalidData, message);
    if bytes.len() as u64 > most_bytes {
        let megabytes = most_bytes >> 20;
        return Err(refuse(format!(
            "it has more than {megabytes} MiB, the most that is read of such a file"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let whole = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = whole.iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(format!("its line {line} is no text (UTF-8)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (folder.path(), "a folder"),
            (&pipe, "a pipe (FIFO)"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let said = read_text(path).unwrap_err().to_string();
            assert_eq!(said, format!("it is {what} and not a file"));
        }
    }

    #[test]
    fn a_file_that_was_replaced_under_its_reader_is_read_once_more_and_no_oftener() {
        let stale = || Error::from_raw_os_error(libc::ESTALE);
        let mut answers = vec![Ok(3), Err(stale())];
        assert_eq!(again_if_stale(|| answers.pop().unwrap()).unwrap(), 3);
        let mut looks = 0;
        let always = again_if_stale(|| {
            looks += 1;
            Err::<(), _>(stale())
        });
        assert_eq!((always.unwrap_err().kind(), looks), (stale().kind(), 2));
        let mut looks = 0;
        let absent = again_if_stale(|| {
            looks += 1;
            Err::<(), _>(Error::from(ErrorKind::NotFound))
        });
        assert_eq!(
            (absent.unwrap_err().kind(), looks),
            (ErrorKind::NotFound, 1)
        );
    }

    #[test]
    fn a_text_is_bounded_and_its_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
        let said = |path| read_text(path).unwrap_err().to_string();
        assert_eq!(said(&path), "its line 2 is no text (UTF-8)");
        File::create(&path)
            .and_then(|file| file.set_len(MOST_TEXT_BYTES + 1))
            .unwrap();
        assert_eq!(
            said(&path),
            "it has more than 16 MiB, the most that is read of such a file"
        );
    }
}
