//! What was counted while rows were read.

use super::{Audit, LOUD_SHARE};
use crate::table::parse_rows::PieceCounts;

impl Audit<'_> {
    /// What was counted while rows were read.
    pub(in crate::table) fn reading(&mut self, counts: &PieceCounts, tables: &[(String, u64)]) {
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
        let marked = crate::table::parse_rows::marked_columns(self.plan);
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
}
