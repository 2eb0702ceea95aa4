//! The fields of a piece that are computed with: kept as they are read, then given as the values that are asked for.

mod convert;
mod nan;
mod typed_text;

pub(super) use convert::{convert, infinite_time};
pub(super) use typed_text::{typed_text, typed_texts};

use super::number_column::NumberColumn;
use super::row::Row;
use super::text_kinds::TextKind;
use crate::expression::{ColumnType, Reading, RowFault, Values};
use crate::timeline::TimeRule;
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimeUnit;
use convert::{Unreadable, boolean_text, count, native};
use std::cell::RefCell;

/// What is known of a column of a file before its values are seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnRule {
    pub(super) declared: Option<ColumnType>,
    /// Texts that stand for nothing.
    pub(super) missing: Vec<String>,
    /// Whether its numbers and times may be missing.
    pub(super) may_be_missing: bool,
    /// What its values are over all rows, where they are computed with.
    pub(super) kind: Option<TextKind>,
}

impl ColumnRule {
    /// A text of the column, empty where it is a mark for nothing.
    #[inline]
    pub(super) fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let is_number = matches!(self.declared, Some(ColumnType::Integer | ColumnType::Float));
        match self.is_mark(text, is_number) {
            true => b"",
            false => text,
        }
    }

    /// The same of a text file's column that is computed with, where a mark that is a number is every spelling of it: whatever the column
    /// is read as, the same rows have no value.
    #[inline]
    pub(super) fn computed_text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        match self.is_mark(text, self.declared != Some(ColumnType::Text)) {
            true => b"",
            false => text,
        }
    }

    fn is_mark(&self, text: &[u8], is_number: bool) -> bool {
        self.missing.iter().any(|mark| {
            let mark = mark.as_bytes();
            mark == text || (is_number && is_same_number(mark, text))
        })
    }

    /// Whether the description says that its values are floats, so that integers become such whatever digits they lose.
    pub(super) fn is_float(&self) -> bool {
        self.declared == Some(ColumnType::Float)
    }

    /// Whether the column has a type whose values have one text however the file spells them.
    pub(super) fn is_retyped(&self) -> bool {
        self.declared
            .as_ref()
            .is_some_and(|declared| *declared != ColumnType::Text)
    }

    fn has_mark(&self, wanted: &str) -> bool {
        self.missing
            .iter()
            .any(|mark| mark.eq_ignore_ascii_case(wanted))
    }

    pub(super) fn time_rule(&self) -> TimeRule {
        match &self.declared {
            Some(ColumnType::Time(rule)) => rule.clone(),
            _ => TimeRule::default(),
        }
    }
}

/// Whether two texts are one decimal number, such as -999 and the -999.0 that pandas writes of it.
fn is_same_number(a: &[u8], b: &[u8]) -> bool {
    // By their digits: numbers of 64 bits would make long ids one.
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let text = text.trim_ascii();
        let text = text.strip_prefix(b"+").unwrap_or(text);
        let unsigned = text.strip_prefix(b"-").unwrap_or(text);
        let is_number = unsigned.first().is_some_and(u8::is_ascii_digit)
            && unsigned
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let Some(point) = text.iter().position(|byte| *byte == b'.') else {
            return is_number.then_some(text);
        };
        let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
        let end = text.len() - zeros;
        let end = if end == point + 1 { point } else { end };
        is_number.then_some(&text[..end])
    }
    digits(a).is_some_and(|a| digits(b) == Some(a))
}

/// Texts one after another.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }
}

/// What is kept of a column.
#[derive(Debug)]
struct RawColumn {
    column: usize,
    numbers: Option<NumberColumn>,
    texts: Option<Texts>,
}

/// Fields of the rows in use of a piece.
#[derive(Debug)]
pub(super) struct RawColumns<'a> {
    rules: &'a [ColumnRule],
    /// Columns of a file that knows their types.
    native: Option<Vec<Option<ArrayRef>>>,
    columns: Vec<RawColumn>,
    /// Index in the piece of each row.
    rows: Vec<u32>,
    /// Rows, or none, whether one of their NaN was taken for nothing.
    nan_rows: RefCell<Vec<bool>>,
}

