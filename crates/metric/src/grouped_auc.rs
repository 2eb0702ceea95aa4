//! The area under the ROC curve within groups.

use super::group_order::{GroupKey, each_group, has_nan, ties};

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

/// Mean of each group's own [`auc`](crate::auc). Groups of one class have none: they are left out, and counted. A group without an
/// observed row is no group. Memory is 8 bytes a row and 4 a group.
///
/// # Shapes
/// - scores, labels, groups: `[rows]`; labels are 0 or 1, NaN where the row doesn't count; groups are [`NO_GROUP`](crate::NO_GROUP)
///   where a row is in none
///
/// # Panics
/// If the lengths differ, or there are 2^32 rows or more.
pub fn grouped_auc(scores: &[f32], labels: &[f32], groups: &[u32]) -> GroupedAuc {
    let pieces = each_group(scores, labels, groups, GroupAreas::default, GroupAreas::add);
    GroupAreas::joined(pieces).summary()
}

/// Rows of each group, and its area if it has one.
#[derive(Debug, Default)]
pub(super) struct GroupAreas {
    areas: Vec<(usize, Option<f64>)>,
}

impl GroupAreas {
    /// Adds a group.
    pub(super) fn add(&mut self, group: &[GroupKey]) {
        self.areas.push((group.len(), area(group)));
    }

    /// Those of neighbouring pieces as one.
    pub(super) fn joined(pieces: impl IntoIterator<Item = Self>) -> Self {
        Self {
            areas: pieces.into_iter().flat_map(|piece| piece.areas).collect(),
        }
    }

    pub(super) fn summary(&self) -> GroupedAuc {
        let (mut weighted, mut unweighted) = (0.0, 0.0);
        let (mut num_rows, mut num_groups) = (0, 0);
        for &(rows, area) in &self.areas {
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
            num_left_out: self.areas.len() - num_groups,
        }
    }
}

/// The area of rows in the order of their scores.
fn area(group: &[GroupKey]) -> Option<f64> {
    if has_nan(group) {
        return None;
    }
    let (mut negatives, mut positives, mut half_pairs) = (0u128, 0u128, 0u128);
    for (rows, positive) in ties(group) {
        let (num_positive, num_negative) = (positive as u128, (rows - positive) as u128);
        // Each negative below counts two halves, each tie one.
        half_pairs += num_positive * (2 * negatives + num_negative);
        negatives += num_negative;
        positives += num_positive;
    }
    (negatives > 0 && positives > 0).then(|| half_pairs as f64 / (2 * positives * negatives) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{in_threads, noisy_rows};
    use crate::{NO_GROUP, auc};

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
            let expected = GroupAreas { areas }.summary();
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

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (scores, labels) = noisy_rows(200_000, 1_000_000);
        let groups: Vec<u32> = (0..scores.len() as u32).map(|i| i % 997).collect();
        let grouped = in_threads(1, || grouped_auc(&scores, &labels, &groups));
        for threads in [2, 5] {
            let again = in_threads(threads, || grouped_auc(&scores, &labels, &groups));
            assert_eq!(again, grouped);
        }
    }
}
