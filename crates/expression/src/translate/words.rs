//! Words of SQL and what they are here.

use crate::node::{Arithmetic, CastType, Node, Operator};
use sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, Value,
};

pub(super) fn negate(node: Node, negated: bool) -> Node {
    if negated {
        Node::Not(Box::new(node))
    } else {
        node
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

/// The type of a cast, or what to write in place of one whose meaning differs from program to program.
pub(super) fn cast_type(data_type: &DataType) -> Result<CastType, &'static str> {
    Ok(match data_type {
        DataType::Text | DataType::Varchar(None) | DataType::String(None) => CastType::Text,
        DataType::Varchar(Some(_)) | DataType::String(Some(_)) | DataType::Char(_) => {
            return Err(
                "write `cast(column as text)`, and `substring(cast(column as text), 1, 2)` for its first letters",
            );
        }
        DataType::Int(None) | DataType::Integer(None) => CastType::Integer,
        DataType::BigInt(None) | DataType::Int64 => CastType::Bits(64),
        DataType::SmallInt(None) => CastType::Bits(16),
        DataType::TinyInt(None) => CastType::Bits(8),
        DataType::Float(ExactNumberInfo::None)
        | DataType::Float64
        | DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision => CastType::Float,
        DataType::Numeric(info) | DataType::Decimal(info) => {
            let (digits, places) = match info {
                ExactNumberInfo::Precision(digits) => (*digits, 0),
                ExactNumberInfo::PrecisionAndScale(digits, places) => (*digits, *places),
                ExactNumberInfo::None => {
                    return Err(
                        "say how many digits it has and how many of them stand behind the point: `decimal(18, 3)`",
                    );
                }
            };
            match (u8::try_from(digits), i8::try_from(places)) {
                (Ok(digits @ 1..=38), Ok(places @ 0..)) if places.unsigned_abs() <= digits => {
                    CastType::Decimal(digits, places)
                }
                _ => {
                    return Err(
                        "a decimal has 1 to 38 digits, and no more of them behind the point than it has: `decimal(18, 3)`",
                    );
                }
            }
        }
        DataType::Bool | DataType::Boolean => CastType::Boolean,
        DataType::Timestamp(None, _) | DataType::Datetime(None) => CastType::Time,
        DataType::Date => CastType::Date,
        _ => {
            return Err(
                "casts are to text, integer, tinyint, smallint, bigint, float (of 64 bits), decimal(18, 3), boolean, timestamp and date",
            );
        }
    })
}
