//! Tables as files: `NAME.csv`, or `NAME.csv.zst` of a folder that was packed.

use homebench_diagnostic::regular_file;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file of results could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("{file}: {why}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said. No source of the error: its words are in those above, and would be said twice.
        why: io::Error,
    },
    /// The file isn't CSV, for example a row is shorter than the header.
    #[error("{file}: not a table: {why}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong, with its line; no source, as above.
        why: csv::Error,
    },
    /// A column is missing.
    #[error("{file}, line 1: expected a column `{column}`, found {found}")]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// The column that is needed.
        column: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A value is not what the column holds.
    #[error("{file}, line {line}, column `{column}`: expected {expected}, found `{found}`")]
    BadValue {
        /// The file.
        file: PathBuf,
        /// Line of the row, counted from 1, the header included.
        line: u64,
        /// The column.
        column: &'static str,
        /// What the column holds.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl ReadError {
    /// Whether there is no such file.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable { why, .. } if why.kind() == io::ErrorKind::NotFound)
    }
}

/// The name of a table's packed form.
pub(crate) fn packed_path(table: &Path) -> PathBuf {
    let mut name = OsString::from(table);
    name.push(".zst");
    name.into()
}

/// The file that has a table: the packed form where it is the only one. Of both forms the plain one counts: a pack that was killed
/// leaves it as it was. Where neither is there, the plain one, which is what people look for.
#[must_use]
pub fn table_file(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    let packed = packed_path(&plain);
    match !plain.exists() && packed.exists() {
        true => packed,
        false => plain,
    }
}

/// A table's file, and its CSV text whichever form the file has ([`table_file`]).
///
/// # Errors
/// Neither form is there or can be opened.
pub fn open_table(folder: &Path, name: &str) -> Result<(PathBuf, Box<dyn Read>), ReadError> {
    let file = table_file(folder, name);
    let is_packed = file.extension().is_some_and(|extension| extension == "zst");
    let open = || -> io::Result<Box<dyn Read>> {
        let opened = regular_file::open(&file)?;
        Ok(match is_packed {
            true => Box::new(zstd::Decoder::new(opened)?),
            false => Box::new(opened),
        })
    };
    match open() {
        Ok(text) => Ok((file, text)),
        Err(why) => Err(ReadError::Unreadable { file, why }),
    }
}
