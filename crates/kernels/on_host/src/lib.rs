//! The CUDA kernels compiled for the processor, run block by block: for tests on machines without a GPU.

use std::ffi::c_void;

/// One argument of a kernel: its bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Where they are.
    pub data: *const c_void,
    /// How many.
    pub size: usize,
}

#[cfg(not(without_compiler))]
mod compiled;
#[cfg(without_compiler)]
mod missing;

#[cfg(not(without_compiler))]
pub use compiled::{launch, names};
#[cfg(without_compiler)]
pub use missing::{launch, names};
