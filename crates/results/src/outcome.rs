//! `outcome.toml`: what became of a cell, with its content and its parts of the tables. Written last, so a cell without one never ended.

use super::atomic;
use super::cell_parts::{CellParts, with_files};
use super::kept::{Unusable, parse_kept_without, text_of};
use super::layout::{CellFolder, is_plain};
use super::regular::read_text;
use super::tables::{TIMES, repeatable_parts};
use homebench_diagnostic::{Diagnostic, regular_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// How a cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained and scored.
    Done,
    /// Ended without scores.
    Failed,
}

/// What became of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The cell.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often the run that gave up on it had started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<usize>,
    /// Whether another try could end otherwise: its process was killed or broke, rather than its training.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_end_otherwise: bool,
    /// Numbers of a cell that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<OutcomeResult>,
    /// Other files of the cell with their digests (blake3).
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// Numbers of a cell that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeResult {
    /// Epoch of the selected weights, from 1.
    pub selected_epoch: usize,
    /// Epochs begun.
    pub epochs_run: usize,
    /// What selection went by.
    pub validation_score: f64,
    /// Trainable numbers.
    pub parameters: usize,
    /// Of a forward pass.
    pub flops_per_row: usize,
}

impl Outcome {
    /// A cell that failed, in so many tries.
    pub fn failed(id: &str, error: String, tries: usize) -> Self {
        Self {
            id: id.to_owned(),
            status: Status::Failed,
            error: Some(error),
            tries: Some(tries),
            may_end_otherwise: false,
            result: None,
            files: BTreeMap::new(),
        }
    }

    /// Writes `outcome.toml` with the cell's parts, and removes the files in which they were before.
    ///
    /// # Errors
    /// The file can't be written, or one that is not needed any more can't be removed.
    pub fn write(&self, folder: &CellFolder, parts: &CellParts) -> anyhow::Result<()> {
        let mut outcome = self.clone();
        // Of a cell of an older version.
        outcome.files.retain(|name, _| parts.get(name).is_none());
        let text = text_of("", &outcome, &parts.to_toml())?;
        atomic::write_unsynced(&folder.outcome(), |out| Ok(out.write_all(text.as_bytes())?))?;
        for name in with_files().filter(|name| parts.get(name).is_some()) {
            atomic::remove(&folder.part(name))?;
        }
        Ok(())
    }

    /// The outcome of a cell; nothing where it has none. A score that is not finite is none: no table could hold it.
    ///
    /// # Errors
    /// A file that can't be used: of a newer homebench, damaged, or altered.
    pub fn read(folder: &CellFolder) -> Result<Option<Self>, Unusable> {
        Ok(Self::read_file(folder)?.map(|(outcome, _)| outcome))
    }

