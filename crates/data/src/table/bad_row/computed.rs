//! What is said of an expression that can't be computed on a row.

use super::EXACT_INTEGER;
use crate::expression::{self, Expression};

/// Longest expression that is shown whole.
const MOST_SHOWN: usize = 120;

/// What of the description is computed, with its expression.
pub(in crate::table) fn part_of(what: &str, expression: &Expression) -> String {
    let words: Vec<&str> = expression.text().split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{what}, which is {}...", &text[..end]),
        None => format!("{what}, which is {text}"),
    }
}

/// What to do about an expression that can't be computed on every row.
const GUARD: &str = "guard it with `case when ... then ... end`, or write `try_cast` for null where a value can't be cast";

/// What to do about an expression, by what it expected.
pub(super) fn computed_hint(expected: &str, found: &str) -> &'static str {
    match expected {
        _ if found == "a time" => {
            "of a time take its seconds since 1970, `extract(epoch from column)`, or another part of it"
        }
        _ if found == "a text" => {
            "of a text take the number that it spells: `try_cast(column as float)`, null where it spells none"
        }
        expression::BESIDE_NUMBERS | expression::BESIDE_TIMES | expression::BESIDE_CONDITIONS => {
            "to compare or keep texts, cast the other values: `cast(column as text)`; `try_cast` of a column of texts gives \
             null where a text can't be cast"
        }
        expression::ONE_TYPE => {
            "cast one of them to the type of the other, such as `cast(column as text)`"
        }
        expression::BESIDE_FLOATS => {
            "cast the values with a point, such as `cast(column as decimal(38, 6))`: beside decimals integers keep all of \
             their digits"
        }
        EXACT_INTEGER => {
            "cast what it is computed from: `cast(column as decimal(38, 6))` keeps all digits, and `cast(column as float)` rounds"
        }
        expression::DIGITS => "cast one side to a number of 64 bits: `cast(column as float)`",
        _ => GUARD,
    }
}
