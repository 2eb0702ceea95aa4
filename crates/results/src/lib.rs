//! The results folder of an experiment, in one place: names of its files, a struct per table, and how cells' parts are written, merged,
//! sealed, packed and read again.
//!
//! [`tables`] is the schema: whoever writes a table or reads it, here or in another crate, does it through the struct of its rows. A new
//! column is a new field. [`read`] turns tables into what reports and figures want.
//!
//! May import: `diagnostic`, for errors that a user can mend. Must not hold: anything that trains, reads data or draws. So no
//! candle, arrow or parquet, no statistics, no metric's formula and no sentence of a report; whoever looks at results on another
//! machine needs this crate and `report` alone.

mod atomic;
mod cell_parts;
mod data_facts;
mod facts;
mod findings;
mod kept;
mod layout;
mod ledger;
mod merge;
mod outcome;
mod pack;
mod phase;
pub mod read;
mod regular;
mod run_state;
#[doc(hidden)]
pub mod sample;
mod seal;
pub mod tables;
mod time;
mod used_data;
mod winners;

pub use atomic::{
    PendingFile, create_dir, create_dir_inside, is_partial, refuse_link, refuse_link_above,
    refuse_special, remove, remove_partials, set_aside, unwritable, write, write_unsynced,
};
pub use cell_parts::CellParts;
pub use data_facts::{DataFacts, FeatureFact, SplitFact, TaskFact};
pub use facts::{Facts, ModelFact, SourceFact, StartFact};
pub use findings::{Finding, Problem, findings};
pub use kept::{
    FORMAT, Flaw, Kept, Unusable, is_whole, parse_kept, read_kept, with_digest, without_digest,
    write_kept,
};
pub use layout::{CellFolder, ResultsFolder, WEIGHTS, cell_of};
pub use ledger::{Ledger, change_ledger};
pub use merge::{MergedCell, TrialPlace, merge, merge_into};
pub use outcome::{Outcome, OutcomeResult, Status, bytes_digest, file_digest};
pub use pack::{Packed, pack};
pub use phase::Phase;
pub use regular::read_text;
pub use run_state::{CellState, RunState};
pub use seal::{is_own, seal, seal_external};
pub use time::timestamp;
pub use used_data::other_data;
pub use winners::{TriedSettings, Winner, Winners};
