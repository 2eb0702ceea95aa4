//! Conditions and derived columns: SQL expressions over a row's columns, with SQL's rules for what is missing.
//!
//! `translate` reads them (the `sqlparser` crate parses), `evaluate` computes them on some rows as Arrow arrays. A comparison
//! with null is unknown, and `and`, `or` and `not` have three values. [`timeline`] makes points on one line of times in any form.
//!
//! May import: `diagnostic`, for the nearest name, and Arrow. Must not hold: files, descriptions or anything else that says where
//! rows come from.

mod evaluate;
mod functions;
mod node;
mod number_text;
mod operands;
mod spelling;
pub mod timeline;
mod translate;
pub mod values;

pub use node::{ColumnType, NumberLiteral, Reading};
pub use number_text::read_number;
pub use operands::{
    BESIDE_CONDITIONS, BESIDE_FLOATS, BESIDE_NUMBERS, BESIDE_TIMES, DIGITS, NO_TIME, ONE_TYPE,
};
pub use translate::Columns;
pub use values::Values;

use node::{CastType, Node};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use translate::is_plain_name;

/// An expression over a row; columns are indices into the plan's list.
#[derive(Debug, Clone)]
pub struct Expression {
    node: Node,
    text: String,
    /// What its canonical spelling is read as; nothing where that can't be read.
    again: Option<Box<Node>>,
    /// Columns that are brought to a common type with numbers; kept, because every piece of a file asks for them.
    beside_numbers: BTreeSet<usize>,
}

/// Those that compute the same are one, however they are written.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

/// What an expression is evaluated on: some rows, column by column.
pub trait Rows {
    /// Number of rows.
    fn num_rows(&self) -> usize;
    /// Each row's value of a column.
    ///
    /// # Errors
    /// The first value that can't be read so.
    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault>;
    /// Each row's time, where the column holds times by its own type, and no description says what they count as numbers.
    fn times(&self, column: usize) -> Option<Values>;
}

