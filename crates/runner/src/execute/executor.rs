//! Runs cells as processes of this machine, some at a time.

use super::judge::{Verdict, judge};
use super::message::Message;
use super::process::{Ended, Slot};
use crate::cell::{CellTimes, write_failed};
use anyhow::Result;
use homebench_data::Places;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::PlannedCell;
use homebench_experiment::spec::Limits;
use homebench_results::{self as record, CellFolder, Outcome, ResultsFolder};
use homebench_train::Device;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

/// How often an interruption and the cells' limits are looked at.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long cells that were asked to end may take to keep what they have.
const GRACE: Duration = Duration::from_secs(10);
/// What a cell's log has in front of each start.
const START_OF_TRY: &str = "--- try ";

/// Where and how cells run.
#[derive(Debug, Clone, PartialEq)]
pub struct Executor {
    /// The binary that runs a cell.
    pub program: PathBuf,
    /// Cells at once.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
    /// Where tensors are.
    pub device: Device,
    /// Where data is.
    pub places: Places,
    /// How often a cell is started again after its process broke.
    pub retries: usize,
    /// What a cell may use.
    pub limits: Limits,
    /// Least time between two checkpoints of a cell.
    pub checkpoint_every: Duration,
    /// Whether cells begin anew even where a checkpoint is.
    pub fresh: bool,
}

/// Hears how cells go.
pub trait Watcher {
    /// A cell's process began.
    fn started(&mut self, cell: &PlannedCell);
    /// A cell said something.
    fn message(&mut self, cell: &PlannedCell, message: &Message);
    /// A cell's process broke, and it is started again: try `next` of `most`.
    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize);
    /// A cell ended.
    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome);
    /// Somebody asked for an end, and the cells were told.
    fn stopping(&mut self);
    /// Called many times a second.
    fn tick(&mut self);
}

/// What became of the cells that were to run.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    /// Every cell ended; outcomes in the order of the cells.
    All(Vec<Outcome>),
    /// The user asked to stop; this many cells ended before.
    Interrupted(usize),
}

enum Event {
    Started(usize),
    Said(usize, Message),
    Again(usize, String, usize),
    Ended(usize, Outcome),
    Broken(anyhow::Error),
}

/// What the workers of a run share.
struct Shared<'a> {
    results: &'a ResultsFolder,
    cells: &'a [&'a PlannedCell],
    next: AtomicUsize,
    stop: AtomicBool,
    slots: Vec<Slot>,
}

