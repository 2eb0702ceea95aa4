//! Ctrl-C, SIGTERM and the end of the terminal, as `run` hears them.

use crate::execute::kill_every_cell;
use crate::output::note;
use crate::signals;
use anyhow::Result;
use homebench_diagnostic::shell_command;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether there are cells that an interruption lets keep what they have.
static CELLS_RUN: AtomicBool = AtomicBool::new(false);
/// What ends the tasks of a cluster at once, while this process has such.
static ENDER: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);
/// What shells give for a program that Ctrl-C ended.
// 128 and the number of SIGINT; for SIGTERM too, so that a script asks for one code.
const EXIT_INTERRUPTED: u8 = 130;
/// Exit code of a run whose cells go on without it.
const EXIT_UNDER_WAY: u8 = 4;
/// How long a run may take to end once it was asked to: its cells have ten seconds, and a few are left for its last words. It may
/// be stuck in something that no flag reaches, such as a disk or a terminal that answers no more.
const LONGEST_END: Duration = Duration::from_secs(20);
/// The same where cells are on a cluster: each of a few calls to the batch system may take a minute.
const LONGEST_END_OF_TASKS: Duration = Duration::from_secs(300);

/// Does what has cells that an interruption lets keep what they have.
pub(super) fn with_cells<T>(run: impl FnOnce() -> T) -> T {
    CELLS_RUN.store(true, Ordering::SeqCst);
    let done = run();
    CELLS_RUN.store(false, Ordering::SeqCst);
    done
}

/// Says what ends the tasks of a cluster at once; nothing once there are none.
pub(super) fn set_ender(ender: Option<Box<dyn Fn() + Send>>) {
    *ENDER.lock().unwrap_or_else(PoisonError::into_inner) = ender;
}

fn has_tasks() -> bool {
    ENDER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some()
}

/// The first Ctrl-C, SIGTERM or end of the terminal lets cells keep what they have; the second, or one while no cell runs, ends
/// everything at once. What was ignored when this process began stays ignored. The end of the terminal leaves a cluster's tasks alone.
///
/// # Errors
/// The system refuses a handler.
pub(super) fn listen_for_interruption() -> Result<()> {
    signals::listen(|signal| {
        if signals::is_end_of_terminal(signal) && has_tasks() {
            note!("the terminal is gone; tasks go on, and the same command collects them");
            std::process::exit(i32::from(EXIT_UNDER_WAY));
        }
        let is_first = !INTERRUPTED.swap(true, Ordering::SeqCst);
        if !is_first || !CELLS_RUN.load(Ordering::SeqCst) {
            end_at_once();
        }
        let longest = match has_tasks() {
            true => LONGEST_END_OF_TASKS,
            false => LONGEST_END,
        };
        // The parent's loop sees it, ends the cells and says so; without a thread it has as long as it likes.
        let named = std::thread::Builder::new().name("last moment".to_owned());
        let _ = named.spawn(move || {
            std::thread::sleep(longest);
            end_at_once();
        });
    })
}

/// Ends the run and its cells. What is written is whole at any moment.
fn end_at_once() -> ! {
    // By hand, because one that was stopped can't see that its parent is gone.
    kill_every_cell();
    if let Some(end) = ENDER.lock().unwrap_or_else(PoisonError::into_inner).take() {
        end();
    }
    note!(
        "\ninterrupted; what is finished is kept; to go on:\n  {}",
        command_to_go_on()
    );
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}

/// The command line of this run, quoted for a shell. Without `--fresh`, which would begin anew.
fn command_to_go_on() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.filter(|word| word != "--fresh").collect();
    shell_command(words.iter().map(String::as_str))
}

/// Says how to go on.
pub(super) fn say_interrupted(ended: usize, total: usize) -> ExitCode {
    note!("interrupted: {ended} of {total} cells ended and are kept; to go on:");
    note!("  {}", command_to_go_on());
    ExitCode::from(EXIT_INTERRUPTED)
}

/// Says what is under way, and how to collect it.
pub(super) fn say_under_way(
    (ended, total): (usize, usize),
    (running, waiting): (usize, usize),
) -> ExitCode {
    note!(
        "{ended} of {total} cells ended, {running} run and {waiting} wait; to collect them and go on:"
    );
    note!("  {}", command_to_go_on());
    ExitCode::from(EXIT_UNDER_WAY)
}

/// Says that a failed cell ended the run, and how to go on.
pub(super) fn say_failed_fast(ended: usize, total: usize) {
    note!("ended after the first failure: {ended} of {total} cells ended and are kept; to go on:");
    note!("  {}", command_to_go_on());
}