/// A value that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Index among the rows.
    pub row: usize,
    /// The column that it is in; none where it was computed.
    pub column: Option<usize>,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Expression {
    /// Reads an expression over these columns.
    ///
    /// # Errors
    /// What is wrong and at which byte of `text`.
    pub fn parse(text: &str, columns: Columns<'_>) -> Result<Self, ExpressionError> {
        Self::read(text, columns, false)
    }

    /// Reads an expression that holds or doesn't.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and an expression that is no condition.
    pub fn parse_condition(text: &str, columns: Columns<'_>) -> Result<Self, ExpressionError> {
        Self::read(text, columns, true)
    }

    fn read(text: &str, columns: Columns<'_>, is_condition: bool) -> Result<Self, ExpressionError> {
        let node = translate::parse(text, columns, is_condition)?;
        let again = translate::parse_spelled(&node, columns, is_condition);
        Ok(Self::new(node, text.trim().to_owned(), again))
    }

    fn new(node: Node, text: String, again: Option<Node>) -> Self {
        Self {
            beside_numbers: node.columns_beside_numbers(),
            node,
            text,
            again: again.map(Box::new),
        }
    }

    /// Where both hold.
    pub fn and(self, other: Self) -> Self {
        let text = format!("({}) and ({})", self.text, other.text);
        let again = match (self.again, other.again) {
            (Some(own), Some(other)) => Some(Node::All(vec![*own, *other])),
            _ => None,
        };
        Self::new(Node::All(vec![self.node, other.node]), text, again)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Columns that it reads, and what each is read as.
    pub fn readings(&self) -> BTreeSet<(usize, Reading)> {
        self.node.readings()
    }

    /// Columns that it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        self.readings()
            .into_iter()
            .map(|(column, _)| column)
            .collect()
    }

    /// Columns whose values may give another result as integers than as the floats of the same size.
    pub fn columns_computed_with(&self) -> BTreeSet<usize> {
        self.node.columns_computed_with()
    }

    /// Columns that are compared with texts, and the texts.
    pub fn text_comparisons(&self) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        self.node.walk(&mut |node| {
            if let Node::Compare { left, right, .. } = node {
                match (&**left, &**right) {
                    (Node::Column { column, .. }, Node::Text(text))
                    | (Node::Text(text), Node::Column { column, .. }) => {
                        found.push((*column, &**text));
                    }
                    _ => {}
                }
            }
        });
        found
    }

    /// Its values on some rows.
    ///
    /// # Errors
    /// The first row on which it can't be computed.
    pub fn evaluate(&self, rows: &dyn Rows) -> Result<Values, RowFault> {
        match self
            .checked(rows)
            .and_then(|()| evaluate::evaluate(&self.node, rows))
        {
            // What is wrong with types has no row to be told of.
            Err(_) if rows.num_rows() == 0 => Ok(Values::Null(0)),
            values => values,
        }
    }

    /// Whether it holds on each row; null where that is unknown.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and a value that is no condition.
    pub fn condition(&self, rows: &dyn Rows) -> Result<Values, RowFault> {
        match self
            .checked(rows)
            .and_then(|()| evaluate::condition(&self.node, rows))
        {
            Err(_) if rows.num_rows() == 0 => Ok(Values::Boolean(Vec::<bool>::new().into())),
            values => values,
        }
    }

    /// Whether it brings operands to a common type, casts or chooses: rules that came later than the canonical spelling.
    pub fn has_common_type(&self) -> bool {
        node::has_common_type(&self.node)
    }

    /// Whether it casts to days.
    pub fn casts_to_days(&self) -> bool {
        let mut found = false;
        self.node.walk(&mut |node| {
            found |= matches!(
                node,
                Node::Cast {
                    to: CastType::Date,
                    ..
                }
            );
        });
        found
    }

    /// The expression in its canonical spelling. A few expressions share it that compute something else: see [`exact`](Self::exact).
    pub fn canonical(&self, columns: &[String]) -> String {
        spelling::canonical(&self.node, columns)
    }

    /// A spelling that no other expression has, where the canonical one may be that of another that computes something else, such as
    /// `n * 0.1` and `n * 1e-1`. `shows_places`: whether zeros at the end of the decimals that it computes are seen anywhere.
    pub fn exact(&self, columns: &[String], shows_places: bool) -> Option<String> {
        spelling::exact(&self.node, self.again.as_deref(), columns, shows_places)
    }

    /// Whether it makes texts of values, as a cast to text does: of decimals with their zeros at the end.
    pub fn makes_texts(&self) -> bool {
        spelling::makes_texts(&self.node)
    }

    /// Refuses a column of times beside numbers: what it is, the file alone knows, after the expression was read.
    fn checked(&self, rows: &dyn Rows) -> Result<(), RowFault> {
        for column in &self.beside_numbers {
            let Some(times) = rows.times(*column) else {
                continue;
            };
            if let Some(row) = (0..times.num_rows()).find(|row| !times.is_null(*row)) {
                return Err(RowFault {
                    row,
                    column: Some(*column),
                    expected: NO_TIME.to_owned(),
                    found: times.text(row),
                });
            }
        }
        Ok(())
    }
}

/// Whether each value is not before a limit, which is one value: as the expression `column >= limit` has it. Null where a value is
/// missing.
pub fn not_before(values: &Values, limit: Values) -> arrow::array::BooleanArray {
    evaluate::not_before(values, limit)
}

/// True or false as texts have it.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A column's name as an expression has it: between backticks where it is no word.
pub fn spelled(name: &str) -> Cow<'_, str> {
    match is_plain_name(name) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("`{}`", name.replace('`', "``"))),
    }
}

/// A refused expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Byte of the expression where it went wrong.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
    /// The fix.
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
mod tests;

#[cfg(test)]
mod golden;
