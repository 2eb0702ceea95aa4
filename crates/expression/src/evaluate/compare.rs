//! Comparisons, with SQL's rules for what is missing.

use super::Side;
use super::operands::{narrow, pair, width_of};
use crate::RowFault;
use crate::node::{NumberLiteral, Operator};
use crate::number_text::read_number;
use crate::values::{Values, compare_decimals, compare_exactly};
use arrow::array::BooleanArray;
use std::cmp::Ordering;

/// The order of two values of a row that have one type, nothing where one is missing.
fn order(
    left: &Values,
    left_row: usize,
    right: &Values,
    right_row: usize,
    width: u32,
) -> Option<Ordering> {
    use Values::{Boolean, Float, Integer, Text, Time, Untyped};
    if left.is_null(left_row) || right.is_null(right_row) {
        return None;
    }
    match (left, right) {
        (Integer(a), Integer(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Untyped(a), Untyped(b)) => Some(untyped(a.value(left_row), b.value(right_row))),
        (Text(a) | Untyped(a), Text(b) | Untyped(b)) => {
            Some(a.value(left_row).cmp(b.value(right_row)))
        }
        (Time(a), Time(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Boolean(a), Boolean(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Float(a), Float(b)) => a.value(left_row).partial_cmp(&b.value(right_row)),
        _ if width < 64 => {
            let narrowed = |values: &Values, row| narrow(values.number(row), width);
            narrowed(left, left_row).partial_cmp(&narrowed(right, right_row))
        }
        _ => {
            if let (Some(a), Some(b)) = (left.exact(left_row), right.exact(right_row)) {
                return compare_decimals(a, b);
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

/// The order of two texts of files without types: as numbers where both are such, with every digit, else as texts.
fn untyped(a: &str, b: &str) -> Ordering {
    use NumberLiteral::{Decimal, Float, Integer};
    if a == b {
        return Ordering::Equal;
    }
    let as_text = || a.cmp(b);
    let (Some(first), Some(second)) = (read_number(a), read_number(b)) else {
        return as_text();
    };
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::NAN);
    let order = match (first, second) {
        (Integer(first), Integer(second)) => Some(first.cmp(&second)),
        (Integer(first), Float(second)) => compare_exactly(first, second),
        (Float(first), Integer(second)) => compare_exactly(second, first).map(Ordering::reverse),
        (Integer(first), Decimal(digits, scale)) => compare_decimals((first, 0), (digits, scale)),
        (Decimal(digits, scale), Integer(second)) => compare_decimals((digits, scale), (second, 0)),
        (Decimal(digits, scale), Decimal(others, other_scale)) => {
            compare_decimals((digits, scale), (others, other_scale))
        }
        (Float(_), _) | (_, Float(_)) => number(a).partial_cmp(&number(b)),
    };
    order.unwrap_or_else(as_text)
}

pub(super) fn compare(
    operator: Operator,
    left: Side,
    right: Side,
    num_rows: usize,
) -> Result<BooleanArray, RowFault> {
    if matches!(left.values, Values::Null(_)) || matches!(right.values, Values::Null(_)) {
        return Ok(BooleanArray::new_null(num_rows));
    }
    let (left, right) = pair(left, right)?;
    Ok(compare_alike(operator, &left, &right, num_rows))
}

/// Whether each value is not before a limit, as `column >= limit` has it; null where one is missing.
pub(crate) fn not_before(values: &Values, limit: Values) -> BooleanArray {
    let num_rows = values.num_rows();
    let values = Side {
        values: values.clone(),
        is_literal: false,
    };
    let limit = Side::literal(limit);
    compare_alike(Operator::GreaterOrEqual, &values, &limit, num_rows)
}

/// A comparison of sides that have one type.
pub(super) fn compare_alike(
    operator: Operator,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> BooleanArray {
    // A column of 32 bits holds 4.1 as the nearest of 32 bits, and a literal means that one.
    let width = width_of(&[left, right]);
    (0..num_rows)
        .map(|row| {
            let (a, b) = (left.at(row), right.at(row));
            order(&left.values, a, &right.values, b, width).map(|order| operator.holds(order))
        })
        .collect()
}
