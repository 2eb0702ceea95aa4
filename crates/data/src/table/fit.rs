//! What preparation learns from training rows: vocabularies, moments and quantiles.

use super::column_slots::{ColumnSlots, ListColumn};
use super::interner::Interner;
use super::row_spill::CodedRows;
use crate::schema::Pooling;
use crate::schema::{Feature, FeatureKind, Label, LabelValue, TablePlan, Vocabulary};
use homebench_random::Philox;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Quantiles come from all training rows up to this many, and from a seeded sample of about as many beyond.
const QUANTILE_ROWS: u64 = 1 << 20;

/// How a feature's value is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Encoder {
    /// Per code of a text column, the id.
    Categorical {
        slot: usize,
        ids: Vec<u32>,
        vocabulary_size: usize,
    },
    /// A hashed column, bucket `1 + hash * buckets / 2^32`.
    Hash { slot: usize, buckets: u32 },
    /// A list column: per code the id, or the bucket of a hash.
    List {
        slot: usize,
        ids: ListIds,
        vocabulary_size: usize,
        pooling: Pooling,
    },
    /// A number column, bucket `1 + (edges <= x)`.
    Bucket { slot: usize, edges: Vec<f64> },
    /// `(transform(x) - mean) * scale`.
    Numeric {
        slot: usize,
        log1p: bool,
        mean: f64,
        scale: f64,
    },
}

/// Ids of the values of lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ListIds {
    /// Per code.
    Learned(Vec<u32>),
    /// Of so many buckets.
    Hashed(u32),
}

/// An id of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Vec<u8>,
    pub(super) count: u64,
}

/// Encoders of all features, and the vocabulary of each (empty where it has none).
pub(super) fn fit(
    plan: &TablePlan,
    columns: &ColumnSlots,
    texts: &[Interner],
    list_texts: &[Interner],
    train: &[CodedRows],
) -> (Vec<Encoder>, Vec<Vec<Word>>) {
    let fitted = plan.features.par_iter().map(|feature| match feature.kind {
        FeatureKind::Categorical { min_count } => {
            let slot = columns.text_slot(feature.column);
            let (ids, words) = vocabulary(&texts[slot], min_count);
            let vocabulary_size = words.len() + 1;
            let encoder = Encoder::Categorical {
                slot,
                ids,
                vocabulary_size,
            };
            (encoder, words)
        }
        FeatureKind::Hash { buckets } => {
            let slot = columns.hash_slot(feature.column);
            (Encoder::Hash { slot, buckets }, Vec::new())
        }
        FeatureKind::List {
            separator,
            pooling,
            vocabulary: of,
        } => {
            let slot = columns.list_slot(ListColumn {
                column: feature.column,
                separator,
                is_hashed: matches!(of, Vocabulary::Hashed { .. }),
            });
            let (ids, words, vocabulary_size) = match of {
                Vocabulary::Learned { min_count } => {
                    let (ids, words) = vocabulary(&list_texts[slot], min_count);
                    let vocabulary_size = words.len() + 1;
                    (ListIds::Learned(ids), words, vocabulary_size)
                }
                Vocabulary::Hashed { buckets } => {
                    (ListIds::Hashed(buckets), Vec::new(), buckets as usize + 1)
                }
            };
            let encoder = Encoder::List {
                slot,
                ids,
                vocabulary_size,
                pooling,
            };
            (encoder, words)
        }
        FeatureKind::Bucket { buckets } => {
            let slot = columns.number_slot(feature.column);
            let values = sample(train, slot, columns.numbers.len(), feature);
            (
                Encoder::Bucket {
                    slot,
                    edges: edges(values, buckets),
                },
                Vec::new(),
            )
        }
        FeatureKind::Numeric { log1p, standardise } => {
            let slot = columns.number_slot(feature.column);
            let (mean, scale) = if standardise {
                let transform = move |value: f64| match log1p {
                    true => log1p_signed(value),
                    false => value,
                };
                let width = columns.numbers.len();
                moments(train, |rows| values(rows, slot, width).map(transform))
            } else {
                (0.0, 1.0)
            };
            (
                Encoder::Numeric {
                    slot,
                    log1p,
                    mean,
                    scale,
                },
                Vec::new(),
            )
        }
    });
    let (mut encoders, mut words): (Vec<Encoder>, Vec<Vec<Word>>) = fitted.unzip();
    share_vocabularies(plan, texts, list_texts, &mut encoders, &mut words);
    (encoders, words)
}

