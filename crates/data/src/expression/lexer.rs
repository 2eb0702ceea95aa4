//! Words of a label expression, each with the byte where it starts.

use super::ExpressionError;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A column's name, bare or between backticks.
    Name(String),
    /// A text literal between double or single quotes.
    Text(String),
    /// A number.
    Number(f64),
    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    Operator(&'static str),
    /// `and`, `or`, `not`, `(`, `)`.
    Symbol(&'static str),
}

// `<=` stands before `<`: the first that fits is taken.
const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];
const SYMBOLS: [&str; 5] = ["and", "or", "not", "(", ")"];

/// Splits `text` into words with the byte offset of each.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) =
            if let Some(operator) = OPERATORS.iter().find(|o| rest.starts_with(**o)) {
                (Token::Operator(operator), operator.len())
            } else if matches!(first, '(' | ')') {
                (Token::Symbol(if first == '(' { "(" } else { ")" }), 1)
            } else if matches!(first, '"' | '\'' | '`') {
                quoted(rest, first).ok_or_else(|| {
                    ExpressionError::new(at, format!("the {first} that opens here is never closed"))
                })?
            } else if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
                number(rest, at)?
            } else if first.is_alphabetic() || first == '_' {
                let length = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
                    .unwrap_or(rest.len());
                let word = &rest[..length];
                let token = match SYMBOLS.iter().find(|symbol| **symbol == word) {
                    Some(symbol) => Token::Symbol(symbol),
                    None => Token::Name(word.to_owned()),
                };
                (token, length)
            } else {
                let mut error = ExpressionError::new(at, format!("`{first}` has no meaning here"));
                error.hint = match first {
                    '=' => Some("write `==` to compare".to_owned()),
                    '!' => Some("write `!=` or `not`".to_owned()),
                    '&' | '|' => Some("write `and` or `or`".to_owned()),
                    _ => None,
                };
                return Err(error);
            };
        found.push((at, token));
        at += length;
    }
    Ok(found)
}

/// The word between two `quote`s and its length with them. There are no escapes: the other quotes can be used.
fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let end = rest[1..].find(quote)? + 1;
    let inner = rest[1..end].to_owned();
    let token = if quote == '`' {
        Token::Name(inner)
    } else {
        Token::Text(inner)
    };
    Some((token, end + 1))
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), ExpressionError> {
    // A sign belongs to a number at its start and behind the letter of an exponent.
    let is_exponent_sign = |index: usize| {
        index > 0 && matches!(rest.as_bytes()[index - 1], b'e' | b'E') && rest.as_bytes()[0] != b'e'
    };
    let length = rest
        .char_indices()
        .find(|(index, c)| {
            !(c.is_alphanumeric()
                || matches!(c, '.' | '_')
                || (matches!(c, '-' | '+') && (*index == 0 || is_exponent_sign(*index))))
        })
        .map_or(rest.len(), |(index, _)| index);
    let word = &rest[..length];
    match word.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Number(value), length)),
        _ => Err(ExpressionError::new(
            at,
            format!("expected a number, found `{word}`"),
        )),
    }
}
