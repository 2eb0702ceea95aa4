//! What of a results folder is not as homebench wrote it.

use super::kept::{FORMAT, Flaw, Unusable, is_whole};
use super::layout::{CellFolder, ResultsFolder, cell_of};
use super::ledger::{Ledger, MEND};
use super::outcome::{Outcome, Status, file_digest};
use super::regular::read_text;
use super::seal::{OWN_FILES, is_external, names, table_digest};
use super::tables::{CellsRow, Table};
use super::winners::Winners;
use crate::facts::Facts;
use homebench_diagnostic::{Diagnostic, shell_word, shortened};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// A file of a results folder that is not as homebench wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its path in the folder.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// More of it in words, with the place in the file.
    pub detail: Option<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It was there.
    Gone,
    /// It is another than it was.
    Altered,
    /// It can't be read, or is not what it should be.
    Damaged,
    /// It was not there, and nobody vouches for it.
    Unknown,
    /// Cells are done, and it was not written from them.
    NotMerged,
}

impl Finding {
    fn new(file: impl Into<String>, problem: Problem) -> Self {
        let file = file.into();
        Self {
            file,
            problem,
            detail: None,
        }
    }

    fn of_unusable(file: &str, unusable: &Unusable) -> Self {
        let problem = match unusable.flaw {
            Flaw::Altered => Problem::Altered,
            Flaw::Damaged | Flaw::Newer => Problem::Damaged,
        };
        let said = &unusable.said;
        let place = said.location.map_or(String::new(), |place| {
            format!("line {}, column {}: ", place.line, place.column)
        });
        Self {
            detail: (problem == Problem::Damaged)
                .then(|| shortened(&format!("{place}{}", said.message))),
            ..Self::new(file, problem)
        }
    }

    /// The cell whose file it is.
    pub fn cell(&self) -> Option<&str> {
        cell_of(&self.file)
    }

    /// Whether it is a merged table, which the same command writes anew from its cells.
    pub fn is_of_table(&self) -> bool {
        names().any(|name| name == self.file)
    }

    /// How to mend it in its folder.
    pub fn mend(&self, results: &ResultsFolder) -> String {
        let text = match self.problem {
            Problem::NotMerged => {
                "run the experiment again: finished cells are kept, and tables are written from them"
            }
            Problem::Gone if self.file == "provenance.toml" => {
                "restore it, or run the experiment again with `--fresh`"
            }
            _ if self.file == "provenance.toml" => MEND,
            _ if self.file == "winners.toml" => "restore it, or tune again with `--fresh`",
            _ if is_external(&self.file) => {
                let folder = shell_word(results.path());
                return format!(
                    "restore it; if the change is meant, say so with `homebench report {folder} --accept-external`"
                );
            }
            _ if self.cell().is_some() => {
                "restore it, or run the experiment again, which trains this cell anew"
            }
            _ => "restore it, or run the experiment again, which writes it anew",
        };
        text.to_owned()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.problem {
            Problem::Gone => "gone",
            Problem::Altered => "altered since homebench wrote it",
            Problem::Damaged => "damaged",
            Problem::Unknown => "not of the run that wrote the others",
            Problem::NotMerged => {
                "not merged: cells are done, and the tables are not written from them"
            }
        };
        write!(formatter, "{}: {what}", self.file)?;
        match &self.detail {
            Some(detail) => write!(formatter, ", {detail}"),
            None => Ok(()),
        }
    }
}

/// Every file that is not as homebench wrote it, in a fixed order; nothing of a folder that is whole.
///
/// # Errors
/// A file that a newer homebench wrote.
pub fn findings(results: &ResultsFolder) -> Result<Vec<Finding>, Diagnostic> {
    let mut found = Vec::new();
    let outcomes = outcomes(results, &mut found)?;
    let is_merged = table_digest(results, CellsRow::FILE).is_some();
    let kept = match Ledger::read_with_format(results) {
        Ok(kept) => kept,
        Err(unusable) => {
            take(&mut found, "provenance.toml", unusable)?;
            // What it sealed is not known; each of these has a digest of its own.
            own_files(results, &Ledger::default(), true, &mut found)?;
            return Ok(found);
        }
    };
    let Some(kept) = kept else {
        // It is written before the first cell begins.
        if outcomes.num > 0 || is_merged {
            found.insert(0, Finding::new("provenance.toml", Problem::Gone));
        }
        own_files(results, &Ledger::default(), true, &mut found)?;
        return Ok(found);
    };
    let (ledger, is_first_format) = (kept.content, kept.format < FORMAT);
    match &ledger.tables {
        Some(tables) => {
            let now = |name| table_digest(results, name);
            let of_table = |name: &'static str| {
                compare(
                    name,
                    tables.get(name),
                    now(name).as_ref(),
                    &results.join(name),
                )
            };
            found.extend(names().filter_map(of_table));
        }
        // Folders of the first format may have no seal at all.
        None if is_merged && is_first_format => {}
        None if outcomes.has_done || is_merged => {
            found.push(Finding::new(CellsRow::FILE, Problem::NotMerged));
        }
        None => {}
    }
    files(results, &ledger, &mut found);
    own_files(results, &ledger, is_first_format, &mut found)?;
    Ok(found)
}

