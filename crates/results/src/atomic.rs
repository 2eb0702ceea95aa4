//! Files that are whole or not there: written beside their place, synced, then renamed.

use homebench_diagnostic::Diagnostic;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The end of a partial file's name. `.gitignore` has it.
const PARTIAL: &str = ".part";

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
    let (file, partial) = create_partial(path).map_err(|error| unwritable(path, &error))?;
    let result = write_partial(file, fill, is_synced).and_then(|()| {
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

/// Removes a file, which need not be there.
///
/// # Errors
/// What the system said, with the file's name and the mend.
pub fn remove(path: &Path) -> Result<(), Diagnostic> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &error)),
        _ => Ok(()),
    }
}

/// Removes what killed writers left in a folder and in those below it, `except` one. Only for whoever knows that nobody
/// writes there: by the results folder's lock.
///
/// # Errors
/// What the system said, with the file's name and the mend.
pub fn remove_partials(folder: &Path, except: Option<&Path>) -> Result<(), Diagnostic> {
    // A folder that is not there has no leftovers.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // The entry's own type: a link to a folder elsewhere is not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if except != Some(path.as_path()) {
                remove_partials(&path, except)?;
            }
        } else if partial_of(&path).is_some() {
            remove(&path)?;
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
    partial: File,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    is_synced: bool,
) -> anyhow::Result<()> {
    let mut writer = BufWriter::new(partial);
    fill(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    if is_synced {
        file.sync_all()?;
    }
    Ok(())
}

/// Makes a hidden file beside `path` that no other writer has: `.<name>.<process>-<count>.part`.
fn create_partial(path: &Path) -> io::Result<(File, PathBuf)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let partial = path.with_file_name(format!(".{name}.{process}-{count}{PARTIAL}"));
        // Exclusive: a process of the same number, on another machine or long gone, may have left this name, and a link in
        // its place would be written through.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, partial)),
        }
    }
}

/// The name of the file that a partial one was to become; absent where the path is none of those that [`write()`] makes.
pub fn partial_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let (name, writer) = name
        .strip_prefix('.')?
        .strip_suffix(PARTIAL)?
        .rsplit_once('.')?;
    let (process, count) = writer.split_once('-')?;
    let is_number = |text: &str| text.parse::<usize>().is_ok();
    (is_number(process) && is_number(count)).then_some(name)
}

/// A rename is safe from a power cut once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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

    #[test]
    fn two_writers_of_a_file_share_no_partial_one_and_follow_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let (_first, taken) = create_partial(&path).unwrap();
        assert_eq!(partial_of(&taken), Some("a.csv"));
        // A link in the place of every name to come: what it points to is not touched.
        let target = folder.path().join("precious");
        fs::write(&target, "kept").unwrap();
        let text = taken.to_str().unwrap().strip_suffix(PARTIAL).unwrap();
        let (start, count) = text.rsplit_once('-').unwrap();
        let count: usize = count.parse().unwrap();
        for next in count + 1..count + 50 {
            let link = format!("{start}-{next}{PARTIAL}");
            std::os::unix::fs::symlink(&target, link).unwrap();
        }
        write(&path, |out| Ok(out.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn leftovers_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::create_dir_all(file("figures")).unwrap();
        fs::create_dir_all(file("cells")).unwrap();
        let all = [
            ".a.csv.12-3.part",
            "figures/..b.svg.1-0.part",
            "cells/.c.1-0.part",
            "a.csv",
            ".part",
            ".d.part",
            "e.1-2.part",
            ".f.1-x.part",
        ];
        for name in all {
            fs::write(file(name), "").unwrap();
        }
        remove_partials(folder.path(), Some(&file("cells"))).unwrap();
        let left: Vec<bool> = all.iter().map(|name| file(name).exists()).collect();
        assert_eq!(left, [false, false, true, true, true, true, true, true]);
    }
}
