//! How long a cell takes, roughly, before it runs.
//!
//! A row costs a fixed time and a time for each of its FLOPs: those of a forward pass in an evaluation, three times as many in
//! a training step. Both are fitted (least squares, neither below zero) to the cells of earlier runs, `throughput.csv` beside
//! `cells.csv`; where there are none they are stated.

use homebench_data::Summary;
use homebench_results::ResultsFolder;
use homebench_results::tables::{CellsRow, ReadError, Table, ThroughputRow, read_rows, table_file};
use homebench_train::TrainingConfig;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// FLOPs per second of a thread where nothing was measured: about what a core with AVX-512 reached on small models.
pub const STATED_FLOPS_PER_SECOND: f64 = 40e9;
/// Seconds of a row beside its FLOPs where nothing was measured.
const STATED_ROW_SECONDS: f64 = 1e-6;
/// Seconds to start a process and to write its files where nothing was measured.
const STATED_START_SECONDS: f64 = 0.2;
/// FLOPs of a training step by those of a forward pass.
// The backward pass of a product is two of its size: one for the gradient of its input, one for that of its weights.
const STEP_BY_FORWARD: f64 = 3.0;

/// What time is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimator {
    training: Line,
    evaluation: Line,
    start_seconds: f64,
    /// Mean epochs that earlier cells of a variant ran, which early stopping may have cut.
    epochs: BTreeMap<String, f64>,
    /// Cells that it was fitted to.
    pub num_measured: usize,
    /// Where those are; several where this experiment has none.
    pub measured_in: Vec<PathBuf>,
}

/// Seconds of a row that costs some FLOPs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    row_seconds: f64,
    flop_seconds: f64,
}

/// A cell that was run.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    variant: String,
    threads: usize,
    flops_per_row: f64,
    epochs: f64,
    /// Rows and seconds.
    training: (f64, f64),
    evaluation: (f64, f64),
    total_seconds: f64,
}

impl Estimator {
    /// Fitted to the cells of `results` that ran on the same kind of device, or to those of the folders beside it where it
    /// has none; to cells with as many threads where there are any.
    pub fn new(results: &ResultsFolder, device: &str, threads: usize) -> Self {
        let own = measured(results.path(), device);
        let (mut cells, mut folders) = (own, vec![results.path().to_owned()]);
        if cells.is_empty() {
            folders.clear();
            for folder in folders_beside(results.path()) {
                let more = measured(&folder, device);
                if !more.is_empty() {
                    folders.push(folder);
                    cells.extend(more);
                }
            }
        } else {
            // Of this experiment alone: another one's variants are others.
            return Self::fitted(cells, folders, threads, true);
        }
        Self::fitted(cells, folders, threads, false)
    }

    fn fitted(
        mut cells: Vec<Measured>,
        folders: Vec<PathBuf>,
        threads: usize,
        is_own: bool,
    ) -> Self {
        if cells.iter().any(|cell| cell.threads == threads) {
            cells.retain(|cell| cell.threads == threads);
        }
        let mut estimator = Self::stated(threads);
        if cells.is_empty() {
            return estimator;
        }
        let points = |of: fn(&Measured) -> (f64, f64), factor: f64| -> Vec<(f64, f64)> {
            let with_rows = cells.iter().filter(|cell| of(cell).0 > 0.0);
            with_rows
                .map(|cell| (factor * cell.flops_per_row, of(cell).1 / of(cell).0))
                .collect()
        };
        let training = points(|cell| cell.training, STEP_BY_FORWARD);
        estimator.training = estimator.training.fitted(&training);
        let evaluation = points(|cell| cell.evaluation, 1.0);
        estimator.evaluation = estimator.evaluation.fitted(&evaluation);
        let beside = cells
            .iter()
            .map(|cell| (cell.total_seconds - cell.training.1 - cell.evaluation.1).max(0.0));
        estimator.start_seconds = beside.sum::<f64>() / cells.len() as f64;
        if is_own {
            let mut epochs = BTreeMap::<String, (f64, f64)>::new();
            for cell in &cells {
                let entry = epochs.entry(cell.variant.clone()).or_default();
                *entry = (entry.0 + cell.epochs, entry.1 + 1.0);
            }
            let mean = |(name, (sum, count)): (String, (f64, f64))| (name, sum / count);
            estimator.epochs = epochs.into_iter().map(mean).collect();
        }
        estimator.num_measured = cells.len();
        estimator.measured_in = folders;
        estimator
    }

