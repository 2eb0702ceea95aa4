//! The process of one cell: reads its content, trains, writes what came of it.

mod crash_at;
mod diagnostics_rows;
mod keeper;
mod listener;
mod predictions;
mod program;
mod record;
mod start_weights;
mod tensors_file;

pub use crash_at::check_faults;
pub use predictions::{missing_predictions, predict_again, prediction_files};
pub use record::{CellTimes, write_failed, write_parts};
pub use tensors_file::{read_tensors, read_weights, write_tensors};

use crate::execute::kill_descendants;
use crate::execute::protocol::{EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_STOPPED, Message, STOP};
use crate::output::note;
use crate::provenance::Usage;
use crate::signals;
use anyhow::{Context, Result};
use crash_at::CrashAt;
use homebench_data::{self as data, CacheWatch, Places, Prepared};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_results::{self as record_files, CellFolder};
use homebench_train::Device;
use homebench_train::SplitName;
use homebench_train::device;
use homebench_train::{self as train, CellResult, TrainError};
use keeper::CellKeeper;
use listener::TrainingListener;
use predictions::CellPredictions;
use program::OutsideProgram;
use start_weights::CellBefore;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Whether somebody asked for an end. Training looks at it after every step.
static STOPPING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The prepared dataset that is trained on.
static WATCHED: OnceLock<CacheWatch> = OnceLock::new();

/// What a parent tells its child.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSettings {
    /// The cell's folder.
    pub folder: CellFolder,
    /// Threads of the pool.
    pub threads: usize,
    /// How many times the cell was started.
    pub tries: usize,
    /// Least time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Where tensors are.
    pub device: Device,
    /// The prepared files that somebody has read; others are read before they are used.
    pub checked_data: Option<String>,
    /// The splits whose predictions are kept.
    pub predictions: Vec<SplitName>,
    /// Whether its weights are kept although it is a trial.
    pub keeps_weights: bool,
    /// Where its curves are written for TensorBoard, in the folder of results, where they are.
    pub tensorboard: Option<PathBuf>,
    /// Where data is.
    pub places: Places,
}

/// Runs a cell and tells the parent how it goes.
pub fn run_cell(settings: &ChildSettings) -> ExitCode {
    die_with_the_parent();
    hear_the_parent();
    say_panics();
    data::tell_of_cut_files(|words| Message::Failed(words.to_owned()).to_line());
    match hear_signals().and_then(|()| try_cell(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("{error:?}");
            if matches!(error.downcast_ref(), Some(TrainError::Stopped)) {
                return ExitCode::from(EXIT_STOPPED);
            }
            tell_parent(&Message::Failed(format!("{error:#}")));
            ExitCode::from(match is_environment(&error) {
                true => EXIT_ENVIRONMENT,
                false => EXIT_FAILED,
            })
        }
    }
}

fn try_cell(settings: &ChildSettings) -> Result<()> {
    let start = Instant::now();
    let content = CellContent::read(&settings.folder)?;
    let mut keeper = keeper(settings, &content);
    let model = content.model_config()?;
    let dataset = data::open_checked(
        &content.dataset_ref(),
        &settings.places,
        settings.checked_data.as_deref(),
        &mut Teller,
    )?;
    // The id names the data by its hash, and a result under a wrong one would be reused for ever.
    if dataset.content_hash != content.dataset.content_hash {
        return Err(Diagnostic::new(
            content.dataset.name,
            "the data changed after the experiment was planned",
        )
        .hint("run the experiment again: it will be planned on the data as it is now")
        .into());
    }
    // Those of an earlier start are of other weights.
    for path in prediction_files(&settings.folder) {
        record_files::remove(&path)?;
    }
    let dataset = with_carried(dataset, &content, &settings.places)?;
    let (dataset, predictions) = with_predictions(dataset, settings, &content)?;
    let mut listener = TrainingListener::new(settings, &content, predictions);
    let phase = content.final_phase();
    let device = device::open(settings.device)?;
    // Training runs on one of the pool's own threads: handing every parallel operation to another, which has to be woken on a
    // core that went idle, costs a lone cell of one thread a large part of its speed. Threads that read data ahead have rayon's
    // global pool, of as many threads (RAYON_NUM_THREADS, by the parent), so that they never wait for a pool that waits for them.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .context("starting the threads")?;
    let watch = dataset.watch.clone();
    if model.is_program() {
        let mut program = OutsideProgram::new(settings, &content)?;
        let judged = blaming_data(&watch, || {
            train::judge(
                dataset,
                &content.settings(),
                phase,
                &mut program,
                &mut listener,
            )
        });
        // Before anything is removed that they may write.
        program.end_processes();
        program.remove_given();
        write_result(settings, &content, &judged?, start)?;
        return Ok(program.remove()?);
    }
    let before = CellBefore::read(&settings.folder, &content)?;
    let mut cell_settings = content.settings();
    if let Some(before) = &before {
        before.tell(&content, &mut cell_settings);
    }
    let trained = blaming_data(&watch, || {
        pool.install(|| {
            train::train(
                dataset,
                &model,
                &cell_settings,
                phase,
                &device,
                &mut listener,
                &mut keeper,
            )
        })
    });
    write_result(settings, &content, &trained?, start)
}

