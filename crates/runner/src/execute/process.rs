//! The process of a cell as its parent has it: started, listened to, held to its limits, ended.

use super::lock::is_alive;
use super::protocol::{Message, STOP};
use crate::provenance::Usage;
use anyhow::{Context, Result};
use homebench_experiment::spec::Limits;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether something that is to be ended has started something else.
const MOST_ROUNDS: usize = 200;
/// A process that was killed is gone within this, as a rule.
const AFTER_ROUND: Duration = Duration::from_millis(5);

/// The limit that a process reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    Time(Duration),
    /// In bytes.
    Memory(u64),
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) status: ExitStatus,
    pub(super) reached: Option<Limit>,
    pub(super) usage: Option<Usage>,
    /// From start to end.
    pub(super) seconds: f64,
}

struct LiveChild {
    child: Child,
    reached: Option<Limit>,
}

/// The process of a cell, which one thread waits for and another holds to its limits.
pub(super) struct Process {
    id: u32,
    start: Instant,
    /// Taken, with this locked, before the process is collected: from then on the system may give its number to another, which
    /// no signal of ours may reach.
    running: Mutex<Option<LiveChild>>,
}

impl Process {
    /// Starts a process; gives what it will say too.
    pub(super) fn start(command: &mut Command) -> Result<(Self, ChildStdout)> {
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        running_now().insert(child.id());
        let stdout = child.stdout.take().context("the cell's stdout is a pipe")?;
        let process = Self {
            id: child.id(),
            start: Instant::now(),
            running: Mutex::new(Some(LiveChild {
                child,
                reached: None,
            })),
        };
        Ok((process, stdout))
    }

    /// Blocks until the process has ended; called once.
    pub(super) fn wait(&self) -> Result<Exit> {
        // Without the lock, or the process could not be ended meanwhile.
        wait_until_ended(self.id)?;
        let mut running = self.lock().take().context("a process is waited for once")?;
        // What a program outside has left behind writes in the cell's folder. Before the process is collected, the number is its own.
        kill_group(self.id);
        running_now().remove(&self.id);
        let (status, usage) = reap(&mut running.child)?;
        Ok(Exit {
            status,
            reached: running.reached,
            usage: Some(usage),
            seconds: self.start.elapsed().as_secs_f64(),
        })
    }

    /// Asks the process to keep what it can and to end.
    pub(super) fn ask_to_stop(&self) {
        if let Some(running) = self.lock().as_mut()
            && let Some(stdin) = &mut running.child.stdin
        {
            // One that has just ended can't be asked any more, which is as good.
            let _ = writeln!(stdin, "{STOP}");
            // One that was stopped would hear it never, and lose what it could keep.
            send(self.id, Signal::CONT);
        }
    }

    /// Whether it was waited for.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().is_none()
    }

    /// Ends the process.
    pub(super) fn kill(&self) {
        if let Some(running) = self.lock().as_mut() {
            kill_family(running);
        }
    }

    /// Ends the process if it is over a limit.
    pub(super) fn hold_to(&self, limits: &Limits) {
        let mut place = self.lock();
        let Some(running) = place.as_mut().filter(|running| running.reached.is_none()) else {
            return;
        };
        let time = limits.time.filter(|limit| self.start.elapsed() > *limit);
        let memory = limits
            .memory_bytes
            .filter(|limit| family_memory_bytes(self.id).is_some_and(|filled| filled > *limit));
        running.reached = match (time, memory) {
            (_, Some(limit)) => Some(Limit::Memory(limit)),
            (Some(limit), None) => Some(Limit::Time(limit)),
            (None, None) => return,
        };
        kill_family(running);
    }

    fn lock(&self) -> MutexGuard<'_, Option<LiveChild>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a process that was not collected yet, and those that it has started: a cell leads a group of its own, and a program outside may
/// have helpers.
fn kill_family(running: &mut LiveChild) {
    // One without a group of its own is ended by itself.
    kill_group(running.child.id());
    let _ = running.child.kill();
}

