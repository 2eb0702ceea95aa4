//! Scores of the order of rows within groups, such as what each user is shown: NDCG, MRR, recall, precision and hit rate.

use super::Cutoff;
use super::group_order::{GroupKey, each_group, has_nan, ties};

/// Means over groups of what their first k rows, by falling score, hold. **Ties:** each value is its mean over all orders of the tied rows,
/// in closed form (McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied
/// scores", 2008), so the order of the data has no say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RankingMeans {
    /// Discounted cumulative gain over that of the best order; a positive row at rank r gains 1 / log2(r + 1).
    pub ndcg: f64,
    /// 1 over the rank of the first positive row, 0 where it comes after the first k.
    pub reciprocal_rank: f64,
    /// Share of the positive rows that are among the first k.
    pub recall: f64,
    /// Positive rows among the first k, over k: also of a group that has fewer rows, as in `trec_eval`.
    pub precision: f64,
    /// Whether a positive row is among the first k.
    pub hit_rate: f64,
}

/// How many groups those means are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RankedGroups {
    /// Groups that count.
    pub num_groups: usize,
    /// Groups left out because they have no positive row, or a score is NaN.
    pub num_left_out: usize,
}

/// [`RankingMeans`] for each cutoff, every group counting once. Groups without a positive row have nothing to be found, whatever the
/// model: they are left out, and counted. Nothing where every group is.
///
/// # Shapes
/// As of [`grouped_auc`](crate::grouped_auc).
///
/// # Panics
/// If the lengths differ, or there are 2^32 rows or more.
pub fn ranking_means(
    scores: &[f32],
    labels: &[f32],
    groups: &[u32],
    cutoffs: &[Cutoff],
) -> (RankedGroups, Vec<Option<RankingMeans>>) {
    let start = || Rankings::new(cutoffs);
    let pieces = each_group(scores, labels, groups, start, Rankings::add);
    Rankings::joined(cutoffs, pieces).means()
}

/// Values of groups, one for each cutoff and group.
#[derive(Debug)]
pub(super) struct Rankings {
    cutoffs: Vec<Cutoff>,
    values: Vec<RankingMeans>,
    counted: RankedGroups,
    discounts: Discounts,
}

impl Rankings {
    pub(super) fn new(cutoffs: &[Cutoff]) -> Self {
        Self {
            cutoffs: cutoffs.to_vec(),
            values: Vec::new(),
            counted: RankedGroups::default(),
            discounts: Discounts::default(),
        }
    }

    /// Adds a group.
    pub(super) fn add(&mut self, group: &[GroupKey]) {
        let num_positive = group.iter().filter(|key| key.is_positive()).count();
        if num_positive == 0 || has_nan(group) {
            self.counted.num_left_out += 1;
            return;
        }
        self.counted.num_groups += 1;
        for cutoff in &self.cutoffs {
            self.discounts.grow(cutoff.of(group.len()));
            let value = ranked(group, num_positive, *cutoff, &self.discounts);
            self.values.push(value);
        }
    }

    /// Those of neighbouring pieces as one.
    pub(super) fn joined(cutoffs: &[Cutoff], pieces: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::new(cutoffs);
        for piece in pieces {
            all.counted.num_groups += piece.counted.num_groups;
            all.counted.num_left_out += piece.counted.num_left_out;
            all.values.extend(piece.values);
        }
        all
    }

    /// How many groups count, and the means over them for each cutoff.
    pub(super) fn means(&self) -> (RankedGroups, Vec<Option<RankingMeans>>) {
        let num_groups = self.counted.num_groups;
        let mean = |index: usize| {
            let mut sum = RankingMeans::default();
            // In the order of groups, which no number of threads changes.
            for value in self.values.iter().skip(index).step_by(self.cutoffs.len()) {
                sum.ndcg += value.ndcg;
                sum.reciprocal_rank += value.reciprocal_rank;
                sum.recall += value.recall;
                sum.precision += value.precision;
                sum.hit_rate += value.hit_rate;
            }
            // Rounding must not lift a mean above what it can be.
            let mean = |sum: f64| (sum / num_groups as f64).min(1.0);
            (num_groups > 0).then(|| RankingMeans {
                ndcg: mean(sum.ndcg),
                reciprocal_rank: mean(sum.reciprocal_rank),
                recall: mean(sum.recall),
                precision: mean(sum.precision),
                hit_rate: mean(sum.hit_rate),
            })
        };
        let means = (0..self.cutoffs.len()).map(mean).collect();
        (self.counted, means)
    }
}

