//! Layouts of files.

use std::fmt::Write;
use std::path::Path;

/// Layout of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What the file is; by its name where absent.
    pub kind: Option<FileKind>,
    /// Between fields of a text.
    pub separator: Separator,
    /// Whether the first line of a text names the columns.
    pub has_header: bool,
    /// Whether `"` quotes fields.
    pub quotes: bool,
    /// Whether spaces around a field belong to the layout.
    pub trim_spaces: bool,
    /// What the bytes of a text stand for.
    pub encoding: Encoding,
    /// What stands before a quote inside quotes that is part of the value: a backslash, say, or the quote itself. Where it is
    /// not said, quotes are doubled, and a backslash before one is refused.
    pub escape: Option<u8>,
    /// What lines that are no rows begin with.
    pub comment: Option<u8>,
}

/// What stands between two fields: one ASCII character or a few.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Separator {
    bytes: [u8; Self::MOST_BYTES],
    len: u8,
}

impl Separator {
    /// The longest separator.
    pub const MOST_BYTES: usize = 8;

    /// The separator of one byte.
    pub const fn of_byte(byte: u8) -> Self {
        let mut bytes = [0; Self::MOST_BYTES];
        bytes[0] = byte;
        Self { bytes, len: 1 }
    }

    /// The separator of these bytes; nothing where there are none, or more than [`Self::MOST_BYTES`].
    pub fn of_bytes(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MOST_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let len = u8::try_from(text.len()).ok().filter(|len| *len > 0)?;
        Some(Self { bytes, len })
    }

    /// Its bytes, at least one.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Its one byte, where it has one.
    #[inline]
    pub fn single(&self) -> Option<u8> {
        (self.len == 1).then_some(self.bytes[0])
    }

    /// Its first byte.
    #[inline]
    pub fn first(&self) -> u8 {
        self.bytes[0]
    }

    /// How it is written in TOML and shown to people.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Separator {
    /// As the number of its byte, which is how hashes of descriptions have it since there was nothing else.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.single() {
            Some(byte) => write!(formatter, "{byte}"),
            None => write!(formatter, "{:?}", self.text()),
        }
    }
}

impl Default for Format {
    /// Text with commas, and a first line of names.
    fn default() -> Self {
        Self {
            kind: None,
            separator: Separator::of_byte(b','),
            has_header: true,
            quotes: false,
            trim_spaces: false,
            encoding: Encoding::Utf8,
            escape: None,
            comment: None,
        }
    }
}

impl std::fmt::Debug for Format {
    // Hashes of descriptions are over it: what came later is written only where it is used.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = formatter.debug_struct("Format");
        text.field("kind", &self.kind)
            .field("separator", &self.separator)
            .field("has_header", &self.has_header)
            .field("quotes", &self.quotes)
            .field("trim_spaces", &self.trim_spaces)
            .field("encoding", &self.encoding);
        if let Some(escape) = self.escape {
            text.field("escape", &escape);
        }
        if let Some(comment) = self.comment {
            text.field("comment", &comment);
        }
        text.finish()
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Delimited text.
    Text,
    /// RecBole's atomic files: text with tabs, and names of columns with their types behind a colon.
    RecBole,
    /// libsvm's text: a label, then `index:value` for what isn't 0.
    LibSvm,
    /// libffm's text: a label, then `field:feature:value`.
    LibFfm,
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
    /// Whether its files say what their columns hold.
    pub fn knows_types(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// What a file is: as its format says, else by the ending of its name.
    pub fn of_file(path: &Path, format: Format) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kind = format.kind.or_else(|| Self::of_name(&name));
        kind.unwrap_or(Self::Text)
    }

    /// What a file of a folder or a pattern is: parts may have no ending where the folder has one.
    pub fn of_part(entry: &Path, part: &Path, format: Format) -> Self {
        let name = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let own = name(part);
        let has_ending = own.trim_start_matches('.').contains('.');
        match Self::of_name(&name(entry)) {
            Some(kind) if !has_ending => format.kind.unwrap_or(kind),
            _ => Self::of_file(part, format),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        // pandas' documentation writes the codec behind the ending.
        const CODECS: [&str; 5] = [".brotli", ".gzip", ".snappy", ".lz4", ".zstd"];
        let name = name.to_ascii_lowercase();
        let bare = CODECS.iter().find_map(|codec| name.strip_suffix(codec));
        let ending = |name: &str| match name.rsplit_once('.')?.1 {
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Self::Arrow),
            "libsvm" | "svm" => Some(Self::LibSvm),
            "libffm" | "ffm" => Some(Self::LibFfm),
            _ => None,
        };
        ending(bare.unwrap_or(&name))
    }
}

impl Format {
    /// The layout of RecBole's atomic files.
    pub fn recbole() -> Self {
        Self {
            kind: Some(FileKind::RecBole),
            separator: Separator::of_byte(b'\t'),
            ..Self::default()
        }
    }

    /// The layout of files of libsvm or libffm once they are text with tabs.
    pub fn sparse(kind: FileKind) -> Self {
        Self {
            kind: Some(kind),
            separator: Separator::of_byte(b'\t'),
            has_header: false,
            ..Self::default()
        }
    }

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
            escape,
            comment,
        } = self;
        // As it was written when there was nothing else.
        let mut text = format!(
            "Format {{ separator: {separator:?}, has_header: {has_header}, quotes: {quotes}, trim_spaces: {trim_spaces} }}"
        );
        if let Some(kind) = kind {
            let _ = write!(text, " {kind:?}");
        }
        if *encoding != Encoding::Utf8 {
            let _ = write!(text, " {encoding:?}");
        }
        if let Some(escape) = escape {
            let _ = write!(text, " escape {escape}");
        }
        if let Some(comment) = comment {
            let _ = write!(text, " comment {comment}");
        }
        text
    }
}
