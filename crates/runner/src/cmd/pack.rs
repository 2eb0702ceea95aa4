//! `homebench pack`: a results folder that is small enough to commit.

use super::arguments::ResultsArgument;
use super::integrity::{exit_code, look, say};
use super::open_folder::extent_of;
use crate::execute::at_work;
use crate::output::note;
use bytesize::ByteSize;
use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_report::Folder;
use homebench_results::read::Results;
use homebench_results::{ResultsFolder, pack};
use std::path::PathBuf;
use std::process::ExitCode;

/// Copy a results folder in a form small enough to commit: tables, report.md and at most four figures
///
/// Long tables are compressed, and of what experts and gates did only the epoch of the selected weights is kept. Every command reads
/// the copy; `homebench figures` and `homebench report` draw in it what was left out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench pack runs/census --into results/census")]
pub(super) struct PackArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// The new folder; nothing may be there yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

impl PackArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        if let Some(work) = at_work(&results) {
            let name = results.path().display().to_string();
            return Err(Diagnostic::new(name, work.sentence())
                .hint("wait until it ends")
                .into());
        }
        let found = look(&results)?;
        if !found.is_empty() {
            // The copy would vouch for what nobody does.
            say(&results, &found);
            note!("nothing was packed");
            return Ok(exit_code(&found, ExitCode::SUCCESS));
        }
        let new = ResultsFolder::new(self.into);
        let packed = pack(&results, &new, |copy| {
            let read = Results::read(copy.path())?;
            let extent = extent_of(copy, &read);
            Folder::of(read, None)?.with_extent(extent).write_short()?;
            Ok(())
        })?;
        note!(
            "packed into {}: {} long tables, {} instead of {}",
            new.path().display(),
            packed.num_tables,
            ByteSize(packed.bytes_now),
            ByteSize(packed.bytes_before),
        );
        Ok(ExitCode::SUCCESS)
    }
}
