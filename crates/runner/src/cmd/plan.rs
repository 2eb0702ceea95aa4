//! `homebench plan`: every cell, and what is known of it; runs nothing.

use super::session::{Session, SpecArguments};
use super::table;
use crate::data::Quiet;
use crate::record::Outcome;
use crate::sweep::{PlannedCell, Reuse, reuse};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// Show every cell of an experiment: id, parameters, FLOPs per row, time and state; run nothing
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
        let session = self.spec.open(&mut Quiet)?;
        session.say_solutions();
        let selected = session.plan.select(self.spec.only.as_deref())?;
        let rows: Vec<_> = selected.iter().map(|cell| row(&session, cell)).collect();
        let header = [
            "cell",
            "variant",
            "model",
            "seed",
            "parameters",
            "flops_per_row",
            "expert_dims",
            "expected_seconds",
            "state",
        ];
        print!("{}", table::align(&header, &rows));
        Ok(ExitCode::SUCCESS)
    }
}

/// The time is that of this cell or, where it is not done, of a done one of its variant.
fn row(session: &Session, cell: &PlannedCell) -> Vec<String> {
    let state = match reuse(&session.results.cell(&cell.id), cell) {
        Reuse::Done(_) => "done",
        Reuse::Missing => "missing",
        Reuse::Failed(_) => "failed",
        Reuse::Refused(_) => "altered",
    };
    let budget = session.budgets.get(&cell.content.variant);
    let seconds = done_cell(session, cell).and_then(|outcome| seconds(session, &outcome.id));
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        cell.id.clone(),
        cell.content.variant.clone(),
        cell.content.model.name.clone(),
        cell.content.seed.to_string(),
        or_dash(budget.map(|budget| budget.parameters.to_string())),
        or_dash(budget.map(|budget| budget.flops_per_row.to_string())),
        or_dash(expert_dims(cell)),
        or_dash(seconds.map(|seconds| format!("{seconds:.1}"))),
        state.to_owned(),
    ]
}

/// Without spaces, so that a column stays a word.
fn expert_dims(cell: &PlannedCell) -> Option<String> {
    let widths = cell.content.model.knobs.get("expert_dims")?;
    Some(widths.to_string().replace(' ', ""))
}

fn done_cell(session: &Session, cell: &PlannedCell) -> Option<Outcome> {
    let same = |other: &&PlannedCell| other.content.variant == cell.content.variant;
    std::iter::once(cell)
        .chain(session.plan.cells.iter().filter(same))
        .find_map(|cell| match reuse(&session.results.cell(&cell.id), cell) {
            Reuse::Done(outcome) => Some(outcome),
            _ => None,
        })
}

fn seconds(session: &Session, id: &str) -> Option<f64> {
    let mut reader =
        csv::Reader::from_path(session.results.cell(id).part("throughput.csv")).ok()?;
    let column = reader
        .headers()
        .ok()?
        .iter()
        .position(|name| name == "total_seconds")?;
    reader.records().next()?.ok()?.get(column)?.parse().ok()
}
