//! What is said of a value of a joined column: of a row that its table has, and of one that it hasn't.

use super::hint::{divides, limit_example};
use crate::expression;
use crate::schema::TablePlan;

/// What a row has in a joined table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::table) enum TableRow {
    /// The row with this key.
    Found(String),
    /// No row with this key.
    Unmatched(String),
    /// No key to find one by.
    WithoutKey,
}

/// Where a value of a joined column is, or why there is none; `on` is the column that is looked up.
pub(in crate::table) fn part_of_joined(
    plan: &TablePlan,
    column: usize,
    on: usize,
    row: &TableRow,
) -> String {
    let (name, on) = (&plan.columns[column], &plan.columns[on]);
    match row {
        TableRow::Found(key) => format!(
            "the column `{name}` of the joined table's row with the key `{key}`, which is the row's `{on}`"
        ),
        TableRow::Unmatched(key) => format!(
            "the joined column `{name}` of a row whose `{on}`, `{key}`, is no key of the joined table"
        ),
        TableRow::WithoutKey => {
            format!("the joined column `{name}` of a row without `{on}`, which is looked up")
        }
    }
}

/// What to do about a joined column that has nothing on a row which needs a value.
pub(in crate::table) fn nothing_joined(
    plan: &TablePlan,
    column: usize,
    on: usize,
    row: &TableRow,
) -> String {
    let name = &plan.columns[column];
    let spelled = expression::spelled(name);
    let fill = match row {
        TableRow::Found(_) => "fill it in in the joined table".to_owned(),
        TableRow::Unmatched(key) => {
            format!("add a row with the key `{key}` to the joined table")
        }
        TableRow::WithoutKey => format!("fill in `{}`", plan.columns[on]),
    };
    let filter = match plan.filter {
        None => format!("filter = \"{spelled} is not null\""),
        Some(_) => format!("add `and {spelled} is not null` to the filter"),
    };
    let (value, place) = match divides(plan, column) {
        true => (limit_example(plan), "column = \"{}\" in [split]"),
        false => ("1".to_owned(), "weight = \"{}\""),
    };
    let filled = format!("filled_{name}");
    let place = place.replace("{}", &filled);
    format!(
        "{fill}; or leave such rows out: {filter}; or compute a column that has a value everywhere, {{ name = \"{filled}\", expression \
         = \"coalesce({spelled}, {value})\" }} in `columns`, and use it: {place}"
    )
}