struct Outcomes {
    num: usize,
    has_done: bool,
}

/// Looks at the outcome of every cell that is there.
fn outcomes(results: &ResultsFolder, found: &mut Vec<Finding>) -> Result<Outcomes, Diagnostic> {
    let mut outcomes = Outcomes {
        num: 0,
        has_done: false,
    };
    // Several at a time: on a file system of a network most of it is waiting.
    let looked: Vec<_> = results
        .cell_ids()?
        .into_par_iter()
        .map(|id| outcome_of(results, &id))
        .collect();
    for one in looked {
        let one = one?;
        outcomes.num += usize::from(one.is_there);
        outcomes.has_done |= one.is_done;
        found.extend(one.found);
    }
    Ok(outcomes)
}

/// What a look at a cell's outcome has shown.
#[derive(Default)]
struct Looked {
    is_there: bool,
    is_done: bool,
    found: Vec<Finding>,
}

fn outcome_of(results: &ResultsFolder, id: &str) -> Result<Looked, Diagnostic> {
    let cell = CellFolder::new(results.join("cells").join(id));
    let file = format!("cells/{id}/outcome.toml");
    let mut looked = Looked {
        is_there: true,
        ..Looked::default()
    };
    match Outcome::read(&cell) {
        Ok(None) => return Ok(Looked::default()),
        Ok(Some(outcome)) if outcome.id == id => {
            looked.is_done = outcome.status == Status::Done;
            // Tables of the folder rest on these, which cells of older versions have as files. Weights are looked at by whoever uses
            // the cell again.
            let parts = outcome
                .files
                .iter()
                .filter(|(name, _)| name.ends_with(".csv"));
            for (name, digest) in parts {
                let path = cell.path().join(name);
                let now = file_digest(&path);
                let file = format!("cells/{id}/{name}");
                let finding = compare(&file, Some(digest), now.as_ref(), &path);
                looked.found.extend(finding);
            }
        }
        Ok(Some(outcome)) => looked.found.push(Finding {
            detail: Some(format!("it is of the cell {}", outcome.id)),
            ..Finding::new(file, Problem::Damaged)
        }),
        Err(unusable) => take(&mut looked.found, &file, unusable)?,
    }
    Ok(looked)
}

/// Files that are sealed.
fn files(results: &ResultsFolder, ledger: &Ledger, found: &mut Vec<Finding>) {
    let has_cells = results.join("cells").is_dir();
    // Told already, with more words.
    let told: BTreeSet<&str> = found.iter().map(|other| other.file.as_str()).collect();
    // Without their folder, as in a repository, cells are left out and not gone.
    let is_here = |name: &str| has_cells || !name.starts_with("cells/");
    let names: Vec<(&String, &String)> = ledger
        .files
        .iter()
        .filter(|(name, _)| is_here(name) && !told.contains(name.as_str()))
        .collect();
    let more: Vec<Finding> = names
        .into_par_iter()
        .filter_map(|(name, digest)| {
            let path = results.join(name);
            compare(name, Some(digest), file_digest(&path).as_ref(), &path)
        })
        .collect();
    found.extend(more);
}

