//! `homebench run`: every cell of an experiment, its tables, its charts.

use super::cell::parse_split;
use super::integrity::{exit_code, look, mend_before_run, say};
use super::interruption::{
    INTERRUPTED, listen_for_interruption, say_failed_fast, say_interrupted, say_under_way,
    with_cells,
};
use super::kept_data::keep_data;
use super::on_cluster::{CellPlace, ClusterArguments, OnCluster};
use super::open_folder::extent_of;
use super::progress::RunView;
use super::report::{say_notes, say_report};
use super::run_records::{data_warnings, facts, provenance, write_resolved};
use super::screen::answer_width;
use super::session::{Session, SpecArguments};
use crate::cell::{check_faults, missing_predictions, predict_again};
use crate::execute::{Executor, FolderLock, Local, LocalSettings, LockWatch, can_limit_memory};
use crate::output::{NoticesAlone, Reader, note, write_answer};
use crate::parent::{CellRuns, Finished, Phases, ended_cells, frozen_winners, parts_of_finals};
use crate::provenance::memory_bytes;
use crate::tensorboard;
use anyhow::{Context, Result};
use clap::Args;
use homebench_data as data;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{
    Estimator, MemoryNeed, Plan, PlannedCell, Reuse, Selection, claim, reuse, take_winners,
};
use homebench_experiment::spec::{MOST_AT_ONCE, RunConfig, resolved_toml};
use homebench_model::PROGRAM;
use homebench_report::Folder;
use homebench_results::read::Results;
use homebench_results::{self as record, MergedCell, ResultsFolder, Status, Winners};
use homebench_train::device;
use homebench_train::{self as train, Device, SplitName};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

// Not that of a bad spec: what the others found is whole, and a script may go on with it.
const EXIT_CELL_FAILED: u8 = 1;

/// Run an experiment: train and score its cells, write tables and charts
///
/// Cells that are done already are not run again. Ctrl-C ends the run; the same command goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench run experiments/quickstart.toml
  homebench run experiments/census.toml --jobs 2 --only 'home/*'
  homebench run experiments/census.toml --set dataset.rows=20000 --out results/census-small
  homebench run experiments/census.toml --executor slurm   # asks for what cluster.toml says")]
pub(super) struct RunArguments {
    #[command(flatten)]
    spec: SpecArguments,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// Cells at once [default: that of the spec, or 1]; on a cluster tasks at once [default: that of cluster.toml]
    #[arg(long, value_parser = parse_count)]
    jobs: Option<usize>,
    /// Threads of a cell [default: that of the spec, or the cores shared by the jobs]
    #[arg(long, value_parser = parse_count)]
    threads: Option<usize>,
    /// Run every cell again, and replace what is there
    #[arg(long)]
    fresh: bool,
    /// End the run when a cell fails: the others keep checkpoints, and the same command goes on
    #[arg(long)]
    fail_fast: bool,
    /// Keep the predictions of these splits (validation, test) of every final cell [default: those of the spec]. Cells that are done are
    /// not trained again for it
    #[arg(long, value_name = "SPLITS", value_delimiter = ',', value_parser = parse_split)]
    predictions: Option<Vec<SplitName>>,
    /// Refuse to run where the sources have changes that are not committed
    #[arg(long)]
    require_clean: bool,
}

pub(super) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MOST_AT_ONCE).contains(&count) => Ok(count),
        _ => Err(format!(
            "expected a whole number from 1 to {MOST_AT_ONCE}, found `{text}`"
        )),
    }
}

