//! A prepared dataset on disk: its files, opened once, checked, mapped and watched.

use super::in_use::{self, CacheHold};
use super::upkeep::OTHER_FILES;
use crate::carried::CarriedRows;
use crate::known_files::Stamp;
use crate::manifest::{MANIFEST, Manifest};
use crate::packed::Widths;
use crate::preparation_version;
use crate::pretrained::{PRETRAINED, PretrainedVectors};
use crate::sealed_text::unsealed;
use crate::{SPLITS, Schema, Split};
use homebench_diagnostic::{Diagnostic, regular_file};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are read at once; enough to keep every thread's hash busy.
const READ_BYTES: usize = 8 << 20;

/// A dataset of the cache whose bytes are those that were written.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    /// Those of the splits, in their order, then the others.
    files: Arc<Vec<CacheFile>>,
    hold: CacheHold,
}

/// An opened file of a dataset, and what it is known to hold.
#[derive(Debug)]
struct CacheFile {
    path: PathBuf,
    file: File,
    /// Of when its bytes were last found to be those that were written.
    stamp: Mutex<Stamp>,
    bytes: u64,
    blake3: String,
}

impl CacheFile {
    fn stamp(&self) -> std::io::Result<Stamp> {
        Ok(Stamp::of_metadata(&self.file.metadata()?))
    }

    /// Reads every byte.
    fn check_bytes(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; READ_BYTES.min(self.bytes as usize + 1)];
        let mut at = 0;
        // By reading, not through a map: a file that is cut meanwhile then ends early, and no signal ends the process.
        loop {
            match self.file.read_at(&mut buffer, at).map_err(failed)? {
                0 => break,
                read => {
                    hasher.update_rayon(&buffer[..read]);
                    at += read as u64;
                }
            }
        }
        match hasher.finalize().to_hex().as_str() == self.blake3 {
            true => Ok(()),
            false => Err(format!(
                "{} has other bytes than were written",
                self.path.display()
            )),
        }
    }
}

impl CacheEntry {
    /// The whole dataset of this hash, if there is one. Every byte is read, unless the files are those of which another
    /// process said by [`CacheHold::identity`] that it has read them.
    ///
    /// # Errors
    /// Why what is there is not whole.
    pub(crate) fn find(
        folder: &Path,
        content_hash: &str,
        checked: Option<&str>,
    ) -> Result<Option<Self>, String> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let text = regular_file::read_text(&folder.join(MANIFEST))
            .map_err(|error| format!("its {MANIFEST} can't be read: {error}"))?;
        let manifest = read_manifest(&text)?;
        // The folder's name has the first 16 digits of the hash; the manifest has all of it.
        let is_right = manifest.content_hash == content_hash
            && preparation_version::KNOWN.contains(&manifest.preparation_version)
            && manifest.files.len() == SPLITS.len()
            && manifest
                .others
                .iter()
                .all(|other| OTHER_FILES.contains(&other.name.as_str()));
        if !is_right {
            return Err(format!("its {MANIFEST} describes another dataset"));
        }
        if manifest.rules != preparation_version::RULES {
            return Err(format!(
                "its {MANIFEST} is of another version, which prepares a few datasets to other rows"
            ));
        }
        if manifest.lists.iter().any(|list| list.mean_length.is_none()) {
            return Err(format!(
                "its {MANIFEST} is of an older version and doesn't say how long lists are"
            ));
        }
        // Before the files are opened: who clears the cache waits for it, or has removed them all.
        let lock = in_use::hold(folder);
        let mut identity = blake3::Hasher::new();
        identity.update(text.as_bytes());
        let mut files = Vec::new();
        let mut num_bytes = 0;
        let splits = SPLITS.iter().zip(&manifest.files);
        let splits =
            splits.map(|(split, entry)| (format!("{split}.arrow"), entry.bytes, &entry.blake3));
        let others = manifest.others.iter();
        let others = others.map(|entry| (entry.name.clone(), entry.bytes, &entry.blake3));
        for (name, bytes, blake3) in splits.chain(others) {
            let (file, stamp) = open_file(folder.join(&name), bytes, blake3)?;
            identity.update(format!("{name} {stamp:?}\n").as_bytes());
            files.push(file);
            num_bytes += bytes;
        }
        let identity = identity.finalize().to_hex().to_string();
        if checked != Some(identity.as_str()) {
            for file in &files {
                file.check_bytes()?;
            }
        }
        Ok(Some(Self {
            folder: folder.to_path_buf(),
            manifest,
            files: Arc::new(files),
            hold: CacheHold::new(identity, num_bytes, lock),
        }))
    }

    /// The file of a split, and its path.
    pub(crate) fn file(&self, split: usize) -> (&File, &Path) {
        let file = &self.files[split];
        (&file.file, &file.path)
    }

    /// The pretrained vectors, by a handle on the file whose bytes were checked.
    ///
    /// # Errors
    /// A process that may open no more files.
    pub(crate) fn pretrained(&self) -> Result<PretrainedVectors, String> {
        let mut others = self.files[SPLITS.len()..].iter();
        let Some(CacheFile { file, path, .. }) =
            others.find(|file| file.path.ends_with(PRETRAINED))
        else {
            return Ok(PretrainedVectors::default());
        };
        let file = file.try_clone();
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(PretrainedVectors::new(file, path))
    }

    /// What keeps the files in the cache, and says which they are.
    pub(crate) fn hold(&self) -> CacheHold {
        self.hold.clone()
    }

    /// What tells whether the files are still as they were.
    pub(crate) fn watch(&self) -> CacheWatch {
        CacheWatch {
            files: vec![self.files.clone()],
            _holds: vec![self.hold()],
        }
    }

    /// Maps the carried columns of a split.
    pub(crate) fn map_carried(&self, split: usize) -> Result<CarriedRows, String> {
        let (file, path) = self.file(split);
        let mapped = CarriedRows::map(file, path)?;
        match mapped.num_rows() == self.manifest.files[split].rows {
            true => Ok(mapped),
            false => Err(format!("{} has other rows", path.display())),
        }
    }

    /// Maps a split.
    pub(crate) fn map(&self, split: usize, schema: &Schema) -> Result<Split, String> {
        let widths = Widths {
            categorical: schema.categorical.len(),
            lists: schema.lists.len(),
            numeric: schema.numeric.len(),
            labels: schema.tasks.len(),
            user: usize::from(schema.user.is_some()),
            weight: usize::from(schema.weight.is_some()),
        };
        let (file, path) = self.file(split);
        let mapped = Split::map(file, path, widths)?;
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
}

