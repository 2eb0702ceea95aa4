//! `provenance.toml`: the runs that trained cells, and digests of every file that results rest on.

use super::kept::{FORMAT, Flaw, Kept, Unusable, read_kept, write_kept};
use super::layout::{ResultsFolder, cell_of, is_plain};
use super::seal::{CELL_FILES, OWN_FILES, is_of_data};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is in `provenance.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Of every run that set out on cells, oldest first.
    #[serde(default)]
    pub runs: Vec<toml::Table>,
    /// Digests of the merged tables' CSV text; absent where they are not merged, or are being written.
    #[serde(
        default,
        rename = "tables_blake3",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) tables: Option<BTreeMap<String, String>>,
    /// Digests of other files by their paths in the folder.
    #[serde(
        default,
        rename = "files_blake3",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) files: BTreeMap<String, String>,
}

impl Ledger {
    /// That of a folder; nothing where there is none.
    ///
    /// # Errors
    /// A file that can't be used as it is, which is another thing than none.
    pub fn read(results: &ResultsFolder) -> Result<Option<Self>, Unusable> {
        Ok(Self::read_with_format(results)?.map(|kept| kept.content))
    }

    pub(crate) fn read_with_format(
        results: &ResultsFolder,
    ) -> Result<Option<Kept<Self>>, Unusable> {
        let read = read_kept(&results.provenance()).and_then(|kept: Option<Kept<Self>>| match kept
            .as_ref()
            .and_then(Self::odd_name)
        {
            None => Ok(kept),
            Some(name) => {
                let place = results.provenance().display().to_string();
                let message = format!("`files_blake3`: `{name}` is no file that is sealed");
                Err(Unusable::damaged(Diagnostic::new(place, message)))
            }
        });
        read.map_err(|mut unusable| {
            if unusable.flaw != Flaw::Newer {
                unusable.said = unusable.said.hint(MEND);
            }
            unusable
        })
    }

    /// A name among those of sealed files that no seal has, such as one that leads out of the folder. The first format had no such names.
    fn odd_name(kept: &Kept<Self>) -> Option<&String> {
        let is_of_cell = |name: &str| {
            cell_of(name).is_some_and(|id| {
                is_plain(id)
                    && CELL_FILES
                        .iter()
                        .any(|file| name == format!("cells/{id}/{file}"))
            })
        };
        let is_sealed = |name: &str| {
            OWN_FILES.contains(&name)
                || is_of_cell(name)
                || is_of_data(name)
                || name.strip_prefix("external/").is_some_and(is_plain)
        };
        let mut names = kept.content.files.keys();
        names.find(|name| kept.format < FORMAT || !is_sealed(name))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, results: &ResultsFolder) -> Result<()> {
        write_kept(&results.provenance(), "", self)
    }

    /// Vouches no longer for files of the folder: those whose path `is_of` accepts, which are about to be written anew.
    pub fn withdraw(&mut self, is_of: impl Fn(&str) -> bool) {
        self.files.retain(|path, _| !is_of(path));
    }

    /// Vouches no longer for the merged tables, which are about to be written anew.
    pub fn withdraw_tables(&mut self) {
        self.tables = None;
    }
}

/// Changes the file of a folder, if there is one.
///
/// # Errors
/// A file that can't be used as it is, or can't be written.
pub fn change_ledger(results: &ResultsFolder, change: impl FnOnce(&mut Ledger)) -> Result<()> {
    match Ledger::read(results).map_err(Diagnostic::from)? {
        None => Ok(()),
        Some(mut ledger) => {
            change(&mut ledger);
            ledger.write(results)
        }
    }
}

pub(crate) const MEND: &str = "restore the file, or run the experiment again with `--fresh`, which keeps this file beside the new one";
