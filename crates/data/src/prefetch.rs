//! A hint to the processor.

/// Asks for the cache lines of a row before it is needed, since rows in random order miss every cache. Nothing depends on
/// it, and processors other than x86-64 are not asked.
#[inline]
pub(super) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.as_ptr_range().start.cast::<i8>().addr() / LINE
        ..row.as_ptr_range().end.addr().div_ceil(LINE)
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that reads nothing, at any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast::<i8>().with_addr(line * LINE)) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Bytes of a cache line on x86-64.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
