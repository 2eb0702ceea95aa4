//! The codes and lists that models read.

use super::super::column_slots::is_retyped;
use super::super::piece_columns::PieceColumns;
use super::super::{list_text, row, text_rows};
use super::{Context, NumOwn, Parsed};
use crate::expression::{RowFault, Rows};

/// Codes of the columns that joins and expressions give.
pub(super) fn add_codes(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    parsed: &mut Parsed,
) -> Result<(), RowFault> {
    let Context { plan, columns, .. } = *context;
    let (width, num_rows) = (columns.num_codes(), values.num_rows());
    let is_computed = |column: &usize| *column >= plan.num_own_columns || is_retyped(plan, *column);
    for (slot, column) in columns
        .texts
        .iter()
        .enumerate()
        .filter(|(_, column)| is_computed(column))
    {
        let texts = &mut parsed.texts[slot];
        let codes = parsed.codes.iter_mut().skip(slot).step_by(width);
        match values.joined(*column) {
            Some((join, _)) => {
                let (found, place) = (values.found(join)?, context.joins[join].text_place(*column));
                for (code, row) in codes.zip(found.iter()) {
                    *code = texts.intern(context.joins[join].text(*row, place), 0);
                }
            }
            None => {
                let computed = values.texts(*column)?;
                for (code, row) in codes.zip(0..num_rows) {
                    *code = texts.intern(computed.get(row).as_bytes(), 0);
                }
            }
        }
    }
    for (index, column) in columns
        .hashes
        .iter()
        .enumerate()
        .filter(|(_, column)| is_computed(column))
    {
        let slot = columns.texts.len() + index;
        let codes = parsed.codes.iter_mut().skip(slot).step_by(width);
        match values.joined(*column) {
            Some((join, _)) => {
                let (found, place) = (values.found(join)?, context.joins[join].hash_place(*column));
                for (code, row) in codes.zip(found.iter()) {
                    *code = context.joins[join].hash(*row, place);
                }
            }
            None => {
                let computed = values.texts(*column)?;
                for (code, row) in codes.zip(0..num_rows) {
                    *code = row::hash(computed.get(row).as_bytes());
                }
            }
        }
    }
    Ok(())
}

/// Lists of the columns that joins and expressions give, behind the files' own.
pub(super) fn add_lists(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    parsed: &mut Parsed,
) -> Result<(), RowFault> {
    let columns = context.columns;
    let own = NumOwn::of_context(context).lists;
    if own == columns.lists.len() {
        return Ok(());
    }
    let before = std::mem::take(&mut parsed.lists);
    let lists = &mut parsed.lists;
    let mut found = Vec::new();
    let mut computed = Vec::new();
    for list in &columns.lists[own..] {
        match values.joined(list.column) {
            Some((join, _)) => {
                found.push(Some((join, values.found(join)?)));
                computed.push(None);
            }
            None => {
                found.push(None);
                computed.push(Some(values.texts(list.column)?));
            }
        }
    }
    for row in 0..values.num_rows() {
        for index in 0..own {
            lists
                .values
                .extend_from_slice(before.list(row * own + index));
            lists.end_list();
        }
        for (index, list) in columns.lists[own..].iter().enumerate() {
            let texts = &mut parsed.list_texts[own + index];
            let mut push = |value: &[u8]| {
                lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            };
            match (&found[index], &computed[index]) {
                (Some((join, rows)), _) => {
                    let (codes, known) = context.joins[*join].list(rows[row], list);
                    match list.is_hashed {
                        true => lists.values.extend_from_slice(codes),
                        false => codes.iter().for_each(|code| push(known.text(*code))),
                    }
                }
                (None, Some(computed)) => {
                    let text = computed.get(row).as_bytes();
                    let is_list = list_text::is_bracketed(text)
                        && list_text::parse(text, &mut |_| {}).is_some();
                    match is_list {
                        true => drop(list_text::parse(text, &mut push)),
                        false => text_rows::split(text, list.separator, &mut push),
                    }
                }
                (None, None) => {}
            }
            lists.end_list();
        }
    }
    Ok(())
}
