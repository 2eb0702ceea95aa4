//! What a parent sees of its tasks, and what it concludes.

use super::Cluster;
use super::batch::files_now;
use super::engine::{Known, TaskState};
use super::events::TaskEvent;
use super::submission::{State, Submission};
use crate::execute::{Event, EventKind, Message, Verdict};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{PlannedCell, Reuse, reuse};
use homebench_experiment::spec::CellContent;
use std::time::{Duration, Instant, SystemTime};

/// The longest wait between two questions to the batch system.
const LONGEST_POLL: Duration = Duration::from_secs(300);
/// A task that is silent for so many silences is lost, though the batch system says that it runs: such as one whose supervisor on the
/// node is gone.
const LONG_SILENCE: u32 = 10;
/// After so many questions without an answer the user is told.
const UNANSWERED: usize = 3;

/// Why a task is followed no longer.
pub(super) enum Close {
    /// It said so.
    Over,
    /// It is gone.
    Lost(String),
}

impl Cluster {
    /// Looks at files, asks the batch system now and then, and concludes what is to be concluded.
    pub(super) fn look(&mut self) -> Result<()> {
        let is_due = |since: Option<Instant>, wait| {
            since.is_none_or(|since: Instant| since.elapsed() >= wait)
        };
        if !is_due(self.looked, self.engine.look_every()) {
            return Ok(());
        }
        let asks = is_due(self.polled, self.poll_wait);
        if asks {
            self.ask()?;
        }
        self.read_events(asks);
        self.settle_unseen();
        self.conclude()?;
        self.looked = Some(Instant::now());
        self.is_seen |= asks;
        Ok(())
    }

    /// Asks the batch system of every task at once.
    fn ask(&mut self) -> Result<()> {
        let open = self.batches.iter().filter(|batch| !batch.is_closed);
        let open: Vec<&Submission> = open.map(|batch| &batch.submission).collect();
        if open.is_empty() {
            return Ok(());
        }
        let states = self.engine.states(&open);
        self.polled = Some(Instant::now());
        let Some(states) = states else {
            // Nothing is concluded.
            self.num_unanswered += 1;
            self.was_away = true;
            if self.num_unanswered == UNANSWERED {
                self.notice("the batch system doesn't answer; tasks go on, and are looked at by their files".to_owned());
            }
            return Ok(());
        };
        self.num_unanswered = 0;
        let mut has_changed = false;
        for number in 0..self.batches.len() {
            if self.batches[number].is_closed {
                continue;
            }
            if self.batches[number].unknown_since.is_some() {
                self.look_for(number)?;
                has_changed = true;
                continue;
            }
            let batch = &mut self.batches[number];
            let token = batch.submission.token();
            for (task, followed) in batch.tasks.iter_mut().enumerate() {
                let state = states.get(&(token.clone(), task)).cloned();
                if followed.is_closed || (state.is_none() && !self.engine.knows_tasks()) {
                    continue;
                }
                // What is suspect is looked at again soon.
                has_changed |= followed.state != state || followed.gone_since.is_some();
                followed.take_state(state);
                has_changed |= followed.gone_since.is_some();
            }
        }
        let most = LONGEST_POLL.max(self.run.settings.poll);
        self.poll_wait = match has_changed || self.is_stopping {
            true => self.run.settings.poll,
            false => (self.poll_wait * 2).min(most),
        };
        Ok(())
    }

