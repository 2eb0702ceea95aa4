//! The parent without processes: what it asks of an executor, and what it makes of what comes back.

mod mock;
mod search;
mod starts;

use super::{CellRuns, Finished, Phases, Watcher, ended_cells, frozen_winners};
use crate::execute::{LockWatch, Message, Verdict};
use crate::provenance::{DatasetProvenance, Provenance};
use anyhow::Result;
use homebench_data::{Origin, Schema, SplitSummary, Summary};
use homebench_experiment::plan::{Plan, PlannedCell, Reuse, reuse, take_winners};
use homebench_experiment::spec::{self, Chosen, Experiment, Source};
use homebench_results::{MergedCell, Outcome, ResultsFolder, Status};
use homebench_train::Device;
use mock::{Mock, Play, broken};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const UNTUNED: &str = r#"question = "Which?"
seeds = [1, 2, 3, 4]
[dataset]
name = "feed"
[variants.a]
model = "shared_bottom"
"#;

const TUNED: &str = r#"question = "Which, once tuned?"
seeds = [1, 2]
[dataset]
name = "feed"
[tuning]
trials = 2
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
[variants.a]
model = "shared_bottom"
"#;

/// The plan of a spec, on data that nobody prepared.
fn plan(text: &str) -> Plan {
    planned(text).0
}

/// The same, with the spec.
fn planned(text: &str) -> (Plan, Experiment, Source) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, text).unwrap();
    let (experiment, source) = spec::load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
    let split = SplitSummary {
        rows: 100,
        positives: vec![10],
        observed: vec![100],
        numbers: vec![None],
    };
    let schema = Schema {
        categorical: Vec::new(),
        lists: Vec::new(),
        numeric: Vec::new(),
        tasks: Vec::new(),
        groups: Vec::new(),
        user: None,
        weight: None,
        scenario: None,
        tables: Default::default(),
    };
    let summary = Summary {
        name: "feed".into(),
        protocol: "all".into(),
        split_seed: None,
        content_hash: "aa".into(),
        schema,
        train: split.clone(),
        validation: split,
        test_rows: 100,
        origin: Origin::Made,
        pretrained: Default::default(),
        warnings: Vec::new(),
        split_digests: Default::default(),
        hold: Default::default(),
    };
    let data = [(experiment.dataset.clone(), summary)];
    let plan = Plan::new(&experiment, &data, Device::Cpu).unwrap();
    (plan, experiment, source)
}

/// Writes down what it hears, and may interrupt the run.
#[derive(Default)]
struct Listener<'a> {
    heard: Vec<String>,
    interrupts_after: Option<(usize, &'a AtomicBool)>,
    num_ended: usize,
}

impl Watcher for Listener<'_> {
    fn started(&mut self, cell: &PlannedCell) {
        self.heard.push(format!("{} started", cell.label()));
    }

    fn message(&mut self, _cell: &PlannedCell, _message: &Message) {}

    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize) {
        let label = cell.label();
        self.heard
            .push(format!("{label} again, {reason}: {next} of {most}"));
    }

    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome) {
        let status = match outcome.status {
            Status::Done => "done",
            Status::Failed => "failed",
        };
        self.heard.push(format!("{} {status}", cell.label()));
        self.num_ended += 1;
        if let Some((count, interrupted)) = self.interrupts_after
            && count == self.num_ended
        {
            interrupted.store(true, Ordering::SeqCst);
        }
    }

    fn stopped(&mut self, cell: &PlannedCell) {
        self.heard.push(format!("{} stopped", cell.label()));
    }

    fn stopping(&mut self) {
        self.heard.push("stopping".to_owned());
    }

    fn tick(&mut self) {}
}

