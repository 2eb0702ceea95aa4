//! The tables of a report, and of `tables/`.

use crate::analysis::{Analysis, Comparison, Row, Summary};
use crate::document::{Cell as Field, Table};
use crate::format::{self, ABSENT, grouped, listed};
use crate::published::PublishedTable;
use crate::statistics::{Interval, Judgement, mean};
use homebench_results::read::{Cell, ExternalWinner, Results, distinct};
use std::collections::HashMap;

/// Epochs of so many seeds are named; the rest are in `cells.csv`.
const MOST_EPOCHS: usize = 10;
/// Operations of a training step, in forward passes.
const PASSES_OF_A_STEP: f64 = 3.0;

/// Each shown variant's model, cost and selected epochs.
pub(super) fn variants(analysis: &Analysis, train_rows: Option<u64>) -> Table {
    let mut table = Table::new(&[
        "variant",
        "model",
        "parameters",
        "FLOPs per row",
        "training, TFLOP",
        "seeds done",
        "selected epochs",
        "epochs run",
    ]);
    let mut cells_of: HashMap<&str, Vec<&Cell>> = HashMap::new();
    for cell in analysis.results.own_cells() {
        cells_of.entry(&cell.variant).or_default().push(cell);
    }
    for &variant in &analysis.shown {
        let name = &analysis.summary.variants[variant];
        let Some(cells) = cells_of.get(name.as_str()) else {
            continue;
        };
        let models = listed(distinct(cells.iter().map(|cell| cell.model.clone())));
        let done: Vec<&Cell> = cells
            .iter()
            .copied()
            .filter(|cell| cell.failure.is_none())
            .collect();
        table.push(vec![
            Field::words(name),
            Field::words(models),
            count(cells, |cell| cell.parameters),
            count(cells, |cell| cell.flops_per_row),
            training(&done, train_rows),
            Field::words(format::seeds(done.iter().map(|cell| cell.seed).collect())),
            Field::words(epochs(&done, |cell| cell.selected_epoch)),
            Field::words(epochs(&done, |cell| cell.epochs_run)),
        ]);
    }
    table
}

/// Mean operations of a run's training.
pub(super) fn training_flops(done: &[&Cell], train_rows: Option<u64>) -> Option<f64> {
    let flops = done.iter().filter_map(|cell| {
        let passes = cell.epochs_run? as f64 * train_rows? as f64 * PASSES_OF_A_STEP;
        Some(cell.flops_per_row? as f64 * passes)
    });
    mean(&flops.collect::<Vec<_>>())
}

fn training(done: &[&Cell], train_rows: Option<u64>) -> Field {
    let mean = training_flops(done, train_rows);
    let text = mean.map_or(ABSENT.to_owned(), |mean| format!("{:.3}", mean / 1e12));
    Field::number(text, mean)
}