fn write_result(
    settings: &ChildSettings,
    content: &CellContent,
    result: &CellResult,
    start: Instant,
) -> Result<()> {
    let times = CellTimes {
        device: settings.device.to_string(),
        threads: settings.threads,
        total_seconds: result.earlier_seconds + start.elapsed().as_secs_f64(),
        usage: Usage::of_this_process(),
        tries: settings.tries,
    };
    let keeps_weights = settings.keeps_weights;
    record::write_parts(&settings.folder, content, result, &times, keeps_weights)
}

/// The dataset with the columns by which predictions name its rows, and where these go; nothing of a trial.
fn with_predictions(
    dataset: Prepared,
    settings: &ChildSettings,
    content: &CellContent,
) -> Result<(Prepared, Option<CellPredictions>)> {
    if settings.predictions.is_empty() || content.final_phase().is_none() {
        return Ok((dataset, None));
    }
    let (reference, places) = (content.dataset_ref(), &settings.places);
    let (dataset, layout) =
        data::with_prediction_columns(dataset, &reference, places, &mut Teller)?;
    let (folder, wanted) = (settings.folder.clone(), settings.predictions.clone());
    let predictions = CellPredictions::new(folder, wanted, layout);
    Ok((dataset, Some(predictions)))
}

/// The dataset with the columns that its rows are grouped by, where the spec asks for such.
fn with_carried(dataset: Prepared, content: &CellContent, places: &Places) -> Result<Prepared> {
    let columns = content.carried();
    if columns.is_empty() {
        return Ok(dataset);
    }
    match data::carry(&content.dataset_ref(), places, &columns, &mut Teller)? {
        Some(carried) => Ok(dataset.with_carried(carried)?),
        None => Ok(dataset),
    }
}

/// Does what reads the prepared dataset. Whatever comes of it, a panic included, means nothing where the dataset was changed
/// meanwhile: then that is the error.
fn blaming_data<T>(watch: &CacheWatch, work: impl FnOnce() -> Result<T, TrainError>) -> Result<T> {
    let _ = WATCHED.set(watch.clone());
    // Nothing that the work has changed is looked at after a panic: the process ends.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => {
            watch.check()?;
            Ok(done?)
        }
        Err(panic) => {
            watch.check()?;
            resume_unwind(panic)
        }
    }
}

/// Whether another program changed the prepared dataset that this process trains on.
pub(super) fn is_data_changed() -> bool {
    WATCHED.get().is_some_and(|watch| watch.check().is_err())
}

fn keeper(settings: &ChildSettings, content: &CellContent) -> CellKeeper {
    let label = format!("{}/{}", content.variant, content.seed);
    let crash = CrashAt::of_cell(&label, settings.tries);
    if let Some(crash) = crash {
        tell_parent(&Message::Notice(crash.notice()));
        crash.strike(0);
    }
    let folder = settings.folder.clone();
    CellKeeper::new(
        folder,
        content.training_id(),
        settings.checkpoint_every,
        crash,
    )
}

