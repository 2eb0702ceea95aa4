//! Runs cells through an executor: some at once, again where one broke, none after somebody asked to stop.

use crate::cell::{CellTimes, prediction_files, write_failed};
use crate::execute::{Ended, Event, EventKind, Executor, LockWatch, Message, Verdict};
use anyhow::{Result, anyhow};
use homebench_experiment::plan::PlannedCell;
use homebench_results::tables::TIMES;
use homebench_results::{
    CellFolder, CellParts, Outcome, ResultsFolder, create_dir_inside, refuse_special, remove,
    remove_partials, write_unsynced,
};
use homebench_train::Device;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often an interruption is looked at: nobody feels so short a wait after Ctrl-C, and a parent that wakes 50 times a second
/// takes no time from its cells.
const PATIENCE: Duration = Duration::from_millis(20);

/// How cells are run.
#[derive(Debug, Clone)]
pub struct CellRuns<'a> {
    /// Where they write.
    pub results: &'a ResultsFolder,
    /// How often a cell is started again after its process broke.
    pub retries: usize,
    /// Whether cells begin anew even where a checkpoint is.
    pub fresh: bool,
    /// Threads of each, for its row of times.
    pub threads: usize,
    /// Where tensors are, for its row of times.
    pub device: Device,
    /// Whether the first cell that fails ends the others, which keep what they have.
    pub fail_fast: bool,
    /// Set when somebody asks to stop.
    pub interrupted: &'a AtomicBool,
    /// Tells when the folder is no longer this parent's.
    pub lock: LockWatch,
}

/// Hears how cells go.
pub trait Watcher {
    /// A cell began.
    fn started(&mut self, cell: &PlannedCell);
    /// A cell said something.
    fn message(&mut self, cell: &PlannedCell, message: &Message);
    /// A cell's process broke, and it is started again: try `next` of `most`.
    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize);
    /// A cell ended.
    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome);
    /// A cell was asked to end, and not by this parent.
    fn stopped(&mut self, cell: &PlannedCell);
    /// Somebody asked for an end, and the cells were told.
    fn stopping(&mut self);
    /// There is something to be read, of no cell in particular.
    fn noticed(&mut self, _words: &str) {}
    /// Called many times a second.
    fn tick(&mut self);
}

/// What became of the cells that were to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Every cell ended.
    All,
    /// Somebody asked the run or one of its cells to stop.
    Interrupted {
        /// Cells that ended before.
        ended: usize,
        /// Cells that were to run.
        total: usize,
    },
    /// The others go on without this process.
    UnderWay {
        /// Cells that ended.
        ended: usize,
        /// Cells that were to run.
        total: usize,
    },
    /// A cell failed, which was to end the others.
    FailedFast {
        /// Cells that ended.
        ended: usize,
        /// Cells that were to run.
        total: usize,
    },
}

/// A cell and the number of its start in this run, from 1.
type Try<'a> = (&'a PlannedCell, usize);

/// How far cells are.
struct Going<'a> {
    waiting: VecDeque<Try<'a>>,
    /// By id.
    running: BTreeMap<&'a str, Try<'a>>,
    ended: usize,
    /// Those that failed, by id.
    failed: BTreeMap<&'a str, Outcome>,
    stopping_since: Option<Instant>,
    /// What would end every other cell as well.
    broken: Option<anyhow::Error>,
}

impl<'a> Going<'a> {
    fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The first that waits for no other: one that starts from a cell that is still to end stays where it is.
    fn take_next(&mut self) -> Option<Try<'a>> {
        let is_open = |id: &str| {
            let mut waiting = self.waiting.iter();
            self.running.contains_key(id) || waiting.any(|(other, _)| other.id == id)
        };
        let parent = |(cell, _): &Try<'a>| cell.parent.as_ref().map(|parent| parent.id.as_str());
        let mut waiting = self.waiting.iter();
        let next = waiting.position(|one| !parent(one).is_some_and(is_open))?;
        self.waiting.remove(next)
    }

    /// How a cell ends whose weights to start from are of a cell that failed.
    fn failed_with_its_parent(&self, cell: &PlannedCell) -> Option<Outcome> {
        let parent = cell.parent.as_ref()?;
        let failed = self.failed.get(parent.id.as_str())?;
        let reason = failed.error.as_deref().unwrap_or("no reason");
        let does = match cell.content.distill {
            Some(_) => "learns",
            None => "starts",
        };
        let reason = format!(
            "`{}`, which it {does} from, failed: {reason}",
            parent.label()
        );
        Some(Outcome {
            may_end_otherwise: failed.may_end_otherwise,
            ..Outcome::failed(&cell.id, reason, 0)
        })
    }

    fn end_failed(&mut self, cell: &'a PlannedCell, outcome: Outcome, watcher: &mut dyn Watcher) {
        self.ended += 1;
        watcher.ended(cell, &outcome);
        self.failed.insert(&cell.id, outcome);
    }
}