    /// Looks whether a submission that got no answer was accepted.
    fn look_for(&mut self, number: usize) -> Result<()> {
        let batch = &mut self.batches[number];
        match self.engine.find(&batch.submission) {
            Known::Unanswered => Ok(()),
            Known::As(job) => {
                batch
                    .submission
                    .set_state(State::Submitted, Some(job.clone()))?;
                batch.unknown_since = None;
                batch
                    .tasks
                    .iter_mut()
                    .for_each(|task| task.heard = Instant::now());
                let name = batch.submission.name();
                self.share_open();
                self.notice(format!("{name} was accepted as {job}"));
                Ok(())
            }
            Known::Not => {
                let since = batch.unknown_since.map(|since| since.elapsed());
                if since.is_none_or(|since| since < self.run.settings.silence) {
                    return Ok(());
                }
                // Should it come to life after all, its tasks find that nothing is wanted of them.
                batch.submission.supersede(None)?;
                batch.submission.set_state(State::Superseded, None)?;
                batch.is_closed = true;
                let tasks = batch.tasks.iter_mut();
                let cells: Vec<_> = tasks
                    .flat_map(|task| std::mem::take(&mut task.cells))
                    .collect();
                let name = batch.submission.name();
                self.share_open();
                self.notice(format!("{name} was not accepted; submitting it again"));
                let results = self.results.clone();
                for (_, cell) in cells {
                    self.gather(cell.again(&results));
                }
                Ok(())
            }
        }
    }

    fn read_events(&mut self, all: bool) {
        for number in 0..self.batches.len() {
            if self.batches[number].is_closed {
                continue;
            }
            for task in 0..self.batches[number].tasks.len() {
                let followed = &mut self.batches[number].tasks[task];
                if !(followed.may_speak() || all && !followed.is_closed) {
                    continue;
                }
                let news = followed.reader.news();
                if !news.is_empty() {
                    followed.heard = Instant::now();
                }
                for event in news {
                    self.take_event((number, task), event);
                }
                self.tell_of_start((number, task));
            }
        }
    }

    fn take_event(&mut self, (number, task): (usize, usize), event: TaskEvent) {
        let followed = &mut self.batches[number].tasks[task];
        match event {
            TaskEvent::Start(start) => {
                // Also one that a batch system has started a second time.
                (followed.start, followed.is_over) = (Some(*start), false);
                self.has_seen_start = true;
            }
            TaskEvent::Beat => {}
            TaskEvent::Began(cell) => followed.running = Some(cell),
            TaskEvent::Said { cell, message } => self.events.push_back(Event {
                cell,
                kind: EventKind::Said(message),
            }),
            TaskEvent::Again {
                cell,
                reason,
                next,
                most,
            } => {
                let words = format!("{reason}; starting it again (try {next} of {most})");
                self.events.push_back(Event {
                    cell,
                    kind: EventKind::Said(Message::Notice(words)),
                });
            }
            TaskEvent::Ended(cell) => drop(followed.unseen.insert(cell)),
            TaskEvent::Refused(why) => followed.refused = Some(why),
            TaskEvent::Broken(why) => followed.broken = Some(why),
            TaskEvent::Over => followed.is_over = true,
        }
    }

    /// Tells of the cell that a task runs. Not of those that have begun and ended since the last look: whoever comes late would see all of
    /// them run at once.
    fn tell_of_start(&mut self, (number, task): (usize, usize)) {
        let followed = &self.batches[number].tasks[task];
        let running = followed.running.as_ref();
        let is_new =
            |cell: &&String| followed.cells.contains_key(*cell) && !followed.unseen.contains(*cell);
        if let Some(cell) = running.filter(is_new)
            && self.started.insert(cell.clone())
        {
            self.events.push_back(Event {
                cell: cell.clone(),
                kind: EventKind::Started,
            });
        }
    }

    /// Takes in the outcomes of cells that tasks say have ended. One that isn't seen yet may be a moment away on a network.
    fn settle_unseen(&mut self) {
        for number in 0..self.batches.len() {
            for task in 0..self.batches[number].tasks.len() {
                let followed = &self.batches[number].tasks[task];
                for cell in followed.unseen.clone() {
                    if self.settle((number, task), &cell) {
                        self.batches[number].tasks[task].unseen.remove(&cell);
                    }
                }
            }
        }
    }

