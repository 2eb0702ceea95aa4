//! Source files: found, checked, and remembered once checked.

use super::Observer;
use super::schema::{Description, SourceFile};
use homebench_diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A source file on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    /// Its index in the description.
    pub(super) file: usize,
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    /// What the file system said of it when its checksum was taken.
    stamp: Stamp,
}

/// What tells a file that was written again from the one before, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified_nanoseconds: String,
    /// Another one where the file was replaced.
    inode: u64,
}

impl Stamp {
    fn of_metadata(metadata: &Metadata) -> Self {
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            bytes: metadata.len(),
            // As digits, since the count is a u128 and TOML has no such integer.
            modified_nanoseconds: since.map_or(0, |since| since.as_nanos()).to_string(),
            inode: metadata.ino(),
        }
    }
}

/// Whether checks made before are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A file of the same path, size and time of modification has the same content.
    Remembered,
    /// Every byte is read.
    Nothing,
}

/// Checksums of files that were read before, by path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Checksums {
    #[serde(default)]
    files: BTreeMap<String, Remembered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    bytes: u64,
    modified_nanoseconds: String,
    sha256: String,
}

/// Finds and checks the `wanted` files of a description in `folder`; `memory` is where checksums are remembered.
///
/// # Errors
/// A file that is missing, cut or another one.
pub(super) fn locate(
    description: &Description,
    wanted: impl IntoIterator<Item = usize>,
    folder: &Path,
    memory: &Path,
    trust: Trust,
    observer: &mut dyn Observer,
) -> Result<Vec<Located>, Diagnostic> {
    let mut remembered = Checksums::read(memory);
    let before = remembered.files.len();
    let mut changed = false;
    let located = wanted
        .into_iter()
        .map(|index| {
            let file = &description.files[index];
            let (path, is_hand_placed) = find(description, file, folder)?;
            let metadata = std::fs::metadata(&path).map_err(|error| cant_read(&path, &error))?;
            // A cut file is refused before it is read.
            check_size(description, file, &path, &metadata, is_hand_placed)?;
            // One file has one entry, by whatever path it is named.
            let key = path
                .canonicalize()
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string();
            let stamp = Stamp::of_metadata(&metadata);
            let before = remembered.files.get(&key);
            let known = before.filter(|known| trust == Trust::Remembered && known.is_of(&stamp));
            let sha256 = match known.map(|known| known.sha256.clone()) {
                Some(sha256) => sha256,
                None => {
                    let sha256 = sha256_of(&path)?;
                    // A file that was written while it was read has the checksum of a content that
                    // never was.
                    check_unchanged_file(&path, &stamp)?;
                    if before.is_some_and(|before| before.sha256 != sha256) {
                        observer.notice(&format!(
                            "{}: the file is another one than when it was last read; what is made from it is made anew",
                            path.display()
                        ));
                    }
                    remembered
                        .files
                        .insert(key, Remembered::new(&stamp, &sha256));
                    changed = true;
                    sha256
                }
            };
            check_content(description, file, &path, &sha256, is_hand_placed, observer)?;
            Ok(Located {
                file: index,
                path,
                sha256,
                stamp,
            })
        })
        .collect::<Result<Vec<_>, Diagnostic>>();
    // Also where a later file is refused: what was hashed need not be hashed again.
    if changed || remembered.files.len() != before {
        remembered.write(memory);
    }
    located
}

/// The path of a file, and whether it has a name for files put there by hand.
fn find(
    description: &Description,
    file: &SourceFile,
    folder: &Path,
) -> Result<(PathBuf, bool), Diagnostic> {
    let path = folder.join(&file.name);
    if path.is_file() {
        return Ok((path, false));
    }
    let others = file.other_names.iter().map(|name| folder.join(name));
    if let Some(other) = others.into_iter().find(|path| path.is_file()) {
        return Ok((other, true));
    }
    let said = Diagnostic::new(path.display().to_string(), "the file is missing");
    Err(if description.fetch.is_some() {
        said.hint(format!("run `homebench data fetch {}`", description.name))
    } else {
        said.hint("put it there, or name another folder with --data-dir or HOMEBENCH_DATA")
    })
}

