//! Tasks as plain processes of this machine: the whole of what a cluster's parent and tasks do, without a cluster.

use super::calls::close_files_in_child;
use super::engine::{Engine, Known, States, Submitted, TaskNeeds, TaskState};
use super::submission::Submission;
use crate::execute::lock::host;
use anyhow::{Context, Result};
use homebench_diagnostic::{Diagnostic, regular_file};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the system's list of processes has of a task.
const INDEX: &str = "--index";

/// How long tasks may take to end once they were asked to: their cells have ten seconds.
pub(super) const GRACE_HERE: Duration = Duration::from_secs(12);

/// Processes of this machine.
#[derive(Debug)]
pub(crate) struct Processes {
    tasks: usize,
    /// Those that this process has started, to be collected when they have ended.
    children: Mutex<Vec<Child>>,
}

impl Processes {
    pub(crate) fn new(tasks: usize) -> Self {
        Self {
            tasks,
            children: Mutex::new(Vec::new()),
        }
    }

    fn start(&self, submission: &Submission, task: usize) -> Result<()> {
        let path = submission.log(task);
        let log = regular_file::unlinked()
            .create(true)
            .append(true)
            .open(&path);
        let log = log.with_context(|| format!("opening {}", path.display()))?;
        let mut command = Command::new(submission.program());
        command
            .arg("task")
            .arg(submission.folder())
            .args([INDEX, &task.to_string()])
            .current_dir(submission.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // It is to outlive this process and its terminal, and the lock of the results is not to live on in it.
        close_files_in_child(&mut command, true);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", submission.program().display()))?;
        self.children().push(child);
        Ok(())
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects what has ended; a process that isn't collected keeps its number.
    fn collect(&self) {
        self.children()
            .retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
    }

    fn signal(&self, submission: &Submission, task: Option<usize>, signal: Signal) {
        self.collect();
        signal_tasks(submission.folder(), task, signal);
    }
}

/// Sends a signal to those processes of this machine that are a task of a submission's folder, or all of its tasks.
pub(super) fn signal_tasks(folder: &Path, task: Option<usize>, signal: Signal) {
    for (process, found) in tasks_of(folder) {
        if task.is_none_or(|task| task == found) {
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            // One that has just ended needs no signal.
            let _ = process.map(|process| kill_process(process, signal));
        }
    }
}

/// Whether processes of this machine are tasks of a submission's folder.
pub(super) fn has_tasks_here(folder: &Path) -> bool {
    !tasks_of(folder).is_empty()
}

/// The processes of a submission's tasks, each with its task. One that has ended has no words any more.
fn tasks_of(folder: &Path) -> Vec<(u32, usize)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let task = |process: u32| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_its = words.get(1) == Some(&b"task".as_slice())
            && words.get(2) == Some(&folder.as_os_str().as_bytes());
        let index = words
            .get(3)
            .filter(|word| **word == INDEX.as_bytes())
            .and(words.get(4))?;
        let index = std::str::from_utf8(index).ok()?.parse().ok()?;
        is_its.then_some((process, index))
    };
    numbers.filter_map(task).collect()
}

impl Engine for Processes {
    fn most_tasks(&self) -> Result<usize> {
        if !cfg!(target_os = "linux") {
            return Err(Diagnostic::new(
                "--executor processes",
                "needs Linux, whose list of processes says which tasks live",
            )
            .hint("leave `--executor` out: cells then run on this machine all the same")
            .into());
        }
        // All start at once: nobody is left to start others when the parent is gone.
        Ok(self.tasks)
    }

    fn check(&self, _needs: &TaskNeeds) -> Result<()> {
        Ok(())
    }

    fn submit(&self, submission: &Submission, _needs: &TaskNeeds) -> Result<Submitted> {
        for task in 0..submission.num_tasks() {
            self.start(submission, task)?;
        }
        Ok(Submitted::As(format!("of {}", host())))
    }

    fn find(&self, submission: &Submission) -> Known {
        let has_spoken = |task: usize| submission.events(task).exists();
        let is_known = !tasks_of(submission.folder()).is_empty()
            || (0..submission.num_tasks()).any(has_spoken);
        match is_known {
            true => Known::As(format!("of {}", host())),
            false => Known::Not,
        }
    }

    fn states(&self, submissions: &[&Submission]) -> Option<States> {
        self.collect();
        let mut states = States::new();
        for submission in submissions {
            let mut set = |task, state| states.insert((submission.token(), task), state);
            for task in 0..submission.num_tasks() {
                let how = "its process is gone".to_owned();
                let host = host();
                let out_of_memory = false;
                set(
                    task,
                    TaskState::Ended {
                        how,
                        host,
                        out_of_memory,
                    },
                );
            }
            for (_, task) in tasks_of(submission.folder()) {
                set(task, TaskState::Running(host()));
            }
        }
        Some(states)
    }

    fn stop(&self, submissions: &[&Submission]) {
        for submission in submissions {
            self.signal(submission, None, Signal::USR1);
        }
    }

    fn cancel(&self, submission: &Submission, task: Option<usize>) {
        // Cells end by themselves when their task is gone.
        self.signal(submission, task, Signal::KILL);
    }

    fn look_every(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn grace(&self) -> Duration {
        GRACE_HERE
    }
}
