//! `homebench status`: what of an experiment is done, missing, failed, altered by hand, or of another spec.

use super::arguments::ResultsArgument;
use super::table;
use crate::record::{self, CellFolder, ResultsFolder};
use crate::spec::{self, CellContent, Experiment, NUMERICS_VERSION, Variant};
use crate::sweep::{PlannedCell, Reuse, reuse};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a script reads as "not all of it can be used as it is".
const EXIT_INCOMPLETE: u8 = 1;

/// Show the state of every cell of a results folder, and whether its tables are as they were written
///
/// Exit code 0 if everything is done and unaltered, 1 if not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench status results/census")]
pub(super) struct StatusArguments {
    #[command(flatten)]
    results: ResultsArgument,
}

impl StatusArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let results = self.results.open()?;
        let (experiment, _) = spec::load(&results.resolved_spec(), &[])?;
        let mut there = cells_there(&results);
        let mut rows = Vec::new();
        for variant in &experiment.variants {
            for seed in &experiment.seeds {
                let place = there
                    .iter()
                    .position(|cell| belongs(cell, &experiment, variant, *seed));
                rows.push(match place.map(|place| there.remove(place)) {
                    Some(cell) => state_row(&results, &cell),
                    None => row(["-", &variant.name, &seed.to_string(), "missing", ""]),
                });
            }
        }
        for cell in &there {
            let seed = cell.content.seed.to_string();
            let why = "of another spec, data or numerics version";
            rows.push(row([&cell.id, &cell.content.variant, &seed, "stale", why]));
        }
        print!(
            "{}",
            table::align(&["cell", "variant", "seed", "state", "note"], &rows)
        );
        let altered = record::altered_tables(&results);
        for name in &altered {
            println!("{name}: gone or altered; running the experiment again writes it anew");
        }
        let is_whole = altered.is_empty() && rows.iter().all(|row| row[3] == DONE);
        Ok(match is_whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_INCOMPLETE),
        })
    }
}

const DONE: &str = "done";

fn row(cells: [&str; 5]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
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

/// Whether a cell is what the resolved spec asks for, on whatever data and device it ran.
fn belongs(cell: &PlannedCell, experiment: &Experiment, variant: &Variant, seed: u64) -> bool {
    let content = &cell.content;
    let device = content.device.parse().unwrap_or_default();
    let dataset = &content.dataset;
    let planned = CellContent::new(
        experiment,
        variant,
        seed,
        device,
        &dataset.protocol,
        &dataset.content_hash,
    );
    content.numerics_version == NUMERICS_VERSION && planned.id() == cell.id
}

fn state_row(results: &ResultsFolder, cell: &PlannedCell) -> Vec<String> {
    let (state, note) = match reuse(&results.cell(&cell.id), cell) {
        Reuse::Done(_) => (DONE, String::new()),
        Reuse::Missing => ("unfinished", "run the experiment again to go on".to_owned()),
        Reuse::Failed(outcome) => ("failed", outcome.error.unwrap_or_default()),
        Reuse::Refused(why) => ("altered", why),
    };
    let seed = cell.content.seed.to_string();
    row([&cell.id, &cell.content.variant, &seed, state, &note])
}
