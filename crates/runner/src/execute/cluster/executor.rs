//! A cluster as its parent has it: cells are gathered until something is asked, and then submitted together.

use super::Cluster;
use super::batch::WaitingCell;
use super::chunk::CellLoad;
use super::submission::{ChunkCell, State, Submission};
use crate::execute::{Event, Executor, Verdict};
use anyhow::Result;
use homebench_experiment::plan::{PlannedCell, Reuse, reuse};
use homebench_results::CellFolder;
use std::collections::BTreeMap;
use std::time::Duration;

impl Executor for Cluster {
    fn jobs(&self) -> usize {
        // All that may run: how many do at once is the batch system's business.
        usize::MAX
    }

    fn expect(&mut self, seconds: &BTreeMap<String, f64>) {
        self.expected
            .extend(seconds.iter().map(|(id, seconds)| (id.clone(), *seconds)));
    }

    fn take_up(&mut self, cell: &PlannedCell) -> Result<bool> {
        self.load()?;
        if self.places.contains_key(&cell.id) {
            return Ok(true);
        }
        // It may have ended after the folder was looked at.
        match reuse(&self.results.cell(&cell.id), cell) {
            Reuse::Done(outcome) if self.earlier.contains(&cell.id) => {
                self.end(&cell.id, Verdict::Done(outcome));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn submit(&mut self, _folder: &CellFolder, cell: &PlannedCell) -> Result<()> {
        let load = CellLoad {
            seconds: self.expected.get(&cell.id).copied().unwrap_or_default(),
            dataset: cell.content.dataset.content_hash.clone(),
        };
        let chunk_cell = ChunkCell {
            id: cell.id.clone(),
            label: cell.training_label(),
            keeps_weights: cell.keeps_weights,
        };
        let cell = WaitingCell::new(chunk_cell, load, &self.results);
        self.gather(cell);
        Ok(())
    }

    fn next_event(&mut self, patience: Duration) -> Result<Option<Event>> {
        if self.events.is_empty() && !self.is_killed {
            if self.is_due() {
                self.submit_gathered()?;
            }
            self.look()?;
        }
        let next = self.events.pop_front();
        if next.is_none() {
            std::thread::sleep(patience);
        }
        Ok(next)
    }

    fn ask_to_stop(&mut self) {
        self.is_stopping = true;
        let waiting = std::mem::take(&mut self.gathered);
        waiting
            .iter()
            .for_each(|cell| self.end(&cell.cell.id, Verdict::Stopped));
        let open = self.batches.iter().filter(|batch| !batch.is_closed);
        let open: Vec<&Submission> = open.map(|batch| &batch.submission).collect();
        // Written too: a task that begins only now reads it, and a signal may be lost.
        for submission in &open {
            let _ = submission.order_stop();
        }
        self.engine.stop(&open);
        (self.polled, self.looked) = (None, None);
        self.poll_wait = self.run.settings.poll.min(Duration::from_secs(2));
    }

    fn grace(&self) -> Duration {
        self.engine.grace()
    }

    fn kill(&mut self) {
        if std::mem::replace(&mut self.is_killed, true) {
            return;
        }
        for batch in self.batches.iter_mut().filter(|batch| !batch.is_closed) {
            let _ = batch.submission.supersede(None);
            self.engine.cancel(&batch.submission, None);
            let _ = batch.submission.set_state(State::Over, None);
            batch.is_closed = true;
        }
        self.share_open();
        let waiting = std::mem::take(&mut self.gathered);
        let waiting = waiting.into_iter().map(|cell| cell.cell.id);
        let all: Vec<String> = waiting.chain(self.places.keys().cloned()).collect();
        all.iter().for_each(|cell| self.end(cell, Verdict::Stopped));
    }

    fn leaves(&self) -> bool {
        self.run.leaves && self.is_seen && self.gathered.is_empty() && self.events.is_empty()
    }
}
