//! Prepared splits for other programs: the files that cells map, and a description of their columns.

use super::open::files;
use super::{DatasetRef, Observer, Places, SPLITS, Summary, cant_write};
use anyhow::Result;
use serde::Serialize;
use std::fs::File;
use std::path::Path;

/// `schema.toml`, beside the files.
#[derive(Serialize)]
struct ExportedSchema<'a> {
    name: &'a str,
    protocol: &'a str,
    /// What `provenance.toml` of an experiment on these rows says.
    content_hash: &'a str,
    /// Names in the order of the columns of `numeric`.
    numeric: &'a [String],
    /// The column behind `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// The column behind `weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'a str>,
    /// In the order of the columns of `categorical`.
    categorical: Vec<ExportedFeature<'a>>,
    /// In the order of the columns of `labels`.
    tasks: Vec<ExportedTask<'a>>,
}

#[derive(Serialize)]
struct ExportedFeature<'a> {
    name: &'a str,
    /// Ids are below it; 0 is a value that the training rows don't have.
    vocabulary_size: usize,
}

#[derive(Serialize)]
struct ExportedTask<'a> {
    name: &'a str,
    group: &'a str,
    /// Of a regression; absent where labels are 0 or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

/// Copies `train.arrow`, `validation.arrow` and `test.arrow` of a dataset into a folder, with `schema.toml`: Arrow IPC files
/// with a fixed-size list a row in the columns `categorical` (u32), `numeric` (f32), `labels` (f32, NaN where a task is not
/// observed), `user` (u32) and `weight` (f32), those that the dataset has. Prepares it first if its cache isn't there.
///
/// What reads the test split before it has chosen anything is on its own: the seal of this program can't hold it.
///
/// # Errors
/// See [`prepare`](super::prepare); a folder that can't be written.
pub fn export(
    reference: &DatasetRef,
    places: &Places,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let (entry, summary) = files(reference, places, observer)?;
    std::fs::create_dir_all(folder).map_err(|error| cant_write(folder, &error))?;
    for split in 0..SPLITS.len() {
        let (mut file, path) = entry.file(split);
        let to = folder.join(path.file_name().unwrap_or_default());
        // The cache's own files, bytes and all: their digests are those that provenance names.
        let copied = File::create(&to).and_then(|mut copy| std::io::copy(&mut file, &mut copy));
        copied.map_err(|error| cant_write(&to, &error))?;
    }
    entry.watch().check()?;
    let file = folder.join("schema.toml");
    let text = toml::to_string(&schema(&summary)).map_err(|error| cant_write(&file, &error))?;
    std::fs::write(&file, text).map_err(|error| cant_write(&file, &error))?;
    Ok(summary)
}

fn schema(summary: &Summary) -> ExportedSchema<'_> {
    let schema = &summary.schema;
    ExportedSchema {
        name: &summary.name,
        protocol: &summary.protocol,
        content_hash: &summary.content_hash,
        numeric: &schema.numeric,
        user: schema.user.as_deref(),
        weight: schema.weight.as_deref(),
        categorical: schema
            .categorical
            .iter()
            .map(|feature| ExportedFeature {
                name: &feature.name,
                vocabulary_size: feature.vocabulary_size,
            })
            .collect(),
        tasks: schema
            .tasks
            .iter()
            .map(|task| ExportedTask {
                name: &task.name,
                group: &schema.groups[task.group],
                kind: task.is_regression().then_some("regression"),
            })
            .collect(),
    }
}