/// A folder of results, and whether somebody asked to stop.
struct Place {
    results: ResultsFolder,
    interrupted: AtomicBool,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            results: ResultsFolder::new(folder.path()),
            interrupted: AtomicBool::new(false),
            _folder: folder,
        }
    }

    fn runs(&self, retries: usize) -> CellRuns<'_> {
        CellRuns {
            results: &self.results,
            retries,
            fresh: false,
            threads: 1,
            device: Device::Cpu,
            fail_fast: false,
            interrupted: &self.interrupted,
            lock: LockWatch::default(),
        }
    }

    /// Runs every final cell of the untuned spec; gives what was heard too.
    fn run(&self, retries: usize, mock: &mut Mock) -> (Result<Finished>, Vec<String>) {
        let plan = plan(UNTUNED);
        let cells: Vec<&PlannedCell> = plan.cells().collect();
        let mut listener = Listener::default();
        let finished = self.runs(retries).run(&cells, mock, &mut listener);
        (finished, listener.heard)
    }

    fn outcome(&self, seed: u64) -> Option<Outcome> {
        let plan = plan(UNTUNED);
        let cell = plan.cells().find(|cell| cell.content.seed == seed).unwrap();
        Outcome::read(&self.results.cell(&cell.id)).unwrap()
    }

    /// Runs the tuned spec as a command would; gives its end, and the labels of what was submitted.
    fn run_tuned(&self, mock: Mock, interrupts_after: Option<usize>) -> (Finished, Vec<String>) {
        self.run_search(TUNED, mock, interrupts_after)
    }

    /// The same of any spec that tunes.
    fn run_search(
        &self,
        text: &str,
        mut mock: Mock,
        interrupts_after: Option<usize>,
    ) -> (Finished, Vec<String>) {
        let (mut plan, experiment, source) = planned(text);
        let configure = |variant: &str, chosen: Vec<Chosen>| {
            let mut variants = experiment.variants.iter();
            let variant = variants.find(|one| one.name == variant).unwrap();
            variant.trial(chosen, &source)
        };
        let selection = plan.select(None).unwrap();
        let winners = frozen_winners(&plan, &selection, &self.results, false).unwrap();
        take_winners(&mut plan, &winners, &self.results, &configure).unwrap();
        let dataset = DatasetProvenance {
            name: "feed".into(),
            protocol: "all".into(),
            content_hash: "aa".into(),
            train_rows: 3,
            validation_rows: 2,
            test_rows: 1,
            origin: "made".into(),
            splits: Vec::new(),
        };
        let mut provenance = Provenance::begin(1, 1, "cpu".into(), dataset);
        let mut phases = Phases {
            plan: &mut plan,
            selection: &selection,
            winners,
            results: &self.results,
            fresh: false,
            configure: &configure,
            seen: Default::default(),
        };
        self.interrupted.store(false, Ordering::SeqCst);
        let mut listener = Listener {
            interrupts_after: interrupts_after.map(|count| (count, &self.interrupted)),
            ..Listener::default()
        };
        let finished = phases.run(&mut provenance, &mut |_, cells| {
            self.runs(0).run(cells, &mut mock, &mut listener)
        });
        (finished.unwrap(), mock.asked)
    }
}

#[test]
fn cells_run_in_order_and_never_more_than_the_jobs() {
    let place = Place::new();
    let mut mock = Mock::new(2);
    let (finished, heard) = place.run(0, &mut mock);
    assert_eq!(finished.unwrap(), Finished::All);
    assert_eq!(mock.asked, ["a/1", "a/2", "a/3", "a/4"]);
    assert_eq!(mock.most_at_once, 2);
    let ended: Vec<&String> = heard.iter().filter(|line| line.ends_with("done")).collect();
    assert_eq!(ended, ["a/1 done", "a/2 done", "a/3 done", "a/4 done"]);
    // None of them is run again.
    let plan = plan(UNTUNED);
    let state = |cell: &PlannedCell| reuse(&place.results.cell(&cell.id), cell);
    assert!(
        plan.cells()
            .all(|cell| matches!(state(cell), Reuse::Done(_)))
    );
}

#[test]
fn a_failed_cell_is_an_outcome_and_the_others_go_on() {
    let place = Place::new();
    let fails = Verdict::Failed {
        reason: "the loss became NaN".into(),
        is_final: true,
    };
    let mut mock = Mock::new(1).play("a/2", &[Play::Ends(fails)]);
    let (finished, heard) = place.run(5, &mut mock);
    assert_eq!(finished.unwrap(), Finished::All);
    assert_eq!(mock.asked, ["a/1", "a/2", "a/3", "a/4"]);
    assert!(heard.contains(&"a/2 failed".to_owned()), "{heard:?}");
    let outcome = place.outcome(2).unwrap();
    assert_eq!(outcome.error.as_deref(), Some("the loss became NaN"));
    assert_eq!((outcome.tries, outcome.may_end_otherwise), (Some(1), false));
    let merged = ended_cells(&plan(UNTUNED), &place.results);
    let is_failed = |cell: &MergedCell| cell.outcome.status == Status::Failed;
    let failed = merged.iter().filter(|(_, cell)| is_failed(cell));
    let failed: Vec<&String> = failed.map(|(label, _)| label).collect();
    assert_eq!((merged.len(), failed), (4, vec![&"a/2".to_owned()]));
}