impl CellRuns<'_> {
    /// Runs every cell and waits for them.
    ///
    /// # Errors
    /// A cell that can't be started, data that can't be read, output that can't be written: what would end every
    /// other cell as well. A cell that fails by itself is an outcome, not an error.
    pub fn run(
        &self,
        cells: &[&PlannedCell],
        executor: &mut dyn Executor,
        watcher: &mut dyn Watcher,
    ) -> Result<Finished> {
        let mut going = Going {
            waiting: cells.iter().map(|cell| (*cell, 1)).collect(),
            running: BTreeMap::new(),
            ended: 0,
            failed: BTreeMap::new(),
            stopping_since: None,
            broken: None,
        };
        loop {
            self.stop_where_asked(&mut going, executor, watcher);
            self.start_what_has_room(&mut going, executor, watcher);
            if going.running.is_empty() {
                break;
            }
            watcher.tick();
            match executor.next_event(PATIENCE) {
                Ok(Some(event)) => self.take_in(event, &mut going, watcher),
                Ok(None) if executor.leaves() && going.broken.is_none() => {
                    let (ended, total) = (going.ended, cells.len());
                    return Ok(Finished::UnderWay { ended, total });
                }
                Ok(None) => {}
                Err(error) => {
                    // Nobody would hear how they end.
                    executor.kill();
                    return Err(error);
                }
            }
        }
        let (ended, total) = (going.ended, cells.len());
        match going.broken {
            Some(error) => Err(error),
            None if ended == total => Ok(Finished::All),
            None if self.fail_fast && going.has_failed() && !self.is_interrupted() => {
                Ok(Finished::FailedFast { ended, total })
            }
            None => Ok(Finished::Interrupted { ended, total }),
        }
    }

    fn stop_where_asked(
        &self,
        going: &mut Going<'_>,
        executor: &mut dyn Executor,
        watcher: &mut dyn Watcher,
    ) {
        if let Err(error) = self.lock.check()
            && going.broken.is_none()
        {
            going.broken = Some(error);
            // At once: whatever they keep, they would keep in another's folder.
            executor.kill();
        }
        let is_interrupted = self.is_interrupted();
        let fails_fast = self.fail_fast && going.has_failed();
        match going.stopping_since {
            None if is_interrupted || fails_fast || going.broken.is_some() => {
                going.stopping_since = Some(Instant::now());
                // What waits stays undone: the next run finds it missing.
                going.waiting.clear();
                executor.ask_to_stop();
                if is_interrupted {
                    watcher.stopping();
                }
            }
            Some(since) if since.elapsed() > executor.grace() => executor.kill(),
            _ => {}
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    fn start_what_has_room(
        &self,
        going: &mut Going<'_>,
        executor: &mut dyn Executor,
        watcher: &mut dyn Watcher,
    ) {
        while going.broken.is_none()
            && going.running.len() < executor.jobs()
            && let Some((cell, number)) = going.take_next()
        {
            if let Some(outcome) = going.failed_with_its_parent(cell) {
                match self.leave_out(cell, &outcome) {
                    Ok(()) => going.end_failed(cell, outcome, watcher),
                    Err(error) => going.broken = Some(error),
                }
                continue;
            }
            match self.start((cell, number), executor) {
                Ok(()) => drop(going.running.insert(&cell.id, (cell, number))),
                Err(error) => going.broken = Some(error),
            }
        }
    }

    /// Writes that a cell that was never started failed.
    fn leave_out(&self, cell: &PlannedCell, outcome: &Outcome) -> Result<()> {
        let folder = self.lay_out(cell)?;
        // Of an earlier try, whose times are not those of this end.
        remove(&folder.part(TIMES.file))?;
        let parts = CellParts::of_content(cell.content.to_toml());
        outcome.write(&folder, &parts)
    }

    /// Makes the cell's folder, with its content and without an outcome.
    fn lay_out(&self, cell: &PlannedCell) -> Result<CellFolder> {
        let folder = self.results.cell(&cell.id);
        let inside = Path::new("cells").join(&cell.id);
        create_dir_inside(self.results.path(), &inside)?;
        // Nobody else writes here: this process holds the lock of the results, and the cell's last one has ended.
        remove_partials(folder.path(), None)?;
        // Told now, and not after hours of training.
        let written = [
            folder.content(),
            folder.outcome(),
            folder.log(),
            folder.checkpoint(),
            folder.weights(),
            folder.part(TIMES.file),
        ];
        for path in written.into_iter().chain(prediction_files(&folder)) {
            refuse_special(&path)?;
        }
        let content = cell.content.to_toml();
        write_unsynced(&folder.content(), |out| {
            Ok(out.write_all(content.as_bytes())?)
        })?;
        // After the content, which an outcome has too: at any moment it is somewhere.
        remove(&folder.outcome())?;
        Ok(folder)
    }

    /// Lays out the cell's folder and hands it over.
    fn start(&self, (cell, number): Try<'_>, executor: &mut dyn Executor) -> Result<()> {
        if executor.take_up(cell)? {
            return Ok(());
        }
        let folder = self.lay_out(cell)?;
        // Only before the first: what a start that broke has kept is of this run.
        if self.fresh && number == 1 {
            remove(&folder.checkpoint())?;
        }
        if let Some((before, _)) = cell.rung.as_ref().and_then(|rung| rung.before.as_ref()) {
            self.take_over(before, &folder)?;
        }
        executor.submit(&folder, cell)
    }

    /// Gives a cell the checkpoint of the one that it goes on from. Where that is gone it trains from the beginning, to the same bytes.
    fn take_over(&self, before: &str, folder: &CellFolder) -> Result<()> {
        let (from, to) = (self.results.cell(before).checkpoint(), folder.checkpoint());
        if to.exists() || !from.is_file() {
            return Ok(());
        }
        // Checkpoints are replaced and never written into, so both may be one file.
        if std::fs::hard_link(&from, &to).is_ok() {
            return Ok(());
        }
        let mut file = std::fs::File::open(&from)?;
        write_unsynced(&to, |out| Ok(std::io::copy(&mut file, out).map(drop)?))
    }

    fn take_in(&self, event: Event, going: &mut Going<'_>, watcher: &mut dyn Watcher) {
        if let EventKind::Noticed(words) = &event.kind {
            watcher.noticed(words);
        }
        // An executor of a cluster may tell of a cell that was given up long ago.
        let Some((cell, number)) = going.running.get(event.cell.as_str()).copied() else {
            return;
        };
        match event.kind {
            EventKind::Started if number == 1 => watcher.started(cell),
            EventKind::Started => {}
            EventKind::Said(message) => watcher.message(cell, &message),
            EventKind::Noticed(_) => {}
            EventKind::Ended(ended) => {
                going.running.remove(cell.id.as_str());
                if let Err(error) = self.take_in_end((cell, number), ended, going, watcher) {
                    going.broken.get_or_insert(error);
                }
            }
        }
    }

    fn take_in_end<'a>(
        &self,
        (cell, number): Try<'a>,
        ended: Ended,
        going: &mut Going<'a>,
        watcher: &mut dyn Watcher,
    ) -> Result<()> {
        match ended.verdict {
            Verdict::Done(ref outcome) => {
                going.ended += 1;
                watcher.ended(cell, outcome);
            }
            Verdict::Recorded(outcome) => going.end_failed(cell, outcome, watcher),
            // However it ended, it may be because it was told to: no failure of its own, and the next run goes on with it.
            _ if going.stopping_since.is_some() => {}
            Verdict::Stopped => {
                // What starts from it stays undone too, until the next run.
                let starts_there = |other: &PlannedCell| {
                    let mut ancestors = other.ancestors().into_iter();
                    ancestors.any(|ancestor| ancestor.id == cell.id)
                };
                going.waiting.retain(|(other, _)| !starts_there(other));
                watcher.stopped(cell);
            }
            Verdict::Environment(reason) => {
                return Err(anyhow!("cell {} ({}): {reason}", cell.label(), cell.id));
            }
            Verdict::Failed {
                ref reason,
                is_final,
            } if is_final || number > self.retries => {
                let outcome = Outcome {
                    may_end_otherwise: !is_final,
                    ..Outcome::failed(&cell.id, reason.clone(), number)
                };
                let folder = self.results.cell(&cell.id);
                remove_partials(folder.path(), None)?;
                write_failed(&folder, &cell.content, &outcome, &self.times(&ended))?;
                going.end_failed(cell, outcome, watcher);
            }
            Verdict::Failed { reason, .. } => {
                watcher.again(cell, &reason, number + 1, self.retries + 1);
                // At once, so that a cell is done with before the next begins.
                going.waiting.push_front((cell, number + 1));
            }
        }
        Ok(())
    }

    fn times(&self, ended: &Ended) -> CellTimes {
        CellTimes {
            device: self.device.to_string(),
            threads: self.threads,
            total_seconds: ended.seconds,
            usage: ended.usage,
            tries: ended.starts,
        }
    }
}