impl RunArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        // First of all, because preparing data can take minutes.
        listen_for_interruption()?;
        check_faults()?;
        let mut preparing = RunView::preparing();
        let cluster = self.cluster.read(self.jobs)?;
        let opened = self.spec.open(&mut preparing, cluster.is_some());
        preparing.finish(true);
        let (session, mut plan) = opened?;
        session.say_solutions();
        session.say_selection();
        session.say_untrained();
        session.say_without_effect();
        session.say_starts();
        if let Some(notice) = train::shuffle_notice(session.dataset().train.rows) {
            note!("{notice}");
        }
        let predictions = self.predictions_of(&session);
        if !predictions.is_empty() {
            // Before the first cell, so that none waits for another to prepare them.
            prepare_predictions(&session)?;
        }
        let results = &session.results;
        let resolved = resolved_toml(&session.experiment, &session.dataset().protocol);
        let resolved = record::with_digest(resolved);
        let selection = plan.select(self.spec.only.as_deref())?;
        if cluster.is_none() {
            check_memory(&session, &plan, &selection, self.jobs_of(&session))?;
        }
        // A folder of a newer homebench is left as it is, whatever else is asked for.
        look(results)?;
        // Before the folder is claimed: the final cells that it may hold are known by their winners alone.
        let configure = |variant: &str, chosen| session.configure(variant, chosen);
        if !self.fresh {
            take_winners(&mut plan, &Winners::read(results)?, results, &configure)?;
            let ends = |cell: &PlannedCell| reuse(&results.cell(&cell.id), cell);
            plan.advance_all(&ends, &configure)?;
        }
        claim(results, &plan, &resolved, self.fresh)?;
        // All that may be refused comes before anything is changed.
        let jobs = match &cluster {
            Some(cluster) => cluster.tasks(),
            None => self.jobs_of(&session),
        };
        let is_on_cluster = cluster.is_some();
        let threads = self.threads_of(&session, cluster.as_ref());
        let mut place = self.place(&session, threads, cluster)?;
        let mut provenance = provenance(&session, jobs, threads);
        if self.require_clean {
            provenance.require_clean()?;
        }
        record::create_dir(results.path())?;
        // Held to the end: tables and charts too are written by one process at a time.
        let lock = FolderLock::take(results)?;
        if let Some(notice) = lock.notice() {
            note!("{notice}");
        }
        place.enter(results, &mut provenance)?;
        // Another run may have begun and ended since the folder was looked at.
        claim(results, &plan, &resolved, self.fresh)?;
        mend_before_run(results, self.fresh)?;
        let winners = frozen_winners(&plan, &selection, results, self.fresh)?;
        write_resolved(results, &resolved)?;
        if self.fresh {
            // Nothing that is in the folder will be of the program that wrote them.
            record::remove(&results.facts())?;
        }
        facts(&session).write(results)?;
        keep_data(&session, &mut NoticesAlone)?;
        let runs = CellRuns {
            results,
            // Tasks start their cells again themselves.
            retries: match is_on_cluster {
                true => 0,
                false => session.experiment.run.retries,
            },
            fresh: self.fresh,
            threads,
            device: session.device,
            fail_fast: self.fail_fast,
            interrupted: &INTERRUPTED,
            lock: lock.watch().clone(),
        };
        let mut phases = Phases {
            plan: &mut plan,
            selection: &selection,
            winners,
            results,
            fresh: self.fresh,
            configure: &configure,
            seen: Default::default(),
        };
        let finished = phases.run(&mut provenance, &mut |plan, cells| {
            run_cells(&session, plan, &runs, place.executor(), cells)
        });
        let finished = finished.map_err(|error| lock.explain(error))?;
        place.leave(results, &mut provenance)?;
        match finished {
            Finished::All => {
                let cells = plan.finals_asked(&selection);
                predict_done_cells(&session, &cells, &predictions, lock.watch())?;
                if INTERRUPTED.load(Ordering::SeqCst) {
                    let total = cells.len();
                    return Ok(say_interrupted(total, total));
                }
                finish(&session, &plan, lock.watch())
            }
            Finished::Interrupted { ended, total } => Ok(say_interrupted(ended, total)),
            Finished::UnderWay { ended, total } => {
                Ok(say_under_way((ended, total), place.under_way()))
            }
            Finished::FailedFast { ended, total } => {
                say_failed_fast(ended, total);
                Ok(ExitCode::from(EXIT_CELL_FAILED))
            }
        }
    }

    fn predictions_of(&self, session: &Session) -> Vec<SplitName> {
        let own = self.predictions.clone();
        own.unwrap_or_else(|| session.experiment.run.predictions.clone())
    }

    fn jobs_of(&self, session: &Session) -> usize {
        self.jobs.or(session.experiment.run.jobs).unwrap_or(1)
    }

    fn threads_of(&self, session: &Session, cluster: Option<&OnCluster>) -> usize {
        let run = &session.experiment.run;
        match cluster {
            Some(cluster) => self
                .threads
                .or(run.threads)
                .unwrap_or_else(|| cluster.threads()),
            None => threads_of(run, self.jobs, self.threads),
        }
    }

    fn place(
        &self,
        session: &Session,
        threads: usize,
        cluster: Option<OnCluster>,
    ) -> Result<CellPlace> {
        let run = &session.experiment.run;
        if run.limits.memory_bytes.is_some() && !can_limit_memory() {
            return Err(Diagnostic::new(
                "run.memory_limit_bytes",
                "this system doesn't tell what a process has filled, so the limit can't be kept",
            )
            .hint("leave the key out")
            .into());
        }
        let local = LocalSettings {
            program: Local::this_program()?,
            jobs: self.jobs_of(session),
            threads,
            device: session.device,
            places: session.places.clone(),
            checked_data: session.checked_data(),
            predictions: self.predictions_of(session),
            limits: run.limits,
            checkpoint_every: run.checkpoint_every,
            tensorboard: run.tensorboard,
            labels: Default::default(),
        };
        CellPlace::new(session, local, cluster, self.fresh)
    }
}

