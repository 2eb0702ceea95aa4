//! The tables of a results folder as reports and figures want them: rows point to their cells, and trials are apart. Reports and
//! figures know nothing else of an experiment.

pub mod context;
mod external;
mod external_check;
mod inside;
mod kept_cells;
mod name;
mod relations;

pub use crate::tables::{DataWarningsRow, ModelPartsRow, ReadError, Scope, SettingsRow, TuningRow};
pub use external::{External, ExternalWinner};
pub use inside::{BinRow, ExpertRow, GateRow, Inside, Place, SweptSetting};
pub use name::Name;
pub use relations::{Relation, Relations};

use crate::outcome::Status;
use crate::tables::{
    CellsRow, CohortsRow, CurvesRow, MetricsRow, Table, TableReader, ThroughputRow, read_rows,
    read_rows_if_any,
};
use name::Names;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
    /// Rows of `cohorts.csv` on the test split; none where no cohorts were asked for.
    pub cohorts: Vec<CohortScore>,
    /// Rows of `curves.csv` by split, task and metric, in the order in which these come first; none where there is no such file.
    pub curves: Vec<Curves>,
    /// Rows of `throughput.csv`; none where there is no such file.
    pub throughput: Vec<Throughput>,
    /// Rows of `settings.csv`; none where there is no such file.
    pub settings: Vec<SettingsRow>,
    /// Rows of `tuning.csv`; none where nothing was tuned.
    pub tuning: Vec<TuningRow>,
    /// Rows of `model_parts.csv`; none of a folder that is older than the table.
    pub model_parts: Vec<ModelPartsRow>,
    /// Rows of `data_warnings.csv`; none where preparation had nothing to say, or of a folder that is older than the table.
    pub data_warnings: Vec<DataWarningsRow>,
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
    pub split: Name,
    /// Task name.
    pub task: Name,
    /// Metric name.
    pub metric: Name,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
    /// Rows scored.
    pub rows: u64,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<u64>,
}

/// A score of a cell's selected weights on some rows of the test split.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortScore {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// Task name.
    pub task: Name,
    /// Name of what divides the rows.
    pub cohort: Name,
    /// What these rows have in common; empty where they have no value.
    pub cohort_value: Name,
    /// Metric name.
    pub metric: Name,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
    /// Rows scored.
    pub rows: u64,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<u64>,
}

/// The learning curves of all cells by a metric of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// `train` or `validation`.
    pub split: Name,
    /// Task name, or `all`.
    pub task: Name,
    /// Metric name.
    pub metric: Name,
    /// The points with a value, in the order of the file.
    pub points: Vec<CurvePoint>,
}

/// A point of a cell's learning curve.
// Small, because a folder of many cells has millions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Index into [`Results::cells`].
    pub cell: u32,
    /// Steps done.
    pub step: u64,
    /// The value.
    pub value: f64,
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

impl Results {
    /// Reads the folder's CSV files, its `external/`, and of its spec the baseline. All but `cells.csv` and `metrics.csv` may be absent.
    ///
    /// # Errors
    /// A file that can't be read, a missing column, a value that is not what its column holds, or a cell that
    /// `cells.csv` doesn't list; each with file, line and column. External scores of other data, or of unknown origin.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let all = read_rows::<CellsRow, _>(folder, |row, _| Ok(Some(Cell::of(row))))?;
        let (trials, cells): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|cell| cell.trial.is_some());
        let of_final = cells
            .iter()
            .enumerate()
            .map(|(place, cell)| (cell.id.clone(), Some(place)));
        let of_trials = trials.iter().map(|cell| (cell.id.clone(), None));
        let places: Places = of_final.chain(of_trials).collect();
        let relations = Relations::read(folder)?;
        let mut results = Self {
            scores: read_scores(folder, &places)?,
            cohorts: read_cohorts(folder, &places)?,
            curves: read_curves(folder, &places)?,
            throughput: read_throughput(folder, &places)?,
            settings: read_rows_if_any::<SettingsRow, _>(folder, |row, _| Ok(Some(row)))?,
            tuning: read_rows_if_any::<TuningRow, _>(folder, |row, _| Ok(Some(row)))?,
            model_parts: read_rows_if_any::<ModelPartsRow, _>(folder, |row, _| Ok(Some(row)))?,
            data_warnings: read_rows_if_any::<DataWarningsRow, _>(folder, |row, _| Ok(Some(row)))?,
            externals: Vec::new(),
            baseline: (relations.baseline.clone())
                .filter(|name| cells.iter().any(|cell| cell.variant == *name)),
            relations,
            folder: folder.to_owned(),
            cells,
            trials,
        };
        external::add(&mut results)?;
        Ok(results)
    }

    /// Places of cells by id; of trials none.
    pub(crate) fn places(&self) -> HashMap<&str, usize> {
        let cells = self.cells.iter().enumerate();
        cells
            .map(|(place, cell)| (cell.id.as_str(), place))
            .collect()
    }

    /// Cells that homebench ran: all but the external ones.
    pub fn own_cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.external.is_none())
    }
}

/// Each item once, where it came first.
pub fn distinct<T: Clone + Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

/// Places of cells by id; a trial has none.
type Places = HashMap<String, Option<usize>>;

