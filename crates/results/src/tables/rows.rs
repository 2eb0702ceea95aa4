//! The rows of every table. Text is borrowed: from the cell that writes it, or from the line that is read.

use super::column::one_of;
use super::{Row, Table};
use crate::outcome::Status;
use crate::phase::Phase;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What became of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellsRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the model configuration.
    pub variant: &'a str,
    /// Name of the model in the registry.
    pub model: &'a str,
    /// Name of the dataset.
    pub dataset: &'a str,
    /// Seed of every random number.
    pub seed: u64,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub error: &'a str,
    /// Epoch of the selected weights, from 1.
    pub selected_epoch: Option<u64>,
    /// Epochs begun.
    pub epochs_run: Option<u64>,
    /// Validation score of the selected weights.
    #[serde(serialize_with = "shortest")]
    pub validation_score: Option<f64>,
    /// Trainable numbers.
    pub parameters: Option<u64>,
    /// Floating-point operations of a forward pass.
    pub flops_per_row: Option<u64>,
    /// Trial, or what is reported.
    pub phase: Option<Phase>,
    /// Number of the trial, where it is one.
    pub trial: Option<u64>,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// How often the run that gave up on it had started it.
    pub tries: Option<u64>,
    /// The log of a cell that was given up, from the results folder.
    pub log: Option<String>,
}

/// A setting that a grid, random draws or tuning gave a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsRow {
    /// Hash of the cell's content.
    pub cell: String,
    /// Name of the variant.
    pub variant: String,
    /// Path of the setting in the spec.
    pub setting: String,
    /// Its value as the spec would write it.
    pub value: String,
}

/// A cell of a trial of a variant's tuning: a trial has one per seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningRow {
    /// Name of the variant.
    pub variant: String,
    /// Number of the trial among those of the variant, from 1.
    pub trial: u64,
    /// Hash of the cell's content.
    pub cell: String,
    /// Seed of the cell.
    pub seed: u64,
    /// What it reached on validation; nothing if the cell failed.
    #[serde(serialize_with = "shortest")]
    pub validation_score: Option<f64>,
    /// Whether the variant's final cells have its settings.
    #[serde(rename = "selected")]
    pub is_selected: bool,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
}

/// A score of the selected weights.
// `default` here and below is for the columns of `LATER`; the reader has refused a file that lacks another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// `validation` or `test`.
    #[serde(deserialize_with = "scored_split")]
    pub split: &'a str,
    /// Task name.
    pub task: &'a str,
    /// Metric name.
    pub metric: &'a str,
    /// The value; absent where it is undefined.
    #[serde(serialize_with = "shortest")]
    pub value: Option<f64>,
    /// Rows scored.
    pub rows: u64,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<u64>,
}

/// A point of a learning curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurvesRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// `train` or `validation`.
    #[serde(deserialize_with = "watched_split")]
    pub split: &'a str,
    /// Task name, or `all`.
    pub task: &'a str,
    /// Metric name.
    pub metric: &'a str,
    /// The value; absent where it is undefined.
    #[serde(serialize_with = "shortest")]
    pub value: Option<f64>,
}

/// What an expert, a set of experts or a layer did on the validation split, at an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpertsRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Layer or level, from 0.
    pub layer: u64,
    /// Variable path; empty for the layer.
    pub path: &'a str,
    /// Place in the set.
    pub expert: Option<u64>,
    /// Owner or occupant.
    pub task: &'a str,
    /// Name of the index.
    pub metric: &'a str,
    /// The value; absent where it is undefined.
    #[serde(serialize_with = "shortest")]
    pub value: Option<f64>,
}

/// What a gate did on the validation split, at an evaluation. It has a `weight` for every expert that it sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatesRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Layer or level, from 0.
    pub layer: u64,
    /// Variable path; empty for the layer.
    pub path: &'a str,
    /// Owner.
    pub task: &'a str,
    /// Path of the set of the expert.
    pub expert_path: &'a str,
    /// Place in the set.
    pub expert: Option<u64>,
    /// Name of the index.
    pub metric: &'a str,
    /// The value; absent where it is undefined.
    #[serde(serialize_with = "shortest")]
    pub value: Option<f64>,
}

/// How many outputs of an expert lie in a range, with the selected weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistogramsRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Layer or level, from 0.
    pub layer: u64,
    /// Variable path.
    pub path: &'a str,
    /// Place in the set.
    pub expert: u64,
    /// Lower end; absent where there is none.
    #[serde(serialize_with = "shortest")]
    pub low: Option<f64>,
    /// Upper end; absent where there is none.
    #[serde(serialize_with = "shortest")]
    pub high: Option<f64>,
    /// Outputs in it.
    pub count: u64,
}

