//! Scores that read only the order of predictions: the area under the ROC curve, over all rows or within groups.

use super::{assert_same_length, is_positive, order};
use rayon::prelude::*;

/// Area under the ROC curve: the share of (positive, negative) pairs that the scores order rightly, a tie counting
/// one half. Exact: pairs are counted in integers and divided once.
///
/// Nothing where it is undefined: without a positive or without a negative, or with a score that is NaN.
///
/// # Shapes
/// - scores: `[rows]`, any monotone form (logits or probabilities)
/// - labels: `[rows]`, 0 or 1
///
/// # Panics
/// If the lengths differ.
pub fn auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    let (mut positives, mut negatives) = split_keys(scores, labels)?;
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    rayon::join(
        || order::sort(&mut positives),
        || order::sort(&mut negatives),
    );
    Some(share_of_pairs(&positives, &negatives))
}

/// Keys of the positive and of the negative rows; nothing if a score is NaN.
fn split_keys(scores: &[f32], labels: &[f32]) -> Option<(Vec<u32>, Vec<u32>)> {
    assert_same_length(scores, labels);
    let num_positives = labels.iter().filter(|&&label| is_positive(label)).count();
    let mut positives = Vec::with_capacity(num_positives);
    let mut negatives = Vec::with_capacity(labels.len() - num_positives);
    for (&score, &label) in scores.iter().zip(labels) {
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

/// The area under the curve within groups (GAUC), for example within each user's impressions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupedAuc {
    /// Mean over groups, each weighted by its rows; absent if every group was left out.
    pub weighted: Option<f64>,
    /// Plain mean over groups; absent if every group was left out.
    pub unweighted: Option<f64>,
    /// Groups that count.
    pub num_groups: usize,
    /// Groups left out because their rows are of one class, or a score is NaN.
    pub num_left_out: usize,
}

/// Mean of each group's own [`auc`]. Groups of one class have none: they are left out, and counted.
///
/// # Shapes
/// - scores, labels, groups: `[rows]`
///
/// # Panics
/// If the lengths differ, or there are more than 2^32 rows.
pub fn grouped_auc(scores: &[f32], labels: &[f32], groups: &[u32]) -> GroupedAuc {
    assert_eq!(scores.len(), groups.len(), "one group for every score");
    let rows = rows_by_group(groups);
    let areas: Vec<(usize, Option<f64>)> = rows
        .par_chunk_by(|a, b| a >> 32 == b >> 32)
        .map(|rows| (rows.len(), auc_of_rows(scores, labels, rows)))
        .collect();
    summary(&areas)
}

/// Group in the upper half, row in the lower, sorted: the order is the same whoever sorts.
fn rows_by_group(groups: &[u32]) -> Vec<u64> {
    assert!(groups.len() <= 1 << 32, "rows are counted in 32 bits");
    let numbered = groups.par_iter().enumerate();
    let mut rows: Vec<u64> = numbered
        .map(|(row, &group)| u64::from(group) << 32 | row as u64)
        .collect();
    rows.par_sort_unstable();
    rows
}

fn auc_of_rows(scores: &[f32], labels: &[f32], rows: &[u64]) -> Option<f64> {
    let indices = || rows.iter().map(|&row| row as u32 as usize);
    let scores: Vec<f32> = indices().map(|row| scores[row]).collect();
    let labels: Vec<f32> = indices().map(|row| labels[row]).collect();
    auc(&scores, &labels)
}

fn summary(areas: &[(usize, Option<f64>)]) -> GroupedAuc {
    let (mut weighted, mut unweighted) = (0.0, 0.0);
    let (mut num_rows, mut num_groups) = (0, 0);
    for &(rows, area) in areas {
        let Some(area) = area else { continue };
        weighted += rows as f64 * area;
        unweighted += area;
        num_rows += rows;
        num_groups += 1;
    }
    GroupedAuc {
        weighted: (num_groups > 0).then(|| weighted / num_rows as f64),
        unweighted: (num_groups > 0).then(|| unweighted / num_groups as f64),
        num_groups,
        num_left_out: areas.len() - num_groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::golden::{in_threads, noisy_rows};

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
    fn the_order_of_rows_and_the_number_of_threads_change_nothing() {
        let (mut scores, mut labels) = noisy_rows(200_000, 1_000_000);
        let groups: Vec<u32> = (0..scores.len() as u32).map(|i| i % 997).collect();
        let area = in_threads(1, || auc(&scores, &labels));
        let grouped = in_threads(1, || grouped_auc(&scores, &labels, &groups));
        for threads in [2, 5] {
            assert_eq!(in_threads(threads, || auc(&scores, &labels)), area);
            let again = in_threads(threads, || grouped_auc(&scores, &labels, &groups));
            assert_eq!(again, grouped);
        }
        scores.reverse();
        labels.reverse();
        assert_eq!(auc(&scores, &labels), area);
    }

    #[test]
    fn groups_of_one_class_are_left_out_and_counted() {
        let scores = [1.0, 2.0, 3.0, 1.0, 2.0, 9.0, 8.0];
        let labels = [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        let groups = [7, 7, 7, 3, 3, 5, 5];
        let grouped = grouped_auc(&scores, &labels, &groups);
        assert_eq!(grouped.weighted, Some(3.0 / 5.0));
        assert_eq!(grouped.unweighted, Some(0.5));
        assert_eq!((grouped.num_groups, grouped.num_left_out), (2, 1));
        let none = grouped_auc(&scores[5..], &labels[5..], &groups[5..]);
        assert_eq!(
            (none.weighted, none.unweighted, none.num_left_out),
            (None, None, 1)
        );
    }
}
