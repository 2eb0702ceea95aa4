//! The order of an epoch's rows: a seeded shuffle, whole where there are few rows and by blocks where there are many.

use homebench_random::Philox;
use std::ops::Range;

/// Rows that are shuffled as a whole: those of a window. A split of no more has one window.
// Memory must not grow with the data (METHODOLOGY, "One cell"): of an order, 8 MiB are in memory,
// and of the rows the pages of one window. The largest size at which every order is still as likely
// as every other, so it is part of the results.
const WINDOW_ROWS: usize = 1 << 21;
/// Neighbouring rows that a window takes together where there are several windows.
// 256 pieces a window: a batch has rows of as many places of the file. Pages are given back piece by
// piece.
const PIECE_ROWS: usize = 1 << 13;

/// More training rows than this are shuffled by blocks.
pub const WHOLE_SHUFFLE_ROWS: usize = WINDOW_ROWS;

/// What is to be said of the order of this many training rows, where they are not shuffled as a whole.
pub fn shuffle_notice(num_rows: usize) -> Option<String> {
    (num_rows > WINDOW_ROWS).then(|| {
        format!(
            "{num_rows} training rows are more than {WINDOW_ROWS}: an epoch's order is a shuffle by blocks, of pieces of \
             {PIECE_ROWS} neighbouring rows and then of the rows of {} pieces at a time",
            WINDOW_ROWS / PIECE_ROWS
        )
    })
}

/// The order of an epoch, window after window.
pub(super) struct Order {
    num_rows: usize,
    seed: u64,
    epoch: usize,
    /// Order of the pieces; a single window has none.
    pieces: Option<Vec<u32>>,
    window: usize,
}

impl Order {
    /// The order of the epoch (from 1) of `num_rows` rows.
    ///
    /// Up to [`WINDOW_ROWS`] rows every order is as likely as every other. Beyond, pieces of [`PIECE_ROWS`] neighbouring rows
    /// are shuffled, each run of them that fills a window is taken, and the rows of the window are shuffled.
    pub(super) fn new(num_rows: usize, seed: u64, epoch: usize) -> Self {
        let stream = Philox::new(seed, "shuffle pieces", &epoch.to_string());
        let is_whole = num_rows <= WINDOW_ROWS;
        Self {
            num_rows,
            seed,
            epoch,
            pieces: (!is_whole).then(|| stream.permutation(num_rows.div_ceil(PIECE_ROWS) as u32)),
            window: 0,
        }
    }

    /// Leaves out the windows that end before the `first`-th row; gives how many rows before it the next window has.
    pub(super) fn skip_windows(&mut self, first: usize) -> usize {
        let mut before = first;
        loop {
            let window: usize = self.pieces_of_window().iter().map(Range::len).sum();
            if window == 0 || before < window {
                return before;
            }
            before -= window;
            self.window += 1;
        }
    }

    /// Appends the rows of the next window, in order; gives the ranges that they come from.
    pub(super) fn next_window(&mut self, to: &mut Vec<u32>) -> Vec<Range<usize>> {
        let pieces = self.pieces_of_window();
        let num_rows: usize = pieces.iter().map(Range::len).sum();
        let name = match &self.pieces {
            // The name from before there were windows: orders of smaller data must stay.
            None => self.epoch.to_string(),
            Some(_) => format!("{} window {}", self.epoch, self.window),
        };
        // A stream for each window: any can be made without those before it, as a checkpoint needs.
        let order = Philox::new(self.seed, "shuffle", &name).permutation(num_rows as u32);
        // Only the last piece of the split is shorter than the others, wherever it stands among them.
        let rows: Vec<u32> = pieces
            .iter()
            .flat_map(|piece| piece.start as u32..piece.end as u32)
            .collect();
        to.extend(order.into_iter().map(|place| rows[place as usize]));
        self.window += 1;
        pieces
    }

    fn pieces_of_window(&self) -> Vec<Range<usize>> {
        let piece = |piece: &u32| {
            let start = *piece as usize * PIECE_ROWS;
            start..self.num_rows.min(start + PIECE_ROWS)
        };
        match &self.pieces {
            None => std::iter::once(0..self.num_rows).collect(),
            Some(pieces) => {
                let mut windows = pieces.chunks(WINDOW_ROWS / PIECE_ROWS);
                windows
                    .nth(self.window)
                    .into_iter()
                    .flatten()
                    .map(piece)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(num_rows: usize, seed: u64, epoch: usize) -> Vec<u32> {
        let mut order = Order::new(num_rows, seed, epoch);
        let mut rows = Vec::new();
        while rows.len() < num_rows {
            assert!(!order.next_window(&mut rows).is_empty());
        }
        rows
    }

    #[test]
    fn few_rows_are_shuffled_as_a_whole_by_the_epochs_stream() {
        let expected = Philox::new(7, "shuffle", "2").permutation(1000);
        assert_eq!(rows(1000, 7, 2), expected);
        assert_ne!(rows(1000, 7, 3), expected);
    }

    #[test]
    fn a_shuffle_by_blocks_is_said() {
        assert_eq!(shuffle_notice(WHOLE_SHUFFLE_ROWS), None);
        insta::assert_snapshot!(shuffle_notice(50_000_000).unwrap(), @"50000000 training rows are more than 2097152: an epoch's order is a shuffle by blocks, of pieces of 8192 neighbouring rows and then of the rows of 256 pieces at a time");
    }

    #[test]
    fn many_rows_come_once_each_and_every_window_has_rows_from_everywhere() {
        let num_rows = 2 * WINDOW_ROWS + 12_345;
        let order = rows(num_rows, 1, 1);
        let mut seen = vec![false; num_rows];
        for row in &order {
            assert!(!std::mem::replace(&mut seen[*row as usize], true), "{row}");
        }
        assert!(seen.iter().all(|seen| *seen));
        // Means of a window and of a batch are near those of all rows.
        let mean =
            |rows: &[u32]| rows.iter().map(|row| f64::from(*row)).sum::<f64>() / rows.len() as f64;
        let middle = num_rows as f64 / 2.0;
        assert!((mean(&order[..WINDOW_ROWS]) / middle - 1.0).abs() < 0.1);
        assert!((mean(&order[..8192]) / middle - 1.0).abs() < 0.12);
        assert_ne!(order[..100], rows(num_rows, 1, 2)[..100]);
    }

    #[test]
    fn every_window_has_an_order_of_its_own() {
        let order = rows(2 * WINDOW_ROWS, 1, 1);
        let places = |rows: &[u32]| -> Vec<usize> {
            rows.iter().map(|row| *row as usize % PIECE_ROWS).collect()
        };
        let second = WINDOW_ROWS..WINDOW_ROWS + 100;
        assert_ne!(places(&order[..100]), places(&order[second]));
    }

    #[test]
    fn an_epoch_goes_on_in_the_middle_of_a_window_with_the_rows_that_it_would_have_had() {
        let num_rows = 2 * WINDOW_ROWS + 12_345;
        let whole = rows(num_rows, 1, 1);
        for first in [
            0,
            1,
            WINDOW_ROWS - 1,
            WINDOW_ROWS,
            WINDOW_ROWS + 5,
            num_rows - 1,
        ] {
            let mut order = Order::new(num_rows, 1, 1);
            let before = order.skip_windows(first);
            let mut rest = Vec::new();
            order.next_window(&mut rest);
            assert_eq!(rest[before], whole[first], "{first}");
        }
    }
}
