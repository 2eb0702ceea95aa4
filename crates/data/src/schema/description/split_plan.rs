//! Which rows are for training, validation and test.

use crate::expression::Reading;
use arrow::datatypes::TimeUnit;

/// Which rows go where.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitPlan {
    /// Some files are for training, others are divided between validation and test.
    Files {
        /// Indices of the training files.
        train: Vec<usize>,
        /// Indices of the files that are divided.
        holdout: Vec<usize>,
        /// Share of the divided files that is validation; the rest is test.
        validation_fraction: f64,
        /// Seed of the hash of row indices that divides.
        seed: u64,
    },
    /// By time: training before the first limit, validation from there on, test from the second.
    Time {
        /// Indices of the files.
        files: Vec<usize>,
        /// The column with times, or anything else that has an order.
        column: usize,
        /// First value of validation.
        validation_from: SplitLimit,
        /// First value of test.
        test_from: SplitLimit,
    },
    /// By a hash: rows with the same value of a column stay together.
    Hash {
        /// Indices of the files.
        files: Vec<usize>,
        /// The column; the row's index where absent.
        column: Option<usize>,
        /// Share of validation.
        validation_fraction: f64,
        /// Share of test; the rest is training.
        test_fraction: f64,
        /// Seed of the hash.
        seed: u64,
    },
}

/// The first value of a split by time.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitLimit {
    /// Compared with numbers, exactly.
    Integer(i128),
    /// Compared with numbers.
    Float(f64),
    /// Compared with times.
    Time {
        /// Nanoseconds since 1970 in UTC.
        time: i128,
        /// As the description has it.
        written: String,
        /// What the column's numbers count, where the description says so.
        unit: Option<TimeUnit>,
    },
}

impl SplitLimit {
    /// What the column is read as.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Time { .. } => Reading::Time,
            Self::Integer(_) | Self::Float(_) => Reading::Number,
        }
    }

    /// The limit as the description has it.
    pub fn shown(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Time { written, .. } => format!("{written:?}"),
        }
    }
}

impl SplitPlan {
    /// Indices of the files that rows come from, in order.
    pub fn files(&self) -> Vec<usize> {
        match self {
            Self::Files { train, holdout, .. } => [&train[..], holdout].concat(),
            Self::Time { files, .. } | Self::Hash { files, .. } => files.clone(),
        }
    }

    /// The column that decides, where one does.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::Files { .. } => None,
            Self::Time { column, .. } => Some(*column),
            Self::Hash { column, .. } => *column,
        }
    }

    pub(super) fn canonical(&self) -> String {
        match self {
            // As it was written when there was nothing else.
            Self::Files {
                train,
                holdout,
                validation_fraction,
                seed,
            } => match (&train[..], &holdout[..]) {
                ([train], [holdout]) => format!(
                    "SplitPlan {{ train: {train}, holdout: {holdout}, validation_fraction: {validation_fraction:?}, seed: {seed} }}"
                ),
                _ => format!("{self:?}"),
            },
            other => format!("{other:?}"),
        }
    }
}
