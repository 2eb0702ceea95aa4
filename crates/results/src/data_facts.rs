//! `data/<hash>/data.toml`: what was asked of the data that cells learned from, and what is kept beside it to read new rows as those.

use crate::kept::{Unusable, read_kept, write_kept};
use crate::layout::ResultsFolder;
use crate::used_data::UsedData;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name.
const FILE: &str = "data.toml";

/// What was asked of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFacts {
    /// What tables call the dataset.
    pub title: String,
    /// Name of the description.
    pub name: String,
    /// The protocol.
    pub protocol: String,
    /// Hash of the description, the subset of rows and every source file.
    pub content_hash: String,
    /// Digest (blake3) of what the description means under the protocol.
    pub canonical_blake3: String,
    /// Which rows are used, where not all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// How rows are divided, in words.
    pub division: String,
    /// Which rows are kept, as an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Digests (blake3) of the files beside this one.
    #[serde(default)]
    pub files_blake3: BTreeMap<String, String>,
    /// Train, validation and test.
    pub splits: Vec<SplitFact>,
    /// The tasks in order.
    pub tasks: Vec<TaskFact>,
    /// The inputs in order.
    #[serde(default)]
    pub features: Vec<FeatureFact>,
}

/// A split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFact {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The least value of the column that divides by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFact {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// What the label is, as an expression; absent where an embedded source makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Which rows observe it, where not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Whether the label is a number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_regression: bool,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureFact {
    /// Its name.
    pub name: String,
    /// `categorical`, `numeric`, `bucket`, `hash` or `list`.
    pub kind: String,
    /// The column that it is made from, where it has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl DataFacts {
    /// Those in a folder of data; nothing where there are none.
    ///
    /// # Errors
    /// A file that is there but can't be used.
    pub fn read(folder: &Path) -> Result<Option<Self>, Unusable> {
        Ok(read_kept(&folder.join(FILE))?.map(|kept| kept.content))
    }

    /// Those of every dataset that cells of a results folder learned from, in the order of their titles; none where an older homebench
    /// ran it.
    ///
    /// # Errors
    /// A file that is there but can't be used.
    pub fn read_all(results: &ResultsFolder) -> Result<Vec<Self>, Unusable> {
        Self::read_used(results, &UsedData::read(results))
    }

    pub(crate) fn read_used(
        results: &ResultsFolder,
        used: &UsedData,
    ) -> Result<Vec<Self>, Unusable> {
        let mut all = Vec::new();
        let entries = std::fs::read_dir(results.join("data"));
        for entry in entries.into_iter().flatten().flatten() {
            if used.has_folder(&entry.file_name().to_string_lossy()) {
                all.extend(Self::read(&entry.path())?);
            }
        }
        all.sort_by(|a, b| (&a.title, &a.content_hash).cmp(&(&b.title, &b.content_hash)));
        Ok(all)
    }

    /// Writes the file into a folder of data.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_kept(&folder.join(FILE), "", self)
    }
}