/// Reads what predictions name their rows by into the cache.
fn prepare_predictions(session: &Session) -> Result<()> {
    for (reference, summary) in &session.datasets {
        let (places, checked) = (&session.places, Some(summary.hold.identity()));
        let prepared = data::open_checked(reference, places, checked, &mut NoticesAlone)?;
        data::with_prediction_columns(prepared, reference, places, &mut NoticesAlone)?;
    }
    Ok(())
}

/// Writes predictions of cells that were done before anybody asked for them.
fn predict_done_cells(
    session: &Session,
    cells: &[&PlannedCell],
    wanted: &[SplitName],
    lock: &LockWatch,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let results = &session.results;
    for cell in cells {
        let folder = results.cell(&cell.id);
        let Reuse::Done(outcome) = reuse(&folder, cell) else {
            continue;
        };
        let missing = missing_predictions(&outcome, wanted);
        if missing.is_empty() || INTERRUPTED.load(Ordering::SeqCst) {
            continue;
        }
        if cell.content.model.name == PROGRAM {
            note!(
                "{}: of a program, which keeps no weights to predict with; --fresh runs it again",
                cell.label()
            );
            continue;
        }
        lock.check()?;
        note!(
            "{}: predicting with the weights that it keeps; nothing is trained",
            cell.label()
        );
        let own = ["outcome.toml", "cell.toml"].map(|name| format!("cells/{}/{name}", cell.id));
        record::refuse_link_above(results.path(), Path::new(&own[0]))?;
        // Before it is another, which has both: whoever is killed in between has altered nothing.
        record::change_ledger(results, |ledger| {
            ledger.withdraw(|path| own.iter().any(|name| name == path))
        })?;
        let device = device::open(session.device)?;
        predict_again(
            &folder,
            outcome,
            &missing,
            &session.places,
            &device,
            &mut NoticesAlone,
        )?;
    }
    Ok(())
}

/// Runs the cells of a phase, shown as they go.
fn run_cells(
    session: &Session,
    plan: &Plan,
    runs: &CellRuns<'_>,
    executor: &mut dyn Executor,
    cells: &[&PlannedCell],
) -> Result<Finished> {
    let is_tuned = session.experiment.tuning.is_some();
    let phase = match cells.first() {
        Some(cell) if cell.trial.is_some() => "trials",
        _ if is_tuned => "final cells",
        _ => "experiment",
    };
    let estimator = Estimator::new(runs.results, session.device.kind(), runs.threads);
    let expected = cells.iter().map(|cell| {
        let cost = session
            .cost(plan, cell)
            .map_or(0, |cost| cost.flops_per_row);
        let seconds = session.expected_seconds(&estimator, cell, cost);
        (cell.id.clone(), seconds)
    });
    let expected: BTreeMap<String, f64> = expected.collect();
    executor.expect(&expected);
    let mut view = RunView::new(phase, expected, Some(runs.results.clone()));
    let finished = with_cells(|| runs.run(cells, executor, &mut view));
    // In a folder that is another's by now nothing is removed either.
    view.finish(runs.lock.check().is_ok());
    finished
}