    fn stated(threads: usize) -> Self {
        let line = Line {
            row_seconds: STATED_ROW_SECONDS,
            flop_seconds: 1.0 / (STATED_FLOPS_PER_SECOND * threads as f64),
        };
        Self {
            training: line,
            evaluation: line,
            start_seconds: STATED_START_SECONDS,
            epochs: BTreeMap::new(),
            num_measured: 0,
            measured_in: Vec::new(),
        }
    }

    /// Seconds of a cell: of all its epochs where no earlier cell of its variant tells how many there were. A trial doesn't
    /// score test.
    pub fn seconds(
        &self,
        variant: &str,
        training: &TrainingConfig,
        flops_per_row: usize,
        data: &Summary,
        is_trial: bool,
    ) -> f64 {
        let flops = flops_per_row as f64;
        let most = training.max_epochs as f64;
        let epochs = self.epochs.get(variant).map_or(most, |mean| mean.min(most));
        let test = if is_trial { 0 } else { data.test_rows };
        let passes = epochs * training.evaluations_per_epoch as f64 + 1.0;
        let evaluated = passes * data.validation.rows as f64 + test as f64;
        let step = self.training.at(STEP_BY_FORWARD * flops);
        self.start_seconds
            + epochs * data.train.rows as f64 * step
            + evaluated * self.evaluation.at(flops)
    }
}

impl Line {
    fn at(self, flops: f64) -> f64 {
        self.row_seconds + self.flop_seconds * flops
    }

    /// The line nearest to points of FLOPs and seconds; this one, scaled, where all have the same FLOPs.
    fn fitted(self, points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        if points.is_empty() {
            return self;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_flops, mean_seconds) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - mean_flops).powi(2)).sum();
        // No wider than rounding: through points above one another goes any line.
        if spread <= 1e-12 * mean_flops * mean_flops {
            let scale = mean_seconds / self.at(mean_flops);
            return Self {
                row_seconds: self.row_seconds * scale,
                flop_seconds: self.flop_seconds * scale,
            };
        }
        let both = points
            .iter()
            .map(|p| (p.0 - mean_flops) * (p.1 - mean_seconds));
        let flop_seconds = both.sum::<f64>() / spread;
        let row_seconds = mean_seconds - flop_seconds * mean_flops;
        match (flop_seconds < 0.0, row_seconds < 0.0) {
            (true, _) => Self {
                row_seconds: mean_seconds,
                flop_seconds: 0.0,
            },
            (false, true) => Self {
                row_seconds: 0.0,
                flop_seconds: mean(|p| p.0 * p.1) / mean(|p| p.0 * p.0),
            },
            (false, false) => Self {
                row_seconds,
                flop_seconds,
            },
        }
    }
}

/// Results folders in the folder that holds this one, in the order of their names.
fn folders_beside(results: &Path) -> Vec<PathBuf> {
    let parent = results.parent().filter(|path| !path.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new(".")));
    let mut folders: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path != results && table_file(path, ThroughputRow::FILE).is_file())
        .collect();
    folders.sort();
    folders
}

/// Cells of a folder that ended; none where its tables can't be read: an estimate is no reason to stop.
fn measured(folder: &Path, device: &str) -> Vec<Measured> {
    read(folder, device).unwrap_or_default()
}

