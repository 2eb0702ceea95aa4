//! Prepared datasets on disk: keyed by content, made once, checked when opened.
//!
//! A dataset is prepared in a folder of its own name and renamed when whole, so what a killed process leaves is never
//! read; a lock file lets one process prepare while others wait. Every file's size is checked when a dataset is
//! opened, every byte by `homebench data verify`. Files are not forced to disk: after a loss of power a file may be
//! wrong at its right size, which `verify` finds.

use super::file_lock::wait_for_lock;
use super::manifest::{MANIFEST, Manifest, PREPARATION_VERSION};
use super::packed::Widths;
use super::schema::{Description, Protocol, Source};
use super::source_files::Located;
use super::table::PreparedTable;
use super::{Observer, RowSubset, SPLITS, Schema, Split, cant_write};
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A dataset of the cache.
#[derive(Debug)]
pub(super) struct CacheEntry {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
}

/// Hash of everything that decides a prepared dataset's bytes.
pub(super) fn content_hash(protocol: &Protocol, rows: RowSubset, sources: &[Located]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        // Each part comes after its length, so that no two lists of parts run together into the
        // same bytes.
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&format!("homebench prepared data {PREPARATION_VERSION}"));
    part(&protocol.canonical());
    // Another wording here changes every content hash, and with it the id of every cell on the
    // data.
    part(&match rows {
        RowSubset::All => "all".to_owned(),
        RowSubset::TrainRows(count) => format!("train rows {count}"),
        RowSubset::Fraction(fraction) => format!("fraction {fraction}"),
    });
    for source in sources {
        part(&source.sha256);
    }
    hasher.finalize().to_hex().to_string()
}

impl CacheEntry {
    /// The whole dataset of this hash, if there is one.
    ///
    /// # Errors
    /// Why what is there is not whole.
    pub(super) fn find(folder: &Path, content_hash: &str) -> Result<Option<Self>, String> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(folder.join(MANIFEST))
            .map_err(|error| format!("its {MANIFEST} can't be read: {error}"))?;
        let manifest: Manifest = toml::from_str(&text)
            .map_err(|error| format!("its {MANIFEST} is damaged: {}", error.message()))?;
        // The folder's name has the first 16 digits of the hash; the manifest has all of it.
        let is_right = manifest.content_hash == content_hash
            && manifest.preparation_version == PREPARATION_VERSION
            && manifest.files.len() == SPLITS.len();
        if !is_right {
            return Err(format!("its {MANIFEST} describes another dataset"));
        }
        let entry = Self {
            folder: folder.to_path_buf(),
            manifest,
        };
        for (split, file) in entry.manifest.files.iter().enumerate() {
            let path = entry.path(split);
            // Sizes alone, since every cell is a process that opens its dataset. `homebench data
            // verify` reads the bytes.
            let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if bytes != file.bytes {
                return Err(format!(
                    "{} has {bytes} bytes instead of {}",
                    path.display(),
                    file.bytes
                ));
            }
        }
        Ok(Some(entry))
    }

    /// The file of a split.
    pub(super) fn path(&self, split: usize) -> PathBuf {
        self.folder.join(format!("{}.arrow", SPLITS[split]))
    }

    /// Maps a split.
    pub(super) fn map(&self, split: usize, schema: &Schema) -> Result<Split, String> {
        let widths = Widths {
            categorical: schema.categorical.len(),
            lists: schema.lists.len(),
            numeric: schema.numeric.len(),
            labels: schema.tasks.len(),
            user: usize::from(schema.user.is_some()),
            weight: usize::from(schema.weight.is_some()),
        };
        let path = self.path(split);
        let mapped =
            Split::map(&path, widths).map_err(|error| format!("{}: {error}", path.display()))?;
        let expected = self.manifest.files[split].rows;
        match mapped.num_rows() == expected {
            true => Ok(mapped),
            false => Err(format!(
                "{} has {} rows instead of {expected}",
                path.display(),
                mapped.num_rows()
            )),
        }
    }

    /// Reads every byte and compares it with what was written.
    pub(super) fn verify(&self) -> Result<(), String> {
        for (split, file) in self.manifest.files.iter().enumerate() {
            let path = self.path(split);
            let mut hasher = blake3::Hasher::new();
            let read = File::open(&path).and_then(|file| hasher.update_reader(file).map(|_| ()));
            read.map_err(|error| format!("{}: {error}", path.display()))?;
            if hasher.finalize().to_hex().as_str() != file.blake3 {
                return Err(format!(
                    "{} has other bytes than were written",
                    path.display()
                ));
            }
        }
        Ok(())
    }
}

/// The folder of a dataset.
pub(super) fn folder(cache: &Path, name: &str, content_hash: &str) -> PathBuf {
    cache.join(format!("{name}-{}", &content_hash[..16]))
}

