//! The CSV files of a results folder, read into memory. Reports and figures know nothing else of an experiment.

pub mod context;
mod external;
mod indices;
mod inside;
mod relations;
mod summary;
mod table;
mod trials;

pub use external::{External, Winner};
pub use indices::{Index, indices};
pub use inside::{BinRow, ExpertRow, GateRow, Inside, Place, SettingRow};
pub use relations::{Relation, Relations};
pub use summary::distinct;
pub use summary::{Panel, Run, Sample, Summary};
pub use table::ReadError;
pub use trials::{Setting, Trial};

use anyhow::Context;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use table::{Row, Table};

/// What a results folder says.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The folder.
    pub folder: PathBuf,
    /// Rows of `cells.csv` but for trials, in plan order, then external ones: what is reported.
    pub cells: Vec<Cell>,
    /// Trials among the rows of `cells.csv`, in plan order. Nothing else here is of a trial.
    pub trials: Vec<Cell>,
    /// Rows of `metrics.csv`, then those of `external/`.
    pub scores: Vec<Score>,
    /// Rows of `curves.csv`; none where there is no such file.
    pub curves: Vec<CurvePoint>,
    /// Rows of `throughput.csv`; none where there is no such file.
    pub throughput: Vec<Throughput>,
    /// Rows of `settings.csv`; none where there is no such file.
    pub settings: Vec<Setting>,
    /// Rows of `tuning.csv`; none where nothing was tuned.
    pub tuning: Vec<Trial>,
    /// Where external cells come from.
    pub externals: Vec<External>,
    /// The baseline that the spec names, where a cell that is reported is of this variant.
    pub baseline: Option<String>,
    /// How the spec says that variants are related.
    pub relations: Relations,
}

/// A cell and how it ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// Hash of the cell's content.
    pub id: String,
    /// Name of the model configuration.
    pub variant: String,
    /// Name of the model in the registry.
    pub model: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Seed of every random number.
    pub seed: u64,
    /// Seed of the split, where there are several splits of one dataset.
    pub split_seed: Option<u64>,
    /// Number of the trial, where it is one.
    pub trial: Option<u64>,
    /// Why the cell failed; nothing if it is done.
    pub failure: Option<String>,
    /// Epoch of the selected weights, from 1.
    pub selected_epoch: Option<u64>,
    /// Epochs begun.
    pub epochs_run: Option<u64>,
    /// Validation score of the selected weights.
    pub validation_score: Option<f64>,
    /// Trainable numbers.
    pub parameters: Option<u64>,
    /// Floating-point operations of a forward pass, per row.
    pub flops_per_row: Option<u64>,
    /// Index into [`Results::externals`], where homebench did not run it.
    pub external: Option<usize>,
}

/// A score of a cell's selected weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// `validation` or `test`.
    pub split: String,
    /// Task name.
    pub task: String,
    /// Metric name.
    pub metric: String,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
    /// Rows scored.
    pub rows: u64,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<u64>,
}

/// A point of a cell's learning curve.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePoint {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// `train` or `validation`.
    pub split: String,
    /// Task name, or `all`.
    pub task: String,
    /// Metric name.
    pub metric: String,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
}

/// How fast a cell went.
#[derive(Debug, Clone, PartialEq)]
pub struct Throughput {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// Device name.
    pub device: String,
    /// Threads of the cell.
    pub threads: u64,
    /// Training rows per second.
    pub train_rows_per_second: Option<f64>,
}

const COUNT: &str = "a whole number";
const SPLITS: [&str; 2] = ["validation", "test"];

/// Why a split has no AUC or no R² of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unvaried {
    /// Its labels are of one class.
    OneClass {
        /// Rows scored.
        rows: u64,
        /// Positive labels among them: none, or all.
        positives: u64,
    },
    /// Its labels are one number.
    OneNumber {
        /// Rows scored.
        rows: u64,
    },
}

impl std::fmt::Display for Unvaried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneClass { rows, positives } => write!(
                formatter,
                "its labels are of one class, {positives} of {rows} rows are positive"
            ),
            Self::OneNumber { rows } => {
                write!(formatter, "the labels of its {rows} rows are one number")
            }
        }
    }
}

impl Results {
    /// Why a task has no test value of a metric, where the reason is the labels.
    pub fn unvaried(&self, panel: &Panel, metric: &str) -> Option<Unvaried> {
        let score = self.scores.iter().find(|score| {
            score.split == "test"
                && score.metric == metric
                && score.value.is_none()
                && score.task == panel.task
                && self.cells[score.cell].dataset == panel.dataset
        })?;
        let Score {
            rows, positives, ..
        } = *score;
        match positives {
            Some(positives) if positives == 0 || positives == rows => {
                Some(Unvaried::OneClass { rows, positives })
            }
            // A model that broke has no squared error either.
            None if metric == "r_squared" && self.has_squared_error(score) => {
                Some(Unvaried::OneNumber { rows })
            }
            _ => None,
        }
    }

