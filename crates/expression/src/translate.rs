//! From the tree of the SQL parser to the parts that are evaluated: names become columns, and a column without a type is
//! read as what it is compared or computed with.

mod calls;
mod comparison;
mod grammar;
mod operands;
mod operators;
mod parsing;
mod words;

pub(super) use parsing::{is_plain_name, parse, parse_spelled};

use super::ExpressionError;
use super::node::{CastType, ColumnType, FUNCTIONS, Function, Node, Operator, Reading};
use crate::number_text::unsigned;
use crate::timeline::TimeRule;
use homebench_diagnostic::nearest;
use operands::Together;
use parsing::offset_of;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, Expr, InTarget, Spanned, UnaryOperator,
    Value,
};
use words::{arguments, arithmetic, cast_type};

/// Names and types of the columns that an expression may use.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Names, in the order of the plan.
    pub names: &'a [String],
    /// Types that the description gives, by column; columns beyond have none.
    pub types: &'a [Option<ColumnType>],
    /// Names of columns that are not known yet.
    pub later: &'a [String],
}

impl Columns<'_> {
    fn declared(&self, column: usize) -> Option<&ColumnType> {
        self.types.get(column)?.as_ref()
    }
}

type Refused = ExpressionError;

/// Most parts within each other, as a long sum has them: evaluation recurses into them.
const MAX_PARTS: usize = 100;

struct Translator<'a> {
    text: &'a str,
    columns: Columns<'a>,
    depth: usize,
    most_parts: usize,
}