/// Threads of a cell: as asked for, or the cores shared by the jobs.
pub(super) fn threads_of(run: &RunConfig, jobs: Option<usize>, threads: Option<usize>) -> usize {
    let jobs = jobs.or(run.jobs).unwrap_or(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // More threads than cores would only take turns; fewer cores than jobs still leave each its one.
    let shared = (cores / jobs).max(1);
    threads.or(run.threads).unwrap_or(shared)
}

/// Whether the cells that are asked for have room on the device or in this machine's memory, as far as that can be told before
/// they run.
fn check_memory(
    session: &Session,
    plan: &Plan,
    selection: &Selection,
    jobs: usize,
) -> Result<(), Diagnostic> {
    let selected = [plan.trials_asked(selection), plan.finals_asked(selection)];
    // The largest model that may run at the same time as others like it, since which run together is not known.
    let needs = selected.iter().flatten().filter_map(|cell| {
        let cost = session.costs.of(&cell.content.variant, cell.trial)?;
        Some(MemoryNeed::new(&cell.content, cost, session.dataset()))
    });
    let num_cells = selected.iter().map(Vec::len).max().unwrap_or(0);
    let jobs = jobs.min(num_cells);
    let Some(largest) = needs.max_by_key(MemoryNeed::bytes) else {
        return Ok(());
    };
    if session.device == Device::Cpu
        && let Some(memory) = memory_bytes()
    {
        largest.check(memory, jobs)?;
    }
    session
        .cuda
        .check_memory(session.device, largest.parameters, jobs)
}

/// Event files of cells that were done before anybody asked for them, and where all are.
fn complete_tensorboard(plan: &Plan, results: &ResultsFolder) {
    let cells = plan
        .arms
        .iter()
        .flat_map(|arm| arm.trials.iter().flatten().chain(&arm.finals));
    let done = cells.filter(|cell| matches!(reuse(&results.cell(&cell.id), cell), Reuse::Done(_)));
    for cell in done {
        let inside = tensorboard::cell_folder(&cell.training_label());
        let training = cell.content.training_id();
        let folder = results.cell(&cell.id);
        if let Err(error) = tensorboard::write_missing(results, &inside, &training, &folder) {
            // They are no results: everything else goes on.
            note!("{}: no event file for TensorBoard: {error:#}", cell.label());
        }
    }
    let folder = tensorboard::folder(results);
    note!("curves: tensorboard --logdir {}", folder.display());
}

/// Merged tables, charts, the report and the table on stdout.
fn finish(session: &Session, plan: &Plan, lock: &LockWatch) -> Result<ExitCode> {
    lock.check()?;
    let results = &session.results;
    let (labels, cells): (Vec<String>, Vec<MergedCell>) =
        ended_cells(plan, results).into_iter().unzip();
    let parts = parts_of_finals(plan, &session.dataset().schema)?;
    record::merge(results, &cells, parts, data_warnings(session))?;
    record::seal(results, cells.iter().map(|cell| cell.outcome.id.as_str()))?;
    // What the run can't mend, such as external scores that were changed.
    let found = look(results)?;
    say(results, &found);
    let failed: Vec<(&String, &MergedCell)> = labels
        .iter()
        .zip(&cells)
        .filter(|(_, cell)| cell.outcome.status == Status::Failed)
        .collect();
    // Trials alone have nothing to report yet.
    let mut answered = Ok(Reader::Listens);
    let mut report = Vec::new();
    let is_score = |cell: &MergedCell| cell.trial.is_none() && cell.outcome.status == Status::Done;
    if cells.iter().any(is_score) {
        lock.check()?;
        let read = Results::read(results.path())?;
        let extent = extent_of(results, &read);
        let mut folder = Folder::of(read, None)?
            .with_findings(found.clone())
            .with_extent(extent);
        folder.write_figures().context("drawing the charts")?;
        lock.check()?;
        report = folder.write_report().context("writing the report")?;
        say_notes(&folder);
        answered = write_answer(&folder.terminal_summary(answer_width())?);
    }
    if session.experiment.run.tensorboard {
        lock.check()?;
        complete_tensorboard(plan, results);
    }
    note!("results are in {}", results.path().display());
    for (label, cell) in &failed {
        let id = &cell.outcome.id;
        let reason = cell.outcome.error.as_deref().unwrap_or("no reason");
        let log = match results.cell(id).log().exists() {
            true => format!(" (log: cells/{id}/log.txt)"),
            false => String::new(),
        };
        note!("failed: {label}: {reason}{log}");
    }
    // Last, where it is seen and can be opened with a click.
    say_report(&report);
    // After all else was said: the results are written, whoever reads of them.
    answered?;
    let code = match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_CELL_FAILED),
    };
    Ok(exit_code(&found, code))
}
