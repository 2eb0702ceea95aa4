//! What the SQL parser can't read, in plain words: the parser's own name its parts, and count lines and columns of the expression.

use super::parsing::{Quoting, offset_of};
use super::{Columns, Refused};
use crate::is_plain_name;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// What the parser says in front of the place of a fault.
const PLACE: &str = " at Line: ";

/// A fault of grammar; `at` is where the parser stopped.
pub(super) fn fault(text: &str, message: &str, at: usize) -> Refused {
    let (message, place) = message.rsplit_once(PLACE).unwrap_or((message, ""));
    let mut numbers = place
        .split(", Column: ")
        .filter_map(|number| number.parse().ok());
    let at = match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) => offset_of(text, Location { line, column }),
        // The end has no place.
        _ if message.ends_with("found: EOF") => text.len(),
        _ => at,
    };
    let tokens = tokens(text);
    if let Some(refused) = of_another_language(text, &tokens, at) {
        return refused;
    }
    let start = |token: &TokenWithSpan| offset_of(text, token.span.start);
    let found = tokens.iter().find(|token| start(token) == at);
    let found = found.map_or("the end".to_owned(), |token| format!("`{}`", token.token));
    if let Some(rest) = message.strip_prefix("Expected: ") {
        let expected = rest
            .split_once(", found: ")
            .map_or(rest, |(expected, _)| expected);
        let expected = match expected {
            "an expression" => "a value or a condition".to_owned(),
            // The parser goes on with what other databases have.
            words if words.starts_with("[NOT] NULL") => "`null`, `true` or `false`".to_owned(),
            word if word
                .chars()
                .all(|letter| !letter.is_lowercase() && letter != ' ') =>
            {
                format!("`{}`", word.to_lowercase())
            }
            words => words.to_owned(),
        };
        return Refused::new(at, format!("expected {expected}, found {found}"));
    }
    if message.starts_with("No infix parser") {
        return Refused::new(at, format!("{found} is no operator here"));
    }
    Refused::new(at, format!("this is no SQL expression: {message}"))
}

/// A word where an expression could have ended.
pub(super) fn goes_on(text: &str, found: &Token, at: usize) -> Refused {
    of_another_language(text, &tokens(text), at).unwrap_or_else(|| {
        let is_when = matches!(found, Token::Word(word) if word.value.eq_ignore_ascii_case("when"));
        let message = format!("expected `and`, `or` or the end, found `{found}`");
        let refused = Refused::new(at, message);
        match is_when {
            true => {
                refused.hint("write `case when a > 1 then b else c end`, with `end` at its end")
            }
            false => refused,
        }
    })
}

/// The words of an expression.
fn tokens(text: &str) -> Vec<TokenWithSpan> {
    let tokens = Tokenizer::new(&Quoting, text).tokenize_with_location();
    let mut tokens = tokens.unwrap_or_default();
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    tokens
}

/// What is said of the first operator of another language; one behind the fault isn't its cause.
fn of_another_language(text: &str, tokens: &[TokenWithSpan], at: usize) -> Option<Refused> {
    let mut found = (0..tokens.len()).filter_map(|index| foreign(&tokens[index..]));
    let (token, message, hint) = found.next()?;
    let place = offset_of(text, token.span.start);
    (place <= at).then(|| Refused::new(place, message).hint(hint))
}

/// An operator of other languages that these words begin with, what is said of it, and what to write.
fn foreign(tokens: &[TokenWithSpan]) -> Option<(&TokenWithSpan, String, &'static str)> {
    let first = tokens.first()?;
    let second = tokens.get(1);
    let third = tokens.get(2);
    let is = |token: Option<&TokenWithSpan>, wanted: &Token| {
        token.is_some_and(|token| token.token == *wanted)
    };
    // Beside each other, with no blank between.
    let is_pair = |one: &Token, two: &Token| {
        first.token == *one
            && is(second, two)
            && second.is_some_and(|second| second.span.start == first.span.end)
    };
    let operator = |word: &str, hint| Some((first, format!("`{word}` is no operator here"), hint));
    match &first.token {
        Token::Overlap => operator("&&", "write `and`"),
        Token::ExclamationMark | Token::DoubleExclamationMark => {
            operator("!", "write `not`, as in `not (a = 1)`")
        }
        Token::RArrow => operator("=>", "write `>=`"),
        Token::Question | Token::Placeholder(_) => operator(
            &first.token.to_string(),
            "to choose write `case when a > 1 then b else c end`",
        ),
        Token::Char(quote @ ('“' | '”' | '„' | '‘' | '’')) => Some((
            first,
            format!("`{quote}` is no quote here"),
            "write straight ones: 'text'",
        )),
        _ if is_pair(&Token::Mul, &Token::Mul) => {
            operator("**", "write the product, such as `a * a`")
        }
        _ if is_pair(&Token::Div, &Token::Div) => {
            operator("//", "for the whole number below write `floor(a / b)`")
        }
        _ if is_pair(&Token::Eq, &Token::Lt) => operator("=<", "write `<=`"),
        _ if is_pair(&Token::DoubleEq, &Token::Eq) => operator("===", "write `=`"),
        Token::Word(word)
            if word.value.eq_ignore_ascii_case("in")
                && is(second, &Token::LParen)
                && is(third, &Token::RParen) =>
        {
            Some((
                third.unwrap_or(first),
                "expected the values of a list, found `)`".to_owned(),
                "write them between the parentheses, such as `in (1, 2)`",
            ))
        }
        _ => None,
    }
}

/// What is said of a text that doesn't divide into words.
pub(super) fn fault_of_words(text: &str, message: String, place: Location) -> Refused {
    let at = offset_of(text, place);
    if message.starts_with("Unterminated string literal") {
        return Refused::new(at, "a quote opens here and doesn't close");
    }
    if message.starts_with("Expected close delimiter") {
        return Refused::new(at, "a backtick opens here and doesn't close");
    }
    Refused::new(at, message)
}

/// The hint of a fault that lies in the name of a column which is no word and stands without backticks.
pub(super) fn in_a_name(refused: Refused, text: &str, columns: Columns<'_>) -> Refused {
    let is_inside = |name: &&String| {
        let mut places = text.match_indices(name.as_str());
        places.any(|(start, _)| {
            let end = start + name.len();
            let is_apart = |letter: Option<char>| {
                letter.is_none_or(|letter| {
                    !letter.is_alphanumeric() && !matches!(letter, '_' | '`' | '\'' | '"')
                })
            };
            (start..end).contains(&refused.offset)
                && is_apart(text[..start].chars().next_back())
                && is_apart(text[end..].chars().next())
        })
    };
    let names = columns
        .names
        .iter()
        .filter(|name| !name.is_empty() && !is_plain_name(name));
    match names.filter(is_inside).max_by_key(|name| name.len()) {
        Some(name) => {
            let hint =
                format!("write the column's name, which is no word, between backticks: `{name}`");
            refused.hint(hint)
        }
        None => refused,
    }
}
