//! Digests of the merged tables, kept in `provenance.toml`, so that a change by hand is seen. They are of the CSV text, so that they
//! hold whether or not a table is packed.

use super::atomic;
use super::layout::ResultsFolder;
use super::outcome::digest;
use super::tables::{
    CellsRow, DataWarningsRow, ModelPartsRow, PARTS, SettingsRow, Table, TuningRow, open_table,
};
use anyhow::Result;

/// Where `provenance.toml` has the digests.
pub(crate) const TABLES: &str = "tables_blake3";

/// Keeps the digests of the merged tables as they are now.
///
/// # Errors
/// `provenance.toml` can't be written.
pub fn seal(results: &ResultsFolder) -> Result<()> {
    let mut digests = toml::Table::new();
    for name in names() {
        if let Some(digest) = table_digest(results, name) {
            digests.insert(name.to_owned(), toml::Value::String(digest));
        }
    }
    let mut provenance = read_provenance(results);
    let digests = toml::Value::Table(digests);
    // A second run of the same experiment touches nothing.
    if provenance.get(TABLES) == Some(&digests) {
        return Ok(());
    }
    provenance.insert(TABLES.to_owned(), digests);
    let text = toml::to_string(&provenance)?;
    atomic::write(&results.provenance(), |out| {
        Ok(out.write_all(text.as_bytes())?)
    })
}

/// Whether digests were kept: not before an experiment has ended.
pub(crate) fn is_sealed(results: &ResultsFolder) -> bool {
    read_provenance(results).contains_key(TABLES)
}

/// Merged tables that are not as they were written: altered, gone, or put there by hand. None where no digests were kept,
/// as before an experiment has ended.
pub fn altered_tables(results: &ResultsFolder) -> Vec<&'static str> {
    let provenance = read_provenance(results);
    let Some(digests) = provenance.get(TABLES) else {
        return Vec::new();
    };
    names()
        .filter(|name| {
            let kept = digests.get(name).and_then(toml::Value::as_str);
            table_digest(results, name).as_deref() != kept
        })
        .collect()
}

/// Every table of a folder.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let parts = PARTS.iter().map(|part| part.file);
    parts.chain([
        CellsRow::FILE,
        SettingsRow::FILE,
        TuningRow::FILE,
        ModelPartsRow::FILE,
        DataWarningsRow::FILE,
    ])
}

fn table_digest(results: &ResultsFolder, name: &str) -> Option<String> {
    let (_, text) = open_table(results.path(), name).ok()?;
    digest(text)
}

/// What is in `provenance.toml`; nothing where it can't be read.
pub fn read_provenance(results: &ResultsFolder) -> toml::Table {
    std::fs::read_to_string(results.provenance())
        .ok()
        .and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_changed_removed_or_added_by_hand_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let write = |name: &str, text: &str| std::fs::write(results.join(name), text).unwrap();
        write("metrics.csv", "a\n1\n");
        write("cells.csv", "b\n2\n");
        assert!(altered_tables(&results).is_empty());
        seal(&results).unwrap();
        assert!(altered_tables(&results).is_empty());
        write("metrics.csv", "a\n9\n");
        write("settings.csv", "c\n");
        write("data_warnings.csv", "d\n");
        std::fs::remove_file(results.join("cells.csv")).unwrap();
        assert_eq!(
            altered_tables(&results),
            [
                "metrics.csv",
                "cells.csv",
                "settings.csv",
                "data_warnings.csv"
            ]
        );
    }
}
