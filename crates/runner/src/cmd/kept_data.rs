//! What a run keeps of its data in the results folder.

use super::session::Session;
use anyhow::Result;
use homebench_data::{self as data, DatasetRef, KeptData, Observer, Summary};
use homebench_experiment::spec::CellDataset;
use homebench_results::{
    self as record, DataFacts, FeatureFact, ResultsFolder, SplitFact, TaskFact, bytes_digest,
    file_digest,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes what is kept of every dataset of an experiment, unless it is there.
///
/// # Errors
/// Data that can't be read, a file that can't be written.
pub(super) fn keep_data(session: &Session, observer: &mut dyn Observer) -> Result<()> {
    for (reference, summary) in &session.datasets {
        let folder = session.results.data(&summary.content_hash);
        if is_whole(&folder, &summary.content_hash) {
            continue;
        }
        let kept = data::keep(
            reference,
            &session.places,
            Some(summary.hold.identity()),
            observer,
        )?;
        write(&session.results, &folder, reference, summary, &kept)?;
    }
    Ok(())
}

/// Whether a folder has all that is kept; what can't be used is written anew.
fn is_whole(folder: &Path, content_hash: &str) -> bool {
    let Ok(Some(facts)) = DataFacts::read(folder) else {
        return false;
    };
    let mut files = facts.files_blake3.iter();
    facts.content_hash == content_hash
        && files.all(|(name, digest)| file_digest(&folder.join(name)).as_ref() == Some(digest))
}

fn write(
    results: &ResultsFolder,
    folder: &Path,
    reference: &DatasetRef,
    summary: &Summary,
    kept: &KeptData,
) -> Result<()> {
    let inside = folder.strip_prefix(results.path()).unwrap_or(folder);
    record::create_dir_inside(results.path(), inside)?;
    // Last of all: a folder with it is whole.
    record::remove(&folder.join("data.toml"))?;
    let mut files_blake3 = BTreeMap::new();
    let mut put =
        |name: &str, fill: &dyn Fn(&mut dyn std::io::Write) -> Result<()>| -> Result<()> {
            let path = folder.join(name);
            record::write_unsynced(&path, |out| fill(out))?;
            let digest = file_digest(&path).unwrap_or_else(|| bytes_digest(b""));
            files_blake3.insert(name.to_owned(), digest);
            Ok(())
        };
    put("description.toml", &|out| {
        Ok(out.write_all(kept.description.as_bytes())?)
    })?;
    if let Some(numbers) = kept.numbers()? {
        put("numbers.csv", &|out| Ok(out.write_all(numbers.as_bytes())?))?;
        put("vocabularies.csv.zst", &|out| kept.write_vocabularies(out))?;
    }
    facts(reference, summary, kept, files_blake3).write(folder)
}

fn facts(
    reference: &DatasetRef,
    summary: &Summary,
    kept: &KeptData,
    files_blake3: BTreeMap<String, String>,
) -> DataFacts {
    let splits = kept.splits.iter().map(|split| {
        let (first, last) = split.ends.clone().unzip();
        SplitFact {
            name: split.name.to_owned(),
            rows: split.rows as u64,
            first,
            last,
        }
    });
    let tasks = summary.schema.tasks.iter().zip(&kept.labels);
    let tasks = tasks.map(|(task, (label, observed))| TaskFact {
        name: task.name.clone(),
        group: summary.schema.groups[task.group].clone(),
        label: label.clone(),
        observed: observed.clone(),
        is_regression: task.is_regression(),
    });
    let features = kept.features.iter();
    let features = features.map(|(name, kind, column)| FeatureFact {
        name: name.clone(),
        kind: (*kind).to_owned(),
        column: column.clone(),
    });
    let dataset = CellDataset::new(reference, &summary.protocol, &summary.content_hash);
    DataFacts {
        title: dataset.title(),
        name: summary.name.clone(),
        protocol: summary.protocol.clone(),
        content_hash: summary.content_hash.clone(),
        canonical_blake3: kept.canonical_blake3.clone(),
        subset: kept.subset.clone(),
        division: kept.division.clone(),
        filter: kept.filter.clone(),
        files_blake3,
        splits: splits.collect(),
        tasks: tasks.collect(),
        features: features.collect(),
    }
}