/// Whether a part is the word `null`.
fn is_null_literal(part: &Expr) -> bool {
    match part {
        Expr::Nested(inner) => is_null_literal(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

fn is_join_of_texts(part: &Expr) -> bool {
    match part {
        Expr::Nested(inner) => is_join_of_texts(inner),
        Expr::BinaryOp { op, .. } => *op == BinaryOperator::StringConcat,
        _ => false,
    }
}

/// What the parts of an expression are, where that can be told without looking at data.
type Kind = Option<Reading>;

impl Translator<'_> {
    fn refuse(&self, at: &Expr, message: impl Into<String>) -> Refused {
        Refused::new(offset_of(self.text, at.span().start), message)
    }

    fn column(&self, name: &str, at: &Expr) -> Result<usize, Refused> {
        let names = self.columns.names;
        if let Some(column) = names.iter().position(|column| column == name) {
            return Ok(column);
        }
        if self.columns.later.iter().any(|later| later == name) {
            return Err(self
                .refuse(at, format!("`{name}` is computed here or further down"))
                .hint("a column uses those above it: put it below"));
        }
        let refused = self.refuse(at, format!("there is no column `{name}`"));
        Err(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => refused.hint(format!("did you mean `{near}`?")),
            None => refused,
        })
    }

    /// What a part is by itself.
    fn kind(&self, expression: &Expr) -> Kind {
        match expression {
            Expr::Nested(inner) => self.kind(inner),
            Expr::Identifier(name) => {
                let column = self
                    .columns
                    .names
                    .iter()
                    .position(|column| *column == name.value)?;
                self.columns.declared(column).map(ColumnType::reading)
            }
            Expr::Value(value) => match &value.value {
                Value::Number(..) => Some(Reading::Number),
                Value::Boolean(_) => Some(Reading::Boolean),
                Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) => Some(Reading::Text),
                _ => None,
            },
            Expr::TypedString(_) => Some(Reading::Time),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                ..
            } => Some(Reading::Boolean),
            Expr::UnaryOp { .. } | Expr::Extract { .. } => Some(Reading::Number),
            Expr::Ceil { .. } | Expr::Floor { .. } => Some(Reading::Number),
            Expr::Substring { .. } | Expr::Trim { .. } => Some(Reading::Text),
            Expr::BinaryOp { op, .. } => match op {
                BinaryOperator::StringConcat => Some(Reading::Text),
                op if arithmetic(op).is_some() => Some(Reading::Number),
                _ => Some(Reading::Boolean),
            },
            Expr::Cast { data_type, .. } => Some(match cast_type(data_type).ok()? {
                CastType::Text => Reading::Text,
                CastType::Integer | CastType::Bits(_) | CastType::Float | CastType::Decimal(..) => {
                    Reading::Number
                }
                CastType::Boolean => Reading::Boolean,
                CastType::Time | CastType::Date => Reading::Time,
            }),
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let results = conditions.iter().map(|when| &when.result);
                let results: Vec<&Expr> = results.chain(else_result.as_deref()).collect();
                self.kind_of_choice(Together::Choice, &results)
            }
            Expr::Function(call) => {
                let name = call.name.to_string().to_lowercase();
                let (_, function, ..) = FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
                match function {
                    Function::Lower
                    | Function::Upper
                    | Function::Trim
                    | Function::Concat
                    | Function::Substring
                    | Function::Replace => Some(Reading::Text),
                    Function::StartsWith => Some(Reading::Boolean),
                    Function::DateTrunc => Some(Reading::Time),
                    Function::Coalesce => {
                        self.kind_of_choice(Together::Choice, &arguments(&call.args))
                    }
                    Function::Greatest | Function::Least => {
                        self.kind_of_choice(Together::Extreme, &arguments(&call.args))
                    }
                    // The second says what the first is compared as, and not what it is.
                    Function::NullIf => self.kind(arguments(&call.args).first()?),
                    _ => Some(Reading::Number),
                }
            }
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. } => Some(Reading::Boolean),
            _ => None,
        }
    }

    /// A part that is wanted as `wanted` where it doesn't say itself what it is.
    fn any(&mut self, expression: &Expr, wanted: Kind) -> Result<Node, Refused> {
        self.depth += 1;
        if self.depth > self.most_parts {
            let message = format!("more than {MAX_PARTS} parts within each other");
            return Err(self.refuse(expression, message));
        }
        let node = self.part(expression, wanted)?;
        // Not on the way out of an error, which ends the translation anyway.
        self.depth -= 1;
        Ok(node)
    }

    fn boxed(&mut self, expression: &Expr, wanted: Kind) -> Result<Box<Node>, Refused> {
        self.any(expression, wanted).map(Box::new)
    }

    fn condition(&mut self, expression: &Expr) -> Result<Node, Refused> {
        match self.kind(expression) {
            None | Some(Reading::Boolean) => self.any(expression, Some(Reading::Boolean)),
            // A column of numbers that are 0 and 1, as logs have it.
            Some(Reading::Number) if matches!(expression, Expr::Identifier(_)) => {
                self.any(expression, Some(Reading::Boolean))
            }
            Some(_) if is_join_of_texts(expression) => Err(self
                .refuse(expression, "expected a condition, and `||` joins texts")
                .hint("write `or` between conditions")),
            Some(_) => Err(self
                .refuse(expression, "expected a condition, such as a comparison")
                .hint("compare it: `column = 1`, `column > 0`, `column = \"text\"`")),
        }
    }

    fn part(&mut self, expression: &Expr, wanted: Kind) -> Result<Node, Refused> {
        match expression {
            Expr::Nested(inner) => self.any(inner, wanted),
            Expr::Identifier(name) => {
                let column = self.column(&name.value, expression)?;
                let declared = self.columns.declared(column).map(ColumnType::reading);
                let reading = match (wanted, declared) {
                    (Some(Reading::Boolean), Some(Reading::Number)) => Reading::Boolean,
                    (_, Some(declared)) => declared,
                    (Some(wanted), None) => wanted,
                    (None, None) => Reading::Raw,
                };
                Ok(Node::Column { column, reading })
            }
            Expr::Value(value) => self.literal(expression, &value.value),
            Expr::TypedString(typed) => {
                let text = typed.value.value.clone().into_string();
                match (cast_type(&typed.data_type), text) {
                    (Ok(CastType::Time), Some(text)) => {
                        self.time(expression, &text, TimeRule::default()).map(Node::Time)
                    }
                    // The day that is written, whatever day it is in UTC then.
                    (Ok(CastType::Date), Some(text)) => {
                        let rule = TimeRule { is_date: true, ..TimeRule::default() };
                        self.time(expression, &text, rule).map(Node::Day)
                    }
                    _ => Err(self.refuse(expression, "expected `date '...'` or `timestamp '...'`")),
                }
            }
            Expr::UnaryOp { op, expr } => self.unary(expression, op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(expression, left, op, right),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => self.is_null(inner),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(Node::Not(Box::new(self.is_null(inner)?)))
            }
            Expr::IsTrue(inner) => self.is_truth(inner, true),
            Expr::IsFalse(inner) => self.is_truth(inner, false),
            Expr::IsNotTrue(inner) => Ok(Node::Not(Box::new(self.is_truth(inner, true)?))),
            Expr::IsNotFalse(inner) => Ok(Node::Not(Box::new(self.is_truth(inner, false)?))),
            Expr::In { expr, target: InTarget::List(list), negated, .. } => {
                self.is_in(expression, expr, list, *negated)
            }
            Expr::Between { expr, negated, low, high } => {
                self.is_between(expression, expr, (low, high), *negated)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, true)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, false)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(expression, (operand.as_deref(), conditions, else_result.as_deref()), wanted)
            }
            Expr::Cast { kind, expr, data_type, .. } => {
                let to = cast_type(data_type).map_err(|hint| {
                    self.refuse(expression, format!("there is no cast to {data_type}")).hint(hint)
                })?;
                Ok(Node::Cast {
                    inner: self.boxed(expr, Some(Reading::Raw))?,
                    to,
                    is_try: !matches!(kind, CastKind::Cast | CastKind::DoubleColon),
                })
            }
            Expr::Extract { field, expr, .. } => Ok(Node::Call {
                function: Function::Extract,
                arguments: vec![
                    Node::Text(self.time_part(expression, &field.to_string())?),
                    self.any(expr, Some(Reading::Time))?,
                ],
            }),
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => {
                let is_plain = matches!(
                    field,
                    CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime)
                );
                if !is_plain {
                    return Err(self.refuse(expression, "`floor` and `ceil` take one number"));
                }
                let function = match expression {
                    Expr::Ceil { .. } => Function::Ceil,
                    _ => Function::Floor,
                };
                Ok(Node::Call { function, arguments: vec![self.any(expr, Some(Reading::Number))?] })
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let mut arguments = vec![self.any(expr, Some(Reading::Text))?];
                for part in std::iter::once(from).chain(substring_for) {
                    arguments.push(self.any(part, Some(Reading::Number))?);
                }
                Ok(Node::Call { function: Function::Substring, arguments })
            }
            Expr::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
                Ok(Node::Call {
                    function: Function::Trim,
                    arguments: vec![self.any(expr, Some(Reading::Text))?],
                })
            }
            Expr::Function(call) => self.call(expression, call, wanted),
            Expr::CompoundIdentifier(parts) => {
                let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                let name = name.join(".");
                Err(self
                    .refuse(expression, "a name with a point in it is read as a table and a column")
                    .hint(format!("write the column's name between backticks: `{name}`")))
            }
            other => Err(self
                .refuse(other, format!("`{other}` has no meaning here"))
                .hint(
                    "expressions have columns, numbers, texts, arithmetic, comparisons, and, or, not, in, between, like, is \
                     null, case, cast and functions",
                )),
        }
    }

    fn literal(&self, at: &Expr, value: &Value) -> Result<Node, Refused> {
        match value {
            Value::Number(digits, _) => unsigned(&digits.replace('_', ""))
                .map(Node::Number)
                .ok_or_else(|| {
                    self.refuse(at, format!("`{digits}` is no number that can be kept"))
                }),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Ok(Node::Text(text.clone()))
            }
            Value::Boolean(value) => Ok(Node::Boolean(*value)),
            Value::Null => Ok(Node::Null),
            other => Err(self.refuse(at, format!("`{other}` has no meaning here"))),
        }
    }

    fn time(&self, at: &Expr, text: &str, rule: TimeRule) -> Result<i128, Refused> {
        match rule.parse(text) {
            Ok((time, _)) => Ok(time),
            Err(expected) => Err(self.refuse(at, format!("expected {expected}, found `{text}`"))),
        }
    }

    fn case(
        &mut self,
        at: &Expr,
        (operand, conditions, otherwise): (Option<&Expr>, &[CaseWhen], Option<&Expr>),
        wanted: Kind,
    ) -> Result<Node, Refused> {
        let results = conditions.iter().map(|when| &when.result);
        let results: Vec<&Expr> = results.chain(otherwise).collect();
        let chosen = self.operands(at, Together::Choice, &results, wanted)?;
        let compared = match operand {
            None => None,
            Some(operand) => {
                let sides = std::iter::once(operand);
                let sides: Vec<&Expr> = sides
                    .chain(conditions.iter().map(|when| &when.condition))
                    .collect();
                Some((operand, self.compared(at, Together::Equal, &sides)?))
            }
        };
        let mut branches = Vec::with_capacity(conditions.len());
        for when in conditions {
            let condition = match &compared {
                Some((operand, as_what)) => {
                    self.compared_as(as_what, operand, Operator::Equal, &when.condition)?
                }
                None => self.condition(&when.condition)?,
            };
            branches.push((condition, self.operand(&when.result, &chosen)?));
        }
        let otherwise = otherwise.map(|result| self.operand(result, &chosen).map(Box::new));
        Ok(Node::Case {
            branches,
            otherwise: otherwise.transpose()?,
        })
    }

    fn is_null(&mut self, inner: &Expr) -> Result<Node, Refused> {
        Ok(Node::IsNull(self.boxed(inner, Some(Reading::Raw))?))
    }

    fn is_truth(&mut self, inner: &Expr, truth: bool) -> Result<Node, Refused> {
        Ok(Node::IsTruth(Box::new(self.condition(inner)?), truth))
    }
}
