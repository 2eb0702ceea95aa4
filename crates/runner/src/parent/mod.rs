//! The parent of cells: which of them run and in what order ([`Phases`]), how often each is started and what a start that ended
//! means ([`CellRuns`]), and what of the plan has ended ([`ended_cells`]). Where a cell runs is an
//! [`Executor`](crate::execute::Executor)'s business, how a run looks a [`Watcher`]'s.

mod cell_runs;
mod ended;
mod phases;
#[cfg(test)]
mod tests;

pub use cell_runs::{CellRuns, Finished, Watcher};
pub use ended::{ended_cells, parts_of_finals};
pub use phases::{Phases, frozen_winners};