/// Files of the folder itself. Those that are not sealed, as while a run is under way, have a digest of their own each.
fn own_files(
    results: &ResultsFolder,
    ledger: &Ledger,
    is_first_format: bool,
    found: &mut Vec<Finding>,
) -> Result<(), Diagnostic> {
    for name in &OWN_FILES {
        let path = results.join(name);
        if !path.exists() {
            continue;
        }
        let read = match *name {
            "winners.toml" => Winners::read_or_why(results).map(drop),
            "facts.toml" => Facts::read(results.path()).map(drop),
            _ => match read_text(&path) {
                Err(said) => Err(Unusable::damaged(said)),
                Ok(Some(text)) if is_whole(&text).unwrap_or(is_first_format) => Ok(()),
                Ok(_) => Err(super::kept::altered(name)),
            },
        };
        let is_sealed = ledger.files.contains_key(*name);
        match read {
            Err(unusable) if unusable.flaw == Flaw::Newer => return Err(unusable.said),
            // Told by its seal.
            _ if is_sealed => {}
            Err(unusable) => take(found, name, unusable)?,
            Ok(()) if ledger.tables.is_some() && !is_first_format => {
                found.push(Finding::new(*name, Problem::Unknown))
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

fn take(found: &mut Vec<Finding>, file: &str, unusable: Unusable) -> Result<(), Diagnostic> {
    if unusable.flaw == Flaw::Newer {
        return Err(unusable.said);
    }
    found.push(Finding::of_unusable(file, &unusable));
    Ok(())
}

fn compare(
    name: &str,
    kept: Option<&String>,
    now: Option<&String>,
    path: &Path,
) -> Option<Finding> {
    let problem = match (kept, now) {
        (kept, now) if kept == now => return None,
        (Some(_), None) if std::fs::symlink_metadata(path).is_ok() => {
            let why = homebench_diagnostic::regular_file::open(path).err();
            return Some(Finding {
                detail: why.map(|why| why.to_string()),
                ..Finding::new(name, Problem::Damaged)
            });
        }
        (Some(_), None) => Problem::Gone,
        (None, _) => Problem::Unknown,
        (Some(_), Some(_)) => Problem::Altered,
    };
    Some(Finding::new(name, problem))
}

#[cfg(test)]
mod tests {
    use super::super::cell_parts::CellParts;
    use super::super::kept::with_digest;
    use super::super::seal::{seal, seal_external};
    use super::*;
    use tempfile::TempDir;

    fn sealed() -> (TempDir, ResultsFolder) {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let write = |name: &str, text: &str| std::fs::write(results.join(name), text).unwrap();
        write("metrics.csv", "a\n1\n");
        write("cells.csv", "b\n2\n");
        write("spec.resolved.toml", &with_digest("a = 1\n".to_owned()));
        std::fs::create_dir_all(results.join("external")).unwrap();
        write("external/trees.csv", "c\n3\n");
        let cell = results.cell("aa");
        std::fs::create_dir_all(cell.path()).unwrap();
        Outcome::failed("aa", "broke".into(), 1)
            .write(&cell, &CellParts::default())
            .unwrap();
        seal(&results, ["aa"]).unwrap();
        (folder, results)
    }

    fn said(results: &ResultsFolder) -> Vec<String> {
        let found = findings(results).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_changed_removed_or_added_by_hand_is_named() {
        let (_folder, results) = sealed();
        assert_eq!(said(&results), Vec::<String>::new());
        let write = |name: &str, text: &str| std::fs::write(results.join(name), text).unwrap();
        write("metrics.csv", "a\n9\n");
        write("settings.csv", "c\n");
        write("winners.toml", "winners = []\n");
        write("external/trees.csv", "c\n4\n");
        write("spec.resolved.toml", "a = 2\n");
        std::fs::remove_file(results.join("cells.csv")).unwrap();
        std::fs::remove_file(results.join("cells/aa/outcome.toml")).unwrap();
        assert_eq!(
            said(&results),
            [
                "metrics.csv: altered since homebench wrote it",
                "cells.csv: gone",
                "settings.csv: not of the run that wrote the others",
                "cells/aa/outcome.toml: gone",
                "external/trees.csv: altered since homebench wrote it",
                "spec.resolved.toml: altered since homebench wrote it",
                "winners.toml: not of the run that wrote the others",
            ]
        );
    }

    #[test]
    fn a_provenance_that_is_gone_cut_or_of_a_newer_program_is_no_empty_one() {
        let (_folder, results) = sealed();
        let path = results.provenance();
        let text = std::fs::read_to_string(&path).unwrap();
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            findings(&results).map(|found| found[0].to_string())
        };
        let altered = "provenance.toml: altered since homebench wrote it";
        assert_eq!(with(&format!("{text}# more\n")).unwrap(), altered);
        let damaged = "provenance.toml: damaged, ";
        assert!(
            with(&text.replacen(']', "", 1))
                .unwrap()
                .starts_with(damaged)
        );
        assert!(with("").unwrap().starts_with(damaged));
        let newer = with(&text.replace("format = 2", "format = 3")).unwrap_err();
        assert_eq!(
            newer.message,
            "written by a newer homebench, format 3; this one reads up to 2"
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(said(&results)[0], "provenance.toml: gone");
    }

    #[test]
    fn cells_without_tables_are_not_merged() {
        let (_folder, results) = sealed();
        let mut ledger = Ledger::read(&results).unwrap().unwrap();
        ledger.withdraw_tables();
        ledger.write(&results).unwrap();
        assert!(said(&results)[0].starts_with("cells.csv: not merged"));
    }

    #[test]
    fn external_scores_are_sealed_when_they_are_first_seen_and_changed_when_that_is_said() {
        let (_folder, results) = sealed();
        let write = |name: &str, text: &str| std::fs::write(results.join(name), text).unwrap();
        write("external/new.csv", "d\n1\n");
        seal_external(&results, false).unwrap();
        write("external/new.csv", "d\n2\n");
        seal_external(&results, false).unwrap();
        seal(&results, ["aa"]).unwrap();
        assert_eq!(
            said(&results),
            ["external/new.csv: altered since homebench wrote it"]
        );
        std::fs::remove_file(results.join("external/trees.csv")).unwrap();
        assert_eq!(said(&results).len(), 2);
        seal_external(&results, true).unwrap();
        assert_eq!(said(&results), Vec::<String>::new());
    }
}
