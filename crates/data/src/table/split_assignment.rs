//! Which row goes to which split: exact shares by a seeded hash of the row's index.

use crate::RowSubset;
use crate::expression::Literal;
use crate::schema::SplitPlan;
use homebench_random::Philox;

/// Splits in the order of files and records.
pub(crate) const TRAIN: usize = 0;
pub(crate) const VALIDATION: usize = 1;
pub(crate) const TEST: usize = 2;

/// What a file of rows is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Train,
    Holdout,
    /// For all splits; each row says for which.
    Mixed,
}

/// The files of rows, in order, with what each is for.
pub(crate) fn sides(plan: &SplitPlan) -> Vec<(Side, usize)> {
    let num_train = match plan {
        SplitPlan::Files { train, .. } => train.len(),
        SplitPlan::Time { .. } | SplitPlan::Hash { .. } => 0,
    };
    let side = |index: usize| match plan {
        SplitPlan::Files { .. } if index < num_train => Side::Train,
        SplitPlan::Files { .. } => Side::Holdout,
        SplitPlan::Time { .. } | SplitPlan::Hash { .. } => Side::Mixed,
    };
    let files = plan.files().into_iter().enumerate();
    files.map(|(index, file)| (side(index), file)).collect()
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
        // 2^16 counters tell in which bin the limit lies; only hashes of that bin are kept and
        // sorted, one in 65,536 of all.
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
                // By hash, then by row: without the row, equal hashes would make the share inexact.
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

/// The split of every row.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    rule: Rule,
    /// Which rows are in use.
    subset: Subset,
}

#[derive(Debug, Clone)]
enum Rule {
    Files {
        validation: HashShare,
    },
    Time {
        column: usize,
        validation_from: Literal,
        test_from: Literal,
    },
    Hash {
        stream: Philox,
        column: Option<usize>,
        validation_fraction: f64,
        test_fraction: f64,
    },
}

#[derive(Debug, Clone)]
enum Subset {
    All,
    /// Exactly so many of each split.
    Exact(Box<[HashShare; 3]>),
    /// About this share of each split, where its size is not known beforehand.
    Share(Philox, f64),
}

impl Assignment {
    /// Assigns `num_rows`: those of the training files and the others.
    pub(crate) fn new(plan: &SplitPlan, num_rows: [u64; 2], rows: RowSubset) -> Self {
        let [train, holdout] = num_rows;
        let (validation_fraction, seed) = match plan {
            SplitPlan::Files {
                validation_fraction,
                seed,
                ..
            } => (*validation_fraction, *seed),
            SplitPlan::Time {
                column,
                validation_from,
                test_from,
                ..
            } => {
                let rule = Rule::Time {
                    column: *column,
                    validation_from: validation_from.clone(),
                    test_from: test_from.clone(),
                };
                return Self::of_mixed_rows(rule, 0, holdout, rows);
            }
            SplitPlan::Hash {
                column,
                validation_fraction,
                test_fraction,
                seed,
                ..
            } => {
                let rule = Rule::Hash {
                    stream: Philox::new(*seed, "split", "hash"),
                    column: *column,
                    validation_fraction: *validation_fraction,
                    test_fraction: *test_fraction,
                };
                return Self::of_mixed_rows(rule, *seed, holdout, rows);
            }
        };
        let num_validation = (holdout as f64 * validation_fraction).round() as u64;
        // Names of streams are part of every result: under another name the same seed is another
        // split.
        let stream = Philox::new(seed, "split", "holdout");
        let validation = HashShare::exact(stream, holdout, |_| true, num_validation);
        let whole = [train, num_validation, holdout - num_validation];
        let fraction = share(rows, train);
        if fraction >= 1.0 {
            return Self {
                rule: Rule::Files { validation },
                subset: Subset::All,
            };
        }
        // A split never becomes empty by being small.
        let counts =
            whole.map(|rows| ((rows as f64 * fraction).round() as u64).clamp(1.min(rows), rows));
        // A share of each split by itself, so that no row changes its split in a subset.
        let exact = |name: &str, rows: u64, eligible: &dyn Fn(u64) -> bool, count: u64| {
            HashShare::exact(Philox::new(seed, "subset", name), rows, eligible, count)
        };
        let is_validation = |row| validation.contains(row);
        let subset = [
            exact("train", train, &|_| true, counts[TRAIN]),
            exact("validation", holdout, &is_validation, counts[VALIDATION]),
            exact(
                "test",
                holdout,
                &|row| !validation.contains(row),
                counts[TEST],
            ),
        ];
        Self {
            subset: Subset::Exact(Box::new(subset)),
            rule: Rule::Files { validation },
        }
    }