/// Which of a file's columns are kept.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    pub(super) numbers: bool,
    pub(super) texts: bool,
    /// Texts even of a file that knows its types.
    pub(super) keys: bool,
}

impl<'a> RawColumns<'a> {
    /// Of a piece of a file whose columns have these rules; `kept` says by column what is kept of its fields.
    pub(super) fn new(
        rules: &'a [ColumnRule],
        kept: &[Kept],
        native: Option<Vec<Option<ArrayRef>>>,
    ) -> Self {
        let columns = kept.iter().enumerate().map(|(column, kept)| RawColumn {
            column,
            // A file that knows its types has the numbers by itself.
            numbers: (kept.numbers && native.is_none()).then(NumberColumn::default),
            texts: (kept.keys || (kept.texts && native.is_none())).then(Texts::default),
        });
        let columns = columns
            .filter(|column| column.numbers.is_some() || column.texts.is_some())
            .collect();
        Self {
            rules,
            native,
            columns,
            rows: Vec::new(),
            nan_rows: RefCell::default(),
        }
    }

    /// Number of rows.
    pub(super) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// Index in the piece of a row.
    pub(super) fn place(&self, row: usize) -> u64 {
        self.rows.get(row).map_or(0, |place| u64::from(*place))
    }

    /// Keeps what is needed of the `index`-th row of the piece.
    ///
    /// # Errors
    /// A field that is no number.
    #[inline]
    pub(super) fn push<R: Row>(&mut self, index: u64, row: &R) -> Result<(), RowFault> {
        self.rows.push(index as u32);
        for kept in &mut self.columns {
            let rule = &self.rules[kept.column];
            let text = match self.native {
                None => rule.computed_text(row.text(kept.column)),
                Some(_) => rule.text(row.text(kept.column)),
            };
            if let Some(texts) = &mut kept.texts {
                texts.push(text);
            }
            let Some(numbers) = &mut kept.numbers else {
                continue;
            };
            if text.is_empty() && rule.may_be_missing {
                numbers.push_nothing();
                continue;
            }
            let pushed = match &rule.declared {
                Some(ColumnType::Boolean) => match boolean_text(text) {
                    Some(value) => numbers.push(if value { b"1" } else { b"0" }, None),
                    None => Err("true or false"),
                },
                Some(ColumnType::Time(time)) => {
                    let text = String::from_utf8_lossy(text);
                    match time.parse(&text) {
                        Ok((point, _)) => {
                            let count = count(point, time.unit.unwrap_or(TimeUnit::Second));
                            numbers.push(count.as_bytes(), None)
                        }
                        Err(expected) => {
                            return Err(RowFault {
                                row: self.rows.len() - 1,
                                column: Some(kept.column),
                                expected,
                                found: text.into_owned(),
                            });
                        }
                    }
                }
                declared => numbers.push(text, declared.as_ref()),
            };
            pushed.map_err(|expected| RowFault {
                row: self.rows.len() - 1,
                column: Some(kept.column),
                expected: expected.to_owned(),
                found: String::from_utf8_lossy(text).into_owned(),
            })?;
        }
        Ok(())
    }

    /// The text of a row, where it was kept.
    pub(super) fn text(&self, column: usize, row: usize) -> &[u8] {
        let kept = self.columns.iter().find(|kept| kept.column == column);
        let texts = kept.and_then(|kept| kept.texts.as_ref());
        texts.expect("the column's texts are kept").get(row)
    }

