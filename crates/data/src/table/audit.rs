//! What is noticed of rows as they are prepared: kept with the dataset, and said by every run and report that uses it.
//!
//! Of the labels of the test split nothing is said: whoever reads this has not chosen a model yet.

use super::column_slots::{ColumnSlots, ListColumn};
use super::distinct_texts::DistinctTexts;
use super::encode::RowEncoder;
use super::fit::{Encoder, ListIds, Word, log1p_signed};
use super::parse_rows::PieceCounts;
use super::row_spill::CodedRows;
use super::split_assignment::{TEST, TRAIN};
use crate::schema::{FeatureKind, LabelValue, TablePlan, Vocabulary};
use crate::{Batch, DataWarning, SPLITS, Task};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Share of values or rows from which a warning is loud.
const LOUD_SHARE: f64 = 0.5;
/// Share of values of a split that are unseen in training, from which it is said.
const UNSEEN_SHARE: f64 = 0.01;
/// Share of distinct numbers that 32 bits must keep; a few meet by chance, whatever the scale.
const KEPT_SHARE: f64 = 0.99;
/// Most rows whose content is remembered to find copies; beyond, a sample by content stands for all.
// 16 bytes a row: 64 MiB.
const REMEMBERED_ROWS: usize = 1 << 22;
/// Most distinct values of a feature that are followed to see whether it gives a label away.
const FOLLOWED_VALUES: usize = 1 << 16;
/// Rows of the less frequent class that a feature must tell apart before it is suspected.
const TELLING_ROWS: u64 = 10;
/// Values of a split below which nothing that is said of them is loud.
const FEW_VALUES: u64 = 10;
/// Rows on which pairs of tasks are compared before those that differ are left out.
const PAIR_ROWS: usize = 16;
/// Spreads of nine tenths of the training numbers beyond which one of them is far.
const FAR: f64 = 10_000.0;
/// Standard deviations beyond which a number is extreme.
const EXTREME_DEVIATIONS: f32 = 1_000.0;
/// Training rows of which the distinct numbers of a feature are counted in 64 and in 32 bits.
const COUNTED_NUMBERS: usize = 1 << 16;

/// What is counted of a feature of ids in a split.
#[derive(Debug, Default, Clone, Copy)]
struct Unseen {
    values: u64,
    unseen: u64,
}

/// How the labels of a task lie over one value of a feature.
#[derive(Debug, Default, Clone, Copy)]
struct Classes {
    has_negative: bool,
    has_positive: bool,
}

/// Follows one feature and one task over the training rows.
#[derive(Debug, Default)]
struct Telling {
    /// By the value's bits.
    values: HashMap<u32, Classes>,
    is_mixed: bool,
    /// Least and largest value of each class.
    range: [Option<(f32, f32)>; 2],
}

/// Counts what is worth a warning.
pub(super) struct Audit<'a> {
    plan: &'a TablePlan,
    tasks: &'a [Task],
    warnings: Vec<DataWarning>,
    /// By feature of ids or lists, by split.
    unseen: Vec<[Unseen; 3]>,
    /// Numbers beyond [`EXTREME_DEVIATIONS`], by numeric feature and split.
    extreme: Vec<[u64; 3]>,
    /// By feature (ids, then numbers) and task.
    telling: Vec<Vec<Telling>>,
    /// Rows of each class, by task.
    classes: Vec<[u64; 2]>,
    /// Whether each pair of tasks has had one label wherever both are observed, and on how many rows.
    pairs: BTreeMap<(usize, usize), (bool, u64)>,
    /// Labels by content of the training rows.
    contents: HashMap<u64, u64>,
    /// Hashes of training rows, by hashed feature; absent where there are too many to keep.
    hashes: HashMap<usize, Option<HashSet<u32>>>,
    /// Content is remembered where it has this many zeros at its end.
    zeros: u32,
    /// Rows of validation and test that stand in training too, and those of validation that have other labels there.
    copies: [u64; 3],
    contradictions: u64,
    rows: [u64; 3],
}

