//! What was found, in sentences: task by task on the main metric, then over all tasks.

use super::{chance, task_mean_tables as tables};
use crate::analysis::{Analysis, Comparison, Gain, Standing, Summary, TaskMeans};
use crate::document::{Block, Span, strong, text};
use crate::format::{self, MOST_NAMED, counted, listed};
use crate::left_out;
use crate::statistics::{FEWEST_RUNS, Judgement};
use homebench_metric::Metric;

/// Adds the section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis) {
    blocks.push(Block::Heading("Task by task".to_owned()));
    blocks.extend(found(analysis));
}

fn found(analysis: &Analysis) -> Vec<Block> {
    if analysis.main.iter().all(Option::is_none) {
        return vec![super::paragraph(
            "Nothing: there is no test score of a metric of which a way is better.",
        )];
    }
    let mut blocks = Vec::new();
    let tasks = (0..analysis.summary.panels.len()).map(|panel| {
        let mut spans = finding(analysis, panel);
        spans.extend(why_undefined(analysis, panel));
        spans
    });
    blocks.push(Block::List(tasks.collect()));
    blocks.extend(chance::block(analysis));
    if analysis.summary.panels.len() > 1 && analysis.summary.variants.len() > 1 {
        if let Some(means) = &analysis.task_means {
            blocks.push(super::paragraph(mean_over_tasks(analysis, means)));
            blocks.push(Block::Table(tables::task_means(
                analysis,
                means,
                &analysis.shown,
            )));
        }
        blocks.push(super::paragraph(over_tasks(analysis)));
        blocks.push(Block::Table(tables::gains(analysis, &analysis.shown)));
    }
    blocks
}

/// Where a task has no AUC or no R² because of its labels, that it is so.
fn why_undefined(analysis: &Analysis, panel: usize) -> Option<Span> {
    let undefined = |metric: Metric| {
        let why = analysis.unvaried(panel, metric)?;
        let title = metric.title();
        Some(text(format!(
            " It has no {title}: {why} in the test split."
        )))
    };
    undefined(Metric::Auc).or_else(|| undefined(Metric::RSquared))
}

fn finding(analysis: &Analysis, panel: usize) -> Vec<Span> {
    let summary = &analysis.summary;
    let mut spans = vec![strong(&summary.panels[panel].title), text(": ")];
    let found = analysis
        .main_of(panel)
        .and_then(|main| Some((main, main.standings[panel].best?)));
    let Some((main, best)) = found else {
        let metric = analysis.main_metric(panel).unwrap_or(Metric::Auc);
        let unvaried = analysis.unvaried(panel, metric);
        let why = unvaried.map_or(String::new(), |why| format!(": {why} in the test split"));
        spans.push(text(format!("no test score to rank by{why}.")));
        return spans;
    };
    let title = main.metric.title();
    let standing = &main.standings[panel];
    let row = &main.panels[panel][best];
    let score = format::mean_and_deviation(row.test.mean, row.test.deviation);
    let superlative = if standing.num_others > 0 {
        "has the best mean test"
    } else {
        "has a mean test"
    };
    spans.push(text(format!(
        "{} {superlative} {title}, {score} over {}{}",
        summary.variants[best],
        counted(row.seeds.len(), "run"),
        certainty(summary, standing),
    )));
    if best != analysis.baseline {
        spans.extend(against_baseline(analysis, main, panel, best).map(text));
    }
    spans
}

fn certainty(summary: &Summary, standing: &Standing) -> String {
    if standing.num_others == 0 {
        return ".".to_owned();
    }
    if standing.leader().is_some() {
        return ", better than every other variant after Holm's correction.".to_owned();
    }
    if standing.rivals.len() > MOST_NAMED {
        return format!(
            ", with no significant difference from {} others.",
            standing.rivals.len()
        );
    }
    let rivals = standing
        .rivals
        .iter()
        .map(|&rival| &summary.variants[rival]);
    format!(", with no significant difference from {}.", listed(rivals))
}

