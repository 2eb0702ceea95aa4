//! Datasets: described in TOML, prepared once into a memory-mapped columnar cache, read as batches.
//!
//! - [`schema`] reads and checks descriptions, with [`expression`]s (a crate of their own) for labels, filters and computed columns; `draft` writes one from files.
//! - `source_files` finds files and knows their checksums, `part_files` the files of a folder or a pattern, [`fetch`] gets them; `table` reads them (delimited text, Parquet,
//!   Arrow), learns from training rows and encodes; [`generated`] makes the rows of embedded sources ([`feed`], `two_task`, `task_arc`, `task_depths`, `click_chain`).
//! - `carried` holds columns that are neither inputs nor labels and stay with each row.
//! - `packed` is the format of prepared splits, `cache` the folders that hold them, `open` the way from a reference to rows.
//! - `pretrained` keeps the vectors that embedding tables may start from.
//! - [`exchange`] writes rows for programs outside and reads what they predict.
//! - [`Split`] gives rows, [`SealedSplit`] gives none before [`seal`] has the proof that selection is over.
//!
//! May import: `diagnostic`, `expression` and `random`, and Arrow and Parquet to read and write files. Must not hold: candle, or anything else
//! that knows tensors, models or devices, since `experiment` checks descriptions without them; metrics; the results folder.
//! Prepared bytes depend on description, files and [`RowSubset`] alone, never on threads.
//! Unix is assumed: inodes, advice on mapped pages, and a handler of `SIGBUS`.
// Tests compare with the platform's functions, which results must not depend on.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod about_embedded;
mod cache;
mod carried;
mod click_chain;
mod described;
mod disk_space;
mod draft;
pub mod exchange;
mod export;
pub mod feed;
pub mod fetch;
mod file_lock;
pub mod generated;
mod kept;
mod known_files;
mod manifest;
mod mapped_file_shrank;
mod new_rows;
mod normal_inputs;
mod open;
mod packed;
mod page_advice;
mod part_files;
mod pipeline;
mod predictions;
mod prefetch;
mod preparation_version;
mod pretrained;
mod reference;
mod relations;
pub mod schema;
pub mod seal;
mod sealed_text;
mod source_files;
mod split;
mod summary;
mod table;
mod task_arc;
mod task_depths;
#[cfg(test)]
mod tests;
mod two_task;
mod unit_tasks;

pub use about_embedded::about_embedded;
pub use cache::{
    CacheHold, CacheWatch, CachedDataset, Cleared, Clearing, DescriptionState, cached_datasets,
    clear_cache,
};
pub use carried::{CarriedRows, CarriedSplits, CodedColumn, ColumnCounts};
pub use described::{
    RowColumns, check, check_carried, csv_column_given_twice, described_inputs, known,
    pretrained_names, row_columns, split_seed, table_names,
};
pub use draft::describe;
pub use export::{export, kinds_of_ids};
pub use file_lock::is_without_locks;
pub use homebench_expression as expression;
pub use kept::{KeptData, KeptSplit, keep};
pub use mapped_file_shrank::tell_of_cut_files;
pub use new_rows::{AbsentColumn, NewRows, ScoredRows, Unseen};
pub use open::{Verified, carry, open, open_checked, prepare, verify, with_prediction_columns};
pub use predictions::{PredictionLayout, PredictionWriter, ScoreScale, TableFormat};
pub use pretrained::{PretrainedTable, PretrainedVectors};
pub use reference::{DatasetRef, Places, RowSubset};
pub use relations::{TaskRelations, task_relations};
pub use schema::spec_knobs::blamed as blamed_knob;
pub use split::{SealedSplit, Split};
pub use summary::{DataWarning, Numbers, Observer, Origin, Quiet, SplitSummary, Summary};
pub use table::NOBODY;

use crate::schema::Pooling;
use homebench_diagnostic::Diagnostic;
use homebench_expression::timeline;
use std::collections::BTreeMap;
use std::path::Path;

/// Names of the splits, in the order of files and records.
// A split is its index here everywhere: in manifests, files and the streams of made-up rows.
// Another order would be other data.
const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// What a prepared dataset holds, in the order of its packed columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Categorical features: name and number of rows of its embedding table, the out-of-vocabulary row 0 included.
    pub categorical: Vec<CategoricalFeature>,
    /// Multi-valued features: each row has a list of ids.
    pub lists: Vec<ListFeature>,
    /// Names of the numeric features, already transformed.
    pub numeric: Vec<String>,
    /// Tasks in order; every label column has one.
    pub tasks: Vec<Task>,
    /// Task groups in order (the HoME paper's categories).
    pub groups: Vec<String>,
    /// The column whose values group rows for grouped metrics, where there is one.
    pub user: Option<String>,
    /// The column that weighs rows in training, where there is one.
    pub weight: Option<String>,
    /// The feature whose value is the scenario of a row, an index into [`Self::categorical`].
    pub scenario: Option<usize>,
    /// The embedding table of each feature of ids that reads one of another name than its own, by feature: features with the same table share its
    /// rows, and have the same ids.
    pub tables: BTreeMap<String, String>,
}

