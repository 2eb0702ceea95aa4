//! What scores of other programs have to agree with: the tasks, metrics and rows that this folder's own cells scored.

use super::external::{ExternalWinner, MARK};
use super::{ReadError, Results};
use crate::tables::{ExternalRow, TableReader};
use homebench_diagnostic::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where a score of a table stands in it: its index among the scores, and the line.
pub(super) type Lines = BTreeMap<usize, u64>;

/// Dataset, seed of the split, split and task.
type Key = (String, Option<u64>, String, String);

/// What the cells of this folder scored, against which the rows of other programs are held.
pub(super) struct Own {
    scored: BTreeMap<Key, Scored>,
}

/// Rows, positives, and the metrics there are.
#[derive(Default)]
struct Scored {
    rows: u64,
    positives: Option<u64>,
    metrics: BTreeSet<String>,
}

impl Own {
    pub(super) fn of(results: &Results) -> Self {
        let mut scored: BTreeMap<_, Scored> = BTreeMap::new();
        for score in &results.scores {
            let cell = &results.cells[score.cell];
            let key = (
                cell.dataset.clone(),
                cell.split_seed,
                score.split.to_string(),
                score.task.to_string(),
            );
            let found = scored.entry(key).or_default();
            (found.rows, found.positives) = (score.rows, score.positives);
            found.metrics.insert(score.metric.to_string());
        }
        Self { scored }
    }

    /// Everything that a column may hold, in order.
    fn all<'a, T: Ord>(&'a self, of: impl Fn(&'a Key) -> Option<T>) -> Vec<T> {
        let found: BTreeSet<T> = self.scored.keys().filter_map(of).collect();
        found.into_iter().collect()
    }

    /// Refuses settings that won a task that this folder doesn't have.
    pub(super) fn check_winner(
        &self,
        winner: &ExternalWinner,
        file: &Path,
    ) -> Result<(), Diagnostic> {
        let tasks = self.all(|key| Some(key.3.as_str()));
        if tasks.contains(&winner.task.as_str()) {
            return Ok(());
        }
        let message = format!(
            "[[winners]]: expected a task of metrics.csv, found `{}`",
            winner.task
        );
        Err(Diagnostic::new(file.display().to_string(), message)
            .hint(format!("there are: {}", tasks.join(", ")))
            .did_you_mean(&winner.task, tasks))
    }

    /// Refuses a row of what this folder doesn't have, or of other rows than its own cells scored.
    pub(super) fn check(
        &self,
        row: &ExternalRow,
        dataset: &str,
        table: &TableReader<ExternalRow>,
    ) -> Result<(), Diagnostic> {
        let datasets = self.all(|key| Some(key.0.as_str()));
        if !datasets.contains(&dataset) {
            let said = table.bad("dataset", "a dataset of cells.csv");
            return Err(named(said, dataset, &datasets));
        }
        if row.variant.trim().is_empty() {
            return Err(refused(table.bad("variant", "the name of a variant")));
        }
        let tasks = self.all(|key| Some(key.3.as_str()).filter(|_| key.0 == dataset));
        if !tasks.contains(&row.task) {
            return Err(named(
                table.bad("task", "a task of metrics.csv"),
                row.task,
                &tasks,
            ));
        }
        let is_of_row = |key: &&Key| key.0 == dataset && key.2 == row.split && key.3 == row.task;
        let seeds: Vec<Option<u64>> = self
            .scored
            .keys()
            .filter(is_of_row)
            .map(|key| key.1)
            .collect();
        // Of a folder with one split its seed need not be said.
        let seed = match (row.split_seed, seeds.as_slice()) {
            (None, [only]) => *only,
            (given, _) => given,
        };
        if !seeds.contains(&seed) {
            let seeds: Vec<String> = seeds.iter().flatten().map(u64::to_string).collect();
            let expected = match seeds.is_empty() {
                true => format!("a task with scores on the {} split", row.split),
                false => format!("a seed of a split of cells.csv ({})", seeds.join(", ")),
            };
            let column = if seeds.is_empty() {
                "split"
            } else {
                "split_seed"
            };
            return Err(refused(table.bad(column, &expected)));
        }
        let key = (
            dataset.to_owned(),
            seed,
            row.split.to_owned(),
            row.task.to_owned(),
        );
        let Some(own) = self.scored.get(&key) else {
            return Ok(());
        };
        if !own.metrics.contains(row.metric) {
            let metrics: Vec<&str> = own.metrics.iter().map(String::as_str).collect();
            let expected = format!("a metric that metrics.csv has of `{}`", row.task);
            return Err(named(table.bad("metric", &expected), row.metric, &metrics));
        }
        if row.rows != own.rows {
            let expected = format!(
                "{}, the rows of `{}` in the {} split",
                own.rows, row.task, row.split
            );
            return Err(refused(table.bad("rows", &expected)));
        }
        match (row.positives, own.positives) {
            (Some(found), Some(own)) if found != own => {
                let expected = format!(
                    "{own}, the positive labels of `{}` in the {} split",
                    row.task, row.split
                );
                Err(refused(table.bad("positives", &expected)))
            }
            (Some(_), None) => {
                let expected = format!("nothing, since `{}` predicts a number", row.task);
                Err(refused(table.bad("positives", &expected)))
            }
            _ => Ok(()),
        }
    }
}

