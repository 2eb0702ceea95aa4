//! Numbers of inputs and weights.

use super::{Context, LEFT_OUT};
use crate::expression::{Reading, RowFault, Rows};
use crate::schema::{FeatureKind, TablePlan};
use crate::table::bad_row;
use crate::table::column_slots::ColumnSlots;
use crate::table::fit::log1p_signed;
use crate::table::piece_columns::PieceColumns;

/// The numbers of inputs and weights, row-major.
pub(super) fn numbers(
    plan: &TablePlan,
    columns: &ColumnSlots,
    values: &PieceColumns<'_>,
    splits: &[u8],
) -> Result<Vec<f64>, RowFault> {
    let width = columns.numbers.len();
    let mut numbers = vec![0.0; values.num_rows() * width];
    let mut first: Option<RowFault> = None;
    for (slot, column) in columns.numbers.iter().enumerate() {
        let found = match values.values(*column, Reading::Number) {
            Ok(found) => found,
            Err(fault) => {
                first = earlier(first, fault);
                continue;
            }
        };
        let is_log = plan
            .features
            .iter()
            .filter(|feature| feature.column == *column);
        let kinds: Vec<FeatureKind> = is_log.map(|feature| feature.kind).collect();
        for (row, value) in found.numbers().into_iter().enumerate() {
            numbers[row * width + slot] = value;
            // What a filter leaves out needs to be a number, and no more.
            if splits[row] == LEFT_OUT {
                continue;
            }
            let refuse = |expected: &str| RowFault {
                row,
                column: Some(*column),
                expected: expected.to_owned(),
                found: found.text(row),
            };
            if plan.weight == Some(*column) && !is_weight(value) {
                let expected = if value < 0.0 {
                    bad_row::NOT_NEGATIVE
                } else {
                    bad_row::A_WEIGHT
                };
                first = earlier(first, refuse(expected));
                break;
            }
            let is_beyond = kinds.iter().any(|kind| match kind {
                FeatureKind::Numeric { log1p, .. } => {
                    let value = if *log1p { log1p_signed(value) } else { value };
                    (value as f32).is_infinite()
                }
                _ => false,
            });
            if is_beyond {
                first = earlier(first, refuse(bad_row::A_FLOAT));
                break;
            }
        }
    }
    first.map_or(Ok(numbers), Err)
}

/// Whether a number weighs a row in 32 bits as it does here: those below the least normal number have few digits left.
fn is_weight(value: f64) -> bool {
    let narrow = value as f32;
    value == 0.0 || (narrow.is_finite() && narrow >= f32::MIN_POSITIVE)
}

/// The one of two faults whose row comes first.
fn earlier(before: Option<RowFault>, next: RowFault) -> Option<RowFault> {
    Some(match before {
        Some(before) if before.row <= next.row => before,
        _ => next,
    })
}

/// Rows on which an input's number is missing; of a joined table, those for which it has a row.
pub(super) fn missing_numbers(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    kept: &[usize],
) -> Result<Vec<u64>, RowFault> {
    let count = |column: &usize| {
        let found = values.values(*column, Reading::Number)?;
        let rows = match values.joined(*column) {
            Some((join, _)) => Some(values.found(join)?),
            None => None,
        };
        let is_missing = |row: &&usize| {
            found.is_null(**row) && rows.as_ref().is_none_or(|rows| rows[**row].is_some())
        };
        Ok(kept.iter().filter(is_missing).count() as u64)
    };
    context.columns.numbers.iter().map(count).collect()
}
