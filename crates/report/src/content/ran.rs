//! What ran, what it cost, and what failed.

use super::{paragraph, table_link, tables};
use crate::analysis::Analysis;
use crate::document::{Block, link, text};
use crate::format::{self, counted, grouped};
use homebench_results::read::context::Context;
use homebench_results::read::{Cell, distinct};

/// By what epochs and trials are selected where the spec says nothing of it, as METHODOLOGY has it.
pub(super) const SELECTED_BY_DEFAULT: &str = "the mean over tasks of their main metric";

/// Adds the sections.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, context: &Context) {
    let results = &analysis.results;
    blocks.push(Block::Heading("What ran, at which cost".to_owned()));
    let cells: Vec<&Cell> = results.own_cells().collect();
    let done = cells.iter().filter(|cell| cell.failure.is_none()).count();
    let variants = distinct(cells.iter().map(|cell| &cell.variant));
    let mut sentence = format!(
        "{} ({}, seeds {}), {done} done and {} failed.",
        counted(cells.len(), "cell"),
        counted(variants.len(), "variant"),
        format::seeds(cells.iter().map(|cell| cell.seed).collect()),
        cells.len() - done,
    );
    if !results.trials.is_empty() {
        sentence += &format!(
            " {} of tuning before them.",
            counted(results.trials.len(), "cell")
        );
    }
    if let Some(rows) = context.train_rows {
        sentence += &format!(" {} training rows.", grouped(rows as f64));
    }
    if context.recorded.shuffled_by_blocks {
        sentence += " They are too many to be shuffled as a whole: an epoch's order is a shuffle by blocks.";
    }
    let selected_by = context.recorded.selected_by.as_deref();
    sentence += &format!(
        " Weights are those of the best epoch on validation, by {}; the test split was scored once, after that choice. A run's \
         training is counted as three forward passes over every row of every epoch that it ran.",
        selected_by.unwrap_or(SELECTED_BY_DEFAULT)
    );
    if !context.untrained_tasks.is_empty() {
        let said = context
            .untrained_tasks
            .iter()
            .map(|(task, variant)| match variant {
                Some(variant) => format!("{task} (of {variant})"),
                None => task.clone(),
            });
        sentence += &format!(
            " Of weight 0, so scored but neither trained nor part of the choice of epochs and trials: {}.",
            format::listed(said)
        );
    }
    blocks.push(paragraph(sentence));
    blocks.push(Block::Table(tables::variants(analysis, context.train_rows)));
    starts(blocks, &cells, context);
    let tasks = tables::tasks(results, &analysis.summary);
    if !tasks.rows.is_empty() {
        blocks.push(Block::Table(tasks));
    }
    if !results.throughput.is_empty() {
        blocks.push(Block::Paragraph(vec![
            text("Speed differs from run to run and is kept apart: "),
            table_link(results, "throughput.csv"),
            text(" and "),
            link("its chart", "figures/throughput.svg"),
            text("."),
        ]));
    }
    failures(blocks, &cells);
}

/// Which variants don't begin with fresh weights alone, and what their runs cost with those that they start from.
fn starts(blocks: &mut Vec<Block>, cells: &[&Cell], context: &Context) {
    let starts = &context.recorded.starts;
    let cost = |variant: &str| {
        let done = cells
            .iter()
            .copied()
            .filter(|cell| cell.variant == variant && cell.failure.is_none());
        tables::training_flops(&done.collect::<Vec<_>>(), context.train_rows)
    };
    let shown = starts
        .iter()
        .filter(|start| cells.iter().any(|cell| cell.variant == start.variant));
    for start in shown {
        let mut sentence = format!("{} {}.", start.variant, start.said);
        let mut total = cost(&start.variant);
        let mut next = start.from.as_deref();
        // A spec has no circles; a folder that was altered may.
        for _ in starts {
            let Some(from) = next else { break };
            total = total.zip(cost(from)).map(|(own, before)| own + before);
            let before = starts.iter().find(|other| other.variant == from);
            next = before.and_then(|before| before.from.as_deref());
        }
        if let Some(total) = total.filter(|_| start.from.is_some()) {
            sentence += &format!(
                " With the training that it starts from, a run costs {:.3} TFLOP.",
                total / 1e12
            );
        }
        blocks.push(paragraph(sentence));
    }
}

fn failures(blocks: &mut Vec<Block>, cells: &[&Cell]) {
    blocks.push(Block::Heading("Failed".to_owned()));
    let failed: Vec<&Cell> = cells
        .iter()
        .copied()
        .filter(|cell| cell.failure.is_some())
        .collect();
    blocks.push(match failed.is_empty() {
        true => paragraph("Nothing."),
        false => Block::Table(tables::failures(&failed)),
    });
}
