//! `homebench plan`: every cell, and what is known of it; runs nothing.

use super::integrity::look;
use super::run::threads_of;
use super::screen::terminal_width;
use super::session::{Session, SpecArguments};
use crate::output::{NoticesAlone, note, write_answer};
use anyhow::Result;
use clap::Args;
use homebench_experiment::plan::{
    Arm, Estimator, Plan, PlannedCell, Reuse, STATED_FLOPS_PER_SECOND, Selection, ToCome, reuse,
    take_winners,
};
use homebench_report::text_table::align_rows_within;
use homebench_results::Winners;
use indicatif::HumanDuration;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

/// Show every cell of an experiment: id, phase, parameters, FLOPs per row, time and state; run nothing
///
/// Final cells of a variant that is tuned are known once its winner is frozen. Times are those of all epochs, which early
/// stopping may cut, unless earlier cells of the variant are in the results folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench plan experiments/census.toml
  homebench plan experiments/census.toml --set 'seeds=[1,2,3,4,5]' --only 'home/*'")]
pub(super) struct PlanArguments {
    #[command(flatten)]
    spec: SpecArguments,
}

impl PlanArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (session, mut plan) = self.spec.open(&mut NoticesAlone, false)?;
        session.say_solutions();
        session.say_selection();
        session.say_untrained();
        session.say_without_effect();
        session.say_starts();
        let selection = plan.select(self.spec.only.as_deref())?;
        look(&session.results)?;
        let winners = Winners::read(&session.results)?;
        let configure = |variant: &str, chosen| session.configure(variant, chosen);
        take_winners(&mut plan, &winners, &session.results, &configure)?;
        let ends = |cell: &PlannedCell| reuse(&session.results.cell(&cell.id), cell);
        plan.advance_all(&ends, &configure)?;
        let table = PlanTable::new(&session, &plan);
        let rows = table.rows(&selection);
        let texts = table.texts(&rows);
        write_answer(&align_rows_within(
            &table.header(),
            &texts,
            terminal_width(),
        ))?;
        table.say_totals(&rows);
        table.say_tuning_budgets();
        Ok(ExitCode::SUCCESS)
    }
}

/// Columns after that of what cells start from: their phase, their time and their state.
const FROM_THE_END: usize = 3;

/// A line of the table.
struct PlanRow {
    texts: Vec<String>,
    split_seed: Option<u64>,
    /// The cell, or the variant, whose weights it starts from.
    starts_from: Option<String>,
    is_trial: bool,
    seconds: f64,
    is_done: bool,
}

struct PlanTable<'a> {
    session: &'a Session,
    plan: &'a Plan,
    estimator: Estimator,
}

impl<'a> PlanTable<'a> {
    fn new(session: &'a Session, plan: &'a Plan) -> Self {
        let threads = threads_of(&session.experiment.run, None, None);
        Self {
            session,
            plan,
            estimator: Estimator::new(&session.results, session.device.kind(), threads),
        }
    }

    /// Splits are shown where there are several.
    fn shows_splits(&self) -> bool {
        self.session.experiment.split_seeds.len() > 1
    }

