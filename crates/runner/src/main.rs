//! The homebench command line.

use std::process::ExitCode;

// Large temporaries come and go at every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    homebench_runner::cmd::main()
}
