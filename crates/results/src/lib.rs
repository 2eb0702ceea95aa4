//! The folder of an experiment's results: its files, the schema of its tables, and how they are written, merged, sealed and read.

mod atomic;
mod facts;
mod layout;
mod merge;
mod outcome;
mod phase;
pub mod read;
mod run_state;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod seal;
pub mod tables;
mod time;
mod winners;

pub use atomic::{
    create_dir, partial_of, remove, remove_partials, unwritable, write, write_unsynced,
};
pub use facts::{Facts, ModelFact, SourceFact};
pub use layout::{CellFolder, ResultsFolder};
pub use merge::{MergedCell, Trial, merge};
pub use outcome::{Outcome, OutcomeResult, Status, file_digest};
pub use phase::Phase;
pub use run_state::{CellState, RunState};
pub use seal::{altered_tables, read_provenance, seal};
pub use time::timestamp;
pub use winners::{TriedSettings, Winner, Winners};
