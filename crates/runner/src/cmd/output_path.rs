//! Where a command writes a file that its user named.

use crate::output::write_answer;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::write_unsynced;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Writes a table, with its header first, into the file that a user named, or to stdout.
///
/// # Errors
/// As [`output_path`], or it can't be written.
pub(super) fn write_table<const N: usize>(
    out: Option<&Path>,
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    let table = writer.into_inner()?;
    match out {
        Some(path) => {
            let written = output_path(path, &[])?;
            write_unsynced(&written, |out| Ok(out.write_all(&table)?))
        }
        None => {
            write_answer(&String::from_utf8(table)?)?;
            Ok(())
        }
    }
}

/// The path to write: that of the file itself where it is named by a link.
///
/// # Errors
/// Something else than a file is there, or it is one of the inputs.
pub(super) fn output_path(
    path: &Path,
    inputs: &[&Path],
) -> std::result::Result<PathBuf, Diagnostic> {
    let refuse = |message: &str| {
        Diagnostic::new(path.display().to_string(), message).hint("name another file")
    };
    let there = match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            return Err(refuse("can't be written: what is there is no file"));
        }
        Ok(there) => there,
        Err(_) if path.is_symlink() => {
            return Err(refuse("can't be written: it is a link that leads nowhere"));
        }
        Err(_) => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            return match folder.filter(|folder| !folder.is_dir()) {
                Some(folder) => {
                    let folder = folder.display();
                    let message = format!("can't be written: there is no folder {folder}");
                    Err(Diagnostic::new(path.display().to_string(), message)
                        .hint(format!("make it first: mkdir -p {folder}")))
                }
                // Writing tells what else is wrong.
                None => Ok(path.to_owned()),
            };
        }
    };
    let key = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let is_it =
        |input: &&&Path| std::fs::metadata(input).is_ok_and(|input| key(&input) == key(&there));
    match inputs.iter().find(is_it) {
        Some(_) => Err(refuse("can't be written: this command reads it")),
        None => Ok(path.canonicalize().unwrap_or_else(|_| path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_file_that_is_no_input_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("input"), "a").unwrap();
        std::fs::write(path("other"), "b").unwrap();
        symlink(path("input"), path("to-input")).unwrap();
        symlink(path("other"), path("to-other")).unwrap();
        symlink("/dev/null", path("to-device")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let said = |name: &str| {
            let output = output_path(&path(name), &[&path("input")]);
            output.map_err(|refusal| refusal.message)
        };
        for (name, what) in [
            ("input", "this command reads it"),
            ("to-input", "this command reads it"),
            ("to-device", "what is there is no file"),
            (".", "what is there is no file"),
            ("dangling", "it is a link that leads nowhere"),
            (
                "gone/file",
                &format!("there is no folder {}", path("gone").display()),
            ),
        ] {
            assert_eq!(
                said(name),
                Err(format!("can't be written: {what}")),
                "{name}"
            );
        }
        let real = path("other").canonicalize().unwrap();
        assert_eq!(said("to-other"), Ok(real.clone()));
        assert_eq!(said("other"), Ok(real));
        assert_eq!(said("new"), Ok(path("new")));
    }
}
