//! A task of a submission: this machine's executor over the cells of its bundle, told of and watched through files.

use crate::execute::cluster::events::{EventReader, EventWriter, TaskEvent, TaskStart};
use crate::execute::cluster::processor;
use crate::execute::cluster::settings::beat;
use crate::execute::cluster::submission::{ChunkCell, Submission, random};
use crate::execute::{Local, LocalSettings, LockWatch, LostFolder, Message, local_host};
use crate::output::note;
use crate::parent::{CellRuns, Finished, Watcher};
use crate::provenance::{build_id, cores, cpu_model, gpus, memory_bytes};
use crate::signals;
use anyhow::{Context, Result};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{PlannedCell, Reuse, reuse};
use homebench_experiment::spec::CellContent;
use homebench_results::{Outcome, ResultsFolder};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Whether somebody asked for an end. Any number of signals is one: a batch system repeats them.
static STOPPING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Least time between two lines of how a cell gets on: a parent shows no more, and a task of days is to leave a file of megabytes.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// Environment variables in which batch systems say which task this is.
const INDEX_VARIABLES: [&str; 3] = ["SLURM_ARRAY_TASK_ID", "HQ_TASK_ID", "PBS_ARRAY_INDEX"];

/// What a task does with a submission that isn't for it.
enum Begun {
    /// It is over before it began.
    Nothing,
    /// It has cells to run.
    Runs(Box<Submission>, Vec<ChunkCell>),
}

/// Runs the task of a submission's folder. What becomes of its cells is in their folders, and what a parent needs in the task's file.
///
/// # Errors
/// A folder that is not there or is of another program; a task that it doesn't have; files that can't be written.
pub fn run_task(folder: &Path, index: Option<usize>) -> Result<()> {
    signals::set_at_end_or_warning(&STOPPING)?;
    let index = match index {
        Some(index) => index,
        None => index_of_environment()?,
    };
    match begin(folder, index)? {
        Begun::Nothing => Ok(()),
        Begun::Runs(submission, cells) => run_cells(*submission, index, &cells),
    }
}

fn index_of_environment() -> Result<usize, Diagnostic> {
    let found = INDEX_VARIABLES
        .iter()
        .find_map(|name| Some((name, std::env::var(name).ok()?)));
    let Some((name, text)) = found else {
        return Err(
            Diagnostic::new("task", "which of the submission's tasks is it?").hint(format!(
                "give `--index N`, or have a batch system set {}",
                INDEX_VARIABLES.join(", ")
            )),
        );
    };
    text.parse().map_err(|_| {
        Diagnostic::new(
            *name,
            format!("expected the number of a task, found `{text}`"),
        )
    })
}

fn begin(folder: &Path, index: usize) -> Result<Begun> {
    let Some(submission) = Submission::read(folder)? else {
        let what = format!("no submission is here, seen from {}", local_host());
        return Err(Diagnostic::new(folder.display().to_string(), what)
            .hint("the results folder has to be on a file system that every node sees under this path")
            .into());
    };
    if !submission.is_open() || submission.orders().is_superseded(index) {
        note!(
            "task {index}: nothing of {} is wanted any more",
            submission.name()
        );
        return Ok(Begun::Nothing);
    }
    if submission.build() != build_id() {
        let what = "was submitted by another build of homebench than this one";
        return Err(Diagnostic::new(folder.display().to_string(), what)
            .hint(format!(
                "run {}, which was put beside it",
                submission.program().display()
            ))
            .into());
    }
    let mut chunks = submission.chunks()?;
    if index >= chunks.len() {
        let what = format!(
            "has the tasks 0 to {}, and not {index}",
            chunks.len().saturating_sub(1)
        );
        return Err(Diagnostic::new(folder.display().to_string(), what)
            .hint("give another number with `--index`")
            .into());
    }
    let cells = chunks.swap_remove(index);
    Ok(Begun::Runs(Box::new(submission), cells))
}

