//! What is counted of the rows of a piece.

use super::label_marks::LabelMarks;

/// What preparation counts row by row.
#[derive(Debug, Clone, Default)]
pub(in crate::table) struct PieceCounts {
    /// Rows read, those that are not in use included.
    pub(in crate::table) rows: u64,
    /// Rows in use before the filter.
    pub(in crate::table) in_use: u64,
    /// Rows for which the filter doesn't hold.
    pub(in crate::table) filtered: u64,
    /// Rows for which nobody knows whether the filter holds.
    pub(in crate::table) filter_unknown: u64,
    /// Rows without a match, by join.
    pub(in crate::table) unmatched: Vec<u64>,
    /// Rows without a key, by join; they are among the unmatched.
    pub(in crate::table) without_key: Vec<u64>,
    /// Rows without a user, of those that the filter keeps.
    pub(in crate::table) nobody: u64,
    /// Rows of which a NaN was taken for nothing.
    pub(in crate::table) nan: u64,
    /// Rows on which an input's number is missing, though a joined table has a row for them, by column that is coded as numbers.
    pub(in crate::table) missing_numbers: Vec<u64>,
    /// Rows whose label is unknown though it is observed, by task.
    pub(in crate::table) label_unknown: Vec<u64>,
    /// Rows whose `observed` is unknown, by task.
    pub(in crate::table) observed_unknown: Vec<u64>,
    /// What may stand for unknown labels, by [`marked_columns`].
    pub(in crate::table) label_marks: Vec<LabelMarks>,
}

impl PieceCounts {
    /// Adds what was counted in another piece.
    pub(in crate::table) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.in_use += other.in_use;
        self.filtered += other.filtered;
        self.filter_unknown += other.filter_unknown;
        self.nobody += other.nobody;
        self.nan += other.nan;
        let add = |to: &mut Vec<u64>, from: &[u64]| {
            to.resize(from.len().max(to.len()), 0);
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        add(&mut self.missing_numbers, &other.missing_numbers);
        add(&mut self.unmatched, &other.unmatched);
        add(&mut self.without_key, &other.without_key);
        add(&mut self.observed_unknown, &other.observed_unknown);
        add(&mut self.label_unknown, &other.label_unknown);
        let most = self.label_marks.len().max(other.label_marks.len());
        self.label_marks.resize_with(most, LabelMarks::default);
        let pairs = self.label_marks.iter_mut().zip(&other.label_marks);
        pairs.for_each(|(to, from)| to.merge(from));
    }
}
