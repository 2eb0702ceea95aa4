//! How cells of submissions stand, for whoever looks on: by files alone, so on any machine that sees the folder.

use super::events::{EventReader, TaskEvent};
use super::submission::Submission;
use homebench_diagnostic::Diagnostic;
use homebench_results::ResultsFolder;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// How a cell that was submitted and has not ended stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellStanding {
    /// It waits, as a part of this task.
    Queued(String),
    /// It runs on this machine.
    Running(String),
    /// The task that had it is silent: by this name, there, for so many seconds.
    Lost(String, String, u64),
}

/// The cells of open submissions, by id. Nobody is asked and nothing is concluded: what can't be read is left out, and told by
/// [`unreadable_submissions`].
pub fn standings(results: &ResultsFolder) -> BTreeMap<String, CellStanding> {
    let mut found = BTreeMap::new();
    let all: Vec<Submission> = Submission::each(results)
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    for submission in all.iter().filter(|submission| submission.is_open()) {
        let orders = submission.orders();
        let chunks = submission.chunks().unwrap_or_default();
        for (task, chunk) in chunks.into_iter().enumerate() {
            if orders.is_superseded(task) {
                continue;
            }
            let told = Told::of(submission, task);
            if told.is_over {
                continue;
            }
            let name = submission.task_name(task);
            for cell in chunk.into_iter().map(|cell| cell.id) {
                if told.ended.contains(&cell) {
                    continue;
                }
                let is_running = told.running.as_ref() == Some(&cell);
                let standing = match (&told.host, told.lost_for) {
                    (Some(host), Some(time)) => {
                        CellStanding::Lost(name.clone(), host.clone(), time.as_secs())
                    }
                    (Some(host), None) if is_running => CellStanding::Running(host.clone()),
                    _ => CellStanding::Queued(name.clone()),
                };
                found.insert(cell, standing);
            }
        }
    }
    found
}

/// Submissions whose records can't be read, each with the mend: nobody can say whether tasks of them are at work.
pub fn unreadable_submissions(results: &ResultsFolder) -> Vec<Diagnostic> {
    let all = Submission::each(results).into_iter();
    all.filter_map(Result::err)
        .map(|unreadable| *unreadable.said)
        .collect()
}

/// What a task has told so far.
#[derive(Default)]
struct Told {
    host: Option<String>,
    running: Option<String>,
    ended: BTreeSet<String>,
    is_over: bool,
    /// How long it has been silent, where that is too long.
    lost_for: Option<Duration>,
}

impl Told {
    fn of(submission: &Submission, task: usize) -> Self {
        let mut told = Self::default();
        let mut reader = EventReader::new(submission.events(task));
        let news = reader.all_news();
        news.into_iter().for_each(|event| told.take(event));
        let since = reader.last_change();
        let silent = since.and_then(|since| SystemTime::now().duration_since(since).ok());
        told.lost_for = silent.filter(|silent| *silent > submission.work().silence());
        told
    }

    fn take(&mut self, event: TaskEvent) {
        match event {
            TaskEvent::Start(start) => (self.host, self.is_over) = (Some(start.host), false),
            TaskEvent::Began(cell) => self.running = Some(cell),
            TaskEvent::Ended(cell) => drop(self.ended.insert(cell)),
            TaskEvent::Over => self.is_over = true,
            _ => {}
        }
    }
}