#[test]
fn where_it_is_to_fail_fast_the_first_failure_lets_the_others_keep_what_they_have() {
    let place = Place::new();
    let fails = Verdict::Failed {
        reason: "the loss became NaN".into(),
        is_final: true,
    };
    let plan = plan(UNTUNED);
    let cells: Vec<&PlannedCell> = plan.cells().collect();
    let mut mock = Mock::new(2)
        .play("a/1", &[Play::Goes])
        .play("a/2", &[Play::Ends(fails)]);
    let mut runs = place.runs(0);
    runs.fail_fast = true;
    let mut listener = Listener::default();
    let finished = runs.run(&cells, &mut mock, &mut listener).unwrap();
    assert_eq!(finished, Finished::FailedFast { ended: 1, total: 4 });
    // The one that ran was asked to stop; the others were never started.
    assert_eq!(mock.asked, ["a/1", "a/2", "stop"]);
    // The same command goes on with what is missing, and tries the one that failed again.
    let mut mock = Mock::new(2);
    let finished = runs.run(&cells, &mut mock, &mut listener).unwrap();
    assert_eq!(finished, Finished::All);
    let state = |cell: &PlannedCell| reuse(&place.results.cell(&cell.id), cell);
    assert!(
        cells
            .iter()
            .all(|cell| matches!(state(cell), Reuse::Done(_)))
    );
}

#[test]
fn a_cell_that_broke_is_started_again_at_once_as_often_as_is_allowed() {
    let crash = || Play::Ends(broken("a crash"));
    let place = Place::new();
    let mut mock = Mock::new(1).play("a/1", &[crash(), crash()]);
    let (finished, heard) = place.run(2, &mut mock);
    assert_eq!(finished.unwrap(), Finished::All);
    assert_eq!(mock.asked, ["a/1", "a/1", "a/1", "a/2", "a/3", "a/4"]);
    let first = [
        "a/1 started",
        "a/1 again, a crash: 2 of 3",
        "a/1 again, a crash: 3 of 3",
        "a/1 done",
    ];
    assert_eq!(heard[..4], first);
    let mut mock = Mock::new(1).play("a/1", &[crash(), crash()]);
    let place = Place::new();
    assert_eq!(place.run(1, &mut mock).0.unwrap(), Finished::All);
    assert_eq!(mock.asked[..3], ["a/1", "a/1", "a/2"]);
    let outcome = place.outcome(1).unwrap();
    assert_eq!(outcome.error.as_deref(), Some("a crash"));
    assert_eq!((outcome.tries, outcome.may_end_otherwise), (Some(2), true));
}

#[test]
fn a_broken_environment_ends_the_run_and_lets_the_others_keep_what_they_have() {
    let place = Place::new();
    let full = Verdict::Environment("the disk is full".into());
    let mut mock = Mock::new(2)
        .play("a/1", &[Play::Goes])
        .play("a/2", &[Play::Ends(full)]);
    let (finished, heard) = place.run(9, &mut mock);
    let error = finished.unwrap_err().to_string();
    assert!(error.starts_with("cell a/2 ("), "{error}");
    assert!(error.ends_with("the disk is full"), "{error}");
    assert_eq!(mock.asked, ["a/1", "a/2", "stop"]);
    // Nobody interrupted it, so nobody is told that it was.
    assert_eq!(heard, ["a/1 started", "a/2 started"]);
    assert!((1..=4).all(|seed| place.outcome(seed).is_none()));
}

#[test]
fn an_executor_that_can_start_nothing_ends_the_run() {
    let place = Place::new();
    let mut mock = Mock::new(2)
        .play("a/1", &[Play::Goes])
        .play("a/2", &[Play::Refused]);
    let (finished, _) = place.run(9, &mut mock);
    assert_eq!(finished.unwrap_err().to_string(), "no room for a process");
    assert_eq!(mock.asked, ["a/1", "a/2", "stop"]);
}

#[test]
fn a_folder_in_the_place_of_what_a_cell_writes_is_refused_before_it_trains() {
    for name in ["checkpoint", "predictions.test.parquet"] {
        let place = Place::new();
        let id = plan(UNTUNED).cells().next().unwrap().id.clone();
        std::fs::create_dir_all(place.results.cell(&id).path().join(name)).unwrap();
        let mut mock = Mock::new(1);
        let (finished, _) = place.run(0, &mut mock);
        let said = finished.unwrap_err().to_string();
        assert!(said.contains(&format!(
            "{name}: can't be written: a folder is in its place"
        )));
        assert!(said.contains("move it away"), "{said}");
        assert!(mock.asked.is_empty(), "{:?}", mock.asked);
    }
}

#[test]
fn an_interrupted_run_starts_nothing_more_and_writes_no_failure() {
    let place = Place::new();
    let plan = plan(UNTUNED);
    let cells: Vec<&PlannedCell> = plan.cells().collect();
    let mut mock = Mock::new(2).play("a/2", &[Play::Goes]);
    let mut listener = Listener {
        interrupts_after: Some((1, &place.interrupted)),
        ..Listener::default()
    };
    let finished = place.runs(9).run(&cells, &mut mock, &mut listener);
    let one = Finished::Interrupted { ended: 1, total: 4 };
    assert_eq!(finished.unwrap(), one);
    assert_eq!(mock.asked, ["a/1", "a/2", "stop"]);
    assert_eq!(listener.heard.last().unwrap(), "stopping");
    assert!((2..=4).all(|seed| place.outcome(seed).is_none()));
}

