//! Predictions of a cell: a file a split, written while its selected weights score the rows.

use super::tensors_file::read_weights;
use anyhow::{Context, Result};
use candle_core::Device;
use homebench_data::{
    self as data, Observer as DataObserver, Places, PredictionLayout, PredictionWriter,
};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_results::{CellFolder, Outcome, PendingFile, file_digest};
use homebench_train::{self as train, PredictedBlock, SplitName};
use std::io;
use std::path::PathBuf;

/// The splits that a cell may have predictions of.
const PREDICTED: [SplitName; 2] = [SplitName::Validation, SplitName::Test];

/// Where the predictions of a cell go.
pub(super) struct CellPredictions {
    folder: CellFolder,
    wanted: Vec<SplitName>,
    layout: PredictionLayout,
    open: Option<PredictionWriter<PendingFile>>,
}

impl CellPredictions {
    pub(super) fn new(
        folder: CellFolder,
        wanted: Vec<SplitName>,
        layout: PredictionLayout,
    ) -> Self {
        Self {
            folder,
            wanted,
            layout,
            open: None,
        }
    }

    pub(super) fn wants(&self, split: SplitName) -> bool {
        self.wanted.contains(&split)
    }

    /// Takes the rows of a split, from the first to the last.
    pub(super) fn take(&mut self, block: &PredictedBlock<'_>) -> io::Result<()> {
        let rows = block.rows;
        let mut writer = match self.open.take().filter(|_| block.first_row > 0) {
            Some(writer) => writer,
            None => {
                let path = self.folder.predictions(block.split.name());
                let file = PendingFile::create(&path).map_err(io::Error::other)?;
                PredictionWriter::new(file, self.layout.clone(), rows)?
            }
        };
        writer.append(rows, block.batch, block.outputs)?;
        if block.first_row + block.batch.num_rows < rows.num_rows() {
            self.open = Some(writer);
            return Ok(());
        }
        let file = writer.finish(rows)?;
        file.finish().map_err(io::Error::other)
    }
}

/// The files of predictions that a cell's folder may have.
pub fn prediction_files(folder: &CellFolder) -> impl Iterator<Item = PathBuf> {
    PREDICTED
        .map(|split| folder.predictions(split.name()))
        .into_iter()
}

/// The splits of which a cell that is done keeps no predictions.
pub fn missing_predictions(outcome: &Outcome, wanted: &[SplitName]) -> Vec<SplitName> {
    let name = |split: &SplitName| format!("predictions.{}.parquet", split.name());
    let missing = wanted
        .iter()
        .filter(|split| !outcome.files.contains_key(&name(split)));
    missing.copied().collect()
}

/// Writes predictions of a final cell that is done, by the weights that it keeps; nothing is trained.
///
/// # Errors
/// Data that changed since the cell was planned, weights that can't be read, a file that can't be written.
pub fn predict_again(
    folder: &CellFolder,
    mut outcome: Outcome,
    splits: &[SplitName],
    places: &Places,
    device: &Device,
    observer: &mut dyn DataObserver,
) -> Result<()> {
    let content = CellContent::read(folder)?;
    let read = Outcome::read_with_parts(folder).map_err(Diagnostic::from)?;
    let (_, parts) = read.context("the cell is done")?;
    let reference = content.dataset_ref();
    let dataset = data::open(&reference, places, observer)?;
    if dataset.content_hash != content.dataset.content_hash {
        return Err(Diagnostic::new(
            content.dataset.name,
            "the data changed after the cell was trained, so that its rows can't be predicted",
        )
        .hint("restore the description and the files, or run the experiment again")
        .into());
    }
    let (dataset, layout) = data::with_prediction_columns(dataset, &reference, places, observer)?;
    let watch = dataset.watch.clone();
    let weights = read_weights(&folder.weights())?;
    let epoch = outcome
        .result
        .as_ref()
        .context("the cell is done")?
        .selected_epoch;
    let mut predictions = Predicting(CellPredictions::new(
        folder.clone(),
        splits.to_vec(),
        layout,
    ));
    train::predict(
        dataset,
        &content.model_config()?,
        &content.training,
        &weights,
        epoch,
        content.final_phase(),
        device,
        &mut predictions,
    )?;
    watch.check()?;
    for split in splits {
        let path = folder.predictions(split.name());
        let digest = file_digest(&path).context("predictions that were just written")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        outcome.files.insert(name.into_owned(), digest);
    }
    outcome.write(folder, &parts)
}

/// Hears nothing but predictions.
struct Predicting(CellPredictions);

impl train::Observer for Predicting {
    fn progress(&mut self, _: &train::Progress) {}

    fn wants_predictions(&self, split: SplitName) -> bool {
        self.0.wants(split)
    }

    fn predicted(&mut self, block: &PredictedBlock<'_>) -> io::Result<()> {
        self.0.take(block)
    }
}
