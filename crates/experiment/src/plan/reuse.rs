//! What of a plan is there already.

use super::planned_cell::PlannedCell;
use crate::spec::CellContent;
use homebench_diagnostic::Diagnostic;
use homebench_results::tables::{CurvesRow, read_rows};
use homebench_results::{
    CellFolder, Finding, Flaw, Outcome, OutcomeResult, Problem, ResultsFolder, Status,
};
use homebench_train::{CurvePoint, SplitName, selected_by};

/// Whether a cell has to be trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Reuse {
    /// It is done, and its files are as it wrote them.
    Done(Outcome),
    /// It was never started, or was ended from outside.
    Missing,
    /// It failed.
    Failed(Outcome),
    /// It is done, but what is there can't be trusted.
    Refused(String),
}

impl Reuse {
    /// Whether the cell is not run again: neither is one whose training failed, unlike one that was killed.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Done(_) => true,
            Self::Failed(outcome) => !outcome.may_end_otherwise,
            Self::Missing | Self::Refused(_) => false,
        }
    }
}

/// Looks at what is there of a cell.
pub fn reuse(folder: &CellFolder, cell: &PlannedCell) -> Reuse {
    let outcome = match Outcome::read(folder) {
        Ok(None) => return Reuse::Missing,
        Ok(Some(outcome)) => outcome,
        Err(unusable) => {
            let what = match unusable.flaw {
                Flaw::Newer => "was written by a newer homebench",
                Flaw::Damaged => "is damaged",
                Flaw::Altered => "was altered",
            };
            return Reuse::Refused(format!("its outcome.toml {what}"));
        }
    };
    // The content is hashed anew: a folder that was copied or renamed by hand is not what its name says.
    let same_content = CellContent::read(&folder.content())
        .is_ok_and(|content| content.id() == cell.id && outcome.id == cell.id);
    if !same_content {
        return Reuse::Refused("its cell.toml is not what was planned".to_owned());
    }
    if outcome.status == Status::Failed {
        return Reuse::Failed(outcome);
    }
    if let Some(file) = outcome.altered_file(folder) {
        return Reuse::Refused(format!("its {file} is gone or was altered"));
    }
    match outcome
        .result
        .as_ref()
        .filter(|result| !is_of_its_curve(result, folder, &cell.content))
    {
        Some(_) => Reuse::Refused("its score is not that of its curves.csv".to_owned()),
        None => Reuse::Done(outcome),
    }
}

/// Whether a cell's score and epoch are those that its learning curve selects.
fn is_of_its_curve(result: &OutcomeResult, folder: &CellFolder, content: &CellContent) -> bool {
    let curve = read_rows::<CurvesRow, _>(folder.path(), |row, _| {
        let is_its = row.split == SplitName::Validation.name();
        let moment = (row.epoch as usize, row.step as usize);
        let point = || CurvePoint::on_validation(moment, row.task, row.metric, row.value);
        Ok(is_its.then(point).flatten())
    });
    // As training has it, in single precision.
    let is_trained = |task: &str| {
        let weight = content.training.task_weights.get(task);
        weight.is_none_or(|weight| *weight as f32 != 0.0)
    };
    let selected = curve.ok();
    let selected = selected.and_then(|curve| selected_by(&curve, &content.selection, is_trained));
    selected == Some((result.selected_epoch, result.validation_score))
}

/// Cells that were started and of which it can't be told what they are.
///
/// # Errors
/// A cell of a newer homebench; a folder that can't be read.
pub fn unknown_cells(results: &ResultsFolder) -> Result<Vec<Finding>, Diagnostic> {
    let mut found = Vec::new();
    for id in results.cell_ids()? {
        let file = format!("cells/{id}/cell.toml");
        let problem = match CellContent::read_if_any(&results.cell(&id).content()) {
            Ok(Some(content)) if content.id() == id => continue,
            Ok(Some(_)) => Problem::Altered,
            // A start that was killed before it wrote it.
            Ok(None) if !results.cell(&id).outcome().exists() => continue,
            Ok(None) => Problem::Gone,
            Err(unusable) if unusable.flaw == Flaw::Newer => return Err(unusable.said),
            Err(_) => Problem::Damaged,
        };
        found.push(Finding {
            file,
            problem,
            detail: None,
        });
    }
    Ok(found)
}
