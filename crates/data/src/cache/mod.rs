//! Prepared datasets on disk: keyed by content, made once, checked when opened.
//!
//! A dataset is prepared in a folder of its own name and renamed when whole, so what a killed process leaves is never
//! read; a lock file lets one process prepare while others wait. Every byte is read when a dataset is opened: once by the
//! process that plans, which hands what it found to those that train. Files are not forced to disk; what a loss of power
//! damages is found and prepared again.

mod entry;
mod in_use;
mod upkeep;

pub(super) use entry::CacheEntry;
pub use entry::CacheWatch;
pub use in_use::CacheHold;
pub use upkeep::{
    CachedDataset, Cleared, Clearing, DescriptionState, cached_datasets, clear_cache,
};

use super::file_lock::wait_for_lock;
use super::manifest::{MANIFEST, Manifest, OtherFile, Reference};
use super::preparation_version::preparation_version;
use super::schema::{Description, Protocol, Source};
use super::sealed_text::sealed;
use super::source_files::Located;
use super::table::PreparedTable;
use super::{DatasetRef, Observer, RowSubset, cant_write};
use crate::expression::Reading;
use homebench_diagnostic::Diagnostic;
use std::path::{Path, PathBuf};

/// Raised when the same columns are carried in other bytes.
const CARRIED_VERSION: &str = "homebench carried columns 1";

/// Hash of everything that decides a prepared dataset's bytes.
pub(super) fn content_hash(protocol: &Protocol, rows: RowSubset, sources: &[Located]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        // Each part comes after its length, so that no two lists of parts run together into the
        // same bytes.
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    let version = preparation_version(protocol, sources);
    part(&format!("homebench prepared data {version}"));
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

/// The folder of a dataset.
pub(super) fn folder(cache: &Path, name: &str, content_hash: &str) -> PathBuf {
    // A description that is named by its path is called by its last part: `join` of a whole path would leave the cache.
    let name = Path::new(name).file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    cache.join(format!("{name}-{}", &content_hash[..16]))
}

/// What is prepared, and from what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a DatasetRef,
    pub(super) description: &'a Description,
    pub(super) protocol: &'a Protocol,
    pub(super) sources: &'a [Located],
    pub(super) cache: &'a Path,
    /// Columns that are carried, where these are wanted in place of what models read.
    pub(super) carried: Option<&'a [(usize, Reading)]>,
}