/// Whether an error is not the cell's own: every other cell would meet it too.
fn is_environment(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let of_training = cause.downcast_ref();
        let is_shared = |error: &TrainError| {
            matches!(
                error,
                TrainError::Data(_) | TrainError::Predictions(_) | TrainError::Unscorable { .. }
            )
        };
        cause.is::<Diagnostic>() || of_training.is_some_and(is_shared)
    })
}

/// Prints a message; a parent that is gone hears nothing, and the child ends by its stdin.
pub(super) fn tell_parent(message: &Message) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{}", message.to_line());
    // A pipe is no terminal, so without this the parent would hear in blocks.
    let _ = stdout.flush();
}

/// A process that was stopped sees no closed stdin; the system ends it all the same, where it knows how to.
fn die_with_the_parent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // Without it the stdin is left, which is enough for every process that runs.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}

/// Has this process outlive its parent for the moment that it takes to end the processes of a program: whoever is killed at once leaves
/// them. One that was stopped is woken, and then sees that its stdin is closed.
fn end_by_the_closed_stdin() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::CONT));
    }
}

/// Has the system end a program that this process starts with this process, where it knows how to.
fn end_with_its_parent(program: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        use std::os::unix::process::CommandExt;
        let ask =
            || -> std::io::Result<()> { Ok(set_parent_process_death_signal(Some(Signal::KILL))?) };
        // SAFETY: between fork and exec it makes one call of the system, and neither allocates nor takes a lock.
        unsafe { program.pre_exec(ask) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = program;
}

/// The parent holds the other end of stdin and writes to it only to ask for an end. The system closes it when the parent is
/// gone, however it went: a killed one could say nothing, and a cell without one would train for nobody.
fn hear_the_parent() {
    std::thread::spawn(|| {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) if line == STOP => STOPPING.store(true, Ordering::SeqCst),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        note!("the parent is gone; ending");
        kill_descendants();
        end_at_once();
    });
}

/// A service manager, a cluster or a user ends a process by SIGTERM; it means what the parent's word means. Without this it
/// would cost the work since the last checkpoint.
fn hear_signals() -> Result<()> {
    signals::set_at_end(&STOPPING)
}

/// Whether somebody asked for an end.
pub(super) fn is_asked_to_stop() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Ends this process without a last word: whatever it writes is whole at any moment, and threads that still compute have
/// nothing to say. `exit` would run destructors and C's exit handlers beside those threads.
pub(super) fn end_at_once() {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::KILL);
}

/// A panic is a reason like any other.
fn say_panics() {
    // The usual hook stays: the log gets the whole of it, the parent one line.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Numbers that were changed under the program lead anywhere; `blaming_data` tells of them.
        if is_data_changed() {
            return;
        }
        print(panic);
        let text = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map_or_else(String::new, |place| {
            format!(" at {}:{}", place_in_sources(place.file()), place.line())
        });
        tell_parent(&Message::Failed(format!("panicked{place}: {text}")));
    }));
}

/// A file of a dependency without the folder of this machine's registry, so that rows are the same everywhere.
fn place_in_sources(file: &str) -> &str {
    let after = |marker: &str| file.split_once(marker).map(|(_, rest)| rest);
    let in_registry = after("/registry/src/").and_then(|rest| rest.split_once('/'));
    let in_std = || after("/library/");
    in_registry
        .map(|(_, rest)| rest)
        .or_else(in_std)
        .unwrap_or(file)
}

struct Teller;

impl data::Observer for Teller {
    fn notice(&mut self, message: &str) {
        tell_parent(&Message::Notice(message.to_owned()));
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        tell_parent(&Message::Stage {
            name: stage.to_owned(),
            done,
            total,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_panic_names_no_folder_of_this_machine() {
        let registry = "/home/me/.cargo/registry/src/crates-1a/rayon-1.12.0/src/lib.rs";
        assert_eq!(place_in_sources(registry), "rayon-1.12.0/src/lib.rs");
        let std = "/rustc/abc/library/core/src/option.rs";
        assert_eq!(place_in_sources(std), "core/src/option.rs");
        let own = "crates/runner/src/cell/crash_at.rs";
        assert_eq!(place_in_sources(own), own);
    }
}
