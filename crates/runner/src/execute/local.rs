//! Runs cells as processes of this machine.

use super::judge::judge;
use super::process::{Process, listen};
use super::{Ended, Event, EventKind, Executor, Verdict};
use crate::tensorboard;
use anyhow::{Result, anyhow};
use homebench_data::Places;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_experiment::plan::PlannedCell;
use homebench_experiment::spec::Limits;
use homebench_results::{self as record, CellFolder};
use homebench_train::{Device, SplitName};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

/// How often the cells' limits are looked at. A cell that fills 1 GB of memory a second is 20 MB over its limit by then; to look
/// more often would only cost more reads of `/proc`.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A cell looks after every step whether it is to end, and writes a checkpoint first: this is room for both, and bearable for
/// whoever pressed Ctrl-C. One that is killed after it loses the work since its last checkpoint and nothing else.
const GRACE: Duration = Duration::from_secs(10);
/// A process that was killed is gone at once, unless its disk doesn't answer.
const LONGEST_KILL: Duration = Duration::from_secs(5);
/// What a cell's log has in front of each start.
const START_OF_TRY: &str = "--- try ";

/// How cells run on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalSettings {
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
    /// By content hash: the prepared files that were read already, so that no cell reads them for that again.
    pub checked_data: BTreeMap<String, String>,
    /// The splits whose predictions final cells keep.
    pub predictions: Vec<SplitName>,
    /// What a cell may use.
    pub limits: Limits,
    /// Least time between two checkpoints of a cell.
    pub checkpoint_every: Duration,
    /// Whether cells write their curves for TensorBoard.
    pub tensorboard: bool,
    /// What trainings are called there, by the id of a cell, where whoever runs it doesn't know that from the plan.
    pub labels: BTreeMap<String, String>,
}

/// Processes of this machine.
pub struct Local {
    settings: LocalSettings,
    /// By the id of the cell.
    running: BTreeMap<String, Arc<Process>>,
    sender: Sender<Result<Event>>,
    receiver: Receiver<Result<Event>>,
    looked: Instant,
}

impl Local {
    /// No cell runs yet.
    pub fn new(settings: LocalSettings) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            settings,
            running: BTreeMap::new(),
            sender,
            receiver,
            looked: Instant::now(),
        }
    }

    /// The running binary.
    ///
    /// # Errors
    /// The system doesn't tell.
    pub fn this_program() -> Result<PathBuf, Diagnostic> {
        std::env::current_exe().map_err(|error| {
            Diagnostic::new("homebench", format!("can't find its own file: {error}"))
        })
    }

    /// Ends what is over its limits, now and then.
    fn hold_to_limits(&mut self) {
        let limits = &self.settings.limits;
        if *limits != Limits::default() && self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            let running = self.running.values();
            running.for_each(|process| process.hold_to(limits));
        }
    }

    /// The command that runs the cell of a folder, and how often it will then have been started.
    fn command(&self, folder: &CellFolder, cell: &PlannedCell) -> Result<(Command, usize)> {
        let unwritable = |error| record::unwritable(&folder.log(), &error);
        let starts = starts(folder).map_err(unwritable)? + 1;
        let log = self.open_log(folder, starts).map_err(unwritable)?;
        let settings = &self.settings;
        let threads = settings.threads.to_string();
        let checkpoint_every = settings.checkpoint_every.as_secs_f64().to_string();
        let checked_data = settings
            .checked_data
            .get(&cell.content.dataset.content_hash);
        let mut command = Command::new(&settings.program);
        command
            .arg("cell")
            .arg(folder.path())
            .args(["--threads", &threads, "--tries", &starts.to_string()])
            .args(["--device", &settings.device.to_string()])
            .args(["--checkpoint-every", &checkpoint_every])
            .arg("--descriptions")
            .arg(&settings.places.descriptions)
            .arg("--data-dir")
            .arg(&settings.places.data)
            .arg("--cache-dir")
            .arg(&settings.places.cache)
            .args(
                checked_data
                    .into_iter()
                    .flat_map(|identity| ["--checked-data", identity]),
            )
            .args(self.predictions());
        if cell.keeps_weights {
            command.arg("--keep-weights");
        }
        if settings.tensorboard {
            let label = settings.labels.get(&cell.id).cloned();
            let label = label.unwrap_or_else(|| cell.training_label());
            let inside = tensorboard::cell_folder(&label);
            command.arg("--tensorboard").arg(inside);
        }
        command
            .env("RAYON_NUM_THREADS", &threads)
            // An error would carry its backtrace, with this machine's paths, into tables that are the same everywhere. Panics still show
            // theirs in the log where RUST_BACKTRACE asks for it.
            .env("RUST_LIB_BACKTRACE", "0")
            // The system closes this pipe when the parent is gone, however it went, and then the child ends too. A signal or
            // a word of the parent would not come from one that was killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A Ctrl-C on the terminal goes to the parent alone, which then ends its children in its own way.
            .process_group(0);
        Ok((command, starts))
    }

    /// What tells a cell which predictions to keep.
    fn predictions(&self) -> Vec<String> {
        let names: Vec<&str> = self
            .settings
            .predictions
            .iter()
            .map(|split| split.name())
            .collect();
        match names.is_empty() {
            true => Vec::new(),
            false => vec!["--predictions".to_owned(), names.join(",")],
        }
    }

    fn open_log(&self, folder: &CellFolder, tries: usize) -> std::io::Result<File> {
        // Appended to: the log of a try that broke is what a user wants to read after the next one.
        let log = regular_file::unlinked()
            .create(true)
            .append(true)
            .open(folder.log())?;
        let mut log = regular_file::regular(log)?;
        let now = record::timestamp(SystemTime::now());
        let (threads, device) = (self.settings.threads, self.settings.device);
        writeln!(
            log,
            "{START_OF_TRY}{tries}, {now}, {threads} threads on {device}"
        )?;
        Ok(log)
    }
}