#[test]
fn a_cell_that_goes_on_after_its_grace_is_killed_and_that_is_no_failure() {
    let place = Place::new();
    place.interrupted.store(true, Ordering::SeqCst);
    let plan = plan(UNTUNED);
    let cells: Vec<&PlannedCell> = plan.cells().collect();
    let mut listener = Listener::default();
    let mut mock = Mock::new(2);
    let finished = place.runs(9).run(&cells, &mut mock, &mut listener);
    let none = Finished::Interrupted { ended: 0, total: 4 };
    assert_eq!(finished.unwrap(), none);
    assert_eq!(mock.asked, ["stop"], "nothing is started to be stopped");
    place.interrupted.store(false, Ordering::SeqCst);
    let mut mock = Mock::new(2).play("a/2", &[Play::GoesOn]);
    listener.interrupts_after = Some((1, &place.interrupted));
    let finished = place.runs(9).run(&cells, &mut mock, &mut listener);
    let one = Finished::Interrupted { ended: 1, total: 4 };
    assert_eq!(finished.unwrap(), one);
    assert_eq!(mock.asked, ["a/1", "a/2", "stop", "kill"]);
    assert!(place.outcome(2).is_none());
}

#[test]
fn a_cell_that_somebody_else_stopped_is_neither_tried_again_nor_failed() {
    let place = Place::new();
    let mut mock = Mock::new(1).play("a/2", &[Play::Ends(Verdict::Stopped)]);
    let (finished, heard) = place.run(9, &mut mock);
    let three = Finished::Interrupted { ended: 3, total: 4 };
    assert_eq!(finished.unwrap(), three);
    assert_eq!(mock.asked, ["a/1", "a/2", "a/3", "a/4"]);
    assert!(heard.contains(&"a/2 stopped".to_owned()), "{heard:?}");
    assert!(place.outcome(2).is_none());
}

#[test]
fn winners_are_frozen_before_a_final_cell_runs_and_what_is_done_is_not_run_again() {
    let place = Place::new();
    let mock = Mock::new(1)
        .play("a/trial-1/7", &[Play::Done(0.6)])
        .play("a/trial-2/7", &[Play::Done(0.7)]);
    let (finished, asked) = place.run_tuned(mock, None);
    assert_eq!(finished, Finished::All);
    assert_eq!(asked, ["a/trial-1/7", "a/trial-2/7", "a/1", "a/2"]);
    let mut frozen = plan(TUNED);
    frozen.arms[0].freeze(2);
    let done = frozen.arms[0].finals.iter();
    let state = |cell: &PlannedCell| reuse(&place.results.cell(&cell.id), cell);
    assert!(
        done.clone()
            .all(|cell| matches!(state(cell), Reuse::Done(_)))
    );
    let (finished, asked) = place.run_tuned(Mock::new(1), None);
    assert_eq!((finished, asked), (Finished::All, Vec::new()));
}

#[test]
fn a_run_that_is_interrupted_in_its_trials_goes_on_with_the_missing_ones() {
    let place = Place::new();
    let mock = Mock::new(1).play("a/trial-2/7", &[Play::Goes]);
    let (finished, asked) = place.run_tuned(mock, Some(1));
    let one = Finished::Interrupted { ended: 1, total: 2 };
    assert_eq!(finished, one);
    assert_eq!(asked, ["a/trial-1/7", "stop"]);
    assert!(!place.results.winners().exists());
    let (finished, asked) = place.run_tuned(Mock::new(1), None);
    assert_eq!(finished, Finished::All);
    assert_eq!(asked, ["a/trial-2/7", "a/1", "a/2"]);
}

#[test]
fn a_trial_that_failed_counts_as_worst_and_one_that_was_killed_is_tried_again_first() {
    let place = Place::new();
    let fails = Verdict::Failed {
        reason: "the loss became NaN".into(),
        is_final: true,
    };
    let mock = Mock::new(1)
        .play("a/trial-1/7", &[Play::Ends(fails)])
        .play("a/trial-2/7", &[Play::Ends(broken("killed"))]);
    // Without a winner there is no final cell.
    let (finished, asked) = place.run_tuned(mock, None);
    assert_eq!(finished, Finished::All);
    assert_eq!(asked, ["a/trial-1/7", "a/trial-2/7"]);
    let mock = Mock::new(1).play("a/trial-1/7", &[Play::Done(0.1)]);
    let (_, asked) = place.run_tuned(mock, None);
    assert_eq!(asked, ["a/trial-1/7", "a/trial-2/7", "a/1", "a/2"]);
}
