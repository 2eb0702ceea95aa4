//! The merged tables of an experiment: every cell's part, in the order of the plan.

use super::atomic;
use super::layout::{CellFolder, ResultsFolder};
use super::outcome::{Outcome, Status};
use super::tables::{CELLS, PARTS, Table, or_empty};
use crate::diagnostic::Diagnostic;
use anyhow::Result;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

/// A cell that ended, as the merged tables show it.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedCell {
    /// Name of the variant.
    pub variant: String,
    /// The architecture.
    pub model: String,
    /// Name of the dataset.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Writes `metrics.csv`, `curves.csv`, `throughput.csv` and `cells.csv` from the cells' parts.
///
/// # Errors
/// A part that can't be read or has other columns; a table that can't be written.
pub fn merge(results: &ResultsFolder, cells: &[MergedCell]) -> Result<()> {
    for table in &PARTS {
        atomic::write(&results.join(table.file), |out| {
            out.write_all(table.header_line().as_bytes())?;
            for cell in cells {
                if cell.outcome.status == Status::Done {
                    append(table, &results.cell(&cell.outcome.id), out)?;
                }
            }
            Ok(())
        })?;
    }
    atomic::write(&results.cells_csv(), |out| {
        CELLS.write(out, cells.iter().map(cells_row))
    })
}

/// Copies a part without its header, a buffer at a time.
fn append(table: &Table, folder: &CellFolder, out: &mut dyn Write) -> Result<()> {
    let path = folder.part(table.file);
    let refuse = |found: String| {
        Diagnostic::new(
            path.display().to_string(),
            format!(
                "expected the header `{}`, found {found}",
                table.header.join(",")
            ),
        )
        .hint("the file was altered: run the experiment again with `--fresh`")
    };
    let file = File::open(&path).map_err(|error| refuse(error.to_string()))?;
    let mut reader = BufReader::new(file);
    let mut header = String::new();
    reader
        .read_line(&mut header)
        .map_err(|error| refuse(error.to_string()))?;
    if header != table.header_line() {
        return Err(refuse(format!("`{}`", header.trim_end())).into());
    }
    io::copy(&mut reader, out)?;
    Ok(())
}

fn cells_row(cell: &MergedCell) -> Vec<String> {
    let outcome = &cell.outcome;
    let result = outcome.result.as_ref();
    vec![
        outcome.id.clone(),
        cell.variant.clone(),
        cell.model.clone(),
        cell.dataset.clone(),
        cell.seed.to_string(),
        outcome.status.as_str().to_owned(),
        outcome.error.clone().unwrap_or_default(),
        or_empty(result.map(|result| result.selected_epoch)),
        or_empty(result.map(|result| result.epochs_run)),
        or_empty(result.map(|result| result.validation_score)),
        or_empty(result.map(|result| result.parameters)),
        or_empty(result.map(|result| result.flops_per_row)),
    ]
}