impl Executor for Local {
    fn jobs(&self) -> usize {
        self.settings.jobs
    }

    fn submit(&mut self, folder: &CellFolder, cell: &PlannedCell) -> Result<()> {
        let (mut command, starts) = self.command(folder, cell)?;
        let (process, stdout) = Process::start(&mut command)?;
        let process = Arc::new(process);
        self.running.insert(cell.id.clone(), Arc::clone(&process));
        let (folder, id, sender) = (folder.clone(), cell.id.clone(), self.sender.clone());
        // A thread for each process: reading what it says blocks, and so does waiting for its end.
        std::thread::spawn(move || {
            let tell = |kind: Result<EventKind>| {
                let cell = id.clone();
                // Nobody is left to hear it only where the whole run has failed.
                let _ = sender.send(kind.map(|kind| Event { cell, kind }));
            };
            tell(Ok(EventKind::Started));
            let follow = || {
                let reason = listen(stdout, |message| tell(Ok(EventKind::Said(message))));
                process.wait().map(|exit| {
                    let verdict = judge(&folder, &id, &exit, reason);
                    if matches!(verdict, Verdict::Done(_)) {
                        remove_silent_log(&folder);
                    }
                    EventKind::Ended(Ended {
                        seconds: exit.seconds,
                        usage: exit.usage,
                        starts,
                        verdict,
                    })
                })
            };
            // The parent would wait for ever for the end of a cell that nobody follows any more.
            let followed = catch_unwind(AssertUnwindSafe(follow));
            tell(followed.unwrap_or_else(|_| Err(anyhow!("following cell {id} broke off"))));
        });
        Ok(())
    }

    fn next_event(&mut self, patience: Duration) -> Result<Option<Event>> {
        self.hold_to_limits();
        match self.receiver.recv_timeout(patience.min(LOOK_EVERY)) {
            Ok(event) => {
                let event = event?;
                if matches!(event.kind, EventKind::Ended(_)) {
                    self.running.remove(&event.cell);
                }
                Ok(Some(event))
            }
            // This struct has a sender itself, so the channel is never closed.
            Err(_) => Ok(None),
        }
    }

    fn ask_to_stop(&mut self) {
        self.running
            .values()
            .for_each(|process| process.ask_to_stop());
    }

    fn grace(&self) -> Duration {
        GRACE
    }

    fn kill(&mut self) {
        self.running.values().for_each(|process| process.kill());
    }
}

/// However the parent's work ends, by an error or a panic too: no cell outlives it, and none writes beside whoever comes next.
impl Drop for Local {
    fn drop(&mut self) {
        self.kill();
        let start = Instant::now();
        let goes_on = |process: &Arc<Process>| !process.has_ended();
        while self.running.values().any(goes_on) && start.elapsed() < LONGEST_KILL {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// How often a cell was started, by its log: nothing that the next run compares may count interruptions.
fn starts(folder: &CellFolder) -> std::io::Result<usize> {
    let log = read_log(folder)?;
    Ok(lines(&log).filter(|line| is_start(line)).count())
}

/// Removes the log of a cell that is done and has said nothing: the times of its starts are no reason to keep a file for each cell.
fn remove_silent_log(folder: &CellFolder) {
    let is_silent = |log: Vec<u8>| lines(&log).all(|line| line.is_empty() || is_start(line));
    if read_log(folder).is_ok_and(is_silent) {
        // It does no harm where it stays.
        let _ = record::remove(&folder.log());
    }
}

fn read_log(folder: &CellFolder) -> std::io::Result<Vec<u8>> {
    let mut log = Vec::new();
    match regular_file::open(&folder.log()) {
        Ok(mut file) => drop(file.read_to_end(&mut log)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(log)
}

fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    log.split(|byte| *byte == b'\n')
}

fn is_start(line: &[u8]) -> bool {
    line.starts_with(START_OF_TRY.as_bytes())
}
