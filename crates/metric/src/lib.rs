//! Metrics: what each is called, which way is better, and its computation in f64, exact, absent where it is undefined, and the same
//! at any thread count.
//!
//! [`Metric`] is the one list of them. A new metric is a file here with its computation and an entry in `list.rs`: training then
//! computes it wherever rows have what it needs, and reports show it under its title; METHODOLOGY says what it means.
//!
//! Sums run over pieces of a fixed number of rows and the pieces are added in order, and the area under the curve is
//! counted in integers, so no result depends on how many threads worked on it.
//!
//! May import: nothing of this workspace. Must not hold: files, tables, tensors, or what is said of a comparison of variants.
// Tests compare with the platform's functions, which results must not depend on.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod list;
mod order;
mod probability;
mod rank;
mod ranking;
mod regression;
mod rows;

#[cfg(test)]
mod golden;

pub use list::Metric;
pub use probability::{calibration, expected_calibration_error, log_loss, normalised_entropy};
pub use rank::spearman;
pub use ranking::{GroupedAuc, NO_GROUP, auc, grouped_auc};
pub use regression::{mean_squared_error, r_squared};
pub use rows::Rows;

use rayon::prelude::*;

/// Rows of a piece of a sum. Part of the result's definition: another size adds in another order, which changes last digits.
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
