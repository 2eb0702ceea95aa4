//! `homebench report` and `homebench figures`: both read the CSV files of a results folder and nothing else.

use super::arguments::ResultsArgument;
use crate::execute::FolderLock;
use crate::output::write_answer;
use clap::Args;
use homebench_report::Folder;
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
        let mut folder = Folder::read(results.path(), self.baseline.as_deref())?;
        folder.write_report()?;
        write_answer(&folder.terminal_table())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl FiguresArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        let _lock = FolderLock::take_to_draw(&results)?;
        let paths = Folder::read(results.path(), None)?.write_figures()?;
        let lines = paths.iter().map(|path| format!("{}\n", path.display()));
        write_answer(&lines.collect::<String>())?;
        Ok(ExitCode::SUCCESS)
    }
}
