//! Values that training rows lack, and numbers far from theirs.

use super::{Audit, FEW_VALUES, LOUD_SHARE, REMEMBERED_ROWS};
use crate::table::distinct_texts::DistinctTexts;
use crate::table::encode::RowEncoder;
use crate::table::fit::{Encoder, ListIds};
use crate::table::row_lists::RowLists;
use crate::table::row_spill::CodedRows;
use crate::{Batch, SPLITS};
use std::collections::HashSet;

/// Share of values of a split that are unseen in training, from which it is said.
const UNSEEN_SHARE: f64 = 0.01;
/// Standard deviations beyond which a number is extreme.
const EXTREME_DEVIATIONS: f32 = 1_000.0;

/// What is counted of a feature of ids in a split.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Unseen {
    values: u64,
    unseen: u64,
}

impl Audit<'_> {
    /// Remembers the hashes of training rows.
    pub(super) fn keep_hashes(
        &mut self,
        rows: &CodedRows,
        encoding: &RowEncoder,
        num_codes: usize,
        num_lists: usize,
    ) {
        for (feature, (_, encoder)) in encoding.of_ids().enumerate() {
            let Some(found) = hashes_of(encoder, rows, num_codes, num_lists) else {
                continue;
            };
            let kept = self
                .hashes
                .entry(feature)
                .or_insert_with(|| Some(HashSet::new()));
            if let Some(seen) = kept {
                seen.extend(found);
                if seen.len() > REMEMBERED_ROWS {
                    *kept = None;
                }
            }
        }
    }

    pub(super) fn count_unseen(
        &mut self,
        split: usize,
        rows: &CodedRows,
        encoding: &RowEncoder,
        texts: &DistinctTexts,
        num_codes: usize,
        num_lists: usize,
    ) {
        let features = self.unseen.iter_mut().zip(encoding.of_ids()).enumerate();
        for (feature, (unseen, (_, encoder))) in features {
            let unseen = &mut unseen[split];
            if let Some(Some(seen)) = self.hashes.get(&feature)
                && let Some(found) = hashes_of(encoder, rows, num_codes, num_lists)
            {
                for hash in found {
                    unseen.values += 1;
                    unseen.unseen += u64::from(!seen.contains(&hash));
                }
                continue;
            }
            let mut count = |texts: &crate::table::interner::Interner, code: u32| {
                if !texts.text(code).is_empty() {
                    unseen.values += 1;
                    unseen.unseen += u64::from(texts.count(code) == 0);
                }
            };
            match encoder {
                Encoder::Categorical { slot, .. } => {
                    let codes = rows.codes.iter().skip(*slot).step_by(num_codes);
                    codes.for_each(|code| count(&texts.texts[*slot], *code));
                }
                Encoder::List {
                    slot,
                    ids: ListIds::Learned(_),
                    ..
                } => {
                    for row in 0..rows.num_rows {
                        let range = RowLists::range(&rows.list_ends, row * num_lists + slot);
                        let codes = &rows.list_codes[range];
                        codes
                            .iter()
                            .for_each(|code| count(&texts.lists[*slot], *code));
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn count_extreme(&mut self, split: usize, batch: &Batch, encoding: &RowEncoder) {
        let width = self.extreme.len();
        for (feature, (_, encoder)) in encoding.of_numbers().enumerate() {
            let Encoder::Numeric { mean, scale, .. } = encoder else {
                continue;
            };
            // Without a scale nobody knows what is far.
            if *mean == 0.0 && *scale == 1.0 {
                continue;
            }
            let values = batch.numeric.iter().skip(feature).step_by(width);
            let is_extreme = |value: &&f32| value.abs() > EXTREME_DEVIATIONS;
            self.extreme[feature][split] += values.filter(is_extreme).count() as u64;
        }
    }

    pub(super) fn say_unseen(&mut self, encoding: &RowEncoder) {
        for (feature, (name, _)) in encoding.of_ids().enumerate() {
            for (split, word) in SPLITS.iter().enumerate().skip(1) {
                let Unseen { values, unseen } = self.unseen[feature][split];
                let share = unseen as f64 / values.max(1) as f64;
                if share < UNSEEN_SHARE {
                    continue;
                }
                let (count, were) = match (unseen == values, values) {
                    (true, 1) => ("the one value".to_owned(), "was"),
                    (true, _) => (format!("all {values} values"), "were"),
                    (false, _) => (
                        format!("{unseen} of {values} values ({:.0} %)", share * 100.0),
                        "were",
                    ),
                };
                self.warn(
                    "unseen_values",
                    share > LOUD_SHARE && values >= FEW_VALUES,
                    format!("{count} of the feature `{name}` in the {word} split {were} not seen in training"),
                );
            }
        }
    }

    pub(super) fn say_extreme(&mut self, encoding: &RowEncoder) {
        for (feature, (name, _)) in encoding.of_numbers().enumerate() {
            for (split, word) in SPLITS.iter().enumerate() {
                let count = self.extreme[feature][split];
                if count > 0 {
                    self.warn(
                        "extreme_numbers",
                        true,
                        format!(
                            "{count} values of the feature `{name}` in the {word} split are more than {EXTREME_DEVIATIONS} \
                             standard deviations from the training mean"
                        ),
                    );
                }
            }
        }
    }
}

/// The hashes of a hashed feature or list that are those of values.
fn hashes_of(
    encoder: &Encoder,
    rows: &CodedRows,
    num_codes: usize,
    num_lists: usize,
) -> Option<Vec<u32>> {
    let found: Vec<u32> = match encoder {
        Encoder::Hash { slot, .. } => rows
            .codes
            .iter()
            .skip(*slot)
            .step_by(num_codes)
            .copied()
            .collect(),
        Encoder::List {
            slot,
            ids: ListIds::Hashed(_),
            ..
        } => {
            let range = |row| RowLists::range(&rows.list_ends, row * num_lists + slot);
            let lists = (0..rows.num_rows).flat_map(|row| &rows.list_codes[range(row)]);
            lists.copied().collect()
        }
        _ => return None,
    };
    // 0 is nothing there.
    Some(found.into_iter().filter(|hash| *hash != 0).collect())
}
