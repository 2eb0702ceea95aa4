//! What was counted while rows were read.

use super::{Audit, LOUD_SHARE};
use crate::table::JoinedTable;
use crate::table::parse_rows::PieceCounts;

/// Rows for which a joined table has no row.
pub(in crate::table) fn unmatched_rows(
    unmatched: u64,
    rows: u64,
    table: &str,
    without_key: u64,
    on: &str,
) -> String {
    let nothing = match without_key {
        0 => String::new(),
        rows => format!("; {rows} of them have no `{on}`"),
    };
    format!(
        "{unmatched} of {rows} rows have no row in {table}; its columns are empty there{nothing}"
    )
}

/// Rows, of a table where one is named, whose NaN was taken for nothing.
pub(in crate::table) fn nan_as_missing(rows: u64, of_table: &str) -> String {
    format!("NaN on {rows} rows{of_table} was read as a missing value")
}

/// Rows on which an input's number is missing.
pub(in crate::table) fn missing_number(
    column: &str,
    missing: u64,
    rows: u64,
    table: Option<&str>,
) -> String {
    let there = match table {
        Some(table) => format!(", though {table} has a row for them"),
        None => String::new(),
    };
    format!(
        "`{column}` is missing on {missing} of {rows} rows{there}: inputs made of it are 0 after their transformation, or bucket 0"
    )
}

impl Audit<'_> {
    /// What the filter left out.
    pub(in crate::table) fn filtered(&mut self, counts: &PieceCounts) {
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
    }

    /// What was counted while rows were read.
    pub(in crate::table) fn reading(
        &mut self,
        counts: &PieceCounts,
        tables: &[JoinedTable],
        numbers: &[usize],
    ) {
        let in_use = counts.in_use;
        for ((join, table), of_table) in self.plan.joins.iter().enumerate().zip(tables) {
            let JoinedTable {
                name,
                without_key: keyless,
                num_nan,
            } = of_table;
            let unmatched = counts.unmatched.get(join).copied().unwrap_or(0);
            let without_key = counts.without_key.get(join).copied().unwrap_or(0);
            if unmatched > 0 {
                let on = &self.plan.columns[table.on];
                self.warn(
                    "unmatched_rows",
                    unmatched as f64 > LOUD_SHARE * in_use as f64,
                    unmatched_rows(unmatched, in_use, name, without_key, on),
                );
            }
            if *num_nan > 0 {
                let message = nan_as_missing(*num_nan, &format!(" of {name}"));
                self.warn("nan_as_missing", false, message);
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
        self.say_missing_numbers(counts, tables, numbers, kept);
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
            self.warn("nan_as_missing", false, nan_as_missing(counts.nan, ""));
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
        self.say_label_marks(counts);
    }

    /// Says which values may stand for unknown labels and are taken for known ones.
    fn say_label_marks(&mut self, counts: &PieceCounts) {
        let marked = crate::table::parse_rows::marked_columns(self.plan).into_iter();
        for ((task, column, _), marks) in marked.zip(&counts.label_marks) {
            let (name, column) = (&self.tasks[task].name, &self.plan.columns[column]);
            let made = format!("the label of the task `{name}` is made from the column `{column}`");
            if let Some((mark, rows)) = marks.negative() {
                self.warn(
                    "label_minus_one",
                    true,
                    format!(
                        "{made}, whose one negative number is {mark}, and {rows} rows with {mark} are taken for known labels: \
                         if {mark} means unknown, add observed = \"{column} >= 0\" to the task"
                    ),
                );
            }
            for (word, rows) in &marks.words {
                self.warn(
                    "label_unknown_word",
                    true,
                    format!(
                        "{made}, and {rows} rows with `{word}` are taken for known labels: if it means unknown, write \
                         {{ name = \"{column}\", missing = [{word:?}] }} in `columns`"
                    ),
                );
            }
        }
    }

    /// Says which inputs are missing though a joined table has a row, or an expression is computed; of the rows' own columns `optional` says
    /// that they may be.
    fn say_missing_numbers(
        &mut self,
        counts: &PieceCounts,
        tables: &[JoinedTable],
        numbers: &[usize],
        kept: u64,
    ) {
        let plan = self.plan;
        for (missing, column) in counts.missing_numbers.iter().zip(numbers) {
            let name = &plan.columns[*column];
            if *missing > 0 && *column >= plan.first_derived() {
                let is_loud = *missing as f64 > LOUD_SHARE * kept as f64;
                let message = missing_number(name, *missing, kept, None);
                self.warn(
                    "missing_numbers",
                    is_loud,
                    format!("{message}; its expression has no value there"),
                );
            }
            let joined = plan.join_of(*column).filter(|_| *missing > 0);
            let Some(join) = joined.filter(|_| !plan.optional.contains(column)) else {
                continue;
            };
            let table = &tables[join].name;
            self.warn(
                "missing_numbers",
                *missing as f64 > LOUD_SHARE * kept as f64,
                format!(
                    "{}; if it may be missing, add \"{name}\" to `optional`",
                    missing_number(name, *missing, kept, Some(table))
                ),
            );
        }
    }
}
