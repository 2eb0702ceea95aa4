//! Optimisers: dense ones that read gradient buffers, and sparse ones that touch the gathered rows of a table alone.

mod adagrad;
mod adam;
mod clip;
mod dense;
mod embedding;
mod pooled;
mod sgd;
mod sparse;

pub use adagrad::AdagradConfig;
pub use adam::AdamConfig;
pub use clip::clip_gradient_norm;
pub use dense::{DenseRule, Optimizer};
pub use embedding::{Columns, EmbeddingTables};
pub use pooled::{Lists, PooledTables, Pooling};
pub use sgd::SgdConfig;
pub use sparse::SparseRule;

/// [`Optimizer`] under its usual rule, an [`AdamConfig`].
pub type Adam = Optimizer;
