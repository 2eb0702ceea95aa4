//! Source files: found, checked, and remembered once checked.

use super::Observer;
use super::known_files::{KnownFiles, Stamp};
use super::part_files::{self, Parts};
use super::schema::{Description, SourceFile};
use homebench_diagnostic::{Diagnostic, regular_file, shell_command};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// An entry of `[files]` on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    /// Its index in the description.
    pub(super) file: usize,
    /// The file, or the folder or the pattern of several.
    pub(super) path: PathBuf,
    /// Of the file; of several of the lines that `sha256sum` prints of them.
    pub(super) sha256: String,
    /// What the file system said of each file when its checksum was taken.
    stamps: Vec<(PathBuf, Stamp)>,
}

impl Located {
    /// Its files.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Path> {
        self.stamps.iter().map(|(path, _)| path.as_path())
    }
}

/// Whether checks made before are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A file of the same path, size, times, inode and samples has the same content.
    Remembered,
    /// Every byte is read.
    Nothing,
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
    let mut known = KnownFiles::read(memory, trust);
    let located = wanted
        .into_iter()
        .map(|index| locate_entry(description, index, folder, &mut known, observer))
        .collect::<Result<Vec<_>, Diagnostic>>();
    // Also where a later file is refused: what was hashed need not be hashed again.
    known.write(memory);
    located
}

fn locate_entry(
    description: &Description,
    index: usize,
    folder: &Path,
    known: &mut KnownFiles,
    observer: &mut dyn Observer,
) -> Result<Located, Diagnostic> {
    let file = &description.files[index];
    let (path, is_hand_placed) = find(description, file, folder)?;
    let parts = part_files::parts(&path)?;
    let stamps = stamps_of(&parts)?;
    // A cut file is refused before it is read.
    let bytes = stamps.iter().map(|(_, stamp)| stamp.bytes).sum();
    check_size(description, file, &path, bytes, is_hand_placed)?;
    let was_changed = std::mem::take(&mut known.is_changed);
    let sha256 = digest(&path, folder, &stamps, known, observer)?;
    if known.is_changed && !path.is_file() {
        say_parts(&path, &parts, observer);
    }
    known.is_changed |= was_changed;
    check_content(description, file, &path, &sha256, is_hand_placed, observer)?;
    Ok(Located {
        file: index,
        path,
        sha256,
        stamps,
    })
}

/// The digest of what an entry of a description is on this machine now; `memory` is where checksums are remembered.
///
/// # Errors
/// A file that can't be read.
pub(super) fn digest_now(
    path: &Path,
    folder: &Path,
    memory: &Path,
    observer: &mut dyn Observer,
) -> Result<String, Diagnostic> {
    let mut known = KnownFiles::read(memory, Trust::Remembered);
    let stamps = stamps_of(&part_files::parts(path)?)?;
    let digest = digest(path, folder, &stamps, &mut known, observer);
    known.write(memory);
    digest
}

fn stamps_of(parts: &Parts) -> Result<Vec<(PathBuf, Stamp)>, Diagnostic> {
    let stamp = |part: &part_files::PartFile| {
        let metadata =
            std::fs::metadata(&part.path).map_err(|error| cant_read(&part.path, &error))?;
        Ok((part.path.clone(), Stamp::of_metadata(&metadata)))
    };
    parts.files.iter().map(stamp).collect()
}

/// See [`Located::sha256`].
fn digest(
    path: &Path,
    folder: &Path,
    stamps: &[(PathBuf, Stamp)],
    known: &mut KnownFiles,
    observer: &mut dyn Observer,
) -> Result<String, Diagnostic> {
    let digests = stamps
        .iter()
        .map(|(path, stamp)| known.sha256(path, stamp, observer))
        .collect::<Result<Vec<_>, _>>()?;
    if let ([only], true) = (&digests[..], path.is_file()) {
        return Ok(only.clone());
    }
    let root = if path.is_dir() { path } else { folder };
    let mut hasher = Sha256::new();
    for ((path, _), digest) in stamps.iter().zip(&digests) {
        let name = path.strip_prefix(root).unwrap_or(path).display();
        // The lines that `sha256sum` prints: anyone can compute the digest without this program.
        hasher.update(format!("{digest}  {name}\n"));
    }
    Ok(digits(hasher))
}

/// Says which files an entry of several is, once, when they are new.
fn say_parts(path: &Path, parts: &Parts, observer: &mut dyn Observer) {
    let Parts {
        files,
        num_empty,
        num_hidden,
    } = parts;
    let mut text = format!("{}: {} files are read", path.display(), files.len());
    if num_empty + num_hidden > 0 {
        text.push_str(&format!(
            "; {num_empty} without a byte and {num_hidden} whose names begin with `_` or `.` are left out"
        ));
    }
    observer.notice(&text);
}

/// The path of a file, and whether it has a name for files put there by hand.
fn find(
    description: &Description,
    file: &SourceFile,
    folder: &Path,
) -> Result<(PathBuf, bool), Diagnostic> {
    let path = folder.join(&file.name);
    if part_files::is_there(&path) {
        return Ok((path, false));
    }
    let others = file.other_names.iter().map(|name| folder.join(name));
    if let Some(other) = others.into_iter().find(|path| part_files::is_there(path)) {
        return Ok((other, true));
    }
    let what = match part_files::is_pattern(&file.name) {
        true => "no file with data matches this pattern",
        false => "the file is missing",
    };
    let said = Diagnostic::new(path.display().to_string(), what);
    Err(if description.fetch.is_some() {
        let name = shell_command([description.name.as_str()]);
        said.hint(format!("run `homebench data fetch {name}`"))
    } else {
        said.hint("put it there, or name another folder with --data-dir or HOMEBENCH_DATA")
    })
}

fn mend(description: &Description, path: &Path) -> String {
    if description.fetch.is_some() {
        format!(
            "remove {} and run `homebench data fetch {}`",
            path.display(),
            shell_command([description.name.as_str()])
        )
    } else {
        format!("remove {} and get it again", path.display())
    }
}

fn check_size(
    description: &Description,
    file: &SourceFile,
    path: &Path,
    found: u64,
    is_hand_placed: bool,
) -> Result<(), Diagnostic> {
    match file.bytes {
        Some(bytes) if bytes != found && !is_hand_placed => Err(Diagnostic::new(
            path.display().to_string(),
            format!("expected {bytes} bytes, found {found}: the file is cut or another one"),
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
    let mut file = regular_file::open(path).map_err(|error| cant_read(path, &error))?;
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
    Ok(digits(hasher))
}

fn digits(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn cant_read(path: &Path, error: &std::io::Error) -> Diagnostic {
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
    for source in sources {
        for (path, stamp) in &source.stamps {
            check_unchanged_file(path, stamp)?;
        }
        let now = part_files::parts(&source.path)?.files;
        let is_same = now.iter().map(|part| &part.path);
        if !is_same.eq(source.stamps.iter().map(|(path, _)| path)) {
            let message = "files were added or removed while they were read";
            return Err(Diagnostic::new(source.path.display().to_string(), message)
                .hint("wait until nothing writes there any more, then run this again; nothing was kept"));
        }
    }
    Ok(())
}

pub(super) fn check_unchanged_file(path: &Path, stamp: &Stamp) -> Result<(), Diagnostic> {
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
