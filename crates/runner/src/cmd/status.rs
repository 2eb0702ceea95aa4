//! `homebench status`: what of an experiment is done, missing, failed, altered by hand, or of another spec.

use super::arguments::ResultsArgument;
use super::watch::watch;
use crate::execute::at_work;
use anyhow::Result;
use clap::Args;
use homebench_experiment::plan::{PlannedCell, Reuse, reuse};
use homebench_experiment::spec::{
    self, CellContent, CellDataset, Configured, Experiment, NUMERICS_VERSION, Variant,
};
use homebench_report::text_table::align_rows;
use homebench_results::Phase;
use homebench_results::{self as record, CellFolder, ResultsFolder, RunState, Winners};
use std::path::PathBuf;
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
            watch(&results);
        }
        let (experiment, _) = spec::load(&results.resolved_spec(), &[])?;
        let mut rows = rows(&results, &experiment)?;
        let altered = record::altered_tables(&results);
        let is_whole = altered.is_empty() && rows.iter().all(Row::is_done);
        println!("{}", counts(&rows));
        if self.watch {
            rows.retain(|row| !row.is_done());
        }
        if !rows.is_empty() {
            print!("{}", aligned(&rows, !experiment.split_seeds.is_empty()));
        }
        for name in &altered {
            println!("{name}: gone or altered; running the experiment again writes it anew");
        }
        Ok(match is_whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_INCOMPLETE),
        })
    }
}

const DONE: &str = "done";
const RUNNING: &str = "running";

/// A cell as it is shown.
struct Row {
    id: String,
    name: String,
    split_seed: Option<u64>,
    seed: u64,
    state: &'static str,
    note: String,
}

impl Row {
    fn is_done(&self) -> bool {
        self.state == DONE
    }
}

/// Every cell that is asked for, and every other one that is there.
fn rows(results: &ResultsFolder, experiment: &Experiment) -> Result<Vec<Row>> {
    let winners = Winners::read(results)?;
    let running = at_work(results).and_then(|_| RunState::read(results));
    let running = running.unwrap_or_default().cells;
    let mut there = cells_there(results);
    let mut rows = Vec::new();
    for expected in expected(experiment, &winners) {
        let place = there.iter().position(|cell| expected.is(cell));
        let cell = place.map(|place| there.remove(place));
        let (state, note) = match &cell {
            Some(cell) if running.iter().any(|one| one.id == cell.id) => (RUNNING, String::new()),
            Some(cell) => state_of(results, cell),
            None => (expected.state, String::new()),
        };
        rows.push(Row {
            id: cell.map_or_else(|| "-".to_owned(), |cell| cell.id),
            name: expected.name,
            split_seed: expected.split_seed,
            seed: expected.seed,
            state,
            note,
        });
    }
    rows.extend(there.into_iter().map(|cell| Row {
        id: cell.id,
        name: cell.content.variant,
        split_seed: cell.split_seed,
        seed: cell.content.seed,
        state: "stale",
        note: "of another spec, data or numerics version".to_owned(),
    }));
    Ok(rows)
}

