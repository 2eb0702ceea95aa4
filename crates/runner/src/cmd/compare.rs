//! `homebench compare`: variants over several results folders, as one table and one chart of ranks.

use super::arguments::open_results;
use super::integrity::{exit_code, look, say};
use super::output_path::refuse_other_results;
use super::report::say_report;
use super::screen::{answer_width, terminal_width};
use crate::output::{note, write_answer};
use anyhow::Result;
use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_report::Leaderboard;
use homebench_results::create_dir;
use std::path::PathBuf;
use std::process::ExitCode;

/// Rank variants over several results folders: one table, and one chart of mean ranks with intervals over datasets
///
/// Variants that every folder has are ranked, task by task, so that folders may differ in their metrics. What is no results folder is
/// passed over, and so is a folder that shares too few variants; both are said.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench compare results/*
  homebench compare results/compare-* --out runs/leaderboard")]
pub(super) struct CompareArguments {
    /// Results folders
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Write report.md, report.html, tables/ and figures/ into this folder
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    out: PathBuf,
}

impl CompareArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        refuse_other_results(&self.out, None)?;
        let mut found = Vec::new();
        let mut folders = Vec::new();
        for path in &self.folders {
            // `results/*` has other things too.
            let is_results = path.join("cells.csv").is_file();
            if path.exists() && !is_results {
                note!(
                    "{}: no results folder with tables; passed over",
                    path.display()
                );
                continue;
            }
            let results = open_results(path)?;
            let of_folder = look(&results)?;
            say(&results, &of_folder);
            found.extend(of_folder);
            folders.push(path.clone());
        }
        if folders.len() < 2 {
            let said = format!(
                "{} of them have tables; it takes two to compare",
                folders.len()
            );
            return Err(Diagnostic::new("homebench compare", said)
                .hint("name two folders or more that `homebench run` wrote to its end: homebench compare runs/a runs/b")
                .into());
        }
        let board = Leaderboard::read(&folders)?;
        create_dir(&self.out)?;
        let files = board.write(&self.out)?;
        write_answer(&board.terminal_summary(answer_width(), terminal_width()))?;
        say_report(&files);
        Ok(exit_code(&found, ExitCode::SUCCESS))
    }
}
