//! The cells of a results folder: every one that its spec asks for, every other one that is there, and the state of each. Without data: a
//! folder is looked at where its data may not be.

use crate::execute::{CellStanding, standings};
use anyhow::Result;
use homebench_experiment::plan::{Arm, CellsThere, Plan, PlannedCell, Reuse, reuse};
use homebench_experiment::spec::{CellContent, Experiment, Source};
use homebench_results::tables::{CellsRow, read_rows_if_any};
use homebench_results::{Finding, Ledger, MergedCell, Problem, ResultsFolder, RunState, Winners};
use std::collections::BTreeSet;

pub(super) const DONE: &str = "done";
const RUNNING: &str = "running";
pub(super) const STALE: &str = "stale";

/// A cell as it is shown.
pub(super) struct CellRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) split_seed: Option<u64>,
    pub(super) seed: u64,
    pub(super) state: &'static str,
    pub(super) note: String,
    /// The cell as tables have it, once it has ended.
    pub(super) ended: Option<MergedCell>,
}

impl CellRow {
    pub(super) fn is_done(&self) -> bool {
        self.state == DONE
    }
}

/// Ids of the cells that belong to the data of today, as far as that is known without the data: those of the tables, or those of the last
/// run where it has not merged them.
pub(super) fn current(results: &ResultsFolder, found: &[Finding]) -> BTreeSet<String> {
    let is_merged = |finding: &Finding| finding.problem != Problem::NotMerged;
    if found.iter().all(is_merged) {
        let merged =
            read_rows_if_any::<CellsRow, _>(results.path(), |row, _| Ok(Some(row.cell.to_owned())));
        return merged.unwrap_or_default().into_iter().collect();
    }
    let runs = Ledger::read(results)
        .ok()
        .flatten()
        .unwrap_or_default()
        .runs;
    let last = runs.last().and_then(|run| run.get("cells")?.as_array());
    let ids = last.into_iter().flatten();
    ids.filter_map(|id| Some(id.as_str()?.to_owned())).collect()
}

/// Every cell that is asked for, and every other one that is there. Of several that are asked for under one name, such as on data of
/// today and of before, those that are `current` count.
pub(super) fn rows(
    results: &ResultsFolder,
    (experiment, source): (&Experiment, &Source),
    current: &BTreeSet<String>,
    is_at_work: bool,
) -> Result<Vec<CellRow>> {
    // Without data: a folder is looked at where its data may not be, and preparing it could take minutes.
    let mut there = cells_there(results)?;
    let winners = Winners::read(results)?;
    let plan = Plan::without_data(experiment, source, &winners, &there, results)?;
    // A run that was killed leaves its state behind, so the lock says whether anything runs.
    let running = is_at_work.then(|| RunState::read(results)).flatten();
    let running = running.map(|state| state.cells).unwrap_or_default();
    let standings = standings(results);
    let mut row = |cell: &PlannedCell, winner: Option<usize>| {
        // Taken out, so that what is left in the end is what nobody asked for.
        let found = there.take(cell, |there| current.contains(&there.id));
        let (state, note, ended) = match &found {
            Some(found) if standings.contains_key(&found.id) => {
                let (state, note) = standing(&standings[&found.id]);
                match state_of(results, cell, found, winner) {
                    // What its outcome says is more than what a task has said last.
                    ended if ended.0 == DONE => ended,
                    _ => (state, note, None),
                }
            }
            Some(found) if running.iter().any(|one| one.id == found.id) => {
                (RUNNING, String::new(), None)
            }
            Some(found) => state_of(results, cell, found, winner),
            None => ("missing", String::new(), None),
        };
        CellRow {
            id: found.map_or_else(|| "-".to_owned(), |found| found.id),
            name: cell.label_of_all_seeds(),
            split_seed: cell.split_seed,
            seed: cell.content.seed,
            state,
            note,
            ended,
        }
    };
    let mut rows: Vec<CellRow> = Vec::new();
    for arm in &plan.arms {
        rows.extend(arm.trial_cells().map(|cell| row(cell, arm.winner)));
    }
    for arm in &plan.arms {
        if arm.is_tuned() && arm.winner.is_none() {
            rows.extend(arm.final_labels().map(|(seed, _)| row_to_come(arm, seed)));
        }
        rows.extend(arm.finals.iter().map(|cell| row(cell, None)));
    }
    rows.extend(there.into_rest().map(|cell| CellRow {
        id: cell.id,
        name: cell.content.variant,
        split_seed: cell.split_seed,
        seed: cell.content.seed,
        state: STALE,
        note: "of another spec, data or numerics version".to_owned(),
        ended: None,
    }));
    Ok(rows)
}

/// How a cell that was submitted stands, in words.
fn standing(standing: &CellStanding) -> (&'static str, String) {
    match standing {
        CellStanding::Queued(task) => ("queued", task.clone()),
        CellStanding::Running(host) => (RUNNING, format!("on {host}")),
        CellStanding::Lost(task, host, seconds) => (
            "lost",
            format!("{task} on {host} is silent for {seconds} s"),
        ),
    }
}

/// A final cell whose settings are those of a winner that is not known.
fn row_to_come(arm: &Arm, seed: u64) -> CellRow {
    CellRow {
        id: "-".to_owned(),
        name: arm.label(),
        split_seed: arm.split_seed,
        seed,
        state: "after tuning",
        note: String::new(),
        ended: None,
    }
}

/// Cells that were started, by their own word, in the order of their ids. Those of which it can't be told what they are were looked at
/// before.
fn cells_there(results: &ResultsFolder) -> Result<CellsThere> {
    let content = |id: &String| CellContent::read_if_any(&results.cell(id));
    let ids = results.cell_ids()?;
    let contents = ids.iter().filter_map(|id| content(id).unwrap_or(None));
    Ok(CellsThere::new(contents.map(PlannedCell::new)))
}

/// The state of a planned cell that was started, what is to be known of it, and what became of it.
fn state_of(
    results: &ResultsFolder,
    planned: &PlannedCell,
    cell: &PlannedCell,
    winner: Option<usize>,
) -> (&'static str, String, Option<MergedCell>) {
    let ended = |outcome| {
        // The place in the plan is the planned one's, the data and the id are of what ran.
        let mut ran = planned.clone();
        ran.id.clone_from(&cell.id);
        ran.content.clone_from(&cell.content);
        Some(ran.merged(outcome, winner))
    };
    match reuse(&results.cell(&cell.id), cell) {
        Reuse::Done(outcome) => (DONE, String::new(), ended(outcome)),
        Reuse::Missing => (
            "unfinished",
            "run the experiment again to go on".to_owned(),
            None,
        ),
        Reuse::Failed(outcome) => {
            let reason = outcome.error.clone().unwrap_or_default();
            ("failed", reason, ended(outcome))
        }
        Reuse::Refused(why) => ("altered", why, None),
    }
}
