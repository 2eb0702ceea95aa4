//! What is wrong with a row, in words, with its line, character and column.

use super::parse_rows::is_unknown;
use super::text_chunks::{Chunk, TextFile};
use super::text_rows::record_place;
use super::time_hint::time_hint;
use crate::expression::{self, ColumnType, Expression, Reading, RowFault};
use crate::schema::{SplitPlan, TablePlan};
use crate::timeline;
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
                let found = match TYPES.contains(&&*found) {
                    true => found,
                    false => format!("`{found}`"),
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
/// What a label of a regression has to be.
pub(super) const A_LABEL: &str = "a label below 1.8e19 in size, whose square 32 bits hold";
/// What a label that is standardised has to be.
pub(super) const A_SCALED_LABEL: &str = "a label below 1e150 in size";

/// Texts that programs write for nothing.
const MISSING_MARKS: [&str; 22] = [
    "#N/A",
    "NaT",
    "<NA>",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "infinity",
    "-infinity",
    "inf",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
    "none",
    "\\N",
    "-",
    "?",
    ".",
    "missing",
];

/// Whether a text is what many programs write for nothing.
pub(super) fn is_missing_mark(text: &[u8]) -> bool {
    MISSING_MARKS.iter().any(|mark| mark.as_bytes() == text)
}

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
                    _ if divides(plan, column) && expected == A_TIME => {
                        "every row needs a value to split by: give rows without one another, such as coalesce(..., 0)"
                            .to_owned()
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

fn time_beside_numbers(name: &str) -> String {
    format!(
        "compare it with a time in quotes, such as \"2022-04-08 12:00:00\", or take its seconds since 1970: `extract(epoch from {name})`"
    )
}

/// Longest expression that is shown whole.
const MOST_SHOWN: usize = 120;

/// What of the description is computed, with its expression.
pub(super) fn part_of(what: &str, expression: &Expression) -> String {
    let words: Vec<&str> = expression.text().split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{what}, which is {}...", &text[..end]),
        None => format!("{what}, which is {text}"),
    }
}

/// What to do about an expression that can't be computed on every row.
const GUARD: &str = "guard it with `case when ... then ... end`, or write `try_cast` for null where a value can't be cast";

/// What to do about an expression, by what it expected.
fn computed_hint(expected: &str, found: &str) -> &'static str {
    match expected {
        _ if found == "a time" => {
            "of a time take its seconds since 1970, `extract(epoch from column)`, or another part of it"
        }
        _ if found == "a text" => {
            "of a text take the number that it spells: `try_cast(column as float)`, null where it spells none"
        }
        expression::BESIDE_NUMBERS | expression::BESIDE_TIMES | expression::BESIDE_CONDITIONS => {
            "to compare or keep texts, cast the other values: `cast(column as text)`; `try_cast` of a column of texts gives \
             null where a text can't be cast"
        }
        expression::ONE_TYPE => {
            "cast one of them to the type of the other, such as `cast(column as text)`"
        }
        expression::BESIDE_FLOATS => {
            "cast the values with a point, such as `cast(column as decimal(38, 6))`: beside decimals integers keep all of \
             their digits"
        }
        expression::DIGITS => "cast one side to a number of 64 bits: `cast(column as float)`",
        _ => GUARD,
    }
}

/// Whether a column says when a row was.
fn divides(plan: &TablePlan, column: usize) -> bool {
    matches!(&plan.split, SplitPlan::Time { column: by, .. } if *by == column)
}

