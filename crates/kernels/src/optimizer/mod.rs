//! Optimisers: dense ones that read gradient buffers, and sparse ones that touch the gathered rows of a table alone.

mod adagrad;
mod adam;
mod batch;
mod clip;
mod dense;
mod embedding;
mod kept;
mod pooled;
mod sgd;
mod shared;
mod sparse;

pub use adagrad::AdagradConfig;
pub use adam::AdamConfig;
pub use batch::{BatchRows, gather_on_device, update_on_device};
pub use clip::{GradientNorm, SetNorms, clip_gradient_norm, set_norms_on_device};
pub use dense::{DenseRule, Optimizer};
pub use embedding::{Columns, EmbeddingTables};
pub use kept::Kept;
pub use pooled::{Lists, PooledTables, Pooling};
pub use sgd::SgdConfig;
pub use shared::{Reader, Reads, RowGradients, SharedTables};
pub use sparse::SparseRule;
pub(crate) use sparse::{RowFactors, UNTOUCHED};

/// [`Optimizer`] under its usual rule, an [`AdamConfig`].
pub type Adam = Optimizer;
