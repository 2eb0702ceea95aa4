//! `homebench run`: every cell of an experiment, its tables, its charts.

use super::progress::View;
use super::session::{Session, SpecArguments};
use crate::execute::{Executor, Finished, FolderLock, can_limit_memory};
use crate::provenance::{DatasetProvenance, Provenance, SplitProvenance};
use anyhow::{Context, Result};
use clap::Args;
use homebench_data::{DatasetRef, Origin, Summary, about_embedded};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{
    Arm, Estimator, PlannedCell, Reuse, Selection, claim, failure_of_all, freeze, reuse,
    take_winners,
};
use homebench_experiment::spec::{RunConfig, resolved_toml};
use homebench_report::Folder;
use homebench_results::{
    self as record, Facts, MergedCell, ModelFact, Outcome, ResultsFolder, SourceFact, Status,
    Winners,
};
use homebench_train as train;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether there are cells that an interruption lets keep what they have.
static CELLS_RUN: AtomicBool = AtomicBool::new(false);
/// What shells give for a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
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

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!(
            "expected a whole number, 1 or more, found `{text}`"
        )),
    }
}

impl RunArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        listen_for_interruption()?;
        let mut preparing = View::preparing();
        let session = self.spec.open(&mut preparing);
        preparing.finish();
        let mut session = session?;
        session.say_solutions();
        if let Some(notice) = train::shuffle_notice(session.dataset().train.rows) {
            eprintln!("{notice}");
        }
        let resolved = resolved_toml(&session.experiment, &session.dataset().protocol);
        let selection = session.plan.select(self.spec.only.as_deref())?;
        check_memory(&session, &selection, self.jobs_of(&session))?;
        if !self.fresh {
            let winners = Winners::read(&session.results)?;
            take_winners(&mut session.plan, &winners, &session.results)?;
        }
        claim(&session.results, &session.plan, &resolved, self.fresh)?;
        record::create_dir(session.results.path())?;
        let _lock = FolderLock::take(&session.results)?;
        let mut winners = self.winners(&session, &selection)?;
        write_resolved(&session.results, &resolved)?;
        facts(&session).write(&session.results)?;
        let executor = self.executor(&session)?;
        let mut provenance = provenance(&session, &executor);
        if self.require_clean {
            provenance.require_clean()?;
        }
        // Phase 1: every trial on validation. Phase 2: the winners, for good. Phase 3: fresh seeds, and test once.
        for select in [select_trials as Select, select_finals] {
            let selected = select(&session, &selection);
            let missing = self.missing(&session, &selected);
            let results = &session.results;
            if !missing.is_empty() || !results.provenance().exists() {
                provenance.set_out(missing.iter().map(|cell| cell.id.clone()), results)?;
            }
            let finished = run_cells(&session, &executor, &missing);
            if !matches!(finished, Ok(Finished::All(_))) {
                provenance.complete(results)?;
            }
            if let Finished::Interrupted(ended) = finished? {
                return Ok(say_interrupted(ended, missing.len()));
            }
            freeze(&mut session.plan, &mut winners, &session.results)?;
        }
        provenance.complete(&session.results)?;
        finish(&session)
    }

    /// The winners that were frozen before; without those of the selected variants where these are to be chosen anew.
    fn winners(&self, session: &Session, selection: &Selection) -> Result<Winners> {
        if !self.fresh {
            return Ok(Winners::read(&session.results)?);
        }
        // What can't be read is replaced.
        let mut winners = Winners::read(&session.results).unwrap_or_default();
        winners.winners.retain(|winner| {
            let is_its = |arm: &&Arm| arm.is(&winner.variant, winner.split_seed);
            let arm = session.plan.arms.iter().find(is_its);
            arm.is_some_and(|arm| selection.trials_of(arm).is_empty())
        });
        winners.write(&session.results)?;
        Ok(winners)
    }

    /// The selected cells that have to run, said where it is no matter of course.
    fn missing<'a>(&self, session: &Session, selected: &[&'a PlannedCell]) -> Vec<&'a PlannedCell> {
        let is_frozen = |cell: &PlannedCell| {
            let is_its = |arm: &&Arm| arm.is(&cell.content.variant, cell.split_seed);
            let arm = session.plan.arms.iter().find(is_its);
            cell.trial.is_some() && arm.is_some_and(|arm| arm.winner.is_some())
        };
        let needs_run = |cell: &&&PlannedCell| {
            let state = reuse(&session.results.cell(&cell.id), cell);
            if self.fresh {
                return true;
            }
            match state {
                Reuse::Done(_) => return false,
                Reuse::Missing => {}
                // It counted as worst, and the winner stays what it is.
                Reuse::Failed(_) if is_frozen(cell) => return false,
                Reuse::Failed(_) => eprintln!("{}: failed before, trying again", cell.label()),
                Reuse::Refused(why) => eprintln!("{}: not reused, {why}", cell.label()),
            }
            true
        };
        let missing: Vec<_> = selected.iter().filter(needs_run).copied().collect();
        let reused = selected.len() - missing.len();
        if reused > 0 {
            let what = match selected[0].trial {
                Some(_) => "trials",
                None => "cells",
            };
            eprintln!("{reused} of {} {what} are done already", selected.len());
        }
        missing
    }

    fn jobs_of(&self, session: &Session) -> usize {
        self.jobs.or(session.experiment.run.jobs).unwrap_or(1)
    }

    fn executor(&self, session: &Session) -> Result<Executor> {
        let run = &session.experiment.run;
        let jobs = self.jobs_of(session);
        let threads = threads_of(run, self.jobs, self.threads);
        if run.limits.memory_bytes.is_some() && !can_limit_memory() {
            return Err(Diagnostic::new(
                "run.memory_limit_bytes",
                "this system doesn't tell what a process has filled, so the limit can't be kept",
            )
            .hint("leave the key out")
            .into());
        }
        Ok(Executor {
            program: Executor::this_program()?,
            jobs,
            threads,
            device: session.device,
            places: session.places.clone(),
            retries: run.retries,
            limits: run.limits,
            checkpoint_every: run.checkpoint_every,
            fresh: self.fresh,
        })
    }
}

