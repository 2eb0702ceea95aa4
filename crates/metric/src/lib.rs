//! Metrics: what each is called, which way is better, and its computation in f64, exact, absent where it is undefined, and the same
//! at any thread count.
//!
//! [`Metric`] is the one list of them. A new metric is a file here with its computation and an entry in `list.rs`: training then
//! computes it wherever rows have what it needs, or where a spec asks for it, and reports show it under its title; METHODOLOGY says
//! what it means.
//!
//! Sums run over pieces of a fixed number of rows and the pieces are added in order, and the area under the curve is
//! counted in integers, so no result depends on how many threads worked on it.
//!
//! May import: nothing of this workspace. Must not hold: files, tables, tensors, or what is said of a comparison of variants.
// Tests compare with the platform's functions, which results must not depend on.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod about;
mod cutoff;
mod group_order;
mod grouped_auc;
mod list;
mod metric;
mod order;
mod probability;
mod rank;
mod ranking_means;
mod regression;
mod rows;
mod score_order;
mod weighted;

#[cfg(test)]
mod golden;

pub use about::Needs;
pub use cutoff::Cutoff;
pub use group_order::NO_GROUP;
pub use grouped_auc::{GroupedAuc, grouped_auc};
pub use list::Metric;
pub use metric::NameError;
pub use probability::{
    brier, calibration, expected_calibration_error, log_loss, normalised_entropy,
};
pub use rank::{rank_correlation, ranks, spearman};
pub use ranking_means::{RankedGroups, RankingMeans, ranking_means};
pub use regression::{mean_absolute_error, mean_squared_error, r_squared, root_mean_squared_error};
pub use rows::{Inputs, Rows};
pub use score_order::{auc, average_precision};
pub use weighted::{WeightedAreas, weighted_areas};

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