impl<'a> Audit<'a> {
    pub(super) fn new(plan: &'a TablePlan, tasks: &'a [Task], encoding: &RowEncoder) -> Self {
        let num_ids = encoding.of_ids().count();
        let num_numbers = encoding.of_numbers().count();
        let telling = || (0..tasks.len()).map(|_| Telling::default()).collect();
        Self {
            plan,
            tasks,
            warnings: Vec::new(),
            unseen: vec![[Unseen::default(); 3]; num_ids],
            extreme: vec![[0; 3]; num_numbers],
            telling: (0..encoding.categorical_features.len() + num_numbers)
                .map(|_| telling())
                .collect(),
            classes: vec![[0; 2]; tasks.len()],
            pairs: (0..tasks.len())
                .flat_map(|a| (a + 1..tasks.len()).map(move |b| ((a, b), (true, 0))))
                .collect(),
            contents: HashMap::new(),
            hashes: HashMap::new(),
            zeros: 0,
            copies: [0; 3],
            contradictions: 0,
            rows: [0; 3],
        }
    }

    pub(super) fn warn(&mut self, kind: &str, is_loud: bool, message: String) {
        self.warnings.push(DataWarning {
            kind: kind.to_owned(),
            is_loud,
            message,
        });
    }

    /// What was counted while rows were read.
    pub(super) fn reading(&mut self, counts: &PieceCounts, tables: &[(String, u64)]) {
        let in_use = counts.in_use;
        if counts.filtered > 0 || counts.filter_unknown > 0 {
            let left_out = counts.filtered + counts.filter_unknown;
            let unknown = match counts.filter_unknown {
                0 => String::new(),
                unknown => format!("; on {unknown} of them a value that it needs is missing"),
            };
            self.warn(
                "filtered_rows",
                false,
                format!("the filter left out {left_out} of {in_use} rows{unknown}"),
            );
        }
        for ((join, table), (name, keyless)) in self.plan.joins.iter().enumerate().zip(tables) {
            let unmatched = counts.unmatched.get(join).copied().unwrap_or(0);
            let without_key = counts.without_key.get(join).copied().unwrap_or(0);
            if unmatched > 0 {
                let nothing = match without_key {
                    0 => String::new(),
                    rows => format!("; {rows} of them have no `{}`", self.plan.columns[table.on]),
                };
                self.warn(
                    "unmatched_rows",
                    unmatched as f64 > LOUD_SHARE * in_use as f64,
                    format!("{unmatched} of {in_use} rows have no row in {name}; its columns are empty there{nothing}"),
                );
            }
            if *keyless > 0 {
                self.warn(
                    "rows_without_key",
                    false,
                    format!(
                        "{keyless} rows of {name} have no `{}`, and belong to no row",
                        table.columns[table.key]
                    ),
                );
            }
        }
        let kept = in_use - counts.filtered - counts.filter_unknown;
        if counts.nobody > 0
            && let Some(user) = self.plan.user
        {
            let name = &self.plan.columns[user];
            self.warn(
                "rows_without_user",
                counts.nobody as f64 > LOUD_SHARE * kept as f64,
                format!(
                    "{} of {kept} rows have no `{name}`; they are in no group of GAUC",
                    counts.nobody
                ),
            );
        }
        if counts.nan > 0 {
            let message = format!("NaN on {} rows was read as a missing number", counts.nan);
            self.warn("nan_as_missing", false, message);
        }
        for (task, unknown) in counts
            .observed_unknown
            .iter()
            .enumerate()
            .filter(|(_, rows)| **rows > 0)
        {
            let name = &self.tasks[task].name;
            self.warn(
                "observed_unknown",
                false,
                format!(
                    "whether the task `{name}` is observed is unknown on {unknown} rows, since a value is missing there: it is not"
                ),
            );
        }
        for (task, unknown) in counts
            .label_unknown
            .iter()
            .enumerate()
            .filter(|(_, rows)| **rows > 0)
        {
            let name = &self.tasks[task].name;
            self.warn(
                "label_unknown",
                false,
                format!("the label of the task `{name}` is unknown on {unknown} rows, since a value is missing there: they are not observed"),
            );
        }
        let marked = super::parse_rows::marked_columns(self.plan);
        for (index, (task, column, _)) in marked.into_iter().enumerate() {
            let rows = counts.minus_one.get(index).copied().unwrap_or(0);
            if rows > 0 && counts.has_zero[index] && !counts.is_not_marked[index] {
                let (name, column) = (&self.tasks[task].name, &self.plan.columns[column]);
                self.warn(
                    "label_minus_one",
                    true,
                    format!(
                        "the label of the task `{name}` is made from the column `{column}`, which holds -1, 0 and 1, and {rows} rows \
                         with -1 are taken for known labels: if -1 means unknown, add observed = \"{column} >= 0\" to the task"
                    ),
                );
            }
        }
    }