    /// Whether the task of a score has a mean squared error beside it.
    fn has_squared_error(&self, of: &Score) -> bool {
        let place = |score: &Score| (score.cell, score.split == "test", score.task.clone());
        let mut scores = self.scores.iter().filter(|score| score.metric == "mse");
        scores.any(|score| place(score) == place(of) && score.value.is_some())
    }

    /// Reads the folder's CSV files, its `external/`, and of its spec the baseline. All but `cells.csv` and `metrics.csv` may be absent.
    ///
    /// # Errors
    /// A file that can't be read, a missing column, a value that is not what its column holds, or a cell that
    /// `cells.csv` doesn't list; each with file, line and column. External scores of other data, or of unknown origin.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let all = read_cells(&folder.join("cells.csv"))?;
        let (trials, cells): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|cell| cell.trial.is_some());
        let of_final = cells
            .iter()
            .enumerate()
            .map(|(place, cell)| (cell.id.clone(), Some(place)));
        let of_trials = trials.iter().map(|cell| (cell.id.clone(), None));
        let places: Places = of_final.chain(of_trials).collect();
        let optional = |name: &str| Some(folder.join(name)).filter(|file| file.exists());
        let mut results = Self {
            scores: read_scores(&folder.join("metrics.csv"), &places)?,
            curves: optional("curves.csv")
                .map_or(Ok(Vec::new()), |file| read_curves(&file, &places))?,
            throughput: optional("throughput.csv")
                .map_or(Ok(Vec::new()), |file| read_throughput(&file, &places))?,
            settings: optional("settings.csv")
                .map_or(Ok(Vec::new()), |file| trials::settings(&file))?,
            tuning: optional("tuning.csv").map_or(Ok(Vec::new()), |file| trials::tuning(&file))?,
            externals: Vec::new(),
            baseline: baseline(folder)?
                .filter(|name| cells.iter().any(|cell| cell.variant == *name)),
            relations: Relations::read(folder)?,
            folder: folder.to_owned(),
            cells,
            trials,
        };
        external::add(&mut results)?;
        Ok(results)
    }

    /// Cells that homebench ran: all but the external ones.
    pub fn own_cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.external.is_none())
    }
}

/// Places of cells by id; a trial has none.
type Places = HashMap<String, Option<usize>>;

