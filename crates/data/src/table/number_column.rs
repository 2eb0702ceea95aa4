//! Numbers of a text column as they are read: integers with all of their digits, other numbers in 64 bits.

use crate::expression::values::decimals;
use crate::expression::{ColumnType, Values};
use arrow::array::{Float64Array, Int64Array};

/// Largest integer up to which every one is a number of 64 bits.
const EXACT: i128 = 1 << 53;

/// Takes the fields of a column one after another.
#[derive(Debug, Default)]
pub(super) struct NumberColumn {
    /// Bits of an integer or of a number, or a place among `long`.
    bits: Vec<i64>,
    tags: Vec<Tag>,
    /// Integers beyond 64 bits.
    long: Vec<i128>,
    has_floats: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Nothing,
    Integer,
    Float,
    Long,
}

impl NumberColumn {
    /// A row without a number.
    pub(super) fn push_nothing(&mut self) {
        self.bits.push(0);
        self.tags.push(Tag::Nothing);
    }

    /// A field.
    ///
    /// # Errors
    /// What was expected.
    #[inline]
    pub(super) fn push(
        &mut self,
        field: &[u8],
        declared: Option<&ColumnType>,
    ) -> Result<(), &'static str> {
        // Up to nine digits fit in a u32. Most numbers of logs are such, and adding up digits is a
        // fraction of the general parser's work.
        if field.len() <= 9 && !field.is_empty() && field.iter().all(u8::is_ascii_digit) {
            let digit = |value: i64, digit: &u8| value * 10 + i64::from(digit - b'0');
            self.bits.push(field.iter().fold(0, digit));
            self.tags.push(Tag::Integer);
            return Ok(());
        }
        let text = std::str::from_utf8(field).map_err(|_| "a number")?;
        // `+5` is an integer for Rust and a number for everybody else too.
        match text.parse::<i64>() {
            // Minus nothing is a number that integers don't have.
            Ok(integer) if integer != 0 || !text.starts_with('-') => {
                self.bits.push(integer);
                self.tags.push(Tag::Integer);
                return Ok(());
            }
            _ => {}
        }
        // `9007199254740993.0` is the integer that it is.
        let is_integer = declared == Some(&ColumnType::Integer);
        let whole = match text.split_once('.') {
            Some((whole, zeros))
                if (is_integer || !zeros.is_empty())
                    && zeros.bytes().all(|digit| digit == b'0') =>
            {
                whole
            }
            _ => text,
        };
        // A number of 64 bits has two zeros, and -0.0 stays the one that it is.
        if let Ok(integer) = whole.parse::<i128>()
            && (integer != 0 || is_integer)
            && integer.unsigned_abs() < 10u128.pow(38)
        {
            match i64::try_from(integer) {
                Ok(integer) => {
                    self.bits.push(integer);
                    self.tags.push(Tag::Integer);
                }
                Err(_) => {
                    self.bits.push(self.long.len() as i64);
                    self.tags.push(Tag::Long);
                    self.long.push(integer);
                }
            }
            return Ok(());
        }
        if is_integer {
            return Err("an integer");
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.bits.push(number.to_bits() as i64);
                self.tags.push(Tag::Float);
                self.has_floats = true;
                Ok(())
            }
            Ok(_) => Err("a finite number"),
            Err(_) => Err("a number"),
        }
    }

    /// Whether a text is a number that is no integer; nothing where it is no number.
    pub(super) fn is_float(text: &[u8]) -> Option<bool> {
        let mut column = Self::default();
        let pushed = column.push(text, None);
        pushed.ok().map(|()| column.has_floats)
    }

    /// The first row whose number is no integer.
    pub(super) fn first_float(&self) -> Option<usize> {
        let mut tags = self.tags.iter();
        tags.position(|tag| *tag == Tag::Float)
    }

    /// The integer of a row, in its digits.
    pub(super) fn digits(&self, row: usize) -> String {
        match self.tags[row] {
            Tag::Long => self.long[self.bits[row] as usize].to_string(),
            Tag::Float => f64::from_bits(self.bits[row] as u64).to_string(),
            _ => self.bits[row].to_string(),
        }
    }

    /// The column, as floats where one of them is or all are to be, and the first row whose integer has more digits than a number of 64
    /// bits keeps.
    pub(super) fn finish(&self, as_floats: bool) -> (Values, Option<usize>) {
        let rows = || self.bits.iter().zip(&self.tags);
        if self.has_floats || as_floats {
            let mut inexact = None;
            let numbers: Float64Array = rows()
                .enumerate()
                .map(|(row, (bits, tag))| {
                    let whole = match tag {
                        Tag::Nothing => return None,
                        Tag::Float => return Some(f64::from_bits(*bits as u64)),
                        Tag::Integer => i128::from(*bits),
                        Tag::Long => self.long[*bits as usize],
                    };
                    let number = whole as f64;
                    if whole.abs() > EXACT && number as i128 != whole {
                        inexact = inexact.or(Some(row));
                    }
                    Some(number)
                })
                .collect();
            return (Values::Float(numbers), inexact);
        }
        if self.long.is_empty() {
            let is_whole = !self.tags.contains(&Tag::Nothing);
            let integers = match is_whole {
                true => Int64Array::from(self.bits.clone()),
                false => rows()
                    .map(|(bits, tag)| (*tag != Tag::Nothing).then_some(*bits))
                    .collect(),
            };
            return (Values::Integer(integers), None);
        }
        let integers = rows().map(|(bits, tag)| match tag {
            Tag::Nothing => None,
            Tag::Long => Some(self.long[*bits as usize]),
            _ => Some(i128::from(*bits)),
        });
        (Values::Decimal(decimals(integers, 0)), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(fields: &[&str]) -> (Values, Option<usize>) {
        let mut column = NumberColumn::default();
        for field in fields {
            match field.is_empty() {
                true => column.push_nothing(),
                false => column.push(field.as_bytes(), None).unwrap(),
            }
        }
        column.finish(false)
    }

    #[test]
    fn integers_keep_all_of_their_digits() {
        let (values, _) = column(&["9007199254740993", "", "-5", "+7"]);
        assert!(matches!(values, Values::Integer(_)));
        let texts: Vec<String> = (0..4).map(|row| values.text(row)).collect();
        assert_eq!(texts, ["9007199254740993", "", "-5", "7"]);
        let (values, _) = column(&["18446744073709551615", "1"]);
        assert_eq!(
            (values.text(0), values.text(1)),
            ("18446744073709551615".into(), "1".into())
        );
    }

    #[test]
    fn numbers_are_those_of_rust_and_the_rest_is_refused() {
        let (values, inexact) = column(&["1.5", "-0", "3", "1e3", ""]);
        assert_eq!(values.numbers()[..4], [1.5, 0.0, 3.0, 1000.0]);
        assert!(values.numbers()[1].is_sign_negative() && values.is_null(4));
        assert_eq!(inexact, None);
        assert_eq!(column(&["1", "9007199254740993", "0.5"]).1, Some(1));
        let mut refusing = NumberColumn::default();
        for (field, expected) in [
            ("x", "a number"),
            ("inf", "a finite number"),
            ("1e999", "a finite number"),
            ("", "a number"),
        ] {
            assert_eq!(
                refusing.push(field.as_bytes(), None),
                Err(expected),
                "{field}"
            );
        }
        assert_eq!(
            refusing.push(b"1.5", Some(&ColumnType::Integer)),
            Err("an integer")
        );
        // Floats that are whole are integers where the description says so, zeros too.
        let mut typed = NumberColumn::default();
        for field in ["0.0", "0.00", "-0", "1.", "10.0"] {
            assert_eq!(
                typed.push(field.as_bytes(), Some(&ColumnType::Integer)),
                Ok(())
            );
        }
        let (values, _) = typed.finish(false);
        let digits: Vec<String> = (0..5).map(|row| values.text(row)).collect();
        assert_eq!(digits, ["0", "0", "0", "1", "10"]);
    }
}
