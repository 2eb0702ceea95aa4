//! Files that are whole or not there: written beside their place, synced, then renamed.

use homebench_diagnostic::Diagnostic;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// The end of a partial file's name. `.gitignore` has it.
const PARTIAL: &str = ".part";
/// Its beginning. Without the name of the file that it becomes, which may be as long as names can be.
const PREFIX: &str = ".homebench-";
/// What the system says of a link where none is followed.
const LINK_IN_PLACE: i32 = libc::ELOOP;
/// Letters and digits between the two.
const NUM_RANDOM: usize = 12;

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

/// A file that is being written beside its place: there once it is [`finish`](Self::finish)ed, gone where it is dropped.
#[derive(Debug)]
pub struct PendingFile {
    path: PathBuf,
    partial: BufWriter<NamedTempFile>,
}

impl PendingFile {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// What the system said, with the file's name and the mend.
    pub fn create(path: &Path) -> Result<Self, Diagnostic> {
        refuse_special(path)?;
        let partial = create_partial(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            partial: BufWriter::with_capacity(1 << 20, partial),
        })
    }

    /// Puts the file, which is whole, in its place. It carries a digest, so the disk is not waited for.
    ///
    /// # Errors
    /// What the system said, with the file's name and the mend.
    pub fn finish(self) -> Result<(), Diagnostic> {
        self.put_in_place(false)
    }

    /// As [`Self::finish`], and waits for the disk.
    ///
    /// # Errors
    /// As of [`Self::finish`].
    pub fn finish_synced(self) -> Result<(), Diagnostic> {
        self.put_in_place(true)
    }

    fn put_in_place(self, is_synced: bool) -> Result<(), Diagnostic> {
        let Self { path, partial } = self;
        let place = || {
            let partial = partial
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            if is_synced {
                partial.as_file().sync_all()?;
            }
            put(partial, &path)?;
            match is_synced {
                true => sync_folder(&path),
                false => Ok(()),
            }
        };
        place().map_err(|error| unwritable(&path, &error))
    }
}

impl Write for PendingFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.partial.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.partial.flush()
    }
}

fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    is_synced: bool,
) -> anyhow::Result<()> {
    refuse_special(path)?;
    // Whatever is left of one that failed goes when it is dropped: its room may be needed.
    let partial = create_partial(path).map_err(|error| unwritable(path, &error))?;
    let result = write_partial(partial.as_file(), fill, is_synced).and_then(|()| {
        put(partial, path)?;
        if is_synced {
            sync_folder(path)?;
        }
        Ok(())
    });
    result.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) => unwritable(path, &error).into(),
        Err(other) => other,
    })
}

/// Refuses what is neither a file nor a link in a file's place: a folder that somebody filled, or a device that others need.
///
/// # Errors
/// What is there.
pub fn refuse_special(path: &Path) -> Result<(), Diagnostic> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() && !there.is_symlink() => {
            let what = match there.is_dir() {
                true => "a folder",
                false => "a device, pipe or socket",
            };
            let message = format!("can't be written: {what} is in its place");
            Err(Diagnostic::new(path.display().to_string(), message)
                .hint("move it away, then run this again"))
        }
        _ => Ok(()),
    }
}

/// Removes a file, which need not be there.
///
/// # Errors
/// What the system said, with the file's name and the mend.
pub fn remove(path: &Path) -> Result<(), Diagnostic> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // A folder isn't removed whatever is permitted.
            refuse_special(path)?;
            Err(unwritable(path, &error))
        }
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
        } else if is_partial(&path) {
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

/// Makes a folder in `root`, which is there. A link in the place of one of its parts is not followed: what it leads to is not the
/// results folder's.
///
/// # Errors
/// A link, or what the system said.
pub fn create_dir_inside(root: &Path, inside: &Path) -> Result<(), Diagnostic> {
    let mut path = root.to_owned();
    for part in inside.components() {
        path.push(part);
        refuse_link(&path)?;
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unwritable(&path, &error));
            }
            _ => {}
        }
        if !path.is_dir() {
            let error = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(unwritable(&path, &error));
        }
    }
    Ok(())
}

