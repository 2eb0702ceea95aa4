//! Which row goes to which split: exact shares by a seeded hash of the row's index.

use super::bad_row;
use super::parse_rows::LEFT_OUT;
use crate::RowSubset;
use crate::expression::values::decimals;
use crate::expression::{Reading, RowFault, Values, not_before};
use crate::schema::{SplitLimit, SplitPlan};
use crate::timeline;
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

/// The columns that divide some rows.
pub(crate) trait Dividing {
    /// The values of a column.
    ///
    /// # Errors
    /// The first that can't be read so.
    fn dividing_values(&self, column: usize, reading: Reading) -> Result<Values, RowFault>;
    /// The text of a column on every row, empty where there is none.
    ///
    /// # Errors
    /// As of values.
    fn dividing_texts(&self, column: usize) -> Result<Vec<Vec<u8>>, RowFault>;
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
        validation_from: SplitLimit,
        test_from: SplitLimit,
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
    /// Exactly so many of each split, where the splits of all rows are known.
    Known {
        shares: Box<[HashShare; 3]>,
        splits: Vec<u8>,
    },
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
                return Self::of_mixed_rows(rule, 0, rows);
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
                return Self::of_mixed_rows(rule, *seed, rows);
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

    /// How many rows each split has is not known before they are read: a number of training rows is cut later, see
    /// [`Assignment::with_training_rows`].
    fn of_mixed_rows(rule: Rule, seed: u64, rows: RowSubset) -> Self {
        let subset = match rows {
            RowSubset::Fraction(fraction) if fraction < 1.0 => {
                Subset::Share(Philox::new(seed, "subset", "share"), fraction)
            }
            _ => Subset::All,
        };
        Self { rule, subset }
    }

    /// Whether `rows` asks for a number of training rows that is known only when all rows have been read.
    pub(crate) fn needs_splits(&self, rows: RowSubset) -> bool {
        matches!(rows, RowSubset::TrainRows(_)) && !matches!(self.rule, Rule::Files { .. })
    }

    /// Uses this many of the training rows, and the same share of the other splits; `splits` are those of all rows.
    pub(crate) fn with_training_rows(mut self, count: u64, seed: u64, splits: Vec<u8>) -> Self {
        let mut whole = [0u64; 3];
        for split in splits.iter().filter(|split| **split != LEFT_OUT) {
            whole[usize::from(*split)] += 1;
        }
        if count >= whole[TRAIN] {
            return self;
        }
        let fraction = count as f64 / whole[TRAIN] as f64;
        let exact = |split: usize| {
            let rows = whole[split];
            // A split never becomes empty by being small.
            let count = ((rows as f64 * fraction).round() as u64).clamp(1.min(rows), rows);
            let stream = Philox::new(seed, "subset", crate::SPLITS[split]);
            let is_of = |row: u64| usize::from(splits[row as usize]) == split;
            HashShare::exact(stream, splits.len() as u64, is_of, count)
        };
        self.subset = Subset::Known {
            shares: Box::new([TRAIN, VALIDATION, TEST].map(exact)),
            splits,
        };
        self
    }

    /// Whether a row is used, which its number alone decides.
    pub(crate) fn is_in_use(&self, side: Side, row: u64) -> bool {
        match &self.subset {
            Subset::All => true,
            Subset::Share(stream, fraction) => {
                (hash(stream, row) as f64) < fraction * 2f64.powi(64)
            }
            Subset::Exact(shares) => match &self.rule {
                Rule::Files { validation } => shares[of_files(side, validation, row)].contains(row),
                Rule::Time { .. } | Rule::Hash { .. } => true,
            },
            Subset::Known { shares, splits } => match splits[row as usize] {
                LEFT_OUT => false,
                split => shares[usize::from(split)].contains(row),
            },
        }
    }

