//! Labels of the rows of a piece, and what marks of unknown ones look like.

use super::PieceCounts;
use super::label_marks::LabelMarks;
use crate::expression::{Expression, Reading, RowFault, Rows, Values};
use crate::schema::{Label, LabelValue, TablePlan};
use crate::table::bad_row;
use crate::table::fit::log1p_signed;
use crate::table::piece_columns::ChosenRows;

/// Largest label of a regression that is learned as it is: beyond, its square has no number of 32 bits.
const LARGEST_LABEL: f64 = 1.8e19;
/// Largest label that is standardised: beyond, the sum of squares has no number of 64 bits.
const LARGEST_SCALED_LABEL: f64 = 1e150;

/// A label that can't be made, and by what, where that is an expression of a task.
pub(super) struct LabelFault {
    pub(super) fault: RowFault,
    pub(super) of: Option<String>,
}

impl From<RowFault> for LabelFault {
    fn from(fault: RowFault) -> Self {
        Self { fault, of: None }
    }
}

impl LabelFault {
    fn of(what: &str, expression: &Expression, fault: RowFault) -> Self {
        Self {
            fault,
            of: Some(bad_row::part_of(what, expression)),
        }
    }
}

/// Labels of the rows that are kept, row-major; NaN where a task is not observed.
pub(super) fn labels(
    plan: &TablePlan,
    rows: &ChosenRows<'_>,
    counts: &mut PieceCounts,
) -> Result<Vec<f64>, LabelFault> {
    let width = plan.labels.len();
    let mut labels = vec![f64::NAN; rows.num_rows() * width];
    counts.observed_unknown = vec![0; width];
    counts.label_unknown = vec![0; width];
    for (task, label) in plan.labels.iter().enumerate() {
        let observed = match &label.observed {
            None => None,
            Some(observed) => {
                let condition = observed
                    .condition(rows)
                    .map_err(|fault| LabelFault::of("`observed`", observed, fault))?;
                counts.observed_unknown[task] = condition.num_unknown();
                Some(condition.holds())
            }
        };
        let is_observed = |row: usize| observed.as_ref().is_none_or(|observed| observed[row]);
        let values = label_values(label, rows)?;
        for (row, value) in values.into_iter().enumerate() {
            if is_observed(row) {
                labels[row * width + task] = value;
                counts.label_unknown[task] += u64::from(value.is_nan());
            }
        }
    }
    count_marks(plan, rows, &labels, counts)?;
    Ok(labels)
}

/// The labels of all rows; NaN where one is unknown or missing, which is a row that doesn't observe the task.
fn label_values(label: &Label, rows: &ChosenRows<'_>) -> Result<Vec<f64>, LabelFault> {
    match &label.value {
        LabelValue::Condition(condition) => {
            let values = condition.condition(rows);
            let values = values.map_err(|fault| LabelFault::of("a label", condition, fault))?;
            Ok(values.numbers())
        }
        LabelValue::Binary(column) => Ok(rows.values(*column, Reading::Boolean)?.numbers()),
        LabelValue::Number {
            column,
            log1p,
            standardise,
        } => {
            let values = rows.values(*column, Reading::Number)?;
            let mut labels = values.numbers();
            for (row, label) in labels.iter_mut().enumerate() {
                if *log1p {
                    *label = log1p_signed(*label);
                }
                let most = if *standardise {
                    LARGEST_SCALED_LABEL
                } else {
                    LARGEST_LABEL
                };
                if label.abs() > most {
                    let fault = RowFault {
                        row: rows.among_all(row),
                        column: Some(*column),
                        expected: match standardise {
                            true => bad_row::A_SCALED_LABEL.to_owned(),
                            false => bad_row::A_LABEL.to_owned(),
                        },
                        found: values.text(row),
                    };
                    return Err(fault.into());
                }
            }
            Ok(labels)
        }
    }
}

/// Columns that a label is made from, by task, as numbers or texts: one of their values may mark unknown labels.
pub(in crate::table) fn marked_columns(plan: &TablePlan) -> Vec<(usize, usize, Reading)> {
    fn add(
        plan: &TablePlan,
        task: usize,
        expression: &Expression,
        found: &mut Vec<(usize, usize, Reading)>,
    ) {
        for (column, reading) in expression.readings() {
            if let Some(index) = column.checked_sub(plan.first_derived()) {
                add(plan, task, &plan.derived[index], found);
            } else if matches!(reading, Reading::Number | Reading::Text | Reading::Ordered) {
                found.push((task, column, reading));
            }
        }
    }
    let mut found = Vec::new();
    for (task, label) in plan.labels.iter().enumerate() {
        match &label.value {
            LabelValue::Condition(condition) => add(plan, task, condition, &mut found),
            LabelValue::Binary(column) | LabelValue::Number { column, .. } => {
                match column.checked_sub(plan.first_derived()) {
                    Some(index) => add(plan, task, &plan.derived[index], &mut found),
                    None if matches!(label.value, LabelValue::Number { .. }) => {
                        found.push((task, *column, Reading::Number));
                    }
                    None => {}
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Counts rows whose label may be marked as unknown and is taken for a known one.
fn count_marks(
    plan: &TablePlan,
    rows: &ChosenRows<'_>,
    labels: &[f64],
    counts: &mut PieceCounts,
) -> Result<(), RowFault> {
    for (task, column, reading) in marked_columns(plan) {
        let mut marks = LabelMarks::default();
        let values = rows.values(column, reading)?;
        for row in 0..values.num_rows() {
            if labels[row * plan.labels.len() + task].is_nan() || values.is_null(row) {
                continue;
            }
            match &values {
                Values::Text(texts) => marks.note_text(texts.value(row)),
                other => marks.note_number(other.number(row)),
            }
        }
        // Whoever names a word knows that it is there.
        let named = plan.labels[task].expressions();
        for (_, word) in named.flat_map(Expression::text_comparisons) {
            marks.words.remove(word);
        }
        counts.label_marks.push(marks);
    }
    Ok(())
}
