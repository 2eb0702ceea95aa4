//! What the benches share: operands at the sizes of the workload home-l, the products and copies that bound an operator
//! from below, and whole training steps.
//!
//! Every bench has the ids `subject/pass/{reference,fused,bound}/sizes`: the operator from candle's stock operators, the
//! fused one, and the work that no version of it can leave out.

pub mod bounds;
pub mod operands;
pub mod operator;
mod workload;

use homebench_runner::memory;

pub use workload::{Failure, Workload};

#[global_allocator]
static ALLOCATOR: memory::MiMalloc = memory::MiMalloc;

/// Rows of a batch of home-l.
pub const BATCH: usize = 4096;
/// Width of home-l's input.
pub const INPUT_DIM: usize = 512;
/// Widths of home-l's experts.
pub const EXPERT_DIMS: [usize; 2] = [256, 128];
/// Number of tasks of home-l, in groups of 3 and 4.
pub const TASKS: usize = 7;