/// What this start of a task says of itself.
fn own_start() -> TaskStart {
    let variable = |name: &str| std::env::var(name).ok();
    let array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    let job = array
        .map(|(job, task)| format!("{job}_{task}"))
        .or_else(|| variable("HQ_JOB_ID"));
    TaskStart {
        start: format!("{:016x}", random()),
        // Slurm's own name for the node is the one that it takes back.
        host: variable("SLURMD_NODENAME").unwrap_or_else(local_host),
        process: std::process::id(),
        job,
        cpu_model: cpu_model(),
        instructions: homebench_kernels::simd::instruction_set().name().to_owned(),
        cores: cores(),
        memory_bytes: memory_bytes(),
        gpus: gpus(),
    }
}

fn run_cells(submission: Submission, index: usize, chunk: &[ChunkCell]) -> Result<()> {
    let results = submission
        .results()
        .context("a submission is in a folder of results")?;
    let path = submission.events(index);
    let failed = |error| homebench_results::unwritable(&path, &error);
    let had_start = last_start(&mut EventReader::new(path.clone())).is_some();
    let start = own_start();
    let teller = Teller(Arc::new(Mutex::new(
        EventWriter::open(&path).map_err(failed)?,
    )));
    teller
        .try_say(&TaskEvent::Start(Box::new(start.clone())))
        .map_err(failed)?;
    let watch = LockWatch::default();
    let beats = Beats::start(&submission, index, start.start, &teller, &watch)?;
    if had_start {
        // A copy that lives on somewhere sees at its next beat that it is not the last, and ends its cells.
        let patience = submission.work().silence();
        let since = Instant::now();
        while since.elapsed() < patience && !is_stopping() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let ended = run_chunk(&submission, &results, chunk, &teller, &watch);
    drop(beats);
    if watch.check().is_err() {
        // Nothing more is said: another start of this task, or another task, has its cells.
        note!("task {index}: others have its cells by now");
        return Ok(());
    }
    if let Err(error) = ended {
        note!("{error:#}");
        teller.say(&TaskEvent::Broken(format!("{error:#}")));
    }
    teller.say(&TaskEvent::Over);
    Ok(())
}

/// The last start of a task that its file tells of, since the last look.
fn last_start(reader: &mut EventReader) -> Option<String> {
    let news = reader.all_news();
    news.into_iter().rev().find_map(|event| match event {
        TaskEvent::Start(start) => Some(start.start),
        _ => None,
    })
}

fn run_chunk(
    submission: &Submission,
    results: &ResultsFolder,
    chunk: &[ChunkCell],
    teller: &Teller,
    watch: &LockWatch,
) -> Result<()> {
    let work = submission.work();
    // As a run on this machine would have it: a batch system starts tasks elsewhere.
    std::env::set_current_dir(&work.started_in).map_err(|error| {
        let what = format!(
            "the run was started here, and {} can't go there: {error}",
            local_host()
        );
        Diagnostic::new(work.started_in.display().to_string(), what)
            .hint("start the run in a folder that every node sees under the same path")
    })?;
    if work.same_processors
        && let Some(why) = processor::refusal(submission)?
    {
        teller.say(&TaskEvent::Refused(why));
        return Ok(());
    }
    let (mut cells, mut labels) = (Vec::new(), BTreeMap::new());
    for one in chunk {
        let folder = results.cell(&one.id);
        let content = CellContent::read(&folder)?;
        let mut cell = PlannedCell::new(content);
        if cell.id != one.id {
            let path = folder.content().display().to_string();
            return Err(
                Diagnostic::new(path, "is of another cell than was submitted")
                    .hint("run the experiment again")
                    .into(),
            );
        }
        cell.keeps_weights = one.keeps_weights;
        // Whoever had the task before may have ended it.
        if matches!(reuse(&folder, &cell), Reuse::Done(_)) {
            teller.say(&TaskEvent::Ended(one.id.clone()));
            continue;
        }
        labels.insert(one.id.clone(), one.label.clone());
        cells.push(cell);
    }
    let device = work.device().map_err(anyhow::Error::msg)?;
    let mut executor = Local::new(LocalSettings {
        program: Local::this_program()?,
        jobs: 1,
        threads: work.threads,
        device,
        places: work.places(),
        checked_data: work.checked_data.clone(),
        predictions: work.predicted(),
        limits: work.limits(),
        checkpoint_every: Duration::from_secs_f64(work.checkpoint_every_seconds),
        tensorboard: work.tensorboard,
        labels,
    });
    let runs = CellRuns {
        results,
        retries: work.retries,
        fresh: false,
        threads: work.threads,
        device,
        fail_fast: false,
        interrupted: &STOPPING,
        lock: watch.clone(),
    };
    let cells: Vec<&PlannedCell> = cells.iter().collect();
    let mut watcher = TaskWatcher {
        teller: teller.clone(),
        said: None,
    };
    match runs.run(&cells, &mut executor, &mut watcher) {
        Ok(Finished::All) => Ok(()),
        Ok(_) => {
            note!("stopped before the end; cells keep checkpoints");
            Ok(())
        }
        Err(error) if error.downcast_ref::<LostFolder>().is_some() => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Says things in the task's file.
#[derive(Clone)]
struct Teller(Arc<Mutex<EventWriter>>);

impl Teller {
    fn try_say(&self, event: &TaskEvent) -> std::io::Result<()> {
        self.lock().say(event)
    }

    /// Where it can't be said, the parent takes the task for lost in a while, and finds by its files what it did.
    fn say(&self, event: &TaskEvent) {
        if let Err(error) = self.try_say(event) {
            note!("the parent can't be told: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, EventWriter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says again and again that the task is there, and looks whether its cells are still its own; ends when it is dropped.
struct Beats(Option<(Sender<()>, JoinHandle<()>)>);

impl Beats {
    fn start(
        submission: &Submission,
        index: usize,
        start: String,
        teller: &Teller,
        watch: &LockWatch,
    ) -> Result<Self> {
        let every = beat(submission.work().silence());
        let (sender, receiver) = channel();
        let (submission, teller, watch) = (submission.clone(), teller.clone(), watch.clone());
        let mut reader = EventReader::new(submission.events(index));
        let beats = move || {
            while receiver.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let orders = submission.orders();
                let last = last_start(&mut reader);
                if orders.is_superseded(index) || last.is_some_and(|last| last != start) {
                    let folder = submission.folder().display().to_string();
                    watch.lose(Diagnostic::new(
                        folder,
                        "others have the cells of this task",
                    ));
                    return;
                }
                if orders.stop {
                    STOPPING.store(true, Ordering::SeqCst);
                }
                teller.say(&TaskEvent::Beat);
            }
        };
        let named = std::thread::Builder::new().name("beats".to_owned());
        let thread = named.spawn(beats).context("starting a thread")?;
        Ok(Self(Some((sender, thread))))
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Passes on how cells go.
struct TaskWatcher {
    teller: Teller,
    /// When how a cell gets on was last said.
    said: Option<Instant>,
}

impl Watcher for TaskWatcher {
    fn started(&mut self, cell: &PlannedCell) {
        self.said = None;
        self.teller.say(&TaskEvent::Began(cell.id.clone()));
    }

    fn message(&mut self, cell: &PlannedCell, message: &Message) {
        let gets_on = matches!(message, Message::Progress(_) | Message::Stage { .. });
        if gets_on && self.said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        if gets_on {
            self.said = Some(Instant::now());
        }
        self.teller.say(&TaskEvent::Said {
            cell: cell.id.clone(),
            message: message.clone(),
        });
    }

    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize) {
        self.teller.say(&TaskEvent::Again {
            cell: cell.id.clone(),
            reason: reason.to_owned(),
            next,
            most,
        });
    }

    fn ended(&mut self, cell: &PlannedCell, _outcome: &Outcome) {
        self.teller.say(&TaskEvent::Ended(cell.id.clone()));
    }

    fn stopped(&mut self, cell: &PlannedCell) {
        note!("{}: was asked to end", cell.label());
    }

    fn stopping(&mut self) {}

    fn tick(&mut self) {}
}
