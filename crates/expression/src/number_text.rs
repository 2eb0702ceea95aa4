//! Numbers that texts spell, exact where they are whole or have a point.

use crate::node::NumberLiteral;

/// Most places behind the point that are kept as digits; more become the nearest number of 64 bits.
const MOST_PLACES: usize = 18;

/// The number that digits spell: exact where it is whole and has at most 38 digits, or has a point and few places behind it.
pub(crate) fn unsigned(digits: &str) -> Option<NumberLiteral> {
    let whole = digits.split_once('.').map_or(digits, |(whole, fraction)| {
        match fraction.bytes().all(|digit| digit == b'0') && !whole.is_empty() {
            true => whole,
            false => digits,
        }
    });
    if let Ok(integer) = whole.parse::<i128>() {
        return (integer.unsigned_abs() < 10u128.pow(38))
            .then_some(NumberLiteral::Integer(integer));
    }
    // A decimal keeps its digits: 4.1 has no number of 64 bits.
    if let Some((whole, fraction)) = digits.split_once('.')
        && fraction.len() <= MOST_PLACES
        && fraction.bytes().all(|digit| digit.is_ascii_digit())
        && let Ok(all) = format!("{whole}{fraction}").parse::<i128>()
        && all.unsigned_abs() < 10u128.pow(38)
    {
        return Some(NumberLiteral::Decimal(all, fraction.len() as i8));
    }
    let number: f64 = digits.parse().ok()?;
    // `1e3` is the integer that it stands for.
    let is_whole = number.fract() == 0.0 && number.abs() < 2f64.powi(53);
    match is_whole {
        true => Some(NumberLiteral::Integer(number as i128)),
        false => number.is_finite().then_some(NumberLiteral::Float(number)),
    }
}

/// The number that a text spells, with a sign or without; spaces around it don't count.
pub fn read_number(text: &str) -> Option<NumberLiteral> {
    let text = text.trim();
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    // `inf`, `nan` and a second sign are numbers for a parser of floats alone.
    let starts_well = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if !digits.bytes().next().is_some_and(starts_well) {
        return None;
    }
    let number = unsigned(digits)?;
    Some(if is_negative {
        number.negated()
    } else {
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use NumberLiteral::{Decimal, Float, Integer};

    #[test]
    fn texts_spell_numbers_with_all_of_their_digits() {
        for (text, expected) in [
            ("9007199254740993", Some(Integer(9_007_199_254_740_993))),
            (" -07.0 ", Some(Integer(-7))),
            ("+5", Some(Integer(5))),
            ("0.10", Some(Decimal(10, 2))),
            (".5", Some(Decimal(5, 1))),
            ("1e3", Some(Integer(1000))),
            ("1e-3", Some(Float(0.001))),
            ("", None),
            ("-", None),
            ("--1", None),
            ("inf", None),
            ("nan", None),
            ("1_000", None),
            ("1e999", None),
            ("12a", None),
        ] {
            assert_eq!(read_number(text), expected, "{text}");
        }
    }
}
