//! Ctrl-C and SIGTERM, as `run` hears them.

use anyhow::{Context, Result};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether there are cells that an interruption lets keep what they have.
static CELLS_RUN: AtomicBool = AtomicBool::new(false);
/// What shells give for a program that Ctrl-C ended.
// 128 and the number of SIGINT; for SIGTERM too, so that a script asks for one code.
const EXIT_INTERRUPTED: u8 = 130;

/// Does what has cells that an interruption lets keep what they have.
pub(super) fn with_cells<T>(run: impl FnOnce() -> T) -> T {
    CELLS_RUN.store(true, Ordering::SeqCst);
    let done = run();
    CELLS_RUN.store(false, Ordering::SeqCst);
    done
}

/// The first Ctrl-C, SIGTERM or end of the terminal lets cells keep what they have; the second, or one while no cell runs, ends
/// everything at once.
pub(super) fn listen_for_interruption() -> Result<()> {
    ctrlc::set_handler(|| {
        let is_first = !INTERRUPTED.swap(true, Ordering::SeqCst);
        if is_first && CELLS_RUN.load(Ordering::SeqCst) {
            // The parent's loop sees it, ends them and says so.
            return;
        }
        // Children end when their parent is gone. What is written is whole at any moment.
        eprintln!(
            "\ninterrupted; what is finished is kept; to go on:\n  {}",
            command_to_go_on()
        );
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    })
    .context("listening for Ctrl-C")
}

/// The command line of this run, quoted for a shell. Without `--fresh`, which would begin anew.
fn command_to_go_on() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.filter(|word| word != "--fresh").collect();
    // Nothing with a zero in it can be an argument.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// Says how to go on.
pub(super) fn say_interrupted(ended: usize, total: usize) -> ExitCode {
    eprintln!("interrupted: {ended} of {total} cells ended and are kept; to go on:");
    eprintln!("  {}", command_to_go_on());
    ExitCode::from(EXIT_INTERRUPTED)
}
