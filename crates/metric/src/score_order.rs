//! Scores that read only the order of predictions over all rows: the areas under the ROC and under the precision-recall curve.

use super::{assert_same_length, is_positive, order};
use rayon::prelude::*;
/// Area under the ROC curve: the share of (positive, negative) pairs that the scores order rightly, a tie counting
/// one half. Exact: pairs are counted in integers and divided once.
///
/// Nothing where it is undefined: without a positive or without a negative, or with a score that is NaN.
///
/// # Shapes
/// - scores: `[rows]`, any monotone form (logits or probabilities)
/// - labels: `[rows]`, 0 or 1, NaN where the row doesn't count
///
/// # Panics
/// If the lengths differ.
pub fn auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    areas(scores, labels, false).auc
}

/// Average precision, the area under the precision-recall curve as a sum of steps: over the positive rows, the mean share of positives
/// among all rows whose score is at least theirs. Tied rows have one threshold, as in scikit-learn's `average_precision_score`.
///
/// Nothing where it is undefined: without a positive, or with a score that is NaN.
///
/// # Shapes
/// As of [`auc`].
///
/// # Panics
/// If the lengths differ.
pub fn average_precision(scores: &[f32], labels: &[f32]) -> Option<f64> {
    areas(scores, labels, true).average_precision
}

/// What one sort of all rows gives.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Areas {
    pub(super) auc: Option<f64>,
    /// Absent where nobody asked for it, too.
    pub(super) average_precision: Option<f64>,
}

pub(super) fn areas(scores: &[f32], labels: &[f32], with_precision: bool) -> Areas {
    let Some((positives, negatives)) = sorted_keys(scores, labels) else {
        return Areas::default();
    };
    if positives.is_empty() {
        return Areas::default();
    }
    Areas {
        auc: (!negatives.is_empty()).then(|| share_of_pairs(&positives, &negatives)),
        average_precision: with_precision.then(|| mean_precision(&positives, &negatives)),
    }
}

/// Keys of the positive and of the negative rows in rising order; nothing if a score is NaN.
fn sorted_keys(scores: &[f32], labels: &[f32]) -> Option<(Vec<u32>, Vec<u32>)> {
    assert_same_length(scores, labels);
    // A piece for each thread. How many there are can't be seen in what is merged.
    let rows = scores.len().div_ceil(rayon::current_num_threads()).max(1);
    let pieces = scores.par_chunks(rows).zip(labels.par_chunks(rows));
    let pieces = pieces.map(|(scores, labels)| {
        let (mut positives, mut negatives) = split_keys(scores, labels)?;
        order::sort(&mut positives);
        order::sort(&mut negatives);
        Some((positives, negatives))
    });
    let pieces: Option<Vec<_>> = pieces.collect();
    let (positives, negatives): (Vec<_>, Vec<_>) = pieces?.into_iter().unzip();
    Some(rayon::join(
        || order::merged(positives),
        || order::merged(negatives),
    ))
}

/// Keys of the positive and of the negative rows; nothing if a score is NaN.
fn split_keys(scores: &[f32], labels: &[f32]) -> Option<(Vec<u32>, Vec<u32>)> {
    let num_positives = labels.iter().filter(|&&label| is_positive(label)).count();
    let mut positives = Vec::with_capacity(num_positives);
    let mut negatives = Vec::with_capacity(labels.len() - num_positives);
    let rows = scores.iter().zip(labels);
    for (&score, &label) in rows.filter(|(_, label)| !label.is_nan()) {
        let side = if is_positive(label) {
            &mut positives
        } else {
            &mut negatives
        };
        side.push(order::key(score)?);
    }
    Some((positives, negatives))
}

/// Share of rightly ordered pairs of two sorted, non-empty lists of keys.
fn share_of_pairs(positives: &[u32], negatives: &[u32]) -> f64 {
    let (mut below, mut up_to) = (0usize, 0usize);
    // In halves, so that ties stay whole numbers; of 2^33 rows there may be more than 64 bits hold.
    let mut half_pairs: u128 = 0;
    for &key in positives {
        while below < negatives.len() && negatives[below] < key {
            below += 1;
        }
        up_to = up_to.max(below);
        while up_to < negatives.len() && negatives[up_to] == key {
            up_to += 1;
        }
        // Each negative below counts two halves, each tie one.
        half_pairs += (below + up_to) as u128;
    }
    half_pairs as f64 / (2 * positives.len() as u128 * negatives.len() as u128) as f64
}

