//! Texts of a folder that may come from anywhere.

use homebench_diagnostic::{Diagnostic, regular_file};
use std::io;
use std::path::Path;

/// The most bytes of a file that homebench writes: a `provenance.toml` has some hundred for each cell.
const MOST_BYTES: u64 = 1 << 30;

/// The text of a file; nothing where there is no such file. Absent and unreadable are two things.
///
/// # Errors
/// A file that is there and can't be read, is no regular one or no text.
pub fn read_text(path: &Path) -> Result<Option<String>, Diagnostic> {
    match regular_file::read_text_up_to(path, MOST_BYTES) {
        Ok(text) => Ok(Some(text)),
        // The second where a file stands in the place of its folder.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) =>
        {
            Ok(None)
        }
        Err(error) => Err(Diagnostic::new(
            path.display().to_string(),
            format!("can't be read: {error}"),
        )),
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
        assert!(said.contains("line 2 is no text"), "{said}");
        std::fs::remove_file(&path).unwrap();
        for (special, what) in [
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "a folder"),
        ] {
            std::os::unix::fs::symlink(special, &path).unwrap();
            let said = read_text(&path).unwrap_err().to_string();
            assert!(
                said.contains(&format!("it is {what} and not a file")),
                "{said}"
            );
            std::fs::remove_file(&path).unwrap();
        }
    }
}