    /// The outcome of a cell with its parts, wherever they are; nothing where it has none.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn read_with_parts(folder: &CellFolder) -> Result<Option<(Self, CellParts)>, Unusable> {
        let read = Self::read_file(folder)?;
        Ok(read.map(|(outcome, parts)| match parts.is_empty() {
            true => {
                let parts = CellParts::of_files(folder, &outcome.files);
                (outcome, parts)
            }
            false => (outcome, parts),
        }))
    }

    /// What is in the file.
    pub(crate) fn read_file(folder: &CellFolder) -> Result<Option<(Self, CellParts)>, Unusable> {
        let path = folder.outcome();
        let Some(text) = read_text(&path).map_err(Unusable::damaged)? else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let mut parts = Ok(CellParts::default());
        let take = |table: &mut toml::Table| parts = CellParts::take_from(table);
        let read: Self = parse_kept_without(&name, &text, take)?.content;
        let refuse = |why: String| Unusable::damaged(Diagnostic::new(&name, why));
        match read.contradiction() {
            None => Ok(Some((read, parts.map_err(refuse)?))),
            Some(why) => Err(refuse(why)),
        }
    }

    /// What no cell's end can be.
    fn contradiction(&self) -> Option<String> {
        let is_done = self.status == Status::Done;
        if is_done != self.result.is_some() || is_done == self.error.is_some() {
            return Some(
                "its status and what it holds of a result contradict each other".to_owned(),
            );
        }
        // A name with a folder in it leads out of the cell's own.
        if let Some(odd) = self.files.keys().find(|name| !is_plain(name)) {
            return Some(format!("expected plain names of files, found `{odd}`"));
        }
        let score = self.result.as_ref()?.validation_score;
        (!score.is_finite()).then(|| format!("its score is {score}"))
    }

    /// Why a finished cell can't be used as it is: the name of a file or part that is gone or was altered.
    pub fn altered_file(&self, folder: &CellFolder, parts: &CellParts) -> Option<&str> {
        let altered = |(name, digest): &(&String, &String)| {
            let now = match parts.get(name) {
                Some(text) => Some(bytes_digest(text.as_bytes())),
                None => file_digest(&folder.path().join(name)),
            };
            now.as_ref() != Some(*digest)
        };
        // A cell of an older version may lack a table that is written now.
        let missing = repeatable_parts()
            .map(|table| table.file)
            .find(|file| parts.get(file).is_none());
        missing
            .or_else(|| {
                let found = self.files.iter().find(altered);
                found.map(|(name, _)| name.as_str())
            })
            // Times have no digest, since a repeat has others; a power cut may have taken them.
            .or_else(|| {
                let times = read_text(&folder.part(TIMES.file)).ok().flatten();
                let is_whole = times.is_some_and(|times| TIMES.is_whole(&times));
                (!is_whole).then_some(TIMES.file)
            })
    }
}

/// blake3 of a regular file, absent where it can't be read: a file that can't be compared is not as it was.
pub fn file_digest(path: &Path) -> Option<String> {
    let read = || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(regular_file::open(path)?)?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    regular_file::again_if_stale(read).ok()
}

