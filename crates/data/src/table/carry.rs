//! Columns that stay with their rows: read as they are, divided as the rows are, written beside them.

use super::column_slots::ColumnSlots;
use super::file_pieces::TableFile;
use super::opened_rows::OpenedRows;
use super::parse_rows::{Parsed, Wanted};
use crate::carried::{CarriedKind, CarriedWriter};
use crate::expression::{ColumnType, Reading};
use crate::packed::Written;
use crate::schema::{SourceFile, TablePlan};
use crate::{Observer, RowSubset, SPLITS};
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Writes `columns` of the plan, for the rows of each split in their order, into `folder`.
///
/// # Errors
/// A row that isn't as described, a folder that can't be written.
pub(crate) fn carry(
    plan: &TablePlan,
    carried: &[(usize, Reading)],
    sources: &[SourceFile],
    files: &[PathBuf],
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<[Written; 3], Diagnostic> {
    let mut plan = plan.clone();
    let columns = ColumnSlots::of_carried(&plan, carried);
    plan.retain_joins(&columns.all_columns());
    let opened = OpenedRows::open(&plan, &columns, sources, files, subset, observer)?;
    let kinds: Vec<CarriedKind> = carried
        .iter()
        .map(|(column, reading)| match reading {
            Reading::Number => CarriedKind::Float,
            Reading::Time => CarriedKind::Time,
            _ => kind(&plan, *column, opened.files()),
        })
        .collect();
    let names = carried
        .iter()
        .map(|(column, _)| plan.columns[*column].as_str());
    let fields: Vec<(&str, CarriedKind)> = names.zip(kinds).collect();
    let mut writer = CarriedWriter::create(folder, &fields)?;
    opened.each_wave(Wanted::Carried(carried), observer, |_, wave| {
        let wave = wave.into_iter().collect::<Result<Vec<Parsed>, _>>()?;
        let divided = wave.par_iter().map(|parsed| {
            let (columns, source_rows) = &parsed.carried;
            std::array::from_fn(|split| {
                let is_of = |row: &usize| usize::from(parsed.splits[*row]) == split;
                let rows: Vec<usize> = (0..parsed.splits.len()).filter(is_of).collect();
                writer.rows(columns, source_rows, &rows)
            })
        });
        let divided: Vec<[_; SPLITS.len()]> = divided.collect();
        for batches in divided {
            for (split, batch) in batches.into_iter().enumerate() {
                writer.append(split, batch)?;
            }
        }
        Ok(())
    })?;
    writer.finish()
}

/// What a column holds: what its description says, or what its files know; else texts.
pub(crate) fn kind(plan: &TablePlan, column: usize, files: &[TableFile]) -> CarriedKind {
    match &plan.types[column] {
        Some(ColumnType::Text) => return CarriedKind::Text,
        Some(ColumnType::Float) => return CarriedKind::Float,
        Some(ColumnType::Boolean) => return CarriedKind::Boolean,
        Some(ColumnType::Time(_)) => return CarriedKind::Time,
        // It may have more digits than 64 bits hold, which its texts tell.
        Some(ColumnType::Integer) => return CarriedKind::Undeclared,
        None => {}
    }
    if column >= plan.num_own_columns {
        return CarriedKind::Undeclared;
    }
    let mut found = None;
    for file in files {
        for part in file.part_types(column) {
            let kind = part.map_or(CarriedKind::Undeclared, CarriedKind::of_type);
            if found.is_some_and(|other| other != kind) {
                return CarriedKind::Undeclared;
            }
            found = Some(kind);
        }
    }
    found.unwrap_or(CarriedKind::Undeclared)
}
