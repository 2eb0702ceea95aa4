//! Arguments that several commands share.

use crate::data::Places;
use crate::diagnostic::Diagnostic;
use crate::record::ResultsFolder;
use clap::Args;
use std::path::PathBuf;

/// Where data is looked for.
#[derive(Debug, Clone, Args)]
pub struct PlacesArguments {
    /// Folder of the dataset descriptions [default: experiments/datasets]
    #[arg(long, value_name = "DIR")]
    descriptions: Option<PathBuf>,
    /// Folder of the source files [default: $HOMEBENCH_DATA, or .homebench/data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder of the prepared datasets [default: $HOMEBENCH_CACHE, or .homebench/cache]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

impl PlacesArguments {
    /// The folders.
    pub fn places(&self) -> Places {
        Places::resolve(
            self.descriptions.as_deref(),
            self.data_dir.as_deref(),
            self.cache_dir.as_deref(),
        )
    }
}

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
