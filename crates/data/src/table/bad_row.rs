//! What is wrong with a row, in words, with its line, character and column.

use super::text_chunks::{Chunk, TextFile};
use super::text_rows::record_place;
use homebench_diagnostic::{Diagnostic, Location};
use std::path::Path;

/// What is wrong with a row; columns are indices into the names of the file's columns in the description.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Another number of fields than the file has columns.
    Fields { found: usize },
    /// A field that is not as it is read.
    Number {
        column: usize,
        expected: &'static str,
        found: String,
    },
    /// A value that the description doesn't allow.
    Value {
        column: usize,
        found: String,
        allowed: Vec<String>,
    },
    /// A key that a joined table has already.
    Duplicate {
        column: usize,
        key: String,
        first: String,
    },
    /// More distinct texts than can be kept.
    TooMuchText { column: usize },
}

impl Fault {
    /// The fault of the `index`-th record of a piece of a text file.
    pub(crate) fn in_text(
        self,
        file: &TextFile,
        chunk: &Chunk,
        index: u64,
        names: &[String],
    ) -> Diagnostic {
        let row = record_place(file, chunk, index);
        let field = self.column().and_then(|column| file.positions.get(column));
        let start = field.and_then(|field| row.field_starts.get(*field));
        let Location { column, .. } = file.location(*start.unwrap_or(&row.start));
        let line = row.line;
        let said = Diagnostic::new(file.path.display().to_string(), String::new())
            .at(Some(Location { line, column }));
        let mend = field.and_then(|field| super::wrong_layout::mend_of_field(file, &row, *field));
        let said = match self {
            Self::Fields { .. } => super::wrong_layout::describe(said, file, &row, names),
            other => other.describe(said, "", names),
        };
        match mend {
            Some(mend) => said.hint(mend),
            None => said,
        }
    }

    /// The fault of a row of a columnar file, counted from 1.
    pub(crate) fn in_row(self, path: &Path, row: u64, names: &[String]) -> Diagnostic {
        let said = Diagnostic::new(path.display().to_string(), String::new());
        self.describe(said, &format!("row {row}, "), names)
    }

    fn column(&self) -> Option<usize> {
        match self {
            Self::Fields { .. } | Self::Duplicate { .. } => None,
            Self::Number { column, .. }
            | Self::Value { column, .. }
            | Self::TooMuchText { column } => Some(*column),
        }
    }

    fn describe(self, said: Diagnostic, place: &str, names: &[String]) -> Diagnostic {
        match self {
            Self::Fields { found } => {
                let message = format!("{place}expected {} columns, found {found}", names.len());
                with(said, message)
            }
            Self::Number {
                column,
                expected,
                found,
            } => {
                let name = &names[column];
                let hint = match (found.as_str(), expected) {
                    (_, A_TIME) => {
                        "mend the row; without it the row belongs to no split".to_owned()
                    }
                    ("" | "null", _) => {
                        format!(
                            "add \"{name}\" to `optional` in the description if it may be missing"
                        )
                    }
                    (_, ZERO_OR_ONE) => format!(
                        "compare in the label, such as label = \"{name} > 0\", or mend the row"
                    ),
                    (_, NUMBER_LABEL) => {
                        "mend the row, or leave the field empty where the label isn't known"
                            .to_owned()
                    }
                    _ => "mend the row, or make the feature categorical in the description"
                        .to_owned(),
                };
                let message =
                    format!("{place}column `{name}`: expected {expected}, found `{found}`");
                with(said, message).hint(hint)
            }
            Self::Value {
                column,
                found,
                allowed,
            } => {
                let allowed: Vec<String> =
                    allowed.iter().map(|value| format!("`{value}`")).collect();
                let message = format!(
                    "{place}column `{}`: unknown value `{found}`; allowed are {}",
                    names[column],
                    allowed.join(", ")
                );
                with(said, message)
                    .hint("mend the row, or add the value to [allowed_values] in the description")
            }
            Self::Duplicate { column, key, first } => {
                let message = format!(
                    "{place}the key `{key}` of `{}` is there twice, first at {first}",
                    names[column]
                );
                with(said, message)
                    .hint("a joined table has one row for each key; remove all but one")
            }
            Self::TooMuchText { column } => with(said, too_much_text(place, &names[column]))
                .hint("leave the column out, or shorten its values"),
        }
    }
}

/// The line of the `index`-th record of a piece, and where it starts.
pub(crate) fn place(file: &TextFile, chunk: &Chunk, index: u64) -> (usize, usize) {
    let row = record_place(file, chunk, index);
    (row.line, row.start)
}

/// What is said of a column whose distinct texts are more than can be kept.
pub(crate) fn too_much_text(place: &str, column: &str) -> String {
    format!(
        "{place}column `{column}`: its distinct values are more than 4 GiB of text, which is the most that can be kept"
    )
}

/// What a label that is a column has to be.
pub(crate) const ZERO_OR_ONE: &str = "0 or 1";
/// What a column that splits by time has to have in every row.
pub(crate) const A_TIME: &str = "a value to split by";

/// What a label of a regression has to be; they are kept in 32 bits.
pub(crate) const NUMBER_LABEL: &str = "a label that is a finite number below 3.4e38";

fn with(said: Diagnostic, message: String) -> Diagnostic {
    Diagnostic { message, ..said }
}
