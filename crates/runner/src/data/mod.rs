//! Datasets: described in TOML, prepared once into a memory-mapped columnar cache, read as batches.

mod reference;
mod summary;

pub use reference::{DatasetRef, Places, RowSubset};
pub use summary::{Observer, Quiet, SplitSummary, Summary};

use anyhow::Result;

/// What a prepared dataset holds, in the order of its packed columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Categorical features: name and number of rows of its embedding table, the out-of-vocabulary row 0 included.
    pub categorical: Vec<CategoricalFeature>,
    /// Names of the numeric features, already transformed.
    pub numeric: Vec<String>,
    /// Tasks in order; every label column has one.
    pub tasks: Vec<Task>,
    /// Task groups in order (the HoME paper's categories).
    pub groups: Vec<String>,
}

/// A categorical input.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoricalFeature {
    /// Name of the feature in the description.
    pub name: String,
    /// Ids are `0..vocabulary_size`; 0 is the out-of-vocabulary row.
    pub vocabulary_size: usize,
}

/// A task to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Name, used in variable paths and records.
    pub name: String,
    /// Index into [`Schema::groups`].
    pub group: usize,
}

/// Rows gathered for one step or one piece of an evaluation. Buffers are kept from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Number of rows, B.
    pub num_rows: usize,
    /// Feature ids, row-major [B, categorical features].
    pub categorical: Vec<u32>,
    /// Numeric features, row-major [B, numeric features].
    pub numeric: Vec<f32>,
    /// Labels 0 or 1, row-major [B, tasks].
    pub labels: Vec<f32>,
}

/// One split, memory-mapped.
#[derive(Debug)]
pub struct Split {
    // DATA: private fields
}

impl Split {
    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        unimplemented!()
    }

    /// Copies the rows with these indices, in this order, into `batch`.
    ///
    /// # Errors
    /// An index beyond the split.
    pub fn gather(&self, _rows: &[u32], _batch: &mut Batch) -> Result<()> {
        unimplemented!()
    }

    /// Copies the rows `range` into `batch`.
    ///
    /// # Errors
    /// A range beyond the split.
    pub fn read(&self, _range: std::ops::Range<usize>, _batch: &mut Batch) -> Result<()> {
        unimplemented!()
    }
}

/// The test split, which nothing can read before selection is frozen.
#[derive(Debug)]
pub struct SealedSplit {
    // DATA: private fields
}

impl SealedSplit {
    /// Opens the split, in exchange for the proof that selection is over.
    pub fn open(self, _selection: &crate::train::FrozenSelection) -> Result<Split> {
        unimplemented!()
    }
}

/// A dataset ready for training.
#[derive(Debug)]
pub struct Prepared {
    /// Features, tasks and groups.
    pub schema: Schema,
    /// Hash of the description and of every source file's content.
    pub content_hash: String,
    /// Rows to learn from.
    pub train: Split,
    /// Rows to select on.
    pub validation: Split,
    /// Rows to score once.
    pub test: SealedSplit,
}

/// Names of the descriptions in a folder, in order.
///
/// # Errors
/// The folder can't be read.
pub fn known(_places: &Places) -> Result<Vec<String>> {
    unimplemented!()
}

/// Checks name, protocol and description without touching source files, and returns its tasks and groups: what can be
/// refused before anything runs.
///
/// # Errors
/// No such description or protocol, or a description that makes no dataset.
pub fn check(_reference: &DatasetRef, _places: &Places) -> Result<(Vec<Task>, Vec<String>)> {
    unimplemented!()
}

/// Prepares the dataset if its cache isn't there, and describes it without opening a split.
///
/// # Errors
/// See [`check`]; source files that are missing or not as described; a cache folder that can't be written.
pub fn prepare(
    _reference: &DatasetRef,
    _places: &Places,
    _observer: &mut dyn Observer,
) -> Result<Summary> {
    unimplemented!()
}

/// Opens a dataset, preparing it first if its cache isn't there. Safe to call from several processes at once.
///
/// # Errors
/// See [`prepare`].
pub fn open(
    _reference: &DatasetRef,
    _places: &Places,
    _observer: &mut dyn Observer,
) -> Result<Prepared> {
    unimplemented!()
}
