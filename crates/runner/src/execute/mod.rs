//! Where cells run. An [`Executor`] takes cells and tells what becomes of them; [`crate::parent`] decides which, when, and how
//! often. [`Local`] starts a process of this machine for each. One for a cluster needs no pipe: whoever trusts files alone tells
//! starts and ends, and may leave out what a cell says and what it used.

mod judge;
mod local;
mod lock;
mod process;
pub(crate) mod protocol;

pub use local::{Local, LocalSettings};
pub use lock::{AtWork, FolderLock, LeftBehind, LockWatch, LostFolder, at_work};
pub use process::{can_limit_memory, kill_every_cell};
pub use protocol::Message;

use crate::provenance::Usage;
use anyhow::Result;
use homebench_experiment::plan::PlannedCell;
use homebench_results::{CellFolder, Outcome};
use std::time::Duration;

/// Runs cells somewhere.
pub trait Executor {
    /// How many cells it takes at once.
    fn jobs(&self) -> usize;

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
