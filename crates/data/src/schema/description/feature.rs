//! Inputs after validation.

use crate::schema::Pooling;

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The column that it is made from.
    pub column: usize,
    /// How it is made.
    pub kind: FeatureKind,
    /// The embedding table that it reads, where other features may read it too; its own, of its own name, where absent.
    pub table: Option<String>,
    /// Protocols that have it; all where absent.
    pub protocols: Option<Vec<String>>,
}

impl Feature {
    /// The name of the embedding table that it reads, if it reads one.
    pub fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }

    /// Whether models read it as ids, which have embeddings.
    pub fn has_ids(&self) -> bool {
        !matches!(self.kind, FeatureKind::Numeric { .. })
    }
}

/// How an input is made from its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// An id per distinct text of the training rows; texts with fewer than `min_count` rows share the
    /// out-of-vocabulary id 0.
    Categorical {
        /// Rows that a text must have to get an id.
        min_count: u64,
    },
    /// A number.
    Numeric {
        /// `sign(x) ln(1 + |x|)` first.
        log1p: bool,
        /// Then minus the training mean, divided by the training standard deviation.
        standardise: bool,
    },
    /// An id per bucket between training quantiles.
    Bucket {
        /// Largest number of buckets; equal quantiles fall together.
        buckets: usize,
    },
    /// An id per bucket of a hash of the text; nothing is learned, and texts of one bucket share its id.
    Hash {
        /// Number of buckets.
        buckets: u32,
    },
    /// Several ids, one per value of the field.
    List {
        /// Between the values of a text.
        separator: u8,
        /// How the values' embeddings become one.
        pooling: Pooling,
        /// Where the ids come from.
        vocabulary: Vocabulary,
    },
}

/// Where the ids of a list's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// An id per distinct value of the training rows, as [`FeatureKind::Categorical`].
    Learned {
        /// Times that a value must occur to get an id.
        min_count: u64,
    },
    /// An id per bucket of a hash, as [`FeatureKind::Hash`].
    Hashed {
        /// Number of buckets.
        buckets: u32,
    },
}