fn mend(description: &Description, path: &Path) -> String {
    if description.fetch.is_some() {
        format!(
            "remove {} and run `homebench data fetch {}`",
            path.display(),
            description.name
        )
    } else {
        format!("remove {} and get it again", path.display())
    }
}

fn check_size(
    description: &Description,
    file: &SourceFile,
    path: &Path,
    metadata: &Metadata,
    is_hand_placed: bool,
) -> Result<(), Diagnostic> {
    match file.bytes {
        Some(bytes) if bytes != metadata.len() && !is_hand_placed => Err(Diagnostic::new(
            path.display().to_string(),
            format!(
                "expected {bytes} bytes, found {}: the file is cut or another one",
                metadata.len()
            ),
        )
        .hint(mend(description, path))),
        _ => Ok(()),
    }
}

/// A file put there by hand under its publisher's name may differ in its bytes; then the number of its rows and
/// columns decides, when it is read, and that is said.
fn check_content(
    description: &Description,
    file: &SourceFile,
    path: &Path,
    sha256: &str,
    is_hand_placed: bool,
    observer: &mut dyn Observer,
) -> Result<(), Diagnostic> {
    let Some(expected) = file
        .sha256
        .as_deref()
        .filter(|expected| *expected != sha256)
    else {
        return Ok(());
    };
    if is_hand_placed && let Some(rows) = file.rows {
        observer.notice(&format!(
            "{}: its SHA-256 {sha256} is not the known {expected}; it is accepted if it has {rows} rows of the \
             described columns, and results on it carry another content hash",
            path.display()
        ));
        return Ok(());
    }
    Err(Diagnostic::new(
        path.display().to_string(),
        format!("expected SHA-256 {expected}, found {sha256}: the file is damaged or another one"),
    )
    .hint(mend(description, path)))
}

/// The SHA-256 of a file in hexadecimal digits.
pub(super) fn sha256_of(path: &Path) -> Result<String, Diagnostic> {
    let mut file = File::open(path).map_err(|error| cant_read(path, &error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file
            .read(&mut buffer)
            .map_err(|error| cant_read(path, &error))?
        {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn cant_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(
        path.display().to_string(),
        format!("can't read the file: {error}"),
    )
}

/// Checks that files are those whose checksums were taken, after they were read once more.
///
/// # Errors
/// A file that was written, replaced or removed meanwhile.
pub(super) fn check_unchanged(sources: &[Located]) -> Result<(), Diagnostic> {
    sources
        .iter()
        .try_for_each(|source| check_unchanged_file(&source.path, &source.stamp))
}

fn check_unchanged_file(path: &Path, stamp: &Stamp) -> Result<(), Diagnostic> {
    let now = std::fs::metadata(path).map(|metadata| Stamp::of_metadata(&metadata));
    let what = match now {
        Ok(now) if now == *stamp => return Ok(()),
        Ok(now) if now.bytes == stamp.bytes => "it was written again".to_owned(),
        Ok(now) => format!("it had {} bytes and now has {}", stamp.bytes, now.bytes),
        Err(error) => format!("it can't be found any more: {error}"),
    };
    let message = format!("the file changed while it was read: {what}");
    Err(Diagnostic::new(path.display().to_string(), message)
        .hint("wait until nothing writes it any more, then run this again; nothing was kept"))
}

impl Remembered {
    fn new(stamp: &Stamp, sha256: &str) -> Self {
        Self {
            bytes: stamp.bytes,
            modified_nanoseconds: stamp.modified_nanoseconds.clone(),
            sha256: sha256.to_owned(),
        }
    }

    fn is_of(&self, stamp: &Stamp) -> bool {
        self.bytes == stamp.bytes && self.modified_nanoseconds == stamp.modified_nanoseconds
    }
}

impl Checksums {
    /// What is remembered; nothing if the file is absent or unreadable, since everything in it can be computed.
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
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
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            Ok(file.persist(path).map(|_| ())?)
        });
        drop(written);
    }
}
