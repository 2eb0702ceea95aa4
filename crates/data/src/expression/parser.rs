//! Grammar of label expressions, from loose to tight: `or`, `and`, `not`, comparison or parentheses.

use super::lexer::{Token, tokens};
use super::{Comparison, Expression, ExpressionError, Literal, Operator};
use homebench_diagnostic::nearest;

/// Parentheses and `not`s deeper than this are refused rather than recursed into.
const MAX_DEPTH: usize = 64;

/// Longer expressions are refused: evaluation recurses into chains of `and` and `or`.
const MAX_TOKENS: usize = 4096;

pub(super) fn parse(text: &str, columns: &[String]) -> Result<Expression, ExpressionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        end: text.len(),
        columns,
        depth: 0,
    };
    if let Some((offset, _)) = parser.tokens.get(MAX_TOKENS) {
        return Err(ExpressionError::new(
            *offset,
            format!("the expression is too long: more than {MAX_TOKENS} words"),
        ));
    }
    let expression = parser.any()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expression),
        Some((offset, token)) => Err(ExpressionError::new(
            *offset,
            format!("expected `and`, `or` or the end, found {}", describe(token)),
        )),
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    columns: &'a [String],
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.all()?;
        while self.takes("or") {
            left = Expression::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.unary()?;
        while self.takes("and") {
            left = Expression::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpressionError::new(
                self.offset(),
                format!("more than {MAX_DEPTH} levels of `not` and parentheses"),
            ));
        }
        let expression = if self.takes("not") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.takes("(") {
            let inner = self.any()?;
            if !self.takes(")") {
                return Err(self.expected("`)`"));
            }
            inner
        } else {
            self.comparison()?
        };
        // Not on the way out of an error, which ends parsing anyway.
        self.depth -= 1;
        Ok(expression)
    }

    /// `column operator literal`, or the other way round.
    fn comparison(&mut self) -> Result<Expression, ExpressionError> {
        let (left_at, left) = self.operand("a column, `not` or `(`")?;
        let operator_at = self.offset();
        let operator = match self.tokens.get(self.at) {
            Some((_, Token::Operator(word))) => Operator::from_word(word),
            _ => return Err(self.expected("a comparison such as `==`")),
        };
        self.at += 1;
        let (right_at, right) = self.operand("a text in quotes or a number")?;
        let (name_at, name, operator, literal) = match (left, right) {
            (Token::Name(name), Token::Text(text)) => {
                (left_at, name, operator, Literal::Text(text))
            }
            (Token::Name(name), Token::Number(n)) => (left_at, name, operator, Literal::Number(n)),
            (Token::Text(text), Token::Name(name)) => {
                (right_at, name, operator.turned(), Literal::Text(text))
            }
            (Token::Number(n), Token::Name(name)) => {
                (right_at, name, operator.turned(), Literal::Number(n))
            }
            (Token::Name(_), Token::Name(name)) => {
                return Err(ExpressionError::new(
                    right_at,
                    format!("expected a text in quotes or a number, found the name `{name}`"),
                )
                .hint(format!("write \"{name}\" if it is a text")));
            }
            _ => {
                return Err(ExpressionError::new(
                    left_at,
                    "neither side of the comparison is a column",
                ));
            }
        };
        if matches!(literal, Literal::Text(_)) && operator.is_order() {
            return Err(ExpressionError::new(
                operator_at,
                "texts have no order; only `==` and `!=` compare with a text",
            ));
        }
        let column = self.column(name_at, &name)?;
        Ok(Expression::Compare(Comparison {
            column,
            operator,
            literal,
        }))
    }

    fn operand(&mut self, expected: &str) -> Result<(usize, Token), ExpressionError> {
        match self.tokens.get(self.at) {
            Some((_, Token::Operator(_) | Token::Symbol(_))) | None => Err(self.expected(expected)),
            Some(operand) => {
                self.at += 1;
                Ok(operand.clone())
            }
        }
    }

    fn column(&self, at: usize, name: &str) -> Result<usize, ExpressionError> {
        let position = self.columns.iter().position(|column| column == name);
        position.ok_or_else(|| {
            let mut error = ExpressionError::new(at, format!("there is no column `{name}`"));
            error.hint = nearest(name, self.columns.iter().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            error
        })
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((_, Token::Symbol(s))) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn expected(&self, what: &str) -> ExpressionError {
        let found = self
            .tokens
            .get(self.at)
            .map_or_else(|| "the end".to_owned(), |(_, token)| describe(token));
        ExpressionError::new(self.offset(), format!("expected {what}, found {found}"))
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("the name `{name}`"),
        Token::Text(text) => format!("the text \"{text}\""),
        Token::Number(number) => format!("the number {number}"),
        Token::Operator(word) | Token::Symbol(word) => format!("`{word}`"),
    }
}