/// Runs the cells of a phase, shown as they go.
fn run_cells(session: &Session, executor: &Executor, cells: &[&PlannedCell]) -> Result<Finished> {
    let results = &session.results;
    let is_tuned = session.experiment.tuning.is_some();
    let phase = match cells.first() {
        Some(cell) if cell.trial.is_some() => "trials",
        _ if is_tuned => "final cells",
        _ => "experiment",
    };
    let estimator = Estimator::new(results, session.device.kind(), executor.threads);
    let expected = cells.iter().map(|cell| {
        let cost = session.cost(cell).map_or(0, |cost| cost.flops_per_row);
        let seconds = session.expected_seconds(&estimator, cell, cost);
        (cell.id.clone(), seconds)
    });
    let mut view = View::new(phase, expected, Some(results.clone()));
    CELLS_RUN.store(true, Ordering::SeqCst);
    let finished = executor.run(results, cells, &INTERRUPTED, &mut view);
    CELLS_RUN.store(false, Ordering::SeqCst);
    view.finish();
    finished
}

/// The first Ctrl-C lets cells keep what they have; the second, or one while no cell runs, ends everything at once.
fn listen_for_interruption() -> Result<()> {
    ctrlc::set_handler(|| {
        let is_first = !INTERRUPTED.swap(true, Ordering::SeqCst);
        if is_first && CELLS_RUN.load(Ordering::SeqCst) {
            // The executor sees it, ends them and says so.
            return;
        }
        // Children end when their parent is gone. What is written is whole at any moment.
        eprintln!(
            "\ninterrupted; what is finished is kept; to go on:\n  {}",
            command_to_go_on()
        );
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    })
    .context("listening for Ctrl-C")
}

/// The command line of this run, quoted for a shell. Without `--fresh`, which would begin anew.
fn command_to_go_on() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.filter(|word| word != "--fresh").collect();
    // Nothing with a zero in it can be an argument.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// Threads of a cell: as asked for, or the cores shared by the jobs.
pub(super) fn threads_of(run: &RunConfig, jobs: Option<usize>, threads: Option<usize>) -> usize {
    let jobs = jobs.or(run.jobs).unwrap_or(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = (cores / jobs).max(1);
    threads.or(run.threads).unwrap_or(shared)
}

/// Whether the cells that are asked for have room on the device, as far as that can be told before they run.
fn check_memory(session: &Session, selection: &Selection, jobs: usize) -> Result<(), Diagnostic> {
    let selected = [
        select_trials(session, selection),
        select_finals(session, selection),
    ];
    let parameters = selected.iter().flatten().filter_map(|cell| {
        let cost = session.costs.of(&cell.content.variant, cell.trial)?;
        Some(cost.parameters)
    });
    let num_cells = selected.iter().map(Vec::len).max().unwrap_or(0);
    session.cuda.check_memory(
        session.device,
        parameters.max().unwrap_or(0),
        jobs.min(num_cells),
    )
}

/// A second run of the same experiment touches nothing.
fn write_resolved(results: &ResultsFolder, resolved: &str) -> Result<()> {
    let path = results.resolved_spec();
    if std::fs::read_to_string(&path).is_ok_and(|there| there == resolved) {
        return Ok(());
    }
    record::write(&path, |out| Ok(out.write_all(resolved.as_bytes())?))
}

/// What a report is to say of models and data, as this program knows them.
fn facts(session: &Session) -> Facts {
    let variants = &session.experiment.variants;
    let is_used = |name: &str| {
        variants
            .iter()
            .any(|variant| variant.configured.model.name() == name)
    };
    let models = homebench_model::registry().into_iter();
    let models = models.filter(|model| is_used(model.name));
    let datasets = session.datasets.iter().map(|(_, data)| data);
    let made = datasets.clone().filter(|data| data.origin == Origin::Made);
    let mut names: Vec<&String> = made.map(|data| &data.name).collect();
    names.dedup();
    Facts {
        shuffled_by_blocks: datasets
            .clone()
            .any(|data| train::shuffle_notice(data.train.rows).is_some()),
        models: models
            .map(|model| ModelFact {
                name: model.name.to_owned(),
                equation: model.equation.to_owned(),
                paper: model.paper.to_owned(),
            })
            .collect(),
        sources: names
            .into_iter()
            .filter_map(|name| {
                Some(SourceFact {
                    name: name.clone(),
                    about: about_embedded(name)?.to_owned(),
                })
            })
            .collect(),
    }
}

/// Which cells of the plan a phase runs.
type Select = for<'a, 'b> fn(&'a Session, &'b Selection) -> Vec<&'a PlannedCell>;

/// The trials that are asked for, in the order of the plan.
fn select_trials<'a>(session: &'a Session, selection: &Selection) -> Vec<&'a PlannedCell> {
    let arms = session.plan.arms.iter();
    arms.flat_map(|arm| selection.trials_of(arm)).collect()
}

