//! From an experiment to finished cells: the plan, what of it is there already, and the processes that do the rest.

mod budget;
mod change;
mod child;
mod claim;
mod estimate;
mod executor;
mod fault;
mod freeze;
mod glob;
#[cfg(test)]
mod identity;
mod judge;
mod keeper;
mod lock;
mod message;
mod plan;
mod process;
mod reuse;
mod solve;

pub use budget::{Budget, budget};
pub use child::{ChildSettings, run_cell};
pub use claim::claim;
pub use estimate::{Estimator, STATED_FLOPS_PER_SECOND};
pub use executor::{Executor, Finished, Watcher};
pub use freeze::{failure_of_all, freeze, take_winners};
pub use glob::matches_glob;
pub use lock::{FolderLock, at_work};
pub use message::Message;
pub use plan::{Arm, Plan, PlannedCell, Selection};
pub use process::can_limit_memory;
pub use reuse::{Reuse, reuse};
pub use solve::{Costs, Solution, solve};
