//! From the tree of the SQL parser to the parts that are evaluated: names become columns, and a column without a type is
//! read as what it is compared or computed with.

mod calls;
mod comparison;
mod words;

use super::ExpressionError;
use super::node::{
    Arithmetic, CastType, ColumnType, FUNCTIONS, Function, Node, NumberLiteral, Operator, Reading,
};
use crate::timeline::TimeRule;
use homebench_diagnostic::nearest;
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, Expr, InTarget, Spanned, UnaryOperator, Value,
};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use words::{arguments, arithmetic, cast_type, comparison, negate, number};

/// Longer expressions are refused.
const MAX_TOKENS: usize = 4096;

/// Parts within parts deeper than this are refused rather than recursed into.
const MAX_DEPTH: usize = 40;

/// SQL as MySQL, Spark and BigQuery quote it: names between backticks, texts between either kind of quotes.
// A double quote that opened a name in one program and a text in another would change a condition's meaning without a word.
#[derive(Debug)]
struct Quoting;

impl Dialect for Quoting {
    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_'
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '`'
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
}

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

/// Stack of the thread that parses.
// The parser leans a chain of `or` to the left, and walks and drops it as deep as it is long: a thousand levels are a few
// megabytes, which a thread of rayon doesn't have.
const PARSER_STACK: usize = 64 << 20;

pub(super) fn parse(text: &str, columns: Columns<'_>, is_condition: bool) -> Result<Node, Refused> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK);
        match thread.spawn_scoped(scope, || parse_here(text, columns, is_condition)) {
            Ok(parsing) => parsing.join().unwrap_or_else(|_| {
                Err(Refused::new(0, "the SQL parser can't read this expression"))
            }),
            Err(error) => Err(Refused::new(0, format!("no thread to parse it: {error}"))),
        }
    })
}

fn parse_here(text: &str, columns: Columns<'_>, is_condition: bool) -> Result<Node, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::new(
            0,
            "expected a column or a condition, found nothing",
        ));
    }
    let tokens = Tokenizer::new(&Quoting, text)
        .tokenize_with_location()
        .map_err(|error| Refused::new(offset_of(text, error.location), error.message))?;
    if let Some(token) = tokens.get(MAX_TOKENS) {
        let message = format!("the expression is too long: more than {MAX_TOKENS} words");
        return Err(Refused::new(offset_of(text, token.span.start), message));
    }
    check_depth(text, &tokens)?;
    // Deeper than what was just let through needs: the parser tells its own limit as a fault of grammar.
    let mut parser = Parser::new(&Quoting)
        .with_recursion_limit(MAX_DEPTH * 8)
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
            Refused::new(at, format!("this is no SQL expression: {message}"))
        }
    })?;
    if next.token != Token::EOF {
        let message = format!("expected `and`, `or` or the end, found `{}`", next.token);
        return Err(Refused::new(at, message));
    }
    let mut translator = Translator {
        text,
        columns,
        depth: 0,
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
fn offset_of(text: &str, location: Location) -> usize {
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

struct Translator<'a> {
    text: &'a str,
    columns: Columns<'a>,
    depth: usize,
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
            Expr::Cast { data_type, .. } => Some(match cast_type(data_type)? {
                CastType::Text => Reading::Text,
                CastType::Integer | CastType::Float => Reading::Number,
                CastType::Boolean => Reading::Boolean,
                CastType::Time | CastType::Date => Reading::Time,
            }),
            Expr::Case {
                conditions,
                else_result,
                ..
            } => conditions
                .iter()
                .map(|when| &when.result)
                .chain(else_result.as_deref())
                .find_map(|result| self.kind(result)),
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
                    Function::Coalesce
                    | Function::NullIf
                    | Function::Greatest
                    | Function::Least => arguments(&call.args)
                        .iter()
                        .find_map(|part| self.kind(part)),
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
        if self.depth > MAX_PARTS {
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
                let is_time = matches!(cast_type(&typed.data_type), Some(CastType::Time | CastType::Date));
                let text = typed.value.value.clone().into_string();
                match text.filter(|_| is_time) {
                    Some(text) => self.time(expression, &text),
                    None => Err(self.refuse(expression, "expected `date '...'` or `timestamp '...'`")),
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
                let equal = list.iter().map(|value| self.compare(expression, expr, Operator::Equal, value));
                let any = Node::Any(equal.collect::<Result<_, _>>()?);
                Ok(negate(any, *negated))
            }
            Expr::Between { expr, negated, low, high } => {
                let from = self.compare(expression, expr, Operator::GreaterOrEqual, low)?;
                let to = self.compare(expression, expr, Operator::LessOrEqual, high)?;
                Ok(negate(Node::All(vec![from, to]), *negated))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, true)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, false)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let wanted = self.kind(expression).or(wanted);
                let mut branches = Vec::with_capacity(conditions.len());
                for when in conditions {
                    let condition = match operand {
                        Some(operand) => {
                            self.compare(expression, operand, Operator::Equal, &when.condition)?
                        }
                        None => self.condition(&when.condition)?,
                    };
                    branches.push((condition, self.any(&when.result, wanted)?));
                }
                let otherwise = else_result.as_ref().map(|result| self.boxed(result, wanted));
                Ok(Node::Case { branches, otherwise: otherwise.transpose()? })
            }
            Expr::Cast { kind, expr, data_type, .. } => {
                let to = cast_type(data_type).ok_or_else(|| {
                    self.refuse(expression, format!("there is no cast to {data_type}"))
                        .hint("casts are to text, integer, float, boolean, timestamp and date")
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
            Value::Number(digits, _) => number(digits).map(Node::Number).ok_or_else(|| {
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

    fn time(&self, at: &Expr, text: &str) -> Result<Node, Refused> {
        match TimeRule::default().parse(text) {
            Ok((time, _)) => Ok(Node::Time(time)),
            Err(expected) => Err(self.refuse(at, format!("expected {expected}, found `{text}`"))),
        }
    }

    fn is_null(&mut self, inner: &Expr) -> Result<Node, Refused> {
        Ok(Node::IsNull(self.boxed(inner, Some(Reading::Raw))?))
    }

    fn is_truth(&mut self, inner: &Expr, truth: bool) -> Result<Node, Refused> {
        Ok(Node::IsTruth(Box::new(self.condition(inner)?), truth))
    }

    fn unary(
        &mut self,
        at: &Expr,
        operator: &UnaryOperator,
        inner: &Expr,
    ) -> Result<Node, Refused> {
        match operator {
            UnaryOperator::Not => Ok(Node::Not(Box::new(self.condition(inner)?))),
            UnaryOperator::Plus => self.any(inner, Some(Reading::Number)),
            UnaryOperator::Minus => Ok(match self.any(inner, Some(Reading::Number))? {
                Node::Number(NumberLiteral::Integer(number)) => {
                    Node::Number(NumberLiteral::Integer(-number))
                }
                Node::Number(NumberLiteral::Decimal(digits, scale)) => {
                    Node::Number(NumberLiteral::Decimal(-digits, scale))
                }
                Node::Number(NumberLiteral::Float(number)) => {
                    Node::Number(NumberLiteral::Float(-number))
                }
                other => Node::Arithmetic {
                    operator: Arithmetic::Minus,
                    left: Box::new(Node::Number(NumberLiteral::Integer(0))),
                    right: Box::new(other),
                },
            }),
            other => Err(self.refuse(at, format!("`{other}` has no meaning here"))),
        }
    }

    fn binary(
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
            other => Err(self.refuse(at, format!("`{other}` has no meaning here"))),
        }
    }
}
