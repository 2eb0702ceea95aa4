//! Whether an experiment may write into a folder: results are never overwritten unasked.

use super::cells::Plan;
use super::cells_there::CellsThere;
use super::change::change;
use super::planned_cell::PlannedCell;
use crate::spec::{CellContent, load};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{self as record, Outcome, ResultsFolder, Status, Winners};
use std::collections::BTreeSet;
use std::path::Path;

/// Checks that `results` is new, or holds this experiment or a part of it. A folder belongs to a spec from its first cell on, merged or
/// not.
///
/// # Errors
/// A folder of other things; cells of its spec that the plan does not have, unless `fresh` says to replace them.
pub fn claim(results: &ResultsFolder, plan: &Plan, resolved: &str, fresh: bool) -> Result<()> {
    let folder = results.path();
    let name = folder.display().to_string();
    if !folder.exists() || is_empty(results) {
        return Ok(());
    }
    let spec = results.resolved_spec();
    let there = match record::read_text(&spec) {
        Err(_) if fresh => return Ok(()),
        Err(said) => return Err(said.hint(LOST).into()),
        // What stands beside it may be anybody's: a spec is copied and edited by people.
        Ok(Some(_)) if !is_of_homebench(results) && !is_of_a_start(results) => {
            return Err(strange(&name));
        }
        Ok(Some(there)) => there,
        Ok(None) if is_of_homebench(results) => {
            if fresh {
                return Ok(());
            }
            let said = Diagnostic::new(spec.display().to_string(), "gone");
            return Err(said.hint(LOST).into());
        }
        Ok(None) => return Err(strange(&name)),
    };
    if fresh || record::without_digest(&there) == record::without_digest(resolved) {
        return Ok(());
    }
    let others = others(results, plan)?;
    let Some(first) = others.first() else {
        return Ok(());
    };
    let is_done = |id: &&String| {
        let outcome = Outcome::read(&results.cell(id));
        matches!(outcome, Ok(Some(outcome)) if outcome.status == Status::Done)
    };
    let (num, num_done) = (others.len(), others.iter().filter(is_done).count());
    let cells = match num_done == num {
        true => format!("{num} finished cells"),
        false => format!("{num} cells, {num_done} of them finished,"),
    };
    Err(Diagnostic::new(
        name,
        format!(
            "the folder holds {cells} that this experiment does not have: {}",
            why(results, plan, first)
        ),
    )
    .hint("keep them and give another folder with `--out DIR`, or replace them with `--fresh`")
    .into())
}

fn strange(folder: &str) -> anyhow::Error {
    let said = "the folder is not empty and holds no results of homebench";
    let said = Diagnostic::new(folder, said).hint("give a new folder with `--out DIR`");
    said.into()
}

/// The mend of a folder whose spec can't be known.
const LOST: &str =
    "restore the file, give another folder with `--out DIR`, or replace all cells with `--fresh`";

/// Ids of the cells of the folder's spec that the plan does not have.
fn others(results: &ResultsFolder, plan: &Plan) -> Result<Vec<String>, Diagnostic> {
    let planned: BTreeSet<&str> = plan.cells().map(|cell| cell.id.as_str()).collect();
    let mut others = results.cell_ids()?;
    // A folder without a content is of a start that was killed at once.
    others.retain(|id| !planned.contains(id.as_str()) && results.cell(id).has_content());
    if others.is_empty() {
        return Ok(others);
    }
    // What an earlier `--fresh` replaced is there too, and belongs to no spec any more. Of a spec that can't be read, every cell counts.
    if let Ok((experiment, source)) = load(&results.resolved_spec(), &[]) {
        let content = |id: &String| CellContent::read(&results.cell(id));
        let ids = results.cell_ids()?;
        let there = ids.iter().filter_map(|id| content(id).ok());
        let there = CellsThere::new(there.map(PlannedCell::new));
        let winners = Winners::read(results)?;
        let own = Plan::without_data(&experiment, &source, &winners, &there, results)?;
        let of_own = own.cells().flat_map(|cell| there.matching(cell));
        let of_own: BTreeSet<&str> = of_own.map(|cell| cell.id.as_str()).collect();
        others.retain(|id| of_own.contains(id.as_str()));
    }
    Ok(others)
}

/// Whether a folder without a spec has something else that only homebench writes.
fn is_of_homebench(results: &ResultsFolder) -> bool {
    results.provenance().exists()
        || results
            .cell_ids()
            .is_ok_and(|ids| ids.iter().any(|id| results.cell(id).has_content()))
}

/// Why a cell is not of the plan: in what the planned one of its name differs.
fn why(results: &ResultsFolder, plan: &Plan, id: &str) -> String {
    let unknown = || "its spec, its data or the numerics changed".to_owned();
    let Ok(there) = CellContent::read(&results.cell(id)) else {
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

/// Nothing but what a start leaves that was refused, interrupted or killed before it wrote anything.
fn is_empty(results: &ResultsFolder) -> bool {
    has_only(results, |path| {
        path == results.lock() || path == results.lease() || record::is_partial(path)
    })
}

/// Nothing but that and what a start writes before its provenance: a spec with its digest, facts and winners.
fn is_of_a_start(results: &ResultsFolder) -> bool {
    let spec = record::read_text(&results.resolved_spec());
    let is_own_spec =
        spec.is_ok_and(|text| text.is_some_and(|text| record::is_whole(&text) == Some(true)));
    is_own_spec
        && has_only(results, |path| {
            let own = [
                results.lock(),
                results.lease(),
                results.resolved_spec(),
                results.facts(),
                results.winners(),
                results.join("cells"),
            ];
            own.iter().any(|own| own == path) || record::is_partial(path)
        })
}

fn has_only(results: &ResultsFolder, is_own: impl Fn(&Path) -> bool) -> bool {
    std::fs::read_dir(results.path()).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| is_own(&entry.path())))
    })
}
