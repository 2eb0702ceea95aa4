//! Batches of an epoch, gathered ahead on a thread of their own, and copied ahead to a device, so that no step waits for them.

use super::TrainError;
use super::order::Order;
use super::upcoming_rows::UpcomingRows;
use anyhow::{Context, Result};
use candle_core::Device;
use homebench_data::{Batch, Split};
use homebench_kernels::cuda::{BatchParts, CopiedBatch};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Batches gathered before they are asked for.
const AHEAD: usize = 3;

/// A batch, and the same on a device where there is one.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) batch: Batch,
    pub(super) copied: Option<CopiedBatch>,
}

impl Loaded {
    fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            batch: Batch::default(),
            copied: CopiedBatch::new(device).context("making room on the device")?,
        })
    }

    fn gather(&mut self, split: &Split, rows: &[u32]) -> Result<()> {
        let Self { batch, copied } = self;
        split.gather(rows, batch)?;
        let Some(copied) = copied else {
            return Ok(());
        };
        let parts = BatchParts {
            ids: &batch.categorical,
            list_ids: &batch.list_ids,
            list_ends: &batch.list_ends,
            numeric: &batch.numeric,
        };
        copied.fill(parts).context("copying a batch to the device")
    }
}

/// The rows of each batch of an epoch: `batch_size` at a time. A single row left over joins the last batch, since batch norm
/// can't use one row alone.
pub(super) fn batches(num_rows: usize, batch_size: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = (0..num_rows)
        .step_by(batch_size)
        .map(|start| start..num_rows.min(start.saturating_add(batch_size)))
        .collect();
    if ranges.len() > 1 && ranges.last().is_some_and(|last| last.len() == 1) {
        ranges.pop();
        if let Some(last) = ranges.last_mut() {
            last.end = num_rows;
        }
    }
    ranges
}

/// How many [`batches`] there are.
pub(super) fn num_batches(num_rows: usize, batch_size: usize) -> usize {
    let batches = num_rows.div_ceil(batch_size);
    let is_one_left = batches > 1 && num_rows - (batches - 1) * batch_size == 1;
    batches - usize::from(is_one_left)
}

/// Runs `step` on the batches `ranges` of `order`, one after another, until it fails.
///
/// # Errors
/// What `step` gives; data that can't be read or copied to the device.
pub(super) fn for_each_batch<E: From<TrainError>>(
    split: &Split,
    order: Order,
    ranges: &[Range<usize>],
    device: &Device,
    mut step: impl FnMut(&mut Loaded) -> Result<(), E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let (full_sender, full) = sync_channel(AHEAD);
        // Room for every buffer there is, so that giving one back never waits.
        let (empty, empties) = sync_channel(AHEAD + 2);
        // One more than wait to be asked for: the one that a step works on.
        for _ in 0..=AHEAD {
            let _ = empty.send(Loaded::new(device).map_err(TrainError::Data)?);
        }
        // A thread of its own and none of the pool: it waits on a channel, and a worker that waits
        // is one less for the step.
        scope.spawn(move || gather(split, order, ranges, full_sender, empties));
        for _ in 0..ranges.len() {
            // The other thread ends early only after it sent why.
            let Ok(batch) = full.recv() else { break };
            let mut batch: Loaded = batch.map_err(TrainError::Data)?;
            step(&mut batch)?;
            // The other thread may have ended; what it sent last says why.
            let _ = empty.send(batch);
        }
        Ok(())
    })
}

fn gather(
    split: &Split,
    order: Order,
    ranges: &[Range<usize>],
    full: SyncSender<Result<Loaded>>,
    empties: Receiver<Loaded>,
) {
    let mut upcoming =
        UpcomingRows::new(split, order, ranges.first().map_or(0, |first| first.start));
    for range in ranges {
        let Ok(mut batch) = empties.recv() else {
            return;
        };
        let rows = upcoming.next(range.len());
        let gathered = batch.gather(split, rows).map(|()| batch);
        let failed = gathered.is_err();
        // A step that failed hangs up; an error that was sent ends the epoch on the other side.
        if full.send(gathered).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_row_and_none_has_one_row_but_where_there_is_just_one() {
        assert_eq!(batches(10, 4), [0..4, 4..8, 8..10]);
        assert_eq!(batches(9, 4), [0..4, 4..9]);
        assert_eq!(batches(1, 4), vec![0..1]);
        assert_eq!(batches(3, 4), vec![0..3]);
        assert!(batches(0, 4).is_empty());
        for (rows, size) in (0..30).flat_map(|rows| (1..9).map(move |size| (rows, size))) {
            assert_eq!(
                num_batches(rows, size),
                batches(rows, size).len(),
                "{rows} {size}"
            );
        }
    }
}
