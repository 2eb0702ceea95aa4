//! The tables of a report.

use crate::report::comparison::{Comparison, Row};
use crate::report::document::{Cell as Field, Table};
use crate::report::format::{self, ABSENT, grouped, listed};
use crate::report::results::{Cell, Results, Summary, distinct};

/// Epochs of so many seeds are named; the rest are in `cells.csv`.
const MOST_EPOCHS: usize = 10;

/// Each variant's model, cost and selected epochs.
pub(super) fn variants(results: &Results, summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "variant",
        "model",
        "parameters",
        "FLOPs per row",
        "seeds done",
        "selected epochs",
        "epochs run",
    ]);
    for name in &summary.variants {
        let cells: Vec<&Cell> = results
            .cells
            .iter()
            .filter(|cell| cell.variant == *name)
            .collect();
        let models = listed(distinct(cells.iter().map(|cell| cell.model.clone())));
        let done: Vec<&&Cell> = cells.iter().filter(|cell| cell.failure.is_none()).collect();
        let epochs = |pick: fn(&Cell) -> Option<u64>| {
            let epochs: Vec<String> = done
                .iter()
                .filter_map(|cell| pick(cell))
                .map(|epoch| epoch.to_string())
                .collect();
            match epochs.len() {
                0 => ABSENT.to_owned(),
                1..=MOST_EPOCHS => epochs.join(", "),
                _ => format!("{}, ...", epochs[..MOST_EPOCHS].join(", ")),
            }
        };
        table.rows.push(vec![
            Field::words(name),
            Field::words(models),
            count(&cells, |cell| cell.parameters),
            count(&cells, |cell| cell.flops_per_row),
            Field::words(format::seeds(done.iter().map(|cell| cell.seed).collect())),
            Field::words(epochs(|cell| cell.selected_epoch)),
            Field::words(epochs(|cell| cell.epochs_run)),
        ]);
    }
    table
}

/// A count that is the same for every cell of a variant; a range where it differs, as between datasets.
fn count(cells: &[&Cell], pick: fn(&Cell) -> Option<u64>) -> Field {
    let counts: Vec<u64> = cells.iter().filter_map(|cell| pick(cell)).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    let text = match (least, most) {
        (Some(least), Some(most)) if least == most => grouped(*least as f64),
        (Some(least), Some(most)) => {
            format!("{} to {}", grouped(*least as f64), grouped(*most as f64))
        }
        _ => ABSENT.to_owned(),
    };
    Field::number(text, most.map(|&most| most as f64))
}

/// Rows and positives of each task and split.
pub(super) fn tasks(results: &Results, summary: &Summary) -> Table {
    let mut table = Table::new(&["task", "split", "rows", "positives", "positive share"]);
    for panel in &summary.panels {
        for split in ["validation", "test"] {
            let score = results.scores.iter().find(|score| {
                let cell = &results.cells[score.cell];
                score.split == split && score.task == panel.task && cell.dataset == panel.dataset
            });
            let Some(score) = score else { continue };
            let share = score.positives as f64 / score.rows as f64;
            table.rows.push(vec![
                Field::words(&panel.title),
                Field::words(split),
                Field::number(grouped(score.rows as f64), Some(score.rows as f64)),
                Field::number(
                    grouped(score.positives as f64),
                    Some(score.positives as f64),
                ),
                Field::number(format!("{:.2} %", 100.0 * share), Some(share)),
            ]);
        }
    }
    table
}

/// Cells that failed, and why.
pub(super) fn failures(failed: &[&Cell]) -> Table {
    let mut table = Table::new(&["variant", "seed", "cell", "reason"]);
    for cell in failed {
        let reason = cell.failure.as_deref().filter(|reason| !reason.is_empty());
        table.rows.push(vec![
            Field::words(&cell.variant),
            Field::number(cell.seed.to_string(), Some(cell.seed as f64)),
            Field::words(&cell.id),
            Field::words(reason.unwrap_or("not given")),
        ]);
    }
    table
}

/// Every variant on every task: test scores alone.
pub(super) fn overview(summary: &Summary, comparison: &Comparison) -> Table {
    let mut table = Table::new(&["variant"]);
    table
        .header
        .extend(summary.panels.iter().map(|panel| panel.title.clone()));
    for (variant, name) in summary.variants.iter().enumerate() {
        let field = |panel: usize| {
            let test = comparison.panels[panel][variant].test;
            let leads = comparison.standings[panel].leader() == Some(variant);
            Field::number(
                format::mean_and_deviation(test.mean, test.deviation),
                test.mean,
            )
            .strong_if(leads)
        };
        let mut fields = vec![Field::words(name)];
        fields.extend((0..summary.panels.len()).map(field));
        table.rows.push(fields);
    }
    table
}

/// Every variant on one task and metric: validation beside test, and the difference to the baseline.
pub(super) fn scores(summary: &Summary, comparison: &Comparison, panel: usize) -> Table {
    let mut table = Table::new(&["variant", "seeds", "validation", "test", "95 % interval"]);
    let compared = summary.variants.len() > 1;
    if compared {
        let more = ["difference", "95 % interval", "p", "p (Holm)", "P(better)"];
        table.header.extend(more.map(str::to_owned));
    }
    let leader = comparison.standings[panel].leader();
    for (variant, row) in comparison.panels[panel].iter().enumerate() {
        let mut fields = score_fields(&summary.variants[variant], row, leader == Some(variant));
        if compared {
            fields.extend(difference_fields(row));
        }
        table.rows.push(fields);
    }
    table
}

fn score_fields(name: &str, row: &Row, leads: bool) -> Vec<Field> {
    let test = format::mean_and_deviation(row.test.mean, row.test.deviation);
    let validation = format::mean_and_deviation(row.validation.mean, row.validation.deviation);
    vec![
        Field::words(name),
        Field::words(format::seeds(row.seeds.clone())),
        Field::number(validation, row.validation.mean),
        Field::number(test, row.test.mean).strong_if(leads),
        Field::number(
            format::interval(row.interval),
            row.interval.map(|interval| interval.low),
        ),
    ]
}

fn difference_fields(row: &Row) -> [Field; 5] {
    let difference = row.difference.as_ref();
    let mean = difference.map(|difference| difference.mean);
    let interval = difference.and_then(|difference| difference.interval);
    let p_value = difference.and_then(|difference| difference.p_value);
    [
        Field::number(mean.map_or(ABSENT.to_owned(), format::difference), mean),
        Field::number(
            format::interval(interval),
            interval.map(|interval| interval.low),
        ),
        Field::number(format::probability(p_value), p_value),
        Field::number(
            format::probability(row.corrected_p_value),
            row.corrected_p_value,
        ),
        Field::number(
            format::probability(row.probability_of_improvement),
            row.probability_of_improvement,
        ),
    ]
}

/// What was built from what.
pub(super) fn facts(facts: &[(&'static str, String)]) -> Table {
    let mut table = Table::new(&["what", "which"]);
    let row =
        |(name, value): &(&'static str, String)| vec![Field::words(*name), Field::words(value)];
    table.rows = facts.iter().map(row).collect();
    table
}
