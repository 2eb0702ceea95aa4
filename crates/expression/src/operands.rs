//! The type that operands of unlike types are brought to: one table for comparisons, lists, `case` and functions that choose.

use crate::node::Reading;
use crate::values::Values;

/// Types that operands are told apart by; numbers of every width are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Boolean,
    Number,
    Text,
    Time,
}

/// What is expected of a text among numbers.
pub const BESIDE_NUMBERS: &str = "a number, since the other values are numbers";

/// What is expected of a time among numbers.
pub const NO_TIME: &str =
    "a number, since the other values are numbers, and a time has no unit that it counts";

/// What is expected of a text among times.
pub const BESIDE_TIMES: &str = "a time such as 2022-04-08, since the other values are times";

/// What is expected of a text among conditions.
pub const BESIDE_CONDITIONS: &str = "true or false, since the other values are conditions";

/// What is expected of operands that have no common type.
pub const ONE_TYPE: &str = "values of types that go together";

/// What is expected of an integer among numbers of 64 bits that don't hold it.
pub const BESIDE_FLOATS: &str =
    "an integer that a number of 64 bits holds, since other values have a point";

/// What is expected of decimals that are brought to the same places behind the point.
pub const DIGITS: &str = "a result of at most 38 digits";

impl Family {
    pub(crate) fn of(values: &Values) -> Option<Self> {
        Some(match values {
            Values::Null(_) => return None,
            Values::Boolean(_) => Self::Boolean,
            Values::Integer(_)
            | Values::Decimal(_)
            | Values::Float16(_)
            | Values::Float32(_)
            | Values::Float(_) => Self::Number,
            Values::Text(_) | Values::Untyped(_) => Self::Text,
            Values::Time(_) => Self::Time,
        })
    }

    /// That of what a part is read as, where this says it.
    pub(crate) fn of_reading(reading: Reading) -> Option<Self> {
        Some(match reading {
            Reading::Number => Self::Number,
            Reading::Text => Self::Text,
            Reading::Time => Self::Time,
            Reading::Boolean => Self::Boolean,
            Reading::Ordered | Reading::Same | Reading::Raw => return None,
        })
    }

    pub(crate) fn reading(self) -> Reading {
        match self {
            Self::Boolean => Reading::Boolean,
            Self::Number => Reading::Number,
            Self::Text => Reading::Text,
            Self::Time => Reading::Time,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Boolean => "a condition",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Time => "a time",
        }
    }
}

/// The type that two are brought to: true is 1 and false 0 beside numbers, and a text is read as what it stands beside.
/// Nothing where there is none.
pub(crate) fn common(a: Family, b: Family) -> Option<Family> {
    use Family::{Boolean, Number, Text, Time};
    match (a, b) {
        (a, b) if a == b => Some(a),
        (Boolean, Number) | (Number, Boolean) => Some(Number),
        (Text, other) | (other, Text) => Some(other),
        (Time, _) | (_, Time) => None,
        (Boolean | Number, Boolean | Number) => Some(Number),
    }
}
