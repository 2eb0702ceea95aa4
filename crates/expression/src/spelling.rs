//! Spellings of expressions: the canonical one, which writes a few unlike expressions alike, and the one that tells these apart.

use crate::node::{Arithmetic, CastType, Function, Node, NumberLiteral};
use crate::timeline::{self, TimeRule};
use crate::values::{decimal_text, padded_decimal};
use std::fmt::Write;

/// A way of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// What hashes are made of: nothing of it may change.
    Canonical,
    /// The canonical one in words that the parser reads.
    Readable,
    /// What no two expressions share.
    Exact,
}

/// The canonical spelling.
pub(crate) fn canonical(node: &Node, columns: &[String]) -> String {
    spelled(node, Spelling::Canonical, columns)
}

/// The canonical spelling in words that the parser reads.
pub(crate) fn readable(node: &Node, columns: &[String]) -> String {
    spelled(node, Spelling::Readable, columns)
}

/// A spelling that no other expression has, where the canonical one may be that of another which computes something else. `again` is
/// what its readable spelling is read as, and `shows_places` whether zeros behind the point are seen in what it computes.
// Of all expressions of one canonical spelling, those that it is read as need no second one. They are all the same.
pub(crate) fn exact(
    node: &Node,
    again: Option<&Node>,
    columns: &[String],
    shows_places: bool,
) -> Option<String> {
    let simple = |node: &Node| {
        let mut node = node.clone();
        node.simplify(shows_places);
        node
    };
    let node = simple(node);
    match again {
        Some(again) if simple(again) == node => None,
        _ => Some(spelled(&node, Spelling::Exact, columns)),
    }
}

/// Whether zeros behind the point of a number are seen in a part of it: as SQL casts decimals to texts.
pub(crate) fn makes_texts(node: &Node) -> bool {
    let mut found = false;
    node.walk(&mut |part| {
        found |= match part {
            Node::Like { .. }
            | Node::Cast {
                to: CastType::Text, ..
            } => true,
            Node::Call { function, .. } => is_of_texts(*function),
            _ => false,
        };
    });
    found
}

fn is_of_texts(function: Function) -> bool {
    matches!(
        function,
        Function::Lower
            | Function::Upper
            | Function::Trim
            | Function::Length
            | Function::Concat
            | Function::Substring
            | Function::Replace
            | Function::StartsWith
    )
}

fn spelled(node: &Node, spelling: Spelling, columns: &[String]) -> String {
    let mut text = String::new();
    node.write(spelling, columns, &mut text);
    text
}

impl Node {
    /// Gives expressions that compute the same one form, where people write them in several.
    fn simplify(&mut self, shows_places: bool) {
        match self {
            Self::Number(NumberLiteral::Decimal(digits, scale)) if !shows_places => {
                while *scale > 0 && *digits % 10 == 0 {
                    *digits /= 10;
                    *scale -= 1;
                }
            }
            Self::Compare { left, right, .. } => {
                for side in [left, right] {
                    side.simplify(false);
                    if let Self::WrittenTime(text, time) = &**side
                        && is_plain_day(text, *time)
                    {
                        **side = Self::Time(*time);
                    }
                }
            }
            Self::All(parts) | Self::Any(parts) => {
                parts.iter_mut().for_each(|part| part.simplify(false));
                // A list of one value.
                if let [part @ Self::Compare { .. }] = &mut parts[..] {
                    *self = std::mem::replace(part, Self::Null);
                }
            }
            Self::Not(inner) | Self::IsNull(inner) | Self::IsTruth(inner, _) => {
                inner.simplify(false);
            }
            Self::Like { text, .. } => text.simplify(true),
            Self::Cast { inner, to, .. } => inner.simplify(*to == CastType::Text),
            Self::Arithmetic { left, right, .. } => {
                left.simplify(shows_places);
                right.simplify(shows_places);
            }
            Self::Call {
                function,
                arguments,
            } => {
                let shows_places = shows_places || is_of_texts(*function);
                let arguments = arguments.iter_mut();
                arguments.for_each(|part| part.simplify(shows_places));
            }
            Self::Case {
                branches,
                otherwise,
            } => {
                for (condition, value) in branches {
                    condition.simplify(false);
                    value.simplify(shows_places);
                }
                if let Some(value) = otherwise {
                    value.simplify(shows_places);
                }
            }
            Self::Column { .. }
            | Self::Number(_)
            | Self::Text(_)
            | Self::Time(_)
            | Self::WrittenTime(..)
            | Self::Day(_)
            | Self::Boolean(_)
            | Self::Null => {}
        }
    }

