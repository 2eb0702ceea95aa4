//! The one text of a value of a column with a type, however its file spells it: for keys, categories and items of lists.

use super::convert::{Unreadable, boolean_text, convert, infinite_time, native};
use super::{ColumnRule, NumberColumn};
use crate::expression::{ColumnType, RowFault};
use crate::table::bad_row;
use crate::timeline;
use arrow::array::{ArrayRef, StringArray};
use std::borrow::Cow;

/// The text of a field that is no mark.
///
/// # Errors
/// What was expected.
pub(in crate::table) fn typed_text<'a>(
    rule: &ColumnRule,
    field: &'a [u8],
) -> Result<Cow<'a, [u8]>, String> {
    if field.is_empty() {
        return Ok(Cow::Borrowed(field));
    }
    let number = |declared: &ColumnType| {
        let mut column = NumberColumn::default();
        column.push(field, Some(declared)).map_err(str::to_owned)?;
        Ok(Cow::Owned(column.finish(false).0.text(0).into_bytes()))
    };
    match &rule.declared {
        None | Some(ColumnType::Text) => Ok(Cow::Borrowed(field)),
        // Most are as they should be: digits that don't begin with a zero.
        Some(ColumnType::Integer | ColumnType::Float)
            if field.len() <= 15 && field[0] != b'0' && field.iter().all(u8::is_ascii_digit) =>
        {
            Ok(Cow::Borrowed(field))
        }
        Some(declared @ (ColumnType::Integer | ColumnType::Float)) => number(declared),
        Some(ColumnType::Boolean) => match boolean_text(field) {
            Some(true) => Ok(Cow::Borrowed(b"true")),
            Some(false) => Ok(Cow::Borrowed(b"false")),
            None => Err(bad_row::ZERO_OR_ONE.to_owned()),
        },
        Some(ColumnType::Time(time)) => {
            let (point, _) = time.parse(&String::from_utf8_lossy(field))?;
            Ok(Cow::Owned(timeline::text(point).into_bytes()))
        }
    }
}

/// The texts of an array of a file that knows its types.
///
/// # Errors
/// The first value that is none of the column's type.
pub(in crate::table) fn typed_texts(
    rule: &ColumnRule,
    array: &ArrayRef,
) -> Result<StringArray, RowFault> {
    let fault = |row: usize, expected: String, found: String| RowFault {
        row,
        column: None,
        expected,
        found,
    };
    let Some(declared) = &rule.declared else {
        return Err(fault(0, "a column with a type".to_owned(), String::new()));
    };
    if let Some(row) = infinite_time(array) {
        return Err(fault(row, "a time".to_owned(), "infinity".to_owned()));
    }
    let reading = declared.reading();
    let values = native(array, reading, rule).map_err(|unreadable| match unreadable {
        Unreadable::Value {
            row,
            expected,
            found,
        } => fault(row, expected, found),
        Unreadable::Array(error) => fault(0, "values that can be read".into(), error.to_string()),
    })?;
    // As in a column of the rows that may be missing: NaN is nothing.
    let (values, _) = super::nan::without_nan(values, true)
        .map_err(|(row, found)| fault(row, "a finite number".to_owned(), found))?;
    Ok(convert(values, reading, rule, true)?.texts())
}
