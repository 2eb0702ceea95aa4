//! Files of libsvm and libffm: a label, and the features that a row has.
//!
//! Their rows are written as text with tabs, one column of the description after another, and read as such.

use crate::mapped_file_shrank::{MappedFile, MappedKind};
use crate::schema::{Encoding, FileKind};
use homebench_diagnostic::{Diagnostic, Location};
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The columns of a file of libsvm or libffm as text with tabs, in a temporary file that has no name.
///
/// - `label` is the first word of a row, `qid` the number behind `qid:`.
/// - libsvm: a column is the index of a feature, and holds its value; 0 where a row doesn't have it, as the format means.
/// - libffm: a column is a field, and holds its features, `|` between several; nothing where a row has none. `FIELD:value` holds
///   the value of the field's one feature.
///
/// # Errors
/// A file that can't be read, or a word that is no feature.
pub(super) fn map(
    path: &Path,
    kind: FileKind,
    columns: &[&String],
) -> Result<Option<MappedFile>, Diagnostic> {
    let name = path.display().to_string();
    let Some(source) = super::map_source::map(path, Encoding::Utf8)? else {
        return Ok(None);
    };
    let cant_write = |error: std::io::Error| {
        Diagnostic::new(&name, format!("can't unpack the file: {error}"))
            .hint("free some space where temporary files go (TMPDIR)")
    };
    let file = tempfile::tempfile().map_err(cant_write)?;
    let mut sink = BufWriter::with_capacity(1 << 18, file);
    let mut row = SparseRow::new(kind, columns);
    for (index, line) in source.split(|byte| *byte == b'\n').enumerate() {
        // What stands behind a hash is a comment.
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        row.read(line).map_err(|(column, expected, found)| {
            let message = format!("expected {expected}, found `{found}`");
            Diagnostic::new(&name, message)
                .at(Some(Location {
                    line: index + 1,
                    column,
                }))
                .hint("correct the line, or say another kind in the format of the description")
        })?;
        // An empty line stays one, so that lines keep their numbers.
        row.write(&mut sink).map_err(cant_write)?;
    }
    let file = sink
        .into_inner()
        .map_err(|error| cant_write(error.into_error()))?;
    // SAFETY: nobody else has the temporary file.
    let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(cant_write)?;
    Ok(Some(MappedFile::new(mapped, path, MappedKind::Source)))
}

/// The columns of one row.
struct SparseRow<'a> {
    kind: FileKind,
    places: HashMap<&'a str, usize>,
    fields: Vec<Vec<u8>>,
    has_row: bool,
}

