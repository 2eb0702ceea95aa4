//! Casts between types.

use super::{computed, integers};
use crate::node::{CastType, NumberLiteral};
use crate::number_text::read_number;
use crate::timeline::{self, TimeRule};
use crate::values::{Values, decimals, rounded, scale_of};
use crate::{RowFault, boolean};
use arrow::array::{BooleanArray, Float64Array};

pub(super) fn cast(values: &Values, to: CastType, is_try: bool) -> Result<Values, RowFault> {
    let expected = match to {
        CastType::Text => return Ok(Values::Text(values.cast_texts())),
        CastType::Integer => "an integer (round or floor it first)",
        CastType::Bits(8) => "an integer from -128 to 127 (round or floor it first)",
        CastType::Bits(16) => "an integer from -32768 to 32767 (round or floor it first)",
        CastType::Bits(_) => "an integer of 64 bits (round or floor it first)",
        CastType::Decimal(..) => "a number that has no more digits than the decimal",
        CastType::Float => "a number",
        CastType::Boolean => "true or false",
        CastType::Time | CastType::Date => "a time such as 2022-04-08T12:00:00",
    };
    // What can't be cast is null in a `try_cast` and refused otherwise.
    let each = |row: usize, value: Option<f64>| match (value, is_try) {
        (Some(value), _) => Ok(Some(value)),
        (None, true) => Ok(None),
        (None, false) => Err(computed(row, expected, values.text(row))),
    };
    let rows = (0..values.num_rows()).map(|row| (row, values.is_null(row)));
    match to {
        CastType::Text => Ok(Values::Text(values.cast_texts())),
        CastType::Decimal(digits, places) => {
            let mut cast = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let value = if is_null {
                    None
                } else {
                    decimal(values, row, digits, places)
                };
                if value.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                cast.push(value);
            }
            Ok(Values::Decimal(decimals(cast, places)))
        }
        CastType::Integer | CastType::Bits(_) => {
            let is_within = |value: &i128| match to {
                CastType::Bits(bits) => {
                    (-(1i128 << (bits - 1))..1i128 << (bits - 1)).contains(value)
                }
                _ => value.unsigned_abs() < 10u128.pow(38),
            };
            let whole = |row: usize| match values {
                Values::Text(array) | Values::Untyped(array) => {
                    match read_number(array.value(row))? {
                        NumberLiteral::Integer(integer) => Some(integer),
                        NumberLiteral::Decimal(..) | NumberLiteral::Float(_) => None,
                    }
                }
                Values::Boolean(array) => Some(i128::from(array.value(row))),
                Values::Time(_) | Values::Null(_) => None,
                Values::Decimal(array) if scale_of(array) > 0 => {
                    let digits = array.value(row);
                    let whole = rounded(digits, scale_of(array), 0)?;
                    (rounded(whole, 0, scale_of(array)) == Some(digits)).then_some(whole)
                }
                _ => values.integer(row).or_else(|| {
                    let number = values.number(row);
                    (number.fract() == 0.0 && number.abs() < 1e38).then_some(number as i128)
                }),
            };
            let mut cast = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let value = if is_null { None } else { whole(row) };
                let value = value.filter(is_within);
                if value.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                cast.push(value);
            }
            Ok(integers(cast))
        }
        CastType::Float => rows
            .map(|(row, is_null)| {
                let number = match values {
                    _ if is_null => return Ok(None),
                    Values::Text(array) | Values::Untyped(array) => {
                        array.value(row).trim().parse().unwrap_or(f64::NAN)
                    }
                    other => other.number(row),
                };
                each(row, number.is_finite().then_some(number))
            })
            .collect::<Result<Float64Array, _>>()
            .map(Values::Float),
        CastType::Boolean => rows
            .map(|(row, is_null)| {
                let value = match values {
                    _ if is_null => return Ok(None),
                    Values::Boolean(array) => Some(array.value(row)),
                    other => boolean(&other.text(row)),
                };
                let value = value.map(|value| f64::from(u8::from(value)));
                Ok(each(row, value)?.map(|value| value == 1.0))
            })
            .collect::<Result<BooleanArray, _>>()
            .map(Values::Boolean),
        CastType::Time | CastType::Date => {
            // The day that a text has, whatever day it is in UTC then: as a column of the type `date` has it.
            let rule = TimeRule {
                is_date: to == CastType::Date,
                ..TimeRule::default()
            };
            let mut times = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let time = match values {
                    _ if is_null => None,
                    Values::Time(array) => Some(array.value(row)),
                    Values::Text(array) | Values::Untyped(array) => {
                        let parsed = rule.parse(array.value(row));
                        parsed.ok().map(|(time, _)| time)
                    }
                    _ => None,
                };
                if time.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                times.push(time);
            }
            Ok(match to {
                CastType::Date => Values::from_days(
                    times
                        .into_iter()
                        .map(|time| time.map(timeline::start_of_day)),
                ),
                _ => Values::from_times(times),
            })
        }
    }
}

/// The digits of a value as a decimal, rounded to its places; nothing where it is no number or has more digits.
fn decimal(values: &Values, row: usize, digits: u8, places: i8) -> Option<i128> {
    let of_float = |number: f64| {
        let scaled = (number * 10f64.powi(i32::from(places))).round();
        (scaled.abs() < 1e38).then_some(scaled as i128)
    };
    let value = match values {
        Values::Text(array) | Values::Untyped(array) => match read_number(array.value(row))? {
            NumberLiteral::Integer(integer) => rounded(integer, 0, places),
            NumberLiteral::Decimal(digits, own) => rounded(digits, own, places),
            NumberLiteral::Float(number) => of_float(number),
        },
        Values::Boolean(array) => rounded(i128::from(array.value(row)), 0, places),
        Values::Null(_) | Values::Time(_) => None,
        _ => match values.exact(row) {
            Some((digits, own)) => rounded(digits, own, places),
            None => of_float(values.number(row)),
        },
    };
    value.filter(|value| value.unsigned_abs() < 10u128.pow(u32::from(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Columns, Expression};

    /// The day that is written, as DuckDB and PostgreSQL cast a text to a date.
    #[test]
    fn a_text_with_an_offset_is_cast_to_the_day_that_it_has() {
        let texts = [
            "2022-04-08T23:00:00-05:00",
            "2022-04-09T01:00:00+05:00",
            "2022-04-08",
        ];
        let texts = Values::Text(texts.to_vec().into());
        let Ok(days) = cast(&texts, CastType::Date, false) else {
            panic!("they are times");
        };
        assert_eq!(
            [0, 1, 2].map(|row| days.cast_text(row)),
            ["2022-04-08", "2022-04-09", "2022-04-08"]
        );
        let names = ["day".to_owned()];
        let columns = Columns {
            names: &names,
            types: &[],
            later: &[],
        };
        let literal = Expression::parse("date '2022-04-08T23:00:00-05:00'", columns).unwrap();
        assert_eq!(literal.canonical(&names), "date '2022-04-08'");
        // A time keeps its place on the line of times.
        let Ok(times) = cast(&texts, CastType::Time, false) else {
            panic!("they are times");
        };
        assert_eq!(times.text(0), "2022-04-09T04:00:00");
    }
}