impl Schema {
    /// Values of the scenario in training, whose ids count from 1; 0 where there is no scenario.
    pub fn num_scenarios(&self) -> usize {
        let scenario = self.scenario.map(|place| &self.categorical[place]);
        scenario.map_or(0, |feature| feature.vocabulary_size.saturating_sub(1))
    }

    /// Of each task the one that it comes after; empty where none comes after another.
    pub fn after(&self) -> Vec<Option<usize>> {
        let after: Vec<Option<usize>> = self.tasks.iter().map(|task| task.after).collect();
        match after.iter().all(Option::is_none) {
            true => Vec::new(),
            false => after,
        }
    }
}

/// A categorical input.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoricalFeature {
    /// Name of the feature in the description.
    pub name: String,
    /// Ids are `0..vocabulary_size`; 0 is the out-of-vocabulary row.
    pub vocabulary_size: usize,
}

/// A multi-valued input.
#[derive(Debug, Clone, PartialEq)]
pub struct ListFeature {
    /// Name of the feature in the description.
    pub name: String,
    /// Ids are `0..vocabulary_size`; 0 is the out-of-vocabulary row.
    pub vocabulary_size: usize,
    /// How the embeddings of a row's list become one.
    pub pooling: Pooling,
    /// Ids of a training row in the mean; 0 where no training rows are at hand, as for new rows.
    pub mean_length: f64,
}

/// A task to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Name, used in variable paths and records.
    pub name: String,
    /// Index into [`Schema::groups`].
    pub group: usize,
    /// What its labels are.
    pub kind: TaskKind,
    /// The task that it comes after, an index into [`Schema::tasks`]: its label can be 1 only where that one's is.
    pub after: Option<usize>,
}

/// What the labels of a task are, and with that its loss and its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskKind {
    /// Two classes: labels are 0 or 1, and the model's output is a logit.
    #[default]
    Classification,
    /// Numbers: the model's output is the predicted number.
    Regression,
}

impl Task {
    /// Whether it predicts a number.
    pub fn is_regression(&self) -> bool {
        self.kind == TaskKind::Regression
    }
}

/// Rows gathered for one step or one piece of an evaluation. Buffers are kept from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Number of rows, B.
    pub num_rows: usize,
    /// Feature ids, row-major [B, categorical features].
    pub categorical: Vec<u32>,
    /// Ids of all lists, one list after another; the lists of a row are side by side.
    pub list_ids: Vec<u32>,
    /// End of each list in `list_ids`, row-major [B, multi-valued features].
    pub list_ends: Vec<u32>,
    /// Numeric features, row-major [B, numeric features].
    pub numeric: Vec<f32>,
    /// Labels, 0 or 1 or those of a regression, NaN where a task is not observed, row-major [B, tasks].
    pub labels: Vec<f32>,
    /// Dense ids of the users, `[B]`, [`NOBODY`] where a row has none; empty where the dataset has no users.
    pub users: Vec<u32>,
    /// Weights in training, `[B]`; empty where rows have none.
    pub weights: Vec<f32>,
}

/// A dataset ready for training.
#[derive(Debug)]
pub struct Prepared {
    /// Features, tasks and groups.
    pub schema: Schema,
    /// Hash of the description and of every source file's content.
    pub content_hash: String,
    /// What turns a model's outputs into scores, by task.
    pub scales: Vec<ScoreScale>,
    /// What tells, once rows were read, that they were those that had been prepared.
    pub watch: CacheWatch,
    /// Rows to learn from.
    pub train: Split,
    /// Rows to select on.
    pub validation: Split,
    /// Rows to score once.
    pub test: SealedSplit,
    /// What the ids of scenarios from 1 on stand for; none where rows have no scenario.
    pub scenarios: Vec<String>,
    /// Vectors that embedding tables may start from.
    pub pretrained: PretrainedVectors,
}

/// A file or folder that can't be written, and the mend.
fn cant_write(path: &Path, error: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::new(path.display().to_string(), format!("can't write: {error}"))
        .hint("free some space, permit writing there or move away what is in its place; or choose another folder with --data-dir and --cache-dir; of a limit of file sizes, raise it (`ulimit -f`)")
}