/// What to do about a value, by the column's use and by what was found.
fn hint(plan: &TablePlan, column: usize, reading: Reading, expected: &str, found: &str) -> String {
    let name = &plan.columns[column];
    let divides = divides(plan, column);
    let is_nothing = found.is_empty() || MISSING_MARKS.contains(&found.trim());
    if is_nothing && plan.weight == Some(column) {
        return "a weight is needed on every row: fill it in, or write 0".to_owned();
    }
    let spelled = expression::spelled(name);
    if is_nothing && divides && !found.is_empty() {
        let optional = match plan.optional.contains(&column) {
            true => String::new(),
            false => format!("add \"{name}\" to `optional`, and "),
        };
        return format!(
            "if it stands for a missing value, write missing = [\"{}\"] above the first table of the description; without a time \
             the row belongs to no split. To leave such rows out: {optional}filter = \"{spelled} is not null\"",
            found.trim().replace('\\', "\\\\")
        );
    }
    if is_nothing && divides {
        return format!(
            "fill it in; without it the row belongs to no split. To leave such rows out: add \"{name}\" to `optional`, and \
             filter = \"{spelled} is not null\""
        );
    }
    if expected == expression::NO_TIME {
        return time_beside_numbers(&spelled);
    }
    if found.is_empty() {
        return format!("add \"{name}\" to `optional` in the description if it may be missing");
    }
    let has_header = plan.format.has_header;
    let general = general_hint(
        name,
        expected,
        found,
        plan.optional.contains(&column),
        has_header,
    );
    general.unwrap_or_else(|| match expected {
        ZERO_OR_ONE if plan.types[column] == Some(ColumnType::Boolean) => format!(
            "a boolean is true or false, t or f, 1 or 0: leave out the type of `{name}`, and say which value is positive: label = \
             '{name} = \"{found}\"'"
        ),
        ZERO_OR_ONE => label_hint(name, found),
        A_FLOAT => format!(
            "correct the row; if the value stands for nothing, write missing = [\"{found}\"] above the first table of the \
             description and add \"{name}\" to `optional`"
        ),
        A_WEIGHT => "correct the row, or divide all weights by one number".to_owned(),
        NOT_NEGATIVE => format!("correct the row, or leave it out with filter = \"{name} >= 0\""),
        A_LABEL => {
            "give the task transform = [\"standardise\"], or [\"log1p\", \"standardise\"]".to_owned()
        }
        A_SCALED_LABEL => "correct the row, or leave the field empty where the label isn't known".to_owned(),
        _ if divides && has_numeric_limits(plan) => limits_hint(name, found),
        _ if reading == Reading::Time || divides || is_time(plan, column) => {
            time_hint(name, plan.types[column].as_ref(), divides, found)
        }
        _ if plan.types[column].is_some() => typed_hint(name, plan.types[column].as_ref(), found),
            _ if timeline::TimeRule::default().parse(found).is_ok() => format!(
                "give the column its type, and its numbers are seconds since 1970: {{ name = \"{name}\", type = \"timestamp\" }} in \
                 place of \"{name}\" in `columns`; or make the feature categorical"
            ),
        _ if plan.features.iter().any(|feature| feature.column == column) => {
            "correct the row, or make the feature categorical in the description".to_owned()
        }
        _ if plan.labels.iter().any(|label| label.column() == Some(column)) => {
            "correct the row, or leave the field empty where the label isn't known".to_owned()
        }
        _ => format!(
            "correct the row; where `{name}` holds texts, `try_cast({spelled} as float)` is null for one that spells no number, \
             and `=` compares with a text in quotes"
        ),
    })
}

/// What to do about a value that many files have in the place of another.
pub(super) fn general_hint(
    name: &str,
    expected: &str,
    found: &str,
    is_optional: bool,
    has_header: bool,
) -> Option<String> {
    let text = found.trim();
    let optional = match is_optional {
        true => String::new(),
        false => format!(", and add \"{name}\" to `optional`"),
    };
    if text == name && !has_header {
        return Some(
            "if this is the first line, it names the columns: set has_header = true in the format. Elsewhere it is a header again: \
             remove the line"
                .to_owned(),
        );
    }
    if text == name {
        return Some(
            "this is the header again: remove the line. Values are read before `filter` leaves rows out".to_owned(),
        );
    }
    if MISSING_MARKS.contains(&text) {
        return Some(format!(
            "if it stands for a missing value, write missing = [\"{}\"] above the first table of the description{optional}; \
             or leave the field empty",
            text.replace('\\', "\\\\")
        ));
    }
    if text.len() < found.len() && text.parse::<f64>().is_ok() {
        return Some(
            match found.trim_matches(' ') == text {
                true => "add trim_spaces = true to [format]: spaces belong to the layout then",
                // `trim_spaces` takes no other blanks off.
                false => "take the tab or the hard space beside the value out of the file",
            }
            .to_owned(),
        );
    }
    if text.starts_with('"') {
        return Some("add quotes = true to [format]: the fields are in quotes".to_owned());
    }
    if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") && expected != ZERO_OR_ONE {
        return Some(format!(
            "give the column its type, in `columns`: {{ name = \"{name}\", type = \"boolean\" }} in place of \"{name}\"; a \
             label may also be '{name} = \"{text}\"'"
        ));
    }
    let is_decimal_comma = text.matches(',').count() == 1
        && !text.contains('.')
        && text.replace(',', ".").parse::<f64>().is_ok();
    if is_decimal_comma && may_have_thousands(text) {
        return Some(format!(
            "compute the number in `columns`: {{ name = \"{name}_number\", expression = \"cast(replace({name}, ',', '') as float)\" }} where \
             the comma separates thousands, `replace({name}, ',', '.')` where it is a decimal point; and use `{name}_number`"
        ));
    }
    if is_decimal_comma {
        return Some(format!(
            "if the comma is a decimal point, compute the number in `columns`: {{ name = \"{name}_number\", expression = \
             \"cast(replace({name}, ',', '.') as float)\" }}, and use `{name}_number`"
        ));
    }
    let digits: String = text.chars().filter(|letter| *letter != ',').collect();
    if digits.len() < text.len() && digits.parse::<f64>().is_ok() {
        return Some("write numbers with a point and without separators of thousands".to_owned());
    }
    None
}

