//! A final cell that is done, for commands that use its weights.

use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_model::PROGRAM;
use homebench_results::{CellFolder, Outcome, ResultsFolder, Status, WEIGHTS, file_digest};
use std::path::Path;

/// A cell whose weights can be used.
pub(super) struct FinishedCell {
    pub(super) folder: CellFolder,
    pub(super) content: CellContent,
    pub(super) results: ResultsFolder,
}

impl FinishedCell {
    /// The cell of a folder, looked at before it is believed.
    ///
    /// # Errors
    /// No final cell of a model that is done and whose weights are what homebench wrote.
    pub(super) fn open(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let folder = CellFolder::new(path);
        let refuse = |message: &str, hint: &str| Diagnostic::new(&name, message).hint(hint);
        let Some(content) = CellContent::read_if_any(&folder)? else {
            return Err(refuse(
                "expected the folder of a cell, and it has neither outcome.toml nor cell.toml",
                "name one as <results>/cells/<id>; cells.csv of the results says which id is which",
            ));
        };
        let outcome = Outcome::read(&folder)?;
        let outcome =
            outcome.filter(|outcome| outcome.status == Status::Done && outcome.id == content.id());
        let Some(outcome) = outcome else {
            return Err(refuse(
                "the cell is not done, so it has no weights",
                "run the experiment to its end, or name another cell",
            ));
        };
        if content.final_phase().is_none() {
            return Err(refuse(
                "the cell is a trial of tuning, whose weights are not kept",
                "name a final cell: cells.csv of the results has its phase",
            ));
        }
        if content.model.name == PROGRAM {
            return Err(refuse(
                "the cell is of a program of the user's, which keeps no weights here",
                "have the program itself score the rows",
            ));
        }
        let weights = folder.weights();
        let digest = outcome.files.get(WEIGHTS);
        if digest.is_none() || digest != file_digest(&weights).as_ref() {
            return Err(Diagnostic::new(
                weights.display().to_string(),
                "gone, or altered since homebench wrote it",
            )
            .hint("restore the file, or run the experiment again with --fresh"));
        }
        let Some(results) = folder.results() else {
            return Err(refuse(
                "the cell lies in no results folder, which keeps what reading rows takes",
                "name it where it was trained, as <results>/cells/<id>",
            ));
        };
        Ok(Self {
            folder,
            content,
            results,
        })
    }
}
