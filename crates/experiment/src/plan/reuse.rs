//! What of a plan is there already.

use super::planned_cell::PlannedCell;
use crate::spec::CellContent;
use homebench_diagnostic::Diagnostic;
use homebench_results::tables::{CurvesRow, Table, rows_of_text};
use homebench_results::{
    CellFolder, Finding, Flaw, Outcome, OutcomeResult, Problem, ResultsFolder, Status,
};
use homebench_train::{CurvePoint, SplitName, selected_by};
use rayon::prelude::*;

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
    let (outcome, mut parts) = match Outcome::read_with_parts(folder) {
        Ok(None) => return Reuse::Missing,
        Ok(Some(read)) => read,
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
    let content = parts.content();
    let content = content.and_then(|text| CellContent::parse("", text).ok());
    let is_planned =
        content.is_some_and(|content| content.id() == cell.id && outcome.id == cell.id);
    if !is_planned {
        return Reuse::Refused("its cell.toml is not what was planned".to_owned());
    }
    if outcome.status == Status::Failed {
        return Reuse::Failed(outcome);
    }
    if let Some(file) = outcome.altered_file(folder, &parts) {
        return Reuse::Refused(format!("its {file} is gone or was altered"));
    }
    let curve = parts.take(CurvesRow::FILE).unwrap_or_default();
    match outcome
        .result
        .as_ref()
        .filter(|result| !is_of_its_curve(result, curve, &cell.content))
    {
        Some(_) => Reuse::Refused("its score is not that of its curves.csv".to_owned()),
        None => Reuse::Done(outcome),
    }
}

/// Whether a cell's score and epoch are those that its learning curve selects.
fn is_of_its_curve(result: &OutcomeResult, curve: String, content: &CellContent) -> bool {
    let curve = rows_of_text::<CurvesRow, _>(CurvesRow::FILE.into(), curve, |row, _| {
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
    let ids = results.cell_ids()?;
    let looked = ids.into_par_iter().map(|id| unknown_cell(results, &id));
    let looked: Vec<Option<Finding>> = looked.collect::<Result<_, _>>()?;
    Ok(looked.into_iter().flatten().collect())
}

fn unknown_cell(results: &ResultsFolder, id: &str) -> Result<Option<Finding>, Diagnostic> {
    let folder = results.cell(id);
    // Once it has ended, its outcome has it.
    let name = match folder.content().exists() || !folder.outcome().exists() {
        true => "cell.toml",
        false => "outcome.toml",
    };
    let problem = match CellContent::read_if_any(&folder) {
        Ok(Some(content)) if content.id() == id => return Ok(None),
        Ok(Some(_)) => Problem::Altered,
        // A start that was killed before it wrote it.
        Ok(None) if !folder.outcome().exists() => return Ok(None),
        Ok(None) => Problem::Gone,
        Err(unusable) if unusable.flaw == Flaw::Newer => return Err(unusable.said),
        Err(_) => Problem::Damaged,
    };
    Ok(Some(Finding {
        file: format!("cells/{id}/{name}"),
        problem,
        detail: None,
    }))
}

/// What is there of many cells, in their order. Several at a time: on a file system of a network most of it is waiting.
pub fn reuse_all(results: &ResultsFolder, cells: &[&PlannedCell]) -> Vec<Reuse> {
    let looked = cells
        .par_iter()
        .map(|cell| reuse(&results.cell(&cell.id), cell));
    looked.collect()
}
