//! Expressions as a tree.

use crate::number_text::read_number;
use crate::timeline::{self, TimeRule};
use std::collections::BTreeSet;
use std::fmt;

/// What the values of a column are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reading {
    /// Numbers.
    Number,
    /// Texts; columns of a file that knows them as something else stay what they are, and texts beside them are read as such.
    Text,
    /// Times.
    Time,
    /// True or false.
    Boolean,
    /// What has an order: numbers, or times of a file that knows them; texts that are either.
    Ordered,
    /// What is compared with another column of no known type: texts of a file without types are numbers where both are such.
    Same,
    /// As the file has them: texts, or what the file knows them as.
    Raw,
}

/// What a column holds, where its description says so.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnType {
    /// Texts.
    Text,
    /// Integers.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Boolean,
    /// Times.
    Time(TimeRule),
}

impl ColumnType {
    /// What a column of this type is read as.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Text => Reading::Text,
            Self::Integer | Self::Float => Reading::Number,
            Self::Boolean => Reading::Boolean,
            Self::Time(_) => Reading::Time,
        }
    }
}

/// A number of an expression, exact where it is whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberLiteral {
    /// A whole number of at most 38 digits.
    Integer(i128),
    /// Digits, and how many of them stand behind the point.
    Decimal(i128, i8),
    /// The nearest number of 64 bits.
    Float(f64),
}

impl NumberLiteral {
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Integer(number) => Self::Integer(-number),
            Self::Decimal(digits, scale) => Self::Decimal(-digits, scale),
            Self::Float(number) => Self::Float(-number),
        }
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub(crate) fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether two values that stand in this order fulfil it.
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// Arithmetic of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// Functions that expressions may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Lower,
    Upper,
    Trim,
    Length,
    Concat,
    Substring,
    Replace,
    StartsWith,
    Abs,
    Round,
    Floor,
    Ceil,
    Sqrt,
    Coalesce,
    NullIf,
    Greatest,
    Least,
    DateTrunc,
    Extract,
}

/// Name, function, least and most arguments.
pub(crate) const FUNCTIONS: [(&str, Function, usize, usize); 20] = [
    ("abs", Function::Abs, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("coalesce", Function::Coalesce, 1, usize::MAX),
    ("concat", Function::Concat, 1, usize::MAX),
    ("date_part", Function::Extract, 2, 2),
    ("date_trunc", Function::DateTrunc, 2, 2),
    ("extract", Function::Extract, 2, 2),
    ("floor", Function::Floor, 1, 1),
    ("greatest", Function::Greatest, 1, usize::MAX),
    ("least", Function::Least, 1, usize::MAX),
    ("length", Function::Length, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("nullif", Function::NullIf, 2, 2),
    ("replace", Function::Replace, 3, 3),
    ("round", Function::Round, 1, 2),
    ("sqrt", Function::Sqrt, 1, 1),
    ("starts_with", Function::StartsWith, 2, 2),
    ("substring", Function::Substring, 2, 3),
    ("trim", Function::Trim, 1, 1),
    ("upper", Function::Upper, 1, 1),
];

impl Function {
    pub(crate) fn name(self) -> &'static str {
        let found = FUNCTIONS
            .iter()
            .rev()
            .find(|(_, function, ..)| *function == self);
        found.map_or("", |(name, ..)| *name)
    }
}

/// What `cast` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CastType {
    Text,
    /// Integers of any size.
    Integer,
    /// Integers of so many bits with a sign.
    Bits(u32),
    Float,
    /// Decimals of so many digits, so many of them behind the point.
    Decimal(u8, i8),
    Boolean,
    Time,
    Date,
}

impl fmt::Display for CastType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Bits(8) => "tinyint",
            Self::Bits(16) => "smallint",
            Self::Bits(_) => "bigint",
            Self::Float => "float",
            Self::Decimal(digits, places) => {
                return write!(formatter, "decimal({digits}, {places})");
            }
            Self::Boolean => "boolean",
            Self::Time => "timestamp",
            Self::Date => "date",
        })
    }
}

/// A part of an expression. Chains of `and` and `or` are flat, so that evaluation doesn't recurse into them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Column {
        column: usize,
        reading: Reading,
    },
    Number(NumberLiteral),
    Text(String),
    Time(i128),
    /// A time in quotes beside a column without a type, which may turn out to hold days.
    WrittenTime(String, i128),
    /// The start of a day, of which only the day counts.
    Day(i128),
    Boolean(bool),
    Null,
    Compare {
        operator: Operator,
        left: Box<Self>,
        right: Box<Self>,
    },
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    IsNull(Box<Self>),
    /// Whether a condition is true, or false, and not unknown.
    IsTruth(Box<Self>, bool),
    Like {
        text: Box<Self>,
        pattern: String,
        is_case_sensitive: bool,
    },
    Arithmetic {
        operator: Arithmetic,
        left: Box<Self>,
        right: Box<Self>,
    },
    Case {
        branches: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    Call {
        function: Function,
        arguments: Vec<Self>,
    },
    Cast {
        inner: Box<Self>,
        to: CastType,
        /// Null where the value can't be cast, in place of a refusal.
        is_try: bool,
    },
}

