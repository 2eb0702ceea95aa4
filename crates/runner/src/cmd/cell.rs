//! `homebench cell`: one cell in a process of its own; `run` starts it.

use super::arguments::PlacesArguments;
use crate::record::CellFolder;
use crate::spec::Device;
use crate::sweep::{ChildSettings, run_cell};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains the cell of a folder (started by `run`; it ends when its stdin closes)
#[derive(Debug, Args)]
pub(super) struct CellArguments {
    folder: PathBuf,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1)]
    tries: usize,
    #[arg(long, default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    places: PlacesArguments,
}

impl CellArguments {
    pub(super) fn run(self) -> ExitCode {
        run_cell(&ChildSettings {
            folder: CellFolder::new(self.folder),
            threads: self.threads,
            tries: self.tries,
            device: self.device,
            places: self.places.places(),
        })
    }
}
