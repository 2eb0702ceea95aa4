//! The weights that a cell starts from: those of another cell of the folder, looked at before they are believed.

use super::read_weights;
use candle_core::Tensor;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_results::{CellFolder, Outcome, Status, WEIGHTS, file_digest};
use std::collections::BTreeMap;
use std::path::Path;

/// What a cell starts from; nothing where all of its weights are fresh.
///
/// # Errors
/// A cell that is not done, is not what its id says, or was trained on other data; weights that are gone or were altered.
pub(super) fn start_weights(
    folder: &CellFolder,
    content: &CellContent,
) -> Result<Option<BTreeMap<String, Tensor>>, Diagnostic> {
    let Some(start) = &content.init_from else {
        return Ok(None);
    };
    let cells = folder.path().parent().unwrap_or(Path::new("."));
    let parent = CellFolder::new(cells.join(&start.cell));
    let refuse = |what: &str| {
        let name = parent.path().display().to_string();
        Diagnostic::new(
            name,
            format!("a cell starts from the weights of this one, and {what}"),
        )
        .hint("run the experiment again: the cell is then trained again, to the same bytes")
    };
    let found = CellContent::read(&parent.content())?;
    // Hashed anew: a folder that was copied or renamed by hand is not what its name says.
    if found.id() != start.cell {
        return Err(refuse("its cell.toml is not what was planned"));
    }
    if found.dataset != content.dataset {
        return Err(refuse("it was trained on other data or on another split"));
    }
    let outcome = Outcome::read(&parent)?;
    let done = outcome.filter(|outcome| outcome.id == start.cell && outcome.status == Status::Done);
    let Some(outcome) = done else {
        return Err(refuse("it is not done"));
    };
    let path = parent.weights();
    match outcome.files.get(WEIGHTS) {
        None => Err(refuse("it keeps none")),
        Some(digest) if file_digest(&path).as_ref() != Some(digest) => {
            Err(refuse(&format!("its {WEIGHTS} is gone or was altered")))
        }
        Some(_) => Ok(Some(read_weights(&path)?)),
    }
}
