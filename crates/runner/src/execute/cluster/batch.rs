//! A submission as its parent follows it.

use super::chunk::CellLoad;
use super::engine::TaskState;
use super::events::{EventReader, TaskStart};
use super::submission::{ChunkCell, Submission};
use homebench_diagnostic::regular_file;
use homebench_results::{CellFolder, ResultsFolder};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// A cell that waits to be submitted, or that a task has.
#[derive(Debug, Clone)]
pub(super) struct WaitingCell {
    pub(super) cell: ChunkCell,
    pub(super) load: CellLoad,
    /// When its checkpoint was written, at its submission: another later is progress.
    checkpoint: Option<SystemTime>,
}

impl WaitingCell {
    pub(super) fn new(cell: ChunkCell, load: CellLoad, results: &ResultsFolder) -> Self {
        let folder = results.cell(&cell.id);
        Self {
            checkpoint: checkpoint_time(&folder),
            cell,
            load,
        }
    }

    /// Whether it has kept something since it was submitted.
    pub(super) fn has_progressed(&self, results: &ResultsFolder) -> bool {
        let now = checkpoint_time(&results.cell(&self.cell.id));
        now.is_some() && now != self.checkpoint
    }

    /// The same, to be submitted once more.
    pub(super) fn again(self, results: &ResultsFolder) -> Self {
        Self::new(self.cell, self.load, results)
    }
}

fn checkpoint_time(folder: &CellFolder) -> Option<SystemTime> {
    std::fs::metadata(folder.checkpoint()).ok()?.modified().ok()
}

/// A task as its parent follows it.
#[derive(Debug)]
pub(super) struct Task {
    /// Cells that have not ended, by id.
    pub(super) cells: BTreeMap<String, WaitingCell>,
    pub(super) reader: EventReader,
    pub(super) start: Option<TaskStart>,
    /// The cell that runs.
    pub(super) running: Option<String>,
    /// Cells that it says have ended and whose outcome isn't seen yet.
    pub(super) unseen: BTreeSet<String>,
    /// When something was last heard of it; at first when it was submitted or taken up.
    pub(super) heard: Instant,
    /// What the batch system last said.
    pub(super) state: Option<TaskState>,
    /// Since when the batch system takes it for ended, or doesn't know it.
    pub(super) gone_since: Option<Instant>,
    /// Since when it says that it can never run.
    pub(super) never_since: Option<Instant>,
    pub(super) is_over: bool,
    pub(super) refused: Option<String>,
    pub(super) broken: Option<String>,
    /// Nothing more is expected of it.
    pub(super) is_closed: bool,
}

impl Task {
    pub(super) fn new(submission: &Submission, task: usize, cells: Vec<WaitingCell>) -> Self {
        let by_id = cells.into_iter().map(|cell| (cell.cell.id.clone(), cell));
        Self {
            cells: by_id.collect(),
            reader: EventReader::new(submission.events(task)),
            start: None,
            running: None,
            unseen: BTreeSet::new(),
            heard: Instant::now(),
            state: None,
            gone_since: None,
            never_since: None,
            is_over: false,
            refused: None,
            broken: None,
            is_closed: false,
        }
    }

    /// Where it runs or ran, as far as anybody said.
    pub(super) fn host(&self) -> Option<String> {
        let said = match &self.state {
            Some(TaskState::Running(host) | TaskState::Ended { host, .. }) => Some(host.clone()),
            _ => None,
        };
        let own = self.start.as_ref().map(|start| start.host.clone());
        // The batch system's word for the node first: it is the one that it takes back.
        said.filter(|host| !host.is_empty()).or(own)
    }

    /// Whether its file is worth a look: one that waits says nothing.
    pub(super) fn may_speak(&self) -> bool {
        !self.is_closed
            && (self.start.is_some()
                || !matches!(self.state, Some(TaskState::Queued(_) | TaskState::Never(_))))
    }