/// Sums of the discounts of the first ranks.
#[derive(Debug, Default)]
struct Discounts {
    single: Vec<f64>,
    sums: Vec<f64>,
}

impl Discounts {
    /// Has those of so many ranks.
    fn grow(&mut self, ranks: usize) {
        if self.sums.is_empty() {
            self.sums.push(0.0);
        }
        while self.single.len() < ranks {
            let discount = 1.0 / libm::log2(self.single.len() as f64 + 2.0);
            self.sums.push(self.sums[self.single.len()] + discount);
            self.single.push(discount);
        }
    }
}

/// The values of one group, which has a positive row.
fn ranked(
    group: &[GroupKey],
    num_positive: usize,
    cutoff: Cutoff,
    discounts: &Discounts,
) -> RankingMeans {
    let last = cutoff.of(group.len());
    let (mut gain, mut hits) = (0.0, 0.0);
    let mut first = None;
    let mut before = 0;
    for (rows, positive) in ties(group).rev() {
        if before >= last {
            break;
        }
        let counted = rows.min(last - before);
        if positive > 0 {
            if first.is_none() {
                first = Some(first_positive(before, rows, positive, counted));
            }
            let share = positive as f64 / rows as f64;
            hits += match counted == rows {
                true => positive as f64,
                false => share * counted as f64,
            };
            if positive == rows {
                // One by one, as the best order is summed: rows in that order have its very sum.
                let ranks = &discounts.single[before..before + counted];
                ranks.iter().for_each(|discount| gain += discount);
            } else {
                gain += share * (discounts.sums[before + counted] - discounts.sums[before]);
            }
        }
        before += rows;
    }
    let best = discounts.sums[num_positive.min(last)];
    let (reciprocal_rank, hit_rate) = first.unwrap_or_default();
    RankingMeans {
        ndcg: (gain / best).min(1.0),
        reciprocal_rank,
        recall: hits / num_positive as f64,
        // Without a limit k is the number of rows.
        precision: hits / cutoff.limit().map_or(last as f64, f64::from),
        hit_rate,
    }
}