    /// Ends a cell whose outcome is there, and says whether it was.
    pub(super) fn settle(&mut self, (number, task): (usize, usize), cell: &str) -> bool {
        let followed = &self.batches[number].tasks[task];
        if !followed.cells.contains_key(cell) {
            return true;
        }
        let folder = self.results.cell(cell);
        let Ok(content) = CellContent::read(&folder) else {
            return false;
        };
        let verdict = match reuse(&folder, &PlannedCell::new(content)) {
            Reuse::Done(outcome) => Verdict::Done(outcome),
            Reuse::Failed(outcome) => Verdict::Recorded(outcome),
            Reuse::Missing | Reuse::Refused(_) => return false,
        };
        if let Some(start) = &followed.start {
            self.hosts.add(start, cell);
        }
        // The task gets on, so none of its cells is to blame for an end of it so far.
        if !self.losses.is_empty() {
            for other in followed.cells.keys() {
                self.losses.remove(other);
            }
        }
        self.end(cell, verdict);
        true
    }

    /// Looks at every task for whether it still has anything to do.
    fn conclude(&mut self) -> Result<()> {
        let now = files_now(&self.results.cluster());
        for number in 0..self.batches.len() {
            if self.batches[number].is_closed || self.batches[number].unknown_since.is_some() {
                continue;
            }
            for task in 0..self.batches[number].tasks.len() {
                if let Some(close) = self.verdict_on((number, task), now)? {
                    self.close((number, task), close)?;
                }
            }
            let batch = &mut self.batches[number];
            if batch.tasks.iter().all(|task| task.is_closed) {
                batch.submission.set_state(State::Over, None)?;
                batch.is_closed = true;
                self.share_open();
            }
        }
        Ok(())
    }

    /// Whether a task is to be followed no longer.
    fn verdict_on(&self, (number, task): (usize, usize), now: SystemTime) -> Result<Option<Close>> {
        let batch = &self.batches[number];
        let followed = &batch.tasks[task];
        let silence = self.run.settings.silence;
        if followed.is_closed {
            return Ok(None);
        }
        if followed.is_over {
            // An outcome that a network shows late is waited for.
            let waits = !followed.unseen.is_empty() && followed.heard.elapsed() < silence;
            return Ok((!waits).then_some(Close::Over));
        }
        if let (Some(TaskState::Never(reason)), Some(since)) =
            (&followed.state, followed.never_since)
            && (since.elapsed() >= silence || batch.quiet_for(task, now) >= silence)
        {
            let what = format!(
                "{} can never run: {reason}",
                batch.submission.task_name(task)
            );
            return Err(Diagnostic::new("--executor slurm", what)
                .hint("ask for less in cluster.toml (`time`, `memory`, threads), or for other nodes with `arguments` and `constraint`; what was submitted is taken back")
                .into());
        }
        let is_gone = followed.gone_since.is_some();
        if self.is_stopping && followed.start.is_none() && (is_gone || !self.engine.knows_tasks()) {
            return Ok(Some(Close::Over));
        }
        let how = || match &followed.state {
            Some(TaskState::Ended { how, host, .. }) if !host.is_empty() => {
                format!("{how} on {host}")
            }
            Some(TaskState::Ended { how, .. }) => how.clone(),
            _ => "the batch system doesn't know it any more".to_owned(),
        };
        let is_silent = followed.heard.elapsed() >= silence;
        let is_gone_for_long = followed
            .gone_since
            .is_some_and(|since| since.elapsed() >= silence);
        // Whoever looks only once has the files' times alone.
        let is_quiet = self.run.leaves && is_gone && batch.quiet_for(task, now) >= silence * 2;
        if is_silent && is_gone_for_long || is_quiet {
            return Ok(Some(Close::Lost(how())));
        }
        let long = silence * LONG_SILENCE;
        let is_mute = followed.heard.elapsed() >= long
            || self.run.leaves && batch.quiet_for(task, now) >= long;
        if followed.start.is_some() && is_mute {
            let words = format!("no word of it for {} s", long.as_secs());
            return Ok(Some(Close::Lost(words)));
        }
        Ok(None)
    }
}
