//! The cells of an experiment, in a fixed order: variants as in the file, then seeds.

use super::glob::matches_glob;
use crate::data::Summary;
use crate::diagnostic::Diagnostic;
use crate::record::MergedCell;
use crate::record::Outcome;
use crate::spec::{CellContent, Device, Experiment};

/// Every cell of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Cells in order.
    pub cells: Vec<PlannedCell>,
}

/// A cell to be.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCell {
    /// Hash of the content.
    pub id: String,
    /// Everything that decides its numbers.
    pub content: CellContent,
}

impl Plan {
    /// The plan of an experiment on a prepared dataset.
    pub fn new(experiment: &Experiment, dataset: &Summary, device: Device) -> Self {
        let cells = experiment.variants.iter().flat_map(|variant| {
            experiment.seeds.iter().map(move |seed| {
                PlannedCell::new(CellContent::new(
                    experiment,
                    variant,
                    *seed,
                    device,
                    &dataset.protocol,
                    &dataset.content_hash,
                ))
            })
        });
        Self {
            cells: cells.collect(),
        }
    }

    /// The cells that `--only` asks for; all of them where it is not given.
    ///
    /// # Errors
    /// A pattern that no cell has.
    pub fn select(&self, only: Option<&str>) -> Result<Vec<&PlannedCell>, Diagnostic> {
        let Some(pattern) = only else {
            return Ok(self.cells.iter().collect());
        };
        let chosen: Vec<_> = self
            .cells
            .iter()
            .filter(|cell| {
                matches_glob(pattern, &cell.label())
                    || matches_glob(pattern, &cell.content.variant)
                    || matches_glob(pattern, &cell.id)
            })
            .collect();
        if chosen.is_empty() {
            let labels: Vec<String> = self.cells.iter().map(PlannedCell::label).collect();
            return Err(Diagnostic::new(
                format!("--only {pattern}"),
                format!(
                    "no cell is named so; expected a pattern of: {}",
                    labels.join(", ")
                ),
            )
            .hint("quote the pattern, or the shell takes its stars: --only 'home/*'"));
        }
        Ok(chosen)
    }
}

impl PlannedCell {
    /// The cell of this content.
    pub fn new(content: CellContent) -> Self {
        Self {
            id: content.id(),
            content,
        }
    }

    /// What a user calls it: `variant/seed`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.content.variant, self.content.seed)
    }

    /// The cell with what became of it.
    pub fn merged(&self, outcome: Outcome) -> MergedCell {
        MergedCell {
            variant: self.content.variant.clone(),
            model: self.content.model.name.clone(),
            dataset: self.content.dataset.name.clone(),
            seed: self.content.seed,
            split_seed: None,
            trial: None,
            settings: Vec::new(),
            outcome,
        }
    }
}