/// The manifest of a text that is as it was written.
pub(super) fn read_manifest(text: &str) -> Result<Manifest, String> {
    let text = unsealed(text).map_err(|why| format!("its {MANIFEST} {why}"))?;
    toml::from_str(text).map_err(|error| format!("its {MANIFEST} is damaged: {}", error.message()))
}

fn open_file(path: PathBuf, bytes: u64, blake3: &str) -> Result<(CacheFile, Stamp), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = regular_file::open(&path).map_err(failed)?;
    let stamp = Stamp::of_metadata(&file.metadata().map_err(failed)?);
    if stamp.bytes != bytes {
        return Err(format!(
            "{} has {} bytes instead of {bytes}",
            path.display(),
            stamp.bytes
        ));
    }
    let file = CacheFile {
        path,
        file,
        stamp: Mutex::new(stamp.clone()),
        bytes,
        blake3: blake3.to_owned(),
    };
    Ok((file, stamp))
}

/// The files of a prepared dataset, as they were when they were opened. As long as it lives, the cache isn't cleared of them.
#[derive(Debug, Clone)]
pub struct CacheWatch {
    files: Vec<Arc<Vec<CacheFile>>>,
    _holds: Vec<CacheHold>,
}

impl CacheWatch {
    /// Watches the files of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self._holds.extend(other._holds);
        self
    }

    /// Checks that what was read is what had been prepared. It costs nothing where no file was touched.
    ///
    /// # Errors
    /// A file that another program changed.
    pub fn check(&self) -> Result<(), Diagnostic> {
        for file in self.files.iter().flat_map(|files| files.iter()) {
            let mut known = file.stamp.lock().unwrap_or_else(PoisonError::into_inner);
            let now = file.stamp();
            if now.as_ref().is_ok_and(|now| *now == *known) {
                continue;
            }
            // One that was touched, or removed while it is open, may have the bytes that it had.
            if let Err(why) = file.check_bytes() {
                let message = format!(
                    "the prepared dataset was changed while it was read ({why}), so that nothing learned from it is kept"
                );
                return Err(Diagnostic::new(file.path.display().to_string(), message)
                    .hint("run this again: the dataset is prepared again"));
            }
            if let Ok(now) = now {
                *known = now;
            }
        }
        Ok(())
    }
}