/// What `spec.resolved.toml` calls the baseline; nothing where there is no such file.
fn baseline(folder: &Path) -> anyhow::Result<Option<String>> {
    let file = folder.join("spec.resolved.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let spec: toml::Table =
        toml::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    Ok(spec
        .get("baseline")
        .and_then(toml::Value::as_str)
        .map(str::to_owned))
}

fn place(row: &Row, places: &Places) -> Result<Option<usize>, ReadError> {
    let found = places.get(row.text("cell")?).copied();
    found.ok_or_else(|| row.bad("cell", "a cell that cells.csv lists"))
}

fn one_of(
    row: &Row,
    column: &'static str,
    names: &[&str],
    expected: &'static str,
) -> Result<String, ReadError> {
    let text = row.text(column)?;
    let known = names.contains(&text);
    known
        .then(|| text.to_owned())
        .ok_or_else(|| row.bad(column, expected))
}

fn read_cells(file: &Path) -> Result<Vec<Cell>, ReadError> {
    const COLUMNS: [&str; 12] = [
        "cell",
        "variant",
        "model",
        "dataset",
        "seed",
        "status",
        "error",
        "selected_epoch",
        "epochs_run",
        "validation_score",
        "parameters",
        "flops_per_row",
    ];
    Table::read(file, &COLUMNS)?.rows().map(read_cell).collect()
}

fn read_cell(row: Row) -> Result<Cell, ReadError> {
    let status = one_of(&row, "status", &["done", "failed"], "`done` or `failed`")?;
    let error = row.text("error")?.to_owned();
    Ok(Cell {
        id: row.text("cell")?.to_owned(),
        variant: row.text("variant")?.to_owned(),
        model: row.text("model")?.to_owned(),
        dataset: row.text("dataset")?.to_owned(),
        seed: row.parse("seed", COUNT)?,
        split_seed: row.later_number("split_seed")?,
        trial: row.later_number("trial")?,
        failure: (status == "failed").then_some(error),
        selected_epoch: row.optional("selected_epoch", COUNT)?,
        epochs_run: row.optional("epochs_run", COUNT)?,
        validation_score: row.number("validation_score")?,
        parameters: row.optional("parameters", COUNT)?,
        flops_per_row: row.optional("flops_per_row", COUNT)?,
        external: None,
    })
}

fn read_scores(file: &Path, places: &Places) -> Result<Vec<Score>, ReadError> {
    const COLUMNS: [&str; 7] = [
        "cell",
        "split",
        "task",
        "metric",
        "value",
        "rows",
        "positives",
    ];
    let table = Table::read(file, &COLUMNS)?;
    let score = |row: Row| {
        let Some(cell) = place(&row, places)? else {
            return Ok(None);
        };
        Ok(Some(Score {
            cell,
            split: one_of(&row, "split", &SPLITS, "`validation` or `test`")?,
            task: row.text("task")?.to_owned(),
            metric: row.text("metric")?.to_owned(),
            value: row.number("value")?,
            rows: row.parse("rows", COUNT)?,
            positives: row.optional("positives", COUNT)?,
        }))
    };
    table
        .rows()
        .filter_map(|row| score(row).transpose())
        .collect()
}

fn read_curves(file: &Path, places: &Places) -> Result<Vec<CurvePoint>, ReadError> {
    const COLUMNS: [&str; 7] = ["cell", "epoch", "step", "split", "task", "metric", "value"];
    let table = Table::read(file, &COLUMNS)?;
    let point = |row: Row| {
        let Some(cell) = place(&row, places)? else {
            return Ok(None);
        };
        Ok(Some(CurvePoint {
            cell,
            epoch: row.parse("epoch", COUNT)?,
            step: row.parse("step", COUNT)?,
            split: one_of(
                &row,
                "split",
                &["train", "validation"],
                "`train` or `validation`",
            )?,
            task: row.text("task")?.to_owned(),
            metric: row.text("metric")?.to_owned(),
            value: row.number("value")?,
        }))
    };
    table
        .rows()
        .filter_map(|row| point(row).transpose())
        .collect()
}

fn read_throughput(file: &Path, places: &Places) -> Result<Vec<Throughput>, ReadError> {
    const COLUMNS: [&str; 4] = ["cell", "device", "threads", "train_rows_per_second"];
    let table = Table::read(file, &COLUMNS)?;
    let throughput = |row: Row| {
        let Some(cell) = place(&row, places)? else {
            return Ok(None);
        };
        Ok(Some(Throughput {
            cell,
            device: row.text("device")?.to_owned(),
            threads: row.parse("threads", COUNT)?,
            train_rows_per_second: row.number("train_rows_per_second")?,
        }))
    };
    table
        .rows()
        .filter_map(|row| throughput(row).transpose())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn error_after(file: &str, from: &str, to: &str) -> String {
        let folder = sample::Sample::default().write();
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Results::read(folder.path()).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn a_sound_folder_is_read_whole() {
        let folder = sample::Sample::default().write();
        let results = Results::read(folder.path()).unwrap();
        assert_eq!(results.cells.len(), 9);
        assert_eq!(results.scores.len(), 9 * 2 * 2 * 2);
        assert_eq!(results.throughput.len(), 9);
        assert!(results.cells.iter().all(|cell| cell.failure.is_none()));
    }

    #[test]
    fn bad_values_are_named_by_file_line_and_column() {
        insta::assert_snapshot!(error_after("metrics.csv", ",0.9", ",zero.9"),
            @"metrics.csv, line 2, column `value`: expected a finite number or nothing, found `zero.917`");
        insta::assert_snapshot!(error_after("cells.csv", "done", "maybe"),
            @"cells.csv, line 2, column `status`: expected `done` or `failed`, found `maybe`");
        insta::assert_snapshot!(error_after("curves.csv", "cell-0-0", "cell-9-9"),
            @"curves.csv, line 2, column `cell`: expected a cell that cells.csv lists, found `cell-9-9`");
        insta::assert_snapshot!(error_after("throughput.csv", "threads", "thread"),
            @"throughput.csv, line 1: expected a column `threads`, found cell,variant,seed,device,thread,train_rows,train_seconds,train_rows_per_second,evaluation_rows,evaluation_seconds,total_seconds,peak_memory_bytes,tries");
        insta::assert_snapshot!(error_after("cells.csv", ",done", ""),
            @"cells.csv: not a table: CSV error: record 1 (line: 2, byte: 113): found record with 11 fields, but the previous record has 12 fields");
    }

    #[test]
    fn a_trial_is_none_of_the_cells_that_are_reported() {
        let folder = sample::Sample::default().write();
        let path = folder.path().join("cells.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        let text: String = text
            .lines()
            .enumerate()
            .map(|(line, row)| match line {
                0 => format!("{row},phase,trial,split_seed\n"),
                1 => format!("{row},tuning,4,\n"),
                _ => format!("{row},final,,7\n"),
            })
            .collect();
        std::fs::write(&path, text).unwrap();
        let results = Results::read(folder.path()).unwrap();
        assert_eq!((results.cells.len(), results.trials.len()), (8, 1));
        assert_eq!(results.trials[0].trial, Some(4));
        assert!(results.cells.iter().all(|cell| cell.split_seed == Some(7)));
        assert_eq!(results.scores.len(), 8 * 2 * 2 * 2);
        assert_eq!(results.throughput.len(), 8);
    }

    #[test]
    fn curves_and_throughput_may_be_absent_but_cells_may_not() {
        let folder = sample::Sample::default().write();
        std::fs::remove_file(folder.path().join("curves.csv")).unwrap();
        std::fs::remove_file(folder.path().join("throughput.csv")).unwrap();
        let results = Results::read(folder.path()).unwrap();
        assert!(results.curves.is_empty() && results.throughput.is_empty());
        std::fs::remove_file(folder.path().join("cells.csv")).unwrap();
        let error = Results::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cells.csv"), "{error}");
    }
}
