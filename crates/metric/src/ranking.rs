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
/// - labels: `[rows]`, 0 or 1, NaN where the row doesn't count
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

/// The group of a row that is in none.
pub const NO_GROUP: u32 = u32::MAX;

/// Mean of each group's own [`auc`]. Groups of one class have none: they are left out, and counted. A group without an observed
/// row is no group.
///
/// Rows are brought together by group in a counting sort, each thread filling the places of groups of its own, and sorted by
/// score within each group: time grows with the rows, and memory is 8 bytes a row and 4 a group.
///
/// # Shapes
/// - scores, labels, groups: `[rows]`; labels are 0 or 1, NaN where the row doesn't count; groups are [`NO_GROUP`] where a row is
///   in none
///
/// # Panics
/// If the lengths differ, or there are 2^32 rows or more.
pub fn grouped_auc(scores: &[f32], labels: &[f32], groups: &[u32]) -> GroupedAuc {
    assert_eq!(scores.len(), groups.len(), "one group for every score");
    assert_same_length(scores, labels);
    if groups.contains(&NO_GROUP) {
        // Rows of nobody are no group of their own: they have nothing in common.
        let is_of_somebody: Vec<bool> = groups.iter().map(|group| *group != NO_GROUP).collect();
        let kept = |values: &[f32]| -> Vec<f32> {
            let values = values.iter().zip(&is_of_somebody);
            values
                .filter(|(_, kept)| **kept)
                .map(|(value, _)| *value)
                .collect()
        };
        let groups: Vec<u32> = groups
            .iter()
            .copied()
            .filter(|group| *group != NO_GROUP)
            .collect();
        return grouped_auc(&kept(scores), &kept(labels), &groups);
    }
    assert!(groups.len() < 1 << 32, "rows are counted in 32 bits");
    let dense = dense(groups);
    let groups = dense.as_deref().unwrap_or(groups);
    let ends = ends(labels, groups);
    let mut keys = vec![0; ends.last().map_or(0, |end| *end as usize)];
    let pieces = pieces(&mut keys, &ends);
    let areas: Vec<Vec<(usize, Option<f64>)>> = pieces
        .into_par_iter()
        .map(|mut piece| {
            piece.fill(scores, labels, groups);
            piece.areas()
        })
        .collect();
    summary(&areas.concat())
}

/// The groups numbered from 0 without gaps, in their order, where they are numbered with many.
fn dense(groups: &[u32]) -> Option<Vec<u32>> {
    let last = *groups.iter().max()? as usize;
    // A count for each number up to the last is cheap then; users of a sample may be numbered up to billions.
    if last <= 4 * groups.len() {
        return None;
    }
    let mut distinct = groups.to_vec();
    distinct.par_sort_unstable();
    distinct.dedup();
    let number = |group: &u32| distinct.partition_point(|other| other < group) as u32;
    Some(groups.par_iter().map(number).collect())
}

/// Where each group's observed rows end, all rows being brought together by group.
fn ends(labels: &[f32], groups: &[u32]) -> Vec<u32> {
    let count = groups.iter().max().map_or(0, |last| *last as usize + 1);
    let mut ends = vec![0u32; count];
    for (group, label) in groups.iter().zip(labels) {
        ends[*group as usize] += u32::from(!label.is_nan());
    }
    let mut end = 0;
    for count in &mut ends {
        end += *count;
        *count = end;
    }
    ends
}

/// Neighbouring groups with the places of their rows.
struct Piece<'a> {
    first: u32,
    /// Rows of groups before it.
    start: u32,
    ends: &'a [u32],
    keys: &'a mut [u64],
}

/// A piece for each thread, of about as many rows.
fn pieces<'a>(mut keys: &'a mut [u64], mut ends: &'a [u32]) -> Vec<Piece<'a>> {
    let rows_of_piece = keys.len().div_ceil(rayon::current_num_threads()).max(1) as u32;
    let (mut first, mut start) = (0, 0);
    let mut pieces = Vec::new();
    while !ends.is_empty() {
        let full = ends.partition_point(|end| *end < rows_of_piece.saturating_add(start));
        let (own, rest) = ends.split_at((full + 1).min(ends.len()));
        let end = own.last().map_or(start, |end| *end);
        let (own_keys, rest_keys) = std::mem::take(&mut keys).split_at_mut((end - start) as usize);
        pieces.push(Piece {
            first,
            start,
            ends: own,
            keys: own_keys,
        });
        first += own.len() as u32;
        (start, ends, keys) = (end, rest, rest_keys);
    }
    pieces
}

/// Larger than every key: the place of a score that is NaN.
const NO_KEY: u64 = u64::MAX;

