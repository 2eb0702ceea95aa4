//! What the criterion benches share: operands at the sizes of the workload home-l, and the products and copies that bound
//! an operator from below.
//!
//! Every bench has the ids `subject/pass/{reference,fused,bound}/sizes`: the operator from candle's stock operators, the
//! fused one, and the work that no version of it can leave out.

pub mod bounds;
pub mod operands;
pub mod operator;

/// Keeps freed pages: the large temporaries of a step would otherwise be cleared by the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a batch of home-l.
pub const BATCH: usize = 4096;
/// Width of home-l's input.
pub const INPUT_DIM: usize = 512;
/// Widths of home-l's experts.
pub const EXPERT_DIMS: [usize; 2] = [256, 128];
/// Number of tasks of home-l, in groups of 3 and 4.
pub const TASKS: usize = 7;
