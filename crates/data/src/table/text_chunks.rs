//! Source files in pieces that end at a row's end, each knowing its first row and line.

use super::column_slots::Need;
use super::list_text::ListForms;
use super::text_records::{Records, TextFault, Tokenizer};
use crate::mapped_file_shrank::MappedFile;
use crate::schema::{FileKind, Format};
use homebench_diagnostic::{Diagnostic, Location, regular_file};
use rayon::prelude::*;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a piece; fixed, so that pieces don't depend on the number of threads.
// A row longer than that makes a longer piece: pieces end where rows do.
const CHUNK_BYTES: usize = 2 << 20;

/// A delimited text file in memory.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    mapped: Option<MappedFile>,
    pub(crate) chunks: Vec<Chunk>,
    /// Place among a row's fields of each column of the description.
    pub(crate) positions: Vec<usize>,
    /// Fields of a row.
    pub(crate) num_fields: usize,
    /// Values of columns that every row has and the file doesn't: those of its folders' names.
    pub(crate) constants: Vec<Vec<u8>>,
    /// How its texts hold several values.
    pub(crate) forms: Arc<ListForms>,
    /// The names in the first line, where it has them.
    pub(crate) header: Vec<String>,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) bytes: Range<usize>,
    /// Index of its first row in the file.
    pub(crate) first_row: u64,
    pub(crate) num_rows: u64,
    /// Lines before it.
    pub(crate) first_line: usize,
}