    /// The splits of some rows, given by their numbers. A row that the filter doesn't keep is in none, and what stands
    /// in the rule's column there is not looked at.
    ///
    /// # Errors
    /// The first value of the rule's column that is not there or has no place among the limits.
    pub(crate) fn splits(
        &self,
        side: Side,
        rows: &[u64],
        columns: &dyn Dividing,
        kept: Option<&[bool]>,
    ) -> Result<Vec<u8>, RowFault> {
        let mut splits: Vec<u8> = match &self.rule {
            Rule::Files { validation } => {
                let split = |row: &u64| of_files(side, validation, *row) as u8;
                rows.iter().map(split).collect()
            }
            Rule::Time {
                column,
                validation_from,
                test_from,
            } => {
                let values = columns.dividing_values(*column, validation_from.reading())?;
                by_time(&values, *column, validation_from, test_from, kept)?
            }
            Rule::Hash {
                stream,
                column,
                validation_fraction,
                test_fraction,
            } => {
                let keys = match column {
                    None => None,
                    Some(column) => Some(columns.dividing_texts(*column)?),
                };
                let split = |(index, row): (usize, &u64)| {
                    let hash = match keys.as_ref().map(|keys| &keys[index][..]) {
                        // Rows of nobody have nothing in common: each goes its own way.
                        None | Some(b"") => hash(stream, *row),
                        Some(key) => hash(stream, hash_of_text(key)),
                    };
                    // Test has the lowest hashes and validation those above them: another share of
                    // validation leaves the rows of test as they are.
                    let split = match hash as f64 / 2f64.powi(64) {
                        place if place < *test_fraction => TEST,
                        place if place < test_fraction + validation_fraction => VALIDATION,
                        _ => TRAIN,
                    };
                    split as u8
                };
                rows.iter().enumerate().map(split).collect()
            }
        };
        if let Some(kept) = kept {
            for (split, _) in splits.iter_mut().zip(kept).filter(|(_, kept)| !**kept) {
                *split = LEFT_OUT;
            }
        }
        Ok(splits)
    }
}

/// The split of a row where files decide.
fn of_files(side: Side, validation: &HashShare, row: u64) -> usize {
    match side {
        Side::Train => TRAIN,
        _ if validation.contains(row) => VALIDATION,
        _ => TEST,
    }
}

fn by_time(
    values: &Values,
    column: usize,
    validation_from: &SplitLimit,
    test_from: &SplitLimit,
    kept: Option<&[bool]>,
) -> Result<Vec<u8>, RowFault> {
    let unit = |limit: &SplitLimit| match limit {
        SplitLimit::Integer(number) => timeline::likely_unit(*number as f64),
        SplitLimit::Float(number) => timeline::likely_unit(*number),
        SplitLimit::Time { unit, .. } => *unit,
    };
    let unit = unit(validation_from);
    // A time that was counted, as it was counted.
    let count = |row: usize| match (values, unit) {
        (Values::Time(times), Some(unit)) => {
            times.value(row) as f64 / timeline::nanoseconds_of(unit) as f64
        }
        _ => values.number(row),
    };
    let [is_test, is_validation] =
        [test_from, validation_from].map(|limit| from_limit(values, limit));
    (0..values.num_rows())
        .map(|row| {
            if kept.is_some_and(|kept| !kept[row]) {
                return Ok(LEFT_OUT);
            }
            let refuse = |expected: String, found: String| RowFault {
                row,
                column: Some(column),
                expected,
                found,
            };
            if values.is_null(row) {
                return Err(refuse(bad_row::A_TIME.to_owned(), String::new()));
            }
            // Milliseconds beside seconds have an order too, and it is the wrong one.
            if let Some(expected) = unit
                && let Some(found) = timeline::likely_unit(count(row))
                && expected != found
            {
                let (expected, found) = (timeline::unit_name(expected), timeline::unit_name(found));
                return Err(refuse(
                    format!("{expected} since 1970, as [split] or the column's type has them"),
                    format!("{}, which looks like {found}", count(row)),
                ));
            }
            Ok(match () {
                () if is_test[row] => TEST,
                () if is_validation[row] => VALIDATION,
                () => TRAIN,
            } as u8)
        })
        .collect()
}

fn share(rows: RowSubset, all: u64) -> f64 {
    match rows {
        RowSubset::All => 1.0,
        RowSubset::Fraction(fraction) => fraction,
        RowSubset::TrainRows(count) => count as f64 / all.max(1) as f64,
    }
}

/// By row, whether a value is not before a limit, as a condition on the column compares it: 4.1 of 32 bits is the limit 4.1.
fn from_limit(values: &Values, limit: &SplitLimit) -> Vec<bool> {
    let limit = match limit {
        SplitLimit::Integer(number) => match i64::try_from(*number) {
            Ok(number) => Values::Integer(vec![number].into()),
            Err(_) => Values::Decimal(decimals([Some(*number)], 0)),
        },
        SplitLimit::Float(number) => Values::Float(vec![*number].into()),
        SplitLimit::Time { time, .. } => Values::from_times([Some(*time)]),
    };
    let is_from = not_before(values, limit);
    is_from
        .iter()
        .map(|is_from| is_from == Some(true))
        .collect()
}

/// A number of a text that does not depend on the machine or the run.
fn hash_of_text(text: &[u8]) -> u64 {
    let digest = blake3::hash(text);
    let first: [u8; 8] = digest.as_bytes()[..8].try_into().expect("32 bytes");
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests;
