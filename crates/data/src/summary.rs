//! What may be known of a dataset without reading a row of it.

use super::{CacheHold, Schema};
use std::collections::BTreeMap;

/// A prepared dataset in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the description.
    pub name: String,
    /// The protocol in use.
    pub protocol: String,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// Hash of the resolved description, the row subset and every source file's content.
    pub content_hash: String,
    /// Features, tasks and groups.
    pub schema: Schema,
    /// Training rows.
    pub train: SplitSummary,
    /// Validation rows.
    pub validation: SplitSummary,
    /// Test rows; their labels are not told before selection is frozen.
    pub test_rows: usize,
    /// Where its source files come from.
    pub origin: Origin,
    /// Embedding tables that have pretrained vectors, with the numbers of each of these.
    pub pretrained: BTreeMap<String, usize>,
    /// What preparation noticed, the loud first.
    pub warnings: Vec<DataWarning>,
    /// Digests (blake3) of the prepared rows of train, validation and test.
    pub split_digests: [String; 3],
    /// Which files it was found in; they stay in the cache as long as this lives.
    pub hold: CacheHold,
}

/// Where a dataset's source files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There are none: rows are made.
    Made,
    /// `homebench data fetch` gets them.
    Fetched,
    /// A person puts them into a folder.
    Placed,
}

impl Origin {
    /// The word for it in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Fetched => "fetched",
            Self::Placed => "placed",
        }
    }
}

/// A split that may be looked at, in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitSummary {
    /// Number of rows.
    pub rows: usize,
    /// Positive labels of each task, in the order of the schema; of no meaning for a regression.
    pub positives: Vec<usize>,
    /// Rows whose label of a task is observed, in the order of the schema.
    pub observed: Vec<usize>,
    /// The labels of each task of regression, in the order of the schema.
    pub numbers: Vec<Option<Numbers>>,
}

/// Labels of a regression, as models learn them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The least.
    pub least: f32,
    /// The largest.
    pub most: f32,
}

impl SplitSummary {
    /// Share of positives among the observed labels of a task, absent where there is none.
    pub fn positive_rate(&self, task: usize) -> Option<f64> {
        let observed = self.observed[task];
        (observed > 0).then(|| self.positives[task] as f64 / observed as f64)
    }
}

/// Something that preparation noticed and whoever reads results should know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataWarning {
    /// A short word for what it is, such as `unseen_values`.
    pub kind: String,
    /// Whether it is likely to make results mean something else than their reader thinks.
    pub is_loud: bool,
    /// A sentence.
    pub message: String,
}

/// Hears what preparation does.
pub trait Observer {
    /// Something a user should read: a file accepted on weaker grounds, a cache rebuilt, rows left out.
    fn notice(&mut self, message: &str);
    /// Rows (or bytes) done of a stage, a few times a second at most.
    fn progress(&mut self, stage: &str, done: u64, total: u64);
}

/// Hears nothing: for tests and measurements.
#[derive(Debug, Default, Clone, Copy)]
pub struct Quiet;

impl Observer for Quiet {
    fn notice(&mut self, _message: &str) {}
    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}