impl TextFile {
    /// Opens a file that has these columns: by their names where it has a header, else in this order. Those of `constants` are
    /// the same in every row and not in the file.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        columns: &[String],
        needs: &[Need],
        constants: &[(String, Option<String>)],
    ) -> Result<Self, Diagnostic> {
        let is_own = |column: &&String| constants.iter().all(|(name, _)| name != *column);
        let own: Vec<&String> = columns.iter().filter(is_own).collect();
        let mut text = match format.kind {
            Some(kind @ (FileKind::LibSvm | FileKind::LibFfm)) => Self {
                mapped: super::sparse_text::map(path, kind, &own)?,
                ..Self::empty(path, format)
            },
            _ => Self::with_any_columns(path, format)?,
        };
        let values = constants.iter().map(|(_, value)| value.clone());
        text.constants = values
            .map(|value| value.unwrap_or_default().into_bytes())
            .collect();
        let mut start = text.start();
        text.num_fields = own.len();
        let mut places = (0..own.len()).collect();
        if format.has_header {
            let names = columns.iter().zip(needs);
            let absent = names.filter(|(_, need)| need.may_be_absent);
            let absent: Vec<&String> = absent.map(|(name, _)| name).collect();
            (places, start) = text.read_header(columns, &own, &absent)?;
        }
        // Columns of folders' names have places behind the row's fields.
        let mut places = places.into_iter();
        let constant = |column: &String| constants.iter().position(|(name, _)| name == column);
        let positions = columns.iter().map(|column| match constant(column) {
            Some(constant) => Some(text.num_fields + constant),
            None => places.next(),
        });
        text.positions = positions.map(|place| place.unwrap_or(usize::MAX)).collect();
        let pieces = chunks(text.bytes(), start, format);
        text.chunks = pieces.map_err(|fault| text.broken(fault))?;
        Ok(text)
    }

    /// Opens a file whose columns are not known; it has no pieces.
    pub(crate) fn with_any_columns(path: &Path, format: Format) -> Result<Self, Diagnostic> {
        Ok(Self {
            mapped: super::map_source::map(path, format.encoding)?,
            ..Self::empty(path, format)
        })
    }

    fn empty(path: &Path, format: Format) -> Self {
        Self {
            path: path.to_path_buf(),
            format,
            mapped: None,
            chunks: Vec::new(),
            positions: Vec::new(),
            num_fields: 0,
            constants: Vec::new(),
            forms: Arc::default(),
            header: Vec::new(),
        }
    }

    /// Where the text starts: after a mark of its encoding.
    pub(crate) fn start(&self) -> usize {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.bytes().starts_with(MARK) {
            MARK.len()
        } else {
            0
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapped.as_ref().map_or(&[], |mapped| &mapped[..])
    }

    /// Lets the system take back the memory of a piece that is read no more; reading it again reads the file.
    pub(crate) fn release(&self, chunk: &Chunk) {
        if let Some(mapped) = &self.mapped {
            crate::page_advice::give_back(mapped, chunk.bytes.clone());
        }
    }

    pub(crate) fn num_rows(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.num_rows).sum()
    }

    /// The fields of the first line, and where the next one starts; nothing where the file is empty.
    ///
    /// # Errors
    /// A quote in it that never closes, or closes inside a field.
    pub(crate) fn first_line(&self) -> Result<Option<(Vec<String>, usize)>, Diagnostic> {
        let start = self.start();
        let mut records = Records::new(&self.bytes()[start..], self.format);
        let record = records
            .next()
            .map_err(|fault| self.broken(fault.behind(start)))?;
        let Some(record) = record else {
            return Ok(None);
        };
        let field = |index| String::from_utf8_lossy(record.field(index)).into_owned();
        let fields = (0..record.len()).map(field).collect();
        Ok(Some((fields, start + records.next_start())))
    }

    /// Line and character of a byte, from 1.
    pub(crate) fn location(&self, at: usize) -> Location {
        let before = &self.bytes()[..at.min(self.bytes().len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        // A mark of the encoding is no character.
        let line_start = line_start.max(self.start().min(before.len()));
        Location {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: String::from_utf8_lossy(&before[line_start..])
                .chars()
                .count()
                + 1,
        }
    }

    /// What is said of quotes that make no fields.
    pub(crate) fn broken(&self, fault: TextFault) -> Diagnostic {
        let said = |at, message: String| {
            Diagnostic::new(self.path.display().to_string(), message).at(Some(self.location(at)))
        };
        match fault {
            TextFault::NeverClosed { opened } => said(
                opened,
                "the quote that opens this field never closes".to_owned(),
            )
            .hint(
                "close it, or write it twice inside quotes (\"6\"\" pipe\"); where `\"` is a letter like any other, leave `quotes` \
                 out of the format",
            ),
            TextFault::AfterQuote { opened, found } => {
                let [opened, here] = [opened, found].map(|at| self.location(at));
                let where_opened = match opened.line == here.line {
                    true => String::new(),
                    false => format!(" (it opened at line {})", opened.line),
                };
                let message = format!(
                    "expected the next field after the quote that closes this one{where_opened}"
                );
                let hint = match self.bytes().get(found) {
                    Some(b' ') => {
                        "set trim_spaces = true in the format if spaces belong to the layout, or take them out"
                    }
                    _ => {
                        "a quote inside quotes is written twice (\"6\"\" pipe\"), or behind a backslash where the format says \
                         escape = \"\\\\\"; mend the row"
                    }
                };
                said(found, message).hint(hint)
            }
            TextFault::Backslash { found } => said(
                found,
                "a backslash stands before a quote, and the format doesn't say what that means"
                    .to_owned(),
            )
            .hint(
                "set escape = \"\\\\\" in the format if it makes the quote a part of the value, as Spark writes it, or escape = \
                 '\"' if quotes are doubled and a backslash is a letter",
            ),
        }
    }

    /// Finds the file's own columns in the first line, of which some may be absent; returns their places, and where the rows start.
    fn read_header(
        &mut self,
        columns: &[String],
        own: &[&String],
        absent: &[&String],
    ) -> Result<(Vec<usize>, usize), Diagnostic> {
        let Some((found, end)) = self.first_line()? else {
            let message = "expected a line of column names, found an empty file";
            let said = Diagnostic::new(self.path.display().to_string(), message);
            return Err(said.at(Some(Location { line: 1, column: 1 })));
        };
        // The type behind RecBole's names is no part of them.
        let found: Vec<String> = match self.format.kind {
            Some(FileKind::RecBole) => found.iter().map(|name| untyped(name).to_owned()).collect(),
            _ => found,
        };
        let place = |column: &&String| {
            let mut places = (0..found.len()).filter(|place| found[*place] == **column);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => Err(super::wrong_header::twice(self, column)),
                (None, _) if absent.contains(column) => Ok(usize::MAX),
                (None, _) => Err(super::wrong_header::missing(self, column, &found)),
            }
        };
        let places = own.iter().map(place).collect::<Result<_, _>>()?;
        let clash = columns
            .iter()
            .find(|column| !own.contains(column) && found.contains(column));
        if let Some(column) = clash {
            return Err(in_folder_and_file(&self.path, column));
        }
        self.num_fields = found.len();
        self.header = found;
        Ok((places, end))
    }
}

