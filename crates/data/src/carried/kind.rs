//! What a carried column holds, and its values as Arrow has them.

use crate::expression::Values;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, TimeUnit};
use std::sync::Arc;

/// What a carried column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarriedKind {
    /// Whole numbers of 64 bits with a sign.
    Integer,
    /// Whole numbers of 64 bits without one.
    Unsigned,
    /// Numbers.
    Float,
    /// True or false.
    Boolean,
    /// Points in time.
    Time,
    /// Texts.
    Text,
    /// Texts, unless every one turns out to be a whole number of 64 bits in its usual spelling.
    Undeclared,
}

impl CarriedKind {
    /// That of a column of a file that knows its types.
    pub(crate) fn of_type(found: &DataType) -> Self {
        match found {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Integer,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Self::Integer,
            DataType::UInt64 => Self::Unsigned,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Boolean => Self::Boolean,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Self::Time,
            // Texts that look like numbers stay what their file says that they are.
            _ => Self::Text,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text | Self::Undeclared => DataType::Utf8,
        }
    }

    /// Some rows' values.
    pub(crate) fn array(self, values: &Values, rows: &[usize]) -> ArrayRef {
        let rows = rows.iter().copied();
        let there = |row: &usize| !values.is_null(*row);
        match self {
            Self::Integer => {
                let value = |row| i64::try_from(values.integer(row)?).ok();
                Arc::new(rows.map(value).collect::<Int64Array>())
            }
            Self::Unsigned => {
                let value = |row| u64::try_from(values.integer(row)?).ok();
                Arc::new(rows.map(value).collect::<UInt64Array>())
            }
            Self::Float => {
                let value = |row| Some(row).filter(there).map(|row| values.number(row));
                Arc::new(rows.map(value).collect::<Float64Array>())
            }
            Self::Boolean => {
                let value = |row| Some(row).filter(there).map(|row| values.number(row) != 0.0);
                Arc::new(rows.map(value).collect::<BooleanArray>())
            }
            Self::Time => {
                let value = |row: usize| match values {
                    Values::Time(times) if there(&row) => {
                        i64::try_from(times.value(row).div_euclid(1000)).ok()
                    }
                    _ => None,
                };
                let times: TimestampMicrosecondArray = rows.map(value).collect();
                Arc::new(times.with_timezone("UTC"))
            }
            Self::Text | Self::Undeclared => {
                let texts = values.texts();
                let value = |row| Some(row).filter(there).map(|row| texts.value(row));
                Arc::new(rows.map(value).collect::<StringArray>())
            }
        }
    }
}

/// The whole number that a text spells in the usual way: its digits give the text back.
pub(super) fn usual_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_usual = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [first, ..] => *first != b'0' && digits.bytes().all(|digit| digit.is_ascii_digit()),
        [] => false,
    };
    is_usual.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_whose_digits_give_its_text_back() {
        for text in ["0", "7", "-12", "9223372036854775807"] {
            assert_eq!(usual_integer(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "-0",
            "007",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "9223372036854775808",
        ] {
            assert_eq!(usual_integer(text), None, "{text}");
        }
    }
}
