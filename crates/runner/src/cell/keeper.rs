//! When and where the process of a cell keeps its training.

use super::crash_at::CrashAt;
use super::{is_asked_to_stop, is_data_changed, tell_parent};
use crate::execute::protocol::Message;
use homebench_diagnostic::regular_file;
use homebench_results::{self as record, CellFolder};
use homebench_train::Keeper;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// Keeping takes at most one part in so many of the time: a large model on a slow disk would else do little but write.
const LEAST_PARTS: u32 = 20;

/// Keeps checkpoints in the folder of a cell.
pub(super) struct CellKeeper {
    folder: CellFolder,
    id: String,
    every: Duration,
    last: Instant,
    /// How long the last one took to write.
    cost: Duration,
    crash: Option<CrashAt>,
    /// Whether what was learned is of no worth.
    is_lost: bool,
}

impl CellKeeper {
    pub(super) fn new(
        folder: CellFolder,
        id: String,
        every: Duration,
        crash: Option<CrashAt>,
    ) -> Self {
        Self {
            folder,
            id,
            every,
            last: Instant::now(),
            cost: Duration::ZERO,
            crash,
            is_lost: false,
        }
    }
}

impl Keeper for CellKeeper {
    fn key(&self) -> &str {
        &self.id
    }

    fn is_due(&mut self, step: usize) -> bool {
        if let Some(crash) = self.crash {
            crash.strike(step);
        }
        // Zero is for tests, which want a checkpoint after every step whatever it costs.
        let wait = match self.every.is_zero() {
            true => Duration::ZERO,
            false => self.every.max(self.cost * LEAST_PARTS),
        };
        self.last.elapsed() >= wait || self.is_stopping()
    }

    fn keep(&mut self, fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>) {
        let start = Instant::now();
        // What was learned from changed data would outlive the data, which is prepared again.
        self.is_lost = is_data_changed();
        if self.is_lost {
            return;
        }
        // A training that can't be kept can still be finished.
        if let Err(error) = record::write(&self.folder.checkpoint(), |out| fill(out)) {
            tell_parent(&Message::Notice(format!(
                "no checkpoint was written, so a kill would cost more: {error:#}"
            )));
        }
        self.last = Instant::now();
        self.cost = self.last - start;
    }

    fn kept(&mut self) -> Option<File> {
        match regular_file::open(&self.folder.checkpoint()) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.refused(&error.to_string());
                None
            }
        }
    }

    fn refused(&mut self, why: &str) {
        tell_parent(&Message::Notice(format!(
            "its checkpoint is not used, {why}; training from the beginning"
        )));
    }

    fn is_stopping(&self) -> bool {
        is_asked_to_stop() || self.is_lost
    }
}
