//! The cell that another starts from or learns from: one of the folder, looked at before it is believed.

use super::read_weights;
use anyhow::Result;
use candle_core::Tensor;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_model::ModelConfig;
use homebench_results::{CellFolder, Outcome, Status, WEIGHTS, file_digest};
use homebench_train::{CellSettings, DistillFrom, StartFrom, TrainingConfig};
use std::collections::BTreeMap;
use std::path::Path;

/// A cell that was done before.
pub(super) struct CellBefore {
    model: ModelConfig,
    training: TrainingConfig,
    weights: BTreeMap<String, Tensor>,
}

impl CellBefore {
    /// That which a cell starts from or learns from; nothing where its weights are fresh and it learns from labels alone.
    ///
    /// # Errors
    /// A cell that is not done, is not what its id says, or was trained on other data or with another seed than it should; weights that
    /// are gone or were altered.
    pub(super) fn read(folder: &CellFolder, content: &CellContent) -> Result<Option<Self>> {
        let Some(id) = content.parent_cell() else {
            return Ok(None);
        };
        let cells = folder.path().parent().unwrap_or(Path::new("."));
        let before = CellFolder::new(cells.join(id));
        let found = CellContent::read(&before)?;
        let weights = weights(&before, id, &found, content)?;
        Ok(Some(Self {
            model: found.model_config()?,
            training: found.training,
            weights,
        }))
    }

    /// Tells the trainer of the cell `content` of it.
    pub(super) fn tell<'a>(&'a self, content: &'a CellContent, settings: &mut CellSettings<'a>) {
        settings.start = content.init_from.as_ref().map(|start| StartFrom {
            paths: &start.variables,
            weights: &self.weights,
        });
        settings.distill = content.distill.as_ref().map(|distill| DistillFrom {
            how: &distill.how,
            model: &self.model,
            training: &self.training,
            weights: &self.weights,
        });
    }
}

fn weights(
    before: &CellFolder,
    id: &str,
    found: &CellContent,
    content: &CellContent,
) -> Result<BTreeMap<String, Tensor>, Diagnostic> {
    let refuse = |what: &str| {
        let name = before.path().display().to_string();
        let does = match content.distill {
            Some(_) => "learns from the features",
            None => "starts from the weights",
        };
        Diagnostic::new(name, format!("a cell {does} of this one, and {what}"))
            .hint("run the experiment again: the cell is then trained again, to the same bytes")
    };
    // Hashed anew: a folder that was copied or renamed by hand is not what its name says.
    if found.id() != id {
        return Err(refuse("its cell.toml is not what was planned"));
    }
    if found.dataset != content.dataset {
        return Err(refuse("it was trained on other data or on another split"));
    }
    if content.distill.is_some() && found.seed != content.seed {
        return Err(refuse("it was trained with another seed"));
    }
    // A final cell has read the test split; what is chosen by trials may not come to know of it.
    if found.phase.is_final() && !content.phase.is_final() {
        return Err(refuse("it has read the test split, which no trial may"));
    }
    let outcome = Outcome::read(before)?;
    let done = outcome.filter(|outcome| outcome.id == id && outcome.status == Status::Done);
    let Some(outcome) = done else {
        return Err(refuse("it is not done"));
    };
    let path = before.weights();
    match outcome.files.get(WEIGHTS) {
        None => Err(refuse("it keeps none")),
        Some(digest) if file_digest(&path).as_ref() != Some(digest) => {
            Err(refuse(&format!("its {WEIGHTS} is gone or was altered")))
        }
        Some(_) => Ok(read_weights(&path)?),
    }
}

#[cfg(test)]
mod tests;
