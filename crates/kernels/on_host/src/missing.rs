//! What stands in for the kernels where there was no compiler for them: a sentence with its mend.

use crate::Argument;

const SAID: &str = "no C++ compiler was found to compile the CUDA kernels with: install g++ or clang++, or set CXX";

/// Runs nothing.
///
/// # Errors
/// Always, with the mend.
///
/// # Safety
/// Nothing is touched.
pub unsafe fn launch(
    _name: &str,
    _sizes: [u32; 6],
    _arguments: &[Argument],
    _descending: bool,
) -> Result<(), String> {
    Err(SAID.to_owned())
}

/// Every kernel that can be run.
///
/// # Panics
/// Always, with the mend.
pub fn names() -> Vec<String> {
    panic!("{SAID}")
}
