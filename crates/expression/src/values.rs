//! Values of an expression on some rows: Arrow arrays of the few kinds that expressions know.

use crate::operands::Family;
use crate::timeline;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float16Array, Float32Array,
    Float64Array, Int64Array, NullArray, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float16Type, Float32Type, Float64Type, Int64Type,
};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Numbers that 16 bits hold.
pub type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// Most digits of a decimal of 128 bits.
pub const DECIMAL_DIGITS: u8 = 38;

/// Digits of the times of which only the day counts; it tells them from other times.
const DAY_DIGITS: u8 = 37;

/// Values of some rows, null where there is none.
#[derive(Debug, Clone)]
pub enum Values {
    /// Nothing on every row.
    Null(usize),
    /// True or false.
    Boolean(BooleanArray),
    /// Integers of 64 bits with a sign.
    Integer(Int64Array),
    /// Integers beyond 64 bits and decimals, exact.
    Decimal(Decimal128Array),
    /// Numbers of 16 bits, which compare with literals as such.
    Float16(Float16Array),
    /// Numbers of 32 bits, which compare with literals as such.
    Float32(Float32Array),
    /// Numbers of 64 bits.
    Float(Float64Array),
    /// Texts.
    Text(StringArray),
    /// Texts of a file without types, compared with each other: as numbers where both are such.
    Untyped(StringArray),
    /// Nanoseconds since 1970 in UTC, also of days.
    Time(Decimal128Array),
}

