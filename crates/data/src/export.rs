//! Prepared splits for other programs: the files that cells map, and a description of their columns.

use super::described::resolve;
use super::open::files;
use super::schema::{FeatureKind, Pooling, Source, Vocabulary};
use super::{DatasetRef, Observer, Places, SPLITS, Summary, cant_write};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
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
    /// The categorical feature whose value is the scenario of a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<&'a str>,
    /// In the order of the columns of `categorical`.
    categorical: Vec<ExportedFeature<'a>>,
    /// In the order of the lists of `lists`.
    lists: Vec<ExportedList<'a>>,
    /// In the order of the columns of `labels`.
    tasks: Vec<ExportedTask<'a>>,
}

#[derive(Serialize)]
struct ExportedFeature<'a> {
    name: &'a str,
    /// Ids are below it; 0 is a value that the training rows don't have.
    vocabulary_size: usize,
    /// `bucket` where ids are numbers of an order, and 0 is a value that is not there; `hash` where several values may have one id; absent
    /// where each has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

#[derive(Serialize)]
struct ExportedList<'a> {
    name: &'a str,
    /// Ids are below it; 0 is a value that the training rows don't have.
    vocabulary_size: usize,
    /// How models make one of a list: `mean` or `sum`.
    pooling: &'static str,
    /// As of a categorical feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

#[derive(Serialize)]
struct ExportedTask<'a> {
    name: &'a str,
    group: &'a str,
    /// Of a regression; absent where labels are 0 or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The task that it comes after; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

/// Copies `train.arrow`, `validation.arrow` and `test.arrow` of a dataset into a folder, with `schema.toml`: Arrow IPC files
/// with a fixed-size list a row in the columns `categorical` (u32), `lists` (of lists of u32), `numeric` (f32), `labels` (f32, NaN where
/// a task is not observed), `user` (u32) and `weight` (f32), those that the dataset has. Prepares it first if its cache isn't there.
///
/// What reads the test split before it has chosen anything is on its own: the seal of this program can't hold it.
///
/// # Errors
/// See [`prepare`](super::prepare); a folder that can't be written, or that has one of these files already.
pub fn export(
    reference: &DatasetRef,
    places: &Places,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    for name in SPLITS.map(file_of).into_iter().chain([SCHEMA.to_owned()]) {
        let path = folder.join(name);
        if std::fs::symlink_metadata(&path).is_ok() {
            let said = Diagnostic::new(path.display().to_string(), "there is something already");
            return Err(said
                .hint("remove it first, or name another folder with --out")
                .into());
        }
    }
    let (entry, summary) = files(reference, places, observer)?;
    std::fs::create_dir_all(folder).map_err(|error| cant_write(folder, &error))?;
    for (split, name) in SPLITS.into_iter().enumerate() {
        let (mut file, _) = entry.file(split);
        // The cache's own files, bytes and all: their digests are those that provenance names.
        write_new(&folder.join(file_of(name)), &mut file)?;
    }
    entry.watch().check()?;
    let file = folder.join(SCHEMA);
    let kinds = kinds_of_ids(reference, places)?;
    let text =
        toml::to_string(&schema(&summary, &kinds)).map_err(|error| cant_write(&file, &error))?;
    write_new(&file, &mut text.as_bytes())?;
    Ok(summary)
}

const SCHEMA: &str = "schema.toml";

fn file_of(split: &str) -> String {
    format!("{split}.arrow")
}

/// Writes a file that is whole or not there, and writes over none.
fn write_new(path: &Path, content: &mut impl Read) -> Result<(), Diagnostic> {
    let failed = |error: std::io::Error| cant_write(path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        // As for any file that a program makes: the umask takes from it what the user wants taken.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    std::io::copy(content, &mut file).map_err(failed)?;
    file.persist_noclobber(path)
        .map_err(|error| failed(error.error))?;
    Ok(())
}

/// What the ids of features are, by their names, where they are not one for each value: `bucket`, numbers of an order with 0 for a value that
/// is not there, or `hash`, where several values may have one.
///
/// # Errors
/// No such description or protocol, or a description that makes no dataset.
pub fn kinds_of_ids(
    reference: &DatasetRef,
    places: &Places,
) -> Result<BTreeMap<String, &'static str>> {
    let (_, protocol) = resolve(reference, places)?;
    let features = match protocol.source {
        Source::Table(plan) => plan.features,
        Source::Generated(_) => Vec::new(),
    };
    let kinds = features.into_iter().filter_map(|feature| {
        let kind = match feature.kind {
            FeatureKind::Bucket { .. } => "bucket",
            FeatureKind::Hash { .. }
            | FeatureKind::List {
                vocabulary: Vocabulary::Hashed { .. },
                ..
            } => "hash",
            FeatureKind::Categorical { .. }
            | FeatureKind::Numeric { .. }
            | FeatureKind::List {
                vocabulary: Vocabulary::Learned { .. },
                ..
            } => return None,
        };
        Some((feature.name, kind))
    });
    Ok(kinds.collect())
}

fn schema<'a>(summary: &'a Summary, kinds: &BTreeMap<String, &'static str>) -> ExportedSchema<'a> {
    let schema = &summary.schema;
    ExportedSchema {
        name: &summary.name,
        protocol: &summary.protocol,
        content_hash: &summary.content_hash,
        numeric: &schema.numeric,
        user: schema.user.as_deref(),
        weight: schema.weight.as_deref(),
        scenario: (schema.scenario).map(|place| schema.categorical[place].name.as_str()),
        categorical: schema
            .categorical
            .iter()
            .map(|feature| ExportedFeature {
                name: &feature.name,
                vocabulary_size: feature.vocabulary_size,
                kind: kinds.get(&feature.name).copied(),
            })
            .collect(),
        lists: schema
            .lists
            .iter()
            .map(|feature| ExportedList {
                name: &feature.name,
                vocabulary_size: feature.vocabulary_size,
                pooling: match feature.pooling {
                    Pooling::Sum => "sum",
                    Pooling::Mean => "mean",
                },
                kind: kinds.get(&feature.name).copied(),
            })
            .collect(),
        tasks: schema
            .tasks
            .iter()
            .map(|task| ExportedTask {
                name: &task.name,
                group: &schema.groups[task.group],
                kind: task.is_regression().then_some("regression"),
                after: task.after.map(|before| schema.tasks[before].name.as_str()),
            })
            .collect(),
    }
}