impl Wanted<'_> {
    /// Hash of everything that decides the bytes.
    fn hash(&self) -> String {
        let hash = content_hash(self.protocol, self.reference.rows, self.sources);
        let Some(columns) = self.carried else {
            return hash;
        };
        let mut hasher = blake3::Hasher::new();
        let names = self.carried_names(columns);
        for part in [CARRIED_VERSION.to_owned(), hash].into_iter().chain(names) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    fn carried_names(&self, columns: &[(usize, Reading)]) -> impl Iterator<Item = String> {
        let plan = match &self.protocol.source {
            Source::Table(plan) => Some(plan),
            Source::Generated(_) => None,
        };
        let columns = columns.iter().copied();
        columns.filter_map(move |(column, reading)| {
            let name = &plan?.columns[column];
            Some(match reading {
                Reading::Number => format!("number of {name}"),
                Reading::Time => format!("time of {name}"),
                _ => name.clone(),
            })
        })
    }

    /// The prepared dataset; made now if it isn't there or isn't whole. `checked` is the identity of files that need no
    /// reading; `distrust` says why a dataset that looks whole is not.
    ///
    /// # Errors
    /// Source rows that aren't as described, or a cache that can't be written.
    pub(super) fn obtain(
        &self,
        checked: Option<&str>,
        distrust: Option<String>,
        observer: &mut dyn Observer,
    ) -> Result<CacheEntry, Diagnostic> {
        let cache = self.cache;
        let hash = self.hash();
        let folder = folder(cache, &self.description.name, &hash);
        if distrust.is_none()
            && let Ok(Some(entry)) = CacheEntry::find(&folder, &hash, checked)
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
        let why = match (CacheEntry::find(&folder, &hash, None), distrust) {
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
            upkeep::remove_dataset(&folder)?;
        }
        self.build(&folder, &hash, lock.is_some(), observer)?;
        match CacheEntry::find(&folder, &hash, None) {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => Err(cant_write(&folder, &"the folder vanished")),
            Err(why) => Err(cant_write(&folder, &why)),
        }
    }

    /// Prepares in a folder of another name and renames it. Without the lock somebody else may do the same.
    fn build(
        &self,
        folder: &Path,
        hash: &str,
        has_lock: bool,
        observer: &mut dyn Observer,
    ) -> Result<(), Diagnostic> {
        let building = upkeep::begin_building(self.cache, hash)?;
        let mut table = self.fill(building.path(), observer)?;
        let mut warnings = std::mem::take(&mut table.warnings);
        if matches!(self.protocol.source, Source::Generated(_)) {
            let (tasks, written) = (&self.protocol.tasks, &table.written);
            warnings = super::table::of_labels(tasks, written, &[]);
            warnings.extend(super::table::of_chains(tasks, written));
        }
        let reference = Reference::new(self.reference, self.protocol);
        let others = other_files(building.path())?;
        let version = preparation_version(self.protocol, self.sources);
        let mut manifest = Manifest::new(version, hash, reference, table, warnings, others);
        let carried = self.carried.map(|columns| self.carried_names(columns));
        manifest.carried = carried.map(Iterator::collect);
        // Last, so that a folder with a manifest has all of its files.
        let path = building.path().join(MANIFEST);
        let text = toml::to_string(&manifest).map_err(|error| cant_write(&path, &error))?;
        std::fs::write(&path, sealed(&text)).map_err(|error| cant_write(&path, &error))?;
        let renamed = building.rename(folder);
        // The same dataset, from whoever was faster.
        if !has_lock && matches!(CacheEntry::find(folder, hash, None), Ok(Some(_))) {
            return Ok(());
        }
        renamed
    }

    /// Writes the splits into a folder.
    fn fill(
        &self,
        folder: &Path,
        observer: &mut dyn Observer,
    ) -> Result<PreparedTable, Diagnostic> {
        let Self {
            reference,
            description,
            protocol,
            sources,
            ..
        } = *self;
        let plan = match &protocol.source {
            Source::Table(plan) => plan,
            Source::Generated(config) => {
                let written = super::generated::prepare(
                    config,
                    &protocol.tasks,
                    reference.rows,
                    folder,
                    observer,
                )?;
                return Ok(PreparedTable {
                    categorical: config.categorical(),
                    lists: Vec::new(),
                    numeric: config.numeric(),
                    written,
                    pretrained: Vec::new(),
                    warnings: Vec::new(),
                });
            }
        };
        // Those that are not read have no path.
        let mut files = vec![PathBuf::new(); description.files.len()];
        for source in sources {
            files[source.file].clone_from(&source.path);
        }
        let table = match self.carried {
            None => super::table::prepare(
                plan,
                &protocol.tasks,
                &description.files,
                &files,
                reference.rows,
                folder,
                observer,
            ),
            Some(columns) => {
                let (sources, rows) = (&description.files, reference.rows);
                super::table::carry(plan, columns, sources, &files, rows, folder, observer).map(
                    |written| PreparedTable {
                        categorical: Vec::new(),
                        lists: Vec::new(),
                        numeric: Vec::new(),
                        written,
                        pretrained: Vec::new(),
                        warnings: Vec::new(),
                    },
                )
            }
        };
        // A file that another program writes may look broken, or whole and be a mixture: neither is believed.
        super::source_files::check_unchanged(sources)?;
        table
    }
}

/// The files that preparation wrote beside the splits.
fn other_files(folder: &Path) -> Result<Vec<OtherFile>, Diagnostic> {
    let mut others = Vec::new();
    for name in upkeep::OTHER_FILES {
        let path = folder.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(cant_write(&path, &error)),
        };
        others.push(OtherFile {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
        });
    }
    Ok(others)
}
