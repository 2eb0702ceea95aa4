//! Numbers that TOML's syntax allows and 64 bits don't hold: told with the limit.

use super::KeyPath;
use toml::de::{DeTable, DeValue};

/// The first number, in the order of keys, that is too large.
pub(super) struct TooLarge {
    /// Byte of the text at which it begins.
    pub(super) start: usize,
    /// What was expected and what was found, with the path.
    pub(super) message: String,
}

/// What is wrong with a number among the values of a document, if one is too large.
pub(super) fn too_large(root: &DeTable<'_>) -> Option<TooLarge> {
    in_table(root, &KeyPath::default())
}

/// Why `text`, a value for `path`, is no value of TOML although it looks like one: a number in it is too large.
pub fn number_too_large(text: &str, path: &KeyPath) -> Option<String> {
    let document = format!("value = {text}");
    let root = DeTable::parse(&document).ok()?;
    // A text of several lines is no one value.
    let mut values = root.get_ref().iter();
    let (Some((_, value)), None) = (values.next(), values.next()) else {
        return None;
    };
    in_value(value, path).map(|found| found.message)
}

fn in_table(table: &DeTable<'_>, path: &KeyPath) -> Option<TooLarge> {
    table
        .iter()
        .find_map(|(key, value)| in_value(value, &path.join(key.get_ref().as_ref())))
}

fn in_value(value: &toml::Spanned<DeValue<'_>>, path: &KeyPath) -> Option<TooLarge> {
    let expected = match value.get_ref() {
        DeValue::Integer(number) => {
            let digits = number.as_str();
            match i64::from_str_radix(digits, number.radix()) {
                Ok(_) => return None,
                Err(_) if digits.starts_with('-') => {
                    format!("a whole number from {} (-2^63) on", i64::MIN)
                }
                Err(_) => format!("a whole number up to {} (2^63 - 1)", i64::MAX),
            }
        }
        DeValue::Float(number) => {
            let is_infinite = number.as_str().parse().is_ok_and(f64::is_infinite);
            if !is_infinite || number.as_str().contains("inf") {
                return None;
            }
            match number.as_str().starts_with('-') {
                true => format!("a number from {:e} on", f64::MIN),
                false => format!("a number up to {:e}", f64::MAX),
            }
        }
        DeValue::Array(values) => {
            let mut values = values.iter().enumerate();
            return values
                .find_map(|(index, value)| in_value(value, &path.join(index.to_string())));
        }
        DeValue::Table(table) => return in_table(table, path),
        _ => return None,
    };
    let found = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => String::new(),
    };
    Some(TooLarge {
        start: value.span().start,
        message: format!("`{path}`: expected {expected}, found {found}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_64_bits_are_told_with_the_limit() {
        for (text, expected) in [
            ("9223372036854775807", None),
            ("-9223372036854775808", None),
            ("1e308", None),
            ("inf", None),
            ("-inf", None),
            ("nan", None),
            ("home", None),
            ("\"18446744073709551615\"", None),
            (
                "9223372036854775808",
                Some(
                    "`a`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 9223372036854775808",
                ),
            ),
            (
                "0xFFFFFFFFFFFFFFFF",
                Some(
                    "`a`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 0xFFFFFFFFFFFFFFFF",
                ),
            ),
            (
                "-9223372036854775809",
                Some(
                    "`a`: expected a whole number from -9223372036854775808 (-2^63) on, found -9223372036854775809",
                ),
            ),
            (
                "[1, 18446744073709551615]",
                Some(
                    "`a.1`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 18446744073709551615",
                ),
            ),
            (
                "{ range = [1.0, 1e400] }",
                Some("`a.range.1`: expected a number up to 1.7976931348623157e308, found 1e400"),
            ),
            (
                "-1e400",
                Some("`a`: expected a number from -1.7976931348623157e308 on, found -1e400"),
            ),
        ] {
            let path = KeyPath::new(["a"]);
            assert_eq!(number_too_large(text, &path).as_deref(), expected, "{text}");
        }
    }
}
