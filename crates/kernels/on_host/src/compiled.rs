//! Calls of the compiled kernels.

use crate::Argument;
use std::ffi::{CStr, CString, c_char};

unsafe extern "C" {
    fn homebench_launch_on_host(
        name: *const c_char,
        sizes: *const u32,
        arguments: *const Argument,
        num_arguments: usize,
        descending: bool,
    ) -> *const c_char;
    fn homebench_kernel_name(place: usize) -> *const c_char;
}

/// Runs the kernel `name` over a grid of `sizes`: blocks x, y, z, then threads x, y, z. With `descending`, the last thread of
/// the last block runs first.
///
/// # Errors
/// What a device would leave undefined: a kernel that isn't there, arguments of another number or size, threads that wait for
/// others that never come.
///
/// # Safety
/// Every pointer among the arguments must be good for what the kernel does with it.
pub unsafe fn launch(
    name: &str,
    sizes: [u32; 6],
    arguments: &[Argument],
    descending: bool,
) -> Result<(), String> {
    let text = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the strings and slices outlive the call; the rest is the caller's promise.
    let said = unsafe {
        homebench_launch_on_host(
            text.as_ptr(),
            sizes.as_ptr(),
            arguments.as_ptr(),
            arguments.len(),
            descending,
        )
    };
    if said.is_null() {
        return Ok(());
    }
    // SAFETY: the text stays until this thread's next launch.
    let said = unsafe { CStr::from_ptr(said) }.to_string_lossy();
    Err(format!("{name}: {said}"))
}

/// Every kernel that can be run.
pub fn names() -> Vec<String> {
    (0..)
        // SAFETY: beyond the last, it gives null.
        .map(|place| unsafe { homebench_kernel_name(place) })
        .take_while(|name| !name.is_null())
        // SAFETY: the names are constants.
        .map(|name| {
            unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}
