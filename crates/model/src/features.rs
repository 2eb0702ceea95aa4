//! Sizes and ids of a row's features, and which embedding tables an architecture wants for them.

use crate::var_builder::Init;
use homebench_kernels::optimizer::{Lists, Pooling};
use std::collections::BTreeMap;
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
///     tables: Default::default(),
///     attention: Default::default(),
/// };
/// assert_eq!(dims.input_dim(), 2 * 8 + 3);
/// assert_eq!(dims.num_table_numbers(), 1020 * 8);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureDims {
    /// Name and number of rows of each single-valued feature's table.
    pub vocabularies: Vec<(String, usize)>,
    /// Name, number of rows and pooling of each multi-valued feature's table.
    pub lists: Vec<(String, usize, Pooling)>,
    /// Number of numeric features.
    pub num_numeric: usize,
    /// Width of each embedding, but for those in [`Self::tables`].
    pub embedding_dim: usize,
    /// The table of each feature that reads one of another name than its own or of another width, by feature.
    pub tables: BTreeMap<String, FeatureTable>,
    /// Which lists attend to a target in place of being pooled.
    pub attention: Attention,
}

/// The table that a feature reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureTable {
    /// Its name: features with tables of one name read one table.
    pub name: String,
    /// Units of its rows.
    pub width: usize,
}

/// Lists whose elements are weighed by how they compare with a target, and added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attention {
    /// The lists, each once; nothing attends where there is none.
    pub lists: Vec<AttendingList>,
    /// Widths of the hidden layers of each list's activation unit.
    pub hidden_dims: Vec<usize>,
}

/// A list that attends to a target.
#[derive(Debug, Clone, PartialEq)]
pub struct AttendingList {
    /// Name of the multi-valued feature.
    pub list: String,
    /// Name of the single-valued feature that its elements are compared with; their tables have one width.
    pub target: String,
    /// Elements of a row in the mean, for the FLOPs of a row. Nothing else depends on it.
    pub mean_length: f64,
}

impl FeatureDims {
    /// Width of a model's input.
    pub fn input_dim(&self) -> usize {
        self.num_embedded() + self.num_numeric
    }

    /// How many columns of a model's input come from the tables.
    pub fn num_embedded(&self) -> usize {
        self.embedded().map(|(name, _)| self.table_of(name).1).sum()
    }

    /// Features of ids, in the order of their columns, with the number of rows of their tables.
    fn embedded(&self) -> impl Iterator<Item = (&str, usize)> {
        let single = self.vocabularies.iter().map(|(name, rows)| (name, rows));
        let lists = self.lists.iter().map(|(name, rows, _)| (name, rows));
        single
            .chain(lists)
            .map(|(name, rows)| (name.as_str(), *rows))
    }

    /// Name and width of the table of a feature.
    pub fn table_of<'a>(&'a self, feature: &'a str) -> (&'a str, usize) {
        match self.tables.get(feature) {
            Some(table) => (&table.name, table.width),
            None => (feature, self.embedding_dim),
        }
    }

    /// Whether every feature has a table of its own, all of one width, and each list's rows are pooled.
    pub(crate) fn is_plain(&self) -> bool {
        self.tables.is_empty() && self.attention.lists.is_empty()
    }

    /// Whether a multi-valued feature attends to a target.
    pub(crate) fn attends(&self, list: &str) -> bool {
        let mut lists = self.attention.lists.iter();
        lists.any(|attending| attending.list == list)
    }

    /// Names and shapes of the tables, each once, in the order of the features that read them first.
    pub fn distinct_tables(&self) -> Vec<(&str, [usize; 2])> {
        let mut tables: Vec<(&str, [usize; 2])> = Vec::new();
        for (feature, rows) in self.embedded() {
            let (name, width) = self.table_of(feature);
            if !tables.iter().any(|(other, _)| *other == name) {
                tables.push((name, [rows, width]));
            }
        }
        tables
    }

    /// Numbers of all tables of a set together.
    pub fn num_table_numbers(&self) -> u128 {
        let tables = self.distinct_tables().into_iter();
        tables
            .map(|(_, shape)| shape.map(|width| width as u128))
            .map(|[rows, width]| rows.saturating_mul(width))
            .fold(0, u128::saturating_add)
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
    /// Width of an embedding, where there is none too; 0 where nobody said.
    pub embedding_dim: usize,
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
pub(crate) const INITIAL_DEVIATION: f32 = 0.05;
