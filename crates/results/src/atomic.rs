//! Files that are whole or not there: written beside their place, synced, then renamed.

use homebench_diagnostic::Diagnostic;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file through `fill`; on any failure the old file, or none, stays.
///
/// # Errors
/// What the system said, with the file's name and the mend.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    write_with(path, fill, true)
}

/// Writes a file through `fill` as [`write()`] does, but without waiting for the disk: for what carries a digest, so that a file
/// that a power cut took is seen and made again. A kill can't take it.
///
/// # Errors
/// As of [`write()`].
pub fn write_unsynced(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    write_with(path, fill, false)
}

fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    is_synced: bool,
) -> anyhow::Result<()> {
    let partial = partial_path(path);
    let result = write_partial(&partial, fill, is_synced).and_then(|()| {
        fs::rename(&partial, path)?;
        if is_synced {
            sync_folder(path)?;
        }
        Ok(())
    });
    result.map_err(|error| {
        // Whatever is left of it is not read by anything; its room may be needed.
        let _ = fs::remove_file(&partial);
        match error.downcast::<io::Error>() {
            Ok(error) => unwritable(path, &error).into(),
            Err(other) => other,
        }
    })
}

/// Removes a file that [`write()`] wrote, and whatever a killed writer left of it; neither need be there.
///
/// # Errors
/// What the system said, with the file's name and the mend.
pub fn remove(path: &Path) -> Result<(), Diagnostic> {
    for path in [path, &partial_path(path)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unwritable(path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a folder and those above it.
///
/// # Errors
/// What the system said, with the folder's name and the mend.
pub fn create_dir(path: &Path) -> Result<(), Diagnostic> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

/// What a user reads when `path` can't be written.
pub fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let said = Diagnostic::new(
        path.display().to_string(),
        format!("can't be written: {error}"),
    );
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => said
            .hint("free some disk space, then run the same command again: finished cells are kept"),
        _ => said.hint("give a folder that can be written with `--out DIR`"),
    }
}

fn write_partial(
    partial: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    is_synced: bool,
) -> anyhow::Result<()> {
    let mut writer = BufWriter::new(File::create(partial)?);
    fill(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    if is_synced {
        file.sync_all()?;
    }
    Ok(())
}

/// A hidden name beside the file, always the same, so that a killed writer leaves one at most.
pub fn partial_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// A rename is safe from a power cut once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, |out| Ok(out.write_all(b"old")?)).unwrap();
        let refused = write(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull).into())
        });
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("a.csv: can't be written"), "{said}");
        assert!(said.contains("free some disk space"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
