//! Expressions on some rows.

mod arithmetic;
mod cast;
mod choice;
mod compare;
mod operands;

pub(super) use arithmetic::integers;
pub(super) use compare::not_before;

use super::functions;
use super::node::{Function, Node, NumberLiteral, Operator};
use super::values::{Values, decimals};
use super::{RowFault, Rows, boolean};
use arithmetic::arithmetic;
use arrow::array::{BooleanArray, StringArray};
use arrow::compute::{and_kleene, ilike, is_null, like, not, or_kleene};
use cast::cast;
use choice::{case, coalesce, extreme};
use compare::compare;

/// Values of a part: of every row, or the one of a literal for all of them.
pub(super) struct Side {
    pub(super) values: Values,
    pub(super) is_literal: bool,
}

impl Side {
    fn literal(values: Values) -> Self {
        Self {
            values,
            is_literal: true,
        }
    }

    /// The index of a row's value.
    pub(super) fn at(&self, row: usize) -> usize {
        if self.is_literal { 0 } else { row }
    }

    /// A value for every row.
    fn spread(self, rows: usize) -> Values {
        match self.is_literal {
            true => self.values.take(&vec![Some(0); rows]),
            false => self.values,
        }
    }
}

/// The values of a part on every row.
pub(super) fn evaluate(node: &Node, rows: &dyn Rows) -> Result<Values, RowFault> {
    Ok(side(node, rows)?.spread(rows.num_rows()))
}

/// A part as a condition.
pub(super) fn condition(node: &Node, rows: &dyn Rows) -> Result<Values, RowFault> {
    truth(side(node, rows)?, rows.num_rows()).map(Values::Boolean)
}

fn computed(row: usize, expected: &str, found: impl ToString) -> RowFault {
    RowFault {
        row,
        column: None,
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}

pub(super) fn side(node: &Node, rows: &dyn Rows) -> Result<Side, RowFault> {
    let num_rows = rows.num_rows();
    let whole = |values| Side {
        values,
        is_literal: false,
    };
    Ok(match node {
        Node::Column { column, reading } => whole(rows.values(*column, *reading)?),
        Node::Number(NumberLiteral::Integer(number)) => {
            Side::literal(match i64::try_from(*number) {
                Ok(number) => Values::Integer(vec![number].into()),
                Err(_) => Values::Decimal(decimals([Some(*number)], 0)),
            })
        }
        Node::Number(NumberLiteral::Decimal(digits, scale)) => {
            Side::literal(Values::Decimal(decimals([Some(*digits)], *scale)))
        }
        Node::Number(NumberLiteral::Float(number)) => {
            Side::literal(Values::Float(vec![*number].into()))
        }
        Node::Text(text) | Node::WrittenTime(text, _) => {
            Side::literal(Values::Text(vec![text.as_str()].into()))
        }
        Node::Time(time) => Side::literal(Values::from_times([Some(*time)])),
        Node::Day(day) => Side::literal(Values::from_days([Some(*day)])),
        Node::Boolean(value) => Side::literal(Values::Boolean(vec![*value].into())),
        Node::Null => Side::literal(Values::Null(1)),
        Node::Compare {
            operator,
            left,
            right,
        } => {
            let (left, right) = (side(left, rows)?, side(right, rows)?);
            whole(Values::Boolean(compare(*operator, left, right, num_rows)?))
        }
        Node::All(parts) => whole(chain(parts, rows, and_kleene)?),
        Node::Any(parts) => whole(chain(parts, rows, or_kleene)?),
        Node::Not(inner) => {
            let inner = truth(side(inner, rows)?, num_rows)?;
            whole(Values::Boolean(
                not(&inner).expect("it has no length to disagree with"),
            ))
        }
        Node::IsNull(inner) => {
            let inner = evaluate(inner, rows)?;
            let nothing = match &inner {
                Values::Null(rows) => BooleanArray::from(vec![true; *rows]),
                other => is_null(&other.array()).expect("every array knows its nulls"),
            };
            whole(Values::Boolean(nothing))
        }
        Node::IsTruth(inner, wanted) => {
            let inner = truth(side(inner, rows)?, num_rows)?;
            let is = inner.iter().map(|value| Some(value == Some(*wanted)));
            whole(Values::Boolean(is.collect()))
        }
        Node::Like {
            text,
            pattern,
            is_case_sensitive,
        } => {
            let texts = evaluate(text, rows)?.cast_texts();
            let pattern = StringArray::new_scalar(pattern);
            let matches = match is_case_sensitive {
                true => like(&texts, &pattern),
                false => ilike(&texts, &pattern),
            };
            whole(Values::Boolean(
                matches.map_err(|error| computed(0, "a pattern of `like`", error))?,
            ))
        }
        Node::Arithmetic {
            operator,
            left,
            right,
        } => {
            let (left, right) = (side(left, rows)?, side(right, rows)?);
            whole(arithmetic(*operator, left, right, num_rows)?)
        }
        Node::Case {
            branches,
            otherwise,
        } => whole(case(branches, otherwise.as_deref(), rows)?),
        Node::Call {
            function,
            arguments,
        } => {
            let arguments = arguments.iter().map(|part| side(part, rows));
            let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
            whole(match function {
                Function::Coalesce => coalesce(arguments, num_rows)?,
                Function::Greatest => extreme(arguments, num_rows, Operator::Greater)?,
                Function::Least => extreme(arguments, num_rows, Operator::Less)?,
                function => functions::call(*function, &arguments, num_rows)?,
            })
        }
        Node::Cast { inner, to, is_try } => {
            let inner = side(inner, rows)?;
            let cast = cast(&inner.values, *to, *is_try)?;
            Side {
                values: cast,
                is_literal: inner.is_literal,
            }
        }
    })
}

fn chain(
    parts: &[Node],
    rows: &dyn Rows,
    join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>,
) -> Result<Values, RowFault> {
    let mut all: Option<BooleanArray> = None;
    for part in parts {
        let next = truth(side(part, rows)?, rows.num_rows())?;
        all = Some(match all {
            None => next,
            Some(before) => join(&before, &next).expect("both have a value for every row"),
        });
    }
    // `in ()` holds nowhere.
    Ok(Values::Boolean(
        all.unwrap_or_else(|| vec![false; rows.num_rows()].into()),
    ))
}

/// Values as conditions: 0 and 1 are what logs have for them.
fn truth(side: Side, num_rows: usize) -> Result<BooleanArray, RowFault> {
    match side.spread(num_rows) {
        Values::Boolean(array) => Ok(array),
        Values::Null(rows) => Ok(BooleanArray::new_null(rows)),
        other => (0..other.num_rows())
            .map(|row| {
                let word = match &other {
                    Values::Text(texts) | Values::Untyped(texts) if !other.is_null(row) => {
                        boolean(texts.value(row))
                    }
                    _ => None,
                };
                match (word, other.number(row)) {
                    _ if other.is_null(row) => Ok(None),
                    (Some(word), _) => Ok(Some(word)),
                    (None, 0.0) => Ok(Some(false)),
                    (None, 1.0) => Ok(Some(true)),
                    _ => Err(computed(row, "a condition, or 0 or 1", other.text(row))),
                }
            })
            .collect(),
    }
}
