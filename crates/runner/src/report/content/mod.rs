//! What a report says, in order: what was asked, what was found and how sure it is, what ran, every number, every
//! figure, and how to get them again.

mod findings;
mod tables;

use super::comparison::Comparison;
use super::context::Context;
use super::document::{Block, Document, code, link, text};
use super::format::{self, counted, grouped, listed};
use super::results::{Cell, Results, Summary, distinct};
use crate::figure;
use anyhow::Result;

/// The variant that the others are compared with: the first of the plan.
const BASELINE: usize = 0;

/// Writes down a results folder.
pub(super) fn document(results: &Results, context: &Context) -> Result<Document> {
    let summary = Summary::new(results);
    let comparisons: Vec<Comparison> = summary
        .metrics
        .iter()
        .map(|metric| Comparison::new(&summary, metric, BASELINE))
        .collect();
    let mut blocks = Vec::new();
    question(&mut blocks, context);
    if let Some(main) = comparisons.first() {
        blocks.push(Block::Heading("Found".to_owned()));
        blocks.extend(findings::blocks(results, &summary, main, BASELINE));
    }
    what_ran(&mut blocks, results, &summary, context);
    failures(&mut blocks, results);
    for comparison in &comparisons {
        scores(&mut blocks, &summary, comparison);
    }
    figures(&mut blocks, results)?;
    again(&mut blocks, results, context);
    Ok(Document {
        title: title(results, context),
        blocks,
    })
}

fn title(results: &Results, context: &Context) -> String {
    let datasets = listed(distinct(
        results.cells.iter().map(|cell| cell.dataset.clone()),
    ));
    match &context.protocol {
        Some(protocol) => format!("homebench: {datasets}, protocol {protocol}"),
        None => format!("homebench: {datasets}"),
    }
}

fn question(blocks: &mut Vec<Block>, context: &Context) {
    if context.question.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Asked".to_owned()));
    let paragraphs = context.question.iter();
    blocks.extend(paragraphs.map(|paragraph| Block::Paragraph(vec![text(paragraph)])));
}

fn what_ran(blocks: &mut Vec<Block>, results: &Results, summary: &Summary, context: &Context) {
    blocks.push(Block::Heading("What ran".to_owned()));
    let done = results
        .cells
        .iter()
        .filter(|cell| cell.failure.is_none())
        .count();
    let mut sentence = format!(
        "{} ({}, seeds {}), {done} done and {} failed.",
        counted(results.cells.len(), "cell"),
        counted(summary.variants.len(), "variant"),
        format::seeds(seeds(results)),
        results.cells.len() - done,
    );
    if let Some(rows) = context.train_rows {
        sentence += &format!(" {} training rows.", grouped(rows as f64));
    }
    sentence += " Weights are those of the best epoch on validation; the test split was scored once, after that choice.";
    blocks.push(Block::Paragraph(vec![text(sentence)]));
    blocks.push(Block::Table(tables::variants(results, summary)));
    let tasks = tables::tasks(results, summary);
    if !tasks.rows.is_empty() {
        blocks.push(Block::Table(tasks));
    }
    if !results.throughput.is_empty() {
        blocks.push(Block::Paragraph(vec![
            text("Speed differs from run to run and is kept apart: "),
            link("throughput.csv", "throughput.csv"),
            text(" and "),
            link("its chart", "figures/throughput.svg"),
            text("."),
        ]));
    }
}

fn seeds(results: &Results) -> Vec<u64> {
    let mut seeds = distinct(results.cells.iter().map(|cell| cell.seed));
    seeds.sort_unstable();
    seeds
}

fn failures(blocks: &mut Vec<Block>, results: &Results) {
    let failed: Vec<&Cell> = results
        .cells
        .iter()
        .filter(|cell| cell.failure.is_some())
        .collect();
    if !failed.is_empty() {
        blocks.push(Block::Heading("Failed".to_owned()));
        blocks.push(Block::Table(tables::failures(&failed)));
    }
}

fn scores(blocks: &mut Vec<Block>, summary: &Summary, comparison: &Comparison) {
    let title = comparison.metric.label();
    let direction = comparison
        .metric
        .direction()
        .map_or(String::new(), |words| format!("; {words}"));
    blocks.push(Block::Heading(format!("Scores: {title}")));
    let mut sentence = format!("Mean ± standard deviation over seeds{direction}.");
    if summary.variants.len() > 1 {
        let baseline = &summary.variants[BASELINE];
        sentence += &format!(
            " Differences are test scores minus those of {baseline} at the same seed, with Student's 95 % interval of their \
             mean; p is of the paired t-test, Holm's correction is over every variant and task of \
             this metric; P(better) is the share of pairs of runs in which the variant wins. Bold: ahead of every \
             other variant, which means that no interval of a paired difference includes zero."
        );
    }
    blocks.push(Block::Paragraph(vec![text(sentence)]));
    if summary.panels.len() > 1 {
        blocks.push(Block::Subheading(format!(
            "All tasks: test {}",
            comparison.metric.title()
        )));
        blocks.push(Block::Table(tables::overview(summary, comparison)));
    }
    for (place, panel) in summary.panels.iter().enumerate() {
        blocks.push(Block::Subheading(format!(
            "{}: {}",
            panel.title,
            comparison.metric.title()
        )));
        blocks.push(Block::Table(tables::scores(summary, comparison, place)));
    }
}

fn figures(blocks: &mut Vec<Block>, results: &Results) -> Result<()> {
    blocks.push(Block::Heading("Figures".to_owned()));
    let all = figure::all(results)?;
    if all.is_empty() {
        let most = figure::MOST_VARIANTS;
        let reason =
            format!("None: there is no value to draw, or there are more than {most} variants.");
        blocks.push(Block::Paragraph(vec![text(reason)]));
    }
    // The throughput's times differ from run to run.
    for figure in all.into_iter().filter(|figure| !figure.has_times) {
        blocks.push(Block::Figure {
            svg: figure.svg()?,
            wide: figure.width_inches() > 4.0,
            description: figure.description,
            name: figure.name,
        });
    }
    Ok(())
}

fn again(blocks: &mut Vec<Block>, results: &Results, context: &Context) {
    blocks.push(Block::Heading("Getting the same numbers".to_owned()));
    blocks.push(Block::Paragraph(vec![text(
        "In this folder, with the homebench that is named below:",
    )]));
    blocks.push(Block::Commands(
        "homebench run spec.resolved.toml --out again\ncmp metrics.csv again/metrics.csv"
            .to_owned(),
    ));
    if !context.facts.is_empty() {
        blocks.push(Block::Table(tables::facts(&context.facts)));
    }
    let mut spans = vec![
        text("The numbers: "),
        link("metrics.csv", "metrics.csv"),
        text(", "),
    ];
    spans.extend([link("cells.csv", "cells.csv"), text(", ")]);
    if !results.curves.is_empty() {
        spans.extend([link("curves.csv", "curves.csv"), text(", ")]);
    }
    spans.extend([
        link("spec.resolved.toml", "spec.resolved.toml"),
        text(". Machines, times and the way each run was called: "),
        link("provenance.toml", "provenance.toml"),
        text(". Everything but "),
        code("provenance.toml"),
        text(", "),
        code("throughput.csv"),
        text(" and its chart has the same bytes when the experiment runs again."),
    ]);
    blocks.push(Block::Paragraph(spans));
}
