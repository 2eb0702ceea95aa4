//! What of a plan is there already.

use super::planned_cell::PlannedCell;
use crate::spec::CellContent;
use homebench_results::{CellFolder, Outcome, Status};

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

/// Looks at what is there of a cell.
pub fn reuse(folder: &CellFolder, cell: &PlannedCell) -> Reuse {
    if !folder.outcome().exists() {
        return Reuse::Missing;
    }
    let Some(outcome) = Outcome::read(folder) else {
        return Reuse::Refused("its outcome.toml can't be read".to_owned());
    };
    if outcome.status == Status::Failed {
        return Reuse::Failed(outcome);
    }
    // The content is hashed anew: a folder that was copied or renamed by hand is not what its name says.
    let same_content = CellContent::read(&folder.content())
        .is_ok_and(|content| content.id() == cell.id && outcome.id == cell.id);
    if !same_content {
        return Reuse::Refused("its cell.toml is not what was planned".to_owned());
    }
    match outcome.altered_file(folder) {
        Some(file) => Reuse::Refused(format!("its {file} is gone or was altered")),
        None => Reuse::Done(outcome),
    }
}
