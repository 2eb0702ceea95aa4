//! Sizes and ids of a row's features, and which embedding tables an architecture wants for them.

use crate::var_builder::Init;
use homebench_kernels::optimizer::{Lists, Pooling};
use std::ops::Range;

/// Sizes of the features of a row.
///
/// ```
/// use homebench_model::FeatureDims;
///
/// let dims = FeatureDims {
///     vocabularies: vec![("author".into(), 1000), ("topic".into(), 20)],
///     lists: Vec::new(),
///     num_numeric: 3,
///     embedding_dim: 8,
/// };
/// assert_eq!(dims.input_dim(), 2 * 8 + 3);
/// assert_eq!(dims.num_table_rows(), 1020);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureDims {
    /// Name and number of rows of each single-valued feature's table.
    pub vocabularies: Vec<(String, usize)>,
    /// Name, number of rows and pooling of each multi-valued feature's table.
    pub lists: Vec<(String, usize, Pooling)>,
    /// Number of numeric features.
    pub num_numeric: usize,
    /// Width of each embedding.
    pub embedding_dim: usize,
}

impl FeatureDims {
    /// Width of a model's input.
    pub fn input_dim(&self) -> usize {
        self.num_embedded() + self.num_numeric
    }

    /// How many columns of a model's input come from the tables.
    pub fn num_embedded(&self) -> usize {
        (self.vocabularies.len() + self.lists.len()) * self.embedding_dim
    }

    /// Rows of all tables together.
    pub fn num_table_rows(&self) -> usize {
        let single = self.vocabularies.iter().map(|(_, rows)| rows);
        let lists = self.lists.iter().map(|(_, rows, _)| rows);
        single.chain(lists).sum()
    }
}

/// The ids of a batch's rows.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a> {
    /// Of single-valued features, row-major [batch, vocabularies].
    pub single: &'a [u32],
    /// Of multi-valued features, row-major [batch, lists].
    pub lists: Lists<'a>,
}

/// A feature of a model's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFeature {
    /// Its name in the dataset.
    pub name: String,
    /// Its columns of the input: an embedding's units, or the one of a number.
    pub columns: Range<usize>,
}

/// Which columns of the input are which feature's: for architectures that treat some features apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputColumns<'a> {
    /// Features in the order of their columns; none where nobody named them.
    pub features: &'a [InputFeature],
    /// The feature whose value is the row's scenario: an index into the features.
    pub scenario: Option<usize>,
    /// Values of the scenario in training; rows of none of them have the id 0, the others ids from 1.
    pub num_scenarios: usize,
}

/// What an architecture wants of the embedding tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// One set of tables for all tasks.
    Shared,
    /// Tables of each task's own.
    PerTask,
    /// Tables of each task's own, and behind them one set for all tasks.
    PerTaskAndShared,
    /// Tables of each task's own, one unit wide whatever the spec's width, that start at zero: the weights of a linear
    /// model over one-hot features.
    Weights,
}

impl Tables {
    /// Whether each task has tables of its own.
    pub fn per_task(self) -> bool {
        self != Self::Shared
    }

    /// How many sets of tables there are for so many tasks.
    pub fn num_sets(self, num_tasks: usize) -> usize {
        match self {
            Self::Shared => 1,
            Self::PerTask | Self::Weights => num_tasks,
            Self::PerTaskAndShared => num_tasks + 1,
        }
    }

    /// Width of each embedding where the spec says `embedding_dim`.
    pub fn width(self, embedding_dim: usize) -> usize {
        match self {
            // A weight per one-hot value; a wider row would be summed to one number anyway.
            Self::Weights => 1,
            Self::Shared | Self::PerTask | Self::PerTaskAndShared => embedding_dim,
        }
    }

    pub(crate) fn init(self) -> Init {
        match self {
            // The loss of a linear model is convex: there is no symmetry that a random start would have to break.
            Self::Weights => Init::Constant(0.0),
            Self::Shared | Self::PerTask | Self::PerTaskAndShared => {
                Init::Normal(INITIAL_DEVIATION)
            }
        }
    }
}

/// Standard deviation of fresh embeddings.
// No paper here gives one. It is no knob either: every model and every committed result starts from the same, and another
// value would be another experiment.
const INITIAL_DEVIATION: f32 = 0.05;