/// A name of RecBole's without its type.
pub(super) fn untyped(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((bare, "token" | "token_seq" | "float" | "float_seq")) => bare,
        _ => name,
    }
}

/// Whether a file is one of RecBole's: by its ending, which other files have too (MovieLens has `u.user`), and by the types in its
/// first line.
pub(crate) fn is_recbole(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    if !["inter", "user", "item", "link", "kg", "net"]
        .iter()
        .any(|known| ending == *known)
    {
        return false;
    }
    let mut head = Vec::new();
    let read = regular_file::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head));
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.trim_ascii_end());
    read.is_ok() && !line.is_empty() && line.split('\t').all(|name| untyped(name) != name)
}

/// A column that both a folder's name and the file give.
pub(crate) fn in_folder_and_file(path: &Path, column: &str) -> Diagnostic {
    let message =
        format!("the column `{column}` is both in the file and in the name of its folder");
    Diagnostic::new(path.display().to_string(), message)
        .hint("rename the column in the file or the key of the folders")
}

/// Divides `bytes[start..]` at the ends of records.
fn chunks(bytes: &[u8], start: usize, format: Format) -> Result<Vec<Chunk>, TextFault> {
    let mut pieces = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        let (end, counted) = piece_end(bytes, at, format)?;
        pieces.push((at..end, counted));
        at = end;
    }
    // Rows are counted before any is parsed: which split a row belongs to is a function of its
    // number.
    let counts: Vec<(u64, usize)> = pieces
        .par_iter()
        .map(|(range, counted)| {
            let bytes = &bytes[range.clone()];
            let rows = match counted {
                Some(rows) => *rows,
                None => num_rows(bytes, format).map_err(|fault| fault.behind(range.start))?,
            };
            Ok((rows, num_lines(bytes)))
        })
        .collect::<Result<_, TextFault>>()?;
    let mut first_row = 0;
    let mut first_line = bytes[..start].iter().filter(|byte| **byte == b'\n').count();
    let pieces = pieces
        .into_iter()
        .zip(counts)
        .map(|((bytes, _), (num_rows, num_lines))| {
            let chunk = Chunk {
                bytes,
                first_row,
                num_rows,
                first_line,
            };
            first_row += num_rows;
            first_line += num_lines;
            chunk
        });
    Ok(pieces.collect())
}

/// The end of the last row that starts within [`CHUNK_BYTES`] of `at` (at least one row), and the rows up to it where they
/// had to be counted to find it.
fn piece_end(bytes: &[u8], at: usize, format: Format) -> Result<(usize, Option<u64>), TextFault> {
    let target = at + CHUNK_BYTES;
    if target >= bytes.len() {
        return Ok((bytes.len(), None));
    }
    if !format.quotes {
        let end = memchr::memchr(b'\n', &bytes[target..]);
        return Ok((end.map_or(bytes.len(), |end| target + end + 1), None));
    }
    // Whether a line end is inside quotes is known from the record's start on. Every piece starts at one, and so does every
    // line as long as no quote came: most text need not be followed from record to record here.
    let has_quotes = memchr::memchr(b'"', &bytes[at..target]).is_some();
    let start = match has_quotes {
        true => at,
        false => memchr::memrchr(b'\n', &bytes[at..target]).map_or(at, |end| at + end + 1),
    };
    let mut tokens = Tokenizer::new(&bytes[start..], format);
    let mut rows = 0;
    while start + tokens.at < target {
        let is_row = tokens.next_record(None);
        match is_row.map_err(|fault| fault.behind(start))? {
            true => rows += 1,
            false => break,
        }
    }
    Ok((start + tokens.at, has_quotes.then_some(rows)))
}