/// A table's error with a mend: no run of homebench writes these files.
pub(super) fn refused(error: ReadError) -> Diagnostic {
    placed(&error).hint(
        "people write external/, not homebench: mend the file, make it again with the program that wrote it, or take it and its .toml \
         out of the folder",
    )
}

/// As [`refused`], with the nearest of the known names, or all of them.
fn named(error: ReadError, name: &str, known: &[&str]) -> Diagnostic {
    let said = placed(&error).hint(format!("there are: {}", known.join(", ")));
    said.did_you_mean(name, known.iter().copied())
}

/// The same words, as what a user can mend.
fn placed(error: &ReadError) -> Diagnostic {
    match error {
        ReadError::BadValue {
            file,
            line,
            column,
            expected,
            found,
        } => Diagnostic::new(
            format!("{}, line {line}, column `{column}`", file.display()),
            format!("expected {expected}, found `{found}`"),
        ),
        ReadError::MissingColumn {
            file,
            column,
            found,
        } => Diagnostic::new(
            format!("{}, line 1", file.display()),
            format!("expected a column `{column}`, found {found}"),
        ),
        ReadError::Malformed { file, why } => {
            Diagnostic::new(file.display().to_string(), format!("not a table: {why}"))
        }
        ReadError::Unreadable { file, why } => {
            Diagnostic::new(file.display().to_string(), why.to_string())
        }
    }
}

/// Refuses a score that a variant has for some of its seeds and not for the others: means would be of other runs than they seem to.
pub(super) fn check_seeds(results: &Results, lines: &Lines, file: &Path) -> Result<(), Diagnostic> {
    // Of each variant, dataset, split and its seed: the seeds of each task and metric, with its first line.
    let mut groups: BTreeMap<_, BTreeMap<_, (u64, BTreeSet<u64>)>> = BTreeMap::new();
    for (place, line) in lines {
        let score = &results.scores[*place];
        let cell = &results.cells[score.cell];
        let group = (&cell.variant, &cell.dataset, cell.split_seed, &score.split);
        let scores = groups.entry(group).or_default();
        let found = scores.entry((&score.task, &score.metric));
        let (_, seeds) = found.or_insert_with(|| (*line, BTreeSet::new()));
        seeds.insert(cell.seed);
    }
    for ((variant, _, _, split), scores) in groups {
        let all: BTreeSet<u64> = scores
            .values()
            .flat_map(|(_, seeds)| seeds.clone())
            .collect();
        for ((task, metric), (line, seeds)) in scores {
            let missing: Vec<String> = all.difference(&seeds).map(u64::to_string).collect();
            if !missing.is_empty() {
                let variant = variant.trim_end_matches(MARK);
                let message = format!(
                    "`{variant}` has no {metric} of `{task}` on the {split} split for the seed {}, which other scores of it have",
                    missing.join(", ")
                );
                let place = format!("{}, line {line}", file.display());
                return Err(Diagnostic::new(place, message).hint(format!(
                    "add the rows that are missing, with an empty value where the score is undefined, or leave out every row of the seed {}",
                    missing.join(", ")
                )));
            }
        }
    }
    Ok(())
}
