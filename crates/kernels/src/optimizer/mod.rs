//! Optimisers: dense ones that read gradient buffers, and sparse ones that touch the gathered rows of a table alone.

mod adam;
mod embedding;

pub use adam::{Adam, AdamConfig};
pub use embedding::{Columns, EmbeddingTables, SparseRule};
