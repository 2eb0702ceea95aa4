//! Submissions that are there before a parent begins: taken up where they are, refused where they would be in the way, ended where
//! somebody asks for it.

use super::Cluster;
use super::batch::{Batch, Task, WaitingCell};
use super::chunk::CellLoad;
use super::engine::{Engine, Known, TaskState};
use super::events::{EventReader, TaskEvent};
use super::manual::Manual;
use super::processes::{GRACE_HERE, Processes, has_tasks_here, signal_tasks};
use super::settings::{EngineKind, read_settings};
use super::slurm::Slurm;
use super::submission::{State, Submission, Unreadable};
use crate::execute::local_host;
use anyhow::Result;
use homebench_diagnostic::{Diagnostic, shell_word};
use homebench_results::{Outcome, ResultsFolder, Status};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long the end of tasks is waited for that were cancelled: a node may take a while to see it.
const LONGEST_END: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Cluster {
    /// Takes up what an earlier parent has left, once.
    ///
    /// # Errors
    /// What is there can't be understood, or nobody can say whether it runs.
    pub(super) fn load(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_loaded, true) {
            return Ok(());
        }
        for mut submission in Submission::all(&self.results)? {
            if !submission.is_open() {
                continue;
            }
            if submission.engine() != self.run.kind.name() {
                if is_over(&submission) {
                    submission.set_state(State::Over, None)?;
                    continue;
                }
                return Err(in_the_way(&self.results, &submission).into());
            }
            if self.run.fresh {
                end_all(self.engine.as_ref(), &submission, true);
                submission.set_state(State::Superseded, None)?;
                continue;
            }
            if submission.state() == State::Intended {
                match self.engine.find(&submission) {
                    Known::As(job) => submission.set_state(State::Submitted, Some(job))?,
                    Known::Not => {
                        // Should it come to life after all, its tasks find that nothing is wanted of them.
                        submission.supersede(None)?;
                        submission.set_state(State::Superseded, None)?;
                        continue;
                    }
                    Known::Unanswered => {
                        let what = format!(
                            "an earlier run was about to submit {}, and the batch system doesn't say whether it did",
                            submission.name()
                        );
                        let said = Diagnostic::new("--executor", what);
                        return Err(said
                            .hint("run it again once the batch system answers")
                            .into());
                    }
                }
            }
            self.take_up_submission(submission)?;
        }
        Ok(())
    }

    fn take_up_submission(&mut self, mut submission: Submission) -> Result<()> {
        let orders = submission.orders();
        let results = self.results.clone();
        let mut tasks = Vec::new();
        for (task, chunk) in submission.chunks()?.into_iter().enumerate() {
            self.earlier
                .extend(chunk.iter().map(|cell| cell.id.clone()));
            let is_over = orders.is_superseded(task) || has_ended(&submission, task);
            let cells = chunk.into_iter().filter(|_| !is_over).map(|cell| {
                let load = CellLoad {
                    seconds: self.expected.get(&cell.id).copied().unwrap_or_default(),
                    // Which data it is of matters only to a node that has read it.
                    dataset: String::new(),
                };
                WaitingCell::new(cell, load, &results)
            });
            let mut followed = Task::new(&submission, task, cells.collect());
            // One that failed is tried again, by another task: this one has done with it.
            let has_failed = |cell: &String| {
                let outcome = Outcome::read(&results.cell(cell));
                matches!(outcome, Ok(Some(outcome)) if outcome.status == Status::Failed)
            };
            followed.cells.retain(|cell, _| !has_failed(cell));
            followed.is_closed = is_over;
            tasks.push(followed);
        }
        if tasks.iter().all(|task| task.is_closed) {
            return submission.set_state(State::Over, None);
        }
        let open = tasks.iter().filter(|task| !task.is_closed).count();
        let name = submission.job().unwrap_or_default();
        self.notice(format!(
            "taking up {open} tasks of {} {name} of an earlier run",
            submission.engine()
        ));
        self.has_submitted = true;
        self.follow(Batch::new(submission, tasks));
        Ok(())
    }
}

/// Whether a task has said its last word.
fn has_ended(submission: &Submission, task: usize) -> bool {
    let news = EventReader::new(submission.events(task)).all_news();
    matches!(news.last(), Some(TaskEvent::Over))
}

/// Whether nothing of a submission can be at work.
fn is_over(submission: &Submission) -> bool {
    let orders = submission.orders();
    let is_done = |task| orders.is_superseded(task) || has_ended(submission, task);
    submission.state() == State::Submitted && (0..submission.num_tasks()).all(is_done)
}

fn in_the_way(results: &ResultsFolder, submission: &Submission) -> Diagnostic {
    let engine = submission.engine();
    let folder = results.path().display().to_string();
    let what =
        format!("tasks of an earlier run with `--executor {engine}` may be at work in this folder");
    Diagnostic::new(folder, what).hint(format!(
        "go on with `homebench run --executor {engine}`, or end them with `homebench cancel {}`",
        shell_word(results.path())
    ))
}

