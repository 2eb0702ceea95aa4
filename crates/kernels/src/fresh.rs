//! New memory for results, written part by part by several threads before anything reads it.
//!
//! Clearing it first would be a pass over memory of its own, since the allocator keeps freed pages and has none that the system
//! has cleared: a step of `home-l` would touch half a gigabyte more.

use crate::rows::{by_chunk, split_mut};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that has no values yet.
pub(crate) type Memory = [MaybeUninit<f32>];

/// Results in the making: values once every part was written.
pub(crate) struct FreshValues {
    memory: Box<Memory>,
    num_written: AtomicUsize,
}

impl FreshValues {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            memory: Box::new_uninit_slice(length),
            num_written: AtomicUsize::new(0),
        }
    }

    /// One part per (matrix, chunk) of [matrices, rows, width], chunks innermost.
    pub(crate) fn split(&mut self, width: usize, chunks: &[Range<usize>]) -> Vec<FreshPart<'_>> {
        let num_written = &self.num_written;
        let part = |rest| FreshPart { rest, num_written };
        let parts = split_mut(&mut self.memory, width, chunks);
        parts.into_iter().map(part).collect()
    }

    /// As [`Self::split`], grouped by chunk: for each, its part of every matrix.
    pub(crate) fn split_by_chunk(
        &mut self,
        width: usize,
        chunks: &[Range<usize>],
    ) -> Vec<Vec<FreshPart<'_>>> {
        by_chunk(self.split(width, chunks), chunks.len())
    }

    /// The values.
    ///
    /// # Panics
    /// Some were not written.
    pub(crate) fn finish(self) -> Vec<f32> {
        let num_written = self.num_written.into_inner();
        assert_eq!(num_written, self.memory.len(), "values were left out");
        // SAFETY: parts are disjoint, and each counts what it has written once: all of it is.
        unsafe { self.memory.assume_init() }.into_vec()
    }
}

/// A part that is written from front to back.
pub(crate) struct FreshPart<'a> {
    rest: &'a mut Memory,
    num_written: &'a AtomicUsize,
}

impl<'a> FreshPart<'a> {
    /// Writes the next `length` values by `write`, which gives back what it was given.
    ///
    /// # Panics
    /// `write` gives back something else, or the part has fewer values.
    pub(crate) fn write(
        &mut self,
        length: usize,
        write: impl for<'p> FnOnce(&'p mut Memory) -> &'p mut [f32],
    ) -> &'a mut [f32] {
        let (next, rest) = std::mem::take(&mut self.rest).split_at_mut(length);
        self.rest = rest;
        let start: *const MaybeUninit<f32> = next.as_ptr();
        let values = write(next);
        assert!(values.len() == length && std::ptr::eq(values.as_ptr(), start.cast()));
        self.num_written.fetch_add(length, Ordering::Relaxed);
        values
    }

    /// Writes all that is left; see [`Self::write`].
    pub(crate) fn write_rest(
        &mut self,
        write: impl for<'p> FnOnce(&'p mut Memory) -> &'p mut [f32],
    ) -> &'a mut [f32] {
        self.write(self.rest.len(), write)
    }
}

impl<'a> FreshPart<'a> {
    /// Number of values that are left to write.
    pub(crate) fn num_left(&self) -> usize {
        self.rest.len()
    }

    /// The memory that is left, for a pass that writes several parts side by side.
    ///
    /// # Safety
    /// It is written before [`FreshValues::finish`].
    pub(crate) unsafe fn promise(self) -> &'a mut Memory {
        self.num_written
            .fetch_add(self.rest.len(), Ordering::Relaxed);
        self.rest
    }
}

/// Writes `value(index)` to every element.
#[inline(always)]
pub(crate) fn write_each(out: &mut Memory, value: impl Fn(usize) -> f32) -> &mut [f32] {
    for (index, out) in out.iter_mut().enumerate() {
        out.write(value(index));
    }
    // SAFETY: the loop wrote every element.
    unsafe { values_of(out) }
}

/// Zeros.
pub(crate) fn zeros(out: &mut Memory) -> &mut [f32] {
    write_each(out, |_| 0.0)
}

/// Memory as the values that were written to it.
///
/// # Safety
/// Every element was written.
pub(crate) unsafe fn values_of(memory: &mut Memory) -> &mut [f32] {
    // SAFETY: `MaybeUninit` lies in memory as what it holds.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [f32]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_the_order_of_matrices_and_chunks() {
        let mut values = FreshValues::new(12);
        for (index, mut part) in values.split(2, &[0..2, 2..3]).into_iter().enumerate() {
            let first = part.write(2, |out| {
                write_each(out, |place| (10 * index + place) as f32)
            });
            first[0] += 0.5;
            part.write_rest(zeros);
        }
        let expected = [
            0.5, 1.0, 0.0, 0.0, 10.5, 11.0, //
            20.5, 21.0, 0.0, 0.0, 30.5, 31.0,
        ];
        assert_eq!(values.finish(), expected);
    }

    #[test]
    #[should_panic(expected = "values were left out")]
    fn a_part_that_was_left_out_is_found() {
        let mut values = FreshValues::new(4);
        values.split(2, &[0..1, 1..2])[1].write_rest(zeros);
        values.finish();
    }

    #[test]
    #[should_panic(expected = "values.len() == length")]
    fn other_memory_than_was_given_is_found() {
        let mut values = FreshValues::new(1);
        values.split(1, &[0..1, 1..1])[0].write_rest(|_| &mut []);
    }
}
