//! Splits without a row: refused, with what of the description leaves them empty.

use super::SPLITS;
use super::row_spill::CodedRows;
use super::split_assignment::{self, Side, TEST, TRAIN};
use crate::RowSubset;
use crate::schema::{SplitPlan, TablePlan};
use crate::timeline;
use homebench_diagnostic::Diagnostic;
use std::path::PathBuf;

/// Refuses a split that has no row.
pub(super) fn refuse(
    plan: &TablePlan,
    subset: RowSubset,
    files: &[PathBuf],
    splits: &[Vec<CodedRows>; 3],
) -> Result<(), Diagnostic> {
    let counts = splits
        .each_ref()
        .map(|rows| rows.iter().map(|rows| rows.num_rows).sum::<usize>());
    let Some(empty) = counts.iter().position(|count| *count == 0) else {
        return Ok(());
    };
    let name = SPLITS[empty];
    let others = SPLITS.iter().zip(counts).filter(|(_, count)| *count > 0);
    let others: Vec<String> = others
        .map(|(name, count)| format!("{name} has {count}"))
        .collect();
    let message = match others.is_empty() {
        true => format!("the {name} split has no row, and neither have the others"),
        false => format!("the {name} split has no row; {}", others.join(", ")),
    };
    let mend = match (&plan.filter, counts.iter().sum::<usize>()) {
        _ if subset != RowSubset::All => {
            "so few rows were asked for that a split has none: ask for more of them, or for all"
                .to_owned()
        }
        (Some(_), 0) => "`filter` leaves out every row; correct it".to_owned(),
        (None, 0) => "the files have no rows; get them again".to_owned(),
        (filter, _) => {
            let mend = mend(plan, empty);
            match filter {
                Some(_) => format!("does `filter` leave out too much? If not, {mend}"),
                None => mend,
            }
        }
    };
    Err(Diagnostic::new(path_of(plan, files, name), message).hint(mend))
}

/// How [split] is changed so that a split has rows.
fn mend(plan: &TablePlan, empty: usize) -> String {
    match &plan.split {
        SplitPlan::Files { .. } if empty == TRAIN => {
            "name files that have rows as `train` in [split]".to_owned()
        }
        SplitPlan::Files {
            validation_fraction,
            ..
        } => format!(
            "`validation_fraction` of [split] is {validation_fraction}: give both validation and test some of the rows of \
             `holdout`"
        ),
        SplitPlan::Time {
            column,
            validation_from,
            test_from,
            ..
        } => {
            let column = &plan.columns[*column];
            let (validation, test) = (validation_from.shown(), test_from.shown());
            let as_dates = match as_date(&validation) {
                Some(date) => format!(
                    "; if `{column}` holds dates, write both limits as such in quotes: validation_from = \"{date}\""
                ),
                None => String::new(),
            };
            let mend = match empty {
                TRAIN => format!(
                    "every `{column}` is {validation} or more: set `validation_from` of [split] to a later value"
                ),
                TEST => format!(
                    "no `{column}` is {test} or more: set `test_from` of [split] to an earlier value"
                ),
                _ => format!(
                    "no `{column}` is {validation} or more and less than {test}: move `validation_from` and `test_from` of \
                     [split] apart"
                ),
            };
            mend + &as_dates
        }
        SplitPlan::Hash { column, .. } => {
            let what = match column {
                Some(column) => format!("values of `{}`", plan.columns[*column]),
                None => "rows".to_owned(),
            };
            format!(
                "there are too few {what} for the fractions of [split]: make them larger, or take another `seed`"
            )
        }
    }
}

/// The date that a number of eight digits spells.
fn as_date(number: &str) -> Option<String> {
    (timeline::likely_format(number) == Some("%Y%m%d"))
        .then(|| format!("{}-{}-{}", &number[..4], &number[4..6], &number[6..]))
}

/// The file that a split's rows come from.
pub(super) fn path_of(plan: &TablePlan, files: &[PathBuf], split: &str) -> String {
    let sides = split_assignment::sides(&plan.split);
    let is_of = |side: &Side| match side {
        Side::Train => split == SPLITS[0],
        Side::Holdout => split != SPLITS[0],
        Side::Mixed => true,
    };
    let file = sides.iter().find(|(side, _)| is_of(side));
    file.map_or_else(String::new, |(_, file)| files[*file].display().to_string())
}
