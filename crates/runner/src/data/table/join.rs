//! Tables that are joined to every row: read once, looked up by key.

use super::chunks::TextFile;
use super::interner::Interner;
use super::parse::{Columns, fields, number, reader};
use crate::data::description::{Join, TablePlan};
use crate::diagnostic::{Diagnostic, Location};
use std::path::Path;

/// A joined table in memory: the columns in use alone, distinct texts once.
#[derive(Debug)]
pub(super) struct JoinTable {
    /// Index of the rows' column that is looked up.
    pub(super) on: usize,
    /// Keys; the number of a key is the table's row.
    keys: Interner,
    /// Line of each row.
    lines: Vec<usize>,
    texts: Vec<Interner>,
    /// [rows, text columns].
    codes: Vec<u32>,
    num_numbers: usize,
    /// [rows, number columns]; NaN where the field is empty.
    numbers: Vec<f64>,
}

impl JoinTable {
    /// Reads a table.
    ///
    /// # Errors
    /// A row that isn't as described, or a key that is there twice.
    pub(super) fn read(
        plan: &TablePlan,
        join: &Join,
        columns: &Columns,
        path: &Path,
    ) -> Result<Self, Diagnostic> {
        let file = TextFile::open(path, join.format, &join.columns)?;
        // Of each column of the table: whether it is needed as text and as numbers.
        let mut place = join.first;
        let needs: Vec<(bool, bool)> = (0..join.columns.len())
            .map(|index| {
                if index == join.key {
                    return (false, false);
                }
                place += 1;
                columns.needs(place - 1)
            })
            .collect();
        let count = |of: fn(&(bool, bool)) -> bool| needs.iter().filter(|need| of(need)).count();
        let mut table = Self {
            on: join.on,
            keys: Interner::default(),
            lines: Vec::new(),
            texts: vec![Interner::default(); count(|need| need.0)],
            codes: Vec::new(),
            num_numbers: count(|need| need.1),
            numbers: Vec::new(),
        };
        for chunk in &file.chunks {
            let mut reader = reader(&file.bytes()[chunk.bytes.clone()], join.format);
            let mut record = csv::ByteRecord::new();
            while reader
                .read_byte_record(&mut record)
                .map_err(|error| Diagnostic::new(path.display().to_string(), error.to_string()))?
            {
                if record.len() == 1 && record.as_slice() == b"\r" {
                    continue;
                }
                let line = chunk.first_line + record.position().map_or(1, |at| at.line() as usize);
                let refuse = |message: String| {
                    Diagnostic::new(path.display().to_string(), message)
                        .at(Some(Location { line, column: 1 }))
                };
                if record.len() != join.columns.len() {
                    let (expected, found) = (join.columns.len(), record.len());
                    return Err(refuse(format!("expected {expected} fields, found {found}"))
                        .hint("mend the row, or the columns in the description"));
                }
                table.append(
                    plan,
                    join,
                    &needs,
                    line,
                    fields(&record, join.format),
                    refuse,
                )?;
            }
        }
        Ok(table)
    }

    fn append<'a>(
        &mut self,
        plan: &TablePlan,
        join: &Join,
        needs: &[(bool, bool)],
        line: usize,
        fields: impl Iterator<Item = &'a [u8]>,
        refuse: impl Fn(String) -> Diagnostic,
    ) -> Result<(), Diagnostic> {
        let mut slot = 0;
        for (index, field) in fields.enumerate() {
            if index == join.key {
                let known = self.keys.len();
                let row = self.keys.intern(field, 0) as usize;
                if row < known {
                    let key = String::from_utf8_lossy(field);
                    let (column, first) = (&plan.columns[join.on], self.lines[row]);
                    return Err(refuse(format!(
                        "the key `{key}` of `{column}` is there twice, first at line {first}"
                    ))
                    .hint("a joined table has one row for each key; remove all but one"));
                }
                self.lines.push(line);
            }
            let (is_text, is_number) = needs[index];
            if is_text {
                self.codes.push(self.texts[slot].intern(field, 0));
                slot += 1;
            }
            if is_number {
                let value = match field {
                    b"" => f64::NAN,
                    field => number(field).map_err(|expected| {
                        refuse(format!(
                            "column `{}`: expected {expected}, found `{}`",
                            join.columns[index],
                            String::from_utf8_lossy(field)
                        ))
                        .hint("mend the row, or make the feature categorical in the description")
                    })?,
                };
                self.numbers.push(value);
            }
        }
        Ok(())
    }

    /// The row of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        self.keys.get(key).map(|row| row as usize)
    }

    /// Texts of the columns in use, empty where there is no row.
    pub(super) fn texts_of(&self, row: Option<usize>) -> impl Iterator<Item = &[u8]> {
        let width = self.texts.len();
        self.texts
            .iter()
            .enumerate()
            .map(move |(slot, texts)| match row {
                Some(row) => texts.text(self.codes[row * width + slot]),
                None => &b""[..],
            })
    }

    /// Numbers of the columns in use, NaN where there is none.
    pub(super) fn numbers_of(&self, row: Option<usize>) -> impl Iterator<Item = f64> {
        (0..self.num_numbers).map(move |slot| match row {
            Some(row) => self.numbers[row * self.num_numbers + slot],
            None => f64::NAN,
        })
    }
}
