//! The rows of a split as a file for another program.

use crate::packed::PackedWriter;
use crate::{Batch, RowColumns, Schema, Split, cant_write};
use anyhow::Result;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Rows in memory at a time.
const BLOCK: usize = 1 << 16;

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsAs {
    /// Arrow IPC, as `homebench data export` writes it.
    Arrow,
    /// Text with a header: a column for each feature, then `label_<task>`, `user` and `weight`. Ids of a list are separated by spaces; what
    /// is not observed is empty.
    Csv,
}

impl RowsAs {
    /// The layout of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "arrow" => Some(Self::Arrow),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The ending of its files' names.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Csv => "csv",
        }
    }
}

/// Writes the rows of a split in their order, with their labels or without.
///
/// # Errors
/// A file that can't be written, or rows that can't be read.
pub fn write_rows(
    split: &Split,
    schema: &Schema,
    with_labels: bool,
    rows_as: RowsAs,
    path: &Path,
) -> Result<()> {
    match rows_as {
        RowsAs::Arrow => write_arrow(split, with_labels, path),
        RowsAs::Csv => write_csv(split, schema, with_labels, path),
    }
}

fn blocks(split: &Split, mut take: impl FnMut(&mut Batch) -> Result<()>) -> Result<()> {
    let mut batch = Batch::default();
    for start in (0..split.num_rows()).step_by(BLOCK) {
        let end = split.num_rows().min(start + BLOCK);
        split.read(start..end, &mut batch)?;
        take(&mut batch)?;
        split.release(start..end);
    }
    Ok(())
}

fn write_arrow(split: &Split, with_labels: bool, path: &Path) -> Result<()> {
    let mut widths = split.widths();
    if !with_labels {
        widths.labels = 0;
    }
    let mut writer = PackedWriter::create(path.to_owned(), widths)?;
    blocks(split, |batch| {
        if !with_labels {
            batch.labels.clear();
        }
        Ok(writer.append(batch)?)
    })?;
    writer.finish()?;
    Ok(())
}

fn write_csv(split: &Split, schema: &Schema, with_labels: bool, path: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| cant_write(path, error);
    let file = std::fs::File::create(path).map_err(|error| failed(&error))?;
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
    writer.write_record(header(schema, with_labels))?;
    blocks(split, |batch| {
        for row in 0..batch.num_rows {
            write_row(&mut writer, batch, schema, with_labels, row)?;
        }
        Ok(())
    })?;
    let flushed = writer.into_inner().map_err(|error| failed(&error))?;
    flushed
        .into_inner()
        .map_err(|error| failed(&error))?
        .sync_data()
        .map_err(|error| failed(&error))?;
    Ok(())
}

fn header(schema: &Schema, with_labels: bool) -> Vec<String> {
    let categorical = schema.categorical.iter().map(|feature| &feature.name);
    let lists = schema.lists.iter().map(|feature| &feature.name);
    let features = categorical.chain(lists).chain(&schema.numeric).cloned();
    let tasks = schema.tasks.iter().map(|task| task.name.as_str());
    let rows = RowColumns {
        has_user: schema.user.is_some(),
        has_weight: schema.weight.is_some(),
    };
    features
        .chain(beside_features(tasks.filter(|_| with_labels), rows))
        .collect()
}

/// Names of the columns after those of features.
fn beside_features<'a>(
    tasks: impl Iterator<Item = &'a str>,
    rows: RowColumns,
) -> impl Iterator<Item = String> {
    let labels = tasks.map(|task| format!("label_{task}"));
    let user = rows.has_user.then(|| "user".to_owned());
    let weight = rows.has_weight.then(|| "weight".to_owned());
    labels.chain(user).chain(weight)
}

/// The name that two columns of rows as CSV would have: a feature and a label, the user or the weight.
pub(crate) fn column_given_twice<'a>(
    mut features: impl Iterator<Item = &'a str>,
    tasks: impl Iterator<Item = &'a str>,
    rows: RowColumns,
) -> Option<&'a str> {
    let others: BTreeSet<String> = beside_features(tasks, rows).collect();
    features.find(|name| others.contains(*name))
}

fn write_row<W: Write>(
    writer: &mut csv::Writer<W>,
    batch: &Batch,
    schema: &Schema,
    with_labels: bool,
    row: usize,
) -> csv::Result<()> {
    for id in of_row(&batch.categorical, schema.categorical.len(), row) {
        writer.write_field(id.to_string())?;
    }
    let width = schema.lists.len();
    for list in row * width..(row + 1) * width {
        let start = list
            .checked_sub(1)
            .map_or(0, |before| batch.list_ends[before]);
        let ids = &batch.list_ids[start as usize..batch.list_ends[list] as usize];
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        writer.write_field(ids.join(" "))?;
    }
    for value in of_row(&batch.numeric, schema.numeric.len(), row) {
        writer.write_field(value.to_string())?;
    }
    let labels = of_row(&batch.labels, schema.tasks.len(), row);
    for label in labels.iter().filter(|_| with_labels) {
        match label.is_nan() {
            true => writer.write_field("")?,
            false => writer.write_field(label.to_string())?,
        }
    }
    for user in batch.users.iter().skip(row).take(1) {
        // Of no user: rows of nobody are no group.
        match *user == crate::NOBODY {
            true => writer.write_field("")?,
            false => writer.write_field(user.to_string())?,
        }
    }
    for weight in batch.weights.iter().skip(row).take(1) {
        writer.write_field(weight.to_string())?;
    }
    writer.write_record(None::<&[u8]>)
}

fn of_row<T>(column: &[T], width: usize, row: usize) -> &[T] {
    &column[row * width..(row + 1) * width]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_called_as_a_column_that_is_there_is_found() {
        let rows = |has_user, has_weight| RowColumns {
            has_user,
            has_weight,
        };
        let found = |feature, rows| {
            column_given_twice(["age", feature].into_iter(), ["click"].into_iter(), rows)
        };
        for (feature, has_user, has_weight) in [
            ("label_click", false, false),
            ("user", true, false),
            ("weight", false, true),
        ] {
            assert_eq!(found(feature, rows(has_user, has_weight)), Some(feature));
        }
        for feature in ["user", "weight", "click", "label_like"] {
            assert_eq!(found(feature, rows(false, false)), None);
        }
    }
}