/// Mean precision at the thresholds of a non-empty sorted list of positive keys.
fn mean_precision(positives: &[u32], negatives: &[u32]) -> f64 {
    let (mut num_positive, mut above) = (0, 0);
    let mut sum = 0.0;
    // From the highest threshold down: the order of the sum is part of the number.
    for tied in positives.chunk_by(|a, b| a == b).rev() {
        num_positive += tied.len();
        while above < negatives.len() && negatives[negatives.len() - 1 - above] >= tied[0] {
            above += 1;
        }
        sum += tied.len() as f64 * (num_positive as f64 / (num_positive + above) as f64);
    }
    sum / positives.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{in_threads, noisy_rows};

    #[test]
    fn a_perfect_a_reversed_and_a_constant_order_score_one_zero_and_one_half() {
        let labels = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(auc(&[1.0, 2.0, 3.0, 4.0], &labels), Some(1.0));
        assert_eq!(auc(&[4.0, 3.0, 2.0, 1.0], &labels), Some(0.0));
        assert_eq!(auc(&[7.0; 4], &labels), Some(0.5));
    }

    #[test]
    fn a_tie_between_classes_counts_one_half() {
        assert_eq!(auc(&[1.0, 2.0, 2.0], &[0.0, 1.0, 0.0]), Some(0.75));
        assert_eq!(auc(&[-0.0, 0.0], &[0.0, 1.0]), Some(0.5));
    }

    #[test]
    fn one_class_no_rows_and_a_nan_have_no_area() {
        assert_eq!(auc(&[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(auc(&[1.0, 2.0], &[0.0, 0.0]), None);
        assert_eq!(auc(&[], &[]), None);
        assert_eq!(auc(&[f32::NAN, 2.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn the_area_equals_the_count_over_all_pairs() {
        let (scores, labels) = noisy_rows(500, 40);
        let mut half_pairs = 0u64;
        let mut pairs = 0u64;
        for (positive, _) in scores.iter().zip(&labels).filter(|row| *row.1 == 1.0) {
            for (negative, _) in scores.iter().zip(&labels).filter(|row| *row.1 == 0.0) {
                pairs += 1;
                half_pairs += match positive.total_cmp(negative) {
                    std::cmp::Ordering::Greater => 2,
                    std::cmp::Ordering::Equal => 1,
                    std::cmp::Ordering::Less => 0,
                };
            }
        }
        assert_eq!(
            auc(&scores, &labels),
            Some(half_pairs as f64 / (2 * pairs) as f64)
        );
    }

    #[test]
    fn a_monotone_transform_changes_nothing() {
        let (scores, labels) = noisy_rows(20_000, 1000);
        let area = auc(&scores, &labels);
        // Powers of two and an odd power keep every f32 distinction of these scores.
        for transform in [|s: f32| 4.0 * s, |s: f32| s * 0.5, |s: f32| s * s * s] {
            let moved: Vec<f32> = scores.iter().map(|&s| transform(s)).collect();
            assert_eq!(auc(&moved, &labels), area);
        }
    }

    #[test]
    fn turned_scores_or_turned_labels_give_the_complement() {
        let (scores, labels) = noisy_rows(20_000, 300);
        let area = auc(&scores, &labels).unwrap();
        let turned_scores: Vec<f32> = scores.iter().map(|s| -s).collect();
        let turned_labels: Vec<f32> = labels.iter().map(|l| 1.0 - l).collect();
        assert!((auc(&turned_scores, &labels).unwrap() - (1.0 - area)).abs() < 1e-15);
        assert!((auc(&scores, &turned_labels).unwrap() - (1.0 - area)).abs() < 1e-15);
        assert_eq!(auc(&turned_scores, &turned_labels), Some(area));
    }

    #[test]
    fn the_order_of_rows_and_the_number_of_threads_change_no_area() {
        let (mut scores, mut labels) = noisy_rows(200_000, 1_000_000);
        let area = in_threads(1, || areas(&scores, &labels, true));
        for threads in [2, 5] {
            assert_eq!(in_threads(threads, || areas(&scores, &labels, true)), area);
        }
        scores.reverse();
        labels.reverse();
        assert_eq!(areas(&scores, &labels, true), area);
    }

    #[test]
    fn average_precision_is_the_mean_precision_at_positive_rows_and_ties_share_a_threshold() {
        // By hand: (1/1 + 2/3) / 2.
        let value = average_precision(&[4.0, 3.0, 2.0, 1.0], &[1.0, 0.0, 1.0, 0.0]);
        assert_eq!(value, Some((1.0 + 2.0 / 3.0) / 2.0));
        assert_eq!(
            average_precision(&[1.0; 4], &[1.0, 0.0, 0.0, 0.0]),
            Some(0.25)
        );
        assert_eq!(average_precision(&[1.0, 2.0], &[1.0, 1.0]), Some(1.0));
        assert_eq!(average_precision(&[1.0, 2.0], &[0.0, 0.0]), None);
        assert_eq!(average_precision(&[], &[]), None);
        assert_eq!(average_precision(&[f32::NAN, 2.0], &[0.0, 1.0]), None);
        let unobserved = average_precision(&[9.0, 2.0, 1.0], &[f32::NAN, 1.0, 0.0]);
        assert_eq!(unobserved, Some(1.0));
    }
}