/// Records of a piece.
fn num_rows(bytes: &[u8], format: Format) -> Result<u64, TextFault> {
    let has_quotes = format.quotes && memchr::memchr(b'"', bytes).is_some();
    if has_quotes || format.comment.is_some() {
        let mut tokens = Tokenizer::new(bytes, format);
        let mut rows = 0;
        while tokens.next_record(None)? {
            rows += 1;
        }
        return Ok(rows);
    }
    let (mut rows, mut start) = (0, 0);
    // Empty lines are no rows.
    let is_row = |start: usize, end: usize| u64::from(!matches!(&bytes[start..end], b"" | b"\r"));
    for end in memchr::memchr_iter(b'\n', bytes) {
        rows += is_row(start, end);
        start = end + 1;
    }
    Ok(rows + is_row(start, bytes.len()))
}

fn num_lines(bytes: &[u8]) -> usize {
    let has_tail = bytes.last().is_some_and(|last| *last != b'\n');
    memchr::memchr_iter(b'\n', bytes).count() + usize::from(has_tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_file_and_know_their_rows_and_lines() {
        let line = "some,words,here\n";
        let text = line.repeat(3 * CHUNK_BYTES / line.len());
        for quotes in [false, true] {
            let format = format(quotes);
            let chunks = chunks(text.as_bytes(), line.len(), format).unwrap();
            assert!(chunks.len() >= 3);
            let mut expected = (line.len(), 0, 1);
            for chunk in &chunks {
                assert_eq!(
                    (chunk.bytes.start, chunk.first_row, chunk.first_line),
                    expected
                );
                assert_eq!(chunk.bytes.len(), chunk.num_rows as usize * line.len());
                expected = (
                    chunk.bytes.end,
                    chunk.first_row + chunk.num_rows,
                    chunk.first_line + chunk.num_rows as usize,
                );
            }
            assert_eq!(expected.0, text.len());
        }
    }

    fn format(quotes: bool) -> Format {
        Format {
            quotes,
            ..Format::default()
        }
    }

    #[test]
    fn pieces_with_quotes_end_where_records_do_and_have_the_rows_that_are_read() {
        // Quotes that open, stray ones, doubled ones and line ends inside, long enough that pieces end anywhere among them.
        let rows = [
            "plain,6\" pipe,x\n",
            "\"a\nb\",\"say \"\"hi\"\"\",\r\n",
            "\n",
            "1,2,3\n",
            "\"\n\n\",,\"\"\n",
        ];
        let mut text = String::new();
        let mut expected = 0;
        while text.len() < 3 * CHUNK_BYTES {
            let row = rows[(expected as usize * 7 + text.len()) % rows.len()];
            text.push_str(row);
            expected += u64::from(row != "\n");
            // Long stretches without a quote as well.
            if expected % 1000 == 0 {
                text.push_str(&"1,2,3\n".repeat(200_000));
                expected += 200_000;
            }
        }
        let format = format(true);
        let chunks = chunks(text.as_bytes(), 0, format).unwrap();
        assert!(chunks.len() >= 3);
        let mut found = 0;
        for chunk in &chunks {
            let mut records = Records::new(&text.as_bytes()[chunk.bytes.clone()], format);
            let mut rows = 0;
            while let Some(record) = records.next().unwrap() {
                assert_eq!(record.len(), 3);
                rows += 1;
            }
            assert_eq!((chunk.first_row, chunk.num_rows), (found, rows));
            let lines = text[..chunk.bytes.start].matches('\n').count();
            assert_eq!(chunk.first_line, lines);
            found += rows;
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_end_between_quotes_ends_no_row_and_empty_lines_are_none() {
        let count =
            |text: &[u8], quotes| (num_rows(text, format(quotes)).unwrap(), num_lines(text));
        assert_eq!(count(b"a,\"x\ny\"\n\nb,\"\"\"\"\n", true), (2, 4));
        assert_eq!(count(b"a\n\r\n\nb", false), (2, 4));
        assert_eq!(count(b"\n\na\n\n\nb\nc", false), (3, 7));
        assert_eq!(count(b"a\n", false), (1, 1));
        assert_eq!(count(b"", false), (0, 0));
        let text = format!("\"{}\n\",1\n2,3\n", "x".repeat(CHUNK_BYTES));
        let chunks = chunks(text.as_bytes(), 0, format(true)).unwrap();
        assert_eq!(
            chunks
                .iter()
                .map(|chunk| chunk.num_rows)
                .collect::<Vec<_>>(),
            [1, 1]
        );
    }
}
