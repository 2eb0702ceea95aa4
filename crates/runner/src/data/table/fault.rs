//! What is wrong with a row, in words, with its line, character and column.

use super::chunks::{Chunk, TextFile};
use super::parse::{fields, reader};
use crate::data::description::{Format, TablePlan};
use crate::diagnostic::{Diagnostic, Location};

/// What is wrong with a row.
pub(super) enum Fault {
    Fields {
        found: usize,
    },
    Number {
        column: usize,
        expected: &'static str,
        found: String,
    },
    Value {
        column: usize,
        found: String,
    },
}

impl Fault {
    pub(super) fn number(column: usize, expected: &'static str, field: &[u8]) -> Self {
        Self::Number {
            column,
            expected,
            found: String::from_utf8_lossy(field).into_owned(),
        }
    }

    /// The fault in words, with the place of the `row`-th record of the piece, which is read again to find it.
    pub(super) fn locate(
        self,
        plan: &TablePlan,
        file: &TextFile,
        chunk: &Chunk,
        row: u64,
    ) -> Diagnostic {
        let mut reader = reader(&file.bytes()[chunk.bytes.clone()], plan.format);
        let mut record = csv::ByteRecord::new();
        let mut index = 0;
        while matches!(reader.read_byte_record(&mut record), Ok(true)) {
            if record.as_slice() == b"\r" {
                continue;
            }
            if index == row {
                break;
            }
            index += 1;
        }
        self.say(plan, file, chunk, &record)
    }

    /// The same for the first record with this text in the fault's column, at or after the `at`-th row in use.
    pub(super) fn locate_nth_in_use(
        self,
        plan: &TablePlan,
        file: &TextFile,
        chunk: &Chunk,
        at: usize,
        text: &[u8],
    ) -> Diagnostic {
        let column = self.column().unwrap_or_default();
        let mut reader = reader(&file.bytes()[chunk.bytes.clone()], plan.format);
        let mut record = csv::ByteRecord::new();
        let mut index = 0;
        while matches!(reader.read_byte_record(&mut record), Ok(true)) {
            let is_it = fields(&record, plan.format).nth(column) == Some(text);
            if is_it && index >= at {
                break;
            }
            index += 1;
        }
        self.say(plan, file, chunk, &record)
    }

    fn column(&self) -> Option<usize> {
        match self {
            Self::Fields { .. } => None,
            Self::Number { column, .. } | Self::Value { column, .. } => Some(*column),
        }
    }

    fn say(
        self,
        plan: &TablePlan,
        file: &TextFile,
        chunk: &Chunk,
        record: &csv::ByteRecord,
    ) -> Diagnostic {
        let position = record.position();
        let mut line = chunk.first_line + position.map_or(1, |at| at.line() as usize);
        let mut start = chunk.bytes.start + position.map_or(0, |at| at.byte() as usize);
        // A record's position is that of the empty lines before it.
        while file.bytes().get(start) == Some(&b'\n') {
            (line, start) = (line + 1, start + 1);
        }
        let column = self.column().map_or(1, |column| {
            character(&file.bytes()[start..], plan.format, column)
        });
        let name = |column: usize| &plan.columns[column];
        let said = |message: String| {
            Diagnostic::new(file.path.display().to_string(), message)
                .at(Some(Location { line, column }))
        };
        match self {
            Self::Fields { found } => {
                let message = format!("expected {} fields, found {found}", plan.num_own_columns);
                match plan.columns[..plan.num_own_columns].get(found) {
                    Some(missing) => said(format!("{message}; column `{missing}` is missing"))
                        .hint("the row is cut; get the file again"),
                    None => said(message).hint(format!(
                        "is `{}` part of a value? Then the file needs quotes",
                        char::from(plan.format.separator)
                    )),
                }
            }
            Self::Number {
                column,
                expected,
                found,
            } => said(format!(
                "column `{}`: expected {expected}, found `{found}`",
                name(column)
            ))
            .hint("mend the row, or make the feature categorical in the description"),
            Self::Value { column, found } => {
                let allowed = plan
                    .allowed_values
                    .iter()
                    .find(|(other, _)| *other == column);
                let values: Vec<String> = allowed
                    .into_iter()
                    .flat_map(|(_, v)| v)
                    .map(|v| format!("`{v}`"))
                    .collect();
                said(format!(
                    "column `{}`: unknown value `{found}`; allowed are {}",
                    name(column),
                    values.join(", ")
                ))
                .hint("mend the row, or add the value to [allowed_values] in the description")
            }
        }
    }
}

/// The character, from 1, at which a field of a row starts; 1 where fields may be quoted.
fn character(row: &[u8], format: Format, column: usize) -> usize {
    if format.quotes || column == 0 {
        return 1;
    }
    let separators = row
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == format.separator);
    let Some(at) = separators.map(|(at, _)| at + 1).nth(column - 1) else {
        return 1;
    };
    let spaces = if format.trim_spaces {
        row[at..].iter().take_while(|byte| **byte == b' ').count()
    } else {
        0
    };
    String::from_utf8_lossy(&row[..at + spaces]).chars().count() + 1
}
