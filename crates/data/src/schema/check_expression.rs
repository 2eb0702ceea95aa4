//! Validation of expressions, whose mistakes are told at their place inside the string.

use super::one_of;
use crate::expression::{Columns, Expression, ExpressionError};
use homebench_diagnostic::{Diagnostic, Document, KeyPath, Location};

/// The condition at a key, or what is wrong with it and where inside the string.
pub(super) fn expression(
    document: &Document,
    at: &KeyPath,
    text: &str,
    columns: Columns<'_>,
) -> Result<Expression, Diagnostic> {
    let parsed = Expression::parse_condition(text, columns);
    placed(document, at, text, parsed)
}

/// What computes a column.
pub(super) fn computed(
    document: &Document,
    at: &KeyPath,
    text: &str,
    columns: Columns<'_>,
) -> Result<Expression, Diagnostic> {
    placed(document, at, text, Expression::parse(text, columns))
}

/// A fault of an expression at its place inside the string.
fn placed(
    document: &Document,
    at: &KeyPath,
    text: &str,
    parsed: Result<Expression, ExpressionError>,
) -> Result<Expression, Diagnostic> {
    parsed.map_err(|error| {
        let said = document.at_value(at, error.message);
        let written = document.text_of(&said.source);
        let location = said
            .location
            .map(|start| inside(written, start, text, error.offset));
        let said = said.at(location);
        match error.hint {
            Some(hint) => said.hint(hint),
            None => said,
        }
    })
}

/// The place of a byte of a string whose value starts at `start`; the string itself if it isn't written plainly.
fn inside(written: &str, start: Location, text: &str, offset: usize) -> Location {
    let line = written.lines().nth(start.line - 1).unwrap_or_default();
    let written: String = line.chars().skip(start.column).collect();
    let quote = line.chars().nth(start.column - 1);
    // With an escape or over several lines, places in the value and in the file don't count alike.
    if !matches!(quote, Some('"' | '\'')) || !written.starts_with(text) || text.is_empty() {
        return start;
    }
    Location {
        line: start.line,
        column: start.column + 1 + text[..offset].chars().count(),
    }
}

/// A text that its column can't have would make a label that is always the same.
pub(super) fn check_literals(
    document: &Document,
    at: &KeyPath,
    label: &Expression,
    columns: &[String],
    allowed_values: &[(usize, Vec<String>)],
) -> Result<(), Diagnostic> {
    for (compared, text) in label.text_comparisons() {
        let allowed = allowed_values
            .iter()
            .find(|(column, _)| *column == compared);
        if let Some((column, values)) = allowed
            && !values.iter().any(|value| value == text)
        {
            let message = format!(
                "`{}` never has the value \"{text}\"; {}",
                columns[*column],
                one_of("its allowed values are", values)
            );
            return Err(document
                .at_value(at, message)
                .did_you_mean(text, values.iter().map(String::as_str)));
        }
    }
    Ok(())
}