impl Node {
    /// Calls `visit` with this part and every part of it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Column { .. }
            | Self::Number(_)
            | Self::Text(_)
            | Self::Time(_)
            | Self::WrittenTime(..)
            | Self::Day(_)
            | Self::Boolean(_)
            | Self::Null => {}
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.walk(visit)),
            Self::Call { arguments, .. } => arguments.iter().for_each(|part| part.walk(visit)),
            Self::Not(inner) | Self::IsNull(inner) | Self::IsTruth(inner, _) => inner.walk(visit),
            Self::Like { text, .. } => text.walk(visit),
            Self::Cast { inner, .. } => inner.walk(visit),
            Self::Case {
                branches,
                otherwise,
            } => {
                for (condition, value) in branches {
                    condition.walk(visit);
                    value.walk(visit);
                }
                if let Some(value) = otherwise {
                    value.walk(visit);
                }
            }
        }
    }

    /// Columns that are brought to a common type with numbers.
    pub(crate) fn columns_beside_numbers(&self) -> BTreeSet<usize> {
        let mut columns = BTreeSet::new();
        let mut add = |part: &Self| {
            if let Self::Column {
                column,
                reading: Reading::Number,
            } = part
            {
                columns.insert(*column);
            }
        };
        self.walk(&mut |node| match node {
            Self::Compare { left, right, .. } => {
                add(left);
                add(right);
            }
            Self::Case {
                branches,
                otherwise,
            } => {
                branches.iter().for_each(|(_, value)| add(value));
                otherwise.iter().for_each(|value| add(value));
            }
            Self::Call {
                function:
                    Function::Coalesce | Function::NullIf | Function::Greatest | Function::Least,
                arguments,
            } => arguments.iter().for_each(&mut add),
            _ => {}
        });
        columns
    }

    /// Columns whose values may give another result as integers than as the floats of the same size: those that are computed with, and not
    /// only compared with a number.
    pub(crate) fn columns_computed_with(&self) -> BTreeSet<usize> {
        let is_literal = |node: &Self| {
            matches!(
                node,
                Self::Number(_)
                    | Self::Text(_)
                    | Self::Time(_)
                    | Self::WrittenTime(..)
                    | Self::Day(_)
                    | Self::Boolean(_)
                    | Self::Null
            )
        };
        let mut compared: Vec<&Self> = Vec::new();
        let mut columns = BTreeSet::new();
        self.walk(&mut |node| match node {
            Self::Compare { left, right, .. } if is_literal(right) => compared.push(&**left),
            Self::Compare { left, right, .. } if is_literal(left) => compared.push(&**right),
            Self::IsNull(inner) => compared.push(&**inner),
            // A part is visited after what it is part of.
            Self::Column {
                column,
                reading: Reading::Number | Reading::Ordered,
            } if !compared.iter().any(|known| std::ptr::eq(*known, node)) => {
                columns.insert(*column);
            }
            _ => {}
        });
        columns
    }

    /// Columns, and what each is read as.
    pub(crate) fn readings(&self) -> BTreeSet<(usize, Reading)> {
        let mut readings = BTreeSet::new();
        self.walk(&mut |node| {
            if let Self::Column { column, reading } = node {
                readings.insert((*column, *reading));
            }
        });
        readings
    }
}

/// Whether what a part computes has changed since its canonical spelling was first hashed.
pub(crate) fn has_common_type(node: &Node) -> bool {
    let is_literal = |node: &Node| {
        matches!(
            node,
            Node::Number(_)
                | Node::Text(_)
                | Node::Time(_)
                | Node::WrittenTime(..)
                | Node::Day(_)
                | Node::Boolean(_)
        )
    };
    // A text that spells a number in another way than numbers are written, or that has a time of day.
    let is_respelled = |node: &Node| match node {
        Node::Text(text) => match read_number(text) {
            Some(NumberLiteral::Integer(number)) => number.to_string() != *text,
            Some(_) => true,
            None => text.contains(':') && timeline::looks_iso(text),
        },
        Node::WrittenTime(_, time) => timeline::start_of_day(*time) != *time,
        _ => false,
    };
    let mut found = false;
    node.walk(&mut |part| {
        found |= match part {
            Node::Compare { left, right, .. } => {
                !(is_literal(left) || is_literal(right))
                    || is_respelled(left)
                    || is_respelled(right)
            }
            Node::Arithmetic { operator, .. } => *operator == Arithmetic::Remainder,
            // Days, times and decimals have other texts than they had.
            Node::Like { pattern, .. } => pattern.contains(|letter: char| letter.is_ascii_digit()),
            Node::Case { .. } | Node::Call { .. } | Node::Cast { .. } => true,
            _ => false,
        };
    });
    found
}