/// blake3 of bytes.
pub fn bytes_digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// blake3 of what a reader gives, absent where it fails.
pub(crate) fn digest(content: impl Read) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(content).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::WEIGHTS;

    #[test]
    fn an_outcome_whose_score_is_not_finite_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(folder.path());
        let mut outcome = Outcome::failed("aa", String::new(), 0);
        for (score, is_read) in [
            (0.75, true),
            (f64::NEG_INFINITY, false),
            (f64::INFINITY, false),
            (f64::NAN, false),
        ] {
            outcome.status = Status::Done;
            outcome.error = None;
            outcome.result = Some(OutcomeResult {
                selected_epoch: 1,
                epochs_run: 1,
                validation_score: score,
                parameters: 1,
                flops_per_row: 1,
            });
            outcome.write(&folder, &CellParts::default()).unwrap();
            assert_eq!(Outcome::read(&folder).is_ok(), is_read, "{score}");
        }
    }

    #[test]
    fn names_of_files_that_lead_out_of_the_cell_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(folder.path());
        for name in ["/dev/zero", "../x", "", "..", "a/b"] {
            let outcome = Outcome {
                status: Status::Done,
                error: None,
                result: Some(OutcomeResult {
                    selected_epoch: 1,
                    epochs_run: 1,
                    validation_score: 0.5,
                    parameters: 1,
                    flops_per_row: 1,
                }),
                files: BTreeMap::from([(name.to_owned(), "aa".to_owned())]),
                ..Outcome::failed("aa", String::new(), 0)
            };
            outcome.write(&folder, &CellParts::default()).unwrap();
            let said = Outcome::read(&folder).unwrap_err().said.to_string();
            assert!(said.contains("expected plain names of files"), "{said}");
        }
        // What it names is read only where it is a regular file.
        std::os::unix::fs::symlink("/dev/zero", folder.part("metrics.csv")).unwrap();
        assert_eq!(file_digest(&folder.part("metrics.csv")), None);
    }

    /// A cell that is done, with its weights and times.
    fn done(folder: &CellFolder) -> (Outcome, CellParts) {
        let mut parts = CellParts::of_content("a = 1\n".to_owned());
        for table in repeatable_parts() {
            parts.insert(table.file, &format!("{}\naa\n", table.header()));
        }
        std::fs::write(folder.weights(), "weights").unwrap();
        std::fs::write(folder.part(TIMES.file), TIMES.header() + "\naa\n").unwrap();
        let digest = file_digest(&folder.weights()).unwrap();
        let outcome = Outcome {
            files: BTreeMap::from([(WEIGHTS.to_owned(), digest)]),
            status: Status::Done,
            error: None,
            tries: None,
            result: Some(OutcomeResult {
                selected_epoch: 1,
                epochs_run: 1,
                validation_score: 0.5,
                parameters: 1,
                flops_per_row: 1,
            }),
            ..Outcome::failed("aa", String::new(), 0)
        };
        (outcome, parts)
    }

    #[test]
    fn a_cell_that_ended_is_one_file_beside_its_weights_and_times() {
        let place = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(place.path());
        let (outcome, parts) = done(&folder);
        std::fs::write(folder.content(), "a = 1\n").unwrap();
        std::fs::write(folder.part("gates.csv"), "of a cell of an older version").unwrap();
        outcome.write(&folder, &parts).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 3);
        let read = Outcome::read_with_parts(&folder).unwrap().unwrap();
        assert_eq!(read, (outcome.clone(), parts));
        assert_eq!(Outcome::read(&folder).unwrap(), Some(outcome));
        // Nothing in it is altered unnoticed.
        let text = std::fs::read_to_string(folder.outcome()).unwrap();
        for (from, to) in [
            ("a = 1", "a = 2"),
            ("metrics.csv", "metrics.cvs"),
            ("\naa\n", "\nbb\n"),
        ] {
            std::fs::write(folder.outcome(), text.replacen(from, to, 1)).unwrap();
            assert!(Outcome::read(&folder).is_err(), "{from}");
        }
    }

    #[test]
    fn a_cell_of_an_older_version_is_read_from_its_files_and_written_as_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(place.path());
        let (mut outcome, parts) = done(&folder);
        for name in with_files().filter(|name| parts.get(name).is_some()) {
            let text = parts.get(name).unwrap();
            std::fs::write(folder.part(name), text).unwrap();
            if name.ends_with(".csv") {
                let digest = bytes_digest(text.as_bytes());
                outcome.files.insert(name.to_owned(), digest);
            }
        }
        let text = text_of("", &outcome, "").unwrap();
        std::fs::write(folder.outcome(), text).unwrap();
        let read = Outcome::read_with_parts(&folder).unwrap().unwrap();
        assert_eq!(read, (outcome.clone(), parts.clone()));
        assert_eq!(outcome.altered_file(&folder, &parts), None);
        std::fs::write(folder.part("curves.csv"), b"\xff").unwrap();
        let (_, cut) = Outcome::read_with_parts(&folder).unwrap().unwrap();
        assert_eq!(outcome.altered_file(&folder, &cut), Some("curves.csv"));
        outcome.write(&folder, &parts).unwrap();
        let (outcome, parts) = Outcome::read_with_parts(&folder).unwrap().unwrap();
        assert_eq!(outcome.altered_file(&folder, &parts), None);
        assert_eq!(outcome.files.len(), 1);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_a_power_cut_took_is_named_whether_or_not_it_has_a_digest() {
        let place = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(place.path());
        let (outcome, mut parts) = done(&folder);
        assert_eq!(outcome.altered_file(&folder, &parts), None);
        let times = folder.part(TIMES.file);
        let header = TIMES.header() + "\n";
        let row = format!("{header}aa\n");
        for cut in ["", &row[..row.len() - 1], &header] {
            std::fs::write(&times, cut).unwrap();
            assert_eq!(
                outcome.altered_file(&folder, &parts),
                Some("throughput.csv")
            );
        }
        std::fs::write(&times, &row).unwrap();
        std::fs::write(folder.weights(), "").unwrap();
        assert_eq!(outcome.altered_file(&folder, &parts), Some(WEIGHTS));
        parts.take("metrics.csv");
        assert_eq!(outcome.altered_file(&folder, &parts), Some("metrics.csv"));
    }
}