    /// What was learned from training rows.
    pub(super) fn fitted(&mut self, encoding: &RowEncoder, train: &[CodedRows], width: usize) {
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
            if values().all(|value| value == first) {
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
                        "the feature `{name}` is the same ({first}) on every training row{some}{becomes}"
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

    /// What was learned of texts: features that are one value, or none, on every training row.
    pub(super) fn fitted_texts(
        &mut self,
        columns: &ColumnSlots,
        texts: &DistinctTexts,
        words: &[Vec<Word>],
    ) {
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

    /// Some rows of a split, as read and as encoded; training rows come first.
    pub(super) fn rows(
        &mut self,
        split: usize,
        batch: &Batch,
        rows: &CodedRows,
        encoding: &RowEncoder,
        texts: &DistinctTexts,
        num_codes: usize,
        num_lists: usize,
    ) {
        self.rows[split] += batch.num_rows as u64;
        if split == TRAIN {
            self.keep_hashes(rows, encoding, num_codes, num_lists);
        } else {
            self.count_unseen(split, rows, encoding, texts, num_codes, num_lists);
        }
        self.count_extreme(split, batch, encoding);
        if split == TRAIN {
            self.follow(batch);
        }
        self.compare_contents(split, batch);
    }

    /// Remembers the hashes of training rows.
    fn keep_hashes(
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

    fn count_unseen(
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
            let mut count = |texts: &super::interner::Interner, code: u32| {
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
                        let range = super::row_lists::RowLists::range(
                            &rows.list_ends,
                            row * num_lists + slot,
                        );
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

    fn count_extreme(&mut self, split: usize, batch: &Batch, encoding: &RowEncoder) {
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

    /// Follows features and labels of training rows.
    fn follow(&mut self, batch: &Batch) {
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

    /// Remembers the inputs of training rows, and looks those of the others up.
    fn compare_contents(&mut self, split: usize, batch: &Batch) {
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
                self.contents.insert(hash, labels);
                if self.contents.len() > REMEMBERED_ROWS {
                    self.zeros += 1;
                    let zeros = self.zeros;
                    self.contents
                        .retain(|hash, _| hash.trailing_zeros() >= zeros);
                }
            } else if let Some(in_training) = self.contents.get(&hash) {
                self.copies[split] += 1;
                self.contradictions += u64::from(split != TEST && *in_training != labels);
            }
        }
    }

    /// Everything that is worth a warning, the loud first.
    pub(super) fn finish(mut self, encoding: &RowEncoder) -> Vec<DataWarning> {
        self.say_unseen(encoding);
        self.say_extreme(encoding);
        self.say_telling(encoding);
        self.say_equal_tasks();
        self.say_copies();
        // A stable sort: loud ones first, each kind in its order.
        self.warnings.sort_by_key(|warning| !warning.is_loud);
        self.warnings
    }

    fn say_unseen(&mut self, encoding: &RowEncoder) {
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

    fn say_extreme(&mut self, encoding: &RowEncoder) {
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

    fn say_telling(&mut self, encoding: &RowEncoder) {
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

    fn say_equal_tasks(&mut self) {
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

    fn say_copies(&mut self) {
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
                (_, count) => format!("; {about}{count} of them have another label there"),
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
            let range =
                |row| super::row_lists::RowLists::range(&rows.list_ends, row * num_lists + slot);
            let lists = (0..rows.num_rows).flat_map(|row| &rows.list_codes[range(row)]);
            lists.copied().collect()
        }
        _ => return None,
    };
    // 0 is nothing there.
    Some(found.into_iter().filter(|hash| *hash != 0).collect())
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

/// Warnings about the labels of the splits that may be looked at, from what was written of them.
pub(crate) fn of_labels(
    tasks: &[Task],
    written: &[crate::packed::Written; 3],
    constants: &[Vec<Option<f64>>],
) -> Vec<DataWarning> {
    let mut warnings = Vec::new();
    let mut warn = |kind: &str, message: String| {
        warnings.push(DataWarning {
            kind: kind.to_owned(),
            is_loud: false,
            message,
        });
    };
    for (split, (name, written)) in SPLITS.iter().zip(written).enumerate().take(TEST) {
        let counts = written.positives.iter().zip(&written.observed);
        for (task, (positives, observed)) in tasks.iter().zip(counts) {
            if !task.is_regression() && (*positives == 0 || positives == observed) {
                let which = if *positives == 0 { "no" } else { "every" };
                warn(
                    "one_class",
                    format!(
                        "{which} label of the task `{}` is positive in the {name} split ({observed} rows): it has no AUC there",
                        task.name
                    ),
                );
            }
        }
        let constant = written.numbers.iter();
        for (task, numbers) in constant.filter(|(_, numbers)| numbers.least == numbers.most) {
            let name_of_task = &tasks[*task].name;
            // As the file has it, not as it was scaled.
            match constants.get(split).map(|constants| constants[*task]) {
                Some(None) => warn(
                    "rounded_labels",
                    format!(
                        "the labels of the task `{name_of_task}` differ in the {name} split, and 32 bits round them to one number: give \
                         the task transform = [\"standardise\"]"
                    ),
                ),
                found => warn(
                    "constant_label",
                    format!(
                        "every label of the task `{name_of_task}` is {} in the {name} split ({} rows): it has no R² there",
                        found.flatten().unwrap_or(f64::from(numbers.least)),
                        written.observed[*task]
                    ),
                ),
            }
        }
    }
    say_scales(tasks, &written[TRAIN], &mut warn);
    warnings
}

/// Says where the losses of tasks are of very different sizes.
fn say_scales(tasks: &[Task], train: &crate::packed::Written, warn: &mut dyn FnMut(&str, String)) {
    // The loss of the best constant: the variance of numbers, the entropy of classes.
    let loss = |task: usize| -> Option<f64> {
        let numbers = train.numbers.iter().find(|(of, _)| *of == task);
        if let Some((_, numbers)) = numbers {
            return Some(numbers.deviation * numbers.deviation);
        }
        let (positives, observed) = (train.positives[task] as f64, train.observed[task] as f64);
        let rate = positives / observed;
        (rate > 0.0 && rate < 1.0).then(|| -rate * rate.ln() - (1.0 - rate) * (1.0 - rate).ln())
    };
    let losses: Vec<(usize, f64)> = (0..tasks.len())
        .filter_map(|task| Some((task, loss(task)?)))
        .filter(|(_, loss)| *loss > 0.0)
        .collect();
    let by_loss = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let (Some(least), Some(most)) = (losses.iter().min_by(by_loss), losses.iter().max_by(by_loss))
    else {
        return;
    };
    if most.1 > 100.0 * least.1 && tasks.iter().any(Task::is_regression) {
        warn(
            "loss_scales",
            format!(
                "the loss of the task `{}` is about {:.0} times that of `{}` before anything is learned, and rules the sum of \
                 losses: standardise the labels, or set task_weights",
                tasks[most.0].name,
                most.1 / least.1,
                tasks[least.0].name
            ),
        );
    }
}

/// The label that all rows of a split have of a task of regression, before it is scaled.
pub(super) fn constant_labels(plan: &TablePlan, rows: &[CodedRows]) -> Vec<Option<f64>> {
    let width = plan.labels.len();
    let label = |(task, label): (usize, &crate::schema::Label)| {
        if !matches!(label.value, LabelValue::Number { .. }) {
            return None;
        }
        let mut labels = rows
            .iter()
            .flat_map(|rows| rows.labels.iter().skip(task).step_by(width))
            .filter(|label| !label.is_nan());
        let first = *labels.next()?;
        labels.all(|label| *label == first).then_some(first)
    };
    plan.labels.iter().enumerate().map(label).collect()
}
