//! Comparisons, with SQL's rules for what is missing.

use super::cast::cast;
use super::{Side, computed};
use crate::RowFault;
use crate::node::{CastType, Operator};
use crate::values::{Values, compare_decimals, compare_exactly};
use arrow::array::BooleanArray;
use std::cmp::Ordering;

/// The order of two values of a row, nothing where one is missing.
pub(super) fn order(
    left: &Values,
    left_row: usize,
    right: &Values,
    right_row: usize,
    is_single: bool,
) -> Option<Ordering> {
    use Values::{Boolean, Float, Float32, Integer, Text, Time};
    if left.is_null(left_row) || right.is_null(right_row) {
        return None;
    }
    match (left, right) {
        (Integer(a), Integer(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Text(a), Text(b)) => Some(a.value(left_row).cmp(b.value(right_row))),
        (Time(a), Time(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Boolean(a), Boolean(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Float(a), Float(b)) => a.value(left_row).partial_cmp(&b.value(right_row)),
        (Float32(_), _) | (_, Float32(_)) if is_single => {
            let narrow = |values: &Values, row| values.number(row) as f32;
            narrow(left, left_row).partial_cmp(&narrow(right, right_row))
        }
        _ => {
            if let (Some(a), Some(b)) = (left.exact(left_row), right.exact(right_row))
                && let Some(order) = compare_decimals(a, b)
            {
                return Some(order);
            }
            let (a, b) = (left.number(left_row), right.number(right_row));
            match (left.integer(left_row), right.integer(right_row)) {
                (Some(integer), None) => compare_exactly(integer, b),
                (None, Some(integer)) => compare_exactly(integer, a).map(Ordering::reverse),
                _ => a.partial_cmp(&b),
            }
        }
    }
}

pub(super) fn compare(
    operator: Operator,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<BooleanArray, RowFault> {
    use Values::{Boolean, Null, Text, Time};
    // A text beside a time or a condition of a file that knows its types is read as one.
    let as_other = |text: &Side, other: &Values| -> Result<Side, RowFault> {
        let values = match other {
            Time(_) => cast(&text.values, CastType::Time, false)?,
            Boolean(_) => cast(&text.values, CastType::Boolean, false)?,
            _ => text.values.clone(),
        };
        Ok(Side {
            values,
            is_literal: text.is_literal,
        })
    };
    match (&left.values, &right.values) {
        (Null(_), _) | (_, Null(_)) => return Ok(BooleanArray::new_null(num_rows)),
        (Text(_), Text(_)) => {}
        (Text(_), Time(_) | Boolean(_)) => {
            let left = as_other(left, &right.values)?;
            return compare(operator, &left, right, num_rows);
        }
        (Time(_) | Boolean(_), Text(_)) => {
            let right = as_other(right, &left.values)?;
            return compare(operator, left, &right, num_rows);
        }
        (Time(_), Time(_)) => {}
        (Text(_) | Time(_), _) | (_, Text(_) | Time(_)) => {
            return Err(computed(0, left.values.kind(), right.values.kind()));
        }
        _ => {}
    }
    // A column of 32 bits holds 4.1 as the nearest of 32 bits, and a literal means that one.
    let is_float32 = |side: &Side| matches!(side.values, Values::Float32(_));
    let is_single = (is_float32(left) && (right.is_literal || is_float32(right)))
        || (is_float32(right) && left.is_literal);
    Ok((0..num_rows)
        .map(|row| {
            let (a, b) = (left.at(row), right.at(row));
            order(&left.values, a, &right.values, b, is_single).map(|order| operator.holds(order))
        })
        .collect())
}

/// Whether values of two columns of any kinds are equal: as numbers where both are such, else as texts.
pub(super) fn compare_any(operator: Operator, left: &Values, right: &Values) -> BooleanArray {
    let number = |values: &Values, row: usize| match values {
        Values::Text(texts) => texts.value(row).trim().parse().ok(),
        Values::Boolean(_) | Values::Time(_) | Values::Null(_) => None,
        other => Some(other.number(row)),
    };
    let is_text = |values: &Values| matches!(values, Values::Text(_));
    (0..left.num_rows())
        .map(|row| {
            if left.is_null(row) || right.is_null(row) {
                return None;
            }
            let same_kind = std::mem::discriminant(left) == std::mem::discriminant(right);
            let order = match (
                same_kind && !is_text(left),
                number(left, row),
                number(right, row),
            ) {
                (true, ..) => order(left, row, right, row, false)?,
                (false, Some(a), Some(b)) => match (left.integer(row), right.integer(row)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => f64::partial_cmp(&a, &b)?,
                },
                _ => left.text(row).cmp(&right.text(row)),
            };
            Some(operator.holds(order))
        })
        .collect()
}