impl Executor {
    /// Runs every cell and waits for them.
    ///
    /// # Errors
    /// A process that can't be started, data that can't be read, output that can't be written: what would end every
    /// other cell as well. A cell that fails by itself is an outcome, not an error.
    pub fn run(
        &self,
        results: &ResultsFolder,
        cells: &[&PlannedCell],
        interrupted: &AtomicBool,
        watcher: &mut dyn Watcher,
    ) -> Result<Finished> {
        let shared = Shared {
            results,
            cells,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            slots: (0..self.jobs.min(cells.len()))
                .map(|_| Slot::default())
                .collect(),
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for slot in &shared.slots {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || self.work(shared, slot, &sender));
            }
            drop(sender);
            let mut outcomes = vec![None; cells.len()];
            let mut broken = None;
            let mut guard = Guard::new(&shared, self.limits);
            loop {
                let is_interrupted = interrupted.load(Ordering::SeqCst);
                if guard.look(is_interrupted || broken.is_some()) && is_interrupted {
                    watcher.stopping();
                }
                watcher.tick();
                match receiver.recv_timeout(PATIENCE) {
                    Ok(Event::Started(index)) => watcher.started(cells[index]),
                    Ok(Event::Said(index, message)) => watcher.message(cells[index], &message),
                    Ok(Event::Again(index, reason, next)) => {
                        watcher.again(cells[index], &reason, next, self.retries + 1);
                    }
                    Ok(Event::Ended(index, outcome)) => {
                        watcher.ended(cells[index], &outcome);
                        outcomes[index] = Some(outcome);
                    }
                    Ok(Event::Broken(error)) => {
                        broken.get_or_insert(error);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if let Some(error) = broken {
                return Err(error);
            }
            let ended = outcomes.iter().flatten().count();
            let all: Option<Vec<Outcome>> = outcomes.into_iter().collect();
            Ok(all.map_or(Finished::Interrupted(ended), Finished::All))
        })
    }

    /// A worker takes the next cell until there is none.
    fn work(&self, shared: &Shared, slot: &Slot, sender: &Sender<Event>) {
        // The receiver outlives every worker, so sending can't fail in a way that matters.
        while !shared.stop.load(Ordering::SeqCst) {
            let index = shared.next.fetch_add(1, Ordering::SeqCst);
            if index >= shared.cells.len() {
                return;
            }
            let _ = sender.send(Event::Started(index));
            let tell = |event| {
                let _ = sender.send(event);
            };
            match self.one_cell(shared, index, slot, &tell) {
                Ok(Some(outcome)) => {
                    let _ = sender.send(Event::Ended(index, outcome));
                }
                Ok(None) => return,
                Err(error) => {
                    let _ = sender.send(Event::Broken(error));
                    return;
                }
            }
        }
    }

    /// Runs a cell to its end, in several tries if need be; absent where it was ended by an interruption.
    fn one_cell(
        &self,
        shared: &Shared,
        index: usize,
        slot: &Slot,
        tell: &dyn Fn(Event),
    ) -> Result<Option<Outcome>> {
        let cell = shared.cells[index];
        let folder = shared.results.cell(&cell.id);
        let is_stopping = || shared.stop.load(Ordering::SeqCst);
        for tries in 1.. {
            if self.fresh && tries == 1 {
                record::remove(&folder.checkpoint())?;
            }
            let (mut command, starts) = self.command(&folder, cell)?;
            let said = |message| tell(Event::Said(index, message));
            let ended = slot.run(&mut command, is_stopping, said)?;
            let times = self.times(&ended, starts);
            match judge(&folder, &cell.id, ended) {
                Verdict::Done(outcome) => return Ok(Some(outcome)),
                _ if is_stopping() => return Ok(None),
                Verdict::Environment(reason) => {
                    let label = cell.label();
                    anyhow::bail!("cell {label} ({}): {reason}", cell.id);
                }
                Verdict::Failed { reason, is_final } if is_final || tries > self.retries => {
                    let outcome = Outcome {
                        may_end_otherwise: !is_final,
                        ..Outcome::failed(&cell.id, reason, tries)
                    };
                    write_failed(&folder, &cell.content, &outcome, &times)?;
                    return Ok(Some(outcome));
                }
                Verdict::Failed { reason, .. } => {
                    tell(Event::Again(index, reason, tries + 1));
                }
                // Nobody asked; it goes on from its checkpoint.
                Verdict::Stopped => {}
            }
        }
        Ok(None)
    }

    fn times(&self, ended: &Ended, tries: usize) -> CellTimes {
        CellTimes {
            device: self.device.to_string(),
            threads: self.threads,
            total_seconds: ended.seconds,
            usage: ended.usage,
            tries,
        }
    }

    /// Lays out the cell's folder; gives the command that runs it and how often it will then have been started.
    fn command(&self, folder: &CellFolder, cell: &PlannedCell) -> Result<(Command, usize)> {
        record::create_dir(folder.path())?;
        let unwritable = |path: PathBuf| move |error| record::unwritable(&path, &error);
        record::remove(&folder.outcome())?;
        let content = cell.content.to_toml();
        record::write_unsynced(&folder.content(), |out| {
            Ok(out.write_all(content.as_bytes())?)
        })?;
        let starts = starts(folder) + 1;
        let log = self
            .open_log(folder, starts)
            .map_err(unwritable(folder.log()))?;
        let threads = self.threads.to_string();
        let mut command = Command::new(&self.program);
        command
            .arg("cell")
            .arg(folder.path())
            .args(["--threads", &threads, "--tries", &starts.to_string()])
            .args(["--device", &self.device.to_string()])
            .args([
                "--checkpoint-every",
                &self.checkpoint_every.as_secs_f64().to_string(),
            ])
            .arg("--descriptions")
            .arg(&self.places.descriptions)
            .arg("--data-dir")
            .arg(&self.places.data)
            .arg("--cache-dir")
            .arg(&self.places.cache)
            // candle has a pool of its own beside rayon's.
            .env("RAYON_NUM_THREADS", &threads)
            .env("CANDLE_NUM_THREADS", &threads)
            // The child ends when this pipe closes, that is, when the parent is gone, however it went.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        own_process_group(&mut command);
        Ok((command, starts))
    }

    fn open_log(&self, folder: &CellFolder, tries: usize) -> std::io::Result<std::fs::File> {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.log())?;
        let now = record::timestamp(SystemTime::now());
        let (threads, device) = (self.threads, self.device);
        writeln!(
            log,
            "{START_OF_TRY}{tries}, {now}, {threads} threads on {device}"
        )?;
        Ok(log)
    }
}

/// A Ctrl-C on the terminal goes to the parent alone, which then ends its children.
fn own_process_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// How often a cell was started, by its log: nothing that the next run compares may count interruptions.
fn starts(folder: &CellFolder) -> usize {
    let log = std::fs::read(folder.log()).unwrap_or_default();
    let lines = log.split(|byte| *byte == b'\n');
    lines
        .filter(|line| line.starts_with(START_OF_TRY.as_bytes()))
        .count()
}

/// Holds cells to their limits, and ends them where a run ends before them.
struct Guard<'a> {
    shared: &'a Shared<'a>,
    limits: Limits,
    looked: Instant,
    stopping_since: Option<Instant>,
}

impl<'a> Guard<'a> {
    fn new(shared: &'a Shared<'a>, limits: Limits) -> Self {
        Self {
            shared,
            limits,
            looked: Instant::now(),
            stopping_since: None,
        }
    }

    /// Called all the time; looks now and then. Whether the cells were just asked to end.
    fn look(&mut self, should_stop: bool) -> bool {
        if self.looked.elapsed() < PATIENCE {
            return false;
        }
        self.looked = Instant::now();
        let slots = &self.shared.slots;
        if self.limits != Limits::default() {
            slots.iter().for_each(|slot| slot.hold_to(&self.limits));
        }
        match self.stopping_since {
            None if should_stop => {
                self.stopping_since = Some(Instant::now());
                self.shared.stop.store(true, Ordering::SeqCst);
                slots.iter().for_each(Slot::ask_to_stop);
                return true;
            }
            Some(since) if since.elapsed() > GRACE => slots.iter().for_each(Slot::kill),
            _ => {}
        }
        false
    }
}

/// What a user reads when the binary can't find itself.
impl Executor {
    /// The running binary.
    ///
    /// # Errors
    /// The system doesn't tell.
    pub fn this_program() -> Result<PathBuf, Diagnostic> {
        std::env::current_exe().map_err(|error| {
            Diagnostic::new("homebench", format!("can't find its own file: {error}"))
        })
    }
}
