//! `facts.toml`: what a report says of the code and the data beside the numbers. It is written when the experiment runs, since the
//! program that draws the report later may know other models, other data and another order of rows.

use crate::kept::{Unusable, read_kept, write_kept};
use crate::layout::ResultsFolder;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What stood in the code that ran the experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Whether training rows are too many to be shuffled as a whole, so that an epoch's order is a shuffle by blocks.
    #[serde(default)]
    pub shuffled_by_blocks: bool,
    /// By what epochs and trials were selected, after "selected by", where the spec chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_by: Option<String>,
    /// Variants that start from others' weights, or leave a part of their own as it is, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<StartFact>,
    /// The models of the experiment, in the order of the registry.
    #[serde(default)]
    pub models: Vec<ModelFact>,
    /// What stands between the input and models of the experiment, in the order of the docs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bottoms: Vec<ModelFact>,
    /// Its datasets that are built into homebench.
    #[serde(default)]
    pub sources: Vec<SourceFact>,
}

/// A model of the registry, or a bottom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFact {
    /// Its name there.
    pub name: String,
    /// What it computes, in a line.
    pub equation: String,
    /// Where it was published.
    pub paper: String,
}

/// What the training of a variant begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFact {
    /// Its name.
    pub variant: String,
    /// Name of the variant whose cells its own start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What starts from there and what is frozen, in words, after the name.
    pub said: String,
}

/// A dataset that is built in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// A file that is there but can't be used.
    pub fn read(folder: &Path) -> Result<Self, Unusable> {
        let kept = read_kept(&ResultsFolder::new(folder).facts())?;
        Ok(kept.map(|kept| kept.content).unwrap_or_default())
    }

    /// Writes the file. What it says of a model or a source already stays: cells were trained by the program that wrote it, and a
    /// later one may say otherwise.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn write(mut self, results: &ResultsFolder) -> Result<()> {
        let there = Self::read(results.path()).map_err(Diagnostic::from)?;
        for (own, there) in [
            (&mut self.models, &there.models),
            (&mut self.bottoms, &there.bottoms),
        ] {
            for model in own {
                if let Some(kept) = there.iter().find(|kept| kept.name == model.name) {
                    model.clone_from(kept);
                }
            }
        }
        for source in &mut self.sources {
            if let Some(kept) = there.sources.iter().find(|kept| kept.name == source.name) {
                source.clone_from(kept);
            }
        }
        write_kept(&results.facts(), "", &self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, equation: &str) -> ModelFact {
        ModelFact {
            name: name.to_owned(),
            equation: equation.to_owned(),
            paper: String::new(),
        }
    }

    #[test]
    fn what_was_said_when_cells_were_trained_stays_and_a_new_model_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let write = |models: Vec<ModelFact>| {
            let facts = Facts {
                models,
                ..Facts::default()
            };
            facts.write(&results).unwrap();
            Facts::read(folder.path()).unwrap().models
        };
        assert_eq!(write(vec![model("home", "old")]), [model("home", "old")]);
        assert_eq!(
            write(vec![model("mmoe", "new"), model("home", "new")]),
            [model("mmoe", "new"), model("home", "old")]
        );
        // As an experiment begun anew removes it.
        std::fs::remove_file(results.facts()).unwrap();
        assert_eq!(write(vec![model("home", "new")]), [model("home", "new")]);
    }
}