fn place<T: Table>(
    id: &str,
    places: &Places,
    table: &TableReader<T>,
) -> Result<Option<usize>, ReadError> {
    let found = places.get(id).copied();
    found.ok_or_else(|| table.bad("cell", "a cell that cells.csv lists"))
}

impl Cell {
    fn of(row: CellsRow) -> Self {
        Self {
            id: row.cell.to_owned(),
            variant: row.variant.to_owned(),
            model: row.model.to_owned(),
            dataset: row.dataset.to_owned(),
            seed: row.seed,
            split_seed: row.split_seed,
            trial: row.trial,
            failure: (row.status == Status::Failed).then(|| row.error.to_owned()),
            selected_epoch: row.selected_epoch,
            epochs_run: row.epochs_run,
            validation_score: row.validation_score,
            parameters: row.parameters,
            flops_per_row: row.flops_per_row,
            external: None,
        }
    }

    /// Whether what was measured in an epoch is of the selected weights, or may be where the selected epoch isn't known.
    pub(crate) fn may_select(&self, epoch: u64) -> bool {
        self.selected_epoch.is_none_or(|selected| selected == epoch)
    }
}

fn read_scores(folder: &Path, places: &Places) -> Result<Vec<Score>, ReadError> {
    let mut names = Names::default();
    read_rows::<MetricsRow, _>(folder, |row, table| {
        let score = |cell| Score {
            cell,
            split: names.shared(row.split),
            task: names.shared(row.task),
            metric: names.shared(row.metric),
            value: row.value,
            rows: row.rows,
            positives: row.positives,
        };
        Ok(place(row.cell, places, table)?.map(score))
    })
}

fn read_cohorts(folder: &Path, places: &Places) -> Result<Vec<CohortScore>, ReadError> {
    let mut names = Names::default();
    read_rows_if_any::<CohortsRow, _>(folder, |row, table| {
        // A report shows what was tested.
        let place = place(row.cell, places, table)?;
        let place = place.filter(|_| row.split == "test");
        let score = |cell| CohortScore {
            cell,
            task: names.shared(row.task),
            cohort: names.shared(row.cohort),
            cohort_value: names.shared(row.cohort_value),
            metric: names.shared(row.metric),
            value: row.value,
            rows: row.rows,
            positives: row.positives,
        };
        Ok(place.map(score))
    })
}

fn read_curves(folder: &Path, places: &Places) -> Result<Vec<Curves>, ReadError> {
    let mut found: Vec<Curves> = Vec::new();
    let mut last = 0;
    read_rows_if_any::<CurvesRow, ()>(folder, |row, table| {
        let Some(cell) = place(row.cell, places, table)? else {
            return Ok(None);
        };
        let is_its = |one: &Curves| {
            one.split == row.split && one.task == row.task && one.metric == row.metric
        };
        // The rows of an epoch come in the same order each time, so the next is nearly always the one after the last.
        let next = (last + 1) % found.len().max(1);
        let known = match found.get(next) {
            Some(one) if is_its(one) => Some(next),
            _ => found.iter().position(is_its),
        };
        last = known.unwrap_or_else(|| {
            found.push(Curves {
                split: Name::from(row.split),
                task: Name::from(row.task),
                metric: Name::from(row.metric),
                points: Vec::new(),
            });
            found.len() - 1
        });
        if let Some(value) = row.value {
            let cell = u32::try_from(cell).expect("a table has fewer rows than that");
            let step = row.step;
            found[last].points.push(CurvePoint { cell, step, value });
        }
        Ok(None)
    })?;
    Ok(found)
}

fn read_throughput(folder: &Path, places: &Places) -> Result<Vec<Throughput>, ReadError> {
    read_rows_if_any::<ThroughputRow, _>(folder, |row, table| {
        let throughput = |cell| Throughput {
            cell,
            device: row.device.to_owned(),
            threads: row.threads,
            train_rows_per_second: row.train_rows_per_second,
        };
        Ok(place(row.cell, places, table)?.map(throughput))
    })
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
    fn warnings_of_the_data_are_read_and_a_folder_without_has_none() {
        let folder = sample::Sample::default().write();
        assert!(
            Results::read(folder.path())
                .unwrap()
                .data_warnings
                .is_empty()
        );
        let text = "dataset,protocol,split_seed,kind,is_loud,message\n\
                    census,torch-rechub,,unseen_values,true,\"item: 40 of 40 values, all unseen\"\n\
                    census,torch-rechub,7,constant_feature,false,x is the same on every row\n";
        let file = folder.path().join("data_warnings.csv");
        std::fs::write(&file, text).unwrap();
        let found = Results::read(folder.path()).unwrap().data_warnings;
        let seen: Vec<_> = found
            .iter()
            .map(|row| (row.kind.as_str(), row.split_seed, row.is_loud))
            .collect();
        assert_eq!(
            seen,
            [
                ("unseen_values", None, true),
                ("constant_feature", Some(7), false)
            ]
        );
        assert_eq!(found[0].message, "item: 40 of 40 values, all unseen");
        std::fs::write(&file, text.replacen("true", "yes", 1)).unwrap();
        let error = Results::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("data_warnings.csv, line 2, column `is_loud`: expected `true` or `false`, found `yes`"),
            "{error}"
        );
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