    /// Appends a spelling.
    fn write(&self, spelling: Spelling, columns: &[String], text: &mut String) {
        let list = |parts: &[Self], between: &str, text: &mut String| {
            for (index, part) in parts.iter().enumerate() {
                text.push_str(if index > 0 { between } else { "" });
                part.write(spelling, columns, text);
            }
        };
        match self {
            Self::Column { column, reading } => {
                let _ = write!(text, "`{}`", columns[*column].replace('`', "``"));
                if spelling == Spelling::Exact {
                    let _ = write!(text, " as {reading:?}");
                }
            }
            Self::Number(NumberLiteral::Integer(number)) => {
                let _ = write!(text, "{number}");
            }
            Self::Number(NumberLiteral::Decimal(digits, scale)) => {
                text.push_str(&match spelling {
                    Spelling::Exact => padded_decimal(*digits, *scale),
                    _ => decimal_text(*digits, *scale),
                });
            }
            Self::Number(NumberLiteral::Float(number)) => {
                let _ = write!(text, "{number:?}");
                if spelling == Spelling::Exact {
                    text.push_str(" as float");
                }
            }
            Self::Text(value) => write_text(value, text),
            Self::WrittenTime(written, _) if spelling == Spelling::Exact => {
                text.push_str("time ");
                write_text(written, text);
            }
            Self::Time(time) | Self::WrittenTime(_, time) => {
                text.push_str("timestamp ");
                write_text(&timeline::text(*time), text);
            }
            Self::Day(time) => {
                text.push_str("date ");
                write_text(&timeline::day_text(*time), text);
            }
            Self::Boolean(value) => {
                let _ = write!(text, "{value}");
            }
            Self::Null => text.push_str("null"),
            Self::Compare {
                operator,
                left,
                right,
            } => {
                text.push('(');
                left.write(spelling, columns, text);
                let _ = write!(text, " {} ", operator.word());
                right.write(spelling, columns, text);
                text.push(')');
            }
            // `-x` has this form, and is written far more often than `0 - x`.
            Self::Arithmetic {
                operator: Arithmetic::Minus,
                left,
                right,
            } if spelling == Spelling::Readable
                && **left == Self::Number(NumberLiteral::Integer(0)) =>
            {
                text.push_str("(- ");
                right.write(spelling, columns, text);
                text.push(')');
            }
            Self::Arithmetic {
                operator,
                left,
                right,
            } => {
                text.push('(');
                left.write(spelling, columns, text);
                let _ = write!(text, " {} ", operator.word());
                right.write(spelling, columns, text);
                text.push(')');
            }
            Self::All(parts) => {
                text.push('(');
                list(parts, " and ", text);
                text.push(')');
            }
            Self::Any(parts) => {
                text.push('(');
                list(parts, " or ", text);
                text.push(')');
            }
            Self::Not(inner) => {
                text.push_str("not ");
                inner.write(spelling, columns, text);
            }
            Self::IsNull(inner) => {
                text.push('(');
                inner.write(spelling, columns, text);
                text.push_str(" is null)");
            }
            Self::IsTruth(inner, truth) => {
                text.push('(');
                inner.write(spelling, columns, text);
                let _ = write!(text, " is {truth})");
            }
            Self::Like {
                text: inner,
                pattern,
                is_case_sensitive,
            } => {
                text.push('(');
                inner.write(spelling, columns, text);
                text.push_str(if *is_case_sensitive {
                    " like "
                } else {
                    " ilike "
                });
                write_text(pattern, text);
                text.push(')');
            }
            Self::Case {
                branches,
                otherwise,
            } => {
                text.push_str("case");
                for (condition, value) in branches {
                    text.push_str(" when ");
                    condition.write(spelling, columns, text);
                    text.push_str(" then ");
                    value.write(spelling, columns, text);
                }
                if let Some(value) = otherwise {
                    text.push_str(" else ");
                    value.write(spelling, columns, text);
                }
                text.push_str(" end");
            }
            Self::Call {
                function,
                arguments,
            } => {
                let name = match (function, spelling) {
                    // The parser wants `from` within `extract`.
                    (Function::Extract, Spelling::Readable) => "date_part",
                    _ => function.name(),
                };
                let _ = write!(text, "{name}(");
                list(arguments, ", ", text);
                text.push(')');
            }
            Self::Cast { inner, to, is_try } => {
                text.push_str(if *is_try { "try_cast(" } else { "cast(" });
                inner.write(spelling, columns, text);
                let _ = write!(text, " as {to})");
            }
        }
    }
}

/// Whether a time in quotes is the same beside days and beside times: the start of a day, without an offset.
fn is_plain_day(text: &str, time: i128) -> bool {
    let names_zone = matches!(TimeRule::default().parse(text), Ok((_, true)));
    timeline::start_of_day(time) == time && !names_zone
}

fn write_text(value: &str, text: &mut String) {
    let _ = write!(text, "'{}'", value.replace('\'', "''"));
}

#[cfg(test)]
mod tests;