/// Where the first positive row is expected among tied rows that come after `before` others without one, if `counted` of them are
/// looked at: the mean of 1 over its rank, and the chance that it is among these.
fn first_positive(before: usize, rows: usize, positive: usize, counted: usize) -> (f64, f64) {
    if positive == rows {
        return (1.0 / (before + 1) as f64, 1.0);
    }
    // The chance that none came so far.
    let mut none = 1.0;
    let mut mean = 0.0;
    for place in 0..counted {
        let left = rows - place;
        // More positives than rows left can't be: then one has come.
        if left < positive {
            break;
        }
        mean += none * (positive as f64 / left as f64) / (before + place + 1) as f64;
        none *= (left - positive) as f64 / left as f64;
    }
    (mean, 1.0 - none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{in_threads, noisy_rows};

    fn first(rows: u32) -> Cutoff {
        Cutoff::first(rows).unwrap()
    }

    fn of_one_group(scores: &[f32], labels: &[f32], cutoff: Cutoff) -> Option<RankingMeans> {
        let groups = vec![0; scores.len()];
        ranking_means(scores, labels, &groups, &[cutoff]).1[0]
    }

    #[test]
    fn a_perfect_order_scores_exactly_one_and_a_reversed_one_what_is_left() {
        let labels: Vec<f32> = (0..40).map(|row| f32::from(u8::from(row < 7))).collect();
        let scores: Vec<f32> = (0..40).map(|row| -(row as f32)).collect();
        for cutoff in [first(1), first(5), first(10), Cutoff::NONE] {
            let best = of_one_group(&scores, &labels, cutoff).unwrap();
            assert_eq!(
                (best.ndcg, best.reciprocal_rank, best.hit_rate),
                (1.0, 1.0, 1.0)
            );
        }
        let turned: Vec<f32> = scores.iter().map(|score| -score).collect();
        let worst = of_one_group(&turned, &labels, first(10)).unwrap();
        assert_eq!(worst, RankingMeans::default());
        let worst = of_one_group(&turned, &labels, Cutoff::NONE).unwrap();
        assert_eq!((worst.reciprocal_rank, worst.recall), (1.0 / 34.0, 1.0));
    }

    #[test]
    fn of_more_rows_than_there_are_recall_is_of_all_and_precision_is_over_k() {
        let value = of_one_group(&[3.0, 2.0, 1.0], &[1.0, 0.0, 1.0], first(10)).unwrap();
        assert_eq!(
            (value.recall, value.precision, value.hit_rate),
            (1.0, 0.2, 1.0)
        );
    }

    /// Every order of the tied rows, counted out.
    #[test]
    fn ties_count_as_the_mean_over_their_orders() {
        let (scores, labels) = (
            [2.0, 1.0, 1.0, 1.0, 1.0, 0.0],
            [0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        );
        for cutoff in [
            first(1),
            first(2),
            first(3),
            first(5),
            first(9),
            Cutoff::NONE,
        ] {
            let mut sum = RankingMeans::default();
            let orders = permutations(vec![1usize, 2, 3, 4]);
            for order in &orders {
                let mut apart = scores;
                for (rank, row) in order.iter().enumerate() {
                    apart[*row] = 1.0 - 0.1 * rank as f32;
                }
                let value = of_one_group(&apart, &labels, cutoff).unwrap();
                sum.ndcg += value.ndcg / orders.len() as f64;
                sum.reciprocal_rank += value.reciprocal_rank / orders.len() as f64;
                sum.recall += value.recall / orders.len() as f64;
                sum.precision += value.precision / orders.len() as f64;
                sum.hit_rate += value.hit_rate / orders.len() as f64;
            }
            let tied = of_one_group(&scores, &labels, cutoff).unwrap();
            for (found, expected) in [
                (tied.ndcg, sum.ndcg),
                (tied.reciprocal_rank, sum.reciprocal_rank),
                (tied.recall, sum.recall),
                (tied.precision, sum.precision),
                (tied.hit_rate, sum.hit_rate),
            ] {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{cutoff:?}: {tied:?} {sum:?}"
                );
            }
        }
    }

    fn permutations(rows: Vec<usize>) -> Vec<Vec<usize>> {
        if rows.len() < 2 {
            return vec![rows];
        }
        let with_first = |place: usize| {
            let mut rest = rows.clone();
            let row = rest.remove(place);
            permutations(rest).into_iter().map(move |mut order| {
                order.push(row);
                order
            })
        };
        (0..rows.len()).flat_map(with_first).collect()
    }

    #[test]
    fn groups_with_nothing_to_find_are_left_out_and_counted_and_rows_of_nobody_are_nowhere() {
        let scores = [3.0, 2.0, 1.0, 5.0, 4.0, f32::NAN, 1.0, 9.0];
        let labels = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, f32::NAN];
        let groups = [7, 7, crate::NO_GROUP, 2, 2, 3, 3, 4];
        let (counted, means) = ranking_means(&scores, &labels, &groups, &[first(1), first(2)]);
        assert_eq!((counted.num_groups, counted.num_left_out), (1, 2));
        assert_eq!(means[0].unwrap().hit_rate, 0.0);
        assert_eq!(means[1].unwrap().reciprocal_rank, 0.5);
        let (counted, means) =
            ranking_means(&scores[3..5], &labels[3..5], &groups[3..5], &[first(1)]);
        assert_eq!((counted.num_left_out, means), (1, vec![None]));
        assert_eq!(ranking_means(&[], &[], &[], &[first(1)]).1, [None]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (scores, labels) = noisy_rows(200_000, 60);
        let groups: Vec<u32> = (0..scores.len() as u32).map(|row| row * 7 % 1999).collect();
        let cutoffs = [first(3), first(10), Cutoff::NONE];
        let alone = in_threads(1, || ranking_means(&scores, &labels, &groups, &cutoffs));
        for threads in [2, 5] {
            let together = in_threads(threads, || {
                ranking_means(&scores, &labels, &groups, &cutoffs)
            });
            assert_eq!(together, alone);
        }
    }
}
