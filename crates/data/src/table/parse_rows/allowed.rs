//! Texts that a column may have.

use super::{Context, Parsed};
use crate::table::bad_row::Fault;
use crate::table::file_pieces::Piece;
use crate::table::piece_columns::PieceColumns;
use homebench_diagnostic::Diagnostic;

/// Refuses the first row with a text that the description doesn't allow.
pub(super) fn check_allowed(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    piece: &Piece<'_>,
    parsed: &Parsed,
) -> Result<(), Diagnostic> {
    let Context {
        plan,
        columns,
        rules,
        ..
    } = *context;
    let mut first: Option<(usize, Fault)> = None;
    for (column, allowed) in &plan.allowed_values {
        let slot = columns.text_slot(*column);
        let texts = &parsed.texts[slot];
        // What may be missing is allowed to be, and so is a mark for it that is allowed.
        let is_mark = |value: &String| rules[*column].text(value.as_bytes()).is_empty();
        let may_be_missing = plan.optional.contains(column) || allowed.iter().any(is_mark);
        for id in 0..texts.len() as u32 {
            let text = texts.text(id);
            let is_allowed = allowed.iter().any(|value| value.as_bytes() == text);
            if is_allowed || (text.is_empty() && may_be_missing) {
                continue;
            }
            let codes = parsed.codes.iter().skip(slot).step_by(columns.num_codes());
            let at = codes
                .into_iter()
                .position(|code| *code == id)
                .unwrap_or_default();
            if first.as_ref().is_none_or(|(row, _)| at < *row) {
                let fault = Fault::Value {
                    column: *column,
                    found: String::from_utf8_lossy(text).into_owned(),
                    allowed: allowed.clone(),
                };
                first = Some((at, fault));
            }
        }
    }
    match first {
        Some((row, fault)) => Err(piece.refuse(fault, values.place(row), &plan.columns)),
        None => Ok(()),
    }
}
