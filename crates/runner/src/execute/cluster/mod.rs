//! Cells on many machines. The parent writes cells into bundles and submits a task for each; a task runs today's executor of one machine
//! over its bundle, wherever a batch system starts it ([`run_task`](crate::task::run_task)). They speak through files of the results
//! folder alone. What a batch system says is a hint: a cell has ended when its outcome says so, and a task is gone only when it is
//! silent as well.

mod adopt;
mod batch;
mod calls;
mod chunk;
mod close;
mod engine;
pub(crate) mod events;
mod executor;
mod hosts;
mod look;
mod manual;
mod own_options;
mod processes;
pub(crate) mod processor;
pub(crate) mod settings;
mod slurm;
mod slurm_states;
mod standing;
pub(crate) mod submission;
mod submit;
mod work;

pub use adopt::{cancel, refuse_open};
pub(crate) use calls::close_files_in_child;
pub use hosts::HostRecord;
pub use settings::{ClusterSettings, EngineKind, read_settings};
pub use standing::{CellStanding, standings, unreadable_submissions};

use super::{Ended, Event, EventKind, LocalSettings, Verdict};
use crate::output::note;
use anyhow::Result;
use batch::{Batch, WaitingCell};
use engine::{Engine, TaskNeeds};
use homebench_diagnostic::Diagnostic;
use homebench_results::ResultsFolder;
use homebench_train::Device;
use hosts::Hosts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use submission::Submission;
use work::TaskWork;

/// What the process of a task needs beside its cell.
const TASK_BYTES: u64 = 64 << 20;
/// The least time that a task asks for: to start, to read its data, to be two minutes early.
const LEAST_TIME: Duration = Duration::from_secs(300);
/// What a task asks for over its cells' time.
const SPARE_TIME: Duration = Duration::from_secs(180);
/// How much longer than expected a bundle may take. A wrong guess costs a start from a checkpoint.
const SPARE_FACTOR: f64 = 3.0;

/// What a run asks of its cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterRun {
    /// What starts tasks.
    pub kind: EngineKind,
    /// What tasks are asked for.
    pub settings: ClusterSettings,
    /// How a task runs its cells.
    pub local: LocalSettings,
    /// How often a task starts a cell again whose process broke.
    pub retries: usize,
    /// Bytes of the largest prepared dataset, which a batch system may count as a task's memory.
    pub data_bytes: u64,
    /// Whether tasks of earlier runs are ended rather than taken up.
    pub fresh: bool,
    /// Whether the run leaves once everything is submitted.
    pub leaves: bool,
}

/// Cells on many machines.
pub struct Cluster {
    run: ClusterRun,
    results: ResultsFolder,
    engine: Arc<dyn Engine>,
    work: TaskWork,
    most_tasks: usize,
    /// Seconds that cells are expected to take, by id.
    expected: BTreeMap<String, f64>,
    /// Cells to be submitted, and since when.
    gathered: Vec<WaitingCell>,
    gathered_since: Instant,
    batches: Vec<Batch>,
    /// The submission and task of each cell that has not ended.
    places: BTreeMap<String, (usize, usize)>,
    /// Cells that an earlier parent has submitted.
    earlier: BTreeSet<String>,
    /// Cells of which it was said that they run.
    started: BTreeSet<String>,
    /// How often the task of a cell was lost without progress.
    losses: BTreeMap<String, usize>,
    events: VecDeque<Event>,
    hosts: Hosts,
    /// Nodes that are left out.
    excluded: BTreeSet<String>,
    /// Submissions that are open, for an end that reaches no executor any more.
    open: Arc<Mutex<Vec<Submission>>>,
    has_loaded: bool,
    has_submitted: bool,
    has_seen_start: bool,
    has_broken_host: bool,
    is_stopping: bool,
    is_killed: bool,
    num_refused: usize,
    num_unanswered: usize,
    /// Whether the batch system was ever away.
    was_away: bool,
    looked: Option<Instant>,
    polled: Option<Instant>,
    poll_wait: Duration,
    /// Whether the batch system and all files were looked at since the last submission.
    is_seen: bool,
}

impl Cluster {
    /// Nothing is submitted yet; what can be refused without it is refused here.
    ///
    /// # Errors
    /// No batch system, or one that refuses what tasks need.
    pub fn new(results: &ResultsFolder, run: ClusterRun) -> Result<Self> {
        let settings = &run.settings;
        if run.kind == EngineKind::Slurm
            && settings
                .memory_bytes
                .or(run.local.limits.memory_bytes)
                .is_none()
        {
            return Err(Diagnostic::new(
                "--executor slurm",
                "nothing says how much memory a cell needs, and a task that doesn't ask takes a node's whole memory",
            )
            .hint("set `memory = \"4GiB\"` under [slurm] in cluster.toml, or `run.memory_limit_bytes` in the spec")
            .into());
        }
        let engine: Arc<dyn Engine> = match run.kind {
            EngineKind::Slurm => Arc::new(slurm::Slurm::new(settings.clone())),
            EngineKind::Processes => Arc::new(processes::Processes::new(settings.tasks)),
            EngineKind::Manual => Arc::new(manual::Manual),
        };
        let most_tasks = engine.most_tasks()?;
        let now = Instant::now();
        let cluster = Self {
            work: TaskWork::of_run(&run)?,
            results: results.clone(),
            engine,
            most_tasks,
            expected: BTreeMap::new(),
            gathered: Vec::new(),
            gathered_since: now,
            batches: Vec::new(),
            places: BTreeMap::new(),
            earlier: BTreeSet::new(),
            started: BTreeSet::new(),
            losses: BTreeMap::new(),
            events: VecDeque::new(),
            hosts: Hosts::default(),
            excluded: BTreeSet::new(),
            open: Arc::default(),
            has_loaded: false,
            has_submitted: false,
            has_seen_start: false,
            has_broken_host: false,
            is_stopping: false,
            is_killed: false,
            num_refused: 0,
            num_unanswered: 0,
            was_away: false,
            looked: None,
            polled: None,
            poll_wait: run.settings.poll,
            is_seen: false,
            run,
        };
        cluster.engine.check(&cluster.needs(0.0))?;
        Ok(cluster)
    }