/// Makes a hidden folder beside the place of one that is to be made, which is removed where it is dropped.
///
/// # Errors
/// What the system said, with the folder's name and the mend.
pub(crate) fn partial_folder(place: &Path) -> Result<TempDir, Diagnostic> {
    let above = folder_of(place);
    create_dir(above)?;
    let made = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(PARTIAL)
        .rand_bytes(NUM_RANDOM)
        // As for any folder that a program makes.
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(above);
    made.map_err(|error| unwritable(above, &error))
}

/// Refuses a link where a folder of its own is to be written in.
///
/// # Errors
/// That it is a link.
pub fn refuse_link(folder: &Path) -> Result<(), Diagnostic> {
    match fs::symlink_metadata(folder) {
        Ok(there) if there.is_symlink() => Err(Diagnostic::new(
            folder.display().to_string(),
            "it is a link, and nothing is written or removed through links",
        )
        .hint("put the folder itself in its place; the results folder as a whole may be linked")),
        _ => Ok(()),
    }
}

/// Refuses a link in the place of one of the folders that lead from `root` to what is `inside`. That itself may be one: it is replaced
/// or renamed as a link, and nothing behind it.
///
/// # Errors
/// That one of them is a link.
pub fn refuse_link_above(root: &Path, inside: &Path) -> Result<(), Diagnostic> {
    let mut folders: Vec<&Path> = inside.ancestors().skip(1).collect();
    // The last is `root`, which may be linked; the outermost is named first.
    folders.pop();
    let mut outermost_first = folders.into_iter().rev();
    outermost_first.try_for_each(|folder| refuse_link(&root.join(folder)))
}

/// Puts a file `inside` of `root` out of the way of one that is to be written, under its name with `ending`, and gives the new path. What
/// stands there already stays, so a number is added where it has to be.
///
/// # Errors
/// What the system said, with the file's name and the mend; a link in the place of a folder on the way.
pub fn set_aside(root: &Path, inside: &Path, ending: &str) -> Result<PathBuf, Diagnostic> {
    refuse_link_above(root, inside)?;
    let path = root.join(inside);
    let name = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(match number {
            1 => format!(".{ending}"),
            _ => format!(".{ending}-{number}"),
        });
        PathBuf::from(name)
    };
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let aside = (1..).map(name).find(is_free).expect("names don't end");
    fs::rename(&path, &aside).map_err(|error| unwritable(&path, &error))?;
    Ok(aside)
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
        io::ErrorKind::FileTooLarge => said.hint(
            "raise the limit of file sizes (`ulimit -f`), then run the same command again: finished cells are kept",
        ),
        // The name of this kind of error is not stable yet.
        _ if error.raw_os_error() == Some(LINK_IN_PLACE) => {
            said.hint("a link is in its place: move it away, then run this again")
        }
        _ => said.hint(
            "permit writing there, or use another folder; `homebench run` takes one with `--out DIR`",
        ),
    }
}

