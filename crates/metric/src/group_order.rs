//! Rows brought together by group and sorted by score within each: what every metric within groups is computed from.

use super::{assert_same_length, is_positive, order};
use rayon::prelude::*;

/// The group of a row that is in none.
pub const NO_GROUP: u32 = u32::MAX;

/// A row as it is sorted: twice the key of its score, and one more where it is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey(u64);

/// Larger than every key: the place of a score that is NaN.
const NO_KEY: GroupKey = GroupKey(u64::MAX);

impl GroupKey {
    fn new(score: f32, label: f32) -> Self {
        order::key(score).map_or(NO_KEY, |key| {
            Self(u64::from(key) << 1 | u64::from(is_positive(label)))
        })
    }

    pub(super) fn is_positive(self) -> bool {
        self.0 & 1 == 1
    }

    fn is_tied(&self, other: &Self) -> bool {
        self.0 >> 1 == other.0 >> 1
    }
}

/// Whether some score of a sorted group is NaN, so that it has no order.
pub(super) fn has_nan(group: &[GroupKey]) -> bool {
    group.last() == Some(&NO_KEY)
}

/// Rows of equal scores of a sorted group, from the lowest score: how many, and how many of them are positive.
pub(super) fn ties(
    group: &[GroupKey],
) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<'_> {
    group.chunk_by(GroupKey::is_tied).map(|tied| {
        let positives = tied.iter().filter(|key| key.is_positive());
        (tied.len(), positives.count())
    })
}

/// Calls `add` with the rows of each group, in rising order of their scores, and with what was added to before. What comes back was added
/// to by neighbouring groups, in the order of groups; how many there are depends on the number of threads. A group without an observed row
/// is no group, and rows in no group are nowhere.
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
pub(super) fn each_group<T: Send>(
    scores: &[f32],
    labels: &[f32],
    groups: &[u32],
    start: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, &[GroupKey]) + Sync,
) -> Vec<T> {
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
        return each_group(&kept(scores), &kept(labels), &groups, start, add);
    }
    assert!(groups.len() < 1 << 32, "rows are counted in 32 bits");
    let dense = dense(groups);
    let groups = dense.as_deref().unwrap_or(groups);
    let ends = ends(labels, groups);
    let mut keys = vec![GroupKey(0); ends.last().map_or(0, |end| *end as usize)];
    let pieces = pieces(&mut keys, &ends);
    let added = pieces.into_par_iter().map(|mut piece| {
        piece.fill(scores, labels, groups);
        let mut sum = start();
        piece.each(|group| add(&mut sum, group));
        sum
    });
    added.collect()
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
    keys: &'a mut [GroupKey],
}

/// A piece for each thread, of about as many rows.
fn pieces<'a>(mut keys: &'a mut [GroupKey], mut ends: &'a [u32]) -> Vec<Piece<'a>> {
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

impl Piece<'_> {
    /// Puts the rows of its groups in their places.
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
            self.keys[places[own] as usize] = GroupKey::new(*score, *label);
            places[own] += 1;
        }
    }

    /// Calls `see` with the sorted rows of each group that has some.
    fn each(self, mut see: impl FnMut(&[GroupKey])) {
        let (mut start, mut rest) = (self.start, self.keys);
        for end in self.ends {
            let (keys, after) = rest.split_at_mut((end - start) as usize);
            if !keys.is_empty() {
                keys.sort_unstable();
                see(keys);
            }
            (start, rest) = (*end, after);
        }
    }
}
