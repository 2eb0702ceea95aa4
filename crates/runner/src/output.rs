//! What is said: the one place that writes to stdout and stderr.
//!
//! An answer goes to stdout. A reader that has left has seen enough, so the command ends as it would have; an answer that can't be
//! written is an error. Notes go to stderr, where nobody may be listening: they are lost without a word and change nothing.

use console::Term;
use homebench_data as data;
use homebench_diagnostic::{Diagnostic, visible_lines};
use homebench_report::text_table::in_lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Whether somebody still reads what is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Somebody does, as far as can be told.
    Listens,
    /// The other end of the pipe is closed.
    HasLeft,
}

/// Writes to stdout what was asked for, with letters that would steer a terminal shown as their codes. A pipe that its reader has closed is no
/// error: `head` has seen enough.
///
/// # Errors
/// Stdout can't be written, such as on a full disk.
pub fn write_answer(text: &str) -> Result<Reader, Diagnostic> {
    match write_all(&std::io::stdout(), visible_lines(text).as_bytes()) {
        Ok(()) => Ok(Reader::Listens),
        Err(Errno::PIPE) => Ok(Reader::HasLeft),
        Err(error) => Err(unwritable_answer(&std::io::Error::from(error))),
    }
}

/// What is said where stdout can't be written.
pub(crate) fn unwritable_answer(error: &std::io::Error) -> Diagnostic {
    Diagnostic::new("stdout", format!("can't be written: {error}"))
        .hint("send it to a file on a disk with room, or leave the redirection out")
}

/// Writes everything, past the buffers of the standard library: they would keep what could not be written, and try again at the end.
fn write_all(out: &impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Whoever shares the pipe or the terminal may have made it one that doesn't wait.
            Err(Errno::AGAIN) => {
                let patience = Timespec::try_from(Duration::from_millis(100)).ok();
                let mut places = [PollFd::new(out, PollFlags::OUT)];
                match poll(&mut places, patience.as_ref()) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Says a line on stderr, as `eprintln!` would, with letters that would steer a terminal shown as their codes: names of files and of what
/// is in them may hold any.
macro_rules! note {
    ($($words:tt)*) => {
        $crate::output::write_note(&$crate::output::for_stderr(
            &homebench_diagnostic::visible_lines(&format!($($words)*)),
        ))
    };
}
pub(crate) use note;

/// Columns of the narrowest lines: in less than a phone has nothing is readable.
pub(crate) const NARROWEST: usize = 40;

/// The text as the terminal at stderr shows it without breaking a word; as it is where there is none.
pub(crate) fn for_stderr(text: &str) -> String {
    let stderr = std::io::stderr();
    let size = stderr.is_terminal().then(|| Term::stderr().size_checked());
    match size.flatten() {
        Some((_, columns)) => in_lines(text, "", usize::from(columns).max(NARROWEST)),
        None => text.to_owned(),
    }
}

/// How long a note may keep whoever says it. A reader that is only slow takes a line in far less; behind one that reads no more, such
/// as a terminal after Ctrl-S, the rest has to go on without it.
const PATIENCE: Duration = Duration::from_millis(500);
/// Notes that wait for such a reader. Later ones are left out, and counted.
const MOST_WAITING: usize = 1000;

/// Notes on their way to stderr, which a thread of its own writes.
#[derive(Default)]
struct Notes {
    waiting: VecDeque<String>,
    is_writing: bool,
    num_left_out: usize,
}

static NOTES: Mutex<Notes> = Mutex::new(Notes {
    waiting: VecDeque::new(),
    is_writing: false,
    num_left_out: 0,
});
static CHANGED: Condvar = Condvar::new();

fn notes() -> MutexGuard<'static, Notes> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says a line on stderr as it is, and waits a moment for it to be there. A stderr that is closed, full or not read stops nobody.
pub fn write_note(words: &str) {
    let line = format!("{words}\n");
    if !has_writer() {
        // Without a thread it is said here, at the price of waiting for its reader.
        let _ = write_all(&std::io::stderr(), line.as_bytes());
        return;
    }
    let mut notes = notes();
    let is_stuck = notes.waiting.len() > 1;
    if notes.waiting.len() >= MOST_WAITING {
        notes.num_left_out += 1;
        return;
    }
    notes.waiting.push_back(line);
    CHANGED.notify_all();
    drop(notes);
    if !is_stuck {
        wait_for_notes();
    }
}

/// Waits until every note is written, for a moment at most.
pub(crate) fn wait_for_notes() {
    let start = Instant::now();
    let mut notes = notes();
    while notes.is_writing || !notes.waiting.is_empty() {
        let Some(left) = PATIENCE.checked_sub(start.elapsed()) else {
            return;
        };
        let waited = CHANGED.wait_timeout(notes, left);
        notes = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Whether there is a thread that writes notes; starts it where there is none yet.
fn has_writer() -> bool {
    static WRITER: OnceLock<bool> = OnceLock::new();
    *WRITER.get_or_init(|| {
        let named = std::thread::Builder::new().name("notes".to_owned());
        named.spawn(write_notes).is_ok()
    })
}

fn write_notes() {
    let mut notes = notes();
    loop {
        let Some(mut line) = notes.waiting.pop_front() else {
            notes.is_writing = false;
            CHANGED.notify_all();
            notes = CHANGED.wait(notes).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        notes.is_writing = true;
        if notes.waiting.is_empty() && notes.num_left_out > 0 {
            let count = std::mem::take(&mut notes.num_left_out);
            line.push_str(&format!(
                "{count} lines were left out here, since nobody read them\n"
            ));
        }
        drop(notes);
        // Nobody can be told that nobody can be told anything.
        let _ = write_all(&std::io::stderr(), line.as_bytes());
        notes = self::notes();
    }
}

/// Passes on what the preparation of data has to say, without its progress.
pub(crate) struct NoticesAlone;

impl data::Observer for NoticesAlone {
    fn notice(&mut self, message: &str) {
        note!("{message}");
    }

    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_pipe_that_does_not_wait_gets_every_byte() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|place| place as u8).collect();
        let expected = bytes.clone();
        let sender = std::thread::spawn(move || write_all(&writer, &bytes));
        std::thread::sleep(Duration::from_millis(50));
        let mut found = Vec::new();
        reader.read_to_end(&mut found).unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert!(found == expected);
    }

    #[test]
    fn a_reader_that_has_left_is_told_apart_from_a_full_disk() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(write_all(&writer, b"words"), Err(Errno::PIPE));
        if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
            assert_eq!(write_all(&full, b"words"), Err(Errno::NOSPC));
        }
    }
}
