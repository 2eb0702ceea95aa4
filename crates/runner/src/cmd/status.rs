//! `homebench status`: what of an experiment is done, missing, failed, altered by hand, or of another spec.

use super::arguments::ResultsArgument;
use super::cell_list::{CellRow, DONE, STALE, current, rows};
use super::integrity::{look, other_data};
use super::screen::{for_stdout, terminal_width};
use super::watch::watch;
use crate::execute::{at_work, unreadable_submissions};
use crate::output::write_answer;
use anyhow::Result;
use clap::Args;
use homebench_diagnostic::visible;
use homebench_experiment::spec;
use homebench_report::text_table::align_rows_within;
use homebench_results::tables::{CellsRow, Table, read_rows_if_any};
use homebench_results::{Finding, Problem, ResultsFolder, Status};
use std::process::ExitCode;

/// What a script reads as "not all of it can be used as it is".
const EXIT_INCOMPLETE: u8 = 1;

/// Show the state of every cell of a results folder, and whether its tables are as they were written
///
/// Exit code 0 if everything is done and unaltered, 1 if not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench status results/census
  homebench status results/census --watch   # from another terminal, while it runs")]
pub(super) struct StatusArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// Show how the run that is under way goes, until it ends
    #[arg(long)]
    watch: bool,
}

impl StatusArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let results = self.results.open()?;
        if self.watch {
            watch(&results)?;
        }
        let found = look(&results)?;
        let work = at_work(&results);
        let running = work.as_ref().filter(|work| work.is_run && !work.is_gone);
        let list = || -> Result<_> {
            let (experiment, source) = spec::load(&results.resolved_spec(), &[])?;
            let current = current(&results, &found);
            let spec = (&experiment, &source);
            let rows = rows(&results, spec, &current, running.is_some())?;
            Ok((rows, !experiment.split_seeds.is_empty()))
        };
        if !results.join("cells").is_dir() && results.cells_csv().exists() {
            return say_copy(&results, &found);
        }
        let (mut answer, mut rows, has_splits) = match list() {
            Ok((rows, has_splits)) => (counts(&rows) + "\n", rows, has_splits),
            // Of a spec or winners that are not as they were; what was found says which.
            Err(_) if !found.is_empty() => {
                ("the cells can't be listed\n".to_owned(), Vec::new(), false)
            }
            Err(error) => return Err(error),
        };
        let found = of_rows(&results, found, &rows, running.is_some());
        let unreadable = unreadable_submissions(&results);
        let is_whole =
            found.is_empty() && unreadable.is_empty() && rows.iter().all(CellRow::is_done);
        for said in &unreadable {
            let hint = said.hint.as_deref().unwrap_or_default();
            let line = format!("{}: {}; {hint}", said.source, said.message);
            answer += &(for_stdout(&visible(&line), "") + "\n");
        }
        // Whoever watched has seen what went well.
        if self.watch {
            rows.retain(|row| !row.is_done());
        }
        for other in other_data(&results) {
            answer += &(for_stdout(&other, "") + "\n");
        }
        if !rows.is_empty() {
            answer += &aligned(&rows, has_splits);
        }
        for finding in &found {
            let finding = format!(
                "{}; {}",
                visible(&finding.to_string()),
                finding.mend(&results)
            );
            answer += &(for_stdout(&finding, "") + "\n");
        }
        if rows.iter().any(|row| row.state == STALE) {
            let stale = "stale cells are not used; the folders cells/ID of those that you don't need may be removed";
            answer += &(for_stdout(stale, "") + "\n");
        }
        if let Some(work) = &work
            && let Some(advice) = work.advice()
        {
            let gone = format!(
                "process {} is gone, but not its cells: {advice}",
                work.holder
            );
            answer += &(for_stdout(&gone, "") + "\n");
        }
        write_answer(&answer)?;
        Ok(match is_whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_INCOMPLETE),
        })
    }
}

/// What is to be said beside the cells. While a run is at work, tables are on their way.
fn of_rows(
    results: &ResultsFolder,
    mut found: Vec<Finding>,
    rows: &[CellRow],
    is_at_work: bool,
) -> Vec<Finding> {
    let is_whole = rows.iter().all(CellRow::is_done);
    found.retain(|finding| {
        let is_of_merge = finding.is_of_table() || finding.problem == Problem::NotMerged;
        // Of a run that was interrupted, the cells say it.
        let is_expected = finding.problem == Problem::NotMerged && !is_whole;
        !(is_expected || is_of_merge && is_at_work)
    });
    let merged =
        read_rows_if_any::<CellsRow, _>(results.path(), |row, _| Ok(Some(row.cell.to_owned())));
    // A table that can't be read has no cell.
    let merged: Vec<String> = merged.unwrap_or_else(|_| Vec::new());
    let is_left = |row: &CellRow| row.is_done() && !merged.contains(&row.id);
    if is_whole && found.is_empty() && !is_at_work && rows.iter().any(is_left) {
        found.push(Finding {
            file: CellsRow::FILE.to_owned(),
            problem: Problem::NotMerged,
            detail: None,
        });
    }
    found
}

/// What is said of a copy that has tables and no cells, as `homebench pack` makes it.
fn say_copy(results: &ResultsFolder, found: &[Finding]) -> Result<ExitCode> {
    let is_done = read_rows_if_any::<CellsRow, _>(results.path(), |row, _| {
        Ok(Some(row.status == Status::Done))
    });
    // What is wrong with the table was found.
    let is_done = is_done.unwrap_or_default();
    let done = is_done.iter().filter(|is_done| **is_done).count();
    let mut lines = vec![format!(
        "{} cells: {done} done; this folder has their tables alone, as a packed copy does",
        is_done.len()
    )];
    lines.extend(other_data(results));
    let finding = |finding: &Finding| format!("{finding}; {}", finding.mend(results));
    lines.extend(found.iter().map(finding));
    let lines = lines.iter().map(|line| for_stdout(line, "") + "\n");
    let answer: String = lines.collect();
    write_answer(&answer)?;
    Ok(match found.is_empty() && done == is_done.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_INCOMPLETE),
    })
}

/// How many cells are in which state, those that are done first.
fn counts(rows: &[CellRow]) -> String {
    let mut counts: Vec<(&str, usize)> = vec![(DONE, 0)];
    for row in rows {
        match counts.iter_mut().find(|(state, _)| *state == row.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((row.state, 1)),
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    format!("{} cells: {}", rows.len(), counts.join(", "))
}

fn aligned(rows: &[CellRow], with_splits: bool) -> String {
    let texts = |row: &CellRow| {
        let split = row
            .split_seed
            .map_or("-".to_owned(), |seed| seed.to_string());
        let split = with_splits.then_some(split);
        let start = [row.id.clone(), row.name.clone()].into_iter().chain(split);
        let rest = [row.seed.to_string(), row.state.to_owned(), row.note.clone()];
        start.chain(rest).collect()
    };
    let split = with_splits.then_some("split_seed");
    let header: Vec<&str> = ["cell", "variant"]
        .into_iter()
        .chain(split)
        .chain(["seed", "state", "note"])
        .collect();
    let texts: Vec<Vec<String>> = rows.iter().map(texts).collect();
    align_rows_within(&header, &texts, terminal_width())
}
