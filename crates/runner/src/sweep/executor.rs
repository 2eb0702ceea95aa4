//! Runs cells as processes of this machine, some at a time.

use super::judge::{Verdict, judge};
use super::message::Message;
use super::plan::PlannedCell;
use crate::data::Places;
use crate::diagnostic::Diagnostic;
use crate::record::{self, CellFolder, Outcome, ResultsFolder};
use crate::spec::Device;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How often an interruption is looked for.
const PATIENCE: Duration = Duration::from_millis(50);

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
}

/// Hears how cells go.
pub trait Watcher {
    /// A cell's process began.
    fn started(&mut self, cell: &PlannedCell);
    /// A cell said something.
    fn message(&mut self, cell: &PlannedCell, message: &Message);
    /// A cell ended.
    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome);
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
    Ended(usize, Outcome),
    Broken(anyhow::Error),
}

/// A child of a worker, where the main thread can end it.
type Slot = Mutex<Option<Child>>;

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
        let stop = AtomicBool::new(false);
        let next = AtomicUsize::new(0);
        let slots: Vec<Slot> = (0..self.jobs.min(cells.len()))
            .map(|_| Mutex::new(None))
            .collect();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for slot in &slots {
                let sender = sender.clone();
                let (next, stop) = (&next, &stop);
                scope.spawn(move || self.work(results, cells, next, stop, slot, &sender));
            }
            drop(sender);
            let mut outcomes = vec![None; cells.len()];
            let mut broken = None;
            loop {
                if interrupted.load(Ordering::SeqCst) {
                    end_all(&stop, &slots);
                }
                match receiver.recv_timeout(PATIENCE) {
                    Ok(Event::Started(index)) => watcher.started(cells[index]),
                    Ok(Event::Said(index, message)) => watcher.message(cells[index], &message),
                    Ok(Event::Ended(index, outcome)) => {
                        watcher.ended(cells[index], &outcome);
                        outcomes[index] = Some(outcome);
                    }
                    Ok(Event::Broken(error)) => {
                        end_all(&stop, &slots);
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
    fn work(
        &self,
        results: &ResultsFolder,
        cells: &[&PlannedCell],
        next: &AtomicUsize,
        stop: &AtomicBool,
        slot: &Slot,
        sender: &Sender<Event>,
    ) {
        // The receiver outlives every worker, so sending can't fail in a way that matters.
        while !stop.load(Ordering::SeqCst) {
            let index = next.fetch_add(1, Ordering::SeqCst);
            let Some(cell) = cells.get(index) else {
                return;
            };
            let _ = sender.send(Event::Started(index));
            let said = |message| {
                let _ = sender.send(Event::Said(index, message));
            };
            match self.one_cell(&results.cell(&cell.id), cell, stop, slot, said) {
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

    /// Runs a cell to its end; absent where it was ended by an interruption.
    fn one_cell(
        &self,
        folder: &CellFolder,
        cell: &PlannedCell,
        stop: &AtomicBool,
        slot: &Slot,
        mut said: impl FnMut(Message),
    ) -> Result<Option<Outcome>> {
        let mut command = self.command(folder, cell)?;
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let stdout = child.stdout.take().context("the cell's stdout is a pipe")?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        if stop.load(Ordering::SeqCst) {
            kill(slot);
        }
        let reason = listen(stdout, &mut said);
        let child = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let status = child
            .context("the cell's process is waited for once")?
            .wait()?;
        if stop.load(Ordering::SeqCst) && !status.success() {
            return Ok(None);
        }
        match judge(folder, &cell.id, status, reason) {
            Verdict::Environment(reason) => Err(anyhow::anyhow!(
                "cell {} ({}): {reason}",
                cell.label(),
                cell.id
            )),
            Verdict::Ended(outcome) => {
                if outcome.error.is_some() {
                    outcome.write(folder)?;
                }
                Ok(Some(outcome))
            }
        }
    }

    /// Lays out the cell's folder and the command that runs it.
    fn command(&self, folder: &CellFolder, cell: &PlannedCell) -> Result<Command> {
        record::create_dir(folder.path())?;
        let unwritable = |path: PathBuf| move |error| record::unwritable(&path, &error);
        if folder.outcome().exists() {
            std::fs::remove_file(folder.outcome()).map_err(unwritable(folder.outcome()))?;
        }
        let content = cell.content.to_toml();
        record::write(&folder.content(), |out| {
            Ok(out.write_all(content.as_bytes())?)
        })?;
        let tries = std::fs::read_to_string(folder.tries())
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
            .map_or(1, |before| before + 1);
        record::write(&folder.tries(), |out| Ok(writeln!(out, "{tries}")?))?;
        let log = self
            .open_log(folder, tries)
            .map_err(unwritable(folder.log()))?;
        let threads = self.threads.to_string();
        let mut command = Command::new(&self.program);
        command
            .arg("cell")
            .arg(folder.path())
            .args(["--threads", &threads, "--tries", &tries.to_string()])
            .args(["--device", &self.device.to_string()])
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
        Ok(command)
    }

    fn open_log(&self, folder: &CellFolder, tries: usize) -> std::io::Result<std::fs::File> {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.log())?;
        let now = record::timestamp(SystemTime::now());
        let (threads, device) = (self.threads, self.device);
        writeln!(log, "--- try {tries}, {now}, {threads} threads on {device}")?;
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

/// Passes every message on and keeps the reason of a failure.
fn listen(stdout: ChildStdout, said: &mut impl FnMut(Message)) -> Option<String> {
    let mut reason = None;
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { break };
        match Message::parse(&line) {
            Some(Message::Failed(text)) => reason = Some(text),
            Some(message) => said(message),
            // A library may print; it is no message.
            None => {}
        }
    }
    reason
}

fn end_all(stop: &AtomicBool, slots: &[Slot]) {
    stop.store(true, Ordering::SeqCst);
    slots.iter().for_each(kill);
}

fn kill(slot: &Slot) {
    if let Some(child) = slot.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // A child that has just ended can't be killed any more, which is as good.
        let _ = child.kill();
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