/// Gives features that read one table the ids of one vocabulary: that of all their values in training rows.
fn share_vocabularies(
    plan: &TablePlan,
    texts: &[Interner],
    list_texts: &[Interner],
    encoders: &mut [Encoder],
    words: &mut [Vec<Word>],
) {
    let mut tables: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, feature) in plan.features.iter().enumerate() {
        tables.entry(feature.table()).or_default().push(place);
    }
    for readers in tables.values().filter(|readers| readers.len() > 1) {
        // The same for all of a table, as the description was checked for.
        let min_count = match plan.features[readers[0]].kind {
            FeatureKind::Categorical { min_count } => min_count,
            FeatureKind::List {
                vocabulary: Vocabulary::Learned { min_count },
                ..
            } => min_count,
            // A hash gives all of them the same ids as it is.
            _ => continue,
        };
        let source = |place: &usize| match &encoders[*place] {
            Encoder::List { slot, .. } => (true, *slot),
            Encoder::Categorical { slot, .. } => (false, *slot),
            other => unreachable!("no learned ids: {other:?}"),
        };
        let sources: Vec<(bool, usize)> = readers.iter().map(source).collect();
        let interner = |(is_list, slot): (bool, usize)| match is_list {
            true => &list_texts[slot],
            false => &texts[slot],
        };
        // Two features of one column count its values once.
        let distinct: BTreeSet<(bool, usize)> = sources.iter().copied().collect();
        let (ids, shared) = shared_vocabulary(distinct.into_iter().map(interner), min_count);
        for (place, source) in readers.iter().zip(sources) {
            let texts = interner(source);
            let of_codes = (0..texts.len() as u32).map(|code| {
                let id = ids.get(texts.text(code));
                id.copied().unwrap_or(0)
            });
            match &mut encoders[*place] {
                Encoder::Categorical {
                    ids,
                    vocabulary_size,
                    ..
                }
                | Encoder::List {
                    ids: ListIds::Learned(ids),
                    vocabulary_size,
                    ..
                } => {
                    *ids = of_codes.collect();
                    *vocabulary_size = shared.len() + 1;
                }
                other => unreachable!("no learned ids: {other:?}"),
            }
            words[*place] = shared.clone();
        }
    }
}

/// The ids of all texts together, and their words in that order: as [`vocabulary`], with the counts of all added up.
fn shared_vocabulary<'a>(
    texts: impl Iterator<Item = &'a Interner>,
    min_count: u64,
) -> (HashMap<&'a [u8], u32>, Vec<Word>) {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for texts in texts {
        for code in 0..texts.len() as u32 {
            *counts.entry(texts.text(code)).or_default() += texts.count(code);
        }
    }
    counts.retain(|_, count| *count >= min_count.max(1));
    // Sorted by what is distinct, so that the order of the map decides nothing.
    let mut order: Vec<(&[u8], u64)> = counts.into_iter().collect();
    order.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    let words = order.iter().map(|(text, count)| Word {
        text: text.to_vec(),
        count: *count,
    });
    let words = words.collect();
    let ids = order.iter().zip(1..).map(|((text, _), id)| (*text, id));
    (ids.collect(), words)
}

