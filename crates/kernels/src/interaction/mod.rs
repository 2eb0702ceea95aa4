//! How the features of a row act on each other before a model reads them: what layers of interaction are made of.

mod attention;
mod pairs;
mod vectors;

pub use attention::{field_attention, field_attention_composed};
pub use pairs::{sum_of_pairs, sum_of_pairs_composed};
pub use vectors::{scaled_vectors, scaled_vectors_composed};

use std::ops::Range;

/// Rows that one task passes over, where nothing is summed over rows.
const TASK_ROWS: usize = 64;

fn parts_of(num_rows: usize) -> Vec<Range<usize>> {
    crate::rows::pieces(0..num_rows, TASK_ROWS).collect()
}
