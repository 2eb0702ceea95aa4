//! Checksums of source files that were read before, and what tells that a file is still the one that was read.

use super::Observer;
use super::sealed_text::{sealed, unsealed};
use super::source_files::{Trust, cant_read, check_unchanged_file, sha256_of};
use homebench_diagnostic::{Diagnostic, regular_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What tells a file that was written again from the one before, without reading all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    // As digits, since the counts are of 128 bits and TOML has no such integer.
    modified_nanoseconds: String,
    /// When content, name or rights were last changed. Unlike the time of modification no program can set it.
    #[serde(default)]
    changed_nanoseconds: String,
    /// Another one where the file was replaced.
    #[serde(default)]
    inode: u64,
}

impl Stamp {
    pub(super) fn of_metadata(metadata: &Metadata) -> Self {
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = i128::from(metadata.ctime()) * 1_000_000_000;
        Self {
            bytes: metadata.len(),
            modified_nanoseconds: since.map_or(0, |since| since.as_nanos()).to_string(),
            changed_nanoseconds: (changed + i128::from(metadata.ctime_nsec())).to_string(),
            inode: metadata.ino(),
        }
    }
}

/// Checksums of files that were read before, by path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Checksums {
    #[serde(default)]
    files: BTreeMap<String, Remembered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    stamp: Stamp,
    /// BLAKE3 of some of its bytes.
    #[serde(default)]
    samples: String,
    sha256: String,
}

/// What is known of files that were read before.
pub(super) struct KnownFiles {
    checksums: Checksums,
    trust: Trust,
    /// Whether anything was learned.
    pub(super) is_changed: bool,
}

impl KnownFiles {
    /// What is remembered in a file; nothing where it can't be read.
    pub(super) fn read(memory: &Path, trust: Trust) -> Self {
        Self {
            checksums: Checksums::read(memory),
            trust,
            is_changed: false,
        }
    }

    /// Keeps what was learned.
    pub(super) fn write(&self, memory: &Path) {
        if self.is_changed {
            self.checksums.write(memory);
        }
    }

    /// The checksum of a file, which is read where it isn't known.
    pub(super) fn sha256(
        &mut self,
        path: &Path,
        stamp: &Stamp,
        observer: &mut dyn Observer,
    ) -> Result<String, Diagnostic> {
        // One file has one entry, by whatever path it is named.
        let key = path
            .canonicalize()
            .unwrap_or_else(|_| path.to_path_buf())
            .display()
            .to_string();
        let samples = samples(path).map_err(|error| cant_read(path, &error))?;
        let before = self.checksums.files.get(&key);
        let is_known = |known: &&Remembered| {
            self.trust == Trust::Remembered && known.stamp == *stamp && known.samples == samples
        };
        if let Some(known) = before.filter(is_known) {
            return Ok(known.sha256.clone());
        }
        let sha256 = sha256_of(path)?;
        // A file that was written while it was read has the checksum of a content that
        // never was.
        check_unchanged_file(path, stamp)?;
        if before.is_some_and(|before| before.sha256 != sha256) {
            observer.notice(&format!(
                "{}: the file is another one than when it was last read; what is made from it is made anew",
                path.display()
            ));
        }
        let learned = Remembered {
            stamp: stamp.clone(),
            samples,
            sha256: sha256.clone(),
        };
        self.checksums.files.insert(key, learned);
        self.is_changed = true;
        Ok(sha256)
    }
}

/// The BLAKE3 hash of a file's first and last bytes and of some between, evenly spaced.
// Times and inodes can be made to look as before (a restored backup, a copy inside a container), bytes can't; a few hundred
// kilobytes are read in no time even where the file has gigabytes.
fn samples(path: &Path) -> std::io::Result<String> {
    const NUM_SAMPLES: u64 = 64;
    const SAMPLE_BYTES: u64 = 8 << 10;
    let file = regular_file::open(path)?;
    let len = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    if len <= NUM_SAMPLES * SAMPLE_BYTES {
        hasher.update_reader(&file)?;
    } else {
        let mut buffer = vec![0; SAMPLE_BYTES as usize];
        for index in 0..NUM_SAMPLES {
            // The last one ends with the file.
            let start = (len - SAMPLE_BYTES) / (NUM_SAMPLES - 1) * index;
            let start = if index + 1 == NUM_SAMPLES {
                len - SAMPLE_BYTES
            } else {
                start
            };
            file.read_exact_at(&mut buffer, start)?;
            hasher.update(&buffer);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The most bytes of what is remembered: some hundred for each file that was ever read.
const MOST_BYTES: u64 = 1 << 30;

impl Checksums {
    /// What is remembered; nothing if the file is absent, unreadable or not as it was written, since everything in it can be computed.
    fn read(path: &Path) -> Self {
        let text = regular_file::read_text_up_to(path, MOST_BYTES).unwrap_or_default();
        let whole = unsealed(&text).ok();
        let read = whole.and_then(|text| toml::from_str(text).ok());
        read.unwrap_or_default()
    }

    /// Best effort: a checksum that isn't remembered is computed again.
    fn write(&self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        let Ok(text) = toml::to_string(self) else {
            return;
        };
        let written = std::fs::create_dir_all(folder).and_then(|()| {
            // Renamed into place: of two processes that write at once one wins, and no reader sees
            // a half of either.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            std::io::Write::write_all(&mut file, sealed(&text).as_bytes())?;
            Ok(file.persist(path).map(|_| ())?)
        });
        drop(written);
    }
}
