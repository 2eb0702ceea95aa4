//! What a report says: first the answer, then sections in a plain list, one file each, of which every one begins with its heading.

mod anomalies;
mod anomaly_runs;
pub(super) mod answer;
mod chance;
pub(super) mod claims;
mod cohorts;
mod data;
pub(super) mod data_warnings;
mod findings;
mod indices;
mod ran;
mod scores;
pub(super) mod sureness;
pub(super) mod tables;
pub(super) mod task_mean_tables;
mod terms;
mod tuning;
mod tuning_tables;

use super::analysis::{Analysis, MOST_DRAWN};
use super::document::{Block, Document, Span, code, link, text};
use super::format::{counted, listed};
use super::published::published;
use crate::figure::{FOREST, Figure, lead};
use homebench_results::Finding;
use homebench_results::read::context::Context;
use homebench_results::read::{Inside, Results, distinct};
use homebench_results::tables::table_file;

/// Writes down a results folder.
pub(super) fn document(
    analysis: &Analysis,
    inside: &Inside,
    all_figures: &[Figure],
    context: &Context,
    findings: &[Finding],
) -> Document {
    let mut blocks = Vec::new();
    answer::push(&mut blocks, analysis, context, all_figures, findings);
    asked(&mut blocks, context);
    data_warnings::push(&mut blocks, &analysis.results.data_warnings);
    findings::push(&mut blocks, analysis);
    sureness::push(&mut blocks, analysis);
    scores::push(&mut blocks, analysis);
    cohorts::push(&mut blocks, analysis);
    tuning::push(&mut blocks, analysis, context);
    figures(&mut blocks, all_figures);
    anomalies::push(&mut blocks, analysis, inside);
    ran::push(&mut blocks, analysis, context);
    external(&mut blocks, &analysis.results);
    others(&mut blocks, &analysis.results);
    data::push(&mut blocks, &context.data);
    terms::push(&mut blocks, analysis, &context.recorded);
    again(&mut blocks, analysis, context);
    Document {
        title: title(&analysis.results, context),
        blocks,
    }
}

fn paragraph(words: impl Into<String>) -> Block {
    Block::Paragraph(vec![text(words)])
}

/// A paragraph of a spec, where what stands between backticks is code.
fn prose(words: &String) -> Block {
    let parts: Vec<&str> = words.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return paragraph(words);
    }
    let spans = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty());
    let span = |(place, part): (usize, &&str)| match place % 2 {
        0 => text(*part),
        _ => code(*part),
    };
    Block::Paragraph(spans.map(span).collect())
}

fn datasets(results: &Results) -> Vec<String> {
    distinct(results.cells.iter().map(|cell| cell.dataset.clone()))
}

fn title(results: &Results, context: &Context) -> String {
    // Where knobs of a dataset are swept, its name alone: scores and claims say which knobs.
    let names = datasets(results).into_iter();
    let names = names.map(|name| name.split('[').next().unwrap_or_default().to_owned());
    let datasets = listed(distinct(names));
    match &context.protocol {
        Some(protocol) => format!("homebench: {datasets}, protocol {protocol}"),
        None => format!("homebench: {datasets}"),
    }
}

/// The question and its author's answer in full, of which the answer has shown a sentence each.
fn asked(blocks: &mut Vec<Block>, context: &Context) {
    if context.question.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Asked".to_owned()));
    blocks.extend(context.question.iter().map(prose));
    if context.outcome.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Author's conclusion".to_owned()));
    blocks.extend(context.outcome.iter().map(prose));
    blocks.push(paragraph(
        "These are the words of the experiment's author, from its spec. Everything else is computed from the tables.",
    ));
}

fn figures(blocks: &mut Vec<Block>, all: &[Figure]) {
    blocks.push(Block::Heading("Figures".to_owned()));
    if all.is_empty() {
        blocks.push(paragraph(format!(
            "None: there is no value to draw, or there are more than {MOST_DRAWN} variants."
        )));
    }
    let lead = lead(all);
    // The throughput's times differ from run to run.
    let shown = all.iter().filter(|figure| !figure.has_times);
    // The answer has shown that one.
    let shown = shown.filter(|figure| !figure.name.starts_with(FOREST));
    for figure in shown {
        let is_lead = lead.iter().any(|other| other.name == figure.name);
        blocks.push(figure_block(is_lead)(figure));
    }
}

fn figure_block(is_lead: bool) -> impl Fn(&Figure) -> Block {
    move |figure| Block::Figure {
        svg: figure.svg.clone(),
        narrow_svg: figure.narrow_svg.clone(),
        width_inches: figure.width_inches(),
        // A heat map's numbers stand on its shades.
        keeps_paper: figure.name.starts_with("gates"),
        description: figure.description.clone(),
        name: figure.name.clone(),
        is_lead,
    }
}

