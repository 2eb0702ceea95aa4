//! `homebench run`: every cell of an experiment, its tables, its charts.

use super::integrity::{exit_code, look, mend_before_run, say};
use super::interruption::{INTERRUPTED, listen_for_interruption, say_interrupted, with_cells};
use super::progress::RunView;
use super::report::say_notes;
use super::run_records::{data_warnings, facts, provenance, write_resolved};
use super::session::{Session, SpecArguments};
use crate::execute::{Executor, FolderLock, Local, LocalSettings, LockWatch, can_limit_memory};
use crate::output::{Reader, note, write_answer};
use crate::parent::{
    CellRuns, Finished, Phases, ended_cells, frozen_winners, parts_of_finals, select_finals,
    select_trials,
};
use crate::provenance::memory_bytes;
use anyhow::{Context, Result};
use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{
    Estimator, MemoryNeed, Plan, PlannedCell, Selection, claim, take_winners,
};
use homebench_experiment::spec::{MOST_AT_ONCE, RunConfig, resolved_toml};
use homebench_report::Folder;
use homebench_results::{self as record, MergedCell, Status, Winners};
use homebench_train::{self as train, Device};
use std::process::ExitCode;

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
  homebench run experiments/census.toml --set dataset.rows=20000 --out results/census-small")]
pub(super) struct RunArguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// Cells at once [default: that of the spec, or 1]
    #[arg(long, value_parser = parse_count)]
    jobs: Option<usize>,
    /// Threads of a cell [default: that of the spec, or the cores shared by the jobs]
    #[arg(long, value_parser = parse_count)]
    threads: Option<usize>,
    /// Run every cell again, and replace what is there
    #[arg(long)]
    fresh: bool,
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
        let mut preparing = RunView::preparing();
        let opened = self.spec.open(&mut preparing);
        preparing.finish(true);
        let (session, mut plan) = opened?;
        session.say_solutions();
        session.say_untrained();
        if let Some(notice) = train::shuffle_notice(session.dataset().train.rows) {
            note!("{notice}");
        }
        let results = &session.results;
        let resolved = resolved_toml(&session.experiment, &session.dataset().protocol);
        let resolved = record::with_digest(resolved);
        let selection = plan.select(self.spec.only.as_deref())?;
        check_memory(&session, &plan, &selection, self.jobs_of(&session))?;
        // A folder of a newer homebench is left as it is, whatever else is asked for.
        look(results)?;
        // Before the folder is claimed: the final cells that it may hold are known by their winners alone.
        if !self.fresh {
            take_winners(&mut plan, &Winners::read(results)?, results)?;
        }
        claim(results, &plan, &resolved, self.fresh)?;
        // All that may be refused comes before anything is changed.
        let mut executor = self.executor(&session)?;
        let threads = self.threads_of(&session);
        let mut provenance = provenance(&session, executor.jobs(), threads);
        if self.require_clean {
            provenance.require_clean()?;
        }
        record::create_dir(results.path())?;
        // Held to the end: tables and charts too are written by one process at a time.
        let lock = FolderLock::take(results)?;
        if let Some(notice) = lock.notice() {
            note!("{notice}");
        }
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
        let runs = CellRuns {
            results,
            retries: session.experiment.run.retries,
            fresh: self.fresh,
            threads,
            device: session.device,
            interrupted: &INTERRUPTED,
            lock: lock.watch().clone(),
        };
        let mut phases = Phases {
            plan: &mut plan,
            selection: &selection,
            winners,
            results,
            fresh: self.fresh,
        };
        let finished = phases.run(&mut provenance, &mut |plan, cells| {
            run_cells(&session, plan, &runs, &mut executor, cells)
        });
        match finished.map_err(|error| lock.explain(error))? {
            Finished::All => finish(&session, &plan, lock.watch()),
            Finished::Interrupted { ended, total } => Ok(say_interrupted(ended, total)),
        }
    }

    fn jobs_of(&self, session: &Session) -> usize {
        self.jobs.or(session.experiment.run.jobs).unwrap_or(1)
    }

    fn threads_of(&self, session: &Session) -> usize {
        threads_of(&session.experiment.run, self.jobs, self.threads)
    }

    fn executor(&self, session: &Session) -> Result<Local> {
        let run = &session.experiment.run;
        if run.limits.memory_bytes.is_some() && !can_limit_memory() {
            return Err(Diagnostic::new(
                "run.memory_limit_bytes",
                "this system doesn't tell what a process has filled, so the limit can't be kept",
            )
            .hint("leave the key out")
            .into());
        }
        Ok(Local::new(LocalSettings {
            program: Local::this_program()?,
            jobs: self.jobs_of(session),
            threads: self.threads_of(session),
            device: session.device,
            places: session.places.clone(),
            checked_data: session.checked_data(),
            limits: run.limits,
            checkpoint_every: run.checkpoint_every,
        }))
    }
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
    let selected = [
        select_trials(plan, selection),
        select_finals(plan, selection),
    ];
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
    let is_score = |cell: &MergedCell| cell.trial.is_none() && cell.outcome.status == Status::Done;
    if cells.iter().any(is_score) {
        lock.check()?;
        let mut folder = Folder::read(results.path(), None)?.with_findings(found.clone());
        folder.write_figures().context("drawing the charts")?;
        lock.check()?;
        folder.write_report().context("writing the report")?;
        say_notes(&folder);
        answered = write_answer(&folder.terminal_table());
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
    // After all else was said: the results are written, whoever reads of them.
    answered?;
    let code = match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_CELL_FAILED),
    };
    Ok(exit_code(&found, code))
}