/// The final cells that are asked for and known, in the order of the plan.
fn select_finals<'a>(session: &'a Session, selection: &Selection) -> Vec<&'a PlannedCell> {
    let finals = session.plan.arms.iter().flat_map(|arm| &arm.finals);
    finals.filter(|cell| selection.has(cell)).collect()
}

fn provenance(session: &Session, executor: &Executor) -> Provenance {
    let dataset = session.dataset();
    Provenance::begin(
        executor.jobs,
        executor.threads,
        session.device.to_string(),
        DatasetProvenance {
            name: dataset.name.clone(),
            protocol: dataset.protocol.clone(),
            content_hash: dataset.content_hash.clone(),
            train_rows: dataset.train.rows,
            validation_rows: dataset.validation.rows,
            test_rows: dataset.test_rows,
            origin: dataset.origin.name().to_owned(),
            splits: session.datasets.iter().map(split_provenance).collect(),
        },
    )
}

fn split_provenance((_, data): &(DatasetRef, Summary)) -> SplitProvenance {
    let [train, validation, test] = data.split_digests.clone();
    SplitProvenance {
        split_seed: data.split_seed,
        content_hash: data.content_hash.clone(),
        train_blake3: train,
        validation_blake3: validation,
        test_blake3: test,
    }
}

/// Everything of the plan that ended, now or before, in the order of the plan.
fn ended_cells(session: &Session) -> Vec<MergedCell> {
    let outcome = |cell: &PlannedCell| -> Option<Outcome> {
        match reuse(&session.results.cell(&cell.id), cell) {
            Reuse::Done(outcome) | Reuse::Failed(outcome) => Some(outcome),
            Reuse::Missing | Reuse::Refused(_) => None,
        }
    };
    let arms = &session.plan.arms;
    let mut merged = Vec::new();
    for arm in arms {
        let trials = arm.trials.iter().flatten();
        merged.extend(trials.filter_map(|cell| Some(cell.merged(outcome(cell)?, arm.winner))));
    }
    for arm in arms {
        if let Some(why) = failure_of_all(arm, &session.results) {
            let failed = |cell: &PlannedCell| Outcome::failed(&cell.id, why.clone(), 0);
            let stand_ins = arm.stand_ins();
            merged.extend(stand_ins.iter().map(|cell| cell.merged(failed(cell), None)));
        }
        let finals = arm.finals.iter();
        merged.extend(finals.filter_map(|cell| Some(cell.merged(outcome(cell)?, None))));
    }
    merged
}

/// Merged tables, charts, the report and the table on stdout.
fn finish(session: &Session) -> Result<ExitCode> {
    let cells = ended_cells(session);
    let results = &session.results;
    record::merge(results, &cells)?;
    record::seal(results)?;
    let failed: Vec<&MergedCell> = cells
        .iter()
        .filter(|cell| cell.outcome.status == Status::Failed)
        .collect();
    // Trials alone have nothing to report yet.
    let is_score = |cell: &MergedCell| cell.trial.is_none() && cell.outcome.status == Status::Done;
    if cells.iter().any(is_score) {
        let mut folder = Folder::read(results.path(), None)?;
        folder.write_figures().context("drawing the charts")?;
        folder.write_report().context("writing the report")?;
        print!("{}", folder.terminal_table());
    }
    eprintln!("results are in {}", results.path().display());
    for cell in &failed {
        let id = &cell.outcome.id;
        let reason = cell.outcome.error.as_deref().unwrap_or("no reason");
        let trial = cell.trial.map(|trial| format!("/trial-{}", trial.number));
        let (variant, trial, seed) = (&cell.variant, trial.unwrap_or_default(), cell.seed);
        let log = match results.cell(id).log().exists() {
            true => format!(" (log: cells/{id}/log.txt)"),
            false => String::new(),
        };
        eprintln!("failed: {variant}{trial}/{seed}: {reason}{log}");
    }
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_CELL_FAILED)
    })
}

fn say_interrupted(ended: usize, total: usize) -> ExitCode {
    eprintln!("interrupted: {ended} of {total} cells ended and are kept; to go on:");
    eprintln!("  {}", command_to_go_on());
    ExitCode::from(EXIT_INTERRUPTED)
}
