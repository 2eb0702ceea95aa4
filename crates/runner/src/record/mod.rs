//! What is written of an experiment: parts of each cell, the merged tidy tables, and where they came from.

mod atomic;
mod cell;
mod diagnostics;
mod host;
mod layout;
mod merge;
mod outcome;
mod provenance;
mod run_state;
mod seal;
mod tables;
mod time;
mod usage;
mod winners;

pub(crate) use atomic::unwritable;
pub use atomic::{create_dir, partial_path, remove, write, write_unsynced};
pub use cell::{CellTimes, write_failed, write_parts, write_tensors};
pub(crate) use host::{cores, cpu_model, memory_bytes};
pub use layout::{CellFolder, ResultsFolder};
pub use merge::{MergedCell, Trial, merge};
pub use outcome::{Outcome, Status};
pub use provenance::{DatasetProvenance, Provenance, SplitProvenance};
pub use run_state::{CellState, RunState};
pub use seal::{altered_tables, seal};
pub use time::timestamp;
pub use usage::Usage;
pub use winners::{TriedSettings, Winner, Winners};