    /// Where cells ran, so far.
    pub fn hosts(&self) -> Vec<HostRecord> {
        self.hosts.records()
    }

    /// How many cells run and how many wait, of those that were submitted.
    pub fn under_way(&self) -> (usize, usize) {
        let tasks = self.batches.iter().flat_map(|batch| &batch.tasks);
        let open = tasks.filter(|task| !task.is_closed);
        let running = open.filter(|task| {
            let running = task.running.as_ref();
            running.is_some_and(|cell| task.cells.contains_key(cell))
        });
        let running = running.count();
        (running, self.places.len().saturating_sub(running))
    }

    /// What ends everything that was submitted at once, from any thread.
    pub fn ender(&self) -> impl Fn() + Send + 'static {
        let (engine, open) = (Arc::clone(&self.engine), Arc::clone(&self.open));
        move || {
            let open = open.lock().unwrap_or_else(PoisonError::into_inner);
            for submission in open.iter() {
                // Whether or not the batch system hears it, no task goes on for long.
                let _ = submission.supersede(None);
                engine.cancel(submission, None);
            }
        }
    }

    /// Takes back what a batch system that was away still has of submissions that are over: once it is there again it takes tasks that
    /// ended meanwhile for some that are to be started, and would keep them for ever.
    pub fn take_back(&self) {
        let over = self.batches.iter().filter(|batch| batch.is_closed);
        let over: Vec<&Submission> = over.map(|batch| &batch.submission).collect();
        if !self.was_away || over.is_empty() {
            return;
        }
        let start = Instant::now();
        while self.engine.states(&over).is_none() {
            if start.elapsed() > calls::patience() {
                let names: Vec<String> = over.iter().map(|submission| submission.name()).collect();
                note!(
                    "the batch system doesn't answer; once it does, look whether it has any of {} and cancel those",
                    names.join(", ")
                );
                return;
            }
            std::thread::sleep(self.engine.look_every());
        }
        over.iter()
            .for_each(|submission| self.engine.cancel(submission, None));
    }

    /// Takes away what is over and was without trouble. Logs of tasks that were lost stay.
    pub fn clear_away(&self) {
        let is_clean = |batch: &&Batch| batch.is_closed && !batch.had_trouble;
        self.batches
            .iter()
            .filter(is_clean)
            .for_each(|batch| batch.submission.remove());
    }

    /// What a task of cells that take so long needs.
    fn needs(&self, seconds: f64) -> TaskNeeds {
        let settings = &self.run.settings;
        let limits = &self.run.local.limits;
        let expected = Duration::try_from_secs_f64(seconds * SPARE_FACTOR);
        let time = expected
            .unwrap_or(settings.longest)
            .saturating_add(SPARE_TIME);
        let time = time.saturating_add(limits.time.unwrap_or_default());
        let memory = settings.memory_bytes.or(limits.memory_bytes);
        TaskNeeds {
            at_once: settings.tasks,
            threads: self.work.threads,
            memory_bytes: memory.map(|bytes| bytes + TASK_BYTES + self.run.data_bytes),
            time: time.max(LEAST_TIME).min(settings.longest),
            wants_gpu: self.run.local.device != Device::Cpu,
            excluded: self.excluded.iter().cloned().collect(),
        }
    }

    fn notice(&mut self, words: String) {
        self.events.push_back(Event {
            cell: String::new(),
            kind: EventKind::Noticed(words),
        });
    }

    /// A cell is done with, as far as this executor goes.
    fn end(&mut self, cell: &str, verdict: Verdict) {
        if let Some((batch, task)) = self.places.remove(cell) {
            self.batches[batch].tasks[task].cells.remove(cell);
        }
        let ended = Ended {
            verdict,
            seconds: 0.0,
            usage: None,
            starts: 1,
        };
        self.events.push_back(Event {
            cell: cell.to_owned(),
            kind: EventKind::Ended(ended),
        });
    }

    /// Follows a submission from now on.
    fn follow(&mut self, batch: Batch) {
        let number = self.batches.len();
        for (task, followed) in batch.tasks.iter().enumerate() {
            let cells = followed.cells.keys();
            self.places
                .extend(cells.map(|cell| (cell.clone(), (number, task))));
        }
        self.batches.push(batch);
        self.share_open();
        // Something new is under way.
        self.poll_wait = self.run.settings.poll;
    }

    fn share_open(&self) {
        let open = self.batches.iter().filter(|batch| !batch.is_closed);
        let open: Vec<Submission> = open.map(|batch| batch.submission.clone()).collect();
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }
}
