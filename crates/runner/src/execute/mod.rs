//! Where cells run. An [`Executor`] takes cells and tells what becomes of them; [`crate::parent`] decides which, when, and how
//! often. [`Local`] starts a process of this machine for each. [`Cluster`] needs no pipe: it trusts files alone, and has a [`Local`] at work
//! wherever a task runs.

pub(crate) mod cluster;
mod judge;
mod local;
mod lock;
mod process;
pub(crate) mod protocol;

pub(crate) use cluster::close_files_in_child;
pub use cluster::{
    CellStanding, Cluster, ClusterRun, ClusterSettings, EngineKind, HostRecord, cancel,
    read_settings, refuse_open, standings, unreadable_submissions,
};
pub use local::{Local, LocalSettings};
pub(crate) use lock::host as local_host;
pub use lock::{AtWork, FolderLock, LeftBehind, LockWatch, LostFolder, at_work};
pub(crate) use process::{adopt_orphans, kill_descendants};
pub use process::{can_limit_memory, kill_every_cell};
pub use protocol::Message;

use crate::provenance::Usage;
use anyhow::Result;
use homebench_experiment::plan::PlannedCell;
use homebench_results::{CellFolder, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs cells somewhere.
pub trait Executor {
    /// How many cells it takes at once.
    fn jobs(&self) -> usize;

    /// Told before cells are submitted how many seconds each is expected to take, by id: whoever bundles them weighs them by it.
    fn expect(&mut self, _seconds: &BTreeMap<String, f64>) {}

    /// Whether an earlier parent has submitted this cell and it goes on, so that its folder is not to be touched. Its events come as if
    /// it had been submitted now.
    ///
    /// # Errors
    /// It can't be known.
    fn take_up(&mut self, _cell: &PlannedCell) -> Result<bool> {
        Ok(false)
    }

    /// Starts a cell whose folder holds its content, or leaves it where it will be started, and returns at once.
    /// One that starts cells in bundles gathers them until it is asked for the next event.
    ///
    /// # Errors
    /// No cell could be started here.
    fn submit(&mut self, folder: &CellFolder, cell: &PlannedCell) -> Result<()>;

    /// The next that became of a cell that was submitted; absent where nothing did for `patience`. It is called all the time,
    /// so what has to be watched is watched here.
    ///
    /// # Errors
    /// What became of cells can't be known any more.
    fn next_event(&mut self, patience: Duration) -> Result<Option<Event>>;

    /// Asks every cell that was submitted to write a checkpoint and to end. None is submitted after that.
    fn ask_to_stop(&mut self);

    /// How long they may take for it.
    fn grace(&self) -> Duration;

    /// Ends every cell that was submitted, whatever it does.
    fn kill(&mut self);

    /// Whether cells that were submitted go on without this process, and it was asked not to wait for them.
    fn leaves(&self) -> bool {
        false
    }
}

/// What became of the cell of this id.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub cell: String,
    /// What became of it.
    pub kind: EventKind,
}

/// What may become of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// It runs now.
    Started,
    /// It said something; an executor need not pass it on.
    Said(Message),
    /// It runs no more.
    Ended(Ended),
    /// Something that a user should read, of no cell in particular.
    Noticed(String),
}

/// How a start of a cell ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What came of it.
    pub verdict: Verdict,
    /// From start to end.
    pub seconds: f64,
    /// What its process used, where that is known.
    pub usage: Option<Usage>,
    /// How often the cell has been started, by this run and those before.
    pub starts: usize,
}

/// What a start of a cell came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The cell is done.
    Done(Outcome),
    /// It failed for good, and whoever ran it has written so.
    Recorded(Outcome),
    /// It was asked to end before it was done, by whomever: the next start goes on from its checkpoint.
    Stopped,
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether another start would end the same way.
        is_final: bool,
    },
    /// No cell could end well here.
    Environment(String),
}