fn epochs(done: &[&Cell], pick: fn(&Cell) -> Option<u64>) -> String {
    let epochs = done.iter().filter_map(|cell| pick(cell));
    let epochs: Vec<String> = epochs.map(|epoch| epoch.to_string()).collect();
    match epochs.len() {
        0 => ABSENT.to_owned(),
        1..=MOST_EPOCHS => epochs.join(", "),
        _ => format!("{}, ...", epochs[..MOST_EPOCHS].join(", ")),
    }
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
            let positives = score.positives.map(|positives| positives as f64);
            let share = positives.map(|positives| positives / (score.rows as f64).max(1.0));
            let percent = |share: f64| format!("{:.2} %", 100.0 * share);
            let or_absent = |text: Option<String>| text.unwrap_or_else(|| ABSENT.to_owned());
            table.push(vec![
                Field::words(&panel.title),
                Field::words(split),
                Field::number(grouped(score.rows as f64), Some(score.rows as f64)),
                Field::number(or_absent(positives.map(grouped)), positives),
                Field::number(or_absent(share.map(percent)), share),
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
        table.push(vec![
            Field::words(&cell.variant),
            Field::number(cell.seed.to_string(), Some(cell.seed as f64)),
            Field::words(&cell.id),
            Field::words(reason.unwrap_or("not given")),
        ]);
    }
    table
}

/// Panels in which some variant has a test value.
pub(crate) fn panels_with_values(comparison: &Comparison) -> Vec<usize> {
    let has_value = |panel: &usize| {
        comparison.panels[*panel]
            .iter()
            .any(|row| row.test.mean.is_some())
    };
    (0..comparison.panels.len()).filter(has_value).collect()
}

/// Variants on every task: test scores alone.
pub(crate) fn overview(analysis: &Analysis, comparison: &Comparison, shown: &[usize]) -> Table {
    let summary = &analysis.summary;
    let panels = panels_with_values(comparison);
    let mut table = Table::new(&["variant"]);
    table.header.extend(
        panels
            .iter()
            .map(|&panel| summary.panels[panel].title.clone()),
    );
    for &variant in shown {
        let field = |&panel: &usize| {
            let test = comparison.panels[panel][variant].test;
            let leads = comparison.standings[panel].leader() == Some(variant);
            let text = format::mean_and_deviation(test.mean, test.deviation);
            Field::number(text, test.mean).strong_if(leads)
        };
        let mut fields = vec![Field::words(&summary.variants[variant])];
        fields.extend(panels.iter().map(field));
        table.push(fields);
    }
    table
}

/// A metric that is the same for every variant, by task.
pub(super) fn of_rows(analysis: &Analysis, comparison: &Comparison) -> Table {
    let mut table = Table::new(&["task", comparison.metric.title()]);
    for panel in panels_with_values(comparison) {
        let means = comparison.panels[panel].iter().map(|row| row.test.mean);
        let mean = means.flatten().next();
        let text = match mean {
            Some(count) if comparison.metric.is_count() => format::grouped(count),
            mean => format::score(mean),
        };
        table.push(vec![
            Field::words(&analysis.summary.panels[panel].title),
            Field::number(text, mean),
        ]);
    }
    table
}

/// Variants on one task and metric: validation beside test, and the difference to the baseline. The rest is in `tables/`.
pub(super) fn scores(
    analysis: &Analysis,
    comparison: &Comparison,
    panel: usize,
    shown: &[usize],
) -> Table {
    let mut table = Table::new(&["variant", "seeds", "validation", "test"]);
    let compared = analysis.summary.variants.len() > 1;
    if compared {
        let more = ["difference", "its interval", "p (Holm)", "verdict"];
        table.header.extend(more.map(str::to_owned));
    }
    let leader = comparison.standings[panel].leader();
    for &variant in shown {
        let row = &comparison.panels[panel][variant];
        let name = &analysis.summary.variants[variant];
        let mut fields = score_fields(name, row, leader == Some(variant));
        if compared {
            let [mean, interval, ..] = difference_fields(row);
            fields.extend([mean, interval]);
            fields.extend(judgement_fields(row.judgement));
        }
        table.push(fields);
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
    ]
}

const DIFFERENCE: [&str; 8] = [
    "difference",
    "its interval",
    "p",
    "p (Holm)",
    "verdict",
    "could have seen",
    "P(better)",
    "its bootstrap",
];

/// The corrected p-value and the verdict.
pub(super) fn judgement_fields(judgement: Option<Judgement>) -> [Field; 2] {
    let p_value = judgement.and_then(|judgement| judgement.corrected_p_value);
    let verdict = judgement.map_or(ABSENT, |judgement| judgement.verdict.words());
    [
        Field::number(format::p_value(p_value), p_value),
        Field::words(verdict),
    ]
}

fn difference_fields(row: &Row) -> [Field; 8] {
    let difference = row.difference.as_ref();
    let mean = difference.map(|difference| difference.mean);
    let p_value = difference.and_then(|difference| difference.p_value);
    let smallest = difference.and_then(|difference| difference.smallest_detectable);
    let [corrected, verdict] = judgement_fields(row.judgement);
    [
        Field::number(mean.map_or(ABSENT.to_owned(), format::difference), mean),
        interval_field(difference.and_then(|difference| difference.interval)),
        Field::number(format::p_value(p_value), p_value),
        corrected,
        verdict,
        Field::number(
            smallest.map_or(ABSENT.to_owned(), |smallest| format!("{smallest:.5}")),
            smallest,
        ),
        Field::number(
            format::probability(row.probability_of_improvement),
            row.probability_of_improvement,
        ),
        interval_field(difference.and_then(|difference| difference.bootstrap)),
    ]
}

pub(super) fn interval_field(interval: Option<Interval>) -> Field {
    Field::number(
        format::interval(interval),
        interval.map(|interval| interval.low),
    )
}

/// Every variant and task: its difference to the baseline.
pub(crate) fn differences(analysis: &Analysis, comparison: &Comparison) -> Table {
    let mut table = Table::new(&["task", "variant", "seeds"]);
    table.header.extend(DIFFERENCE.map(str::to_owned));
    for panel in panels_with_values(comparison) {
        for (variant, row) in comparison.panels[panel].iter().enumerate() {
            let Some(difference) = &row.difference else {
                continue;
            };
            let pairs = difference.num_pairs;
            let mut fields = vec![
                Field::words(&analysis.summary.panels[panel].title),
                Field::words(&analysis.summary.variants[variant]),
                Field::number(pairs.to_string(), Some(pairs as f64)),
            ];
            fields.extend(difference_fields(row));
            table.push(fields);
        }
    }
    table
}

/// One source's figures.
pub(crate) fn published(source: &PublishedTable) -> Table {
    let mut table = Table::new(&["model"]);
    table.header.extend(source.columns.iter().cloned());
    for row in &source.rows {
        let mut fields = vec![Field::words(&row.model)];
        fields.extend(
            row.values
                .iter()
                .map(|&value| Field::number(format::score(Some(value)), Some(value))),
        );
        table.push(fields);
    }
    table
}

/// What an external program's tuning selected.
pub(super) fn winners(winners: &[ExternalWinner]) -> Table {
    let mut table = Table::new(&["task", "selected settings", "validation"]);
    for winner in winners {
        let score = winner.validation_score;
        table.push(vec![
            Field::words(&winner.task),
            Field::words(&winner.settings),
            Field::number(format::score(Some(score)), Some(score)),
        ]);
    }
    table
}

/// What was built from what.
pub(super) fn facts(facts: &[(&'static str, String)]) -> Table {
    let mut table = Table::new(&["what", "which"]);
    let row =
        |(name, value): &(&'static str, String)| vec![Field::words(*name), Field::words(value)];
    table.rows = facts.iter().map(row).collect();
    table
}
