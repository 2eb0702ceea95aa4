//! `homebench cancel`: ends what a run on a cluster has left behind.

use super::arguments::ResultsArgument;
use crate::execute::{FolderLock, cancel};
use crate::output::write_answer;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// What a script reads as "something may still run".
const EXIT_LEFT: u8 = 1;

/// End the tasks that a run on a cluster has left: after `--no-wait`, or after its own process was killed
///
/// Cells write checkpoints, and the next run goes on with them. Exit code 0 if all have ended, 1 if the end of some wasn't seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench cancel runs/census
  homebench cancel runs/census --now   # without checkpoints")]
pub(super) struct CancelArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// End cells at once: what they have done since their last checkpoint is lost
    #[arg(long)]
    now: bool,
}

impl CancelArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let results = self.results.open()?;
        // A run that is at work ends its tasks itself, on Ctrl-C; its name and number are told.
        let _lock = FolderLock::take(&results)?;
        let (num, left) = cancel(&results, self.now)?;
        let mut answer = match num {
            0 => "nothing is submitted\n".to_owned(),
            1 => "1 submission ended\n".to_owned(),
            num => format!("{num} submissions ended\n"),
        };
        for name in &left {
            answer += &format!(
                "{name}: its end was not seen; its tasks write nothing more once they read their orders\n"
            );
        }
        write_answer(&answer)?;
        Ok(match left.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_LEFT),
        })
    }
}
