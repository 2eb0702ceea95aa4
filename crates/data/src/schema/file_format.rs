//! Layouts of files.

use std::fmt::Write;
use std::path::Path;

/// Layout of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What the file is; by its name where absent.
    pub kind: Option<FileKind>,
    /// Between fields of a text.
    pub separator: u8,
    /// Whether the first line of a text names the columns.
    pub has_header: bool,
    /// Whether `"` quotes fields.
    pub quotes: bool,
    /// Whether spaces around a field belong to the layout.
    pub trim_spaces: bool,
    /// What the bytes of a text stand for.
    pub encoding: Encoding,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Delimited text.
    Text,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a file (Feather) or as a stream.
    Arrow,
}

/// What bytes stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; bytes that are none are kept as they are.
    Utf8,
    /// ISO 8859-1: every byte is a character.
    Latin1,
}

impl FileKind {
    /// What a file is: as its format says, else by the ending of its name.
    pub fn of_file(path: &Path, format: Format) -> Self {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        match (format.kind, ending.to_str()) {
            (Some(kind), _) => kind,
            (None, Some("parquet" | "pq")) => Self::Parquet,
            (None, Some("arrow" | "feather" | "ipc")) => Self::Arrow,
            (None, _) => Self::Text,
        }
    }
}

impl Format {
    /// What the layout is, in one way of writing.
    pub(super) fn canonical(&self) -> String {
        // Field by field: one that comes later can't be forgotten here, where it would leave hashes
        // as they were.
        let Self {
            kind,
            separator,
            has_header,
            quotes,
            trim_spaces,
            encoding,
        } = self;
        // As it was written when there was nothing else.
        let mut text = format!(
            "Format {{ separator: {separator}, has_header: {has_header}, quotes: {quotes}, trim_spaces: {trim_spaces} }}"
        );
        if let Some(kind) = kind {
            let _ = write!(text, " {kind:?}");
        }
        if *encoding != Encoding::Utf8 {
            let _ = write!(text, " {encoding:?}");
        }
        text
    }
}
