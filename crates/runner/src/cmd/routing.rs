//! `homebench routing`: how alike tasks route, beside how they are related in truth.

use super::arguments::ResultsArgument;
use super::integrity::{exit_code, look, say};
use super::output_path::write_table;
use crate::output::note;
use anyhow::Result;
use clap::Args;
use homebench_data::task_relations;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_report::routing::{RoutingRow, TrueRelations, routing};
use homebench_report::statistics::{Mantel, student_interval};
use homebench_results::read::{Results, distinct};
use homebench_results::{DataFacts, ResultsFolder};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Hold how alike tasks route against how they are related in truth
///
/// A row a cell whose tasks have gates, on made-up data that says how its tasks are related: Spearman's rho between the cosines of two
/// tasks' mean gate weights (gates.csv, at the selected weights) and the correlations of what makes their labels, over all pairs of
/// tasks, and the p-value of a one-sided Mantel test, which permutes the tasks in every order, or in 9,999 drawn ones of more than eight
/// tasks. On stderr each variant's mean rho with its 95 % interval over seeds. Exit code 1 where files are not as they were written.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench routing runs/sparse-routing-truth --out routing.csv")]
pub(super) struct RoutingArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// Where to write the table [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl RoutingArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let folder = self.results.open()?;
        let name = folder.path().display().to_string();
        let found = look(&folder)?;
        say(&folder, &found);
        let results = Results::read(folder.path())?;
        let mut truth = truth(&folder)?;
        // What isn't known of older folders may leave data in that no cell is of.
        truth.retain(|title, _| results.cells.iter().any(|cell| &cell.dataset == title));
        if truth.is_empty() {
            return Err(Diagnostic::new(
                name,
                "nothing is known of how the tasks of its data are related",
            )
            .hint("the sources `task_arc`, `synthetic` and `two_task_regression` say it; results of another have no truth to compare with")
            .into());
        }
        let rows = routing(&results, &truth)?;
        if rows.is_empty() {
            return Err(Diagnostic::new(name, "no cell has gates of two tasks or more")
                .hint("gates.csv has the gates of final cells; models without a gate for each task have none to compare")
                .into());
        }
        say_rho(&rows);
        write_table(self.out.as_deref(), table(&rows))?;
        Ok(exit_code(&found, ExitCode::SUCCESS))
    }
}

/// The true relations of every dataset of the folder that says them, by title.
fn truth(folder: &ResultsFolder) -> Result<BTreeMap<String, TrueRelations>> {
    let mut truth = BTreeMap::new();
    // Of data that the folder was run on before, what was kept may lie there still.
    for facts in DataFacts::read_all(folder).map_err(Diagnostic::from)? {
        let description = folder.data(&facts.content_hash).join("description.toml");
        let text = regular_file::read_text(&description).map_err(|error| {
            Diagnostic::new(description.display().to_string(), error.to_string()).hint(
                "restore it, or run the experiment again, which writes it and trains nothing anew",
            )
        })?;
        if let Some(relations) = task_relations(&facts.name, &text, &facts.protocol)? {
            let relations = TrueRelations {
                tasks: relations.tasks,
                closeness: relations.correlations,
            };
            truth.insert(facts.title, relations);
        }
    }
    Ok(truth)
}

/// Each variant's rho over seeds.
fn say_rho(rows: &[RoutingRow]) {
    for (dataset, variant) in distinct(rows.iter().map(|row| (&row.dataset, &row.variant))) {
        let of = rows
            .iter()
            .filter(|row| (&row.dataset, &row.variant) == (dataset, variant));
        let found: Vec<_> = of.filter_map(|row| row.mantel).collect();
        let rho: Vec<f64> = found.iter().map(|mantel| mantel.rho).collect();
        if rho.is_empty() {
            note!(
                "{dataset}, {variant}: all tasks route alike, or there are fewer than three; no rho"
            );
            continue;
        }
        let mean = rho.iter().sum::<f64>() / rho.len() as f64;
        let interval = student_interval(&rho).map_or_else(String::new, |interval| {
            format!(" [{:.2}, {:.2}]", interval.low, interval.high)
        });
        let below = found.iter().filter(|mantel| mantel.p_value < 0.05).count();
        note!(
            "{dataset}, {variant}: rho {mean:.2}{interval}; p below .05 in {below} of {} cells",
            rho.len()
        );
    }
}

fn table(rows: &[RoutingRow]) -> Vec<[String; 8]> {
    let header = [
        "dataset",
        "variant",
        "seed",
        "tasks",
        "mean_similarity",
        "spearman",
        "mantel_p_value",
        "orders",
    ];
    let mut table = vec![header.map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        let of = |number: fn(Mantel) -> String| row.mantel.map_or_else(String::new, number);
        [
            row.dataset.clone(),
            row.variant.clone(),
            row.seed.to_string(),
            row.num_tasks.to_string(),
            row.mean_similarity.to_string(),
            of(|mantel| mantel.rho.to_string()),
            of(|mantel| mantel.p_value.to_string()),
            of(|mantel| mantel.orders.to_string()),
        ]
    }));
    table
}
