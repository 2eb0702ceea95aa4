//! Splits: rows in place, gathered into batches; and the seal on the test split.

use super::Batch;
use super::carried::CarriedRows;
use super::generated::LazyGenerator;
use super::packed::{BLOCK_ROWS, BLOCK_SHIFT, Block, Mapped, Widths, map};
use super::prefetch::prefetch;
use anyhow::{Result, ensure};
use rayon::prelude::*;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// One split, memory-mapped.
#[derive(Debug)]
pub struct Split {
    num_rows: usize,
    widths: Widths,
    mapped: Mapped,
    truth: Option<SplitTruth>,
    carried: Option<CarriedRows>,
    named: Option<CarriedRows>,
}

/// What columns that stay with rows are for: a cell may have both at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CarriedFor {
    /// Groups and cohorts.
    Scores,
    /// The names of rows, and labels of regressions.
    Predictions,
}

/// What made the rows, for what is behind their labels.
#[derive(Debug, Clone)]
pub(super) struct SplitTruth {
    pub(super) generator: Arc<LazyGenerator>,
    /// Index of the split.
    pub(super) split: usize,
}

impl Split {
    pub(super) fn map(file: &File, path: &Path, widths: Widths) -> Result<Self, String> {
        let mapped = map(file, path, widths)?;
        Ok(Self {
            num_rows: mapped.blocks.iter().map(|block| block.num_rows).sum(),
            widths,
            mapped,
            truth: None,
            carried: None,
            named: None,
        })
    }

    /// The same rows with what made them.
    pub(super) fn with_truth(self, truth: SplitTruth) -> Self {
        Self {
            truth: Some(truth),
            ..self
        }
    }

    /// The same rows with columns that stay with them.
    pub(super) fn with_carried(mut self, carried: CarriedRows, what: CarriedFor) -> Self {
        match what {
            CarriedFor::Scores => self.carried = Some(carried),
            CarriedFor::Predictions => self.named = Some(carried),
        }
        self
    }

    /// Columns that stay with the rows, where they were asked for.
    pub fn carried(&self) -> Option<&CarriedRows> {
        self.carried.as_ref()
    }

    /// Columns by which predictions name the rows, where they were asked for.
    pub(crate) fn named(&self) -> Option<&CarriedRows> {
        self.named.as_ref()
    }