fn against_baseline(
    analysis: &Analysis,
    main: &Comparison,
    panel: usize,
    variant: usize,
) -> Option<String> {
    let row = &main.panels[panel][variant];
    let difference = row.difference.as_ref()?;
    let mean = format::difference(difference.mean);
    let sureness = match difference.interval {
        Some(_) if difference.num_pairs < FEWEST_RUNS => {
            format!(", not judged over {} runs", difference.num_pairs)
        }
        Some(_) => format!(
            " {}, {}, after Holm's correction {}",
            format::interval(difference.interval),
            format::p_equals(difference.p_value),
            format::p_value(
                row.judgement
                    .and_then(|judgement| judgement.corrected_p_value)
            ),
        ),
        None if difference.num_pairs == 1 => ", from one pair of runs".to_owned(),
        None => ", the same at every seed".to_owned(),
    };
    Some(format!(
        " Against {}: {mean}{sureness}.",
        analysis.baseline_name()
    ))
}

fn is_seen(judgement: Option<Judgement>) -> bool {
    judgement.is_some_and(|judgement| judgement.verdict.is_seen())
}

/// The variants by their means over tasks.
fn mean_over_tasks(analysis: &Analysis, means: &TaskMeans) -> String {
    let variants = analysis.summary.variants.iter().zip(&means.rows);
    let sure: Vec<String> = variants
        .filter(|(_, row)| is_seen(row.judgement))
        .filter_map(|(variant, row)| {
            let difference = format::difference(row.difference.as_ref()?.mean);
            Some(format!("{variant} ({difference})"))
        })
        .collect();
    let sure = match sure.len() {
        0 => "None of these differences holds after Holm's correction over variants.".to_owned(),
        _ => format!(
            "It holds after Holm's correction over variants for {}.",
            listed(sure)
        ),
    };
    let parts = analysis.parts_of_mean();
    let panels = analysis.summary.panels.iter().enumerate();
    let others = panels.filter(|(place, _)| parts.iter().all(|(part, _)| part != place));
    let others: Vec<&String> = others.map(|(_, panel)| &panel.title).collect();
    let without = match others.is_empty() {
        true => String::new(),
        false => format!(", without {}", listed(others)),
    };
    let mut words = format!(
        "Mean over tasks{without} of test {}, and its difference to that of {} at the same seed. {sure}",
        means.scale.title(),
        analysis.baseline_name()
    );
    let rows = means.rows.iter().enumerate();
    let rows: Vec<_> = rows.map(|(variant, row)| (variant, &row.both)).collect();
    let of_means = left_out::of_means(analysis, &means.shared);
    let of_differences = left_out::of_differences(analysis, analysis.baseline, &rows);
    for more in of_means.into_iter().chain(of_differences) {
        words += &format!(" {more}");
    }
    words
}

/// The variants over all tasks.
fn over_tasks(analysis: &Analysis) -> String {
    let gains = &analysis.gains;
    let summary = &analysis.summary;
    let mut words = "Over all tasks, on their main metrics: ".to_owned();
    match gains.single_task {
        Some(single_task) => {
            words += &format!(
                "the multi-task gain is the mean over tasks of the relative change against {} at the same seed, better \
                 counted up.",
                summary.variants[single_task]
            );
            let sure = |(variant, row): (usize, &Gain)| {
                let mean = row.gain.and_then(|gain| gain.mean)?;
                is_seen(row.judgement)
                    .then(|| format!("{} ({})", summary.variants[variant], format::percent(mean)))
            };
            let sure: Vec<String> = gains.rows.iter().enumerate().filter_map(sure).collect();
            words += &match sure.len() {
                0 => " No gain holds after Holm's correction over variants.".to_owned(),
                _ => format!(
                    " It holds after Holm's correction over variants for {}.",
                    listed(sure)
                ),
            };
        }
        None => {
            words += "there is no single-task variant, so there is no multi-task gain to state."
        }
    }
    words += &format!(
        " P(better): how often a run of the variant beats one of {}, mean over tasks, with a bootstrap interval that few runs \
         make too narrow.",
        analysis.baseline_name()
    );
    words
}
