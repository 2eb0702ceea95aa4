//! `homebench predict`: scores rows that were never seen, with the weights of a cell and what was kept of its data.

use super::data::PlaceArgs;
use super::finished_cell::FinishedCell;
use super::output_path::output_path;
use super::run::parse_count;
use crate::cell::read_weights;
use crate::output::{NoticesAlone, note, unwritable_answer};
use anyhow::Result;
use clap::Args;
use homebench_data::{AbsentColumn, Batch, NewRows, ScoredRows, TableFormat};
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::{DataFacts, PendingFile, file_digest};
use homebench_train::{Device, Scorer, device};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Score rows that were never seen, with the weights of a cell
///
/// Rows are read by the description, the vocabularies and the scales that the cell was trained with; labels need not be in the files.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench predict runs/census/cells/0123456789abcdef new.csv --out scores.parquet")]
pub(super) struct PredictArguments {
    /// The folder of a cell: <results>/cells/<id>
    #[arg(value_name = "CELL-DIR")]
    cell: PathBuf,
    /// Files of rows, laid out as those of the description
    #[arg(value_name = "FILES", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the scores, as Parquet or CSV by the name's ending [default: CSV on stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Threads [default: the cores of this machine]
    #[arg(long, value_parser = parse_count)]
    threads: Option<usize>,
    /// Where tensors are: cpu, cuda or cuda:<index>
    #[arg(long, default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    places: PlaceArgs,
}

impl PredictArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let format = self.format()?;
        let cell = FinishedCell::open(&self.cell)?;
        let written = self.out.as_deref().map(|out| self.written(&cell, out));
        let written = written.transpose()?;
        let rows = new_rows(&cell)?;
        let device = device::open(self.device)?;
        let model = cell.content.model_config()?;
        let weights = read_weights(&cell.folder.weights())?;
        let (schema, training) = (rows.schema()?, &cell.content.training);
        let threads = self.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        pool.install(|| {
            let scorer = Scorer::new(&schema, &model, training, &weights, &device);
            let scorer = scorer.map_err(|error| {
                Diagnostic::new(self.cell.display().to_string(), error.to_string()).hint(
                    "the weights and what is kept of the data don't fit: restore both, or run the experiment again",
                )
            })?;
            self.score(&rows, &scorer, format, written.as_deref())
        })
    }

    /// The file to write, which is none that is read.
    fn written(&self, cell: &FinishedCell, out: &Path) -> Result<PathBuf, Diagnostic> {
        let weights = cell.folder.weights();
        let mut inputs: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        inputs.push(&weights);
        output_path(out, &inputs)
    }

    fn score(
        &self,
        rows: &NewRows,
        scorer: &Scorer,
        format: TableFormat,
        written: Option<&Path>,
    ) -> Result<ExitCode> {
        let places = self.places.resolve();
        let mut done = 0;
        let mut model = |batch: &Batch| -> Result<Vec<f32>> {
            let outputs = scorer.outputs(batch)?;
            let tasks = outputs.len() / batch.num_rows.max(1);
            if let Some(place) = outputs.iter().position(|output| !output.is_finite()) {
                let row = done + place / tasks.max(1);
                let message = format!(
                    "the score of row {row}, counted from 0 over all files, is {}",
                    outputs[place]
                );
                return Err(Diagnostic::new(self.cell.display().to_string(), message)
                    .hint("a number of the row may be far beyond those of training; correct it")
                    .into());
            }
            done += batch.num_rows;
            Ok(outputs)
        };
        let (files, observer) = (&self.files, &mut NoticesAlone);
        let scored = match written {
            Some(written) => {
                let file = PendingFile::create(written)?;
                let (file, scored) =
                    rows.score(files, &places, file, format, &mut model, observer)?;
                file.finish()?;
                scored
            }
            None => {
                let out = std::io::stdout();
                match rows.score(files, &places, out, format, &mut model, observer) {
                    Ok((_, scored)) => scored,
                    Err(error) => return unwritten(error),
                }
            }
        };
        say(&scored);
        Ok(ExitCode::SUCCESS)
    }

    fn format(&self) -> Result<TableFormat, Diagnostic> {
        let Some(path) = &self.out else {
            return Ok(TableFormat::Csv);
        };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet" | "pq") => Ok(TableFormat::Parquet),
            Some("csv") => Ok(TableFormat::Csv),
            _ => Err(Diagnostic::new(
                path.display().to_string(),
                "expected a name that ends in `.parquet` or `.csv`",
            )
            .hint("write --out scores.parquet or --out scores.csv")),
        }
    }
}

