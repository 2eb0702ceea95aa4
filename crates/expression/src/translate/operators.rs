//! Operators.

use super::words::{arithmetic, comparison};
use super::{Refused, Translator};
use crate::node::{Arithmetic, Function, Node, NumberLiteral, Reading};
use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

impl Translator<'_> {
    pub(super) fn unary(
        &mut self,
        at: &Expr,
        operator: &UnaryOperator,
        inner: &Expr,
    ) -> Result<Node, Refused> {
        match operator {
            UnaryOperator::Not => Ok(Node::Not(Box::new(self.condition(inner)?))),
            UnaryOperator::Plus => self.any(inner, Some(Reading::Number)),
            UnaryOperator::Minus => Ok(match self.any(inner, Some(Reading::Number))? {
                Node::Number(number) => Node::Number(number.negated()),
                other => Node::Arithmetic {
                    operator: Arithmetic::Minus,
                    left: Box::new(Node::Number(NumberLiteral::Integer(0))),
                    right: Box::new(other),
                },
            }),
            other => Err(self.refuse(at, format!("`{other}` has no meaning here"))),
        }
    }

    pub(super) fn binary(
        &mut self,
        at: &Expr,
        left: &Expr,
        operator: &BinaryOperator,
        right: &Expr,
    ) -> Result<Node, Refused> {
        if let Some(operator) = comparison(operator) {
            return self.compare(at, left, operator, right);
        }
        if let Some(operator) = arithmetic(operator) {
            // Times of a file that knows them are none, and are refused where they are computed with.
            let number = Some(Reading::Ordered);
            for side in [left, right] {
                if matches!(
                    self.kind(side),
                    Some(Reading::Text | Reading::Time | Reading::Boolean)
                ) {
                    return Err(self
                        .refuse(side, "arithmetic needs numbers")
                        .hint("of a time take `extract(epoch from column)`, of a text `cast(column as float)`"));
                }
            }
            return Ok(Node::Arithmetic {
                operator,
                left: self.boxed(left, number)?,
                right: self.boxed(right, number)?,
            });
        }
        match operator {
            BinaryOperator::And | BinaryOperator::Or => {
                let is_and = *operator == BinaryOperator::And;
                // The parser leans chains to the left; they are taken apart without recursion.
                let mut parts = Vec::new();
                let mut rest = at;
                while let Expr::BinaryOp { left, op, right } = rest
                    && op == operator
                {
                    parts.push(&**right);
                    rest = left;
                }
                parts.push(rest);
                let parts = parts.into_iter().rev().map(|part| self.condition(part));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Ok(if is_and {
                    Node::All(parts)
                } else {
                    Node::Any(parts)
                })
            }
            BinaryOperator::StringConcat
                if [left, right]
                    .iter()
                    .any(|side| self.kind(side) == Some(Reading::Boolean)) =>
            {
                Err(self
                    .refuse(at, "`||` joins texts")
                    .hint("write `or` between conditions"))
            }
            BinaryOperator::StringConcat => Ok(Node::Call {
                function: Function::Concat,
                arguments: vec![
                    self.any(left, Some(Reading::Text))?,
                    self.any(right, Some(Reading::Text))?,
                ],
            }),
            other => {
                let refused = self.refuse(at, format!("`{other}` is no operator here"));
                Err(match other {
                    BinaryOperator::BitwiseAnd => refused.hint("write `and` between conditions"),
                    BinaryOperator::BitwiseOr => refused.hint("write `or` between conditions"),
                    BinaryOperator::BitwiseXor => {
                        refused.hint("for a power write the product, such as `a * a`")
                    }
                    _ => refused,
                })
            }
        }
    }
}
