//! Digests of everything that results rest on, kept in `provenance.toml`, so that a change by hand is seen. Those of tables are of
//! the CSV text, so that they hold whether or not a table is packed.

use super::kept::FORMAT;
use super::layout::{ResultsFolder, is_plain};
use super::ledger::Ledger;
use super::outcome::{digest, file_digest};
use super::tables::{
    CellsRow, CohortsRow, DataWarningsRow, ModelPartsRow, PARTS, SettingsRow, TIMES, Table,
    TuningRow, open_table,
};
use super::used_data::UsedData;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What is sealed beside tables and external scores: files of the folder itself.
pub(crate) const OWN_FILES: [&str; 3] = ["spec.resolved.toml", "facts.toml", "winners.toml"];
/// What is kept of the data.
pub(crate) const DATA_FILES: [&str; 4] = [
    "data.toml",
    "description.toml",
    "numbers.csv",
    "vocabularies.csv.zst",
];
/// Files of a cell that are sealed; its outcome has digests of the others.
pub(crate) const CELL_FILES: [&str; 3] = ["cell.toml", "outcome.toml", TIMES.file];

/// Keeps the digests of the merged tables as they are now, of the files that they rest on, and of the cells whose ids are given. External
/// scores that are sealed already keep their digests: whoever changed them is to say so.
///
/// # Errors
/// A `provenance.toml` that can't be used or written.
pub fn seal<'a>(results: &ResultsFolder, cells: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut ledger = Ledger::read(results)
        .map_err(Diagnostic::from)?
        .unwrap_or_default();
    ledger.tables = Some(table_digests(results));
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let of_cells = cells
        .into_iter()
        .flat_map(|id| CELL_FILES.map(|file| format!("cells/{id}/{file}")));
    let own = OWN_FILES.map(str::to_owned).into_iter();
    let names: Vec<String> = own.chain(of_cells).chain(data_names(results)).collect();
    let digests = names.into_par_iter().filter_map(|name| {
        let digest = file_digest(&results.join(&name))?;
        Some((name, digest))
    });
    files.par_extend(digests);
    files.extend(external_digests(results));
    let external = ledger.files.iter().filter(|(name, _)| is_external(name));
    files.extend(external.map(|(name, digest)| (name.clone(), digest.clone())));
    ledger.files = files;
    ledger.write(results)
}

/// Seals external scores that are new; with `accepted` also those that were changed, and forgets those that are gone. Nothing is written
/// in a folder of the first format, which has no such digests.
///
/// # Errors
/// A `provenance.toml` that can't be used or written.
pub fn seal_external(results: &ResultsFolder, accepted: bool) -> Result<()> {
    let Some(kept) = Ledger::read_with_format(results).map_err(Diagnostic::from)? else {
        return Ok(());
    };
    if kept.format < FORMAT {
        return Ok(());
    }
    let mut ledger = kept.content;
    let now = external_digests(results);
    if accepted {
        ledger.withdraw(is_external);
    }
    for (name, digest) in now {
        ledger.files.entry(name).or_insert(digest);
    }
    ledger.write(results)
}

pub(crate) fn is_external(name: &str) -> bool {
    name.starts_with("external/")
}

fn external_digests(results: &ResultsFolder) -> BTreeMap<String, String> {
    external_names(results)
        .into_iter()
        .filter_map(|name| Some((name.clone(), file_digest(&results.join(&name))?)))
        .collect()
}

/// Tables of external scores and what they say of themselves, as paths in the folder.
pub(crate) fn external_names(results: &ResultsFolder) -> Vec<String> {
    let entries = std::fs::read_dir(results.join("external"));
    let is_its = |name: &String| {
        let ending = Path::new(name).extension();
        ending.is_some_and(|ending| ending == "csv" || ending == "toml")
    };
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(is_its)
        .map(|name| format!("external/{name}"))
        .collect();
    names.sort();
    names
}

/// Files of the data that cells learned from, or are to, as paths in the folder.
pub(crate) fn data_names(results: &ResultsFolder) -> Vec<String> {
    let folders = std::fs::read_dir(results.join("data"))
        .into_iter()
        .flatten();
    let mut folders: Vec<String> = folders
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    if !folders.is_empty() {
        let used = UsedData::read(results);
        // Others are nobody's to vouch for.
        folders.retain(|folder| used.is_own_folder(folder));
    }
    let names = folders
        .iter()
        .flat_map(|folder| DATA_FILES.map(|file| format!("data/{folder}/{file}")));
    let mut names: Vec<String> = names.filter(|name| results.join(name).is_file()).collect();
    names.sort();
    names
}

/// Whether a path in a folder is that of a file of its data.
pub(crate) fn is_of_data(name: &str) -> bool {
    let parts = name
        .strip_prefix("data/")
        .and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(folder, file)| is_plain(folder) && DATA_FILES.contains(&file))
}

/// Whether a path in a results folder is one at which homebench writes, or reads what it rests on: no place for other output.
pub fn is_own(inside: &Path) -> bool {
    // Also what was submitted to clusters, which lies in a hidden folder.
    const FOLDERS: [&str; 7] = [
        "cells",
        "data",
        "external",
        "figures",
        "only",
        "tables",
        "tensorboard",
    ];
    const FILES: [&str; 3] = ["provenance.toml", "report.html", "report.md"];
    let Some(first) = inside.components().next() else {
        return true;
    };
    // Tables are packed under their names with this ending.
    let first = first.as_os_str().to_string_lossy();
    let name = first.strip_suffix(".zst").unwrap_or(&first);
    name.starts_with('.')
        || FOLDERS.contains(&name)
        || FILES.contains(&name)
        || OWN_FILES.contains(&name)
        || names().any(|own| own == name)
}

/// Every table of a folder.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let parts = PARTS.iter().map(|part| part.file);
    parts.chain([
        CohortsRow::FILE,
        CellsRow::FILE,
        SettingsRow::FILE,
        TuningRow::FILE,
        ModelPartsRow::FILE,
        DataWarningsRow::FILE,
    ])
}

fn table_digests(results: &ResultsFolder) -> BTreeMap<String, String> {
    names()
        .filter_map(|name| Some((name.to_owned(), table_digest(results, name)?)))
        .collect()
}

/// Absent where there is no such table, or none that can be read: it is not as it was either way.
pub(crate) fn table_digest(results: &ResultsFolder, name: &str) -> Option<String> {
    let (_, text) = open_table(results.path(), name).ok()?;
    digest(text)
}
