//! `facts.toml`: what a report says of the code and the data beside the numbers. It is written when the experiment runs, since the
//! program that draws the report later may know other models, other data and another order of rows.

use crate::atomic;
use crate::layout::ResultsFolder;
use crate::read::context::read_toml;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What stood in the code that ran the experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether training rows are too many to be shuffled as a whole, so that an epoch's order is a shuffle by blocks.
    #[serde(default)]
    pub shuffled_by_blocks: bool,
    /// The models of the experiment, in the order of the registry.
    #[serde(default)]
    pub models: Vec<ModelFact>,
    /// Its datasets that are built into homebench.
    #[serde(default)]
    pub sources: Vec<SourceFact>,
}

/// A model of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFact {
    /// Its name there.
    pub name: String,
    /// What it computes, in a line.
    pub equation: String,
    /// Where it was published.
    pub paper: String,
}

/// A dataset that is built in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFact {
    /// Name of the dataset.
    pub name: String,
    /// What its rows are.
    pub about: String,
}

impl Facts {
    /// Those of a folder; none where a homebench ran it that kept none.
    ///
    /// # Errors
    /// A file that is there but can't be read.
    pub fn read(folder: &Path) -> Result<Self> {
        read_toml(&ResultsFolder::new(folder).facts())
    }

    /// Writes the file, unless it says the same already.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, results: &ResultsFolder) -> Result<()> {
        let (path, text) = (results.facts(), toml::to_string(self)?);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        atomic::write(&path, |out| Ok(out.write_all(text.as_bytes())?))
    }
}