    /// How many rows each split has is not known before they are read, so that a number of rows becomes a share of all.
    fn of_mixed_rows(rule: Rule, seed: u64, num_rows: u64, rows: RowSubset) -> Self {
        let fraction = share(rows, num_rows);
        let subset = match fraction >= 1.0 {
            true => Subset::All,
            false => Subset::Share(Philox::new(seed, "subset", "share"), fraction),
        };
        Self { rule, subset }
    }

    /// The split of a row, absent where it isn't in use; `field` gives the text of a column.
    ///
    /// # Errors
    /// The column of the rule that is no number or not there, and what was found.
    pub(crate) fn split_of<'a>(
        &self,
        side: Side,
        row: u64,
        field: impl Fn(usize) -> &'a [u8],
    ) -> Result<Option<usize>, (usize, &'a [u8])> {
        let split = match &self.rule {
            Rule::Files { .. } if side == Side::Train => TRAIN,
            Rule::Files { validation } if validation.contains(row) => VALIDATION,
            Rule::Files { .. } => TEST,
            Rule::Time {
                column,
                validation_from,
                test_from,
            } => {
                let value = field(*column);
                let refuse = || (*column, value);
                match () {
                    () if is_from(value, test_from).ok_or_else(refuse)? => TEST,
                    () if is_from(value, validation_from).ok_or_else(refuse)? => VALIDATION,
                    () => TRAIN,
                }
            }
            Rule::Hash {
                stream,
                column,
                validation_fraction,
                test_fraction,
            } => {
                let hash = match column {
                    None => hash(stream, row),
                    Some(column) => hash(stream, hash_of_text(field(*column))),
                };
                // Test has the lowest hashes and validation those above them: another share of
                // validation leaves the rows of test as they are.
                match hash as f64 / 2f64.powi(64) {
                    place if place < *test_fraction => TEST,
                    place if place < test_fraction + validation_fraction => VALIDATION,
                    _ => TRAIN,
                }
            }
        };
        let in_use = match &self.subset {
            Subset::All => true,
            Subset::Exact(shares) => shares[split].contains(row),
            Subset::Share(stream, fraction) => {
                (hash(stream, row) as f64) < fraction * 2f64.powi(64)
            }
        };
        Ok(in_use.then_some(split))
    }
}

fn share(rows: RowSubset, all: u64) -> f64 {
    match rows {
        RowSubset::All => 1.0,
        RowSubset::Fraction(fraction) => fraction,
        RowSubset::TrainRows(count) => count as f64 / all.max(1) as f64,
    }
}

/// Whether a field is not before a limit; nothing where it should be a number and is none.
fn is_from(field: &[u8], limit: &Literal) -> Option<bool> {
    match limit {
        // Nothing comes before every text, and would be training without anybody's knowing.
        Literal::Text(_) if field.is_empty() => None,
        Literal::Text(limit) => Some(field >= limit.as_bytes()),
        Literal::Number(limit) => {
            let value: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
            value.is_finite().then_some(value >= *limit)
        }
    }
}

