//! What a cell writes of itself: its part of every table, its weights, and its outcome last.

use super::diagnostics_rows::{experts_rows, gates_rows, histograms_rows};
use super::predictions::prediction_files;
use super::tensors_file::write_tensors;
use crate::provenance::Usage;
use anyhow::Result;
use homebench_experiment::spec::CellContent;
use homebench_results::tables::{self, CohortsRow, CurvesRow, MetricsRow, Table, ThroughputRow};
use homebench_results::{
    self as atomic, CellFolder, CellParts, Outcome, OutcomeResult, Phase, Status, file_digest,
};
use homebench_train::CellResult;

/// What only the process of a cell knows of its time.
#[derive(Debug, Clone, PartialEq)]
pub struct CellTimes {
    /// Device as given: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of the pool.
    pub threads: usize,
    /// From the start of the process to its end, and what its earlier processes had done of a training that went on.
    pub total_seconds: f64,
    /// What the process used, where the system tells.
    pub usage: Option<Usage>,
    /// How many times the cell was started, this time included.
    pub tries: usize,
}

/// Writes everything of a cell that is done, its outcome last. A trial has its weights kept where `keeps_weights`.
///
/// # Errors
/// A file can't be written.
pub fn write_parts(
    folder: &CellFolder,
    content: &CellContent,
    result: &CellResult,
    times: &CellTimes,
    keeps_weights: bool,
) -> Result<()> {
    let id = content.id();
    let key = Key::new(&id, content);
    let mut parts = CellParts::of_content(content.to_toml());
    parts.add(metrics_rows(key, result))?;
    if !result.cohorts.is_empty() {
        parts.add(cohorts_rows(key, result))?;
    }
    parts.add(curves_rows(key, result))?;
    parts.add(experts_rows(key, &result.diagnostics))?;
    parts.add(gates_rows(key, &result.diagnostics))?;
    parts.add(histograms_rows(key, &result.diagnostics))?;
    write_times(folder, throughput_row(key, Some(result), times))?;
    // Nobody asks for the weights of a trial, since its winner is trained anew, unless trials of another variant start from them.
    // A program keeps its own, where it likes.
    if (content.phase == Phase::Final || keeps_weights) && !result.weights.is_empty() {
        write_tensors(&folder.weights(), &result.weights)?;
    }
    // Before the outcome: a cell that is done has nothing that one without interruption doesn't have. Of one on a rung the parent keeps
    // it until the next rung has ended.
    if content.last_epoch.is_none() {
        atomic::remove(&folder.checkpoint())?;
    }
    done(folder, &id, result).write(folder, &parts)
}

/// Writes what is known of a cell that failed, its outcome last.
///
/// # Errors
/// A file can't be written.
pub fn write_failed(
    folder: &CellFolder,
    content: &CellContent,
    outcome: &Outcome,
    times: &CellTimes,
) -> Result<()> {
    let key = Key::new(&outcome.id, content);
    write_times(folder, throughput_row(key, None, times))?;
    outcome.write(folder, &CellParts::of_content(content.to_toml()))
}

fn done(folder: &CellFolder, id: &str, result: &CellResult) -> Outcome {
    // Without the table of times, so that outcomes are the same bytes on a repeat.
    let others = [folder.weights()]
        .into_iter()
        .chain(prediction_files(folder));
    let files = others.filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, file_digest(&path)?))
    });
    Outcome {
        id: id.to_owned(),
        status: Status::Done,
        error: None,
        tries: None,
        may_end_otherwise: false,
        result: Some(OutcomeResult {
            selected_epoch: result.selected_epoch,
            epochs_run: result.epochs_run,
            validation_score: result.validation_score,
            parameters: result.parameters,
            flops_per_row: result.flops_per_row,
        }),
        files: files.collect(),
    }
}

/// What every row of a cell begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) cell: &'a str,
    pub(super) variant: &'a str,
    pub(super) seed: u64,
}

impl<'a> Key<'a> {
    fn new(cell: &'a str, content: &'a CellContent) -> Self {
        Self {
            cell,
            variant: &content.variant,
            seed: content.seed,
        }
    }
}

/// By itself: all else that a cell keeps is the same bytes on a repeat.
fn write_times(folder: &CellFolder, row: ThroughputRow<'_>) -> Result<()> {
    let path = folder.part(ThroughputRow::FILE);
    atomic::write_unsynced(&path, |out| tables::write(out, [row]))
}

fn metrics_rows<'a>(key: Key<'a>, result: &'a CellResult) -> impl Iterator<Item = MetricsRow<'a>> {
    result.scores.iter().map(move |score| MetricsRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        split: score.split.name(),
        task: &score.task,
        metric: score.metric.name(),
        value: score.value,
        rows: score.rows as u64,
        positives: score.positives.map(|count| count as u64),
    })
}

fn cohorts_rows<'a>(key: Key<'a>, result: &'a CellResult) -> impl Iterator<Item = CohortsRow<'a>> {
    result.cohorts.iter().map(move |one| CohortsRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        split: one.score.split.name(),
        task: &one.score.task,
        cohort: &one.cohort,
        cohort_value: &one.value,
        metric: one.score.metric.name(),
        value: one.score.value,
        rows: one.score.rows as u64,
        positives: one.score.positives.map(|count| count as u64),
    })
}

fn curves_rows<'a>(key: Key<'a>, result: &'a CellResult) -> impl Iterator<Item = CurvesRow<'a>> {
    result.curves.iter().map(move |point| CurvesRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        epoch: point.epoch as u64,
        step: point.step as u64,
        split: point.split.name(),
        task: &point.task,
        metric: point.metric.name(),
        value: point.value,
    })
}

/// Without a result, the row of a cell that failed: what its last process used.
fn throughput_row<'a>(
    key: Key<'a>,
    result: Option<&CellResult>,
    times: &'a CellTimes,
) -> ThroughputRow<'a> {
    let rate = result.map(|result| result.train_rows as f64 / result.train_seconds);
    ThroughputRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        device: &times.device,
        threads: times.threads as u64,
        train_rows: result.map(|result| result.train_rows as u64),
        train_seconds: result.map(|result| result.train_seconds),
        train_rows_per_second: rate.filter(|rate| rate.is_finite()),
        evaluation_rows: result.map(|result| result.evaluation_rows as u64),
        evaluation_seconds: result.map(|result| result.evaluation_seconds),
        total_seconds: Some(times.total_seconds),
        peak_memory_bytes: times.usage.map(|usage| usage.peak_memory_bytes),
        cpu_seconds: times.usage.map(|usage| usage.cpu_seconds),
        tries: times.tries as u64,
    }
}
