//! Label expressions over columns: `income_50k == "50000+." and not (age < 18)`.

mod lexer;
mod parser;

use std::collections::BTreeSet;
use std::fmt;

/// A condition on a row; columns are indices into the description's list.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A column against a literal.
    Compare(Comparison),
    /// Both hold.
    And(Box<Expression>, Box<Expression>),
    /// At least one holds.
    Or(Box<Expression>, Box<Expression>),
    /// It doesn't hold.
    Not(Box<Expression>),
}

/// A column against a literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Index of the column.
    pub column: usize,
    /// How they are compared.
    pub operator: Operator,
    /// What with.
    pub literal: Literal,
}

/// A comparison's right side.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Compared with the field's text.
    Text(String),
    /// Compared with the field read as a number.
    Number(f64),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    fn from_word(word: &str) -> Self {
        match word {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            _ => Self::GreaterOrEqual,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The same comparison with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether `left operator right` holds.
    // A number that is missing is NaN: every comparison with it is false but `!=`.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// What an expression is evaluated on: some rows, column by column.
pub trait Rows {
    /// Number of rows.
    fn num_rows(&self) -> usize;
    /// Whether each row's field has this text.
    fn text_equals(&self, column: usize, text: &str) -> Vec<bool>;
    /// Each row's field as a number.
    fn numbers(&self, column: usize) -> Vec<f64>;
}

impl Expression {
    /// Reads an expression over these columns.
    ///
    /// # Errors
    /// What is wrong and at which byte of `text`.
    pub fn parse(text: &str, columns: &[String]) -> Result<Self, ExpressionError> {
        parser::parse(text, columns)
    }

    /// Columns that it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        self.comparisons().iter().map(|c| c.column).collect()
    }

    /// Its comparisons, from left to right.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Self::Compare(comparison) => vec![comparison],
            Self::Not(inner) => inner.comparisons(),
            Self::And(left, right) | Self::Or(left, right) => {
                let mut all = left.comparisons();
                all.extend(right.comparisons());
                all
            }
        }
    }

    /// Its value on every row.
    pub fn evaluate(&self, rows: &dyn Rows) -> Vec<bool> {
        let both = |left: &Self, right: &Self, join: fn(bool, bool) -> bool| {
            let mut values = left.evaluate(rows);
            for (value, other) in values.iter_mut().zip(right.evaluate(rows)) {
                *value = join(*value, other);
            }
            values
        };
        match self {
            // Operator by operator over all rows of a piece: the tree is walked once a piece, not
            // once a row.
            Self::And(left, right) => both(left, right, |a, b| a && b),
            Self::Or(left, right) => both(left, right, |a, b| a || b),
            Self::Not(inner) => inner.evaluate(rows).into_iter().map(|v| !v).collect(),
            Self::Compare(comparison) => comparison.evaluate(rows),
        }
    }

    /// The expression in its one canonical spelling.
    pub fn canonical(&self, columns: &[String]) -> String {
        match self {
            Self::And(left, right) => {
                format!(
                    "({} and {})",
                    left.canonical(columns),
                    right.canonical(columns)
                )
            }
            Self::Or(left, right) => {
                format!(
                    "({} or {})",
                    left.canonical(columns),
                    right.canonical(columns)
                )
            }
            Self::Not(inner) => format!("not {}", inner.canonical(columns)),
            Self::Compare(Comparison {
                column,
                operator,
                literal,
            }) => {
                let literal = match literal {
                    // There are no escapes; a text that holds one kind of quotes was written between the other.
                    Literal::Text(text) if text.contains('"') => format!("'{text}'"),
                    Literal::Text(text) => format!("\"{text}\""),
                    // The shortest digits that read back as the same number.
                    Literal::Number(number) => number.to_string(),
                };
                format!("`{}` {} {literal}", columns[*column], operator.word())
            }
        }
    }
}

impl Comparison {
    fn evaluate(&self, rows: &dyn Rows) -> Vec<bool> {
        match &self.literal {
            Literal::Text(text) => {
                let mut equal = rows.text_equals(self.column, text);
                if self.operator == Operator::NotEqual {
                    equal.iter_mut().for_each(|value| *value = !*value);
                }
                equal
            }
            Literal::Number(number) => rows
                .numbers(self.column)
                .into_iter()
                .map(|value| self.operator.holds(value, *number))
                .collect(),
        }
    }
}