/// A number of a text that does not depend on the machine or the run.
fn hash_of_text(text: &[u8]) -> u64 {
    let digest = blake3::hash(text);
    let first: [u8; 8] = digest.as_bytes()[..8].try_into().expect("32 bytes");
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> SplitPlan {
        SplitPlan::Files {
            train: vec![0],
            holdout: vec![1],
            validation_fraction: 0.5,
            seed: 7,
        }
    }

    fn split(assignment: &Assignment, side: Side, row: u64) -> Option<usize> {
        assignment.split_of(side, row, |_| b"").unwrap()
    }

    fn counted(assignment: &Assignment, num_rows: [u64; 2]) -> [u64; 3] {
        let mut counts = [0; 3];
        for (side, rows) in [Side::Train, Side::Holdout].into_iter().zip(num_rows) {
            for row in 0..rows {
                if let Some(split) = split(assignment, side, row) {
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
            .filter(|row| split(&assignment, Side::Holdout, *row) == Some(VALIDATION))
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
            let found = split(&some, Side::Holdout, row);
            assert!(found.is_none() || found == split(&all, Side::Holdout, row));
        }
    }

    #[test]
    fn a_larger_subset_holds_the_smaller_one() {
        let rows = [5_000, 10];
        let small = Assignment::new(&plan(), rows, RowSubset::Fraction(0.1));
        let large = Assignment::new(&plan(), rows, RowSubset::Fraction(0.3));
        for row in 0..rows[0] {
            assert!(
                split(&small, Side::Train, row).is_none()
                    || split(&large, Side::Train, row).is_some()
            );
        }
    }

    #[test]
    fn a_tiny_subset_leaves_no_split_empty() {
        let assignment = Assignment::new(&plan(), [100, 100], RowSubset::TrainRows(1));
        assert_eq!(counted(&assignment, [100, 100]), [1, 1, 1]);
    }

    #[test]
    fn a_split_by_time_follows_the_column_and_refuses_what_is_no_number() {
        let by = |validation_from, test_from| SplitPlan::Time {
            files: vec![0],
            column: 3,
            validation_from,
            test_from,
        };
        let plan = by(Literal::Number(20.0), Literal::Number(30.5));
        let assignment = Assignment::new(&plan, [0, 100], RowSubset::All);
        let of = |text: &'static str| assignment.split_of(Side::Mixed, 7, |_| text.as_bytes());
        assert_eq!(of("19"), Ok(Some(TRAIN)));
        assert_eq!(of("20"), Ok(Some(VALIDATION)));
        assert_eq!(of("3.05e1"), Ok(Some(TEST)));
        assert_eq!(of("noon"), Err((3, &b"noon"[..])));
        let text = |text: &str| Literal::Text(text.to_owned());
        let plan = by(text("2022-04-18"), text("2022-04-19"));
        let assignment = Assignment::new(&plan, [0, 100], RowSubset::All);
        let of = |text: &'static str| assignment.split_of(Side::Mixed, 7, |_| text.as_bytes());
        assert_eq!(of("2022-04-17"), Ok(Some(TRAIN)));
        assert_eq!(of("2022-04-18 23:59"), Ok(Some(VALIDATION)));
        assert_eq!(of("2022-05-01"), Ok(Some(TEST)));
        assert_eq!(of(""), Err((3, &b""[..])));
    }

    #[test]
    fn a_split_by_hash_keeps_a_users_rows_together_in_about_the_shares_asked_for() {
        let by = |column| SplitPlan::Hash {
            files: vec![0],
            column,
            validation_fraction: 0.2,
            test_fraction: 0.1,
            seed: 5,
        };
        for column in [None, Some(0)] {
            let assignment = Assignment::new(&by(column), [0, 10_000], RowSubset::All);
            let mut counts = [0; 3];
            for row in 0..10_000u64 {
                let user = row.to_string();
                let split = assignment.split_of(Side::Mixed, row, |_| user.as_bytes());
                counts[split.unwrap().unwrap()] += 1;
            }
            assert!((6_850..7_150).contains(&counts[TRAIN]), "{counts:?}");
            assert!((850..1_150).contains(&counts[TEST]), "{counts:?}");
        }
        let assignment = Assignment::new(&by(Some(0)), [0, 10], RowSubset::All);
        let of = |row| assignment.split_of(Side::Mixed, row, |_| b"ann");
        assert_eq!(of(1), of(9));
    }
}
