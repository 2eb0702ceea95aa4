//! Comparisons of two sides, of one with a list, and of one with two limits.

use super::operands::{Operands, Together};
use super::words::{comparison, negate, text_of};
use super::{Refused, Translator, is_null_literal};
use crate::node::{Node, Operator, Reading};
use homebench_diagnostic::nearest;
use sqlparser::ast::Expr;

impl Translator<'_> {
    /// A comparison, in which each side that says nothing of itself is read as the other.
    pub(super) fn compare(
        &mut self,
        at: &Expr,
        left: &Expr,
        operator: Operator,
        right: &Expr,
    ) -> Result<Node, Refused> {
        let how = match operator.is_order() {
            true => Together::Order,
            false => Together::Equal,
        };
        let operands = self.compared(at, how, &[left, right])?;
        self.compared_as(&operands, left, operator, right)
    }

    /// What sides that are compared are read as.
    pub(super) fn compared(
        &self,
        at: &Expr,
        how: Together,
        sides: &[&Expr],
    ) -> Result<Operands, Refused> {
        for side in sides {
            self.check_side(side)?;
        }
        if how == Together::Equal {
            self.check_words(sides)?;
        }
        self.operands(at, how, sides, None)
    }

    pub(super) fn compared_as(
        &mut self,
        operands: &Operands,
        left: &Expr,
        operator: Operator,
        right: &Expr,
    ) -> Result<Node, Refused> {
        Ok(Node::Compare {
            operator,
            left: Box::new(self.operand(left, operands)?),
            right: Box::new(self.operand(right, operands)?),
        })
    }

    /// A side equal to any of a list.
    pub(super) fn is_in(
        &mut self,
        at: &Expr,
        side: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Node, Refused> {
        let sides: Vec<&Expr> = std::iter::once(side).chain(list).collect();
        let operands = self.compared(at, Together::Equal, &sides)?;
        let equal = list
            .iter()
            .map(|value| self.compared_as(&operands, side, Operator::Equal, value));
        let any = Node::Any(equal.collect::<Result<_, _>>()?);
        Ok(negate(any, negated))
    }

    /// A side between two limits.
    pub(super) fn is_between(
        &mut self,
        at: &Expr,
        side: &Expr,
        (low, high): (&Expr, &Expr),
        negated: bool,
    ) -> Result<Node, Refused> {
        let operands = self.compared(at, Together::Order, &[side, low, high])?;
        let from = self.compared_as(&operands, side, Operator::GreaterOrEqual, low)?;
        let to = self.compared_as(&operands, side, Operator::LessOrEqual, high)?;
        Ok(negate(Node::All(vec![from, to]), negated))
    }

    fn check_side(&self, side: &Expr) -> Result<(), Refused> {
        if matches!(side, Expr::BinaryOp { op, .. } if comparison(op).is_some()) {
            return Err(self
                .refuse(
                    side,
                    "comparisons can't be chained: the first is true or false, and no number",
                )
                .hint("write `1 < x and x < 2`, or `x between 1 and 2`"));
        }
        if is_null_literal(side) {
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
        Ok(())
    }

    /// Refuses a word beside a column that is no column itself: a text without its quotes.
    fn check_words(&self, sides: &[&Expr]) -> Result<(), Refused> {
        let is_known = |name: &str| {
            let mut names = self.columns.names.iter().chain(self.columns.later);
            names.any(|column| column == name)
        };
        let is_column = |side: &&Expr| match side {
            Expr::Identifier(name) => is_known(&name.value),
            _ => false,
        };
        if !sides.iter().any(is_column) {
            return Ok(());
        }
        for side in sides {
            if let Expr::Identifier(name) = side
                && name.quote_style.is_none()
                && !is_known(&name.value)
            {
                let name = &name.value;
                let names = self.columns.names.iter().map(String::as_str);
                let near = match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`? "),
                    None => String::new(),
                };
                return Err(self
                    .refuse(side, format!("there is no column `{name}`"))
                    .hint(format!("{near}A text stands in quotes: '{name}'")));
            }
        }
        Ok(())
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
        let Some(pattern_text) = text_of(pattern) else {
            return Err(self.refuse(pattern, "expected a pattern in quotes, such as \"%word%\""));
        };
        if pattern_text.contains('\\') {
            return Err(self
                .refuse(
                    pattern,
                    "a backslash in a pattern is a letter in some programs and in others makes the next one a letter",
                )
                .hint(
                    "for a `%` or `_` itself replace it first, as in `replace(column, '_', '-') like '%-%'`; for a backslash \
                     write `_`, which is any letter",
                ));
        }
        let like = Node::Like {
            pattern: pattern_text.to_owned(),
            text: self.boxed(inner, Some(Reading::Text))?,
            is_case_sensitive,
        };
        Ok(negate(like, negated))
    }
}
