//! The homebench command line.

use homebench_runner::{candle_threads, memory};
use std::process::ExitCode;

// Large temporaries come and go at every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: memory::MiMalloc = memory::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: nothing has started a thread.
    unsafe { candle_threads::keep_to_one() }
    memory::keep_freed_pages();
    homebench_runner::cmd::main()
}
