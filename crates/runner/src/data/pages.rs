//! Pages of memory-mapped files: given back once they are read, so that a large file doesn't fill the memory that this
//! process is seen to use.

use memmap2::Mmap;
use std::ops::Range;

/// Bytes of a page. Where pages are larger, some that others still read are given back as well, and are read again.
const PAGE_BYTES: usize = 4 << 10;

/// Lets the system take back the memory of the pages that lie whole inside `bytes`. Reading them again reads the file.
pub(super) fn release(mapped: &Mmap, bytes: Range<usize>) {
    #[cfg(unix)]
    {
        let start = bytes.start.next_multiple_of(PAGE_BYTES);
        // The last page of a file has no end of its own.
        let end = match bytes.end == mapped.len() {
            true => bytes.end,
            false => bytes.end / PAGE_BYTES * PAGE_BYTES,
        };
        if start < end {
            // SAFETY: the pages of a shared map of a file that nobody writes come back as they were.
            let advised = unsafe {
                mapped.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    start,
                    end - start,
                )
            };
            // A page that isn't taken back costs memory and nothing else.
            drop(advised);
        }
    }
    #[cfg(not(unix))]
    let _ = (mapped, bytes);
}