    fn header(&self) -> Vec<&'static str> {
        let mut header = vec![
            "cell",
            "variant",
            "model",
            "seed",
            "parameters",
            "flops_per_row",
            "expert_dims",
            "phase",
            "expected_seconds",
            "state",
        ];
        // A column of dashes would tell nothing.
        if self.shows_splits() {
            header.insert(4, "split_seed");
        }
        if self.plan.has_starts() {
            header.insert(header.len() - FROM_THE_END, "starts_from");
        }
        header
    }

    fn texts(&self, rows: &[PlanRow]) -> Vec<Vec<String>> {
        let texts = |row: &PlanRow| {
            let mut texts = row.texts.clone();
            if self.shows_splits() {
                let seed = row
                    .split_seed
                    .map_or("-".to_owned(), |seed| seed.to_string());
                texts.insert(4, seed);
            }
            if self.plan.has_starts() {
                let from = row.starts_from.clone().unwrap_or_else(|| "-".to_owned());
                texts.insert(texts.len() - FROM_THE_END, from);
            }
            texts
        };
        rows.iter().map(texts).collect()
    }

    /// Trials, then final cells, those of winners to come included.
    fn rows(&self, selection: &Selection) -> Vec<PlanRow> {
        let arms = &self.plan.arms;
        let trials = arms
            .iter()
            .flat_map(|arm| self.plan.trials_asked_of(arm, selection));
        let mut rows: Vec<PlanRow> = trials.map(|cell| self.row(cell)).collect();
        for arm in arms.iter().filter(|arm| selection.has_final_of(arm)) {
            rows.extend(self.trials_to_come(arm));
        }
        let asked = self.plan.finals_asked(selection);
        let asked: BTreeSet<&str> = asked.iter().map(|cell| cell.id.as_str()).collect();
        for arm in arms {
            if arm.is_tuned() && arm.winner.is_none() {
                rows.extend(self.rows_to_come(arm, selection));
            }
            let finals = arm.finals.iter();
            let finals = finals.filter(|cell| asked.contains(cell.id.as_str()));
            rows.extend(finals.map(|cell| self.row(cell)));
        }
        rows
    }

    fn row(&self, cell: &PlannedCell) -> PlanRow {
        let state = match reuse(&self.session.results.cell(&cell.id), cell) {
            Reuse::Done(_) => "done",
            Reuse::Missing if cell.awaits_parent() => "after-tuning",
            Reuse::Missing => "missing",
            Reuse::Failed(_) => "failed",
            Reuse::Refused(_) => "altered",
        };
        let content = &cell.content;
        let cost = self.session.cost(self.plan, cell);
        let seconds = cost.map_or(0.0, |cost| self.seconds(cell, cost.flops_per_row));
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let phase = match cell.trial {
            Some(number) => {
                let rung = cell.rung.as_ref();
                let rung = rung.map_or_else(String::new, |rung| format!("/rung-{}", rung.number));
                format!("trial-{number}{rung}")
            }
            None => "final".to_owned(),
        };
        PlanRow {
            texts: vec![
                match cell.awaits_parent() {
                    true => "-".to_owned(),
                    false => cell.id.clone(),
                },
                format!("{}{}", content.variant, self.point(cell)),
                content.model.name.clone(),
                content.seed.to_string(),
                or_dash(cost.map(|cost| cost.parameters.to_string())),
                or_dash(cost.map(|cost| cost.flops_per_row.to_string())),
                or_dash(expert_dims(cell)),
                phase,
                format!("{seconds:.1}"),
                state.to_owned(),
            ],
            split_seed: cell.split_seed,
            starts_from: match &cell.parent {
                Some(parent) => Some(parent.label()),
                None => self.variant_before(&content.variant),
            },
            is_trial: cell.trial.is_some(),
            seconds,
            is_done: state == "done",
        }
    }

    /// The variant whose cells those of another start from, where it is not known which of them.
    fn variant_before(&self, variant: &str) -> Option<String> {
        let mut arms = self.plan.arms.iter();
        let arm = arms.find(|arm| arm.variant == variant)?;
        arm.starts_from().map(str::to_owned)
    }

    /// The knobs of the data, where they are swept.
    fn point(&self, cell: &PlannedCell) -> String {
        match self.session.experiment.swept_knobs().is_empty() {
            true => String::new(),
            false => format!("/{}", cell.content.dataset.knobs_in_name()),
        }
    }

    fn seconds(&self, cell: &PlannedCell, flops_per_row: usize) -> f64 {
        let session = self.session;
        session.expected_seconds(&self.estimator, cell, flops_per_row)
    }

    /// Final cells of an arm whose winner is not known; as long as the mean of what it may be.
    fn rows_to_come(&self, arm: &Arm, selection: &Selection) -> Vec<PlanRow> {
        let first_seeds = arm.trials.iter().filter_map(|cells| cells.first());
        let seconds: Vec<f64> = first_seeds
            .filter_map(|cell| {
                let cost = self.session.costs.of(&arm.variant, cell.trial)?;
                let mut like = cell.clone();
                // A trial scores no test rows, and these cells will.
                like.trial = None;
                Some(self.seconds(&like, cost.flops_per_row))
            })
            .collect();
        let mean = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
        let model = arm.trials[0][0].content.model.name.clone();
        let row = |(seed, _): (u64, String)| {
            let dash = || "-".to_owned();
            PlanRow {
                texts: vec![
                    dash(),
                    arm.variant.clone(),
                    model.clone(),
                    seed.to_string(),
                    dash(),
                    dash(),
                    dash(),
                    "final".to_owned(),
                    format!("{mean:.1}"),
                    "after-tuning".to_owned(),
                ],
                split_seed: arm.split_seed,
                starts_from: arm.starts_from().map(str::to_owned),
                is_trial: false,
                seconds: mean,
                is_done: false,
            }
        };
        let asked = arm
            .final_labels()
            .filter(|(_, label)| selection.has_label(label, arm));
        asked.map(row).collect()
    }

    /// Cells of trials that are known once others have ended; as long as the first one's.
    fn trials_to_come(&self, arm: &Arm) -> Vec<PlanRow> {
        let Some(cell) = arm.trials.first().and_then(|cells| cells.first()) else {
            return Vec::new();
        };
        let cost = self.session.cost(self.plan, cell);
        let row = |to_come: &ToCome, seed: u64| {
            let seconds = cost.map_or(0.0, |cost| {
                let (session, epochs) = (self.session, to_come.epochs);
                session.expected_seconds_of(&self.estimator, cell, epochs, cost.flops_per_row)
            });
            let dash = || "-".to_owned();
            PlanRow {
                texts: vec![
                    dash(),
                    arm.variant.clone(),
                    cell.content.model.name.clone(),
                    seed.to_string(),
                    dash(),
                    dash(),
                    dash(),
                    to_come.phase.clone(),
                    format!("{seconds:.1}"),
                    to_come.state.clone(),
                ],
                split_seed: arm.split_seed,
                starts_from: arm.starts_from().map(str::to_owned),
                is_trial: true,
                seconds,
                is_done: false,
            }
        };
        let seeds: Vec<u64> = arm.trials[0].iter().map(|cell| cell.content.seed).collect();
        let rows = arm.trials_to_come().into_iter().flat_map(|to_come| {
            let of_seeds = |_| {
                seeds
                    .iter()
                    .map(|seed| row(&to_come, *seed))
                    .collect::<Vec<_>>()
            };
            (0..to_come.count).flat_map(of_seeds).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// What tuning costs each variant at most.
    fn say_tuning_budgets(&self) {
        let rows = self.session.dataset().train.rows as f64;
        for arm in self.plan.arms.iter().filter(|arm| arm.is_tuned()) {
            let firsts = arm.trials.iter().filter_map(|cells| cells.first());
            let flops = firsts.filter_map(|cell| self.session.cost(self.plan, cell));
            let flops: Vec<f64> = flops.map(|cost| cost.flops_per_row as f64).collect();
            let mean = flops.iter().sum::<f64>() / flops.len().max(1) as f64;
            let epochs = arm.budget_epochs();
            let flops = match flops.is_empty() {
                // Of a program.
                true => "FLOPs not known".to_owned(),
                // A step is three forward passes.
                false => format!("{:.2e} FLOPs", 3.0 * mean * rows * epochs as f64),
            };
            note!(
                "{}: tuning trains at most {epochs} epochs in {} trials, {flops}",
                arm.label(),
                arm.num_trials(),
            );
        }
    }

    fn say_totals(&self, rows: &[PlanRow]) {
        let trials = rows.iter().filter(|row| row.is_trial).count();
        let open: Vec<&PlanRow> = rows.iter().filter(|row| !row.is_done).collect();
        let seconds: f64 = open.iter().map(|row| row.seconds).sum();
        let jobs = self.session.experiment.run.jobs.unwrap_or(1);
        let of_which = match trials {
            0 => String::new(),
            trials => format!(" ({trials} of trials, {} final)", rows.len() - trials),
        };
        note!(
            "{} cells{of_which}, {} to run: about {} with {jobs} at a time, if no epoch is left out",
            rows.len(),
            open.len(),
            HumanDuration(Duration::from_secs_f64((seconds / jobs as f64).ceil())),
        );
        let estimator = &self.estimator;
        match estimator.measured_in.as_slice() {
            [] => note!(
                "times are stated, not measured: {:.0} GFLOP/s a thread; no earlier run is in {} or beside it",
                STATED_FLOPS_PER_SECOND / 1e9,
                self.session.results.path().display()
            ),
            folders => note!(
                "times are those of {} cells of earlier runs in {}",
                estimator.num_measured,
                folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }
}

/// Without spaces, so that a column stays a word.
fn expert_dims(cell: &PlannedCell) -> Option<String> {
    let widths = cell.content.model.knobs.get("expert_dims")?;
    Some(widths.to_string().replace(' ', ""))
}