/// Per code the id, and the words of the ids from 1: by falling count, then by text.
fn vocabulary(texts: &Interner, min_count: u64) -> (Vec<u32>, Vec<Word>) {
    let mut order: Vec<u32> = (0..texts.len() as u32)
        .filter(|id| texts.count(*id) >= min_count.max(1))
        .collect();
    // Equal counts by their text: the order of appearance would make ids depend on the order of
    // rows.
    order.sort_by(|a, b| {
        texts
            .count(*b)
            .cmp(&texts.count(*a))
            .then_with(|| texts.text(*a).cmp(texts.text(*b)))
    });
    let mut ids = vec![0; texts.len()];
    let mut words = Vec::with_capacity(order.len());
    for (code, id) in order.into_iter().zip(1..) {
        ids[code as usize] = id;
        words.push(Word {
            text: texts.text(code).to_vec(),
            count: texts.count(code),
        });
    }
    (ids, words)
}

pub(super) fn log1p_signed(value: f64) -> f64 {
    // Odd, so that negative amounts are scaled as positive ones are.
    libm::log1p(value.abs()).copysign(value)
}

/// The numbers of a column that are there.
fn values(rows: &CodedRows, slot: usize, width: usize) -> impl Iterator<Item = f64> {
    let column = rows.numbers.iter().skip(slot).step_by(width);
    column.copied().filter(|value| !value.is_nan())
}

/// Mean, and 1 / standard deviation (0 for a constant), of what `values` gives of the rows; block after block, in order.
fn moments<'a, I: Iterator<Item = f64>>(
    train: &'a [CodedRows],
    values: impl Fn(&'a CodedRows) -> I,
) -> (f64, f64) {
    let Some((least, largest)) = limits(train.iter().flat_map(&values)) else {
        return (0.0, 0.0);
    };
    if is_constant(least, largest) {
        return (least, 0.0);
    }
    let (mean, deviation) = mean_and_deviation(train, &values);
    // Far from 0 sums lose the digits that the deviation is made of, and squares of very small numbers leave 64 bits. Those of very
    // large ones too: their deviation is no number, and the row is refused when it is encoded.
    let is_exact = deviation > mean.abs() * 1e-5 && deviation > 1e-140;
    if is_exact || !deviation.is_finite() {
        return (mean, 1.0 / deviation);
    }
    let range = largest - least;
    let (above, deviation) = mean_and_deviation(train, |rows| {
        values(rows).map(|value| (value - least) / range)
    });
    // A range of subnormal numbers has no inverse.
    let scale = (1.0 / deviation / range).min(f64::MAX);
    (least + above * range, scale)
}

/// The least and the largest number, where there is one.
pub(super) fn limits(mut numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let first = numbers.next()?;
    Some(numbers.fold((first, first), |(least, largest), number| {
        (least.min(number), largest.max(number))
    }))
}

/// Whether numbers within these limits are one number but for the rounding of what computed them.
///
/// By its values: a deviation near 0 may also be that of numbers far from 0 that differ little. By more than equality: `x / y * y`
/// is off by a unit or two in the last place, and standardised, that noise would count as much as any other feature.
pub(super) fn is_constant(least: f64, largest: f64) -> bool {
    let magnitude = least.abs().max(largest.abs());
    largest - least <= 4.0 * (magnitude.next_up() - magnitude)
}

fn mean_and_deviation<'a, I: Iterator<Item = f64>>(
    train: &'a [CodedRows],
    values: impl Fn(&'a CodedRows) -> I,
) -> (f64, f64) {
    // On one thread, in the order of the file: additions in another order end in another last
    // digit, and every standardised value with them. Blocks don't depend on threads, so neither
    // does this.
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for rows in train {
        // Two passes within a block, Chan's merge between blocks.
        let here = values(rows).count() as f64;
        if here == 0.0 {
            continue;
        }
        let here_mean = values(rows).sum::<f64>() / here;
        let here_squares: f64 = values(rows).map(|value| (value - here_mean).powi(2)).sum();
        let total = count + here;
        let difference = here_mean - mean;
        squares += here_squares + difference * difference * count * here / total;
        mean += difference * here / total;
        count = total;
    }
    (mean, (squares / count.max(1.0)).sqrt())
}

