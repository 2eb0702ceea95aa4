//! The text of an expression into the parser's tree.

use super::grammar::{fault, fault_of_words, goes_on, in_a_name};
use super::{Columns, MAX_PARTS, Refused, Translator};
use crate::node::Node;
use crate::spelling;
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Longer expressions are refused.
const MAX_TOKENS: usize = 4096;

/// Parts within parts deeper than this are refused rather than recursed into.
const MAX_DEPTH: usize = 40;

/// SQL as MySQL, Spark and BigQuery quote it: names between backticks, texts between either kind of quotes.
// A double quote that opened a name in one program and a text in another would change a condition's meaning without a word.
#[derive(Debug)]
pub(super) struct Quoting;

impl Dialect for Quoting {
    fn is_identifier_start(&self, letter: char) -> bool {
        is_name_start(letter)
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        is_name_part(letter)
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '`'
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
}

fn is_name_start(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_'
}

fn is_name_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether a name is a word, which needs no backticks.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.starts_with(is_name_start) && name.chars().all(is_name_part)
}

/// Stack of the thread that parses.
// The parser leans a chain of `or` to the left, and walks and drops it as deep as it is long: a thousand levels are a few
// megabytes, which a thread of rayon doesn't have.
const PARSER_STACK: usize = 64 << 20;

pub(crate) fn parse(text: &str, columns: Columns<'_>, is_condition: bool) -> Result<Node, Refused> {
    on_own_thread(|| {
        parse_here(text, columns, is_condition, Writer::User)
            .map_err(|refused| in_a_name(refused, text, columns))
    })
}

/// What a node's spelling is read as.
pub(crate) fn parse_spelled(node: &Node, columns: Columns<'_>, is_condition: bool) -> Option<Node> {
    let text = spelling::readable(node, columns.names);
    on_own_thread(|| parse_here(&text, columns, is_condition, Writer::Spelling)).ok()
}

fn on_own_thread(parse: impl FnOnce() -> Result<Node, Refused> + Send) -> Result<Node, Refused> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK);
        match thread.spawn_scoped(scope, parse) {
            Ok(parsing) => parsing.join().unwrap_or_else(|_| {
                Err(Refused::new(0, "the SQL parser can't read this expression"))
            }),
            Err(error) => Err(Refused::new(0, format!("no thread to parse it: {error}"))),
        }
    })
}

/// Who wrote an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    User,
    /// Its parts are in parentheses, each of which counts: limits are those of the expression that it spells.
    Spelling,
}

fn parse_here(
    text: &str,
    columns: Columns<'_>,
    is_condition: bool,
    writer: Writer,
) -> Result<Node, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::new(
            0,
            "expected a column or a condition, found nothing",
        ));
    }
    let tokens = Tokenizer::new(&Quoting, text)
        .tokenize_with_location()
        .map_err(|error| fault_of_words(text, error.message, error.location))?;
    if writer == Writer::User {
        if let Some(token) = tokens.get(MAX_TOKENS) {
            let message = format!("the expression is too long: more than {MAX_TOKENS} words");
            return Err(Refused::new(offset_of(text, token.span.start), message));
        }
        check_depth(text, &tokens)?;
    }
    // Deeper than what was just let through needs: the parser tells its own limit as a fault of grammar.
    let mut parser = Parser::new(&Quoting)
        .with_recursion_limit(MAX_PARTS * 4)
        .with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr();
    let next = parser.peek_token();
    let at = match next.token {
        Token::EOF => text.len(),
        _ => offset_of(text, next.span.start),
    };
    let parsed = parsed.map_err(|error| match error {
        ParserError::RecursionLimitExceeded => Refused::new(
            at,
            format!("more than {MAX_DEPTH} levels of `not` and parentheses"),
        ),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            fault(text, &message, at)
        }
    })?;
    if next.token != Token::EOF {
        return Err(goes_on(text, &next.token, at));
    }
    let mut translator = Translator {
        text,
        columns,
        depth: 0,
        // Parentheses around a part are a part of their own.
        most_parts: match writer {
            Writer::User => MAX_PARTS,
            Writer::Spelling => MAX_PARTS * 2,
        },
    };
    match is_condition {
        true => translator.condition(&parsed),
        false => translator.any(&parsed, None),
    }
}

/// Refuses `not`s and parentheses within each other that are too many.
fn check_depth(text: &str, tokens: &[TokenWithSpan]) -> Result<(), Refused> {
    let (mut open, mut nots) = (0usize, 0usize);
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            _ => {}
        }
        let is_not =
            matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("not"));
        nots = if is_not { nots + 1 } else { 0 };
        if open + nots > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of `not` and parentheses");
            return Err(Refused::new(offset_of(text, token.span.start), message));
        }
    }
    Ok(())
}

/// The byte of a place of the tokenizer.
pub(super) fn offset_of(text: &str, location: Location) -> usize {
    let line = usize::try_from(location.line).unwrap_or(1).max(1);
    let column = usize::try_from(location.column).unwrap_or(1).max(1);
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = &text[start.min(text.len())..];
    let letters = rest.char_indices().nth(column - 1);
    letters.map_or(text.len(), |(at, _)| start + at)
}
