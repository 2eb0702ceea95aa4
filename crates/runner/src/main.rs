//! The homebench command line.

use homebench_runner::memory;
use std::process::ExitCode;

// Large temporaries come and go at every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: memory::MiMalloc = memory::MiMalloc;

fn main() -> ExitCode {
    memory::keep_freed_pages();
    homebench_runner::cmd::main()
}
