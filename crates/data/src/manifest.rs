//! What a prepared dataset says of itself.

use super::packed::Written;
use super::preparation_version::RULES;
use super::schema::Protocol;
use super::table::PreparedTable;
use super::table::split_assignment::TEST;
use super::{DataWarning, DatasetRef, Numbers, RowSubset, SPLITS};
use crate::schema::Pooling;
use serde::{Deserialize, Serialize};

/// The manifest's file in the folder of a dataset.
pub(super) const MANIFEST: &str = "manifest.toml";

/// What a prepared dataset says of itself; written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) preparation_version: u32,
    /// [`RULES`] of the version that prepared it.
    #[serde(default)]
    pub(super) rules: u32,
    pub(super) content_hash: String,
    pub(super) numeric: Vec<String>,
    /// Files in the order of [`SPLITS`].
    pub(super) files: Vec<FileEntry>,
    pub(super) categorical: Vec<CategoricalEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lists: Vec<ListEntry>,
    /// Embedding tables that have pretrained vectors, with the numbers of each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pretrained: Vec<PretrainedEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<DataWarning>,
    /// Files beside the splits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<OtherFile>,
    /// Names of the columns that stay with the rows, where it holds these and no splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) carried: Option<Vec<String>>,
    /// What it was made from; for lists of the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<Reference>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PretrainedEntry {
    pub(super) table: String,
    pub(super) width: usize,
}

/// A file beside the splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OtherFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

/// What a spec or a command asked for when the dataset was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reference {
    dataset: String,
    protocol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split_seed: Option<u64>,
    /// BLAKE3 of what the description said.
    description_blake3: String,
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    knobs: toml::Table,
}

impl Reference {
    pub(super) fn new(reference: &DatasetRef, protocol: &Protocol) -> Self {
        Self {
            dataset: reference.name.clone(),
            protocol: protocol.name.clone(),
            split_seed: reference.split_seed,
            description_blake3: digest(&protocol.canonical()),
            knobs: reference.knobs.clone(),
        }
    }

    /// The same request, as far as a description decides what comes of it.
    pub(super) fn dataset_ref(&self) -> DatasetRef {
        DatasetRef {
            name: self.dataset.clone(),
            protocol: Some(self.protocol.clone()),
            rows: RowSubset::All,
            split_seed: self.split_seed,
            knobs: self.knobs.clone(),
        }
    }

    /// Whether it was made by a description that says this.
    pub(super) fn is_of(&self, canonical: &str) -> bool {
        self.description_blake3 == digest(canonical)
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ListEntry {
    pub(super) name: String,
    pub(super) vocabulary_size: usize,
    /// Of sum, of mean where absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_sum: bool,
    /// Ids of a training row in the mean; absent where an older version prepared the dataset, which is then made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mean_length: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CategoricalEntry {
    pub(super) name: String,
    pub(super) vocabulary_size: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    pub(super) split: String,
    pub(super) rows: usize,
    /// By task; none for the test split, which nobody looks at.
    pub(super) positives: Vec<usize>,
    /// By task, where a label is not observed on every row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) observed: Vec<usize>,
    /// Of the tasks of regression; none for the test split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) numbers: Vec<NumbersEntry>,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NumbersEntry {
    pub(super) task: usize,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) least: f32,
    pub(super) most: f32,
}

impl Manifest {
    /// The manifest of what was prepared.
    pub(super) fn new(
        preparation_version: u32,
        content_hash: &str,
        reference: Reference,
        table: PreparedTable,
        warnings: Vec<DataWarning>,
        others: Vec<OtherFile>,
    ) -> Self {
        let files = SPLITS.iter().zip(table.written);
        Self {
            preparation_version,
            rules: RULES,
            content_hash: content_hash.to_owned(),
            warnings,
            others,
            carried: None,
            reference: Some(reference),
            numeric: table.numeric,
            files: files
                .map(|(split, written)| FileEntry::new(split, written))
                .collect(),
            pretrained: table
                .pretrained
                .into_iter()
                .map(|(table, width)| PretrainedEntry { table, width })
                .collect(),
            categorical: table
                .categorical
                .into_iter()
                .map(|feature| CategoricalEntry {
                    name: feature.name,
                    vocabulary_size: feature.vocabulary_size,
                })
                .collect(),
            lists: table
                .lists
                .into_iter()
                .map(|feature| ListEntry {
                    name: feature.name,
                    vocabulary_size: feature.vocabulary_size,
                    is_sum: feature.pooling == Pooling::Sum,
                    mean_length: Some(feature.mean_length),
                })
                .collect(),
        }
    }
}

impl FileEntry {
    fn new(split: &str, written: Written) -> Self {
        let mut entry = Self {
            split: split.to_owned(),
            rows: written.rows,
            positives: Vec::new(),
            observed: Vec::new(),
            numbers: Vec::new(),
            bytes: written.bytes,
            blake3: written.blake3,
        };
        // The manifest is read before selection is over, so it says nothing of the labels of the test split.
        if split == SPLITS[TEST] {
            return entry;
        }
        entry.positives = written.positives;
        if written.observed.iter().any(|rows| *rows != written.rows) {
            entry.observed = written.observed;
        }
        entry.numbers = written
            .numbers
            .into_iter()
            .map(NumbersEntry::from)
            .collect();
        entry
    }
}

impl From<(usize, Numbers)> for NumbersEntry {
    fn from((task, numbers): (usize, Numbers)) -> Self {
        Self {
            task,
            mean: numbers.mean,
            deviation: numbers.deviation,
            least: numbers.least,
            most: numbers.most,
        }
    }
}

impl NumbersEntry {
    /// What is told of them.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            mean: self.mean,
            deviation: self.deviation,
            least: self.least,
            most: self.most,
        }
    }
}