/// What turns a label into what models learn: minus `mean`, times `scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LabelScale {
    pub(super) mean: f64,
    pub(super) scale: f64,
}

/// The scale of each label that is standardised, from the training rows that observe it.
pub(super) fn label_scales(plan: &TablePlan, train: &[CodedRows]) -> Vec<Option<LabelScale>> {
    let width = plan.labels.len();
    let scale = |(task, label): (usize, &Label)| {
        let is_standardised = matches!(
            label.value,
            LabelValue::Number {
                standardise: true,
                ..
            }
        );
        is_standardised.then(|| {
            let (mean, scale) = moments(train, |rows| {
                let labels = rows.labels.iter().skip(task).step_by(width);
                labels.copied().filter(|label| !label.is_nan())
            });
            // Labels that don't vary in training may do so elsewhere.
            let scale = if scale == 0.0 { 1.0 } else { scale };
            LabelScale { mean, scale }
        })
    };
    plan.labels.iter().enumerate().map(scale).collect()
}

fn sample(train: &[CodedRows], slot: usize, width: usize, feature: &Feature) -> Vec<f64> {
    let num_rows: u64 = train.iter().map(|rows| rows.num_rows as u64).sum();
    let all = train.iter().flat_map(|rows| values(rows, slot, width));
    if num_rows <= QUANTILE_ROWS {
        return all.collect();
    }
    let share = (QUANTILE_ROWS as f64 / num_rows as f64) as f32;
    // Not the cell's seed: all cells on a dataset share its prepared rows.
    let stream = Philox::new(0, "quantiles", &feature.name);
    (0..)
        .zip(all)
        .filter(|(row, _)| stream.uniform(*row) < share)
        .map(|(_, value)| value)
        .collect()
}

