//! What is wrong with a row, in words, with its line, character and column.

mod computed;
mod hint;
mod joined;

pub(super) use computed::part_of;
pub(crate) use hint::may_have_thousands;
pub(super) use hint::{exact_integer_hint, general_hint, is_missing_mark, typed_hint};
pub(super) use joined::{TableRow, nothing_joined, part_of_joined};

use super::text_chunks::{Chunk, TextFile};
use super::text_rows::record_place;
use crate::expression::{self, Expression, Reading, RowFault};
use crate::schema::TablePlan;
use computed::computed_hint;
use hint::{divides, hint, limit_example, time_beside_numbers};
use homebench_diagnostic::{Diagnostic, Location};
use std::path::Path;

/// What is wrong with a row; columns are indices into the names of the file's columns in the description.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Another number of fields than the file has columns.
    Fields { found: usize },
    /// A field that is not as it is read.
    Field {
        column: usize,
        expected: String,
        found: String,
        hint: String,
    },
    /// An expression that can't be computed on a row.
    Computed {
        /// What of the description is computed, in words.
        part: String,
        expected: String,
        found: String,
        hint: String,
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
            Self::Fields { .. } | Self::Duplicate { .. } | Self::Computed { .. } => None,
            Self::Field { column, .. }
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
            Self::Field {
                column,
                expected,
                found,
                hint,
            } => {
                let message = format!(
                    "{place}column `{}`: expected {expected}, found `{found}`",
                    names[column]
                );
                with(said, message).hint(hint)
            }
            Self::Computed {
                part,
                expected,
                found,
                hint,
            } => {
                let found = match &*found {
                    "" => "nothing".to_owned(),
                    word if TYPES.contains(&word) => found,
                    value => format!("`{value}`"),
                };
                let message = format!("{place}{part}: expected {expected}, found {found}");
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
                with(said, message).hint(match found.is_empty() {
                    true => format!(
                        "fill it in, or add \"{}\" to `optional` in the description if it may be missing",
                        names[column]
                    ),
                    false => "correct the row, or add the value to [allowed_values] in the description".to_owned(),
                })
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

/// Words for types, which stand in the place of a value that has the wrong one.
const TYPES: [&str; 3] = ["a time", "a text", "a condition"];
/// What a label that is a column has to be.
pub(crate) const ZERO_OR_ONE: &str = "0 or 1";
/// What a column that splits by time has to have in every row.
pub(crate) const A_TIME: &str = "a value to split by";
/// What an input has to be once it is transformed.
pub(super) const A_FLOAT: &str = "a number that 32 bits hold, below 3.4e38 in size";
/// What a weight has to be.
pub(super) const A_WEIGHT: &str = "a weight of 0, or between 1.2e-38 and 3.4e38";
/// What a weight has to be that is none at all.
pub(super) const NOT_NEGATIVE: &str = "a weight of 0 or more";
/// What an integer has to be in a column of floats.
pub(super) const EXACT_INTEGER: &str = "an integer below 2^53, since other rows have a point";
/// What a number of a new row has to be in a column that had integers alone.
pub(super) const AN_INTEGER_AS_IN_TRAINING: &str =
    "an integer, as the rows of training have in a column that is computed with";
/// What a label of a regression has to be.
pub(super) const A_LABEL: &str = "a label below 1.8e19 in size, whose square 32 bits hold";
/// What a label that is standardised has to be.
pub(super) const A_SCALED_LABEL: &str = "a label below 1e150 in size";

/// A value that can't be read, in words that fit what its column is for.
pub(super) fn field_fault(plan: &TablePlan, reading: Reading, fault: RowFault) -> Fault {
    let RowFault {
        column,
        expected,
        found,
        ..
    } = fault;
    match column {
        None => Fault::Computed {
            part: "an expression of the description".to_owned(),
            hint: computed_hint(&expected, &found).to_owned(),
            expected,
            found,
        },
        // A computed or a joined column has no field in the file of the row.
        Some(column) if column >= plan.num_own_columns => {
            let derived = column.checked_sub(plan.first_derived());
            Fault::Computed {
                hint: match derived {
                    Some(index) if divides(plan, column) && expected == A_TIME => {
                        value_to_split_by(plan, &plan.derived[index])
                    }
                    _ if expected == expression::NO_TIME => time_beside_numbers("column"),
                    Some(_) => computed_hint(&expected, &found).to_owned(),
                    None if expected == A_FLOAT => {
                        "correct the value in the joined table, or give the feature transform = [\"log1p\", \"standardise\"]"
                            .to_owned()
                    }
                    None => "correct the value in the joined table".to_owned(),
                },
                part: match derived {
                    Some(index) => part_of(
                        &format!("the column `{}`", plan.columns[column]),
                        &plan.derived[index],
                    ),
                    None => format!("the joined column `{}`", plan.columns[column]),
                },
                expected,
                found,
            }
        }
        Some(column) => Fault::Field {
            hint: hint(plan, column, reading, &expected, &found),
            expected: match found.is_empty() && divides(plan, column) {
                true => A_TIME.to_owned(),
                false => expected,
            },
            column,
            found,
        },
    }
}

/// What to do about a computed column that has nothing on a row and splits rows.
fn value_to_split_by(plan: &TablePlan, expression: &Expression) -> String {
    // Longer expressions would hide what is to be written.
    const MOST_SHOWN: usize = 40;
    let text = expression.text();
    let shown = match text.len() <= MOST_SHOWN && !text.contains('\n') {
        true => text,
        false => "...",
    };
    format!(
        "every row needs a value to split by: give rows without one another, such as coalesce({shown}, {}), with which they are \
         training rows",
        limit_example(plan)
    )
}

fn with(said: Diagnostic, message: String) -> Diagnostic {
    Diagnostic { message, ..said }
}
