//! Arguments that several commands share.

use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_results::ResultsFolder;
use std::path::{Path, PathBuf};

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
        open_results(&self.results)
    }
}

/// The folder at `path`.
///
/// # Errors
/// Nothing there that `run` wrote.
pub(super) fn open_results(path: &Path) -> Result<ResultsFolder, Diagnostic> {
    let results = ResultsFolder::new(path);
    if !path.exists() {
        return Err(no_such_folder(path));
    }
    // It is written before the first cell, so also a run that was killed at once has one.
    if results.resolved_spec().is_file() {
        return Ok(results);
    }
    if results.provenance().is_file() {
        let path = results.resolved_spec().display().to_string();
        return Err(Diagnostic::new(path, "gone, or no regular file").hint(
            "restore it, or run the experiment again with `--fresh`, which replaces every cell",
        ));
    }
    Err(Diagnostic::new(
        path.display().to_string(),
        "expected a folder of results, found no spec.resolved.toml in it",
    )
    .hint("`homebench run <spec.toml>` makes one, by default as runs/<name of the spec>"))
}

/// Says that there is no such folder, and which one beside it is meant perhaps.
fn no_such_folder(path: &Path) -> Diagnostic {
    let beside = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let beside = std::fs::read_dir(beside.unwrap_or(Path::new(".")));
    let names: Vec<String> = beside
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let asked = path.file_name().unwrap_or_default().to_string_lossy();
    Diagnostic::new(path.display().to_string(), "no such folder")
        .hint("`homebench run <spec.toml>` makes one, by default as runs/<name of the spec>")
        .did_you_mean(&asked, names.iter().map(String::as_str))
}
