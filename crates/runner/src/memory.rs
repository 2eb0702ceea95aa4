//! The allocator of every program here, and how it treats freed pages.

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's `mi_option_t`, which the Rust bindings don't name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed pages instead of giving them back to the system.
///
/// A training step allocates and frees the same large tensors again and again; pages given back in between have to be
/// cleared anew, which took about a fifth of a step's time. To be called first in `main`.
pub fn keep_freed_pages() {
    // SAFETY: sets a number in mimalloc's table of options; -1 is documented as "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}
