//! Rows of delimited text.

use super::bad_row::Fault;
use super::row::{Row, Visit};
use super::text_chunks::{Chunk, TextFile};
use super::text_records::{Record, Records};
use crate::schema::Format;
use homebench_diagnostic::Diagnostic;

pub(crate) fn reader(bytes: &[u8], format: Format) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.separator)
        .quoting(format.quotes)
        // Not the crate's default, which ends a row at a lone carriage return too: pieces are cut
        // and lines counted by line feeds.
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1 << 16)
        .from_reader(bytes)
}

/// A field without the spaces and line ends that belong to the layout.
#[inline]
pub(crate) fn field(record: &csv::ByteRecord, index: usize, format: Format) -> &[u8] {
    let mut field = record.get(index).unwrap_or_default();
    if index + 1 == record.len() {
        field = field.strip_suffix(b"\r").unwrap_or(field);
    }
    if format.trim_spaces {
        trim(field)
    } else {
        field
    }
}

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

/// The `index`-th record of a piece, read again to know its place.
pub(crate) fn record_at(file: &TextFile, chunk: &Chunk, index: u64) -> csv::ByteRecord {
    let mut reader = reader(&file.bytes()[chunk.bytes.clone()], file.format);
    let mut record = csv::ByteRecord::new();
    let mut left = index + 1;
    while left > 0 && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let is_blank = record.len() == 1 && record.as_slice() == b"\r";
        left -= u64::from(!is_blank);
    }
    record
}

struct TextRow<'a> {
    record: Record<'a>,
    positions: &'a [usize],
}

impl Row for TextRow<'_> {
    #[inline]
    fn text(&self, column: usize) -> &[u8] {
        self.record.field(self.positions[column])
    }

    fn values(&self, column: usize, separator: u8, visit: &mut dyn FnMut(&[u8])) {
        split(self.text(column), separator, visit);
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
        .map_err(|error| Diagnostic::new(file.path.display().to_string(), error.to_string()))?
    {
        let seen = match record.len() == file.num_fields {
            true => {
                let positions = &file.positions;
                visitor.row(index, &TextRow { record, positions })
            }
            false => Err(Fault::Fields {
                found: record.len(),
            }),
        };
        seen.map_err(|fault| fault.in_text(file, chunk, index, names))?;
        index += 1;
    }
    // Rows were counted by line ends and quotes before; a parser that finds others doesn't agree on
    // where rows end.
    if index != chunk.num_rows {
        let message = format!("expected {} rows in a piece, found {index}", chunk.num_rows);
        return Err(Diagnostic::new(file.path.display().to_string(), message)
            .hint("the file has quotes that never close, or the description's `quotes` is wrong"));
    }
    Ok(())
}
