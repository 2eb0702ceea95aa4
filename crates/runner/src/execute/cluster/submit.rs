//! How gathered cells are submitted.

use super::Cluster;
use super::batch::{Batch, Task, WaitingCell};
use super::chunk::{Bundling, CellLoad, bundles};
use super::engine::Submitted;
use super::submission::{ChunkCell, State, Submission};
use anyhow::Result;
use std::time::Instant;

/// How often a submission is tried again that is refused in the middle of a run, such as while a controller starts anew.
const MOST_REFUSALS: usize = 20;

impl Cluster {
    /// Has a cell submitted with the next.
    pub(super) fn gather(&mut self, cell: WaitingCell) {
        if self.gathered.is_empty() {
            self.gathered_since = Instant::now();
        }
        self.places.remove(&cell.cell.id);
        self.gathered.push(cell);
    }

    /// Whether what is gathered is to be submitted now: at once where nothing else is under way, else with what gathers in a while.
    pub(super) fn is_due(&self) -> bool {
        let wait = self.run.settings.poll;
        let is_alone = self.places.is_empty() && self.num_refused == 0;
        !self.gathered.is_empty() && (is_alone || self.gathered_since.elapsed() >= wait)
    }

    /// Submits what is gathered.
    pub(super) fn submit_gathered(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let loads: Vec<CellLoad> = gathered.iter().map(|cell| cell.load.clone()).collect();
        let how = Bundling {
            tasks: self.run.settings.tasks,
            task_time: self.run.settings.task_time,
            most: self.most_tasks,
        };
        let bundles = bundles(&loads, how);
        let seconds = |bundle: &Vec<usize>| bundle.iter().map(|place| loads[*place].seconds).sum();
        let needs = self.needs(bundles.iter().map(seconds).fold(0.0, f64::max));
        let chunks: Vec<Vec<ChunkCell>> = bundles
            .iter()
            .map(|bundle| {
                bundle
                    .iter()
                    .map(|place| gathered[*place].cell.clone())
                    .collect()
            })
            .collect();
        let settings = &self.run.settings;
        let mut submission = Submission::intend(
            &self.results,
            self.run.kind,
            &chunks,
            (&self.work, &settings.setup),
        )?;
        fail_on_purpose("intended");
        let submitted = match self.engine.submit(&submission, &needs) {
            Ok(submitted) => submitted,
            Err(error) => return self.refused(submission, gathered, error),
        };
        fail_on_purpose("submitted");
        let (num_cells, num_tasks) = (gathered.len(), chunks.len());
        let is_known = match submitted {
            Submitted::As(job) => {
                submission.set_state(State::Submitted, Some(job.clone()))?;
                let name = self.run.kind.name();
                self.notice(format!(
                    "submitted: {num_cells} cells in {num_tasks} tasks of {name} {job}"
                ));
                true
            }
            Submitted::Unknown => {
                let name = submission.name();
                self.notice(format!(
                    "no answer came to the submission {name}; looking for it by its name"
                ));
                false
            }
        };
        let mut by_place: Vec<Option<WaitingCell>> = gathered.into_iter().map(Some).collect();
        let tasks = bundles.iter().enumerate().map(|(task, bundle)| {
            let cells = bundle.iter().filter_map(|place| by_place[*place].take());
            Task::new(&submission, task, cells.collect())
        });
        let mut batch = Batch::new(submission.clone(), tasks.collect());
        batch.unknown_since = (!is_known).then(Instant::now);
        self.follow(batch);
        (self.has_submitted, self.num_refused, self.is_seen) = (true, 0, false);
        (self.polled, self.looked) = (None, None);
        Ok(())
    }

    /// What a refused submission means: the end of the run where it is the first, a wait where others were accepted.
    fn refused(
        &mut self,
        mut submission: Submission,
        gathered: Vec<WaitingCell>,
        error: anyhow::Error,
    ) -> Result<()> {
        // Should it have been accepted all the same, its tasks find that nothing is wanted of them.
        submission.supersede(None)?;
        submission.set_state(State::Superseded, None)?;
        self.num_refused += 1;
        if !self.has_submitted || self.num_refused > MOST_REFUSALS {
            submission.remove();
            return Err(error);
        }
        self.notice(format!("{error:#}; trying again in a while"));
        (self.gathered, self.gathered_since) = (gathered, Instant::now());
        Ok(())
    }
}

/// Ends this process where a test asks for it.
fn fail_on_purpose(moment: &str) {
    let faults = std::env::var("HOMEBENCH_FAULTS").unwrap_or_default();
    if faults
        .split(',')
        .any(|fault| fault == format!("parent=kill@{moment}"))
    {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
