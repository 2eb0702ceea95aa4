//! Names of the files and folders of an experiment's results.

use super::cell_parts::CONTENT;
use super::kept::Unusable;
use super::outcome::Outcome;
use super::regular::read_text;
use homebench_diagnostic::Diagnostic;
use std::io;
use std::path::{Path, PathBuf};

/// `results/<experiment>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFolder(PathBuf);

/// `results/<experiment>/cells/<id>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellFolder(PathBuf);

impl ResultsFolder {
    /// The name of the folder of what was submitted to clusters.
    pub const CLUSTER: &str = ".cluster";

    /// The results at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The log of a cell, from this folder.
    pub fn cell_log(id: &str) -> String {
        format!("cells/{id}/log.txt")
    }

    /// The folder of a cell.
    pub fn cell(&self, id: &str) -> CellFolder {
        CellFolder(self.0.join("cells").join(id))
    }

    /// Ids of the cells that were started, in their order.
    ///
    /// # Errors
    /// A folder of cells that can't be read.
    pub fn cell_ids(&self) -> Result<Vec<String>, Diagnostic> {
        let folder = self.join("cells");
        let refuse = |error: io::Error| {
            let said = format!("can't be read: {error}");
            Diagnostic::new(folder.display().to_string(), said)
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Also where the results folder itself is none, which whoever writes there is told.
            Err(_) if std::fs::symlink_metadata(&folder).is_err() => return Ok(Vec::new()),
            Err(error) => return Err(refuse(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(refuse)?;
            // What is no folder, or has a name that no id has, is not homebench's.
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().is_dir()
            {
                ids.push(name);
            }
        }
        // The order of a directory is the file system's.
        ids.sort();
        Ok(ids)
    }

    /// One row per cell: what became of it.
    pub fn cells_csv(&self) -> PathBuf {
        self.join("cells.csv")
    }

    /// The resolved spec.
    pub fn resolved_spec(&self) -> PathBuf {
        self.join("spec.resolved.toml")
    }

    /// Which trials won.
    pub fn winners(&self) -> PathBuf {
        self.join("winners.toml")
    }

    /// Where the numbers came from.
    pub fn provenance(&self) -> PathBuf {
        self.join("provenance.toml")
    }

    /// What the code that ran says of models and data.
    pub fn facts(&self) -> PathBuf {
        self.join("facts.toml")
    }

    /// What is kept of the data with this content hash: its description, and what preparation learned.
    pub fn data(&self, content_hash: &str) -> PathBuf {
        self.join("data").join(data_folder_name(content_hash))
    }

    /// How the run that is under way goes.
    pub fn progress(&self) -> PathBuf {
        self.join(".progress.toml")
    }

    /// What was submitted to clusters, each in a folder of its own.
    pub fn cluster(&self) -> PathBuf {
        self.join(Self::CLUSTER)
    }

    /// Held by the one parent that may write here.
    pub fn lock(&self) -> PathBuf {
        self.join(".lock")
    }

    /// Who that is, and that it is still there.
    pub fn lease(&self) -> PathBuf {
        self.join(".lease")
    }
}

/// The file of a cell's selected weights.
pub const WEIGHTS: &str = "weights.safetensors";

/// Digits of a content hash that name a folder.
const DATA_DIGITS: usize = 16;

/// The name of the folder of what is kept of data.
pub(crate) fn data_folder_name(content_hash: &str) -> &str {
    content_hash.get(..DATA_DIGITS).unwrap_or(content_hash)
}

/// The cell that a path in a results folder is of.
pub fn cell_of(name: &str) -> Option<&str> {
    let (id, _) = name.strip_prefix("cells/")?.split_once('/')?;
    Some(id)
}

/// Whether a name is that of a file, and of no path that leads elsewhere.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

impl CellFolder {
    /// The cell at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved content, written by the parent before the cell starts. Once the cell has ended its outcome has it, and this is gone.
    pub fn content(&self) -> PathBuf {
        self.0.join(CONTENT)
    }

    /// Whether its content is anywhere: one without was killed as it was begun.
    pub fn has_content(&self) -> bool {
        self.content().exists() || self.outcome().exists()
    }

    /// The text of its content, and the file that has it; nothing where there is none.
    ///
    /// # Errors
    /// A file that can't be used.
    pub fn content_text(&self) -> Result<Option<(PathBuf, String)>, Unusable> {
        let path = self.content();
        if let Some(text) = read_text(&path).map_err(Unusable::damaged)? {
            return Ok(Some((path, text)));
        }
        let ended = Outcome::read_file(self)?;
        let text = ended.and_then(|(_, mut parts)| parts.take(CONTENT));
        Ok(text.map(|text| (self.outcome(), text)))
    }

    /// What became of the cell, written last, with its content and its parts of the tables.
    pub fn outcome(&self) -> PathBuf {
        self.0.join("outcome.toml")
    }

    /// Everything the cell said on stderr; gone once it is done and has said nothing.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// The training under way; gone once the cell is done.
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The selected weights.
    pub fn weights(&self) -> PathBuf {
        self.0.join(WEIGHTS)
    }

    /// What the selected weights say of the rows of a split.
    pub fn predictions(&self, split: &str) -> PathBuf {
        self.0.join(format!("predictions.{split}.parquet"))
    }

    /// The results that the cell is of, where it lies in their folder.
    pub fn results(&self) -> Option<ResultsFolder> {
        // The last part of a path that was given as `.` is none.
        let path = std::fs::canonicalize(&self.0).ok()?;
        let cells = path.parent()?;
        let is_its = cells.file_name()? == "cells";
        is_its.then(|| Some(ResultsFolder(cells.parent()?.to_path_buf())))?
    }

    /// The file of the cell's part of a merged table: that of its times, and those of cells of older versions.
    pub fn part(&self, table: &str) -> PathBuf {
        self.0.join(table)
    }
}