/// Why scores didn't get to stdout. Whoever read them may have had enough.
fn unwritten(error: anyhow::Error) -> Result<ExitCode> {
    match error.downcast::<std::io::Error>() {
        Ok(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Ok(error) => Err(unwritable_answer(&error).into()),
        Err(other) => Err(other),
    }
}

/// What has to be known of the scores.
fn say(scored: &ScoredRows) {
    note!("{} rows scored", scored.num_rows);
    if scored.has_filter {
        note!("the filter of the description is not applied: every row is scored");
    }
    let mut left = scored.absent.as_slice();
    while let Some(AbsentColumn { file, .. }) = left.first() {
        let end = left.iter().position(|column| column.file != *file);
        let (of_file, others) = left.split_at(end.unwrap_or(left.len()));
        let columns: Vec<&str> = of_file.iter().map(|one| one.column.as_str()).collect();
        let columns = columns.join(", ");
        match file {
            None => note!("the files have no {columns}: left out"),
            Some(file) => note!(
                "{} has no {columns}, which another file has: left out of all rows",
                file.display()
            ),
        }
        left = others;
    }
    for said in &scored.said {
        note!("{said}");
    }
    for unseen in scored.unseen.iter().filter(|unseen| unseen.unseen > 0) {
        let share = 100.0 * unseen.unseen as f64 / unseen.values.max(1) as f64;
        note!(
            "{}: {} of {} values ({share:.1} %) have no id of training, and are read as out of vocabulary",
            unseen.feature,
            unseen.unseen,
            unseen.values
        );
    }
}

/// What reads rows as those of the cell's data.
fn new_rows(cell: &FinishedCell) -> Result<NewRows, Diagnostic> {
    let kept = cell.results.data(&cell.content.dataset.content_hash);
    let name = kept.display().to_string();
    let again = "restore it, or run the experiment again, which writes it and trains nothing anew";
    let facts = DataFacts::read(&kept).map_err(|unusable| {
        let said = Diagnostic::from(unusable);
        match said.hint {
            Some(_) => said,
            None => said.hint(again),
        }
    })?;
    let Some(facts) = facts.filter(|facts| facts.content_hash == cell.content.dataset.content_hash)
    else {
        return Err(Diagnostic::new(
            name,
            "nothing is kept of the data that the cell was trained on",
        )
        .hint(again));
    };
    for (file, digest) in &facts.files_blake3 {
        let path = kept.join(file);
        if file_digest(&path).as_ref() != Some(digest) {
            let message = "gone, or altered since homebench wrote it";
            return Err(Diagnostic::new(path.display().to_string(), message).hint(again));
        }
    }
    let read = |file: &str| match facts.files_blake3.contains_key(file) {
        true => regular_file::read_text(&kept.join(file))
            .map_err(|error| Diagnostic::new(&name, format!("{file}: {error}")).hint(again)),
        false => Ok(String::new()),
    };
    let vocabularies = "vocabularies.csv.zst";
    let vocabularies = match facts.files_blake3.contains_key(vocabularies) {
        true => Some(kept.join(vocabularies)),
        false => None,
    };
    NewRows::new(
        &facts.name,
        &read("description.toml")?,
        &facts.protocol,
        cell.content.dataset.split_seed,
        &facts.canonical_blake3,
        vocabularies.as_deref(),
        &read("numbers.csv")?,
    )
}