/// Edges of buckets: a value that fills a bucket by itself has one of its own, and the other rows are divided evenly
/// between the buckets left. The bucket of x is the number of edges that are at most x.
fn edges(mut values: Vec<f64>, buckets: usize) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let runs: Vec<(f64, usize)> = values
        .chunk_by(|a, b| a == b)
        .map(|run| (run[0], run.len()))
        .collect();
    let is_heavy = |count: usize| count * buckets >= values.len();
    let (heavy, heavy_rows) = runs
        .iter()
        .filter(|(_, count)| is_heavy(*count))
        .fold((0, 0), |(number, rows), (_, count)| {
            (number + 1, rows + count)
        });
    let light_rows = values.len() - heavy_rows;
    let per_bucket = (light_rows as f64 / buckets.saturating_sub(heavy).max(1) as f64).max(1.0);
    let mut edges = Vec::new();
    let (mut opened, mut light_seen, mut was_heavy) = (1.0, 0usize, false);
    for (index, (value, count)) in runs.iter().enumerate() {
        let is_heavy = is_heavy(*count);
        // A light bucket is full when it has had its share of all light rows.
        let is_full = light_seen as f64 >= opened * per_bucket;
        if index > 0 && (is_heavy || was_heavy || is_full) {
            edges.push(*value);
        }
        if is_full {
            opened = (light_seen as f64 / per_bucket).floor() + 1.0;
        }
        light_seen += if is_heavy { 0 } else { *count };
        was_heavy = is_heavy;
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: Vec<f64>) -> CodedRows {
        CodedRows {
            num_rows: numbers.len(),
            codes: Vec::new().into(),
            numbers: numbers.into(),
            labels: Vec::new().into(),
            list_codes: Vec::new().into(),
            list_ends: Vec::new().into(),
        }
    }

    #[test]
    fn moments_over_blocks_are_those_of_all_rows() {
        let of = |train: &[CodedRows]| moments(train, |rows| values(rows, 0, 1));
        let (mean, scale) = of(&[rows(vec![1.0, 2.0]), rows(vec![3.0, 4.0, 10.0])]);
        assert!((mean - 4.0).abs() < 1e-12);
        assert!((scale - 1.0 / 10.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(of(&[rows(vec![0.1; 3]), rows(vec![0.1; 4])]), (0.1, 0.0));
    }

    type OfDigit = fn(f64) -> f64;

    #[test]
    fn moments_keep_their_digits_far_from_0_and_near_it() {
        let of = |numbers: Vec<f64>| moments(&[rows(numbers)], |rows| values(rows, 0, 1));
        let digits = |numbers: OfDigit| -> Vec<f64> {
            (0..1_000).map(|row| numbers(f64::from(row % 10))).collect()
        };
        // 1 / deviation of 0 to 9, each as often, by exact arithmetic.
        let expected = 1.0 / 8.25_f64.sqrt();
        let far: [(OfDigit, f64); 5] = [
            (|digit| 1e13 + digit, 1.0),
            (|digit| -1e15 - digit, 1.0),
            (|digit| 1e-162 * digit, 1e-162),
            (|digit| 1e-300 * digit, 1e-300),
            // Halves are exact there.
            (|digit| 1_649_419_200.0 + digit / 512.0, 1.0 / 512.0),
        ];
        for (numbers, unit) in far {
            let (mean, scale) = of(digits(numbers));
            assert!((scale * unit / expected - 1.0).abs() < 1e-12, "{unit}");
            let middle = numbers(4.5);
            assert!(
                (mean - middle).abs() <= 4.0 * middle.abs() * f64::EPSILON,
                "{mean} {middle}"
            );
        }
        // What differs by rounding alone is one number, and so is what 64 bits round together.
        let computed: Vec<f64> = (1..1_000)
            .map(|row| 0.7 / f64::from(row) * f64::from(row))
            .collect();
        assert!(computed.iter().any(|number| *number != computed[0]));
        assert_eq!(of(computed), (0.7_f64.next_down(), 0.0));
        assert_eq!(of(digits(|digit| 1e20 + digit)).1, 0.0);
    }

    #[test]
    fn a_heavy_value_has_a_bucket_of_its_own_and_the_rest_are_even() {
        let mut values = vec![0.0; 900];
        values.extend((1..=100).map(f64::from));
        let edges = edges(values, 11);
        assert_eq!(
            edges,
            [1.0, 11.0, 21.0, 31.0, 41.0, 51.0, 61.0, 71.0, 81.0, 91.0]
        );
    }

    #[test]
    fn few_distinct_values_get_a_bucket_each() {
        assert_eq!(edges(vec![3.0, 1.0, 2.0, 2.0], 8), [2.0, 3.0]);
        assert_eq!(edges(vec![5.0; 10], 4), Vec::<f64>::new());
    }

    #[test]
    fn frequent_words_come_first_and_rare_ones_are_out_of_vocabulary() {
        let mut texts = Interner::default();
        for (text, count) in [
            ("rare", 1),
            ("b", 5),
            ("often", 9),
            ("a", 5),
            ("unseen in train", 0),
        ] {
            texts.intern(text.as_bytes(), count);
        }
        let (ids, words) = vocabulary(&texts, 2);
        assert_eq!((ids, words.len()), (vec![0, 3, 1, 2, 0], 3));
        assert_eq!(
            words[0],
            Word {
                text: b"often".to_vec(),
                count: 9
            }
        );
        let (ids, _) = vocabulary(&texts, 0);
        assert_eq!(
            ids[4], 0,
            "a word without training rows has no id whatever the threshold"
        );
    }

    #[test]
    fn the_logarithm_keeps_the_sign() {
        assert_eq!(log1p_signed(0.0), 0.0);
        assert_eq!(log1p_signed(-3.0), -log1p_signed(3.0));
    }
}
