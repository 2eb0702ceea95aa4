//! The rows to come of an epoch, and the memory of those that are done.

use super::order::Order;
use homebench_data::Split;
use std::ops::Range;

/// The rows to come of an epoch, a window at a time; memory of windows that are done is given back.
pub(super) struct UpcomingRows<'a> {
    split: &'a Split,
    order: Order,
    /// Rows of the window under way, and of the one before while a batch has rows of both.
    rows: Vec<u32>,
    /// How many of them are done.
    done: usize,
    /// Where the rows of the window under way are.
    pieces: Vec<Range<usize>>,
    /// Where those of windows before it are, until no batch has rows of them.
    past: Vec<Range<usize>>,
}

impl<'a> UpcomingRows<'a> {
    /// The rows from the `first`-th of the order on.
    pub(super) fn new(split: &'a Split, order: Order, first: usize) -> Self {
        let mut upcoming = Self {
            split,
            order,
            rows: Vec::new(),
            done: 0,
            pieces: Vec::new(),
            past: Vec::new(),
        };
        // A cell that goes on from a checkpoint makes the window it stopped in, and none before it.
        upcoming.done = upcoming.order.skip_windows(first);
        upcoming
    }

    /// The next `count` rows.
    pub(super) fn next(&mut self, count: usize) -> &[u32] {
        // Rows of these were copied into the batch before.
        self.past
            .drain(..)
            .for_each(|piece| self.split.release(piece));
        while self.rows.len() < self.done + count {
            // Rows of windows that are done go first, so that no more than two windows are in
            // memory.
            let finished = self.done.min(self.rows.len());
            self.rows.drain(..finished);
            self.done -= finished;
            self.past.append(&mut self.pieces);
            self.pieces = self.order.next_window(&mut self.rows);
        }
        self.done += count;
        &self.rows[self.done - count..self.done]
    }
}

impl Drop for UpcomingRows<'_> {
    fn drop(&mut self) {
        // Also of an epoch that ends early.
        let pieces = self.past.drain(..).chain(self.pieces.drain(..));
        pieces.for_each(|piece| self.split.release(piece));
    }
}