impl Values {
    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        match self {
            Self::Null(rows) => *rows,
            _ => self.array().len(),
        }
    }

    /// The values as an Arrow array.
    pub fn array(&self) -> ArrayRef {
        match self {
            Self::Null(rows) => Arc::new(NullArray::new(*rows)),
            Self::Boolean(array) => Arc::new(array.clone()),
            Self::Integer(array) => Arc::new(array.clone()),
            Self::Decimal(array) | Self::Time(array) => Arc::new(array.clone()),
            Self::Float16(array) => Arc::new(array.clone()),
            Self::Float32(array) => Arc::new(array.clone()),
            Self::Float(array) => Arc::new(array.clone()),
            Self::Text(array) | Self::Untyped(array) => Arc::new(array.clone()),
        }
    }

    /// Values of this kind from an array that was made from some of the same kind.
    pub fn with_array(&self, array: &ArrayRef) -> Self {
        match self {
            Self::Null(_) => Self::Null(array.len()),
            Self::Boolean(_) => Self::Boolean(array.as_boolean().clone()),
            Self::Integer(_) => Self::Integer(array.as_primitive::<Int64Type>().clone()),
            Self::Decimal(_) => Self::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            Self::Time(_) => Self::Time(array.as_primitive::<Decimal128Type>().clone()),
            Self::Float16(_) => Self::Float16(array.as_primitive::<Float16Type>().clone()),
            Self::Float32(_) => Self::Float32(array.as_primitive::<Float32Type>().clone()),
            Self::Float(_) => Self::Float(array.as_primitive::<Float64Type>().clone()),
            Self::Text(_) => Self::Text(array.as_string::<i32>().clone()),
            Self::Untyped(_) => Self::Untyped(array.as_string::<i32>().clone()),
        }
    }

    /// The word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null(_) => "null",
            Self::Boolean(_) => "a condition",
            Self::Integer(_) => "an integer",
            Self::Decimal(_) => "a decimal",
            Self::Float16(_) | Self::Float32(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Untyped(_) => "a text",
            Self::Time(_) => "a time",
        }
    }

    /// Whether a row has no value.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null(_) => true,
            Self::Boolean(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Decimal(array) | Self::Time(array) => array.is_null(row),
            Self::Float16(array) => array.is_null(row),
            Self::Float32(array) => array.is_null(row),
            Self::Float(array) => array.is_null(row),
            Self::Text(array) | Self::Untyped(array) => array.is_null(row),
        }
    }

    /// The number of a row as the nearest of 64 bits, NaN where there is none or it is none.
    pub fn number(&self, row: usize) -> f64 {
        if self.is_null(row) {
            return f64::NAN;
        }
        match self {
            Self::Boolean(array) => f64::from(u8::from(array.value(row))),
            Self::Integer(array) => array.value(row) as f64,
            Self::Decimal(array) => decimal_number(array.value(row), scale_of(array)),
            Self::Float16(array) => array.value(row).to_f64(),
            Self::Float32(array) => f64::from(array.value(row)),
            Self::Float(array) => array.value(row),
            Self::Null(_) | Self::Text(_) | Self::Untyped(_) | Self::Time(_) => f64::NAN,
        }
    }

    /// The numbers of all rows, see [`number`](Self::number).
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Float(array) if array.null_count() == 0 => array.values().to_vec(),
            Self::Integer(array) if array.null_count() == 0 => {
                array.values().iter().map(|value| *value as f64).collect()
            }
            _ => (0..self.num_rows()).map(|row| self.number(row)).collect(),
        }
    }

    /// The text of a row: what a file of texts would have there; empty where there is nothing.
    pub fn text(&self, row: usize) -> String {
        if self.is_null(row) {
            return String::new();
        }
        match self {
            Self::Null(_) => String::new(),
            Self::Boolean(array) => array.value(row).to_string(),
            Self::Integer(array) => array.value(row).to_string(),
            Self::Decimal(array) => decimal_text(array.value(row), scale_of(array)),
            Self::Float16(array) => half_text(array.value(row)),
            // Minus nothing is nothing, and no other value.
            Self::Float32(array) => (array.value(row) + 0.0).to_string(),
            Self::Float(array) => (array.value(row) + 0.0).to_string(),
            Self::Text(array) | Self::Untyped(array) => array.value(row).to_owned(),
            Self::Time(array) => timeline::text(array.value(row)),
        }
    }

    /// The text of a row as SQL casts it: a time with a space before its time of day, a day without one, a decimal with
    /// all of its places.
    pub fn cast_text(&self, row: usize) -> String {
        match self {
            Self::Decimal(array) if array.is_valid(row) => {
                padded_decimal(array.value(row), scale_of(array))
            }
            Self::Time(array) if array.is_valid(row) => match self.are_days() {
                true => timeline::day_text(array.value(row)),
                false => timeline::text(array.value(row)).replacen('T', " ", 1),
            },
            _ => self.text(row),
        }
    }

    /// The values as texts, as SQL casts them.
    pub fn cast_texts(&self) -> StringArray {
        match self {
            Self::Text(array) | Self::Untyped(array) => array.clone(),
            _ => (0..self.num_rows())
                .map(|row| (!self.is_null(row)).then(|| self.cast_text(row)))
                .collect(),
        }
    }

    /// The values as texts.
    pub fn texts(&self) -> StringArray {
        match self {
            Self::Text(array) | Self::Untyped(array) => array.clone(),
            _ => (0..self.num_rows())
                .map(|row| (!self.is_null(row)).then(|| self.text(row)))
                .collect(),
        }
    }

    /// Whether it holds on each row: false where it is unknown.
    pub fn holds(&self) -> Vec<bool> {
        match self {
            Self::Boolean(array) => array.iter().map(|value| value == Some(true)).collect(),
            other => vec![false; other.num_rows()],
        }
    }

    /// Rows on which it is unknown.
    pub fn num_unknown(&self) -> u64 {
        match self {
            Self::Null(rows) => *rows as u64,
            other => other.array().null_count() as u64,
        }
    }

    /// Times as an array of nanoseconds.
    pub fn from_times(times: impl IntoIterator<Item = Option<i128>>) -> Self {
        Self::Time(decimals(times, 0))
    }

    /// Days by their starts.
    pub fn from_days(days: impl IntoIterator<Item = Option<i128>>) -> Self {
        let array: Decimal128Array = days.into_iter().collect();
        let array = array.with_precision_and_scale(DAY_DIGITS, 0);
        Self::Time(array.expect("37 digits hold every time in use"))
    }

    /// Whether these are times of which only the day counts.
    pub fn are_days(&self) -> bool {
        matches!(self, Self::Time(array) if array.precision() == DAY_DIGITS)
    }

    /// Bits of numbers with a point.
    pub(crate) fn width(&self) -> Option<u32> {
        match self {
            Self::Float16(_) => Some(16),
            Self::Float32(_) => Some(32),
            Self::Float(_) => Some(64),
            _ => None,
        }
    }

    /// Joins the values of pieces; kinds of numbers that differ become one, and anything else texts.
    pub fn concat(parts: &[Self]) -> Self {
        let rows = parts.iter().map(Self::num_rows).sum();
        let filled: Vec<&Self> = parts
            .iter()
            .filter(|part| !matches!(part, Self::Null(_)))
            .collect();
        let Some(first) = filled.first().copied() else {
            return Self::Null(rows);
        };
        // Nothing has the type of the rest, so that decimals stay decimals and days days.
        let parts: Vec<Self> = parts
            .iter()
            .map(|part| match part {
                Self::Null(rows) => first.take(&vec![None; *rows]),
                part => part.clone(),
            })
            .collect();
        let is_even = parts.iter().all(|part| {
            std::mem::discriminant(part) == std::mem::discriminant(first)
                && part.array().data_type() == first.array().data_type()
        });
        if is_even {
            let arrays: Vec<ArrayRef> = parts.iter().map(Self::array).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            if let Ok(joined) = arrow::compute::concat(&arrays) {
                return first.with_array(&joined);
            }
        }
        let families: Vec<_> = filled.iter().map(|part| Family::of(part)).collect();
        let is_one = families.iter().all(|family| *family == families[0]);
        match first {
            Self::Integer(_)
            | Self::Decimal(_)
            | Self::Float16(_)
            | Self::Float32(_)
            | Self::Float(_)
                if is_one =>
            {
                let all = parts
                    .iter()
                    .flat_map(|part| (0..part.num_rows()).map(move |row| (part, row)));
                let is_exact = |part: &Self| match part {
                    Self::Decimal(array) => scale_of(array) == 0,
                    Self::Integer(_) | Self::Null(_) => true,
                    _ => false,
                };
                if parts.iter().all(is_exact) {
                    return Self::Decimal(decimals(all.map(|(part, row)| part.integer(row)), 0));
                }
                Self::Float(
                    all.map(|(part, row)| (!part.is_null(row)).then(|| part.number(row)))
                        .collect(),
                )
            }
            Self::Time(_) if is_one => Self::from_times(parts.iter().flat_map(|part| {
                (0..part.num_rows()).map(move |row| match part {
                    Self::Time(array) if array.is_valid(row) => Some(array.value(row)),
                    _ => None,
                })
            })),
            _ => Self::Text(
                parts
                    .iter()
                    .flat_map(|part| {
                        (0..part.num_rows())
                            .map(move |row| (!part.is_null(row)).then(|| part.text(row)))
                    })
                    .collect(),
            ),
        }
    }

    /// As [`concat`](Self::concat), but of numbers of several kinds only where one kind has the values of all exactly.
    pub fn concat_exactly(parts: &[Self]) -> Option<Self> {
        let of_numbers = parts.iter().filter(|part| !matches!(part, Self::Null(_)));
        let families = of_numbers.map(Family::of);
        if !families
            .clone()
            .all(|family| family == Some(Family::Number))
        {
            return Some(Self::concat(parts));
        }
        let widths: BTreeSet<u32> = parts.iter().filter_map(Self::width).collect();
        let Some(width) = widths.last().copied() else {
            return exact_decimals(parts);
        };
        // Beside a literal, numbers of 16 and of 32 bits are compared as such.
        if widths.len() > 1 {
            return None;
        }
        let holds = |part: &Self, row: usize| {
            let number = part.number(row);
            let number = match width {
                16 => f64::from(Half::from_f64(number)),
                32 => f64::from(number as f32),
                _ => number,
            };
            part.exact(row).is_none_or(|exact| {
                number.fract() == 0.0
                    && compare_decimals(exact, (number as i128, 0)) == Some(Ordering::Equal)
            })
        };
        let mut all = parts.iter();
        if !all.all(|part| (0..part.num_rows()).all(|row| holds(part, row))) {
            return None;
        }
        let numbers = parts.iter().flat_map(|part| {
            (0..part.num_rows()).map(move |row| (!part.is_null(row)).then(|| part.number(row)))
        });
        Some(match width {
            16 => Self::Float16(numbers.map(|number| number.map(Half::from_f64)).collect()),
            32 => Self::Float32(
                numbers
                    .map(|number| number.map(|number| number as f32))
                    .collect(),
            ),
            _ => Self::Float(numbers.collect()),
        })
    }

    /// The values of these rows, null where there is no row.
    pub fn take(&self, rows: &[Option<usize>]) -> Self {
        if let Self::Null(_) = self {
            return Self::Null(rows.len());
        }
        let rows: arrow::array::UInt64Array =
            rows.iter().map(|row| row.map(|row| row as u64)).collect();
        let taken = arrow::compute::take(&self.array(), &rows, None);
        self.with_array(&taken.expect("rows are those of the table"))
    }

    /// The digits of a row's integer or decimal, and its places behind the point.
    pub fn exact(&self, row: usize) -> Option<(i128, i8)> {
        if self.is_null(row) {
            return None;
        }
        match self {
            Self::Integer(array) => Some((i128::from(array.value(row)), 0)),
            Self::Decimal(array) => Some((array.value(row), scale_of(array))),
            _ => None,
        }
    }

    /// The integer of a row.
    pub fn integer(&self, row: usize) -> Option<i128> {
        if self.is_null(row) {
            return None;
        }
        match self {
            Self::Integer(array) => Some(i128::from(array.value(row))),
            Self::Decimal(array) if scale_of(array) == 0 => Some(array.value(row)),
            _ => None,
        }
    }
}

