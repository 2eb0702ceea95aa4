//! `homebench report` and `homebench figures`: both read the CSV files of a results folder and nothing else.

use super::arguments::ResultsArgument;
use crate::{figure, report};
use clap::Args;
use std::process::ExitCode;

/// Write report.md of a results folder and print its table
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench report results/census")]
pub(super) struct ReportArguments {
    #[command(flatten)]
    results: ResultsArgument,
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
        report::write(results.path())?;
        print!("{}", report::terminal_table(results.path())?);
        Ok(ExitCode::SUCCESS)
    }
}

impl FiguresArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        for path in figure::write_all(results.path())? {
            println!("{}", path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