    /// What a model that knows the truth would put out for a task, `[rows]`, where the rows were made by an embedded source: the true
    /// logit of each label, or the expected label of a regression.
    pub fn true_scores(&self, task: usize) -> Option<Vec<f32>> {
        let SplitTruth { generator, split } = self.truth.as_ref()?;
        let starts: Vec<u64> = (0..self.num_rows as u64).step_by(BLOCK_ROWS).collect();
        let blocks = starts.par_iter().flat_map_iter(|start| {
            let end = (start + BLOCK_ROWS as u64).min(self.num_rows as u64);
            generator.truth(*split, *start..end, task)
        });
        Some(blocks.collect())
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    pub(super) fn widths(&self) -> Widths {
        self.widths
    }

    /// The labels of a task, one per row.
    pub fn labels(&self, task: usize) -> Vec<f32> {
        let width = self.widths.labels;
        self.collect(|block| block.labels.iter().skip(task).step_by(width).copied())
    }

    /// The ids of a categorical feature, one per row.
    pub fn ids(&self, feature: usize) -> Vec<u32> {
        let width = self.widths.categorical;
        self.collect(|block| {
            block
                .categorical
                .iter()
                .skip(feature)
                .step_by(width)
                .copied()
        })
    }

    /// The users of the rows, one per row; empty where rows have none.
    pub fn users(&self) -> Vec<u32> {
        self.collect(|block| block.users.iter().copied())
    }

    /// The weights of the rows in training, one per row; empty where rows have none.
    pub fn weights(&self) -> Vec<f32> {
        self.collect(|block| block.weights.iter().copied())
    }

    fn collect<'a, T, I: Iterator<Item = T>>(&'a self, column: impl Fn(&'a Block) -> I) -> Vec<T> {
        let mut values = Vec::with_capacity(self.num_rows);
        for (index, block) in self.mapped.blocks.iter().enumerate() {
            values.extend(column(block));
            // A column lies all over the file. Block by block, its pages go back before those of
            // the next are read.
            self.mapped.release(index, 0..block.num_rows);
        }
        values
    }

    /// Lets the system take back the memory of rows that are read no more, where the split is large. Reading them again
    /// reads the file.
    pub fn release(&self, rows: Range<usize>) {
        let mut start = rows.start;
        while start < rows.end {
            let block = start >> BLOCK_SHIFT;
            let end = rows.end.min((block + 1) * BLOCK_ROWS);
            let first = block * BLOCK_ROWS;
            self.mapped.release(block, start - first..end - first);
            start = end;
        }
    }

    /// Copies the rows with these indices, in this order, into `batch`.
    ///
    /// # Errors
    /// An index beyond the split.
    pub fn gather(&self, rows: &[u32], batch: &mut Batch) -> Result<()> {
        let beyond = rows.iter().find(|row| **row as usize >= self.num_rows);
        ensure!(
            beyond.is_none(),
            "row {} was asked for, the split has {}",
            beyond.copied().unwrap_or_default(),
            self.num_rows
        );
        batch.resize(rows.len(), self.widths);
        let Widths {
            categorical,
            lists,
            numeric,
            labels,
            user,
            weight,
        } = self.widths;
        gather_column(rows, categorical, &mut batch.categorical, |block| {
            &self.mapped.blocks[block].categorical
        });
        // Lists differ in length, so that a row's place in the batch is known only once those
        // before it are there.
        if lists > 0 {
            for row in rows {
                let row = *row as usize;
                batch.extend_from_block(
                    &self.mapped.blocks[row >> BLOCK_SHIFT],
                    row % BLOCK_ROWS,
                    1,
                    lists,
                );
            }
        }
        gather_column(rows, numeric, &mut batch.numeric, |block| {
            &self.mapped.blocks[block].numeric
        });
        gather_column(rows, labels, &mut batch.labels, |block| {
            &self.mapped.blocks[block].labels
        });
        gather_column(rows, user, &mut batch.users, |block| {
            &self.mapped.blocks[block].users
        });
        gather_column(rows, weight, &mut batch.weights, |block| {
            &self.mapped.blocks[block].weights
        });
        Ok(())
    }

    /// Copies the rows `range` into `batch`.
    ///
    /// # Errors
    /// A range beyond the split.
    pub fn read(&self, range: Range<usize>, batch: &mut Batch) -> Result<()> {
        ensure!(
            range.start <= range.end && range.end <= self.num_rows,
            "rows {}..{} were asked for, the split has {}",
            range.start,
            range.end,
            self.num_rows
        );
        batch.resize(range.len(), self.widths);
        let mut done = 0;
        while done < range.len() {
            let row = range.start + done;
            let (block, first) = (&self.mapped.blocks[row >> BLOCK_SHIFT], row % BLOCK_ROWS);
            let count = (block.num_rows - first).min(range.len() - done);
            let copy = |width: usize| {
                (
                    done * width..(done + count) * width,
                    first * width..(first + count) * width,
                )
            };
            let (to, from) = copy(self.widths.categorical);
            batch.categorical[to].copy_from_slice(&block.categorical[from]);
            batch.extend_from_block(block, first, count, self.widths.lists);
            let (to, from) = copy(self.widths.numeric);
            batch.numeric[to].copy_from_slice(&block.numeric[from]);
            let (to, from) = copy(self.widths.labels);
            batch.labels[to].copy_from_slice(&block.labels[from]);
            let (to, from) = copy(self.widths.user);
            batch.users[to].copy_from_slice(&block.users[from]);
            let (to, from) = copy(self.widths.weight);
            batch.weights[to].copy_from_slice(&block.weights[from]);
            done += count;
        }
        Ok(())
    }
}

/// Copies one column's rows, each of `width` numbers.
fn gather_column<'a, T: Copy + 'a>(
    rows: &[u32],
    width: usize,
    to: &mut [T],
    block: impl Fn(usize) -> &'a [T],
) {
    if width == 0 {
        return;
    }
    let find = |row: u32| {
        let row = row as usize;
        let first = (row % BLOCK_ROWS) * width;
        &block(row >> BLOCK_SHIFT)[first..first + width]
    };
    for (index, to) in to.chunks_exact_mut(width).enumerate() {
        if let Some(ahead) = rows.get(index + AHEAD) {
            prefetch(find(*ahead));
        }
        to.copy_from_slice(find(rows[index]));
    }
}

/// Rows between the one that is copied and the one that is asked for from memory.
// Random gathers of Census rows went from 6 to more than 10 M rows/s with it.
const AHEAD: usize = 12;

impl Batch {
    /// Some of the rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        fn part<T: Copy>(values: &[T], num_rows: usize, rows: &Range<usize>) -> Vec<T> {
            let width = values.len() / num_rows.max(1);
            values[rows.start * width..rows.end * width].to_vec()
        }
        let num_rows = self.num_rows;
        let mut slice = Self {
            num_rows: rows.len(),
            categorical: part(&self.categorical, num_rows, &rows),
            list_ids: Vec::new(),
            list_ends: Vec::new(),
            numeric: part(&self.numeric, num_rows, &rows),
            labels: part(&self.labels, num_rows, &rows),
            users: part(&self.users, num_rows, &rows),
            weights: part(&self.weights, num_rows, &rows),
        };
        let lists = self.list_ends.len() / num_rows.max(1);
        slice.extend_lists(
            &self.list_ends,
            &self.list_ids,
            rows.start * lists..rows.end * lists,
        );
        slice
    }

    /// Appends the lists `lists` (counted over rows and features) of rows whose lists end at `ends` in `ids`.
    pub(super) fn extend_lists(&mut self, ends: &[u32], ids: &[u32], lists: Range<usize>) {
        if lists.is_empty() {
            return;
        }
        let start = lists.start.checked_sub(1).map_or(0, |before| ends[before]);
        let ends = &ends[lists];
        let (first, shift) = (start as usize, self.list_ids.len() as u32);
        let last = ends.last().map_or(first, |end| *end as usize);
        self.list_ids.extend_from_slice(&ids[first..last]);
        self.list_ends
            .extend(ends.iter().map(|end| end - start + shift));
    }

    /// Appends the lists of `count` rows of a block, `width` lists a row.
    fn extend_from_block(&mut self, block: &Block, first: usize, count: usize, width: usize) {
        if width == 0 {
            return;
        }
        let offsets = &block.list_offsets[first * width..=(first + count) * width];
        let (start, end) = (offsets[0], offsets[count * width]);
        // Offsets count from the block's first id, ends from the batch's.
        let shift = self.list_ids.len() as i32 - start;
        self.list_ids
            .extend_from_slice(&block.list_ids[start as usize..end as usize]);
        let ends = offsets[1..].iter().map(|end| (end + shift) as u32);
        self.list_ends.extend(ends);
    }

    fn resize(&mut self, num_rows: usize, widths: Widths) {
        self.num_rows = num_rows;
        self.categorical.resize(num_rows * widths.categorical, 0);
        // Lists are appended, since their lengths differ.
        self.list_ids.clear();
        self.list_ends.clear();
        self.numeric.resize(num_rows * widths.numeric, 0.0);
        self.labels.resize(num_rows * widths.labels, 0.0);
        self.users.resize(num_rows * widths.user, 0);
        self.weights.resize(num_rows * widths.weight, 0.0);
    }
}

/// The test split, which nothing can read before selection is frozen.
#[derive(Debug)]
pub struct SealedSplit {
    split: Split,
}

impl SealedSplit {
    pub(super) fn seal(split: Split) -> Self {
        Self { split }
    }

    /// The same with columns that stay with its rows.
    pub(super) fn with_carried(self, carried: CarriedRows, what: CarriedFor) -> Self {
        Self {
            split: self.split.with_carried(carried, what),
        }
    }

    /// Whether some row has a weight above 0, which tells nothing of labels.
    pub fn has_weight(&self) -> bool {
        self.split.weights().iter().any(|weight| *weight > 0.0)
    }

    /// Number of rows, which tells nothing of them.
    pub fn num_rows(&self) -> usize {
        self.split.num_rows
    }

    /// Opens the split, in exchange for the proof that selection is over.
    ///
    /// # Errors
    /// None today; a split that is mapped only when opened may fail.
    // By value: a sealed split is opened once and is gone.
    pub fn open(self, _selection: &crate::seal::FrozenSelection) -> Result<Split> {
        Ok(self.split)
    }
}
