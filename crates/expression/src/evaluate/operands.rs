//! Values of unlike types brought to the one that they have in common: see [`common`].

use super::{Side, computed, integers};
use crate::node::NumberLiteral;
use crate::number_text::read_number;
use crate::operands::{
    BESIDE_CONDITIONS, BESIDE_FLOATS, BESIDE_NUMBERS, BESIDE_TIMES, DIGITS, Family, ONE_TYPE,
    common,
};
use crate::timeline::TimeRule;
use crate::values::{DECIMAL_DIGITS, Half, Values, decimals, rounded, scale_of};
use crate::{RowFault, boolean};
use arrow::array::{Array, BooleanArray, Float32Array, Float64Array, Int64Array};

/// Two sides of a comparison as values of one type; texts are read as what they stand beside.
pub(super) fn pair(left: Side, right: Side) -> Result<(Side, Side), RowFault> {
    let sides = [left, right];
    let family = family_of(&sides, true)?;
    let are_days = days_beside(&sides);
    let [left, right] = sides.map(|side| read_as(side, family, are_days));
    Ok((left?, right?))
}

/// Values that one of each row is chosen from, as values of one type and one array's type. A text that a column holds is
/// chosen among texts alone: read as a number, it would lose its zeros.
pub(super) fn together(sides: Vec<Side>) -> Result<Vec<Side>, RowFault> {
    let family = family_of(&sides, false)?;
    let are_days = days_beside(&sides);
    let sides = sides
        .into_iter()
        .map(|side| read_as(side, family, are_days));
    let sides = sides.collect::<Result<Vec<_>, _>>()?;
    match family {
        Some(Family::Number) => numbers_alike(sides),
        Some(Family::Time) => Ok(times_alike(sides)),
        Some(Family::Text) => Ok(sides.into_iter().map(text_alike).collect()),
        Some(Family::Boolean) | None => Ok(sides),
    }
}

fn family_of(sides: &[Side], reads_columns: bool) -> Result<Option<Family>, RowFault> {
    let mut all: Option<Family> = None;
    let mut has_texts = false;
    for side in sides {
        let Some(family) = Family::of(&side.values) else {
            continue;
        };
        has_texts |= family == Family::Text && !side.is_literal;
        all = match all {
            None => Some(family),
            Some(before) => match common(before, family) {
                Some(both) => Some(both),
                None => return Err(unlike(before, family)),
            },
        };
    }
    match all {
        Some(family) if has_texts && !reads_columns && family != Family::Text => {
            Err(unlike(family, Family::Text))
        }
        all => Ok(all),
    }
}

fn unlike(a: Family, b: Family) -> RowFault {
    computed(0, ONE_TYPE, format!("{} and {}", a.word(), b.word()))
}

/// Whether all times are days; a text beside them is one too.
fn days_beside(sides: &[Side]) -> bool {
    let times = || {
        let is_time = |side: &&Side| matches!(side.values, Values::Time(_));
        sides.iter().filter(is_time)
    };
    times().next().is_some() && times().all(|side| side.values.are_days())
}

/// A side as values of a type that it has in common with others.
fn read_as(side: Side, family: Option<Family>, are_days: bool) -> Result<Side, RowFault> {
    let is_literal = side.is_literal;
    let values = match (side.values, family) {
        (Values::Text(texts) | Values::Untyped(texts), Some(Family::Number)) => {
            let read = texts.iter().enumerate().map(|(row, text)| match text {
                None => Ok(None),
                Some(text) => match read_number(text) {
                    Some(number) => Ok(Some(number)),
                    None => Err(computed(row, BESIDE_NUMBERS, text)),
                },
            });
            numbers(&read.collect::<Result<Vec<_>, _>>()?)?
        }
        (Values::Text(texts) | Values::Untyped(texts), Some(Family::Time)) => {
            // A column of texts may have times of day; a text in quotes beside days is the day that is written.
            let is_date = are_days && is_literal;
            let rule = TimeRule {
                is_date,
                ..TimeRule::default()
            };
            let mut times = Vec::with_capacity(texts.len());
            for (row, text) in texts.iter().enumerate() {
                times.push(match text {
                    None => None,
                    Some(text) => match rule.parse(text) {
                        Ok((time, _)) => Some(time),
                        Err(_) => return Err(computed(row, BESIDE_TIMES, text)),
                    },
                });
            }
            match is_date {
                true => Values::from_days(times),
                false => Values::from_times(times),
            }
        }
        (Values::Text(texts) | Values::Untyped(texts), Some(Family::Boolean)) => {
            let read = texts.iter().enumerate().map(|(row, text)| match text {
                None => Ok(None),
                Some(text) => match boolean(text) {
                    Some(value) => Ok(Some(value)),
                    None => Err(computed(row, BESIDE_CONDITIONS, text)),
                },
            });
            Values::Boolean(read.collect::<Result<BooleanArray, _>>()?)
        }
        (values, Some(Family::Number)) => conditions_as_numbers(values),
        (values, _) => values,
    };
    Ok(Side { values, is_literal })
}

/// True as 1 and false as 0; anything else as it is.
pub(super) fn conditions_as_numbers(values: Values) -> Values {
    match values {
        Values::Boolean(array) => Values::Integer(
            array
                .iter()
                .map(|value| Some(i64::from(value?)))
                .collect::<Int64Array>(),
        ),
        other => other,
    }
}