/// Integers and decimals together, with the most places that any of them has; nothing where 38 digits don't hold that.
fn exact_decimals(parts: &[Values]) -> Option<Values> {
    if parts
        .iter()
        .all(|part| matches!(part, Values::Integer(_) | Values::Null(_)))
    {
        return Some(Values::concat(parts));
    }
    let places = |part: &Values| match part {
        Values::Decimal(array) => scale_of(array),
        _ => 0,
    };
    let scale = parts.iter().map(places).max().unwrap_or(0).max(0);
    let mut all = Vec::new();
    for part in parts {
        for row in 0..part.num_rows() {
            all.push(match part.exact(row) {
                None => None,
                Some((digits, own)) => {
                    let digits = rounded(digits, own, scale)?;
                    if digits.unsigned_abs() >= 10u128.pow(u32::from(DECIMAL_DIGITS)) {
                        return None;
                    }
                    Some(digits)
                }
            });
        }
    }
    Some(Values::Decimal(decimals(all, scale)))
}

/// Decimals with `scale` places.
pub fn decimals(values: impl IntoIterator<Item = Option<i128>>, scale: i8) -> Decimal128Array {
    let array: Decimal128Array = values.into_iter().collect();
    array
        .with_precision_and_scale(DECIMAL_DIGITS, scale)
        .expect("38 digits hold every scale in use")
}