/// The prepared dataset; made now if it isn't there or isn't whole. `distrust` says why one that looks whole is not.
///
/// # Errors
/// Source rows that aren't as described, or a cache that can't be written.
pub(super) fn obtain(
    description: &Description,
    protocol: &Protocol,
    rows: RowSubset,
    sources: &[Located],
    cache: &Path,
    distrust: Option<String>,
    observer: &mut dyn Observer,
) -> Result<CacheEntry, Diagnostic> {
    let hash = content_hash(protocol, rows, sources);
    let folder = folder(cache, &description.name, &hash);
    if distrust.is_none()
        && let Ok(Some(entry)) = CacheEntry::find(&folder, &hash)
    {
        return Ok(entry);
    }
    std::fs::create_dir_all(cache).map_err(|error| cant_write(cache, &error))?;
    // Beside the folder, which appears by a rename. The system frees the lock of a process that
    // dies, so a kill leaves nothing to clean up.
    let lock_path = folder.with_extension("lock");
    let lock = wait_for_lock(&lock_path).map_err(|error| cant_write(&lock_path, &error))?;
    if lock.is_none() {
        observer.notice(&format!(
            "{}: the file system has no locks; let one process prepare a dataset at a time",
            cache.display()
        ));
    }
    // Another process may have made it while this one waited.
    let why = match (CacheEntry::find(&folder, &hash), distrust) {
        (Ok(Some(entry)), None) => return Ok(entry),
        (Ok(None), _) => None,
        (Ok(Some(_)), Some(why)) | (Err(why), _) => Some(why),
    };
    if let Some(why) = why {
        observer.notice(&format!(
            "{} is not whole ({why}); it is prepared again",
            folder.display()
        ));
        // A folder can't be renamed over one that has files.
        std::fs::remove_dir_all(&folder).map_err(|error| cant_write(&folder, &error))?;
    }
    build(
        description,
        protocol,
        rows,
        sources,
        cache,
        &folder,
        &hash,
        lock.is_some(),
        observer,
    )?;
    match CacheEntry::find(&folder, &hash) {
        Ok(Some(entry)) => Ok(entry),
        Ok(None) => Err(cant_write(&folder, &"the folder vanished")),
        Err(why) => Err(cant_write(&folder, &why)),
    }
}

/// Prepares in a folder of another name and renames it. Without the lock somebody else may do the same.
fn build(
    description: &Description,
    protocol: &Protocol,
    rows: RowSubset,
    sources: &[Located],
    cache: &Path,
    folder: &Path,
    hash: &str,
    has_lock: bool,
    observer: &mut dyn Observer,
) -> Result<(), Diagnostic> {
    let prefix = format!(".building-{}-", &hash[..16]);
    if has_lock {
        remove_leftovers(cache, &prefix);
    }
    // In the cache itself, since a rename can't leave its file system.
    let building = tempfile::Builder::new().prefix(&prefix).tempdir_in(cache);
    let building = building.map_err(|error| cant_write(cache, &error))?;
    let table = match &protocol.source {
        Source::Table(plan) => {
            // Those that are not read have no path.
            let mut files = vec![PathBuf::new(); description.files.len()];
            for source in sources {
                files[source.file].clone_from(&source.path);
            }
            let table = super::table::prepare(
                plan,
                &protocol.tasks,
                &description.files,
                &files,
                rows,
                building.path(),
                observer,
            );
            // A file that another program writes may look broken, or whole and be a mixture: neither is believed.
            super::source_files::check_unchanged(sources)?;
            table?
        }
        Source::Generated(config) => PreparedTable {
            categorical: config.categorical(),
            lists: Vec::new(),
            numeric: config.numeric(),
            written: super::generated::prepare(config, rows, building.path(), observer)?,
            warnings: Vec::new(),
        },
    };
    let mut table = table;
    let mut warnings = std::mem::take(&mut table.warnings);
    if matches!(protocol.source, Source::Generated(_)) {
        warnings = super::table::of_labels(&protocol.tasks, &table.written, &[]);
    }
    let manifest = Manifest::new(hash, table, warnings);
    // Last, so that a folder with a manifest has all of its files.
    let path = building.path().join(MANIFEST);
    let text = toml::to_string(&manifest).map_err(|error| cant_write(&path, &error))?;
    std::fs::write(&path, text).map_err(|error| cant_write(&path, &error))?;
    if let Err(error) = std::fs::rename(building.path(), folder) {
        // The same dataset, from whoever was faster.
        if !has_lock && matches!(CacheEntry::find(folder, hash), Ok(Some(_))) {
            return Ok(());
        }
        return Err(cant_write(folder, &error));
    }
    // Its content has moved; there is nothing left to remove.
    let _ = building.keep();
    Ok(())
}

/// Removes what killed preparations of the same dataset left; the lock says that none is at work.
fn remove_leftovers(cache: &Path, prefix: &str) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // What can't be removed takes space and is never read.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
