//! Arithmetic: exact on integers and decimals.

use super::operands::{conditions_as_numbers, width_of};
use super::{Side, computed};
use crate::RowFault;
use crate::node::Arithmetic;
use crate::operands::{DIGITS, Family};
use crate::values::{Values, decimals, rounded, scale_of};
use arrow::array::{Float32Array, Float64Array, Int64Array};

pub(super) fn arithmetic(
    operator: Arithmetic,
    left: Side,
    right: Side,
    num_rows: usize,
) -> Result<Values, RowFault> {
    for side in [&left, &right] {
        if !matches!(
            Family::of(&side.values),
            None | Some(Family::Number | Family::Boolean)
        ) {
            return Err(computed(0, "a number", side.values.kind()));
        }
    }
    let [left, right] = [left, right].map(|side| Side {
        values: conditions_as_numbers(side.values),
        ..side
    });
    let (left, right) = (&left, &right);
    if matches!(left.values, Values::Null(_)) || matches!(right.values, Values::Null(_)) {
        return Ok(Values::Null(num_rows));
    }
    let is_whole = |side: &Side| match &side.values {
        Values::Integer(_) => true,
        Values::Decimal(array) => scale_of(array) == 0,
        _ => false,
    };
    if operator != Arithmetic::Divide && is_whole(left) && is_whole(right) {
        return whole_arithmetic(operator, left, right, num_rows);
    }
    let is_exact = |side: &Side| matches!(side.values, Values::Integer(_) | Values::Decimal(_));
    if operator != Arithmetic::Divide && is_exact(left) && is_exact(right) {
        return decimal_arithmetic(operator, left, right, num_rows);
    }
    let has_float32 = [left, right]
        .iter()
        .any(|side| matches!(side.values, Values::Float16(_) | Values::Float32(_)));
    let is_single = has_float32 && width_of(&[left, right]) < 64;
    let number = |row: usize| -> Result<Option<f64>, RowFault> {
        let (a, b) = (left.at(row), right.at(row));
        if left.values.is_null(a) || right.values.is_null(b) {
            return Ok(None);
        }
        let (mut a, mut b) = (left.values.number(a), right.values.number(b));
        if is_single {
            // Numbers of 32 bits: one rounding of their result is what 32 bits compute.
            (a, b) = (f64::from(a as f32), f64::from(b as f32));
        }
        let value = match operator {
            Arithmetic::Plus => a + b,
            Arithmetic::Minus => a - b,
            Arithmetic::Times => a * b,
            // As in MySQL and DuckDB: nothing, and no infinity that a model would learn from.
            Arithmetic::Divide | Arithmetic::Remainder if b == 0.0 => return Ok(None),
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        };
        match value.is_finite() {
            true => Ok(Some(value)),
            false => Err(computed(
                row,
                "a result that is a finite number",
                format!("{a} {} {b}", operator.word()),
            )),
        }
    };
    let values = (0..num_rows).map(number);
    match is_single {
        true => Ok(Values::Float32(
            values
                .map(|value| Ok(value?.map(|value| value as f32)))
                .collect::<Result<Float32Array, RowFault>>()?,
        )),
        false => Ok(Values::Float(values.collect::<Result<Float64Array, _>>()?)),
    }
}

/// Sums, products and remainders of decimals, exact.
fn decimal_arithmetic(
    operator: Arithmetic,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<Values, RowFault> {
    let places = |side: &Side| match &side.values {
        Values::Decimal(array) => scale_of(array),
        _ => 0,
    };
    let (of_left, of_right) = (places(left), places(right));
    let scale = match operator {
        Arithmetic::Times => of_left.saturating_add(of_right),
        _ => of_left.max(of_right),
    };
    let scaled = |digits: i128, own: i8| rounded(digits, own, scale);
    let result = |a: i128, b: i128| match operator {
        Arithmetic::Times => a.checked_mul(b),
        Arithmetic::Plus => scaled(a, of_left)?.checked_add(scaled(b, of_right)?),
        Arithmetic::Minus => scaled(a, of_left)?.checked_sub(scaled(b, of_right)?),
        _ => scaled(a, of_left)?.checked_rem(scaled(b, of_right)?),
    };
    let mut values = Vec::with_capacity(num_rows);
    for row in 0..num_rows {
        let (at_left, at_right) = (left.at(row), right.at(row));
        let digits = (left.values.exact(at_left), right.values.exact(at_right));
        let (Some((a, _)), Some((b, _))) = digits else {
            values.push(None);
            continue;
        };
        if operator == Arithmetic::Remainder && b == 0 {
            values.push(None);
            continue;
        }
        let is_kept = |value: &i128| value.unsigned_abs() < 10u128.pow(38) && scale <= 37;
        match result(a, b).filter(is_kept) {
            Some(value) => values.push(Some(value)),
            None => {
                let (a, b) = (left.values.text(at_left), right.values.text(at_right));
                return Err(computed(
                    row,
                    DIGITS,
                    format!("{a} {} {b}", operator.word()),
                ));
            }
        }
    }
    Ok(Values::Decimal(decimals(values, scale.min(37))))
}

fn whole_arithmetic(
    operator: Arithmetic,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<Values, RowFault> {
    let mut values = Vec::with_capacity(num_rows);
    for row in 0..num_rows {
        let (a, b) = (
            left.values.integer(left.at(row)),
            right.values.integer(right.at(row)),
        );
        let (Some(a), Some(b)) = (a, b) else {
            values.push(None);
            continue;
        };
        let value = match operator {
            Arithmetic::Plus => a.checked_add(b),
            Arithmetic::Minus => a.checked_sub(b),
            Arithmetic::Times => a.checked_mul(b),
            _ if b == 0 => {
                values.push(None);
                continue;
            }
            _ => a.checked_rem(b),
        };
        match value.filter(|value| value.unsigned_abs() < 10u128.pow(38)) {
            Some(value) => values.push(Some(value)),
            None => {
                let found = format!("{a} {} {b}", operator.word());
                return Err(computed(row, DIGITS, found));
            }
        }
    }
    Ok(integers(values))
}

/// Integers of 64 bits where all are such.
pub(crate) fn integers(values: Vec<Option<i128>>) -> Values {
    let is_short = |value: &Option<i128>| value.is_none_or(|value| i64::try_from(value).is_ok());
    if values.iter().all(is_short) {
        let short = values
            .into_iter()
            .map(|value| value.map(|value| value as i64));
        return Values::Integer(short.collect::<Int64Array>());
    }
    Values::Decimal(decimals(values, 0))
}
