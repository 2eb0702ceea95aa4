//! `outcome.toml`: what became of a cell. Written last, so a cell without one never ended.

use super::atomic;
use super::kept::{Unusable, read_kept, text_of};
use super::layout::{CellFolder, is_plain};
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
    /// Files of the cell with their digests (blake3).
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

    /// Writes `outcome.toml`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &CellFolder) -> anyhow::Result<()> {
        let text = text_of("", self)?;
        atomic::write_unsynced(&folder.outcome(), |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// The outcome of a cell; nothing where it has none. A score that is not finite is none: no table could hold it.
    ///
    /// # Errors
    /// A file that can't be used: of a newer homebench, damaged, or altered.
    pub fn read(folder: &CellFolder) -> Result<Option<Self>, Unusable> {
        let path = folder.outcome();
        let Some(read) = read_kept::<Self>(&path)?.map(|kept| kept.content) else {
            return Ok(None);
        };
        match read.contradiction() {
            None => Ok(Some(read)),
            Some(why) => Err(Unusable::damaged(Diagnostic::new(
                path.display().to_string(),
                why,
            ))),
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

    /// Why a finished cell can't be used as it is: the name of a file that is gone or was altered.
    pub fn altered_file(&self, folder: &CellFolder) -> Option<&str> {
        let altered = |(name, digest): &(&String, &String)| {
            file_digest(&folder.path().join(name)).as_ref() != Some(*digest)
        };
        // A cell of an older version may lack a table that is written now.
        let missing = repeatable_parts()
            .map(|table| table.file)
            .find(|file| !self.files.contains_key(*file));
        missing
            .or_else(|| {
                let found = self.files.iter().find(altered);
                found.map(|(name, _)| name.as_str())
            })
            // Times have no digest, since a repeat has others; a power cut may have taken them.
            .or_else(|| {
                let is_whole = TIMES.is_whole(&folder.part(TIMES.file));
                (!is_whole).then_some(TIMES.file)
            })
    }
}

/// blake3 of a regular file, absent where it can't be read: a file that can't be compared is not as it was.
pub fn file_digest(path: &Path) -> Option<String> {
    digest(regular_file::open(path).ok()?)
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
            outcome.write(&folder).unwrap();
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
            outcome.write(&folder).unwrap();
            let said = Outcome::read(&folder).unwrap_err().said.to_string();
            assert!(said.contains("expected plain names of files"), "{said}");
        }
        // What it names is read only where it is a regular file.
        std::os::unix::fs::symlink("/dev/zero", folder.part("metrics.csv")).unwrap();
        assert_eq!(file_digest(&folder.part("metrics.csv")), None);
    }

    #[test]
    fn a_file_that_a_power_cut_took_is_named_whether_or_not_it_has_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CellFolder::new(folder.path());
        let mut outcome = Outcome::failed("aa", String::new(), 0);
        for table in repeatable_parts() {
            std::fs::write(folder.part(table.file), "a\n").unwrap();
            let digest = file_digest(&folder.part(table.file)).unwrap();
            outcome.files.insert(table.file.to_owned(), digest);
        }
        let times = folder.part(TIMES.file);
        let header = TIMES.header() + "\n";
        let row = format!("{header}aa\n");
        std::fs::write(&times, &row).unwrap();
        assert_eq!(outcome.altered_file(&folder), None);
        for cut in ["", &row[..row.len() - 1], &header] {
            std::fs::write(&times, cut).unwrap();
            assert_eq!(outcome.altered_file(&folder), Some("throughput.csv"));
        }
        std::fs::write(&times, &row).unwrap();
        std::fs::write(folder.part("metrics.csv"), "").unwrap();
        assert_eq!(outcome.altered_file(&folder), Some("metrics.csv"));
    }
}
