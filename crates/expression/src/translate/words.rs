//! Words of SQL and what they are here.

use crate::node::{Arithmetic, CastType, Node, NumberLiteral, Operator, Reading};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

pub(super) fn negate(node: Node, negated: bool) -> Node {
    if negated {
        Node::Not(Box::new(node))
    } else {
        node
    }
}

pub(super) fn word(reading: Reading) -> &'static str {
    match reading {
        Reading::Number | Reading::Ordered => "a number",
        Reading::Text | Reading::Raw => "a text",
        Reading::Time => "a time",
        Reading::Boolean => "a condition",
    }
}

/// The text of a literal.
pub(super) fn text_of(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Nested(inner) => text_of(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The values that a function is given; what is no plain value makes the count wrong, and is refused for it.
pub(super) fn arguments(given: &FunctionArguments) -> Vec<&Expr> {
    let FunctionArguments::List(list) = given else {
        return Vec::new();
    };
    let plain = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => Some(part),
        _ => None,
    });
    plain.collect()
}

pub(super) fn comparison(operator: &BinaryOperator) -> Option<Operator> {
    Some(match operator {
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessOrEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterOrEqual,
        _ => return None,
    })
}

pub(super) fn arithmetic(operator: &BinaryOperator) -> Option<Arithmetic> {
    Some(match operator {
        BinaryOperator::Plus => Arithmetic::Plus,
        BinaryOperator::Minus => Arithmetic::Minus,
        BinaryOperator::Multiply => Arithmetic::Times,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::Modulo => Arithmetic::Remainder,
        _ => return None,
    })
}

pub(super) fn cast_type(data_type: &DataType) -> Option<CastType> {
    Some(match data_type {
        DataType::Text | DataType::Varchar(_) | DataType::String(_) | DataType::Char(_) => {
            CastType::Text
        }
        DataType::Int(_)
        | DataType::Integer(_)
        | DataType::BigInt(_)
        | DataType::Int64
        | DataType::SmallInt(_)
        | DataType::TinyInt(_) => CastType::Integer,
        DataType::Float(_)
        | DataType::Float64
        | DataType::Real
        | DataType::Double(_)
        | DataType::DoublePrecision
        | DataType::Numeric(_)
        | DataType::Decimal(_) => CastType::Float,
        DataType::Bool | DataType::Boolean => CastType::Boolean,
        DataType::Timestamp(..) | DataType::Datetime(_) => CastType::Time,
        DataType::Date => CastType::Date,
        _ => return None,
    })
}

/// A number: exact where it is whole and has at most 38 digits.
pub(super) fn number(digits: &str) -> Option<NumberLiteral> {
    let digits = digits.replace('_', "");
    let whole = digits
        .split_once('.')
        .map_or(&digits[..], |(whole, fraction)| {
            match fraction.bytes().all(|digit| digit == b'0') && !whole.is_empty() {
                true => whole,
                false => &digits,
            }
        });
    if let Ok(integer) = whole.parse::<i128>() {
        return (integer.unsigned_abs() < 10u128.pow(38))
            .then_some(NumberLiteral::Integer(integer));
    }
    // A decimal keeps its digits: 4.1 has no number of 64 bits.
    if let Some((whole, fraction)) = digits.split_once('.')
        && fraction.len() <= 18
        && fraction.bytes().all(|digit| digit.is_ascii_digit())
        && let Ok(all) = format!("{whole}{fraction}").parse::<i128>()
        && all.unsigned_abs() < 10u128.pow(38)
    {
        return Some(NumberLiteral::Decimal(all, fraction.len() as i8));
    }
    let number: f64 = digits.parse().ok()?;
    // `1e3` is the integer that it stands for.
    let is_whole = number.fract() == 0.0 && number.abs() < 2f64.powi(53);
    match is_whole {
        true => Some(NumberLiteral::Integer(number as i128)),
        false => number.is_finite().then_some(NumberLiteral::Float(number)),
    }
}