/// How many cells are in which state, those that are done first.
fn counts(rows: &[Row]) -> String {
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

fn aligned(rows: &[Row], with_splits: bool) -> String {
    let texts = |row: &Row| {
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
    align_rows(&header, &rows.iter().map(texts).collect::<Vec<_>>())
}

/// Cells that were started, by their own word, in the order of their ids.
fn cells_there(results: &ResultsFolder) -> Vec<PlannedCell> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(results.join("cells"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    let content = |folder: PathBuf| CellContent::read(&CellFolder::new(folder).content()).ok();
    folders
        .into_iter()
        .filter_map(content)
        .map(PlannedCell::new)
        .collect()
}

/// A cell that the resolved spec asks for.
struct Expected<'a> {
    /// Its variant, with its split and its trial where it has those.
    name: String,
    variant: &'a Variant,
    /// Absent of a final cell whose winner is not known.
    configured: Option<&'a Configured>,
    seed: u64,
    split_seed: Option<u64>,
    /// Of the data.
    knobs: toml::Table,
    phase: Phase,
    /// Its state where it was not started.
    state: &'static str,
}

/// Every cell that is asked for: trials, then final cells.
fn expected<'a>(experiment: &'a Experiment, winners: &Winners) -> Vec<Expected<'a>> {
    let splits: Vec<Option<u64>> = match experiment.split_seeds.as_slice() {
        [] => vec![None],
        seeds => seeds.iter().map(|seed| Some(*seed)).collect(),
    };
    let tuning_seeds = experiment.tuning.as_ref().map(|tuning| &tuning.seeds[..]);
    let (mut trials, mut finals) = (Vec::new(), Vec::new());
    let datasets = experiment.datasets();
    let points = datasets.iter().zip(&experiment.points);
    let points: Vec<_> = points
        .flat_map(|(dataset, point)| splits.iter().map(move |split| (dataset, point, split)))
        .collect();
    for variant in &experiment.variants {
        for (dataset, point, split_seed) in &points {
            let mut split = match point.is_empty() {
                true => String::new(),
                false => format!("/{}", CellDataset::new(dataset, "", "").knobs_in_name()),
            };
            if let Some(seed) = split_seed.filter(|_| splits.len() > 1) {
                split += &format!("/split-{seed}");
            }
            let winner = winners.winners.iter().find(|winner| {
                let is_split = split_seed.is_none() || winner.split_seed == **split_seed;
                winner.variant == variant.name && is_split
            });
            let add = |to: &mut Vec<_>, trial: Option<usize>, configured, seeds: &[u64]| {
                let trial = trial.map_or_else(String::new, |number| format!("/trial-{number}"));
                for seed in seeds {
                    to.push(Expected {
                        name: format!("{}{split}{trial}", variant.name),
                        variant,
                        configured,
                        seed: *seed,
                        split_seed: **split_seed,
                        knobs: dataset.knobs.clone(),
                        phase: if trial.is_empty() {
                            Phase::Final
                        } else {
                            Phase::Tuning
                        },
                        state: if configured.is_some() {
                            "missing"
                        } else {
                            "after tuning"
                        },
                    });
                }
            };
            for (index, trial) in variant.trials.iter().enumerate() {
                let seeds = tuning_seeds.unwrap_or_default();
                add(&mut trials, Some(index + 1), Some(trial), seeds);
            }
            let configured = match variant.trials.is_empty() {
                true => Some(&variant.configured),
                false => winner.and_then(|winner| variant.trials.get(winner.trial - 1)),
            };
            add(&mut finals, None, configured, &experiment.seeds);
        }
    }
    trials.extend(finals);
    trials
}

impl Expected<'_> {
    /// Whether a cell is this one, on whatever data and device it ran.
    fn is(&self, cell: &PlannedCell) -> bool {
        let content = &cell.content;
        let Some(configured) = self.configured else {
            return false;
        };
        // The description's own split may be the one that is meant.
        let is_split =
            content.dataset.split_seed.is_none() || content.dataset.split_seed == self.split_seed;
        let mut planned = CellContent::new(
            &self.variant.name,
            configured,
            self.seed,
            self.phase,
            content.device.parse().unwrap_or_default(),
            content.dataset.clone(),
        );
        // Widths that a budget solves are known with the data alone.
        if self.variant.budget.is_some()
            && let Some(widths) = content.model.knobs.get("expert_dims")
        {
            let widths = widths.clone();
            planned.model.knobs.insert("expert_dims".to_owned(), widths);
        }
        let is_data = is_split && content.dataset.knobs == self.knobs;
        content.numerics_version == NUMERICS_VERSION && is_data && planned.id() == cell.id
    }
}

/// The state of a cell that was started, and what is to be known of it.
fn state_of(results: &ResultsFolder, cell: &PlannedCell) -> (&'static str, String) {
    match reuse(&results.cell(&cell.id), cell) {
        Reuse::Done(_) => (DONE, String::new()),
        Reuse::Missing => ("unfinished", "run the experiment again to go on".to_owned()),
        Reuse::Failed(outcome) => ("failed", outcome.error.unwrap_or_default()),
        Reuse::Refused(why) => ("altered", why),
    }
}
