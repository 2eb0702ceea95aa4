//! What is noticed of rows as they are prepared: kept with the dataset, and said by every run and report that uses it.
//!
//! Of the labels of the test split nothing is said: whoever reads this has not chosen a model yet.

mod chains;
mod copies;
mod fitted;
mod labels;
mod pretrained;
mod reading;
mod telling;
mod unseen;

pub(crate) use chains::{of_chains, of_scenarios};
pub(crate) use labels::{constant_labels, of_labels};
pub(super) use reading::{missing_number, nan_as_missing, unmatched_rows};

use super::distinct_texts::DistinctTexts;
use super::encode::RowEncoder;
use super::row_spill::CodedRows;
use super::split_assignment::TRAIN;
use crate::schema::TablePlan;
use crate::{Batch, DataWarning, Task};
use std::collections::{BTreeMap, HashMap, HashSet};
use telling::Telling;
use unseen::Unseen;

/// Share of values or rows from which a warning is loud.
const LOUD_SHARE: f64 = 0.5;
/// Most rows whose content is remembered to find copies; beyond, a sample by content stands for all.
// 16 bytes a row: 64 MiB.
const REMEMBERED_ROWS: usize = 1 << 22;
/// Values of a split below which nothing that is said of them is loud.
const FEW_VALUES: u64 = 10;

/// Counts what is worth a warning.
pub(super) struct Audit<'a> {
    plan: &'a TablePlan,
    tasks: &'a [Task],
    warnings: Vec<DataWarning>,
    /// By feature of ids or lists, by split.
    unseen: Vec<[Unseen; 3]>,
    /// Numbers far from the training mean, by numeric feature and split.
    extreme: Vec<[u64; 3]>,
    /// By feature (ids, then numbers) and task.
    telling: Vec<Vec<Telling>>,
    /// Rows of each class, by task.
    classes: Vec<[u64; 2]>,
    /// Whether each pair of tasks has had one label wherever both are observed, and on how many rows.
    pairs: BTreeMap<(usize, usize), (bool, u64)>,
    /// Labels by content of the training rows.
    contents: HashMap<u64, Vec<u64>>,
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
}