    /// Takes in what the batch system says.
    pub(super) fn take_state(&mut self, state: Option<TaskState>) {
        let is_gone = matches!(state, None | Some(TaskState::Ended { .. }));
        self.gone_since = match is_gone {
            true => self.gone_since.or(Some(Instant::now())),
            false => None,
        };
        self.never_since = match state {
            Some(TaskState::Never(_)) => self.never_since.or(Some(Instant::now())),
            _ => None,
        };
        // What it was is more than that it isn't known any more.
        if state.is_some() || !matches!(self.state, Some(TaskState::Ended { .. })) {
            self.state = state;
        }
    }
}

/// What time it is by the clock of whoever keeps the files of a folder: that of this machine may be minutes away from it, or be set
/// while a run is under way, and would make every task look silent.
pub(super) fn files_now(folder: &Path) -> SystemTime {
    let made = tempfile::tempfile_in(folder).and_then(|file| file.metadata()?.modified());
    made.unwrap_or_else(|_| SystemTime::now())
}

/// A submission as its parent follows it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) submission: Submission,
    pub(super) tasks: Vec<Task>,
    /// Since when it isn't known whether the batch system has it.
    pub(super) unknown_since: Option<Instant>,
    pub(super) is_closed: bool,
    /// Whether one of its tasks was lost, so that its logs are worth reading.
    pub(super) had_trouble: bool,
}

impl Batch {
    pub(super) fn new(submission: Submission, tasks: Vec<Task>) -> Self {
        Self {
            submission,
            tasks,
            unknown_since: None,
            is_closed: false,
            had_trouble: false,
        }
    }

    /// How long nothing was written about a task, where it is now this [by the clock](files_now) of whoever keeps the files: for whoever
    /// looks only once.
    pub(super) fn quiet_for(&self, task: usize, now: SystemTime) -> Duration {
        let own = self.tasks[task].reader.last_change();
        let submitted = std::fs::metadata(self.submission.folder().join("orders"));
        let submitted = submitted.ok().and_then(|found| found.modified().ok());
        let last = own.into_iter().chain(submitted).max();
        // What was written meanwhile is later.
        let elapsed = last.and_then(|last| now.duration_since(last).ok());
        elapsed.unwrap_or_default()
    }

    /// The last line that a task left in its log, or its last error.
    pub(super) fn last_words(&self, task: usize) -> Option<String> {
        let mut text = Vec::new();
        let mut log = regular_file::open(&self.submission.log(task)).ok()?;
        log.read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
        let error = lines.clone().find(|line| line.starts_with("error:"));
        let last = error.or_else(|| lines.next())?;
        Some(last.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::cluster::settings::EngineKind;
    use crate::execute::cluster::submission::tests::work;
    use std::fs::File;

    #[test]
    fn silence_is_measured_by_the_clock_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let how = (&work(), "");
        let submission =
            Submission::intend(&results, EngineKind::Manual, &[Vec::new()], how).unwrap();
        let task = Task::new(&submission, 0, Vec::new());
        let batch = Batch::new(submission.clone(), vec![task]);
        // A server whose clock is a day behind that of this machine.
        let server = SystemTime::now() - Duration::from_secs(86_400);
        let at = |path: &Path, time| File::options().append(true).open(path)?.set_modified(time);
        File::create(submission.events(0)).unwrap();
        at(&submission.folder().join("orders"), server).unwrap();
        at(&submission.events(0), server + Duration::from_secs(5)).unwrap();
        let quiet = |seconds| batch.quiet_for(0, server + Duration::from_secs(seconds));
        assert_eq!(quiet(7), Duration::from_secs(2));
        // Something was written after the look at the clock.
        assert_eq!(quiet(3), Duration::ZERO);
        let now = files_now(&results.cluster());
        let away = SystemTime::now().duration_since(now).unwrap_or_default();
        assert!(away < Duration::from_secs(60), "{away:?}");
        assert_eq!(std::fs::read_dir(results.cluster()).unwrap().count(), 1);
    }
}
