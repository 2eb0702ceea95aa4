//! Validation of joins: tables whose columns are added to every row.

use super::check_columns::ColumnEntries;
use super::check_format::format;
use super::check_table::{column_index, file_keys};
use super::wire::WireJoin;
use super::{Format, Join, SourceFile, path};
use crate::expression::{ColumnType, Expression};
use homebench_diagnostic::{Diagnostic, Document};
use std::collections::BTreeMap;

/// The joins, the names of all columns, and the types of those that the joins add.
type JoinedColumns = (Vec<Join>, Vec<String>, Vec<Option<ColumnType>>);

/// The joins in the order of the description, and all columns: `own`, then those that each join adds.
pub(super) fn joins(
    document: &Document,
    wire: &BTreeMap<String, WireJoin>,
    files: &[SourceFile],
    own: &[String],
    default_format: Format,
) -> Result<JoinedColumns, Diagnostic> {
    let mut columns = own.to_vec();
    let mut types = Vec::new();
    let mut joins = Vec::new();
    for name in document.keys_in_order(&path(&["joins"])) {
        let at = path(&["joins", &name]);
        let join = &wire[&name];
        let table_files = file_keys(document, &at.join("file"), &join.file, files)?;
        let entries = ColumnEntries::read(document, &at.join("columns"), &join.columns)?;
        entries.refuse_derived(document)?;
        let names = entries.own_names();
        // Found later, when the computed columns are known.
        let on = usize::MAX;
        let key = match &join.key {
            Some(key) => column_index(document, &names, &at.join("key"), key)?,
            // Refused at `on`, which is what the description says: there is no `key` to point at.
            None => column_index(document, &names, &at.join("on"), &join.on)?,
        };
        let first = columns.len();
        for (index, column) in names.iter().enumerate() {
            // Its values are in the rows' own column already.
            if index == key {
                continue;
            }
            let column = format!("{}{column}", join.prefix);
            if columns.contains(&column) {
                let at = at.join("columns").join(index.to_string());
                return Err(document
                    .at_value(&at, format!("there already is a column `{column}`"))
                    .hint(format!(
                        "give the join a prefix, such as prefix = \"{name}_\""
                    )));
            }
            columns.push(column);
            types.push(entries.own[index].declared.clone());
        }
        joins.push(Join {
            format: match &join.format {
                Some(wire) => format(document, &at.join("format"), wire)?,
                None => default_format,
            },
            types: entries
                .own
                .iter()
                .map(|column| column.declared.clone())
                .collect(),
            missing: entries
                .own
                .iter()
                .map(|column| column.missing.clone())
                .collect(),
            columns: names,
            files: table_files,
            key,
            on,
            first,
        });
    }
    Ok((joins, columns, types))
}

/// Finds the columns of the rows that are looked up: those of the files, or computed from them alone.
pub(super) fn keys(
    document: &Document,
    wire: &BTreeMap<String, WireJoin>,
    joins: &mut [Join],
    columns: &[String],
    derived: &[Expression],
) -> Result<(), Diagnostic> {
    let num_own = joins.first().map_or(columns.len(), |join| join.first);
    let first_derived = columns.len() - derived.len();
    // Computed from columns of joins, a key would have to be known before itself.
    let mut is_key = vec![false; columns.len()];
    is_key[..num_own].fill(true);
    for (index, expression) in derived.iter().enumerate() {
        is_key[first_derived + index] = expression.columns().iter().all(|column| is_key[*column]);
    }
    let names = document.keys_in_order(&path(&["joins"]));
    for (name, join) in names.iter().zip(joins) {
        let at = path(&["joins", name, "on"]);
        let on = column_index(document, columns, &at, &wire[name].on)?;
        if !is_key[on] {
            let message = format!("the column `{}` comes from a joined table", columns[on]);
            return Err(document.at_value(&at, message).hint(
                "look up by a column of the files of rows, or one that is computed from them",
            ));
        }
        join.on = on;
    }
    Ok(())
}
