//! What several operands are read as, where that can be told without looking at data: see [`common`].

use super::words::{arguments, text_of};
use super::{Kind, Refused, Translator, is_null_literal};
use crate::node::{CastType, ColumnType, FUNCTIONS, Function, Node, Reading};
use crate::number_text::read_number;
use crate::operands::{Family, common};
use crate::timeline::{self, TimeRule};
use sqlparser::ast::Expr;

/// What brings operands together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Together {
    Equal,
    Order,
    /// A value of each row is one of them.
    Choice,
    /// The greatest or the least of them.
    Extreme,
}

/// What operands are read as, and how texts among them are written where they are times.
pub(super) struct Operands {
    reading: Reading,
    /// Nothing where no column among them is known to hold times.
    rule: Option<TimeRule>,
}

impl Translator<'_> {
    /// What operands are read as: what those say that say something, which texts in quotes don't.
    pub(super) fn operands(
        &self,
        at: &Expr,
        how: Together,
        parts: &[&Expr],
        wanted: Kind,
    ) -> Result<Operands, Refused> {
        let texts: Vec<&str> = parts.iter().filter_map(|part| text_of(part)).collect();
        let has_order = matches!(how, Together::Order | Together::Extreme);
        let known = self.known(at, how, parts)?;
        let is_open = |part: &&&Expr| {
            text_of(part).is_none() && !is_null_literal(part) && self.kind(part).is_none()
        };
        let has_open = parts.iter().any(|part| is_open(&part));
        let are_times = || {
            texts
                .iter()
                .all(|text| TimeRule::default().parse(text).is_ok())
        };
        let text = |part: &&&Expr| text_of(part).is_some();
        let reading = match (known, wanted) {
            (Some(known), _) => known.reading(),
            (None, Some(wanted @ (Reading::Number | Reading::Time | Reading::Boolean))) => wanted,
            (None, _) if !texts.is_empty() && !has_open => Reading::Text,
            (None, _) if !texts.is_empty() && has_order => match are_times() {
                true => Reading::Time,
                false => {
                    let first = parts.iter().find(text).copied();
                    return Err(self.no_order(first.unwrap_or(at)));
                }
            },
            // An order of what is chosen: of times, or of numbers.
            (None, Some(Reading::Ordered)) if !texts.is_empty() => match are_times() {
                true => Reading::Time,
                false => Reading::Number,
            },
            (None, _) if !texts.is_empty() => Reading::Text,
            (None, Some(Reading::Ordered)) => Reading::Ordered,
            (None, _) if has_order => Reading::Ordered,
            // A text within one of them is compared as it is written.
            (None, _) if how == Together::Equal => {
                match parts.iter().any(|part| self.chooses_text(part)) {
                    true => Reading::Text,
                    false => Reading::Same,
                }
            }
            (None, wanted) => wanted.unwrap_or(Reading::Raw),
        };
        Ok(Operands {
            reading,
            rule: self.rule_of(parts),
        })
    }

    /// The type that the parts which say what they are come to.
    fn known(&self, at: &Expr, how: Together, parts: &[&Expr]) -> Result<Option<Family>, Refused> {
        let mut known: Option<Family> = None;
        for part in parts.iter().filter(|part| text_of(part).is_none()) {
            let Some(family) = self.kind(part).and_then(Family::of_reading) else {
                continue;
            };
            // A text that a column holds is no number or time that somebody meant in quotes.
            let mixes_texts = |known: Family| (known == Family::Text) != (family == Family::Text);
            known = match known {
                None => Some(family),
                Some(known) => match common(known, family).filter(|_| !mixes_texts(known)) {
                    Some(both) => Some(both),
                    None => return Err(self.no_common_type(at, how, known, family)),
                },
            };
        }
        Ok(known)
    }

    fn no_common_type(&self, at: &Expr, how: Together, a: Family, b: Family) -> Refused {
        let (a, b) = (a.word(), b.word());
        let message = match how {
            Together::Equal | Together::Order => format!("{a} can't be compared with {b}"),
            Together::Choice | Together::Extreme => {
                format!("{a} and {b} have no common type, and every value of a column has one")
            }
        };
        self.refuse(at, message).hint(
            "write texts in quotes and numbers without, or cast one side: cast(column as text)",
        )
    }

    /// An operand, a text in quotes read as what it stands beside.
    pub(super) fn operand(&mut self, part: &Expr, operands: &Operands) -> Result<Node, Refused> {
        if is_null_literal(part) {
            return Ok(Node::Null);
        }
        let Some(text) = text_of(part) else {
            return self.any(part, Some(operands.reading));
        };
        match operands.reading {
            Reading::Time => {
                // As the column's values are written, or as ISO 8601 has it.
                let rule = operands.rule.clone().unwrap_or_default();
                let iso = TimeRule {
                    format: None,
                    ..rule.clone()
                };
                match rule.parse(text).or_else(|_| iso.parse(text)) {
                    Ok((time, _)) if operands.rule.is_none() => {
                        Ok(Node::WrittenTime(text.to_owned(), time))
                    }
                    Ok((time, _)) if rule.is_date => Ok(Node::Day(timeline::start_of_day(time))),
                    Ok((time, _)) => Ok(Node::Time(time)),
                    Err(expected) => Err(self
                        .refuse(part, format!("expected {expected}, found `{text}`"))
                        .hint("to compare or keep texts, cast the times: cast(column as text)")),
                }
            }
            Reading::Boolean => match crate::boolean(text) {
                Some(value) => Ok(Node::Boolean(value)),
                None => Err(self.refuse(part, format!("expected true or false, found `{text}`"))),
            },
            Reading::Number => match read_number(text) {
                Some(number) => Ok(Node::Number(number)),
                None => Err(self
                    .refuse(
                        part,
                        format!("expected a number, found `{text}`: the other values are numbers"),
                    )
                    .hint("to compare or keep texts, cast the numbers: cast(column as text)")),
            },
            _ => Ok(Node::Text(text.to_owned())),
        }
    }

    /// What is chosen among, where an expression chooses.
    fn choices<'e>(&self, expression: &'e Expr) -> Vec<&'e Expr> {
        match expression {
            Expr::Nested(inner) => self.choices(inner),
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let results = conditions.iter().map(|when| &when.result);
                results.chain(else_result.as_deref()).collect()
            }
            Expr::Function(call) => {
                let name = call.name.to_string().to_lowercase();
                let function = FUNCTIONS.iter().find(|(known, ..)| *known == name);
                match function.map(|(_, function, ..)| function) {
                    Some(Function::Coalesce | Function::Greatest | Function::Least) => {
                        arguments(&call.args)
                    }
                    Some(Function::NullIf) => arguments(&call.args).into_iter().take(1).collect(),
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whether a text in quotes is among what an expression chooses.
    fn chooses_text(&self, expression: &Expr) -> bool {
        let mut parts = self.choices(expression).into_iter();
        parts.any(|part| text_of(part).is_some() || self.chooses_text(part))
    }

    /// What an expression that chooses is by itself; a text in quotes says it only where nothing else could.
    pub(super) fn kind_of_choice(&self, how: Together, parts: &[&Expr]) -> Kind {
        let others = || {
            let others = parts.iter().filter(|part| !is_null_literal(part));
            others.filter(|part| text_of(part).is_none())
        };
        let mut known = others().filter_map(|part| self.kind(part).and_then(Family::of_reading));
        let texts: Vec<&str> = parts.iter().filter_map(|part| text_of(part)).collect();
        let first = known.next();
        let both = first.map(|first| known.fold(first, |a, b| common(a, b).unwrap_or(a)));
        let are_times = || {
            texts
                .iter()
                .all(|text| TimeRule::default().parse(text).is_ok())
        };
        match both {
            Some(family) => Some(family.reading()),
            None if texts.is_empty() => None,
            None if others().next().is_none() => Some(Reading::Text),
            None if how == Together::Extreme && are_times() => Some(Reading::Time),
            None => None,
        }
    }

    /// How texts beside these are written where they are times: as the first column of times has it.
    fn rule_of(&self, parts: &[&Expr]) -> Option<TimeRule> {
        let times = || {
            let is_time =
                |part: &&&Expr| text_of(part).is_none() && self.kind(part) == Some(Reading::Time);
            parts.iter().filter(is_time)
        };
        times().next()?;
        let rule = times()
            .find_map(|part| self.time_rule(part))
            .unwrap_or_default();
        Some(TimeRule {
            is_date: times().all(|part| self.is_day(part)),
            ..rule
        })
    }

    fn is_day(&self, part: &Expr) -> bool {
        match part {
            Expr::Nested(inner) => self.is_day(inner),
            Expr::Identifier(_) => self.time_rule(part).is_some_and(|rule| rule.is_date),
            Expr::Cast { data_type, .. } => {
                matches!(super::words::cast_type(data_type), Ok(CastType::Date))
            }
            Expr::TypedString(typed) => {
                matches!(
                    super::words::cast_type(&typed.data_type),
                    Ok(CastType::Date)
                )
            }
            other => {
                let parts = self.choices(other);
                let mut parts = parts
                    .iter()
                    .filter(|part| text_of(part).is_none())
                    .peekable();
                parts.peek().is_some() && parts.all(|part| self.is_day(part))
            }
        }
    }

    /// The rule of a column of times.
    fn time_rule(&self, side: &Expr) -> Option<TimeRule> {
        let name = match side {
            Expr::Nested(inner) => return self.time_rule(inner),
            Expr::Identifier(name) => name,
            _ => return None,
        };
        let mut columns = self.columns.names.iter();
        let column = columns.position(|column| *column == name.value)?;
        match self.columns.declared(column)? {
            // A literal is written as a time even where the column counts a unit.
            ColumnType::Time(rule) => Some(TimeRule {
                unit: None,
                ..rule.clone()
            }),
            _ => None,
        }
    }
}
