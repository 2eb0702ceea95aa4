//! What to do about a value that can't be read.

use super::{
    A_FLOAT, A_LABEL, A_SCALED_LABEL, A_WEIGHT, AN_INTEGER_AS_IN_TRAINING, EXACT_INTEGER,
    NOT_NEGATIVE, ZERO_OR_ONE,
};
use crate::expression::{self, ColumnType, Reading};
use crate::schema::{SplitLimit, SplitPlan, TablePlan};
use crate::table::parse_rows::is_unknown;
use crate::table::time_hint::time_hint;
use crate::timeline;

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
pub(in crate::table) fn is_missing_mark(text: &[u8]) -> bool {
    MISSING_MARKS.iter().any(|mark| mark.as_bytes() == text)
}

pub(super) fn time_beside_numbers(name: &str) -> String {
    format!(
        "compare it with a time in quotes, such as \"2022-04-08 12:00:00\", or take its seconds since 1970: `extract(epoch from {name})`"
    )
}

/// Whether a column says when a row was.
pub(super) fn divides(plan: &TablePlan, column: usize) -> bool {
    matches!(&plan.split, SplitPlan::Time { column: by, .. } if *by == column)
}

/// A value before the limits of a split by time, as an expression has it.
pub(super) fn limit_example(plan: &TablePlan) -> String {
    let SplitPlan::Time {
        validation_from, ..
    } = &plan.split
    else {
        return "0".to_owned();
    };
    match validation_from {
        SplitLimit::Integer(limit) => (limit - 1).min(0).to_string(),
        SplitLimit::Float(limit) => (limit.floor() - 1.0).min(0.0).to_string(),
        SplitLimit::Time { time, .. } => match *time > 0 {
            true => "'1970-01-01'".to_owned(),
            false => "'0001-01-01'".to_owned(),
        },
    }
}

/// What to do about a value, by the column's use and by what was found.
pub(super) fn hint(
    plan: &TablePlan,
    column: usize,
    reading: Reading,
    expected: &str,
    found: &str,
) -> String {
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
        EXACT_INTEGER => exact_integer_hint(name),
        AN_INTEGER_AS_IN_TRAINING => integer_as_in_training_hint(name),
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
pub(in crate::table) fn general_hint(
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
pub(in crate::table) fn typed_hint(
    name: &str,
    declared: Option<&ColumnType>,
    found: &str,
) -> String {
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

/// What to do about an integer that 64 bits round, beside numbers with a point.
pub(in crate::table) fn exact_integer_hint(name: &str) -> String {
    format!(
        "give the column a type, in `columns`: {{ name = \"{name}\", type = \"float\" }} in place of \"{name}\" rounds it; where the other \
         rows have but zeros behind the point, type = \"integer\" keeps all digits"
    )
}

/// What to do about a float of a new row, where training had integers.
pub(in crate::table) fn integer_as_in_training_hint(name: &str) -> String {
    format!(
        "to score such rows, give the column its type, {{ name = \"{name}\", type = \"float\" }}, and run the experiment again"
    )
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
