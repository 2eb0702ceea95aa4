//! Whether an experiment may write into a folder: results are never overwritten unasked.

use super::cells::Plan;
use super::change::change;
use super::planned_cell::PlannedCell;
use crate::spec::CellContent;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::tables::{CellsRow, read_rows_if_any};
use homebench_results::{self as record, ResultsFolder, Status};
use std::collections::BTreeSet;
use std::path::Path;

/// Checks that `results` is new, or holds this experiment or a part of it.
///
/// # Errors
/// A folder of other things; finished cells that the plan does not have, unless `fresh` says to replace them.
pub fn claim(results: &ResultsFolder, plan: &Plan, resolved: &str, fresh: bool) -> Result<()> {
    let folder = results.path();
    let name = folder.display().to_string();
    if !folder.exists() || is_empty(results) {
        return Ok(());
    }
    let Ok(there) = std::fs::read_to_string(results.resolved_spec()) else {
        return Err(Diagnostic::new(
            name,
            "the folder is not empty and holds no results of homebench",
        )
        .hint("give a new folder with `--out DIR`")
        .into());
    };
    if fresh || there == resolved {
        return Ok(());
    }
    let planned: BTreeSet<&str> = plan.cells().map(|cell| cell.id.as_str()).collect();
    let others: Vec<String> = finished(results)?
        .into_iter()
        .filter(|id| !planned.contains(id.as_str()))
        .collect();
    let Some(first) = others.first() else {
        return Ok(());
    };
    Err(Diagnostic::new(
        name,
        format!(
            "the folder holds {} finished cells that this experiment does not have: {}",
            others.len(),
            why(results, plan, first)
        ),
    )
    .hint("keep them and give another folder with `--out DIR`, or replace them with `--fresh`")
    .into())
}

/// Why a finished cell is not of the plan: in what the planned one of its name differs.
fn why(results: &ResultsFolder, plan: &Plan, id: &str) -> String {
    let unknown = || "its spec, its data or the numerics changed".to_owned();
    let Ok(there) = CellContent::read(&results.cell(id).content()) else {
        return unknown();
    };
    let same_name = |cell: &&PlannedCell| {
        let content = &cell.content;
        (content.variant == there.variant && content.phase == there.phase)
            && content.seed == there.seed
    };
    let planned = plan.cells().find(same_name);
    match planned.map(|cell| change(&there, &cell.content)) {
        Some(Some(change)) => format!("of {}/{}, {change}", there.variant, there.seed),
        Some(None) => unknown(),
        None => format!("{}/{} is not in its plan", there.variant, there.seed),
    }
}

/// Nothing but what a refused, interrupted or killed start leaves.
fn is_empty(results: &ResultsFolder) -> bool {
    let spec = results.resolved_spec();
    let is_of_a_start = |path: &Path| {
        path == results.lock()
            || path == results.lease()
            || record::partial_of(path).is_some_and(|name| spec == results.join(name))
    };
    std::fs::read_dir(results.path()).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| is_of_a_start(&entry.path())))
    })
}

/// Ids of the cells that the merged table calls done.
fn finished(results: &ResultsFolder) -> Result<Vec<String>> {
    let ids = read_rows_if_any::<CellsRow, _>(results.path(), |row, _| {
        Ok((row.status == Status::Done).then(|| row.cell.to_owned()))
    })?;
    Ok(ids)
}
