//! `homebench task`: a bundle of cells, wherever a batch system starts it; `run --executor` submits it.

use crate::task::run_task;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a task of a submission (started by a batch system)
#[derive(Debug, Args)]
pub(super) struct TaskArguments {
    /// The folder of the submission
    folder: PathBuf,
    /// Which of its tasks [default: what Slurm, HyperQueue or PBS says]
    #[arg(long, value_name = "N")]
    index: Option<usize>,
}

impl TaskArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        run_task(&self.folder, self.index)?;
        Ok(ExitCode::SUCCESS)
    }
}
