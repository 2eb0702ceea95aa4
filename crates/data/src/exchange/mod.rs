//! What programs outside are given and give back: rows as files, without labels where these are sealed, and predictions.

mod predictions;
mod rows;

pub use predictions::{PredictionError, Predictions, read_predictions};
pub(crate) use rows::column_given_twice;
pub use rows::{RowsAs, write_rows};
