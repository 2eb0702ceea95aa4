//! Validation of the values that columns may have.

use super::path;
use super::wire::WireTable;
use crate::expression::spelled;
use homebench_diagnostic::{Diagnostic, Document};

/// The columns with their values; `columns` are the files' own, then those of joins, then the computed ones.
pub(super) fn allowed_values(
    document: &Document,
    wire: &WireTable,
    columns: &[String],
    [num_own, num_read]: [usize; 2],
) -> Result<Vec<(usize, Vec<String>)>, Diagnostic> {
    let own = &columns[..num_own];
    wire.allowed_values
        .iter()
        .map(|(name, values)| {
            let at = path(&["allowed_values", name]);
            let column = columns.iter().position(|column| column == name);
            let column = column.ok_or_else(|| {
                document
                    .at_key(&at, format!("there is no column `{name}`"))
                    .did_you_mean(name, own.iter().map(String::as_str))
            })?;
            if values.is_empty() {
                return Err(document.at_value(&at, "expected at least one value"));
            }
            if column >= num_own {
                let what = match column < num_read {
                    true => "is a column of a joined table",
                    false => "is computed",
                };
                let message = format!(
                    "`{name}` {what}, and only columns of the files of rows can have allowed values"
                );
                let values: Vec<String> = values
                    .iter()
                    .map(|value| format!("'{}'", value.replace('\'', "''")))
                    .collect();
                return Err(document.at_key(&at, message).hint(format!(
                    "leave it out here; to leave out rows with other values: filter = {:?}",
                    format!("{} in ({})", spelled(name), values.join(", "))
                )));
            }
            Ok((column, values.clone()))
        })
        .collect()
}