impl Piece<'_> {
    /// Puts the rows of its groups in their places: a row is twice the key of its score, and one more where it is positive.
    fn fill(&mut self, scores: &[f32], labels: &[f32], groups: &[u32]) {
        let starts = std::iter::once(self.start).chain(self.ends.iter().copied());
        let mut places: Vec<u32> = starts
            .take(self.ends.len())
            .map(|at| at - self.start)
            .collect();
        for ((group, label), score) in groups.iter().zip(labels).zip(scores) {
            // Groups before the piece wrap around to beyond it.
            let own = group.wrapping_sub(self.first) as usize;
            if own >= places.len() || label.is_nan() {
                continue;
            }
            let key = order::key(*score).map_or(NO_KEY, |key| {
                u64::from(key) << 1 | u64::from(is_positive(*label))
            });
            self.keys[places[own] as usize] = key;
            places[own] += 1;
        }
    }

    /// Rows of each group that has some, and its area if it has one.
    fn areas(self) -> Vec<(usize, Option<f64>)> {
        let mut areas = Vec::with_capacity(self.ends.len());
        let (mut start, mut rest) = (self.start, self.keys);
        for end in self.ends {
            let (keys, after) = rest.split_at_mut((end - start) as usize);
            if !keys.is_empty() {
                keys.sort_unstable();
                areas.push((keys.len(), area_of_sorted(keys)));
            }
            (start, rest) = (*end, after);
        }
        areas
    }
}

/// The area of rows in the order of their scores.
fn area_of_sorted(keys: &[u64]) -> Option<f64> {
    if keys.last() == Some(&NO_KEY) {
        return None;
    }
    let (mut negatives, mut positives, mut half_pairs) = (0u128, 0u128, 0u128);
    for tied in keys.chunk_by(|a, b| a >> 1 == b >> 1) {
        let num_positive = tied.iter().filter(|key| **key & 1 == 1).count() as u128;
        let num_negative = tied.len() as u128 - num_positive;
        // Each negative below counts two halves, each tie one.
        half_pairs += num_positive * (2 * negatives + num_negative);
        negatives += num_negative;
        positives += num_positive;
    }
    (negatives > 0 && positives > 0).then(|| half_pairs as f64 / (2 * positives * negatives) as f64)
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
    use crate::golden::{in_threads, noisy_rows};

    #[test]
    fn a_perfect_a_reversed_and_a_constant_order_score_one_zero_and_one_half() {
        let labels = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(auc(&[1.0, 2.0, 3.0, 4.0], &labels), Some(1.0));
        assert_eq!(auc(&[4.0, 3.0, 2.0, 1.0], &labels), Some(0.0));
        assert_eq!(auc(&[7.0; 4], &labels), Some(0.5));
    }

    #[test]
    fn rows_of_nobody_are_no_group() {
        let (scores, labels) = (
            [1.0, 2.0, 9.0, 8.0, 3.0, 1.0],
            [0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        );
        let all = grouped_auc(&scores, &labels, &[4, 4, NO_GROUP, NO_GROUP, 7, 7]);
        let known = grouped_auc(&[1.0, 2.0, 3.0, 1.0], &[0.0, 1.0, 0.0, 1.0], &[4, 4, 7, 7]);
        assert_eq!(
            (all.weighted, all.num_groups),
            (known.weighted, known.num_groups)
        );
        assert_eq!(all.num_groups, 2);
        assert_eq!(grouped_auc(&[1.0], &[1.0], &[NO_GROUP]).num_groups, 0);
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
    fn each_group_has_the_area_that_it_has_alone_whatever_its_number() {
        let (mut scores, mut labels) = noisy_rows(30_000, 40);
        scores[17] = f32::NAN;
        labels[400..900].fill(f32::NAN);
        for spread in [1, 3, 1_000_003] {
            let groups: Vec<u32> = (0..scores.len() as u32)
                .map(|row| row.wrapping_mul(2_654_435_761) % 1500 * spread)
                .collect();
            let mut areas = std::collections::BTreeMap::<u32, (Vec<f32>, Vec<f32>)>::new();
            for ((score, label), group) in scores.iter().zip(&labels).zip(&groups) {
                if !label.is_nan() {
                    let (scores, labels) = areas.entry(*group).or_default();
                    scores.push(*score);
                    labels.push(*label);
                }
            }
            let areas: Vec<_> = areas
                .values()
                .map(|(scores, labels)| (scores.len(), auc(scores, labels)))
                .collect();
            let expected = summary(&areas);
            assert!(expected.num_left_out > 0);
            for threads in [1, 3] {
                let found = in_threads(threads, || grouped_auc(&scores, &labels, &groups));
                assert_eq!(found, expected, "{spread} {threads}");
            }
        }
        let none = grouped_auc(&[], &[], &[]);
        assert_eq!(
            (none.weighted, none.num_groups, none.num_left_out),
            (None, 0, 0)
        );
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
