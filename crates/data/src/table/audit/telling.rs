//! Features that alone tell a label, and tasks whose labels are the same.

use super::Audit;
use crate::Batch;
use crate::table::encode::RowEncoder;
use crate::table::split_assignment::TRAIN;
use std::collections::HashMap;

/// Most distinct values of a feature that are followed to see whether it gives a label away.
const FOLLOWED_VALUES: usize = 1 << 16;
/// Rows of the less frequent class that a feature must tell apart before it is suspected.
const TELLING_ROWS: u64 = 10;
/// Rows on which pairs of tasks are compared before those that differ are left out.
const PAIR_ROWS: usize = 16;

/// How the labels of a task lie over one value of a feature.
#[derive(Debug, Default, Clone, Copy)]
struct Classes {
    has_negative: bool,
    has_positive: bool,
}

/// Follows one feature and one task over the training rows.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// By the value's bits.
    values: HashMap<u32, Classes>,
    is_mixed: bool,
    /// Least and largest value of each class.
    range: [Option<(f32, f32)>; 2],
}

impl Audit<'_> {
    /// Follows features and labels of training rows.
    pub(super) fn follow(&mut self, batch: &Batch) {
        let num_tasks = self.tasks.len();
        self.follow_pairs(batch);
        for labels in batch.labels.chunks_exact(num_tasks) {
            for (task, label) in labels
                .iter()
                .enumerate()
                .filter(|(task, _)| !self.tasks[*task].is_regression())
            {
                if !label.is_nan() {
                    self.classes[task][usize::from(*label > 0.5)] += 1;
                }
            }
        }
        let num_ids = batch.categorical.len() / batch.num_rows.max(1);
        let num_numbers = batch.numeric.len() / batch.num_rows.max(1);
        for (feature, tasks) in self.telling.iter_mut().enumerate() {
            let value = |row: usize| match feature.checked_sub(num_ids) {
                None => batch.categorical[row * num_ids + feature] as f32,
                Some(number) => batch.numeric[row * num_numbers + number],
            };
            for (task, telling) in tasks.iter_mut().enumerate() {
                if self.tasks[task].is_regression() || telling.is_mixed {
                    continue;
                }
                for row in 0..batch.num_rows {
                    let label = batch.labels[row * num_tasks + task];
                    if label.is_nan() {
                        continue;
                    }
                    telling.see(value(row), label > 0.5, feature >= num_ids);
                    if telling.is_mixed {
                        // Nothing is kept of a feature that doesn't give the label away.
                        telling.values = HashMap::new();
                        break;
                    }
                }
            }
        }
    }

    /// Follows pairs of tasks whose labels have been the same so far.
    fn follow_pairs(&mut self, batch: &Batch) {
        let num_tasks = self.tasks.len();
        // A few rows at a time: nearly all pairs are out after the first, and hundreds of tasks have many pairs.
        for rows in batch.labels.chunks(num_tasks * PAIR_ROWS) {
            for ((a, b), (is_equal, count)) in &mut self.pairs {
                for labels in rows.chunks_exact(num_tasks) {
                    let (a, b) = (labels[*a], labels[*b]);
                    // A pair whose observed rows differ is no copy either.
                    *is_equal &= a == b || (a.is_nan() && b.is_nan());
                    *count += u64::from(!a.is_nan());
                }
            }
            self.pairs.retain(|_, (is_equal, _)| *is_equal);
            if self.pairs.is_empty() {
                return;
            }
        }
    }

    pub(super) fn say_telling(&mut self, encoding: &RowEncoder) {
        let ids = encoding
            .categorical_features
            .iter()
            .map(|feature| feature.name.clone());
        let names: Vec<String> = ids
            .chain(encoding.numeric_features.iter().cloned())
            .collect();
        for (feature, name) in names.iter().enumerate() {
            for task in 0..self.tasks.len() {
                let telling = &self.telling[feature][task];
                let rare = self.classes[task].iter().min().copied().unwrap_or(0);
                if rare < TELLING_ROWS {
                    continue;
                }
                let task_name = self.tasks[task].name.clone();
                if telling.tells(self.rows[TRAIN]) {
                    self.warn(
                        "telling_feature",
                        true,
                        format!("the feature `{name}` alone tells the label of the task `{task_name}` on every training row"),
                    );
                }
            }
        }
    }

    pub(super) fn say_equal_tasks(&mut self) {
        let equal: Vec<(usize, usize, u64)> = self
            .pairs
            .iter()
            .filter(|(_, (is_equal, rows))| *is_equal && *rows > 0)
            .map(|((a, b), (_, rows))| (*a, *b, *rows))
            .collect();
        for (a, b, rows) in equal {
            let (a, b) = (&self.tasks[a].name, &self.tasks[b].name);
            let message = format!(
                "the tasks `{a}` and `{b}` have the same label on all {rows} training rows"
            );
            self.warn("equal_tasks", true, message);
        }
    }
}

impl Telling {
    fn see(&mut self, value: f32, is_positive: bool, is_number: bool) {
        if is_number {
            let range = &mut self.range[usize::from(is_positive)];
            *range = Some(range.map_or((value, value), |(least, most)| {
                (least.min(value), most.max(value))
            }));
        }
        if self.values.len() <= FOLLOWED_VALUES {
            let classes = self.values.entry(value.to_bits()).or_default();
            match is_positive {
                true => classes.has_positive = true,
                false => classes.has_negative = true,
            }
            let is_mixed = classes.has_positive && classes.has_negative;
            self.is_mixed |= is_mixed;
        } else if !is_number || !self.is_divided() {
            self.is_mixed = true;
        }
    }

    /// Whether the numbers of the classes lie apart.
    fn is_divided(&self) -> bool {
        match self.range {
            [
                Some((least_negative, most_negative)),
                Some((least_positive, most_positive)),
            ] => most_negative < least_positive || most_positive < least_negative,
            _ => true,
        }
    }

    /// Whether the value tells the class: each value has one class, and there are few values for the rows, or the numbers of
    /// the classes lie apart.
    fn tells(&self, num_rows: u64) -> bool {
        if self.is_mixed {
            return false;
        }
        // Ids that nearly every row has for itself tell nothing of rows to come.
        let is_common = (self.values.len() as u64) * 10 <= num_rows;
        let has_both = self.range.iter().all(Option::is_some);
        (is_common && self.values.len() > 1) || (has_both && self.is_divided())
    }
}