fn write_partial(
    partial: &File,
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

/// Renames a partial file into its place.
fn put(partial: NamedTempFile, path: &Path) -> io::Result<()> {
    let own = same_file(partial.as_file())?;
    let is_in_place = || File::open(path).and_then(|file| same_file(&file)).ok() == Some(own);
    match partial.persist(path) {
        Ok(_) => Ok(()),
        // A server that did it and whose answer was lost does it a second time, and then finds nothing to rename.
        Err(error) if error.error.kind() == io::ErrorKind::NotFound && is_in_place() => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// What tells a file from every other.
fn same_file(file: &File) -> io::Result<(u64, u64)> {
    let there = file.metadata()?;
    Ok((there.dev(), there.ino()))
}

/// Makes a hidden file beside `path` that no other writer has, under a name that nobody can know before. It is made exclusively, so a
/// link in its place is not followed.
fn create_partial(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(PARTIAL)
        .rand_bytes(NUM_RANDOM)
        // As for any file that a program makes: the umask takes from it what the user wants taken.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))
}

/// Whether a path is one of those that [`write()`] makes on the way, or that an older homebench made: `.<name>.<process>-<count>.part`.
pub fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.and_then(|name| name.strip_suffix(PARTIAL)) else {
        return false;
    };
    if let Some(random) = name.strip_prefix(PREFIX) {
        return random.len() == NUM_RANDOM
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    }
    let is_number = |text: &str| text.parse::<usize>().is_ok();
    let writer = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    writer
        .and_then(|(_, writer)| writer.split_once('-'))
        .is_some_and(|(process, count)| is_number(process) && is_number(count))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A rename is safe from a power cut once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
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
        let limited = io::Error::from_raw_os_error(libc::EFBIG);
        let said = unwritable(&path, &limited).to_string();
        assert!(said.contains("ulimit -f"), "{said}");
    }

    #[test]
    fn a_rename_whose_answer_was_lost_is_no_failure_and_one_that_failed_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let partial = create_partial(&path).unwrap();
        // The server did it, and is asked again.
        fs::rename(partial.path(), &path).unwrap();
        put(partial, &path).unwrap();
        // Somebody removed the partial file, and what is in place is another's.
        let partial = create_partial(&path).unwrap();
        fs::remove_file(partial.path()).unwrap();
        assert_eq!(
            put(partial, &path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let nowhere = folder.path().join("b.csv");
        let partial = create_partial(&nowhere).unwrap();
        fs::remove_file(partial.path()).unwrap();
        assert!(put(partial, &nowhere).is_err());
    }

    #[test]
    fn two_writers_of_a_file_share_no_partial_one_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let (one, other) = (
            create_partial(&path).unwrap(),
            create_partial(&path).unwrap(),
        );
        assert_ne!(one.path(), other.path());
        assert!(is_partial(one.path()) && is_partial(other.path()));
        let target = folder.path().join("precious");
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        write(&path, |out| Ok(out.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        // As readable as the umask lets it be, like a file that is made in the usual way.
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&target));
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("tables")).unwrap();
        let said = create_dir_inside(folder.path(), Path::new("tables/new")).unwrap_err();
        assert!(said.to_string().contains("tables: it is a link"), "{said}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_to_be_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        fs::create_dir(&path).unwrap();
        let refused = [remove(&path), refuse_special(&path)];
        for said in refused.map(|refused| refused.unwrap_err().to_string()) {
            assert!(said.contains("checkpoint: can't be written: a folder is in its place"));
            assert!(said.contains("move it away"), "{said}");
        }
        assert!(path.is_dir());
    }

    #[test]
    fn what_is_set_aside_takes_no_name_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        for expected in ["a.toml.damaged", "a.toml.damaged-2", "a.toml.damaged-3"] {
            fs::write(&path, expected).unwrap();
            let aside = set_aside(folder.path(), Path::new("a.toml"), "damaged").unwrap();
            assert_eq!(aside, folder.path().join(expected));
            assert_eq!(fs::read_to_string(aside).unwrap(), expected);
        }
    }

    #[test]
    fn nothing_is_set_aside_behind_a_link_and_a_link_is_as_one() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = elsewhere.path().join("x/a.toml");
        fs::create_dir(elsewhere.path().join("x")).unwrap();
        fs::write(&theirs, "theirs").unwrap();
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        };
        link(elsewhere.path(), "cells");
        link(&theirs, "a.toml");
        let aside = |inside: &str| set_aside(folder.path(), Path::new(inside), "damaged");
        let said = aside("cells/x/a.toml").unwrap_err().to_string();
        assert!(said.contains("cells: it is a link"), "{said}");
        let aside = aside("a.toml").unwrap();
        assert_eq!(fs::read_link(aside).unwrap(), theirs);
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
    }

    #[test]
    fn leftovers_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::create_dir_all(file("figures")).unwrap();
        fs::create_dir_all(file("cells")).unwrap();
        let all = [
            ".homebench-0aZ4567890bc.part",
            "figures/..b.svg.1-0.part",
            "cells/.c.1-0.part",
            "a.csv",
            ".homebench-notes.part",
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