/// A refused expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Byte of the expression where it went wrong.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
    /// The mend.
    pub hint: Option<String>,
}

impl ExpressionError {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self {
            offset,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.message)
    }
}

impl std::error::Error for ExpressionError {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table;

    impl Rows for Table {
        fn num_rows(&self) -> usize {
            3
        }
        fn text_equals(&self, _column: usize, text: &str) -> Vec<bool> {
            ["a", "b", "a"].iter().map(|value| *value == text).collect()
        }
        fn numbers(&self, _column: usize) -> Vec<f64> {
            vec![1.0, 2.0, 3.0]
        }
    }

    fn columns() -> Vec<String> {
        ["word", "size", "or maybe"].map(String::from).to_vec()
    }

    fn value(text: &str) -> Vec<bool> {
        Expression::parse(text, &columns())
            .unwrap()
            .evaluate(&Table)
    }

    fn refusal(text: &str) -> (usize, String) {
        let error = Expression::parse(text, &columns()).unwrap_err();
        (error.offset, error.message)
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_both() {
        assert_eq!(value(r#"word == "a""#), [true, false, true]);
        assert_eq!(
            value(r#"size > 2 or word == "a" and size < 2"#),
            [true, false, true]
        );
        assert_eq!(
            value(r#"(size > 2 or word == "a") and size < 2"#),
            [true, false, false]
        );
        assert_eq!(
            value(r#"not word == "a" or size >= 3"#),
            [false, true, true]
        );
        assert_eq!(value("not (size != 2 and size <= 3)"), [false, true, false]);
    }

    #[test]
    fn a_literal_may_stand_on_the_left_and_turns_the_comparison() {
        assert_eq!(value("2 < size"), value("size > 2"));
        assert_eq!(value("2 <= size"), value("size >= 2"));
        assert_eq!(value("'a' != word"), value("word != 'a'"));
        assert_eq!(value("-1.5e0 < size"), [true; 3]);
    }

    #[test]
    fn names_between_backticks_may_hold_spaces_and_keywords() {
        let expression = Expression::parse("`or maybe` == 1", &columns()).unwrap();
        assert_eq!(expression.columns().into_iter().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_canonical_form_reads_back_as_itself() {
        for text in [
            r#"word == 'say "a"' or word == "it's" and not (size < 2.5 or size > 1e3)"#,
            "not not size != 0.1",
        ] {
            let expression = Expression::parse(text, &columns()).unwrap();
            let canonical = expression.canonical(&columns());
            assert_eq!(
                Expression::parse(&canonical, &columns()).unwrap(),
                expression
            );
        }
    }

    #[test]
    fn refusals_say_where_and_what() {
        let cases = [
            ("", 0, "expected a column, `not` or `(`, found the end"),
            (
                "word",
                4,
                "expected a comparison such as `==`, found the end",
            ),
            ("word = \"a\"", 5, "`=` has no meaning here"),
            (
                "word == a",
                8,
                "expected a text in quotes or a number, found the name `a`",
            ),
            ("word == \"a", 8, "the \" that opens here is never closed"),
            (
                "word < \"a\"",
                5,
                "texts have no order; only `==` and `!=` compare with a text",
            ),
            ("(size == 1", 10, "expected `)`, found the end"),
            (
                "size == 1 size",
                10,
                "expected `and`, `or` or the end, found the name `size`",
            ),
            ("size == 1x", 8, "expected a number, found `1x`"),
            ("1 == 1", 0, "neither side of the comparison is a column"),
            ("sise == 1", 0, "there is no column `sise`"),
        ];
        for (text, offset, message) in cases {
            assert_eq!(refusal(text), (offset, message.to_owned()), "{text}");
        }
        assert_eq!(
            Expression::parse("sise == 1", &columns())
                .unwrap_err()
                .hint
                .as_deref(),
            Some("did you mean `size`?")
        );
    }

    #[test]
    fn a_deeply_nested_expression_is_refused_and_not_recursed_into() {
        let text = format!("{}size == 1", "not ".repeat(65));
        assert!(refusal(&text).1.starts_with("more than 64 levels"));
        let long = format!("size == 1{}", " and size == 1".repeat(100_000));
        assert!(refusal(&long).1.starts_with("the expression is too long"));
    }
}