/// How fast a cell went; of one that failed, what its last process used. The only table with times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThroughputRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// Device name.
    pub device: &'a str,
    /// Threads of the cell.
    pub threads: u64,
    /// Rows trained on, epochs counted.
    pub train_rows: Option<u64>,
    /// Time in training steps.
    #[serde(serialize_with = "shortest")]
    pub train_seconds: Option<f64>,
    /// Of the two before; absent where they give no finite number.
    #[serde(serialize_with = "shortest")]
    pub train_rows_per_second: Option<f64>,
    /// Rows evaluated.
    pub evaluation_rows: Option<u64>,
    /// Time in evaluations.
    #[serde(serialize_with = "shortest")]
    pub evaluation_seconds: Option<f64>,
    /// From the start of the process to its end.
    #[serde(serialize_with = "shortest")]
    pub total_seconds: Option<f64>,
    /// What the process held at most, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// What it computed, where the system tells.
    #[serde(serialize_with = "shortest")]
    pub cpu_seconds: Option<f64>,
    /// How many times the cell was started.
    pub tries: u64,
}

/// A set of experts or a gate of a variant's model: whom it serves and what to call it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelPartsRow {
    /// Name of the variant.
    pub variant: String,
    /// Layer or level, from 0.
    pub layer: u64,
    /// What to call the layer.
    pub layer_title: String,
    /// What its variables' paths begin with, as `path` and `expert_path` of the other tables.
    pub path: String,
    /// `expert`, `feature_gate`, `gate`, `self_gate` or `residual`.
    pub kind: String,
    /// Whom it serves.
    pub scope: Scope,
    /// The task or the group; empty for all.
    pub owner: String,
    /// What to call it beside others of its kind.
    pub name: String,
}

/// Whom a part of a model serves, in the order in which figures show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every task.
    All,
    /// The tasks of a group.
    Group,
    /// One task.
    Task,
}

/// A score of a program beside homebench: a row of `external/<name>.csv`, which people write.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ExternalRow<'a> {
    pub(crate) variant: &'a str,
    pub(crate) seed: u64,
    #[serde(deserialize_with = "scored_split")]
    pub(crate) split: &'a str,
    pub(crate) task: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) value: Option<f64>,
    pub(crate) rows: u64,
    pub(crate) positives: Option<u64>,
    /// Where the folder has several.
    pub(crate) dataset: Option<&'a str>,
    pub(crate) split_seed: Option<u64>,
}

/// Columns that repeat what `cells.csv` says of a cell, for people who look at one table alone: readers go by the cell's id.
const REPEATED: &[&str] = &["variant", "seed"];

macro_rules! borrowed {
    ($($file:literal: $row:ident, later $later:expr;)+) => {$(
        impl Row for $row<'_> {
            const LATER: &'static [&'static str] = $later;
            type Of<'a> = $row<'a>;
        }
        impl Table for $row<'_> {
            const FILE: &'static str = $file;
        }
    )+};
}

// Folders of the first versions, of which one is committed, lack the later columns of cells.csv and throughput.csv.
borrowed! {
    "cells.csv": CellsRow, later &["phase", "trial", "split_seed", "tries", "log"];
    "metrics.csv": MetricsRow, later REPEATED;
    "curves.csv": CurvesRow, later REPEATED;
    "experts.csv": ExpertsRow, later REPEATED;
    "gates.csv": GatesRow, later REPEATED;
    "expert_histograms.csv": HistogramsRow, later REPEATED;
    "throughput.csv": ThroughputRow, later &["variant", "seed", "cpu_seconds"];
}

impl Row for SettingsRow {
    const LATER: &'static [&'static str] = &[];
    type Of<'a> = Self;
}

impl Table for SettingsRow {
    const FILE: &'static str = "settings.csv";
}

impl Row for ModelPartsRow {
    const LATER: &'static [&'static str] = &[];
    type Of<'a> = Self;
}

impl Table for ModelPartsRow {
    const FILE: &'static str = "model_parts.csv";
}

impl Row for TuningRow {
    const LATER: &'static [&'static str] = &["split_seed"];
    type Of<'a> = Self;
}

impl Table for TuningRow {
    const FILE: &'static str = "tuning.csv";
}

impl Row for ExternalRow<'_> {
    const LATER: &'static [&'static str] = &["dataset", "split_seed"];
    type Of<'a> = ExternalRow<'a>;
}

/// The csv crate would write some floats otherwise than as text (`1.0` for 1, `1e-7` for 0.0000001). Tables have had this form from the
/// start, and the same numbers must stay the same bytes.
///
/// What is not finite is refused, as the reader refuses it: one such number would make the whole folder unreadable, long after the cell
/// that wrote it was called done.
pub(super) fn shortest<S: Serializer>(
    value: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) if !value.is_finite() => Err(S::Error::custom(format_args!(
            "expected a finite number or nothing, found {value}"
        ))),
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

pub(super) fn scored_split<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<&'de str, D::Error> {
    one_of(&["validation", "test"], <&str>::deserialize(deserializer)?)
}

fn watched_split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de str, D::Error> {
    one_of(&["train", "validation"], <&str>::deserialize(deserializer)?)
}