    /// The values of a column.
    ///
    /// # Errors
    /// The first that can't be read so.
    pub(super) fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        let rule = &self.rules[column];
        // As the description has it, where it says so.
        let asked = reading;
        let reading = match (reading, &rule.declared) {
            (Reading::Raw | Reading::Same, Some(declared)) => declared.reading(),
            (reading, _) => reading,
        };
        let found = |mut fault: RowFault| {
            fault.column = Some(column);
            fault
        };
        let values = match &self.native {
            Some(arrays) => self.native_values(&arrays[column], column, reading)?,
            None => {
                let kept = self.columns.iter().find(|kept| kept.column == column);
                let kept = kept.expect("what is computed with is kept");
                match (&kept.numbers, reading) {
                    (Some(numbers), Reading::Number) => {
                        return convert::of_kind(numbers, rule).map_err(found);
                    }
                    _ => {
                        let texts = kept.texts.as_ref().expect("its texts are kept");
                        let text = |row: usize| {
                            let text = texts.get(row);
                            (!text.is_empty()).then(|| String::from_utf8_lossy(text))
                        };
                        let texts = (0..self.rows.len()).map(text).collect();
                        match reading {
                            // A file of texts has no types, and two such columns are equal as numbers or as texts.
                            Reading::Same => Values::Untyped(texts),
                            _ => Values::Text(texts),
                        }
                    }
                }
            }
        };
        let values = convert(values, reading, rule, true).map_err(found)?;
        if matches!(asked, Reading::Number | Reading::Time | Reading::Ordered)
            && !rule.may_be_missing
            && let Some(row) = (0..values.num_rows()).find(|row| values.is_null(*row))
        {
            let expected = if reading != Reading::Time {
                "a number"
            } else {
                "a time"
            };
            return Err(RowFault {
                row,
                column: Some(column),
                expected: expected.to_owned(),
                found: String::new(),
            });
        }
        Ok(values)
    }

    /// Whether the file's own type of a column is one of times, and no description says what they count.
    pub(super) fn holds_times(&self, column: usize) -> bool {
        let arrays = self.native.as_ref();
        let array = arrays.and_then(|arrays| arrays[column].as_ref());
        array.is_some_and(|array| convert::is_time(array.data_type()))
            && self.rules[column].time_rule().unit.is_none()
    }

    fn native_values(
        &self,
        array: &Option<ArrayRef>,
        column: usize,
        reading: Reading,
    ) -> Result<Values, RowFault> {
        let array = array.as_ref().expect("what is computed with is read");
        let array = match self.rows.len() == array.len() {
            true => array.clone(),
            false => {
                let rows = UInt32Array::from(self.rows.clone());
                take(array, &rows, None).expect("rows are those of the piece")
            }
        };
        let rule = &self.rules[column];
        let fault = |row, expected: &str, found: String| RowFault {
            row,
            column: Some(column),
            expected: expected.to_owned(),
            found,
        };
        if let Some(row) = infinite_time(&array) {
            return Err(fault(row, "a time", "infinity".to_owned()));
        }
        let values = native(&array, reading, rule).map_err(|unreadable| match unreadable {
            Unreadable::Value {
                row,
                expected,
                found,
            } => fault(row, &expected, found),
            Unreadable::Array(error) => fault(0, "values that can be read", error.to_string()),
        })?;
        let is_nothing = rule.may_be_missing || rule.has_mark("nan");
        let (values, rows) = nan::without_nan(values, is_nothing)
            .map_err(|(row, found)| fault(row, "a finite number", found))?;
        rows.into_iter().for_each(|row| self.note_nan(row));
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_every_spelling_of_its_number_and_no_other_text() {
        let is_same = |a: &str, b: &str| is_same_number(a.as_bytes(), b.as_bytes());
        for text in ["-999", "-999.0", "-999.00", "-999.", " -999 "] {
            assert!(is_same("-999", text), "{text}");
        }
        assert!(is_same("-99.90", "-99.9") && is_same("0", "0.0") && is_same("7", "+7"));
        for (a, b) in [
            ("-999", "999"),
            ("-999", "-9990"),
            ("9007199254740993", "9007199254740992"),
            ("a", "a.0"),
            ("1.2", "1.2.0"),
            ("", ""),
            ("-", "-"),
        ] {
            assert!(!is_same(a, b), "{a} {b}");
        }
        let rule = |declared| ColumnRule {
            declared,
            missing: vec!["-1".to_owned()],
            may_be_missing: true,
            kind: None,
        };
        // A column without a type may hold texts, unless it is computed with.
        assert_eq!(rule(None).text(b"-1.0"), b"-1.0");
        assert_eq!(rule(None).computed_text(b"-1.0"), b"");
        assert_eq!(rule(Some(ColumnType::Text)).computed_text(b"-1.0"), b"-1.0");
        assert_eq!(rule(Some(ColumnType::Integer)).text(b"-1.0"), b"");
        assert_eq!(rule(Some(ColumnType::Text)).text(b"-1.0"), b"-1.0");
        assert_eq!(rule(None).text(b"1.0"), b"1.0");
    }
}
