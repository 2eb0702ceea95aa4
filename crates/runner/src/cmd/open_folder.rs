//! A results folder as reports and figures read it: whole, unfinished, or a part of its cells.

use super::cell_list::{STALE, current, rows};
use crate::execute::at_work;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{CellsThere, Plan, matches_glob};
use homebench_experiment::spec;
use homebench_report::{Extent, Folder, MissingCell};
use homebench_results::read::{Cell, Results, distinct};
use homebench_results::tables::{CellsRow, read_rows_if_any};
use homebench_results::{Finding, MergedCell, Problem, ResultsFolder, Status, Winners, merge_into};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tempfile::TempDir;

/// Of so many labels a refusal names the first.
const MOST_NAMED: usize = 40;

/// A folder that was read.
pub(super) struct Opened {
    pub(super) folder: Folder,
    /// Whether its tables lack cells that have ended, so that it was read from the cells.
    pub(super) is_unmerged: bool,
    // Removed once the folder is dropped: context is read from it until then.
    _tables: Option<TempDir>,
}

/// Reads a folder; of the cells that `only` fits, or of all.
///
/// # Errors
/// A file that can't be read, no cell that has ended, or none that fits.
pub(super) fn open_folder(
    results: &ResultsFolder,
    found: &[Finding],
    baseline: Option<&str>,
    only: Option<&str>,
) -> Result<Opened> {
    let is_unmerged = is_unmerged(results)?;
    let (read, mut extent, tables) = match is_unmerged {
        false => {
            let read = Results::read(results.path())?;
            let extent = extent_of(results, &read);
            (read, extent, None)
        }
        true => {
            let (tables, extent) = merged_elsewhere(results, found)?;
            (Results::read(tables.path())?, extent, Some(tables))
        }
    };
    let read = match only {
        None => read,
        Some(pattern) => keep(read, pattern, &mut extent)?,
    };
    // What lacks is said once, as such.
    let of_files = found
        .iter()
        .filter(|finding| !(is_unmerged && is_of_merge(finding)));
    let folder = Folder::of(read, baseline)?
        .with_findings(of_files.cloned().collect())
        .with_extent(extent);
    let folder = match is_unmerged {
        // The tables lie elsewhere, the report belongs here.
        true => folder.writing_into(results.path(), ""),
        false => folder,
    };
    Ok(Opened {
        folder,
        is_unmerged,
        _tables: tables,
    })
}

/// Whether a finding is that cells are in no table yet.
pub(super) fn is_of_merge(finding: &Finding) -> bool {
    finding.problem == Problem::NotMerged
}

/// Whether a cell has ended that the tables don't have, or whether they are being written.
fn is_unmerged(results: &ResultsFolder) -> Result<bool> {
    if !results.join("cells").is_dir() {
        return Ok(false);
    }
    if at_work(results).is_some_and(|work| work.is_run && !work.is_gone) {
        return Ok(true);
    }
    let merged =
        read_rows_if_any::<CellsRow, _>(results.path(), |row, _| Ok(Some(row.cell.to_owned())));
    // One that can't be read is said to be so by whoever reads it.
    let Ok(merged) = merged else { return Ok(false) };
    let merged: BTreeSet<String> = merged.into_iter().collect();
    let ids = results.cell_ids()?;
    let has_ended = |id: &&String| results.cell(id).outcome().exists();
    let mut left = ids
        .iter()
        .filter(|id| !merged.contains(*id))
        .filter(has_ended);
    if merged.is_empty() {
        return Ok(left.next().is_some() || !results.cells_csv().exists());
    }
    // Cells of another spec are in no table, and never will be.
    let left: BTreeSet<&String> = left.collect();
    if left.is_empty() {
        return Ok(false);
    }
    let (experiment, source) = spec::load(&results.resolved_spec(), &[])?;
    let rows = rows(
        results,
        (&experiment, &source),
        &current(results, &[]),
        false,
    )?;
    let is_left = |id: &String| left.contains(id);
    Ok(rows
        .iter()
        .any(|row| row.state != STALE && is_left(&row.id)))
}

/// The tables of the cells that have ended, in a folder that is removed in the end.
fn merged_elsewhere(results: &ResultsFolder, found: &[Finding]) -> Result<(TempDir, Extent)> {
    let (experiment, source) = spec::load(&results.resolved_spec(), &[])?;
    let is_at_work = at_work(results).is_some_and(|work| work.is_run && !work.is_gone);
    let current = current(results, found);
    let rows = rows(results, (&experiment, &source), &current, is_at_work)?;
    let is_planned = rows.iter().filter(|row| row.state != STALE);
    let missing = is_planned.clone().filter(|row| row.ended.is_none());
    let extent = Extent {
        num_planned: is_planned.count(),
        missing: missing
            .map(|row| MissingCell {
                variant: row.name.clone(),
                seed: row.seed,
                state: row.state,
            })
            .collect(),
        is_of_cells: true,
        ..Extent::default()
    };
    let cells: Vec<MergedCell> = rows.into_iter().filter_map(|row| row.ended).collect();
    let is_score = |cell: &MergedCell| cell.trial.is_none() && cell.outcome.status == Status::Done;
    if !cells.iter().any(is_score) {
        let name = results.path().display().to_string();
        let said = match cells.is_empty() {
            true => "no cell has ended yet, so there is nothing to report",
            false => "no final cell is done yet, so there is nothing to report",
        };
        return Err(Diagnostic::new(name, said)
            .hint("`homebench status` shows how far it is; `homebench run` with the same spec goes on")
            .into());
    }
    let tables = tempfile::tempdir()?;
    let merged = ResultsFolder::new(tables.path());
    merge_into(&merged, results, &cells, [], [])?;
    for file in [
        results.resolved_spec(),
        results.provenance(),
        results.facts(),
        results.winners(),
        results.join("data_warnings.csv"),
    ] {
        copy_if_any(&file, merged.path())?;
    }
    let external = results.join("external");
    if external.is_dir() {
        let copy = merged.join("external");
        std::fs::create_dir(&copy)?;
        for entry in std::fs::read_dir(&external)? {
            copy_if_any(&entry?.path(), &copy)?;
        }
    }
    copy_data(results, &merged)?;
    Ok((tables, extent))
}

