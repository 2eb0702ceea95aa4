//! Which row goes to which split: exact shares by a seeded hash of the row's index.

use crate::data::RowSubset;
use crate::data::description::SplitPlan;
use homebench_kernels::random::Philox;

/// Splits in the order of files and records.
pub(in crate::data) const TRAIN: usize = 0;
pub(in crate::data) const VALIDATION: usize = 1;
pub(in crate::data) const TEST: usize = 2;

/// The two source files of a split plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Side {
    Train,
    Holdout,
}

/// Rows whose hash is among the `count` smallest of some rows.
#[derive(Debug, Clone)]
struct HashShare {
    stream: Philox,
    /// Largest (hash, row) that belongs; absent where none does.
    limit: Option<(u64, u64)>,
}

impl HashShare {
    /// The share of exactly `count` of the `eligible` rows among `0..num_rows`. Hashes are made twice, in exchange for
    /// memory that doesn't grow with the rows.
    fn exact(stream: Philox, num_rows: u64, eligible: impl Fn(u64) -> bool, count: u64) -> Self {
        let bin = |hash: u64| (hash >> 48) as usize;
        let mut histogram = vec![0u64; 1 << 16];
        for row in (0..num_rows).filter(|row| eligible(*row)) {
            histogram[bin(hash(&stream, row))] += 1;
        }
        let mut left = count;
        let edge = histogram.iter().position(|in_bin| {
            let ends_here = left <= *in_bin;
            left -= if ends_here { 0 } else { *in_bin };
            ends_here
        });
        let limit = match edge {
            None => Some((u64::MAX, u64::MAX)),
            Some(_) if count == 0 => None,
            Some(edge) => {
                let mut inside: Vec<(u64, u64)> = (0..num_rows)
                    .filter(|row| eligible(*row))
                    .map(|row| (hash(&stream, row), row))
                    .filter(|(hash, _)| bin(*hash) == edge)
                    .collect();
                inside.sort_unstable();
                Some(inside[left as usize - 1])
            }
        };
        Self { stream, limit }
    }

    fn contains(&self, row: u64) -> bool {
        self.limit
            .is_some_and(|limit| (hash(&self.stream, row), row) <= limit)
    }
}

fn hash(stream: &Philox, row: u64) -> u64 {
    let [low, high, ..] = stream.u32x4(row);
    u64::from(high) << 32 | u64::from(low)
}

/// The split of every row of both files.
#[derive(Debug, Clone)]
pub(in crate::data) struct Assignment {
    validation: HashShare,
    /// Rows in use, by split; absent where all are.
    subset: Option<[HashShare; 3]>,
}

impl Assignment {
    /// Assigns `num_rows` (of the training and of the held-out file).
    pub(in crate::data) fn new(plan: &SplitPlan, num_rows: [u64; 2], rows: RowSubset) -> Self {
        let [train, holdout] = num_rows;
        let num_validation = (holdout as f64 * plan.validation_fraction).round() as u64;
        let stream = Philox::new(plan.seed, "split", "holdout");
        let validation = HashShare::exact(stream, holdout, |_| true, num_validation);
        let whole = [train, num_validation, holdout - num_validation];
        let fraction = match rows {
            RowSubset::All => 1.0,
            RowSubset::Fraction(fraction) => fraction,
            RowSubset::TrainRows(count) => count as f64 / train.max(1) as f64,
        };
        if fraction >= 1.0 {
            return Self {
                validation,
                subset: None,
            };
        }
        // A split never becomes empty by being small.
        let counts =
            whole.map(|rows| ((rows as f64 * fraction).round() as u64).clamp(1.min(rows), rows));
        let share = |name: &str, rows: u64, eligible: &dyn Fn(u64) -> bool, count: u64| {
            HashShare::exact(
                Philox::new(plan.seed, "subset", name),
                rows,
                eligible,
                count,
            )
        };
        let is_validation = |row| validation.contains(row);
        let subset = [
            share("train", train, &|_| true, counts[TRAIN]),
            share("validation", holdout, &is_validation, counts[VALIDATION]),
            share(
                "test",
                holdout,
                &|row| !validation.contains(row),
                counts[TEST],
            ),
        ];
        Self {
            subset: Some(subset),
            validation,
        }
    }

    /// The split of a row, absent where it isn't in use.
    pub(in crate::data) fn split_of(&self, side: Side, row: u64) -> Option<usize> {
        let split = match side {
            Side::Train => TRAIN,
            Side::Holdout if self.validation.contains(row) => VALIDATION,
            Side::Holdout => TEST,
        };
        let in_use = |subset: &[HashShare; 3]| subset[split].contains(row);
        self.subset.as_ref().is_none_or(in_use).then_some(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> SplitPlan {
        SplitPlan {
            train: 0,
            holdout: 1,
            validation_fraction: 0.5,
            seed: 7,
        }
    }

    fn counted(assignment: &Assignment, num_rows: [u64; 2]) -> [u64; 3] {
        let mut counts = [0; 3];
        for (side, rows) in [Side::Train, Side::Holdout].into_iter().zip(num_rows) {
            for row in 0..rows {
                if let Some(split) = assignment.split_of(side, row) {
                    counts[split] += 1;
                }
            }
        }
        counts
    }

    #[test]
    fn the_held_out_file_is_halved_exactly_and_not_in_order() {
        let assignment = Assignment::new(&plan(), [10, 99_763], RowSubset::All);
        assert_eq!(counted(&assignment, [10, 99_763]), [10, 49_882, 49_881]);
        let first: u64 = (0..1000)
            .filter(|row| assignment.split_of(Side::Holdout, *row) == Some(VALIDATION))
            .count() as u64;
        assert!((400..600).contains(&first), "{first}");
    }

    #[test]
    fn a_subset_has_exactly_the_rows_asked_for_and_stays_in_its_splits() {
        let rows = [20_000, 10_000];
        let all = Assignment::new(&plan(), rows, RowSubset::All);
        let some = Assignment::new(&plan(), rows, RowSubset::TrainRows(2_500));
        assert_eq!(counted(&some, rows), [2_500, 625, 625]);
        for row in 0..rows[1] {
            let split = some.split_of(Side::Holdout, row);
            assert!(split.is_none() || split == all.split_of(Side::Holdout, row));
        }
    }

    #[test]
    fn a_larger_subset_holds_the_smaller_one() {
        let rows = [5_000, 10];
        let small = Assignment::new(&plan(), rows, RowSubset::Fraction(0.1));
        let large = Assignment::new(&plan(), rows, RowSubset::Fraction(0.3));
        for row in 0..rows[0] {
            assert!(
                small.split_of(Side::Train, row).is_none()
                    || large.split_of(Side::Train, row).is_some()
            );
        }
    }

    #[test]
    fn a_tiny_subset_leaves_no_split_empty() {
        let assignment = Assignment::new(&plan(), [100, 100], RowSubset::TrainRows(1));
        assert_eq!(counted(&assignment, [100, 100]), [1, 1, 1]);
    }
}
