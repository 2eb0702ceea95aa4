//! Comparisons: what each side is read as.

use super::words::{comparison, negate, text_of, word};
use super::{Kind, Refused, Translator};
use crate::node::ColumnType;
use crate::node::{Node, Operator, Reading};
use crate::timeline::TimeRule;
use sqlparser::ast::{Expr, Value};

impl Translator<'_> {
    /// A comparison, in which each side that says nothing of itself is read as the other.
    pub(super) fn compare(
        &mut self,
        at: &Expr,
        left: &Expr,
        operator: Operator,
        right: &Expr,
    ) -> Result<Node, Refused> {
        for side in [left, right] {
            if matches!(side, Expr::BinaryOp { op, .. } if comparison(op).is_some()) {
                return Err(self
                    .refuse(
                        side,
                        "comparisons can't be chained: the first is true or false, and no number",
                    )
                    .hint("write `1 < x and x < 2`, or `x between 1 and 2`"));
            }
            if matches!(side, Expr::Value(value) if value.value == Value::Null) {
                return Err(self
                    .refuse(side, "a comparison with null is never true")
                    .hint("write `column is null` or `column is not null`"));
            }
            if matches!(text_of(side), Some("")) {
                return Err(self
                    .refuse(
                        side,
                        "an empty text is a missing value, and no comparison with it is true",
                    )
                    .hint("write `column is null` or `column is not null`"));
            }
        }
        let (of_left, of_right) = (self.kind(left), self.kind(right));
        if of_left.is_none() && of_right.is_none() {
            // Two columns whose types nobody gave. An order is one of numbers, or of times: `play_time_ms >=
            // duration_ms`; equal are values of any kind.
            let number = match operator.is_order() {
                true => Some(Reading::Ordered),
                false => Some(Reading::Raw),
            };
            return Ok(Node::Compare {
                operator,
                left: self.boxed(left, number)?,
                right: self.boxed(right, number)?,
            });
        }
        let left_node = self.side(at, left, of_left, right, of_right, operator)?;
        let right_node = self.side(at, right, of_right, left, of_left, operator)?;
        Ok(Node::Compare {
            operator,
            left: Box::new(left_node),
            right: Box::new(right_node),
        })
    }

    pub(super) fn side(
        &mut self,
        at: &Expr,
        side: &Expr,
        kind: Kind,
        other: &Expr,
        of_other: Kind,
        operator: Operator,
    ) -> Result<Node, Refused> {
        use Reading::{Boolean, Number, Text, Time};
        // A text beside a time is one, and so is a text that a column without a type is ordered by.
        let rule = self.time_rule(other);
        match (kind, of_other, text_of(side)) {
            (Some(Text), Some(Time), Some(text)) => {
                // As the column's values are written, or as ISO 8601 has it.
                let iso = TimeRule {
                    format: None,
                    ..rule.clone()
                };
                return match rule.parse(text).or_else(|_| iso.parse(text)) {
                    Ok((time, _)) => Ok(Node::Time(time)),
                    Err(expected) => {
                        Err(self.refuse(side, format!("expected {expected}, found `{text}`")))
                    }
                };
            }
            (Some(Text), Some(Boolean), Some(text)) => {
                return match crate::boolean(text) {
                    Some(value) => Ok(Node::Boolean(value)),
                    None => {
                        Err(self.refuse(side, format!("expected true or false, found `{text}`")))
                    }
                };
            }
            (Some(Text), None, Some(text)) if operator.is_order() => {
                return match TimeRule::default().parse(text) {
                    Ok((time, _)) => Ok(Node::Time(time)),
                    Err(_) => Err(self.no_order(side)),
                };
            }
            _ => {}
        }
        if kind.is_none()
            && of_other == Some(Text)
            && operator.is_order()
            && let Some(text) = text_of(other)
        {
            return match TimeRule::default().parse(text) {
                Ok(_) => self.any(side, Some(Time)),
                Err(_) => Err(self.no_order(other)),
            };
        }
        // A text beside a time or a condition is read as one, see above.
        let is_read_alike = matches!(kind, Some(Time | Boolean)) && text_of(other).is_some();
        let is_mixed = match (kind, of_other) {
            _ if is_read_alike => false,
            (Some(a), Some(b)) => {
                a != b && !matches!((a, b), (Number, Boolean) | (Boolean, Number))
            }
            _ => false,
        };
        if is_mixed {
            let (a, b) = (kind.map_or("", word), of_other.map_or("", word));
            return Err(self
                .refuse(at, format!("{a} can't be compared with {b}"))
                .hint("write texts in quotes and numbers without, or cast one side: cast(column as text)"));
        }
        self.any(side, of_other)
    }

    /// The rule of a column of times; that of ISO 8601 for anything else.
    pub(super) fn time_rule(&self, side: &Expr) -> TimeRule {
        let Expr::Identifier(name) = side else {
            return TimeRule::default();
        };
        let column = self
            .columns
            .names
            .iter()
            .position(|column| *column == name.value);
        match column.and_then(|column| self.columns.declared(column)) {
            // A literal is written as a time even where the column counts a unit.
            Some(ColumnType::Time(rule)) => TimeRule {
                unit: None,
                ..rule.clone()
            },
            _ => TimeRule::default(),
        }
    }

    pub(super) fn no_order(&self, at: &Expr) -> Refused {
        self.refuse(
            at,
            "texts have no order; only `=` and `<>` compare with a text that is no time",
        )
        .hint("write a number without quotes, or a time such as \"2022-04-08T12:00:00\"")
    }

    pub(super) fn like(
        &mut self,
        inner: &Expr,
        pattern: &Expr,
        negated: bool,
        is_case_sensitive: bool,
    ) -> Result<Node, Refused> {
        let Some(pattern) = text_of(pattern) else {
            return Err(self.refuse(pattern, "expected a pattern in quotes, such as \"%word%\""));
        };
        let like = Node::Like {
            pattern: pattern.to_owned(),
            text: self.boxed(inner, Some(Reading::Text))?,
            is_case_sensitive,
        };
        Ok(negate(like, negated))
    }
}