fn read(folder: &Path, device: &str) -> Result<Vec<Measured>, ReadError> {
    let cells = read_rows::<CellsRow, _>(folder, |row, _| {
        let size = row.flops_per_row.zip(row.epochs_run);
        Ok(size.map(|size| (row.cell.to_owned(), size)))
    })?;
    let by_id: HashMap<String, (u64, u64)> = cells.into_iter().collect();
    let one = |row: ThroughputRow| {
        let (flops, epochs) = *by_id.get(row.cell)?;
        let kind = row.device.split(':').next()?;
        (kind == device).then_some(())?;
        Some(Measured {
            variant: row.variant.to_owned(),
            threads: row.threads as usize,
            flops_per_row: flops as f64,
            epochs: epochs as f64,
            training: (row.train_rows? as f64, row.train_seconds?),
            evaluation: (row.evaluation_rows? as f64, row.evaluation_seconds?),
            total_seconds: row.total_seconds?,
        })
    };
    read_rows::<ThroughputRow, _>(folder, |row, _| Ok(one(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::tables;

    fn line(points: &[(f64, f64)]) -> (f64, f64) {
        let stated = Estimator::stated(1).training;
        let fitted = stated.fitted(points);
        (fitted.row_seconds, fitted.flop_seconds)
    }

    #[test]
    fn a_line_goes_through_points_on_a_line_and_never_below_zero() {
        let near = |found: (f64, f64), expected: (f64, f64)| {
            assert!((found.0 - expected.0).abs() < 1e-12, "{found:?}");
            assert!((found.1 - expected.1).abs() < 1e-12, "{found:?}");
        };
        near(line(&[(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)]), (1.0, 2.0));
        near(line(&[(1.0, 3.0), (2.0, 2.0)]), (2.5, 0.0));
        near(line(&[(1.0, 1.0), (2.0, 4.0)]), (0.0, 1.8));
    }

    #[test]
    fn where_all_cost_the_same_the_stated_line_is_scaled() {
        let stated = Estimator::stated(1).training;
        let fitted = stated.fitted(&[(4e4, 2e-6), (4e4, 6e-6)]);
        assert!((fitted.at(4e4) - 4e-6).abs() < 1e-18);
        let ratio = |line: Line| line.flop_seconds / line.row_seconds;
        assert!((ratio(fitted) / ratio(stated) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn cells_of_the_folder_itself_come_first_and_then_those_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let write = |name: &str, seconds: f64, epochs: usize| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let cells = format!(
                "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row\n\
                 a,home,home,census,0,done,,1,{epochs},0.9,10,1000\n"
            );
            std::fs::write(folder.join(CellsRow::FILE), cells).unwrap();
            let times = ThroughputRow {
                cell: "a",
                variant: "home",
                device: "cpu",
                threads: 1,
                train_rows: Some(1000),
                train_seconds: Some(seconds),
                evaluation_rows: Some(1000),
                evaluation_seconds: Some(seconds),
                total_seconds: Some(2.0 * seconds + 0.5),
                ..ThroughputRow::default()
            };
            let mut file = std::fs::File::create(folder.join(ThroughputRow::FILE)).unwrap();
            tables::write(&mut file, [times]).unwrap();
        };
        let results = ResultsFolder::new(parent.path().join("own"));
        let new = || Estimator::new(&results, "cpu", 1);
        assert_eq!(new(), Estimator::stated(1));
        write("other", 1.0, 3);
        let beside = new();
        assert_eq!((beside.num_measured, beside.epochs.len()), (1, 0));
        assert!((beside.start_seconds - 0.5).abs() < 1e-12);
        assert!((beside.training.at(3000.0) - 1e-3).abs() < 1e-12);
        write("own", 2.0, 3);
        let own = new();
        assert!((own.training.at(3000.0) - 2e-3).abs() < 1e-12);
        assert_eq!(own.epochs["home"], 3.0);
        assert_eq!(Estimator::new(&results, "cuda", 1), Estimator::stated(1));
    }
}