/// Numbers that texts spell as an array that keeps all of their digits.
fn numbers(read: &[Option<NumberLiteral>]) -> Result<Values, RowFault> {
    use NumberLiteral::{Decimal, Float, Integer};
    let scales = read.iter().flatten().map(|number| match number {
        Decimal(_, scale) => *scale,
        Integer(_) | Float(_) => 0,
    });
    let scale = scales.max().unwrap_or(0);
    let is_exact = !read
        .iter()
        .flatten()
        .any(|number| matches!(number, Float(_)));
    let digits = |number: &NumberLiteral| match number {
        Integer(integer) => within(rounded(*integer, 0, scale)),
        Decimal(digits, own) => within(rounded(*digits, *own, scale)),
        Float(_) => None,
    };
    if is_exact && read.iter().flatten().all(|number| digits(number).is_some()) {
        let all = read.iter().map(|number| digits(number.as_ref()?));
        return Ok(match scale {
            0 => integers(all.collect()),
            _ => Values::Decimal(decimals(all, scale)),
        });
    }
    let mut floats = Vec::with_capacity(read.len());
    for (row, number) in read.iter().enumerate() {
        floats.push(match number {
            None => None,
            Some(Float(number)) => Some(*number),
            Some(Integer(integer)) => Some(as_float(*integer, row)?),
            Some(Decimal(digits, scale)) => {
                Some(Values::Decimal(decimals([Some(*digits)], *scale)).number(0))
            }
        });
    }
    Ok(Values::Float(floats.into()))
}

fn within(digits: Option<i128>) -> Option<i128> {
    let most = 10u128.pow(u32::from(DECIMAL_DIGITS));
    digits.filter(|digits| digits.unsigned_abs() < most)
}

fn as_float(integer: i128, row: usize) -> Result<f64, RowFault> {
    let number = integer as f64;
    match number as i128 == integer {
        true => Ok(number),
        false => Err(computed(row, BESIDE_FLOATS, integer)),
    }
}

/// A number as the nearest of so many bits.
pub(super) fn narrow(number: f64, width: u32) -> f64 {
    match width {
        16 => Half::from_f64(number).to_f64(),
        32 => f64::from(number as f32),
        _ => number,
    }
}

/// The bits that numbers with a point are compared or computed in: literals and decimals mean the nearest of those of a
/// column that has few.
pub(super) fn width_of(sides: &[&Side]) -> u32 {
    let is_meant = |side: &Side| match &side.values {
        Values::Decimal(array) => side.is_literal || scale_of(array) > 0,
        _ => side.is_literal,
    };
    let others = sides.iter().filter(|side| !is_meant(side));
    let widths = others.map(|side| match &side.values {
        Values::Null(_) => Some(0),
        values => values.width(),
    });
    let widths = widths.collect::<Option<Vec<u32>>>();
    let most = widths.and_then(|widths| widths.into_iter().max());
    most.filter(|width| matches!(width, 16 | 32)).unwrap_or(64)
}

fn numbers_alike(sides: Vec<Side>) -> Result<Vec<Side>, RowFault> {
    let has_float = sides.iter().any(|side| side.values.width().is_some());
    let scales = sides.iter().map(|side| match &side.values {
        Values::Decimal(array) => scale_of(array),
        _ => 0,
    });
    let scale = scales.max().unwrap_or(0);
    let has_decimal = sides
        .iter()
        .any(|side| matches!(side.values, Values::Decimal(_)));
    let width = match has_float {
        true => width_of(&sides.iter().collect::<Vec<_>>()),
        false => 0,
    };
    let alike = |side: Side| {
        let values = &side.values;
        let rows = 0..values.num_rows();
        let values = match (values, width) {
            (Values::Null(_), _) => return Ok(side),
            (Values::Float16(_), 16) | (Values::Float32(_), 32) | (Values::Float(_), 64) => {
                return Ok(side);
            }
            (values, 16) => {
                let number =
                    |row| (!values.is_null(row)).then(|| Half::from_f64(values.number(row)));
                Values::Float16(rows.map(number).collect())
            }
            (values, 32) => {
                let number = |row| (!values.is_null(row)).then(|| values.number(row) as f32);
                Values::Float32(rows.map(number).collect::<Float32Array>())
            }
            (values, 64) => {
                let number = |row| match values.integer(row) {
                    _ if values.is_null(row) => Ok(None),
                    Some(integer) => as_float(integer, row).map(Some),
                    None => Ok(Some(values.number(row))),
                };
                Values::Float(rows.map(number).collect::<Result<Float64Array, _>>()?)
            }
            (_, _) if !has_decimal => return Ok(side),
            (values, _) => {
                let mut all = Vec::with_capacity(values.num_rows());
                for row in rows {
                    all.push(match values.exact(row) {
                        None => None,
                        Some((digits, own)) => match within(rounded(digits, own, scale)) {
                            Some(digits) => Some(digits),
                            None => return Err(computed(row, DIGITS, values.text(row))),
                        },
                    });
                }
                Values::Decimal(decimals(all, scale))
            }
        };
        Ok(Side { values, ..side })
    };
    sides.into_iter().map(alike).collect()
}

/// Days among times are the times at which they start.
fn times_alike(sides: Vec<Side>) -> Vec<Side> {
    if days_beside(&sides) {
        return sides;
    }
    let alike = |side: Side| match &side.values {
        Values::Time(array) if side.values.are_days() => Side {
            values: Values::from_times(array.iter()),
            ..side
        },
        _ => side,
    };
    sides.into_iter().map(alike).collect()
}

fn text_alike(side: Side) -> Side {
    match side.values {
        Values::Untyped(texts) => Side {
            values: Values::Text(texts),
            ..side
        },
        _ => side,
    }
}
