//! Source files in pieces that end at a row's end, each knowing its first row and line.

use crate::mapped_file_shrank::SourceMap;
use crate::schema::Format;
use homebench_diagnostic::{Diagnostic, Location};
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of a piece; fixed, so that pieces don't depend on the number of threads.
// A row longer than that makes a longer piece: pieces end where rows do.
const CHUNK_BYTES: usize = 2 << 20;

/// A delimited text file in memory.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    mapped: Option<SourceMap>,
    pub(crate) chunks: Vec<Chunk>,
    /// Place among a row's fields of each column of the description.
    pub(crate) positions: Vec<usize>,
    /// Fields of a row.
    pub(crate) num_fields: usize,
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
    /// Opens a file that has these columns: by their names where it has a header, else in this order.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        columns: &[String],
    ) -> Result<Self, Diagnostic> {
        let mut text = Self::with_any_columns(path, format)?;
        let mut start = text.start();
        text.num_fields = columns.len();
        text.positions = (0..columns.len()).collect();
        if format.has_header {
            start = text.read_header(columns)?;
        }
        text.chunks = chunks(text.bytes(), start, format.quotes);
        Ok(text)
    }

    /// Opens a file whose columns are not known; it has no pieces.
    pub(crate) fn with_any_columns(path: &Path, format: Format) -> Result<Self, Diagnostic> {
        Ok(Self {
            path: path.to_path_buf(),
            format,
            mapped: super::map_source::map(path, format.encoding)?,
            chunks: Vec::new(),
            positions: Vec::new(),
            num_fields: 0,
        })
    }

    /// Where the text starts: after a mark of its encoding.
    fn start(&self) -> usize {
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
    pub(crate) fn first_line(&self) -> Option<(Vec<String>, usize)> {
        let start = self.start();
        let mut reader = super::text_rows::reader(&self.bytes()[start..], self.format);
        let mut record = csv::ByteRecord::new();
        if !matches!(reader.read_byte_record(&mut record), Ok(true)) {
            return None;
        }
        let fields = (0..record.len()).map(|index| {
            let field = super::text_rows::field(&record, index, self.format);
            String::from_utf8_lossy(field).into_owned()
        });
        let end = start + reader.position().byte() as usize;
        Some((fields.collect(), end))
    }

    /// Finds the columns in the first line; returns where the rows start.
    fn read_header(&mut self, columns: &[String]) -> Result<usize, Diagnostic> {
        let first = Some(Location { line: 1, column: 1 });
        let Some((found, end)) = self.first_line() else {
            let message = "expected a line of column names, found an empty file";
            let said = Diagnostic::new(self.path.display().to_string(), message);
            return Err(said.at(first));
        };
        let place = |column: &String| {
            let mut places = (0..found.len()).filter(|place| found[*place] == *column);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => {
                    let message = format!("the column `{column}` is there twice");
                    let said = Diagnostic::new(self.path.display().to_string(), message);
                    Err(said.at(first).hint("give the columns names of their own"))
                }
                (None, _) => {
                    let found = found.iter().map(String::as_str);
                    Err(super::columnar::missing_column(&self.path, column, found).at(first))
                }
            }
        };
        self.positions = columns.iter().map(place).collect::<Result<_, _>>()?;
        self.num_fields = found.len();
        Ok(end)
    }
}

/// Divides `bytes[start..]` at line ends. With quotes, a line end between quotes is no row's end.
fn chunks(bytes: &[u8], start: usize, quotes: bool) -> Vec<Chunk> {
    let mut ranges = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        let end = row_end(bytes, at, quotes);
        ranges.push(at..end);
        at = end;
    }
    // Rows are counted before any is parsed: which split a row belongs to is a function of its
    // number.
    let counts: Vec<(u64, usize)> = ranges
        .par_iter()
        .map(|range| count(&bytes[range.clone()], quotes))
        .collect();
    let mut first_row = 0;
    let mut first_line = bytes[..start].iter().filter(|byte| **byte == b'\n').count();
    let pieces = ranges
        .into_iter()
        .zip(counts)
        .map(|(bytes, (num_rows, num_lines))| {
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
    pieces.collect()
}

/// The end of the last row that starts within [`CHUNK_BYTES`] of `at` (at least one row).
fn row_end(bytes: &[u8], at: usize, quotes: bool) -> usize {
    let target = at + CHUNK_BYTES;
    if target >= bytes.len() {
        return bytes.len();
    }
    if !quotes {
        return memchr::memchr(b'\n', &bytes[target..]).map_or(bytes.len(), |end| target + end + 1);
    }
    // A quote inside quotes is doubled, so an even number of quotes means outside.
    let mut is_quoted = memchr::memchr_iter(b'"', &bytes[at..target]).count() % 2 == 1;
    for index in memchr::memchr2_iter(b'"', b'\n', &bytes[target..]) {
        match bytes[target + index] {
            b'"' => is_quoted = !is_quoted,
            _ if !is_quoted => return target + index + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Rows and lines. Empty lines are no rows.
fn count(bytes: &[u8], quotes: bool) -> (u64, usize) {
    let (mut rows, mut lines, mut start) = (0, 0, 0);
    let mut end_row = |start: usize, end: usize| {
        rows += u64::from(!matches!(&bytes[start..end], b"" | b"\r"));
    };
    let mut is_quoted = false;
    let mut visit = |at: usize| {
        if bytes[at] == b'"' {
            is_quoted = !is_quoted;
            return;
        }
        lines += 1;
        if !is_quoted {
            end_row(start, at);
            start = at + 1;
        }
    };
    match quotes {
        true => memchr::memchr2_iter(b'"', b'\n', bytes).for_each(&mut visit),
        false => memchr::memchr_iter(b'\n', bytes).for_each(&mut visit),
    }
    let has_tail = bytes.last().is_some_and(|last| *last != b'\n');
    end_row(start, bytes.len());
    (rows, lines + usize::from(has_tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_file_and_know_their_rows_and_lines() {
        let line = "some,words,here\n";
        let text = line.repeat(3 * CHUNK_BYTES / line.len());
        for quotes in [false, true] {
            let chunks = chunks(text.as_bytes(), line.len(), quotes);
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

    #[test]
    fn a_line_end_between_quotes_ends_no_row_and_empty_lines_are_none() {
        assert_eq!(count(b"a,\"x\ny\"\n\nb,\"\"\"\"\n", true), (2, 4));
        assert_eq!(count(b"a\n\r\n\nb", false), (2, 4));
        assert_eq!(count(b"\n\na\n\n\nb\nc", false), (3, 7));
        assert_eq!(count(b"a\n", false), (1, 1));
        assert_eq!(count(b"", false), (0, 0));
        let text = format!("\"{}\n\",1\n2,3\n", "x".repeat(CHUNK_BYTES));
        let chunks = chunks(text.as_bytes(), 0, true);
        assert_eq!(
            chunks
                .iter()
                .map(|chunk| chunk.num_rows)
                .collect::<Vec<_>>(),
            [1, 1]
        );
    }
}
