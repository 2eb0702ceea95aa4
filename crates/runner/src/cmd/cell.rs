//! `homebench cell`: one cell in a process of its own; `run` starts it.

use super::data::PlaceArgs;
use crate::cell::{ChildSettings, run_cell};
use clap::Args;
use homebench_experiment::spec::predicted_split;
use homebench_results::CellFolder;
use homebench_train::{Device, SplitName};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Trains the cell of a folder (started by `run`; it ends when its stdin closes)
#[derive(Debug, Args)]
pub(super) struct CellArguments {
    folder: PathBuf,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1)]
    tries: usize,
    /// In seconds
    #[arg(long, default_value = "60", value_parser = parse_seconds)]
    checkpoint_every: Duration,
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// The prepared files that the parent has read; others are read again
    #[arg(long, value_name = "IDENTITY")]
    checked_data: Option<String>,
    /// The splits whose predictions are kept
    #[arg(long, value_delimiter = ',', value_parser = parse_split)]
    predictions: Vec<SplitName>,
    /// Keep the weights, although it is a trial
    #[arg(long)]
    keep_weights: bool,
    /// Where its curves are written for TensorBoard, in the folder of results
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    #[command(flatten)]
    places: PlaceArgs,
}

impl CellArguments {
    pub(super) fn run(self) -> ExitCode {
        run_cell(&ChildSettings {
            folder: CellFolder::new(self.folder),
            threads: self.threads,
            tries: self.tries,
            checkpoint_every: self.checkpoint_every,
            device: self.device,
            checked_data: self.checked_data,
            predictions: self.predictions,
            keeps_weights: self.keep_weights,
            tensorboard: self.tensorboard,
            places: self.places.resolve(),
        })
    }
}

/// A split that is predicted.
pub(super) fn parse_split(text: &str) -> Result<SplitName, String> {
    predicted_split(text).ok_or_else(|| format!("expected `validation` or `test`, found `{text}`"))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
