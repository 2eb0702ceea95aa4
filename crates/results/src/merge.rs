//! The merged tables of an experiment: every cell's part, in the order of the plan.

use super::atomic;
use super::layout::{CellFolder, ResultsFolder};
use super::outcome::{Outcome, Status};
use super::tables::{CELLS, PARTS, SETTINGS, THROUGHPUT, TUNING, Table, or_empty};
use crate::phase::Phase;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
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
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// The trial that it is of, where it is one.
    pub trial: Option<Trial>,
    /// What a grid, random draws or tuning set, in the order of names.
    pub settings: Vec<(String, String)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A place in the tuning of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// Number of the trial among those of its variant, from 1.
    pub number: usize,
    /// Whether its settings are those of the variant's final cells.
    pub is_selected: bool,
}

impl MergedCell {
    fn phase(&self) -> Phase {
        match self.trial {
            Some(_) => Phase::Tuning,
            None => Phase::Final,
        }
    }
}

/// Writes `metrics.csv`, `curves.csv`, `experts.csv`, `gates.csv`, `expert_histograms.csv`, `throughput.csv` and `cells.csv`
/// from the cells' parts; `settings.csv` where anything was swept or tuned, and `tuning.csv` where there are trials.
///
/// # Errors
/// A part that can't be read or has other columns; a table that can't be written.
pub fn merge(results: &ResultsFolder, cells: &[MergedCell]) -> Result<()> {
    for (table, with_trials) in &PARTS {
        atomic::write(&results.join(table.file), |out| {
            out.write_all(table.header_line().as_bytes())?;
            for cell in cells {
                let is_in = *with_trials || cell.phase() == Phase::Final;
                let folder = results.cell(&cell.outcome.id);
                let is_done = cell.outcome.status == Status::Done;
                if is_in && (is_done || has_failed_part(table, &folder)) {
                    append(table, &folder, out)?;
                }
            }
            Ok(())
        })?;
    }
    write_or_remove(results, &SETTINGS, cells.iter().flat_map(settings_rows))?;
    write_or_remove(results, &TUNING, cells.iter().filter_map(tuning_row))?;
    atomic::write(&results.cells_csv(), |out| {
        CELLS.write(out, cells.iter().map(cells_row))
    })
}

/// Of a cell that failed, only what its process used is shown, where the system told.
fn has_failed_part(table: &Table, folder: &CellFolder) -> bool {
    table.file == THROUGHPUT.file && table.is_whole(&folder.part(table.file))
}

/// A table that is there only where it has rows.
fn write_or_remove(
    results: &ResultsFolder,
    table: &Table,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<()> {
    let path = results.join(table.file);
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        return atomic::write(&path, |out| table.write(out, rows));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(atomic::unwritable(&path, &error).into())
        }
        _ => Ok(()),
    }
}

fn settings_rows(cell: &MergedCell) -> impl Iterator<Item = Vec<String>> + '_ {
    cell.settings.iter().map(|(setting, value)| {
        vec![
            cell.outcome.id.clone(),
            cell.variant.clone(),
            setting.clone(),
            value.clone(),
        ]
    })
}

fn tuning_row(cell: &MergedCell) -> Option<Vec<String>> {
    let Trial {
        number,
        is_selected,
    } = cell.trial?;
    let result = cell.outcome.result.as_ref();
    Some(vec![
        cell.variant.clone(),
        number.to_string(),
        cell.outcome.id.clone(),
        cell.seed.to_string(),
        or_empty(result.map(|result| result.validation_score)),
        is_selected.to_string(),
        or_empty(cell.split_seed),
    ])
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
        cell.phase().as_str().to_owned(),
        or_empty(cell.trial.map(|trial| trial.number)),
        or_empty(cell.split_seed),
        or_empty(outcome.tries),
        or_empty(
            outcome
                .tries
                .filter(|tries| *tries > 0)
                .map(|_| ResultsFolder::cell_log(&outcome.id)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::OutcomeResult;
    use crate::tables::PARTS;

    fn cell(id: &str, trial: Option<Trial>) -> MergedCell {
        let settings = [("training.learning_rate".to_owned(), "0.01".to_owned())];
        MergedCell {
            variant: "home".into(),
            model: "home".into(),
            dataset: "synthetic".into(),
            seed: 3,
            split_seed: trial.map(|_| 7),
            settings: trial.map(|_| settings.to_vec()).unwrap_or_default(),
            trial,
            outcome: Outcome {
                id: id.into(),
                status: Status::Done,
                error: None,
                tries: None,
                may_end_otherwise: false,
                result: Some(OutcomeResult {
                    selected_epoch: 1,
                    epochs_run: 2,
                    validation_score: 0.75,
                    parameters: 10,
                    flops_per_row: 20,
                }),
                files: Default::default(),
            },
        }
    }

    fn write_parts(results: &ResultsFolder, id: &str) {
        let folder = results.cell(id);
        std::fs::create_dir_all(folder.path()).unwrap();
        for (table, _) in PARTS {
            let row = vec![id; table.header.len()].join(",");
            let text = format!("{}{row}\n", table.header_line());
            std::fs::write(folder.part(table.file), text).unwrap();
        }
    }

    #[test]
    fn scores_of_trials_are_in_no_table_of_results_but_in_one_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let trial = Trial {
            number: 2,
            is_selected: true,
        };
        let cells = [cell("aa", Some(trial)), cell("bb", None)];
        cells
            .iter()
            .for_each(|cell| write_parts(&results, &cell.outcome.id));
        merge(&results, &cells).unwrap();
        let read = |name: &str| std::fs::read_to_string(results.join(name)).unwrap();
        for name in ["metrics.csv", "curves.csv", "experts.csv", "gates.csv"] {
            assert!(!read(name).contains("aa") && read(name).contains("bb"));
        }
        assert!(read("throughput.csv").contains("aa"));
        assert_eq!(
            read("tuning.csv"),
            "variant,trial,cell,seed,validation_score,selected,split_seed\nhome,2,aa,3,0.75,true,7\n"
        );
        assert_eq!(
            read("settings.csv"),
            "cell,variant,setting,value\naa,home,training.learning_rate,0.01\n"
        );
        let rows = read("cells.csv");
        assert!(rows.lines().nth(1).unwrap().ends_with("10,20,tuning,2,7,,"));
        assert!(rows.lines().nth(2).unwrap().ends_with("10,20,final,,,,"));
        // An experiment without trials has no table of them, nor keeps that of another.
        merge(&results, &cells[1..]).unwrap();
        assert!(!results.join("tuning.csv").exists() && !results.join("settings.csv").exists());
    }
}