/// Refuses a folder in which tasks of an earlier run may be at work.
///
/// # Errors
/// That they may.
pub fn refuse_open(results: &ResultsFolder) -> Result<()> {
    for mut submission in Submission::all(results)? {
        if !submission.is_open() {
            continue;
        }
        if !is_over(&submission) {
            return Err(in_the_way(results, &submission).into());
        }
        submission.set_state(State::Over, None)?;
    }
    Ok(())
}

/// Ends the tasks of a folder's submissions: so that cells keep what they have, or at once. Says how many submissions there were, and
/// names those whose end wasn't seen.
///
/// # Errors
/// A submission that can't be read or written.
pub fn cancel(results: &ResultsFolder, at_once: bool) -> Result<(usize, Vec<String>)> {
    let (mut num, mut left) = (0, Vec::new());
    for found in Submission::each(results) {
        let (name, is_seen) = match found {
            Ok(submission) if !submission.is_open() => continue,
            Ok(mut submission) => {
                let engine = engine_of(&submission)?;
                let is_seen = end_all(engine.as_ref(), &submission, at_once);
                submission.set_state(State::Superseded, None)?;
                (submission.name(), is_seen)
            }
            Err(unreadable) if unreadable.is_newer => return Err((*unreadable.said).into()),
            Err(unreadable) => (unreadable.name(), end_unreadable(&unreadable, at_once)?),
        };
        num += 1;
        if !is_seen {
            left.push(name);
        }
    }
    Ok((num, left))
}

/// Ends the tasks of a submission without its record, by orders, which they read all the time, and where they are processes of this
/// machine by signals. Says whether the end of all was seen.
fn end_unreadable(unreadable: &Unreadable, at_once: bool) -> Result<bool> {
    let folder = unreadable.folder();
    let is_seen_here = |path| {
        let news = EventReader::new(path).all_news();
        let is_over = matches!(news.last(), Some(TaskEvent::Over));
        let host = news.into_iter().rev().find_map(|event| match event {
            TaskEvent::Start(start) => Some(start.host),
            _ => None,
        });
        is_over || host.is_some_and(|host| host == local_host())
    };
    let is_quiet = || !has_tasks_here(&folder) && unreadable.events().into_iter().all(is_seen_here);
    if !at_once {
        unreadable.order_stop()?;
        signal_tasks(&folder, None, Signal::USR1);
        wait_until(&is_quiet, GRACE_HERE, LOOK_EVERY);
    }
    unreadable.write_off()?;
    signal_tasks(&folder, None, Signal::KILL);
    Ok(wait_until(&is_quiet, LONGEST_END, LOOK_EVERY))
}

fn wait_until(is_reached: &dyn Fn() -> bool, longest: Duration, every: Duration) -> bool {
    let start = Instant::now();
    while !is_reached() {
        if start.elapsed() > longest {
            return false;
        }
        std::thread::sleep(every);
    }
    true
}

fn engine_of(submission: &Submission) -> Result<Box<dyn Engine>> {
    let Some(kind) = EngineKind::of_name(submission.engine()) else {
        let what = format!(
            "is of an executor that is not known: {}",
            submission.engine()
        );
        let folder = submission.folder().display().to_string();
        return Err(Diagnostic::new(folder, what)
            .hint("use the homebench that submitted it")
            .into());
    };
    Ok(match kind {
        EngineKind::Slurm => Box::new(Slurm::new(read_settings(None, kind)?)),
        EngineKind::Processes => Box::new(Processes::new(1)),
        EngineKind::Manual => Box::new(Manual),
    })
}

/// Ends tasks, and says whether the end of all was seen.
fn end_all(engine: &dyn Engine, submission: &Submission, at_once: bool) -> bool {
    let is_quiet = || {
        let Some(states) = engine.states(&[submission]) else {
            return false;
        };
        (0..submission.num_tasks()).all(|task| {
            let state = states.get(&(submission.token(), task));
            let is_gone = state.is_none_or(|state| matches!(state, TaskState::Ended { .. }));
            let has_begun = submission.events(task).exists();
            has_ended(submission, task) || is_gone && (engine.knows_tasks() || !has_begun)
        })
    };
    let every = LOOK_EVERY.max(engine.look_every());
    let wait = |longest: Duration| wait_until(&is_quiet, longest, every);
    if !at_once {
        // Written too: a task that begins only now reads it.
        let _ = submission.order_stop();
        engine.stop(&[submission]);
        wait(engine.grace());
    }
    let _ = submission.supersede(None);
    engine.cancel(submission, None);
    wait(LONGEST_END)
}
