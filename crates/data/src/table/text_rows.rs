//! Rows of delimited text.

use super::bad_row::Fault;
use super::list_text::ListForms;
use super::row::{Row, Visit};
use super::text_chunks::{Chunk, TextFile};
use super::text_records::{Record, Records};
use homebench_diagnostic::Diagnostic;

#[inline]
pub(crate) fn trim(mut field: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = field {
        field = rest;
    }
    while let [rest @ .., b' '] = field {
        field = rest;
    }
    field
}

/// Where the `index`-th record of a piece is, found again.
pub(crate) struct RecordPlace {
    /// Its line, from 1.
    pub(crate) line: usize,
    /// Where it starts.
    pub(crate) start: usize,
    /// Its fields.
    pub(crate) fields: Vec<Vec<u8>>,
    /// Where each of them starts.
    pub(crate) field_starts: Vec<usize>,
}

/// Reads a piece again to know where a record is: good rows then pay nothing for messages.
pub(crate) fn record_place(file: &TextFile, chunk: &Chunk, index: u64) -> RecordPlace {
    let bytes = &file.bytes()[chunk.bytes.clone()];
    let mut records = Records::new(bytes, file.format);
    for _ in 0..index {
        let _ = records.next();
    }
    let fields: Vec<Vec<u8>> = match records.next() {
        Ok(Some(record)) => (0..record.len())
            .map(|field| record.field(field).to_vec())
            .collect(),
        _ => Vec::new(),
    };
    let start = records.record_start();
    let lines = memchr::memchr_iter(b'\n', &bytes[..start.min(bytes.len())]).count();
    let starts = (0..fields.len()).map(|field| records.field_start(field).unwrap_or(start));
    RecordPlace {
        line: chunk.first_line + lines + 1,
        start: chunk.bytes.start + start,
        field_starts: starts.map(|at| chunk.bytes.start + at).collect(),
        fields,
    }
}

struct TextRow<'a> {
    record: Record<'a>,
    positions: &'a [usize],
    /// Values of the columns whose places are behind the record's fields.
    constants: &'a [Vec<u8>],
    forms: &'a ListForms,
}

impl Row for TextRow<'_> {
    #[inline]
    fn text(&self, column: usize) -> &[u8] {
        let place = self.positions[column];
        match self.record.get(place) {
            Some(field) => field,
            None => &self.constants[place - self.record.len()],
        }
    }

    fn values(&self, column: usize, separator: u8, visit: &mut dyn FnMut(&[u8])) {
        self.forms
            .values(column, self.text(column), separator, visit);
    }
}

/// Gives the values of a text that holds several, without the spaces around them and without empty ones.
pub(crate) fn split(text: &[u8], separator: u8, visit: &mut dyn FnMut(&[u8])) {
    for value in text.split(|byte| *byte == separator).map(trim) {
        if !value.is_empty() {
            visit(value);
        }
    }
}

/// Shows every row of a piece.
///
/// # Errors
/// The first row that isn't as described, with its place; `names` are the columns' names.
pub(crate) fn visit<V: Visit>(
    file: &TextFile,
    chunk: &Chunk,
    names: &[String],
    visitor: &mut V,
) -> Result<(), Diagnostic> {
    let mut records = Records::new(&file.bytes()[chunk.bytes.clone()], file.format);
    let mut index = 0;
    while let Some(record) = records
        .next()
        .map_err(|fault| file.broken(fault.behind(chunk.bytes.start)))?
    {
        let seen = match record.len() == file.num_fields {
            true => {
                let row = TextRow {
                    record,
                    positions: &file.positions,
                    constants: &file.constants,
                    forms: &file.forms,
                };
                file.forms
                    .check(&row)
                    .and_then(|()| visitor.row(index, &row))
            }
            false => Err(Fault::Fields {
                found: record.len(),
            }),
        };
        seen.map_err(|fault| fault.in_text(file, chunk, index, names))?;
        index += 1;
    }
    // Rows were counted before by the same tokenizer: the text is not what it was then.
    if index != chunk.num_rows {
        let message = "the file changed while it was read: it has other rows than before";
        return Err(Diagnostic::new(file.path.display().to_string(), message)
            .hint("wait until nothing writes it any more, then run this again"));
    }
    Ok(())
}
