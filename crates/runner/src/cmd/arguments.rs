//! Arguments that several commands share.

use crate::diagnostic::Diagnostic;
use crate::record::ResultsFolder;
use clap::Args;
use std::path::PathBuf;

/// A folder of results that is there.
#[derive(Debug, Args)]
pub(super) struct ResultsArgument {
    /// A folder that `homebench run` wrote
    #[arg(value_name = "RESULTS_DIR")]
    results: PathBuf,
}

impl ResultsArgument {
    /// The folder.
    ///
    /// # Errors
    /// Nothing there that `run` wrote.
    pub(super) fn open(&self) -> Result<ResultsFolder, Diagnostic> {
        let results = ResultsFolder::new(&self.results);
        if results.resolved_spec().is_file() {
            return Ok(results);
        }
        let name = self.results.display().to_string();
        Err(Diagnostic::new(
            name,
            "expected a folder of results, found no spec.resolved.toml in it",
        )
        .hint("`homebench run <spec.toml>` makes one, by default as results/<name of the spec>"))
    }
}
