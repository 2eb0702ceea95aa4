//! An executor without processes: every start of a cell comes to what a test says.

use crate::cell::{CellTimes, write_parts};
use crate::execute::{Ended, Event, EventKind, Executor, Verdict};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::PlannedCell;
use homebench_results::{CellFolder, Outcome};
use homebench_train::{CellResult, CurvePoint, Diagnostics};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a start of a cell comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Play {
    /// It is done, with this score on validation.
    Done(f64),
    /// It ends so.
    Ends(Verdict),
    /// It goes on until it is asked to stop.
    Goes,
    /// It goes on until it is killed.
    GoesOn,
    /// It can't be started.
    Refused,
}

/// Keeps cells and lets one end at a time, the first that was submitted first.
#[derive(Default)]
pub(super) struct Mock {
    jobs: usize,
    /// Of each start of a cell, by its label; those that are not said are done.
    plays: BTreeMap<String, VecDeque<Play>>,
    /// Scores of those that are not said.
    score: Option<fn(&PlannedCell) -> f64>,
    starts: BTreeMap<String, usize>,
    running: Vec<(CellFolder, PlannedCell, Play)>,
    events: VecDeque<Event>,
    /// Labels of the cells that were submitted, and what was asked, in order.
    pub(super) asked: Vec<String>,
    pub(super) most_at_once: usize,
}

impl Mock {
    pub(super) fn new(jobs: usize) -> Self {
        Self {
            jobs,
            ..Self::default()
        }
    }

    /// Says what the starts of a cell come to.
    pub(super) fn play(mut self, label: &str, plays: &[Play]) -> Self {
        self.plays.insert(label.to_owned(), plays.to_vec().into());
        self
    }

    /// Says what cells reach of which nothing else is said.
    pub(super) fn scoring(mut self, score: fn(&PlannedCell) -> f64) -> Self {
        self.score = Some(score);
        self
    }

    fn end(&mut self, place: usize, verdict: Verdict) {
        let (_, cell, _) = self.running.remove(place);
        let ended = Ended {
            verdict,
            seconds: 1.5,
            usage: None,
            starts: self.starts[&cell.id],
        };
        self.events.push_back(Event {
            cell: cell.id,
            kind: EventKind::Ended(ended),
        });
    }

    /// Ends every cell that plays so.
    fn end_all(&mut self, is: impl Fn(&Play) -> bool, verdict: &Verdict) {
        while let Some(place) = self.running.iter().position(|(_, _, play)| is(play)) {
            self.end(place, verdict.clone());
        }
    }
}

impl Executor for Mock {
    fn jobs(&self) -> usize {
        self.jobs
    }

    fn submit(&mut self, folder: &CellFolder, cell: &PlannedCell) -> Result<()> {
        self.asked.push(cell.label());
        let plays = self.plays.get_mut(&cell.label());
        let play = plays.and_then(VecDeque::pop_front);
        let score = self.score.map_or(0.5, |score| score(cell));
        let play = play.unwrap_or(Play::Done(score));
        anyhow::ensure!(play != Play::Refused, "no room for a process");
        *self.starts.entry(cell.id.clone()).or_default() += 1;
        self.running.push((folder.clone(), cell.clone(), play));
        self.most_at_once = self.most_at_once.max(self.running.len());
        self.events.push_back(Event {
            cell: cell.id.clone(),
            kind: EventKind::Started,
        });
        Ok(())
    }

    fn next_event(&mut self, patience: Duration) -> Result<Option<Event>> {
        let ends = |play: &Play| matches!(play, Play::Done(_) | Play::Ends(_));
        if self.events.is_empty() {
            match self.running.iter().position(|(_, _, play)| ends(play)) {
                Some(place) => {
                    let (folder, cell, play) = &self.running[place];
                    let verdict = match play {
                        Play::Ends(verdict) => verdict.clone(),
                        Play::Done(score) => Verdict::Done(write_done(folder, cell, *score)?),
                        _ => unreachable!("it doesn't end by itself"),
                    };
                    self.end(place, verdict);
                }
                None => std::thread::sleep(patience.min(Duration::from_millis(1))),
            }
        }
        Ok(self.events.pop_front())
    }

    fn ask_to_stop(&mut self) {
        self.asked.push("stop".to_owned());
        self.end_all(|play| *play == Play::Goes, &Verdict::Stopped);
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn kill(&mut self) {
        // The parent asks for it until nothing runs.
        if !self.running.is_empty() {
            self.asked.push("kill".to_owned());
        }
        self.end_all(|_| true, &broken("killed"));
    }
}

/// How a process ends that broke.
pub(super) fn broken(reason: &str) -> Verdict {
    Verdict::Failed {
        reason: reason.to_owned(),
        is_final: false,
    }
}

/// Writes what a cell that is done writes.
fn write_done(folder: &CellFolder, cell: &PlannedCell, score: f64) -> Result<Outcome> {
    let result = CellResult {
        selected_epoch: 1,
        epochs_run: 1,
        validation_score: score,
        parameters: 1,
        flops_per_row: 2,
        curves: CurvePoint::on_validation((1, 10), "click", "auc", Some(score))
            .into_iter()
            .collect(),
        scores: Vec::new(),
        cohorts: Vec::new(),
        diagnostics: Diagnostics::default(),
        train_rows: 1,
        train_seconds: 1.0,
        evaluation_rows: 1,
        evaluation_seconds: 1.0,
        earlier_seconds: 0.0,
        weights: match cell.keeps_weights {
            true => BTreeMap::from([("w".to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu)?)]),
            false => BTreeMap::new(),
        },
    };
    let times = CellTimes {
        device: "cpu".to_owned(),
        threads: 1,
        total_seconds: 1.0,
        usage: None,
        tries: 1,
    };
    if cell.content.last_epoch.is_some() {
        std::fs::write(folder.checkpoint(), "the state")?;
    }
    write_parts(folder, &cell.content, &result, &times, cell.keeps_weights)?;
    let outcome = Outcome::read(folder).map_err(Diagnostic::from)?;
    Ok(outcome.expect("it was just written"))
}
