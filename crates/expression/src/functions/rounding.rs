//! `round` to places that each row gives, and `abs`, `floor`, `ceil` and `round` of integers and decimals with every digit.

use super::fault;
use crate::RowFault;
use crate::evaluate::{Side, integers};
use crate::node::Function;
use crate::operands::DIGITS;
use crate::values::{Values, decimals, rounded, scale_of};

/// Most places in either direction: no number of 64 bits has more.
const MOST_PLACES: i128 = 330;

/// The places that numbers are rounded to.
pub(super) struct Places {
    of_rows: Vec<i32>,
    is_one: bool,
}

impl Places {
    pub(super) fn at(&self, row: usize) -> i32 {
        let row = if self.is_one { 0 } else { row };
        self.of_rows.get(row).copied().unwrap_or(0)
    }
}

/// The places of `round(number, places)`: a row's own, 0 where they are missing and the result is too.
pub(super) fn places(arguments: &[Side], num_rows: usize) -> Result<Places, RowFault> {
    let Some(given) = arguments.get(1) else {
        return Ok(Places {
            of_rows: vec![0],
            is_one: true,
        });
    };
    let rows = if given.is_literal { 1 } else { num_rows };
    let mut of_rows = Vec::with_capacity(rows);
    for row in 0..rows {
        let values = &given.values;
        let number = values.number(row);
        let places = match values.integer(row) {
            _ if values.is_null(row) => Some(0),
            Some(integer) => Some(integer),
            None => (number.fract() == 0.0 && number.abs() < 1e18).then_some(number as i128),
        };
        match places {
            Some(places) => of_rows.push(places.clamp(-MOST_PLACES, MOST_PLACES) as i32),
            None => {
                let found = values.text(row);
                return Err(fault(row, "a whole number of places to round to", found));
            }
        }
    }
    Ok(Places {
        of_rows,
        is_one: given.is_literal,
    })
}

/// A number of 64 bits rounded to places, halves away from 0.
pub(super) fn round(value: f64, places: i32) -> f64 {
    let factor = 10f64.powi(places.abs());
    let rounded = match places >= 0 {
        true => (value * factor).round() / factor,
        false => (value / factor).round() * factor,
    };
    // A number too large to be multiplied has no digits behind the point, and one divided away is nothing.
    match rounded.is_finite() {
        true => rounded,
        false if places >= 0 => value,
        false => 0.0,
    }
}

/// Integers and decimals without a step through numbers of 64 bits.
pub(super) fn exact(
    function: Function,
    arguments: &[Side],
    num_rows: usize,
) -> Result<Values, RowFault> {
    let numbers = &arguments[0];
    let scale = match &numbers.values {
        Values::Decimal(array) => scale_of(array),
        _ => 0,
    };
    let places = places(arguments, num_rows)?;
    // As many places as the result needs: those that are rounded to, where these are the same on every row.
    let kept = match function {
        Function::Floor | Function::Ceil => 0,
        Function::Round if places.is_one => places.at(0).clamp(0, i32::from(scale.max(0))) as i8,
        _ => scale,
    };
    let mut results = Vec::with_capacity(num_rows);
    for row in 0..num_rows {
        let is_null = arguments
            .iter()
            .any(|side| side.values.is_null(side.at(row)));
        let at = numbers.at(row);
        let (false, Some((digits, _))) = (is_null, numbers.values.exact(at)) else {
            results.push(None);
            continue;
        };
        let result = match function {
            Function::Abs => Some(digits.abs()),
            Function::Round => {
                let to = places.at(row).clamp(-100, i32::from(scale)) as i8;
                rounded(digits, scale, to).and_then(|digits| rounded(digits, to, kept))
            }
            _ => whole(function, digits, scale),
        };
        match result.filter(|digits| digits.unsigned_abs() < 10u128.pow(38)) {
            Some(digits) => results.push(Some(digits)),
            None => return Err(fault(row, DIGITS, numbers.values.text(at))),
        }
    }
    Ok(match kept {
        0 => integers(results),
        _ => Values::Decimal(decimals(results, kept)),
    })
}

/// The largest integer that is not above a decimal, or the smallest that is not below it.
fn whole(function: Function, digits: i128, scale: i8) -> Option<i128> {
    if scale <= 0 {
        return rounded(digits, scale, 0);
    }
    let power = 10i128.checked_pow(u32::from(scale.unsigned_abs()))?;
    let floor = digits.div_euclid(power);
    let is_between = digits.rem_euclid(power) != 0;
    Some(floor + i128::from(function == Function::Ceil && is_between))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_are_rounded_to_places() {
        // By DuckDB 1.5: round(x, n).
        for (value, places, expected) in [
            (2.675, 2, 2.68),
            (-2.5, 0, -3.0),
            (1250.0, -2, 1300.0),
            (1e300, 20, 1e300),
            (5.0, -330, 0.0),
        ] {
            assert_eq!(round(value, places), expected, "{value} {places}");
        }
    }
}
