//! Rows that stand in several splits.

use super::{Audit, FEW_VALUES, LOUD_SHARE, REMEMBERED_ROWS};
use crate::table::split_assignment::{TEST, TRAIN};
use crate::{Batch, SPLITS};

/// Labels of training rows with the same inputs that are told apart; rows that are alike in so many ways contradict nothing.
const MOST_LABELS: usize = 8;

impl Audit<'_> {
    /// Remembers the inputs of training rows, and looks those of the others up.
    pub(super) fn compare_contents(&mut self, split: usize, batch: &Batch) {
        let width = |values: usize| values / batch.num_rows.max(1);
        let (ids, numbers) = (width(batch.categorical.len()), width(batch.numeric.len()));
        let (lists, tasks) = (width(batch.list_ends.len()), self.tasks.len());
        let mut list_start = 0;
        for row in 0..batch.num_rows {
            let mut hash = 0x9E37_79B9_7F4A_7C15u64;
            let mut mix = |value: u32| {
                hash = (hash.rotate_left(5) ^ u64::from(value)).wrapping_mul(0x2545_F491_4F6C_DD1D);
                hash ^= hash >> 29;
            };
            batch.categorical[row * ids..(row + 1) * ids]
                .iter()
                .for_each(|id| mix(*id));
            let of_row = &batch.numeric[row * numbers..(row + 1) * numbers];
            of_row.iter().for_each(|number| mix(number.to_bits()));
            for end in &batch.list_ends[row * lists..(row + 1) * lists] {
                let end = *end as usize;
                mix((end - list_start) as u32);
                batch.list_ids[list_start..end]
                    .iter()
                    .for_each(|id| mix(*id));
                list_start = end;
            }
            if hash.trailing_zeros() < self.zeros {
                continue;
            }
            let mut labels = 0u64;
            for label in &batch.labels[row * tasks..(row + 1) * tasks] {
                labels = labels.rotate_left(7).wrapping_mul(31) ^ u64::from(label.to_bits());
            }
            if split == TRAIN {
                let known = self.contents.entry(hash).or_default();
                if known.len() < MOST_LABELS && !known.contains(&labels) {
                    known.push(labels);
                }
                if self.contents.len() > REMEMBERED_ROWS {
                    self.zeros += 1;
                    let zeros = self.zeros;
                    self.contents
                        .retain(|hash, _| hash.trailing_zeros() >= zeros);
                }
            } else if let Some(in_training) = self.contents.get(&hash) {
                self.copies[split] += 1;
                // By all training rows that it is a copy of, whichever came last.
                let is_other = in_training.len() < MOST_LABELS && !in_training.contains(&labels);
                self.contradictions += u64::from(split != TEST && is_other);
            }
        }
    }

    pub(super) fn say_copies(&mut self) {
        for split in [1, TEST] {
            let (copies, rows) = (self.copies[split] << self.zeros, self.rows[split]);
            if copies == 0 {
                continue;
            }
            let is_many = copies as f64 > LOUD_SHARE * rows as f64 && rows >= FEW_VALUES;
            // Rows that have other labels there are alike by chance, and no copies.
            let is_contradicted = self.contradictions * 4 > self.copies[1];
            let about = if self.zeros > 0 { "about " } else { "" };
            let other = match (split, self.contradictions << self.zeros) {
                (TEST, _) | (_, 0) => String::new(),
                (_, count) => {
                    format!("; {about}{count} of them have another label there")
                }
            };
            self.warn(
                "copied_rows",
                is_many && !is_contradicted,
                format!(
                    "{about}{copies} of {rows} rows of the {} split have inputs that a training row has too{other}",
                    SPLITS[split]
                ),
            );
        }
    }
}
