//! What is in the cache, and what may be removed from it: nothing that it did not make, and nothing that is in use.

use super::entry::read_manifest;
use super::in_use::{IN_USE, LockState, take};
use crate::file_lock::wait_for_lock;
use crate::manifest::{MANIFEST, Manifest, Reference};
use crate::pretrained::PRETRAINED;
use crate::{Places, SPLITS, cant_write};
use homebench_diagnostic::{Diagnostic, regular_file};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Beginning of the names of folders in which datasets are prepared.
const BUILDING: &str = ".building-";
/// Beginning of the names of folders that are being removed.
const REMOVING: &str = ".removing-";
/// The file whose lock is held while folders appear and leftovers go.
const UPKEEP_LOCK: &str = ".upkeep.lock";
/// Digits of a content hash in the names of folders.
const NAME_DIGITS: usize = 16;

/// What preparation writes beside the splits, where there is something to write.
pub(super) const OTHER_FILES: [&str; 3] = ["vocabularies.csv", "numbers.csv", PRETRAINED];

/// Tells backup programs that a folder can be made again.
const TAG: &str = "CACHEDIR.TAG";
// The first line is what the convention asks for (https://bford.info/cachedir/).
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # A dataset that homebench prepared, and will prepare again when it is needed.\n";

/// A folder in which a dataset is prepared. Its lock lives as long as the process that fills it.
pub(super) struct Building {
    folder: tempfile::TempDir,
    _lock: Option<File>,
}

/// Makes a folder to prepare in, and removes what killed preparations left of any dataset.
///
/// # Errors
/// A cache that can't be written.
pub(super) fn begin_building(cache: &Path, hash: &str) -> Result<Building, Diagnostic> {
    // A folder is there a moment before its lock is. Nobody looks for leftovers in that moment.
    let upkeep = wait_for_lock(&cache.join(UPKEEP_LOCK));
    if matches!(upkeep, Ok(Some(_))) {
        remove_leftovers(cache);
    }
    let prefix = format!("{BUILDING}{}-", &hash[..NAME_DIGITS]);
    // In the cache itself, since a rename can't leave its file system.
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(cache);
    let folder = folder.map_err(|error| cant_write(cache, &error))?;
    let path = folder.path().join(IN_USE);
    let lock = File::create(&path).map_err(|error| cant_write(&path, &error))?;
    let lock = lock.try_lock().is_ok().then_some(lock);
    let path = folder.path().join(TAG);
    std::fs::write(&path, TAG_TEXT).map_err(|error| cant_write(&path, &error))?;
    Ok(Building {
        folder,
        _lock: lock,
    })
}

impl Building {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder, which is whole, its name.
    pub(super) fn rename(self, to: &Path) -> Result<(), Diagnostic> {
        std::fs::rename(self.path(), to).map_err(|error| cant_write(to, &error))?;
        // Its content has moved; there is nothing left to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// Removes what killed preparations and removals left, whichever dataset's. The upkeep lock is held.
fn remove_leftovers(cache: &Path) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Of a link the type is that of the link.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let is_left = match name.strip_prefix(BUILDING) {
            Some(rest) => match take(&entry.path().join(IN_USE)) {
                LockState::Free(_) => true,
                LockState::Absent => !is_locked_by_older(cache, rest),
                LockState::Taken | LockState::Unknown => false,
            },
            None => name.starts_with(REMOVING),
        };
        if is_left {
            // What can't be removed takes space and is never read.
            let _ = remove_known(&entry.path());
        }
    }
}

/// Whether a version of this program that locks no folders prepares a dataset, by the lock that it holds beside it.
fn is_locked_by_older(cache: &Path, rest: &str) -> bool {
    let ending = format!("-{}.lock", rest.get(..NAME_DIGITS).unwrap_or_default());
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let mut locks = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&ending));
    locks.any(|lock| !matches!(take(&lock.path()), LockState::Free(_)))
}

/// Removes a folder and the files in it that a preparation makes, and nothing else. Another process may be faster.
///
/// # Errors
/// Something else in it, which stays.
fn remove_known(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_file && is_known(&name) {
            gone(std::fs::remove_file(entry.path()))?;
        }
    }
    gone(std::fs::remove_dir(folder))
}