/// Whether the commas of a number may separate thousands: three digits after each, one to three before.
pub(crate) fn may_have_thousands(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut parts = digits.split(',');
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let first = parts.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && is_digits(first)
        && parts.all(|part| part.len() == 3 && is_digits(part))
}

fn is_time(plan: &TablePlan, column: usize) -> bool {
    matches!(plan.types[column], Some(ColumnType::Time(_)))
}

/// What to do about a value that is none of its column's type.
pub(super) fn typed_hint(name: &str, declared: Option<&ColumnType>, found: &str) -> String {
    let is_whole = found
        .trim()
        .parse::<f64>()
        .is_ok_and(|number| number.fract() == 0.0);
    match declared == Some(&ColumnType::Integer) && is_whole {
        // R writes ids from 100,000 on so.
        true => format!("write its digits, or give `{name}` type = \"float\" in the description"),
        false => format!("correct the row, or leave out the type of `{name}` in the description"),
    }
}

/// Whether the limits of a split by time are numbers.
fn has_numeric_limits(plan: &TablePlan) -> bool {
    match &plan.split {
        SplitPlan::Time {
            validation_from, ..
        } => validation_from.reading() == Reading::Number,
        _ => false,
    }
}

/// What to do about a value that is no number, where the limits of the split are.
fn limits_hint(name: &str, found: &str) -> String {
    let quoted = "write the limits of [split] as times in quotes";
    match (
        timeline::TimeRule::default().parse(found),
        timeline::likely_format(found),
    ) {
        (Ok(_), _) => format!("{quoted}, such as validation_from = \"{found}\""),
        (_, Some(_)) => format!("{}; and {quoted}", time_hint(name, None, true, found)),
        _ => "correct the row, or take it out if it is none, such as a line of totals: the limits of [split] are numbers".to_owned(),
    }
}

/// What to do about a label that is no 0 or 1.
fn label_hint(name: &str, found: &str) -> String {
    match found.trim().parse::<f64>() {
        Ok(number) if number < 0.0 => format!(
            "if {found} means that the label is not known: label = \"{name} = 1\" and observed = \"{name} >= 0\"; if it is the \
             negative class: label = \"{name} > {found}\""
        ),
        Ok(_) => format!(
            "say which values are positive, such as label = \"{name} = {found}\" or label = \"{name} >= {found}\""
        ),
        Err(_) if is_unknown(found) => format!(
            "if `{found}` means that the label is not known, write {{ name = \"{name}\", missing = [\"{found}\"] }} in `columns`; then \
             say which value is positive, such as label = '{name} = \"yes\"'"
        ),
        Err(_) if matches!(&*found.to_lowercase(), "no" | "n") => {
            format!("say which value is positive, such as label = '{name} <> \"{found}\"'")
        }
        Err(_) => format!("say which value is positive: label = '{name} = \"{found}\"'"),
    }
}

fn with(said: Diagnostic, message: String) -> Diagnostic {
    Diagnostic { message, ..said }
}
