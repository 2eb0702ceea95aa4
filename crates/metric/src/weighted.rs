//! Scores in which a row counts as much as its weight says. Nothing where all weights are 0.

use super::rows::Rows;
use super::{ROWS_PER_PIECE, assert_same_length, defined, is_positive, order};
use super::{probability, regression};
use rayon::prelude::*;

/// Areas under curves of weighted rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeightedAreas {
    /// Area under the ROC curve: of all pairs of a positive and a negative row, each with the product of their weights, the share that the
    /// scores order rightly, a tie counting one half.
    pub auc: Option<f64>,
    /// Average precision: the mean over positive rows, each with its weight, of the share of positive weight among all rows with at least
    /// their score.
    pub average_precision: Option<f64>,
}

/// [`WeightedAreas`]. Absent without a positive row that has a weight, the first also without such a negative row, and with a score that is
/// NaN.
///
/// # Shapes
/// - scores, labels, weights: `[rows]`; labels are 0 or 1, weights 0 or more
///
/// # Panics
/// If the lengths differ, or there are 2^32 rows or more.
pub fn weighted_areas(scores: &[f32], labels: &[f32], weights: &[f32]) -> WeightedAreas {
    assert_same_length(scores, labels);
    assert_same_length(scores, weights);
    assert!(scores.len() < 1 << 32, "rows are counted in 32 bits");
    // By row where scores are equal: the order of the sums is part of the number.
    let keys = scores.par_iter().enumerate();
    let keys = keys.map(|(row, score)| Some(u64::from(order::key(*score)?) << 32 | row as u64));
    let Some(mut keys) = keys.collect::<Option<Vec<u64>>>() else {
        return WeightedAreas::default();
    };
    keys.par_sort_unstable();
    let (mut above, mut pairs, mut precision) = ([0.0; 2], 0.0, 0.0);
    for tied in keys.chunk_by(|a, b| a >> 32 == b >> 32).rev() {
        let mut own = [0.0; 2];
        for key in tied {
            let row = (*key & u64::from(u32::MAX)) as usize;
            own[usize::from(is_positive(labels[row]))] += f64::from(weights[row]);
        }
        let [negative, positive] = own;
        // Positives above are ordered rightly against these negatives.
        pairs += negative * (above[1] + positive / 2.0);
        above = [above[0] + negative, above[1] + positive];
        if positive > 0.0 {
            precision += positive * (above[1] / (above[0] + above[1]));
        }
    }
    let [negative, positive] = above;
    WeightedAreas {
        auc: (negative > 0.0 && positive > 0.0).then(|| (pairs / positive / negative).min(1.0)),
        average_precision: (positive > 0.0).then(|| (precision / positive).min(1.0)),
    }
}

/// The weighted mean of a term over rows.
pub(super) fn mean(rows: &Rows, term: fn(f32, f32) -> f64) -> Option<f64> {
    defined(sum(rows, term) / sum(rows, |_, _| 1.0))
}

/// Sum of predicted probabilities over the number of positives, each row with its weight.
pub(super) fn calibration(rows: &Rows) -> Option<f64> {
    let observed = sum(rows, |_, label| f64::from(u8::from(is_positive(label))));
    let predicted = sum(rows, |logit, _| probability::sigmoid(logit));
    defined(predicted / observed).filter(|_| observed > 0.0)
}

/// 1 minus the weighted squared error over that of the weighted mean.
pub(super) fn r_squared(rows: &Rows) -> Option<f64> {
    let mean = sum(rows, |_, label| f64::from(label)) / sum(rows, |_, _| 1.0);
    let spread = sum(rows, |_, label| (f64::from(label) - mean).powi(2));
    let value = 1.0 - sum(rows, regression::squared_distance) / spread;
    // A mean that rounds makes a spread of labels that don't vary.
    let mut weighted = rows.labels().iter().zip(rows.weights());
    let first = weighted.find(|(_, weight)| **weight > 0.0)?.0;
    let vary = weighted.any(|(label, weight)| *weight > 0.0 && label != first);
    defined(value).filter(|_| vary && spread > 0.0)
}

/// Weighted sum of a term, added in an order that only the number of rows decides.
fn sum(rows: &Rows, term: impl Fn(f32, f32) -> f64 + Sync) -> f64 {
    let (predictions, labels) = (rows.predictions(), rows.labels());
    let pieces = (predictions.par_chunks(ROWS_PER_PIECE))
        .zip(labels.par_chunks(ROWS_PER_PIECE))
        .zip(rows.weights().par_chunks(ROWS_PER_PIECE));
    let sums = pieces.map(|((predictions, labels), weights)| {
        let rows = predictions.iter().zip(labels).zip(weights);
        // A row of no weight has no say, whatever its term: 0 times infinity would be no number.
        rows.filter(|(_, weight)| **weight > 0.0)
            .map(|((prediction, label), weight)| f64::from(*weight) * term(*prediction, *label))
            .sum()
    });
    let sums: Vec<f64> = sums.collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{in_threads, noisy_rows};
    use crate::{auc, average_precision};

    #[test]
    fn equal_weights_change_nothing_and_whole_ones_count_as_so_many_rows() {
        let (scores, labels) = noisy_rows(3000, 50);
        let equal = weighted_areas(&scores, &labels, &[0.5; 3000]);
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-12;
        assert!(close(equal.auc, auc(&scores, &labels)));
        assert!(close(
            equal.average_precision,
            average_precision(&scores, &labels)
        ));
        let weights: Vec<f32> = (0..3000).map(|row| (row % 4) as f32).collect();
        let repeated = |values: &[f32]| -> Vec<f32> {
            let values = values.iter().zip(&weights);
            let values = values.flat_map(|(value, weight)| vec![*value; *weight as usize]);
            values.collect()
        };
        let (many_scores, many_labels) = (repeated(&scores), repeated(&labels));
        let weighted = weighted_areas(&scores, &labels, &weights);
        assert!(close(weighted.auc, auc(&many_scores, &many_labels)));
        assert!(close(
            weighted.average_precision,
            average_precision(&many_scores, &many_labels)
        ));
    }

    #[test]
    fn without_weight_on_a_side_there_is_no_area() {
        let (scores, labels) = ([1.0, 2.0, 3.0], [0.0, 1.0, 1.0]);
        assert_eq!(
            weighted_areas(&scores, &labels, &[0.0; 3]),
            WeightedAreas::default()
        );
        let one_side = weighted_areas(&scores, &labels, &[0.0, 1.0, 2.0]);
        assert_eq!(
            (one_side.auc, one_side.average_precision),
            (None, Some(1.0))
        );
        let with_nan = weighted_areas(&[f32::NAN, 2.0, 3.0], &labels, &[1.0; 3]);
        assert_eq!(with_nan, WeightedAreas::default());
        assert_eq!(weighted_areas(&[], &[], &[]), WeightedAreas::default());
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (scores, labels) = noisy_rows(200_001, 5000);
        let weights: Vec<f32> = (0..200_001).map(|row| (row % 17) as f32 / 7.0).collect();
        let alone = in_threads(1, || weighted_areas(&scores, &labels, &weights));
        let together = in_threads(3, || weighted_areas(&scores, &labels, &weights));
        assert_eq!(together, alone);
    }
}
