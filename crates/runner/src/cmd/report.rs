//! `homebench report` and `homebench figures`: both read the CSV files of a results folder and nothing else.

use super::arguments::ResultsArgument;
use super::integrity::{exit_code, look, say};
use crate::execute::FolderLock;
use crate::output::{note, write_answer};
use clap::Args;
use homebench_report::Folder;
use homebench_results::{ResultsFolder, seal_external};
use std::process::ExitCode;

/// Write report.md, report.html and tables/ of a results folder and print its table
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  homebench report results/census\n  homebench report results/census --baseline mmoe"
)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// The variant that the others are compared with [default: the spec's `baseline`, single-task, or the first of the plan]
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,
    /// Take scores in external/ that were changed since they were first seen as they are now
    #[arg(long)]
    accept_external: bool,
}

/// Draw the charts of a results folder as SVG and PNG
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench figures results/census")]
pub(super) struct FiguresArguments {
    #[command(flatten)]
    results: ResultsArgument,
}

impl ReportArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        let _lock = FolderLock::take_to_draw(&results)?;
        let mut found = look(&results)?;
        if self.accept_external {
            found.retain(|finding| !finding.file.starts_with("external/"));
        }
        say(&results, &found);
        let read = Folder::read(results.path(), self.baseline.as_deref())?;
        let mut folder = read.with_findings(found.clone());
        folder.write_report()?;
        say_notes(&folder);
        write_answer(&folder.terminal_table())?;
        // What is seen for the first time, and was read without a fault, is known from now on.
        match self.accept_external {
            true => seal_external(&results, true)?,
            false => seal_new_external(&results)?,
        }
        Ok(exit_code(&found, ExitCode::SUCCESS))
    }
}

impl FiguresArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        let _lock = FolderLock::take_to_draw(&results)?;
        let found = look(&results)?;
        say(&results, &found);
        let mut folder = Folder::read(results.path(), None)?;
        let paths = folder.write_figures()?;
        say_notes(&folder);
        let lines = paths.iter().map(|path| format!("{}\n", path.display()));
        write_answer(&lines.collect::<String>())?;
        Ok(exit_code(&found, ExitCode::SUCCESS))
    }
}

/// What was found among the files that were there.
pub(super) fn say_notes(folder: &Folder) {
    for said in folder.notes() {
        note!("{said}");
    }
}

/// A provenance that can't be used was said before.
fn seal_new_external(results: &ResultsFolder) -> anyhow::Result<()> {
    match homebench_results::Ledger::read(results) {
        Ok(_) => seal_external(results, false),
        Err(_) => Ok(()),
    }
}
