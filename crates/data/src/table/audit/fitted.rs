//! Features of which the training rows say little: constant, missing, rounded, or ruled by a few numbers.

use super::{Audit, FEW_VALUES, LOUD_SHARE};
use crate::schema::{FeatureKind, Vocabulary};
use crate::table::column_slots::{ColumnSlots, ListColumn};
use crate::table::distinct_texts::DistinctTexts;
use crate::table::encode::RowEncoder;
use crate::table::fit::{Encoder, Word, log1p_signed};
use crate::table::interner::Interner;
use crate::table::row_lists::RowLists;
use crate::table::row_spill::CodedRows;

/// Share of distinct numbers that 32 bits must keep; a few meet by chance, whatever the scale.
const KEPT_SHARE: f64 = 0.99;
/// Spreads of nine tenths of the training numbers beyond which one of them is far.
const FAR: f64 = 10_000.0;
/// Training rows of which the distinct numbers of a feature are counted in 64 and in 32 bits.
const COUNTED_NUMBERS: usize = 1 << 16;

impl Audit<'_> {
    /// What was learned from training rows.
    pub(in crate::table) fn fitted(
        &mut self,
        encoding: &RowEncoder,
        train: &[CodedRows],
        width: usize,
    ) {
        for (name, encoder) in encoding.of_numbers().chain(encoding.of_ids()) {
            let (slot, is_plain, scale) = match encoder {
                Encoder::Numeric {
                    slot,
                    mean,
                    scale,
                    log1p,
                } => (*slot, *mean == 0.0 && *scale == 1.0 && !log1p, Some(*scale)),
                Encoder::Bucket { slot, .. } => (*slot, false, None),
                _ => continue,
            };
            let values = || {
                let all = train
                    .iter()
                    .flat_map(|rows| rows.numbers.iter().skip(slot).step_by(width));
                all.copied().filter(|value| !value.is_nan())
            };
            let Some(first) = values().next() else {
                let message = format!("the feature `{name}` is missing on every training row");
                self.warn("missing_feature", true, message);
                continue;
            };
            let is_same = values().all(|value| value == first);
            if is_same || scale == Some(0.0) {
                let rounding = if is_same { "" } else { " but for rounding" };
                let missing =
                    train.iter().map(|rows| rows.num_rows).sum::<usize>() - values().count();
                let some = match missing {
                    0 => String::new(),
                    rows => format!(" that has it, and missing on {rows}"),
                };
                let becomes = if scale == Some(0.0) {
                    "; it is 0 everywhere"
                } else {
                    ""
                };
                self.warn(
                    "constant_feature",
                    false,
                    format!(
                        "the feature `{name}` is the same ({first}{rounding}) on every training row{some}{becomes}"
                    ),
                );
                continue;
            }
            let Encoder::Numeric {
                mean, scale, log1p, ..
            } = encoder
            else {
                continue;
            };
            let transform = |value: f64| if *log1p { log1p_signed(value) } else { value };
            let mut wide: Vec<u64> = values().take(COUNTED_NUMBERS).map(f64::to_bits).collect();
            let mut narrow: Vec<u32> = values()
                .take(COUNTED_NUMBERS)
                .map(|value| (((transform(value) - mean) * scale) as f32 + 0.0).to_bits())
                .collect();
            wide.sort_unstable();
            wide.dedup();
            narrow.sort_unstable();
            narrow.dedup();
            self.say_far(name, values().take(COUNTED_NUMBERS).collect());
            let mend = match is_plain {
                true => "give it transform = [\"standardise\"]",
                false => {
                    "a few numbers far from all others may rule its scale: correct them, or give it \"log1p\" too"
                }
            };
            if (narrow.len() as f64) < KEPT_SHARE * wide.len() as f64 {
                self.warn(
                    "rounded_feature",
                    narrow.len() * 2 < wide.len(),
                    format!(
                        "the feature `{name}` keeps {} of {} distinct numbers in 32 bits: {mend}",
                        narrow.len(),
                        wide.len()
                    ),
                );
            }
        }
    }

    /// Says that some training numbers lie far from nine tenths of all: they rule the mean and the scale.
    fn say_far(&mut self, name: &str, mut values: Vec<f64>) {
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        let (low, middle, high) = (at(0.05), at(0.5), at(0.95));
        let spread = high - low;
        let far = values
            .iter()
            .filter(|value| (*value - middle).abs() > FAR * spread)
            .count();
        // A number that is nearly always the same has no spread to be far from.
        if far > 0 && spread > 0.0 {
            let most = values
                .iter()
                .copied()
                .max_by(|a, b| (a - middle).abs().total_cmp(&(b - middle).abs()));
            self.warn(
                "far_numbers",
                true,
                format!(
                    "{far} training numbers of the feature `{name}`, such as {}, lie more than {FAR} times as far from the median as \
                     nine tenths of them spread",
                    most.unwrap_or(middle)
                ),
            );
        }
    }

    /// Says that no list has two values, though many hold what stands between values elsewhere.
    fn say_unsplit(
        &mut self,
        name: &str,
        mut lengths: impl Iterator<Item = u32>,
        values: &Interner,
    ) {
        if lengths.any(|length| length > 1) {
            return;
        }
        let rows = |of: &dyn Fn(&[u8]) -> bool| -> u64 {
            let ids = 0..values.len() as u32;
            let ids = ids.filter(|id| of(values.text(*id)));
            ids.map(|id| values.count(id)).sum()
        };
        let all = rows(&|_| true);
        // A comma is often followed by a space, which is then no separator itself.
        let held = [b'|', b',', b';', b' '].map(|byte| (byte, rows(&|text| text.contains(&byte))));
        let Some((separator, rows)) = held.into_iter().find(|(_, rows)| *rows > 0) else {
            return;
        };
        if all >= FEW_VALUES && rows as f64 >= LOUD_SHARE * all as f64 {
            let separator = char::from(separator);
            self.warn(
                "unsplit_list",
                true,
                format!(
                    "no training row has two values of the list `{name}`, and {rows} of {all} values hold a `{separator}`: if it stands \
                     between values, give the feature separator = \"{separator}\""
                ),
            );
        }
    }

    /// What was learned of texts: features that are one value, or none, on every training row.
    pub(in crate::table) fn fitted_texts(
        &mut self,
        columns: &ColumnSlots,
        texts: &DistinctTexts,
        words: &[Vec<Word>],
        train: &[CodedRows],
    ) {
        let num_lists = columns.lists.len();
        for (feature, words) in self.plan.features.iter().zip(words) {
            let interner = match feature.kind {
                FeatureKind::Categorical { .. } => &texts.texts[columns.text_slot(feature.column)],
                FeatureKind::List {
                    separator,
                    vocabulary: vocabulary @ Vocabulary::Learned { .. },
                    ..
                } => {
                    let slot = columns.list_slot(ListColumn {
                        column: feature.column,
                        separator,
                        is_hashed: matches!(vocabulary, Vocabulary::Hashed { .. }),
                    });
                    let ends = train.iter().map(|rows| &rows.list_ends[..]);
                    let lengths = ends.flat_map(|ends| lengths(ends, slot, num_lists));
                    self.say_unsplit(&feature.name, lengths, &texts.lists[slot]);
                    &texts.lists[slot]
                }
                _ => continue,
            };
            let is_list = matches!(feature.kind, FeatureKind::List { .. });
            let seen: Vec<u32> = (0..interner.len() as u32)
                .filter(|id| interner.count(*id) > 0)
                .collect();
            let name = &feature.name;
            match &seen[..] {
                [] => self.warn("missing_feature", true, format!("the feature `{name}` is missing on every training row")),
                [only] if interner.text(*only).is_empty() => {
                    self.warn("missing_feature", true, format!("the feature `{name}` is missing on every training row"));
                }
                [only] if !is_list => {
                    let text = String::from_utf8_lossy(interner.text(*only)).into_owned();
                    self.warn("constant_feature", false, format!("the feature `{name}` is the same ({text}) on every training row"));
                }
                _ if words.is_empty() => self.warn(
                    "rare_values",
                    true,
                    format!("no value of the feature `{name}` has min_count training rows: it is id 0 everywhere"),
                ),
                _ => {}
            }
        }
    }
}

/// Lengths of one of the lists of each row.
fn lengths(ends: &[u32], slot: usize, num_lists: usize) -> impl Iterator<Item = u32> {
    let lists = (slot..ends.len()).step_by(num_lists.max(1));
    lists.map(|list| RowLists::range(ends, list).len() as u32)
}