/// That something was removed, or was not there any more.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a file in a dataset's folder is one that preparation makes.
fn is_known(name: &str) -> bool {
    // Rows that are not encoded yet lie beside the splits until they are.
    let is_of_split = name
        .split_once('.')
        .is_some_and(|(split, kind)| SPLITS.contains(&split) && ["arrow", "spill"].contains(&kind));
    is_of_split || [MANIFEST, IN_USE, TAG].contains(&name) || OTHER_FILES.contains(&name)
}

/// The first thing in a folder that preparation doesn't make.
fn something_else(folder: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(folder).ok()?.flatten();
    let is_else = |entry: &std::fs::DirEntry| {
        !entry.file_type().is_ok_and(|kind| kind.is_file())
            || !is_known(&entry.file_name().to_string_lossy())
    };
    Some(entries.find(is_else)?.path())
}

/// Removes a dataset that is damaged. Its preparation lock is held.
///
/// # Errors
/// A folder that can't be written, or that holds something that isn't of the cache.
pub(super) fn remove_dataset(folder: &Path) -> Result<(), Diagnostic> {
    let is_folder = std::fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        let message = "a link is where a prepared dataset should be";
        return Err(Diagnostic::new(folder.display().to_string(), message)
            .hint("remove the link, or choose another cache with --cache-dir"));
    }
    if let Some(other) = something_else(folder) {
        return Err(foreign(&other));
    }
    // Renamed first: nobody finds half of it.
    let cache = folder.parent().unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| cant_write(folder, &error);
    let aside = tempfile::Builder::new()
        .prefix(REMOVING)
        .tempdir_in(cache)
        .map_err(failed)?;
    // Onto an empty folder, which the system replaces.
    std::fs::rename(folder, aside.path()).map_err(failed)?;
    // It has gone from its place. What can't be removed takes space until the next look at leftovers.
    let _ = remove_known(&aside.keep());
    Ok(())
}

fn foreign(path: &Path) -> Diagnostic {
    let message =
        "something that homebench did not make lies in a folder of the cache that has to go";
    Diagnostic::new(path.display().to_string(), message)
        .hint("move it elsewhere, then run this again")
}

/// A prepared dataset in the cache.
#[derive(Debug, Clone)]
pub struct CachedDataset {
    /// The dataset.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Rows of all splits; none where the manifest is damaged.
    pub rows: Option<usize>,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was prepared.
    pub made: SystemTime,
    /// When it was last opened.
    pub last_used: SystemTime,
    /// Whether it is in use now.
    pub is_in_use: bool,
    /// What its description says today.
    pub description: DescriptionState,
}

/// Whether a description still gives the dataset that was prepared from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionState {
    /// It does, as long as its files are the same.
    Same,
    /// It gives another one, so that this one is only used by who has the old description.
    Changed,
    /// There is no such description here.
    Gone,
    /// The dataset doesn't say what it was made from.
    Unknown,
}

impl DescriptionState {
    /// The word for it in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }

    fn of_reference(reference: Option<&Reference>, places: &Places) -> Self {
        let Some(reference) = reference else {
            return Self::Unknown;
        };
        match crate::described::canonical(&reference.dataset_ref(), places) {
            Ok(canonical) if reference.is_of(&canonical) => Self::Same,
            Ok(_) => Self::Changed,
            Err(_) => Self::Gone,
        }
    }
}

/// Every prepared dataset of the cache, in the order of names.
///
/// # Errors
/// A cache that can't be read.
pub fn cached_datasets(places: &Places) -> Result<Vec<CachedDataset>, Diagnostic> {
    let entries = match std::fs::read_dir(&places.cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let message = format!("can't read the cache: {error}");
            return Err(Diagnostic::new(places.cache.display().to_string(), message));
        }
    };
    let mut found: Vec<CachedDataset> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| CachedDataset::read(&entry.path(), places))
        .collect();
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}