/// The character of a word, what was expected, and what was found.
type BadWord = (usize, &'static str, String);

impl<'a> SparseRow<'a> {
    fn new(kind: FileKind, columns: &[&'a String]) -> Self {
        let places = columns.iter().enumerate();
        Self {
            kind,
            places: places.map(|(place, name)| (name.as_str(), place)).collect(),
            fields: vec![Vec::new(); columns.len()],
            has_row: false,
        }
    }

    fn read(&mut self, line: &[u8]) -> Result<(), BadWord> {
        self.fields.iter_mut().for_each(Vec::clear);
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let label = words.next();
        self.has_row = label.is_some();
        let Some(label) = label else { return Ok(()) };
        self.put("label", label);
        for word in words {
            let parts: Vec<&str> = word.split(':').collect();
            let read = match (self.kind, &parts[..]) {
                (_, ["qid", id]) => {
                    self.put("qid", id);
                    Ok(())
                }
                (FileKind::LibFfm, [field, feature, value]) if is_number(value) => {
                    self.add(field, feature);
                    self.add(&format!("{field}:value"), value);
                    Ok(())
                }
                (FileKind::LibFfm, [_, _, _]) => Err("a finite number as the value"),
                (FileKind::LibFfm, _) => Err("field:feature:value"),
                (_, [index, value]) => self.put_indexed(index, value),
                _ => Err("index:value"),
            };
            if let Err(expected) = read {
                let place = word.as_ptr() as usize - text.as_ptr() as usize;
                return Err((place + 1, expected, word.to_owned()));
            }
        }
        Ok(())
    }

    /// Sets the column of an index, whatever zeros stand before it.
    fn put_indexed(&mut self, index: &str, value: &str) -> Result<(), &'static str> {
        if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("index:value with a whole number as the index");
        }
        if !is_number(value) {
            return Err("a finite number as the value");
        }
        let plain = index.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        match self.put(plain, value) {
            true => Ok(()),
            false => Err("each index once"),
        }
    }

    /// Sets a column that has one value; false where it has one already.
    fn put(&mut self, column: &str, value: &str) -> bool {
        let Some(place) = self.places.get(column) else {
            return true;
        };
        let field = &mut self.fields[*place];
        let is_first = field.is_empty();
        field.clear();
        field.extend_from_slice(value.as_bytes());
        is_first
    }

    /// Adds to a column that may have several values.
    fn add(&mut self, column: &str, value: &str) {
        if let Some(place) = self.places.get(column) {
            let field = &mut self.fields[*place];
            if !field.is_empty() {
                field.push(b'|');
            }
            field.extend_from_slice(value.as_bytes());
        }
    }

    fn write(&self, sink: &mut impl Write) -> std::io::Result<()> {
        if self.has_row {
            for (place, field) in self.fields.iter().enumerate() {
                if place > 0 {
                    sink.write_all(b"\t")?;
                }
                sink.write_all(field)?;
                // A row has 0 for every feature that it doesn't name.
                let is_feature = self.kind == FileKind::LibSvm
                    && !["label", "qid"]
                        .iter()
                        .any(|name| self.places.get(name) == Some(&place));
                if field.is_empty() && is_feature {
                    sink.write_all(b"0")?;
                }
            }
        }
        sink.write_all(b"\n")
    }
}

fn is_number(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: FileKind, columns: &[&str], line: &str) -> Result<String, BadWord> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let columns: Vec<&String> = columns.iter().collect();
        let mut row = SparseRow::new(kind, &columns);
        row.read(line.as_bytes())?;
        let mut text = Vec::new();
        row.write(&mut text).unwrap();
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn rows_are_their_columns_in_the_order_of_the_description() {
        let svm = |line| written(FileKind::LibSvm, &["label", "3", "qid", "1"], line);
        assert_eq!(
            svm("1 qid:7 1:0.5 9:2 3:-1e2").unwrap(),
            "1\t-1e2\t7\t0.5\n"
        );
        assert_eq!(svm("-1 1:2").unwrap(), "-1\t0\t\t2\n");
        assert_eq!(svm("").unwrap(), "\n");
        // As scikit-learn reads it.
        assert_eq!(svm("1 01:2 003:4").unwrap(), "1\t4\t\t2\n");
        let refused = |line| svm(line).unwrap_err();
        assert_eq!(
            refused("1 1:x"),
            (3, "a finite number as the value", "1:x".into())
        );
        assert_eq!(refused("1 1:nan").1, "a finite number as the value");
        assert_eq!(refused("1 3:1 03:2"), (7, "each index once", "03:2".into()));
        assert_eq!(
            refused("1 a:1").1,
            "index:value with a whole number as the index"
        );
        assert_eq!(refused("1 1").1, "index:value");
        let ffm = |line| written(FileKind::LibFfm, &["label", "0", "1", "1:value"], line);
        assert_eq!(
            ffm("0 0:17:1 0:23:1 1:4:0.25").unwrap(),
            "0\t17|23\t4\t0.25\n"
        );
        assert_eq!(ffm("1 1:4:1").unwrap(), "1\t\t4\t1\n");
        assert_eq!(ffm("1 1:4").unwrap_err().1, "field:feature:value");
    }
}
