//! From an experiment to its cells: which there are, what each costs, and what of it a results folder already has.

mod arm;
mod budget;
mod cells;
mod cells_there;
mod change;
mod claim;
mod distillations;
mod estimate;
mod freeze;
mod glob;
#[cfg(test)]
mod identity;
mod memory_need;
mod parents;
mod planned_cell;
mod pretrained;
mod reuse;
mod search;
mod shared_gradients;
mod solve;
mod starts;

pub use arm::Arm;
pub use budget::{Budget, budget, cost_of, model_parts};
pub use cells::{Plan, Selection};
pub use cells_there::CellsThere;
pub use claim::claim;
pub use estimate::{Estimator, STATED_FLOPS_PER_SECOND};
pub use freeze::{failure_of_all, freeze, take_winners};
pub use glob::matches_glob;
pub use memory_need::MemoryNeed;
pub use planned_cell::PlannedCell;
pub use pretrained::check_pretrained;
pub use reuse::{Reuse, reuse, reuse_all, unknown_cells};
pub use search::{Configure, Ends, ToCome};
pub use solve::{Costs, Solution, solve, solve_trial};
pub use starts::check_starts;
