//! Signals that ask for an end. One that was ignored when the process began stays ignored: `nohup` and the background jobs of a
//! shell ask for that. And the one that would end a process for the size of a file.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Ctrl-C, the wish of a service manager or a cluster, and the end of a terminal.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Those of [`ENDING`] that somebody listens for.
fn heard() -> impl Iterator<Item = i32> {
    ENDING.into_iter().filter(|signal| !is_ignored(*signal))
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a valid `sigaction`; without a new action the call only fills in the one that stands.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        match libc::sigaction(signal, std::ptr::null(), &raw mut action) {
            0 => action,
            _ => return false,
        }
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Has a write beyond the limit of a file's size fail, as one on a full disk does, and not end this process without a word.
pub(crate) fn ignore_size_limit() {
    // SAFETY: an ignored signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Undoes [`ignore_size_limit`]: another program, which inherits what is ignored, may rest on the usual. For a child before it begins.
pub(crate) fn heed_size_limit() {
    // SAFETY: as above; it neither allocates nor takes a lock.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
}

/// Sets a flag at every signal that asks for an end.
///
/// # Errors
/// The system refuses a handler.
pub(crate) fn set_at_end(flag: &Arc<AtomicBool>) -> Result<()> {
    for signal in heard() {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("listening for signals")?;
    }
    Ok(())
}

/// The same, and at the signal by which a batch system says that a job's time is nearly over.
///
/// # Errors
/// As of [`set_at_end`].
pub(crate) fn set_at_end_or_warning(flag: &Arc<AtomicBool>) -> Result<()> {
    signal_hook::flag::register(SIGUSR1, Arc::clone(flag)).context("listening for signals")?;
    set_at_end(flag)
}

/// Whether a signal says that the terminal is gone.
pub(crate) fn is_end_of_terminal(signal: i32) -> bool {
    signal == SIGHUP
}

/// Calls `hear` with every signal that asks for an end, on a thread of its own.
///
/// # Errors
/// The system refuses a handler or a thread.
pub(crate) fn listen(mut hear: impl FnMut(i32) + Send + 'static) -> Result<()> {
    let mut signals = Signals::new(heard()).context("listening for signals")?;
    let named = std::thread::Builder::new().name("signals".to_owned());
    let listener = named.spawn(move || signals.forever().for_each(&mut hear));
    listener.context("listening for signals")?;
    Ok(())
}