/// What was asked of the data, which the report says.
fn copy_data(results: &ResultsFolder, merged: &ResultsFolder) -> Result<()> {
    let data = results.join("data");
    if !data.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(&data)? {
        let entry = entry?;
        let copy = merged.join("data").join(entry.file_name());
        std::fs::create_dir_all(&copy)?;
        copy_if_any(&entry.path().join("data.toml"), &copy)?;
    }
    Ok(())
}

fn copy_if_any(file: &Path, into: &Path) -> Result<()> {
    if let Some(name) = file.file_name().filter(|_| file.is_file()) {
        std::fs::copy(file, into.join(name))?;
    }
    Ok(())
}

/// How much of its experiment a folder has whose tables are whole. One whose spec can't be read any more says nothing of it.
pub(super) fn extent_of(results: &ResultsFolder, read: &Results) -> Extent {
    let Ok((experiment, source)) = spec::load(&results.resolved_spec(), &[]) else {
        return Extent::default();
    };
    let winners = Winners::read(results).unwrap_or_default();
    // Final cells are counted by their names, which need nothing of what trials came to.
    let Ok(plan) = Plan::without_data(
        &experiment,
        &source,
        &winners,
        &CellsThere::default(),
        results,
    ) else {
        return Extent::default();
    };
    // By name and seed: which split is the description's own, only its data tells.
    let mut there: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for cell in read.own_cells() {
        *there.entry((&cell.variant, cell.seed)).or_default() += 1;
    }
    let mut extent = Extent::default();
    for arm in &plan.arms {
        for (seed, _) in arm.final_labels() {
            extent.num_planned += 1;
            let left = there.entry((&arm.variant, seed)).or_default();
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => extent.missing.push(MissingCell {
                    variant: arm.label(),
                    seed,
                    state: "missing",
                }),
            }
        }
    }
    extent
}

/// What `--only` calls a cell, as `run` does: with the data's knobs and the split where it has them.
fn label(cell: &Cell) -> String {
    let knobs = cell.dataset.split_once('[');
    let knobs = knobs.map(|(_, knobs)| format!("/{}", knobs.trim_end_matches(']')));
    let split = cell.split_seed.map(|split| format!("/split-{split}"));
    let (knobs, split) = (knobs.unwrap_or_default(), split.unwrap_or_default());
    format!("{}{knobs}{split}/{}", cell.variant, cell.seed)
}

/// The cells that the pattern fits, by label, variant or id.
fn keep(read: Results, pattern: &str, extent: &mut Extent) -> Result<Results, Diagnostic> {
    let fits = |cell: &Cell| {
        let names = [&label(cell), &cell.variant, &cell.id];
        names.into_iter().any(|name| matches_glob(pattern, name))
    };
    let num_kept = read.cells.iter().filter(|cell| fits(cell)).count();
    if num_kept == 0 {
        let labels: Vec<String> = read.cells.iter().map(label).collect();
        let variants = distinct(read.cells.iter().map(|cell| cell.variant.as_str()));
        let shown = labels.len().min(MOST_NAMED);
        let more = match labels.len() - shown {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "no cell here is named so; expected a pattern of: {}{more}",
            labels[..shown].join(", ")
        );
        let known = variants
            .into_iter()
            .chain(labels.iter().map(String::as_str));
        return Err(Diagnostic::new(format!("--only {pattern}"), message)
            .hint("quote the pattern, or the shell takes its stars: --only 'home/*'")
            .did_you_mean(pattern.trim_end_matches(['/', '*']), known));
    }
    extent.only = Some(pattern.to_owned());
    extent.num_left_out = read.cells.len() - num_kept;
    extent.missing.retain(|cell| {
        let label = format!("{}/{}", cell.variant, cell.seed);
        matches_glob(pattern, &cell.variant) || matches_glob(pattern, &label)
    });
    Ok(read.keeping(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_called_as_the_run_that_made_it_called_it() {
        let mut cell = Cell {
            variant: "ple".to_owned(),
            dataset: "census-income".to_owned(),
            seed: 3,
            ..Cell::default()
        };
        assert_eq!(label(&cell), "ple/3");
        cell.dataset = "two-task[correlation=0.5]".to_owned();
        cell.split_seed = Some(7);
        assert_eq!(label(&cell), "ple/correlation=0.5/split-7/3");
    }
}