impl CachedDataset {
    /// What is in a folder of the cache; nothing where the folder is none of a prepared dataset.
    fn read(folder: &Path, places: &Places) -> Option<Self> {
        let folder_name = folder.file_name()?.to_str()?;
        let (name, digits) = folder_name.rsplit_once('-')?;
        let is_hash =
            digits.len() == NAME_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if name.is_empty() || name.starts_with('.') || !is_hash {
            return None;
        }
        let path = folder.join(MANIFEST);
        let text = regular_file::read_text(&path).ok()?;
        // An older one has no digest; that it is a manifest is enough to know whose folder it is.
        let manifest: Manifest = read_manifest(&text)
            .or_else(|_| toml::from_str(&text))
            .ok()?;
        let time = |path: &Path| {
            std::fs::metadata(path)
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        let made = time(&path)?;
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
        let lock = folder.join(IN_USE);
        Some(Self {
            name: name.to_owned(),
            folder: folder.to_path_buf(),
            rows: manifest
                .files
                .iter()
                .try_fold(0usize, |sum, file| sum.checked_add(file.rows)),
            bytes: sizes.sum(),
            made,
            last_used: time(&lock).unwrap_or(made),
            is_in_use: matches!(take(&lock), LockState::Taken),
            description: DescriptionState::of_reference(manifest.reference.as_ref(), places),
        })
    }
}

/// Which datasets are cleared.
#[derive(Debug, Clone, PartialEq)]
pub enum Clearing {
    /// All of this name, or the one whose folder has this name.
    Named(String),
    /// Those that nobody opened since a time.
    UnusedSince(SystemTime),
    /// All.
    All,
}

impl Clearing {
    fn takes(&self, dataset: &CachedDataset) -> bool {
        match self {
            Self::Named(name) => {
                dataset.name == *name
                    || dataset
                        .folder
                        .file_name()
                        .is_some_and(|folder| folder == name.as_str())
            }
            Self::UnusedSince(time) => dataset.last_used < *time,
            Self::All => true,
        }
    }
}

/// What became of a dataset that was to be cleared.
#[derive(Debug)]
pub struct Cleared {
    /// The dataset.
    pub dataset: CachedDataset,
    /// Why it is still there; nothing where it is gone, or would be.
    pub kept: Option<String>,
}

/// Removes prepared datasets; with `is_trial` it only says which.
///
/// # Errors
/// A cache that can't be read, or a name that nothing there has.
pub fn clear_cache(
    places: &Places,
    wanted: &Clearing,
    is_trial: bool,
) -> Result<Vec<Cleared>, Diagnostic> {
    let found = cached_datasets(places)?;
    let names: Vec<String> = found.iter().map(|dataset| dataset.name.clone()).collect();
    let chosen: Vec<CachedDataset> = found
        .into_iter()
        .filter(|dataset| wanted.takes(dataset))
        .collect();
    if let (true, Clearing::Named(name)) = (chosen.is_empty(), wanted) {
        let message = format!("no prepared dataset has the name `{name}`");
        return Err(Diagnostic::new(places.cache.display().to_string(), message)
            .hint("`homebench cache list` shows what is there")
            .did_you_mean(name, names.iter().map(String::as_str)));
    }
    if !is_trial {
        let upkeep = wait_for_lock(&places.cache.join(UPKEEP_LOCK));
        if matches!(upkeep, Ok(Some(_))) {
            remove_leftovers(&places.cache);
        }
    }
    let cleared = chosen.into_iter().map(|dataset| Cleared {
        kept: clear(&dataset.folder, is_trial).err(),
        dataset,
    });
    Ok(cleared.collect())
}

/// Removes a dataset.
///
/// # Errors
/// Why it stays.
fn clear(folder: &Path, is_trial: bool) -> Result<(), String> {
    let in_use = || "it is in use".to_owned();
    // Neither preparation nor reading begins while these are held.
    let _preparing = match take(&folder.with_extension("lock")) {
        LockState::Taken => return Err(in_use()),
        LockState::Unknown => {
            return Err(
                "whether it is in use can't be told here: this file system has no locks".to_owned(),
            );
        }
        other => other,
    };
    let _reading = match take(&folder.join(IN_USE)) {
        LockState::Taken => return Err(in_use()),
        LockState::Unknown => {
            return Err("its lock can't be taken: it may be another user's".to_owned());
        }
        other => other,
    };
    if let Some(other) = something_else(folder) {
        return Err(format!("{} was not made by homebench", other.display()));
    }
    if is_trial {
        return Ok(());
    }
    // The empty file beside it stays: another process may wait for its lock.
    remove_dataset(folder).map_err(|said| said.message)
}
