//! What a cell writes of itself: its part of every table, its weights, and its outcome last.

use super::diagnostics_rows::{experts_rows, gates_rows, histogram_rows};
use crate::provenance::Usage;
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use homebench_experiment::spec::CellContent;
use homebench_results::tables::{
    CURVES, EXPERTS, GATES, HISTOGRAMS, METRICS, THROUGHPUT, or_empty, repeatable_parts,
};
use homebench_results::{
    self as atomic, CellFolder, Outcome, OutcomeResult, Phase, Status, file_digest,
};
use homebench_train::CellResult;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

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

/// Writes everything of a cell that is done, its outcome last.
///
/// # Errors
/// A file can't be written.
pub fn write_parts(
    folder: &CellFolder,
    content: &CellContent,
    result: &CellResult,
    times: &CellTimes,
) -> Result<()> {
    let id = content.id();
    let key = [
        id.clone(),
        content.variant.clone(),
        content.seed.to_string(),
    ];
    atomic::write_unsynced(&folder.part(METRICS.file), |out| {
        METRICS.write(out, metrics_rows(&key, result))
    })?;
    atomic::write_unsynced(&folder.part(CURVES.file), |out| {
        CURVES.write(out, curves_rows(&key, result))
    })?;
    let found = &result.diagnostics;
    atomic::write_unsynced(&folder.part(EXPERTS.file), |out| {
        EXPERTS.write(out, experts_rows(&key, found))
    })?;
    atomic::write_unsynced(&folder.part(GATES.file), |out| {
        GATES.write(out, gates_rows(&key, found))
    })?;
    atomic::write_unsynced(&folder.part(HISTOGRAMS.file), |out| {
        HISTOGRAMS.write(out, histogram_rows(&key, found))
    })?;
    atomic::write_unsynced(&folder.part(THROUGHPUT.file), |out| {
        THROUGHPUT.write(out, [throughput_row(&key, Some(result), times)])
    })?;
    // Nobody asks for the weights of a trial: its winner is trained anew.
    if content.phase == Phase::Final {
        write_tensors(&folder.weights(), &result.weights)?;
    }
    // Before the outcome: a cell that is done has nothing that one without interruption doesn't have.
    atomic::remove(&folder.checkpoint())?;
    done(folder, id, result).write(folder)
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
    let key = [
        outcome.id.clone(),
        content.variant.clone(),
        content.seed.to_string(),
    ];
    atomic::write_unsynced(&folder.part(THROUGHPUT.file), |out| {
        THROUGHPUT.write(out, [throughput_row(&key, None, times)])
    })?;
    outcome.write(folder)
}

fn done(folder: &CellFolder, id: String, result: &CellResult) -> Outcome {
    // Without the table of times, so that outcomes are the same bytes on a repeat.
    let parts = repeatable_parts().map(|table| folder.part(table.file));
    let files = parts.chain([folder.weights()]).filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, file_digest(&path)?))
    });
    Outcome {
        id,
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

fn row(key: &[String; 3], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    key.iter().cloned().chain(rest).collect()
}

fn metrics_rows<'a>(
    key: &'a [String; 3],
    result: &'a CellResult,
) -> impl Iterator<Item = Vec<String>> + 'a {
    result.scores.iter().map(move |score| {
        row(
            key,
            [
                score.split.name().to_owned(),
                score.task.clone(),
                score.metric.name().to_owned(),
                or_empty(score.value),
                score.rows.to_string(),
                or_empty(score.positives),
            ],
        )
    })
}

fn curves_rows<'a>(
    key: &'a [String; 3],
    result: &'a CellResult,
) -> impl Iterator<Item = Vec<String>> + 'a {
    result.curves.iter().map(move |point| {
        row(
            key,
            [
                point.epoch.to_string(),
                point.step.to_string(),
                point.split.name().to_owned(),
                point.task.clone(),
                point.metric.name().to_owned(),
                or_empty(point.value),
            ],
        )
    })
}

/// Without a result, the row of a cell that failed: what its last process used.
fn throughput_row(
    key: &[String; 3],
    result: Option<&CellResult>,
    times: &CellTimes,
) -> Vec<String> {
    let rate = result.map(|result| result.train_rows as f64 / result.train_seconds);
    row(
        key,
        [
            times.device.clone(),
            times.threads.to_string(),
            or_empty(result.map(|result| result.train_rows)),
            or_empty(result.map(|result| result.train_seconds)),
            or_empty(rate.filter(|rate| rate.is_finite())),
            or_empty(result.map(|result| result.evaluation_rows)),
            or_empty(result.map(|result| result.evaluation_seconds)),
            times.total_seconds.to_string(),
            or_empty(times.usage.map(|usage| usage.peak_memory_bytes)),
            or_empty(times.usage.map(|usage| usage.cpu_seconds)),
            times.tries.to_string(),
        ],
    )
}

/// Writes tensors as f32 in the safetensors format, in the order of their names, atomically.
///
/// # Errors
/// A tensor can't be read, or the file can't be written.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .with_context(|| format!("reading {name}"))?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        buffers.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, bytes) in &buffers {
        views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
    }
    let bytes = safetensors::serialize(views, None)?;
    atomic::write_unsynced(path, |out| Ok(out.write_all(&bytes)?))
}