/// Programs beside homebench whose scores stand among the others.
fn external(blocks: &mut Vec<Block>, results: &Results) {
    if results.externals.is_empty() {
        return;
    }
    blocks.push(Block::Heading("External variants".to_owned()));
    blocks.push(paragraph(
        "Run by other programs on the same prepared rows and splits, which the content hash of the dataset shows; their \
         scores are taken from external/ as they are.",
    ));
    for (place, origin) in results.externals.iter().enumerate() {
        let cells = results
            .cells
            .iter()
            .filter(|cell| cell.external == Some(place));
        let variants = listed(distinct(cells.map(|cell| cell.variant.clone())));
        let trials = match origin.trials {
            0 => "Not tuned.".to_owned(),
            trials => format!(
                "Tuned with {} per task on validation.",
                counted(trials as usize, "trial")
            ),
        };
        blocks.push(Block::Paragraph(vec![
            text(format!(
                "{variants}: {} {}. {trials} Made by ",
                origin.about, origin.program
            )),
            code(&origin.command),
            text("."),
        ]));
        if !origin.search_space.is_empty() {
            let lines: Vec<String> = origin
                .search_space
                .iter()
                .map(|(name, range)| format!("{name}: {range}"))
                .collect();
            blocks.push(paragraph(format!("Search space: {}.", lines.join("; "))));
        }
        if !origin.winners.is_empty() {
            blocks.push(Block::Table(tables::winners(&origin.winners)));
        }
    }
}

/// What others published.
fn others(blocks: &mut Vec<Block>, results: &Results) {
    let tables = published(&datasets(results));
    if tables.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Published elsewhere".to_owned()));
    blocks.push(paragraph(
        "Other inputs, splits, tuning and numbers of runs than above: read them beside our scores, not in one column with them.",
    ));
    for table in &tables {
        blocks.push(Block::Paragraph(vec![
            link(&table.source, &table.link),
            text(format!(". {} In {}:", table.protocol, table.metric)),
        ]));
        blocks.push(Block::Table(tables::published(table)));
    }
}

fn again(blocks: &mut Vec<Block>, analysis: &Analysis, context: &Context) {
    blocks.push(Block::Heading("Getting the same numbers".to_owned()));
    blocks.push(paragraph(
        "In this folder, with the homebench that is named below; the last command says of every score whether it is the same:",
    ));
    let datasets = datasets(&analysis.results);
    let is = |dataset: &&String, origin: &str| {
        context.origins.get(*dataset).is_some_and(|it| it == origin)
    };
    let fetched = datasets
        .iter()
        .filter(|it| !is(it, "placed") && !is(it, "made"));
    let fetch: String = fetched
        .map(|dataset| format!("homebench data fetch {dataset}\n"))
        .collect();
    let is_placed = datasets.iter().any(|dataset| is(&dataset, "placed"));
    let root = if is_placed {
        " --set data.root=FOLDER"
    } else {
        ""
    };
    blocks.push(Block::Commands(format!(
        "{fetch}homebench run spec.resolved.toml --out again{root}\nhomebench diff . again"
    )));
    if is_placed {
        blocks.push(paragraph(
            "FOLDER is where the dataset's files are, which are put there by hand.",
        ));
    }
    blocks.push(Block::Paragraph(vec![
        text("This report: "),
        code(format!(
            "homebench report . --baseline {}",
            quoted(analysis.baseline_name())
        )),
        text("."),
    ]));
    if !context.facts.is_empty() {
        blocks.push(Block::Table(tables::facts(&context.facts)));
    }
    blocks.push(Block::Paragraph(files(&analysis.results)));
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=".contains(letter);
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

/// A link to a table, in the form that the folder has it in.
pub(super) fn table_link(results: &Results, name: &str) -> Span {
    let file = table_file(&results.folder, name);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    link(&name, &name)
}

fn files(results: &Results) -> Vec<Span> {
    let mut names = vec!["metrics.csv", "cells.csv"];
    let optional = [
        (!results.cohorts.is_empty(), "cohorts.csv"),
        (!results.curves.is_empty(), "curves.csv"),
        (!results.settings.is_empty(), "settings.csv"),
        (!results.tuning.is_empty(), "tuning.csv"),
        (!results.data_warnings.is_empty(), "data_warnings.csv"),
    ];
    names.extend(
        optional
            .iter()
            .filter(|(is_there, _)| *is_there)
            .map(|(_, name)| *name),
    );
    names.push("spec.resolved.toml");
    let mut spans = vec![text("The numbers: ")];
    for name in names {
        spans.extend([table_link(results, name), text(", ")]);
    }
    spans.extend([
        text("and the tables of this report as Markdown, LaTeX and CSV in "),
        link("tables/", "tables/"),
        text(". Machines, times and the way each run was called: "),
        link("provenance.toml", "provenance.toml"),
        text(". Everything but "),
        code("provenance.toml"),
        text(", "),
        code("throughput.csv"),
        text(" and its chart has the same bytes when the experiment runs again."),
    ]);
    spans
}
