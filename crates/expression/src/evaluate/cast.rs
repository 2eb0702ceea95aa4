//! Casts between types.

use super::{computed, integers};
use crate::node::CastType;
use crate::timeline::{self, TimeRule};
use crate::values::Values;
use crate::{RowFault, boolean};
use arrow::array::{BooleanArray, Float64Array};

pub(super) fn cast(values: &Values, to: CastType, is_try: bool) -> Result<Values, RowFault> {
    let expected = match to {
        CastType::Text => return Ok(Values::Text(values.texts())),
        CastType::Integer => "an integer (round or floor it first)",
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
        CastType::Text => Ok(Values::Text(values.texts())),
        CastType::Integer => {
            let whole = |row: usize| match values {
                Values::Text(array) => array.value(row).trim().parse::<i128>().ok(),
                Values::Boolean(array) => Some(i128::from(array.value(row))),
                Values::Time(_) | Values::Null(_) => None,
                _ => values.integer(row).or_else(|| {
                    let number = values.number(row);
                    (number.fract() == 0.0 && number.abs() < 1e38).then_some(number as i128)
                }),
            };
            let mut cast = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let value = if is_null { None } else { whole(row) };
                let value = value.filter(|value| value.unsigned_abs() < 10u128.pow(38));
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
                    Values::Text(array) => array.value(row).trim().parse().unwrap_or(f64::NAN),
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
            let mut times = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let time = match values {
                    _ if is_null => None,
                    Values::Time(array) => Some(array.value(row)),
                    Values::Text(array) => {
                        let parsed = TimeRule::default().parse(array.value(row));
                        parsed.ok().map(|(time, _)| time)
                    }
                    _ => None,
                };
                if time.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                times.push(match to {
                    CastType::Date => time.and_then(|time| timeline::truncate(time, "day")),
                    _ => time,
                });
            }
            Ok(Values::from_times(times))
        }
    }
}
