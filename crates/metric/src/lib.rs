//! Scores of predictions, in f64: exact, absent where they are undefined, and the same at any thread count.
//!
//! A label that is NaN is not observed: its row is left out of every score.
//!
//! Sums run over pieces of a fixed number of rows and the pieces are added in order, and the area under the curve is
//! counted in integers, so no result depends on how many threads worked on it.

mod order;
mod probability;
mod rank;
mod ranking;
mod regression;

#[cfg(test)]
mod golden;

pub use probability::{calibration, expected_calibration_error, log_loss, normalised_entropy};
pub use rank::spearman;
pub use ranking::{GroupedAuc, auc, grouped_auc};
pub use regression::{mean_squared_error, r_squared};

use rayon::prelude::*;

/// Rows of a piece of a sum. Part of the result's definition: changing it changes last digits.
const ROWS_PER_PIECE: usize = 1 << 16;

/// A label counts as positive above one half; labels are 0 or 1.
fn is_positive(label: f32) -> bool {
    label > 0.5
}

/// Rows whose label is there.
fn num_observed(labels: &[f32]) -> usize {
    labels.iter().filter(|label| !label.is_nan()).count()
}

/// Sum of `term(prediction, label)` over rows, added in an order that only the number of rows decides.
fn ordered_sum(
    predictions: &[f32],
    labels: &[f32],
    term: impl Fn(f32, f32) -> f64 + Sync + Send,
) -> f64 {
    assert_same_length(predictions, labels);
    let pieces: Vec<f64> = predictions
        .par_chunks(ROWS_PER_PIECE)
        .zip(labels.par_chunks(ROWS_PER_PIECE))
        .map(|(predictions, labels)| {
            let rows = predictions.iter().zip(labels);
            rows.map(|(&prediction, &label)| term(prediction, label))
                .sum()
        })
        .collect();
    pieces.iter().sum()
}

fn assert_same_length(predictions: &[f32], labels: &[f32]) {
    assert_eq!(
        predictions.len(),
        labels.len(),
        "one label for every prediction"
    );
}

/// `value`, or nothing where it is no number.
fn defined(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}
