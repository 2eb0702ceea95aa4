//! Pages of memory-mapped files: given back once they are read, so that a large file doesn't fill the memory that this
//! process is seen to use.

use memmap2::Mmap;
use std::ops::Range;

/// The most that the system maps around a page that is asked for: Linux maps the whole folio of the page cache that a page lies
/// in. Neighbours that are given back by the way are mapped again from there.
// Advice on a part of a folio leaves the rest of it mapped, and an epoch over 50 M rows filled
// memory again; with whole folios it stays within 1.3 GiB (README, Performance).
const FAULT_BYTES: usize = 2 << 20;

/// Lets the system take back the memory of these bytes. Reading them again reads the file.
pub(super) fn give_back(mapped: &Mmap, bytes: Range<usize>) {
    let start = bytes.start / FAULT_BYTES * FAULT_BYTES;
    let end = bytes.end.next_multiple_of(FAULT_BYTES).min(mapped.len());
    if start < end {
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: the pages of a shared map of a file that nobody writes come back as they were.
        let advised = unsafe { mapped.unchecked_advise_range(advice, start, end - start) };
        // A page that isn't taken back costs memory and nothing else.
        drop(advised);
    }
}