fn kill_group(leader: u32) {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    // Where nothing of it is left there is nobody to hear.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// The processes of this parent's cells, for an end that reaches no executor any more. A number is taken out before its process is
/// collected, as in [`Process`].
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running_now() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every cell that this process has started, whatever it does, and what these have started: for a parent that is about to end
/// itself.
pub fn kill_every_cell() {
    for process in running_now().iter() {
        kill_group(*process);
        send(*process, Signal::KILL);
    }
}

/// Has the processes that this one's children leave behind become its own, where the system knows how to, so that
/// [`kill_descendants`] finds them.
pub(crate) fn adopt_orphans() {
    // Without it those are found that still hang together.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Ends every process that this one has started, and those that they have, also in sessions of their own.
pub(crate) fn kill_descendants() {
    let own = std::process::id();
    // One may start another before it is ended; who goes on with that for ever is left to the parent, which ends the group.
    for _ in 0..MOST_ROUNDS {
        let mut living = Vec::new();
        add_living_descendants(own, &mut living);
        if living.is_empty() {
            return;
        }
        living
            .iter()
            .for_each(|process| send(*process, Signal::KILL));
        std::thread::sleep(AFTER_ROUND);
    }
}

fn add_living_descendants(process: u32, found: &mut Vec<u32>) {
    for child in children(process) {
        if is_alive(child) {
            found.push(child);
        }
        add_living_descendants(child, found);
    }
}

/// The children of all threads of a process, as the system lists them.
fn children(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let of_threads = threads.into_iter().flatten().flatten().map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let numbers = text.split_whitespace().map(str::parse::<u32>);
        numbers.filter_map(Result::ok).collect::<Vec<_>>()
    });
    of_threads.flatten().collect()
}

fn send(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    // One that is gone needs no signal.
    let _ = process.map(|process| kill_process(process, signal));
}

/// Passes every message on and keeps the reason of a failure.
pub(super) fn listen(stdout: ChildStdout, mut said: impl FnMut(Message)) -> Option<String> {
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

/// Resident memory that no file backs: what the process filled itself. An allocator's reserve of addresses doesn't count,
/// nor do pages of mapped data, which the system takes back when it needs them.
fn filled_memory_bytes(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let mut pages = text.split_whitespace().skip(1).map(str::parse::<u64>);
    // Of `statm`: pages that are resident, and those of them that a file or a shared mapping backs.
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// The same with all processes that it has started and that still run: those of a program outside are the cell's.
fn family_memory_bytes(process: u32) -> Option<u64> {
    let own = filled_memory_bytes(process)?;
    let children = children(process).into_iter();
    // One that has just ended fills nothing.
    Some(own + children.filter_map(family_memory_bytes).sum::<u64>())
}

/// Whether this system tells what a process has filled, so that a limit can be kept.
pub fn can_limit_memory() -> bool {
    filled_memory_bytes(std::process::id()).is_some()
}

/// Blocks until the process has ended, and leaves it to be collected.
fn wait_until_ended(process: u32) -> Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    let id = WaitId::Pid(id.context("a process has a number above 0")?);
    // It stays a zombie, and keeps its number, until `reap`.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(id.clone(), options)).context("waiting for a cell")?;
    Ok(())
}

/// Collects a process that ended, with the system's account of it.
fn reap(child: &mut Child) -> Result<(ExitStatus, Usage)> {
    let id = child.id() as libc::pid_t;
    let mut status = 0;
    // `wait4` and not `Child::wait`: the system's account of this one process comes with it. `getrusage` for children has the
    // sum, or the largest, of all that ended.
    // SAFETY: all zeros is a valid `rusage`, which the call fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live on. The child is ours and not yet waited for: `Child` is dropped
        // after this without `wait`.
        let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
        if waited == id {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("waiting for a cell");
        }
    }
    Ok((ExitStatus::from_raw(status), Usage::from_rusage(&usage)))
}