/// Places behind the point.
pub fn scale_of(array: &Decimal128Array) -> i8 {
    match array.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn decimal_number(value: i128, scale: i8) -> f64 {
    // Through digits: dividing by a power of ten would round twice.
    decimal_text(value, scale).parse().unwrap_or(f64::NAN)
}

/// A number of 16 bits in the fewest digits that tell it from its neighbours: 0.1, and not the 0.099975586 that it is.
pub fn half_text(value: Half) -> String {
    let number = value.to_f64();
    let is_same = |read: &f64| Half::from_f64(*read) == value;
    // Five digits tell all of them apart. Of two texts that are equally near, the greater may be the only one that is read as the
    // number, since below a power of two neighbours are nearer: 0.015625 is 0.01563 and not 0.01562.
    let texts = (0..5).flat_map(|places| {
        [number, number * (1.0 + 1e-9)].map(|number| format!("{number:.places$e}"))
    });
    let mut read = texts.filter_map(|text| text.parse::<f64>().ok());
    // Minus nothing is nothing, and no other value.
    (read.find(is_same).unwrap_or(number) + 0.0).to_string()
}

/// A decimal in digits, without zeros at the end.
pub fn decimal_text(value: i128, scale: i8) -> String {
    if scale <= 0 {
        let zeros = "0".repeat(usize::from(scale.unsigned_abs()));
        return if value == 0 {
            "0".to_owned()
        } else {
            format!("{value}{zeros}")
        };
    }
    let places = usize::from(scale.unsigned_abs());
    let digits = format!("{:0width$}", value.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if value < 0 { "-" } else { "" };
    // Without zeros at the end, as the texts of floats are.
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// A decimal in digits with all of its places.
pub(crate) fn padded_decimal(value: i128, scale: i8) -> String {
    let text = decimal_text(value, scale);
    let places = usize::from(scale.max(0).unsigned_abs());
    let has = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    match (places, has) {
        (0, _) => text,
        (_, 0) => format!("{text}.{}", "0".repeat(places)),
        _ => format!("{text}{}", "0".repeat(places - has)),
    }
}

/// The digits of a decimal with so many places behind the point, rounded to the nearest, halves away from 0.
pub(crate) fn rounded(digits: i128, scale: i8, places: i8) -> Option<i128> {
    let shift = i32::from(places) - i32::from(scale);
    let Some(power) = 10i128.checked_pow(shift.unsigned_abs()) else {
        return (shift < 0 || digits == 0).then_some(0);
    };
    if shift >= 0 {
        return digits.checked_mul(power);
    }
    let (quotient, rest) = (digits / power, digits % power);
    // Twice the rest could be too large: the other half is compared.
    let is_up = rest.unsigned_abs() >= power.unsigned_abs() - rest.unsigned_abs();
    Some(quotient + if is_up { digits.signum() } else { 0 })
}

/// The order of two decimals; nothing where the places of one are more than 38.
pub fn compare_decimals(a: (i128, i8), b: (i128, i8)) -> Option<Ordering> {
    // What stands before the point and what stands behind it, apart: both with the same places could be too long.
    let parts = |(digits, scale): (i128, i8)| {
        let places = u32::from(scale.max(0).unsigned_abs());
        let power = 10i128.checked_pow(places)?;
        let whole = match scale {
            0.. => digits.div_euclid(power),
            _ => digits.checked_mul(10i128.checked_pow(u32::from(scale.unsigned_abs()))?)?,
        };
        let behind = if scale > 0 {
            digits.rem_euclid(power)
        } else {
            0
        };
        let fraction = behind.checked_mul(10i128.checked_pow(38u32.checked_sub(places)?)?)?;
        Some((whole, fraction))
    };
    Some(parts(a)?.cmp(&parts(b)?))
}

/// The order of an integer and a number, exact where the integer has more digits than a number holds.
pub fn compare_exactly(integer: i128, number: f64) -> Option<Ordering> {
    if number.is_nan() {
        return None;
    }
    // Beyond 2^127 in size, every integer is on one side.
    if number >= 1.7e38 {
        return Some(Ordering::Less);
    }
    if number <= -1.7e38 {
        return Some(Ordering::Greater);
    }
    let whole = number.floor();
    Some(integer.cmp(&(whole as i128)).then(if whole < number {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_2_to_53_compare_exactly_with_numbers() {
        let big = (1i128 << 53) + 1;
        assert_eq!(
            compare_exactly(big, 9_007_199_254_740_992.0),
            Some(Ordering::Greater)
        );
        assert_eq!(compare_exactly(2, 2.5), Some(Ordering::Less));
        assert_eq!(compare_exactly(3, 2.5), Some(Ordering::Greater));
        assert_eq!(compare_exactly(-3, -2.5), Some(Ordering::Less));
        assert_eq!(compare_exactly(7, f64::INFINITY), Some(Ordering::Less));
        assert_eq!(compare_exactly(7, f64::NAN), None);
    }

    #[test]
    fn decimals_of_other_places_compare_exactly() {
        let order = |a, b| compare_decimals(a, b);
        assert_eq!(
            order(
                (1_234_567_890_123_456_789_012, 2),
                (1_234_567_890_123_456_789_013, 2)
            ),
            Some(Ordering::Less)
        );
        assert_eq!(order((41, 1), (4_100, 3)), Some(Ordering::Equal));
        assert_eq!(order((5, 0), (49, 1)), Some(Ordering::Greater));
        assert_eq!(order((1, 0), (1, 60)), None);
    }

    #[test]
    fn decimals_have_the_texts_of_floats() {
        for (value, scale, expected) in [
            (12_300, 2, "123"),
            (-5, 3, "-0.005"),
            (1_250, 3, "1.25"),
            (0, 2, "0"),
            (7, 0, "7"),
        ] {
            assert_eq!(decimal_text(value, scale), expected);
        }
        let array = decimals([Some(41)], 1);
        assert_eq!(Values::Decimal(array).number(0), 4.1);
    }

    /// The texts are those of numpy 2: `numpy.format_float_positional(value, unique=True, trim="-")`.
    #[test]
    fn numbers_of_16_bits_have_the_texts_of_numpy() {
        for (number, expected) in [
            (0.1, "0.1"),
            (0.2, "0.2"),
            (0.05, "0.05"),
            (1.5, "1.5"),
            (1.0 / 3.0, "0.3333"),
            (0.015_625, "0.01563"),
            (6e-8, "0.00000006"),
            (-0.0, "0"),
            (-2.75, "-2.75"),
            (2048.0, "2048"),
            (65_504.0, "65500"),
        ] {
            assert_eq!(half_text(Half::from_f64(number)), expected);
        }
    }

    #[test]
    fn pieces_of_two_kinds_become_one() {
        let parts = [
            Values::Integer(vec![Some(1), None].into()),
            Values::Null(1),
            Values::Float(vec![2.5].into()),
        ];
        let joined = Values::concat(&parts);
        assert_eq!(joined.num_rows(), 4);
        assert_eq!(joined.number(0), 1.0);
        assert!(joined.is_null(1) && joined.is_null(2));
        assert_eq!(joined.number(3), 2.5);
        let taken = joined.take(&[Some(3), None]);
        assert_eq!(taken.number(0), 2.5);
        assert!(taken.is_null(1));
    }
}
