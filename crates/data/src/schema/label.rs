//! What tasks learn from rows.

use crate::expression::Expression;
use std::fmt::Write;

/// What a task learns from a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Its value.
    pub value: LabelValue,
    /// Holds for rows that observe the task; all do where absent.
    pub observed: Option<Expression>,
}

/// Where a label's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelValue {
    /// 1 where this holds, 0 elsewhere.
    Condition(Expression),
    /// A column that holds 0 or 1; not observed where it is empty.
    Binary(usize),
    /// The number in a column; not observed where it is empty.
    Number {
        /// The column.
        column: usize,
        /// `sign(x) ln(1 + |x|)` first.
        log1p: bool,
        /// Then minus the training mean, divided by the training standard deviation.
        standardise: bool,
    },
}

impl Label {
    /// Every expression of the label.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let condition = match &self.value {
            LabelValue::Condition(condition) => Some(condition),
            LabelValue::Binary(_) | LabelValue::Number { .. } => None,
        };
        condition.into_iter().chain(&self.observed)
    }

    /// The column that is the label, where one is.
    pub fn column(&self) -> Option<usize> {
        match self.value {
            LabelValue::Condition(_) => None,
            LabelValue::Binary(column) | LabelValue::Number { column, .. } => Some(column),
        }
    }

    /// Appends what the label is, in one way of writing.
    pub(super) fn write_canonical(&self, columns: &[String], text: &mut String) {
        let value = match &self.value {
            LabelValue::Condition(condition) => condition.canonical(columns),
            LabelValue::Binary(column) => format!("binary {:?}", columns[*column]),
            LabelValue::Number {
                column,
                log1p,
                standardise,
            } => format!(
                "number {:?} log1p {log1p} standardise {standardise}",
                columns[*column]
            ),
        };
        let _ = writeln!(text, "label {value}");
        if let Some(observed) = &self.observed {
            let _ = writeln!(text, "observed {}", observed.canonical(columns));
        }
    }
}
