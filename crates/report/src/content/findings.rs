//! What was found, in sentences: first in short, then task by task on the main metric.

use super::anomalies::ByVariant;
use super::{anomaly_runs, chance, tables};
use crate::analysis::{Analysis, Comparison, Gain, Standing, Summary, TaskMeans};
use crate::document::{Block, Span, strong, text};
use crate::format::{self, MOST_NAMED, counted, listed};
use crate::statistics::LEVEL;
use homebench_metric::Metric;

/// The answer.
pub(super) fn blocks(analysis: &Analysis, inside: &ByVariant) -> Vec<Block> {
    if analysis.main.iter().all(Option::is_none) {
        return vec![super::paragraph(
            "Nothing: there is no test score of a metric of which a way is better.",
        )];
    }
    let mut blocks = vec![Block::Paragraph(vec![
        strong("In short:"),
        text(format!(" {}", in_short(analysis))),
    ])];
    blocks.extend(anomaly_runs::in_short(analysis, inside));
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

fn in_short(analysis: &Analysis) -> String {
    let summary = &analysis.summary;
    let panels: Vec<(usize, &Comparison)> = (0..summary.panels.len())
        .filter_map(|panel| Some((panel, analysis.main_of(panel)?)))
        .collect();
    let standings = panels
        .iter()
        .map(|(panel, main)| (*panel, &main.standings[*panel]));
    if standings
        .clone()
        .all(|(_, standing)| standing.num_others == 0)
    {
        return "one variant has scores, so there is nothing to compare them with.".to_owned();
    }
    let ahead: Vec<String> = standings
        .clone()
        .filter_map(|(panel, standing)| {
            Some(format!(
                "{} on {}",
                summary.variants[standing.leader()?],
                summary.panels[panel].title
            ))
        })
        .collect();
    let tasks = counted(panels.len(), "task");
    let mut words = match ahead.len() {
        0 => {
            format!("on none of {tasks} is a variant ahead of all others, each compared by itself.")
        }
        count if count == panels.len() => format!(
            "ahead of all others, each compared by itself: {}.",
            listed(ahead)
        ),
        count => format!(
            "ahead of all others, each compared by itself, on {count} of {tasks}: {}; on the rest the best can't be told apart \
             from others.",
            listed(ahead)
        ),
    };
    words += &against_the_baseline(analysis, &panels);
    words
}

/// Which differences to the baseline hold after correction.
fn against_the_baseline(analysis: &Analysis, panels: &[(usize, &Comparison)]) -> String {
    let mut all = 0;
    // Tasks on which each variant is better, and worse.
    let mut held = vec![(0, 0); analysis.summary.variants.len()];
    for (panel, main) in panels {
        for (row, (better, worse)) in main.panels[*panel].iter().zip(&mut held) {
            let Some(difference) = &row.difference else {
                continue;
            };
            all += 1;
            let advantage = main.metric.advantage(difference.mean, 0.0).unwrap_or(0.0);
            match row.corrected_p_value.is_some_and(|p_value| p_value < LEVEL) {
                true if advantage > 0.0 => *better += 1,
                true => *worse += 1,
                false => {}
            }
        }
    }
    if all == 0 {
        return String::new();
    }
    let tasks_of = |of: fn(&(usize, usize)) -> usize| {
        let variants = analysis.summary.variants.iter().zip(&held);
        let found = variants.filter(|(_, held)| of(held) > 0);
        let words: Vec<String> = found
            .map(|(variant, held)| format!("{variant} on {}", counted(of(held), "task")))
            .collect();
        format::named(words)
    };
    let unseen = all
        - held
            .iter()
            .map(|(better, worse)| better + worse)
            .sum::<usize>();
    format!(
        " Of {} to {} (a variant on a task), {} after Holm's correction over them all. Better: {}. Worse: {}.",
        counted(all, "difference"),
        analysis.baseline_name(),
        match unseen {
            0 => "each differs from zero at 5 %".to_owned(),
            _ if unseen == all => "none differs from zero at 5 %".to_owned(),
            _ => format!("{} differ from zero at 5 %", all - unseen),
        },
        tasks_of(|held| held.0),
        tasks_of(|held| held.1),
    )
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
        return ", ahead of every other variant, each compared by itself: no 95 % interval of a paired difference includes zero.".to_owned();
    }
    if standing.rivals.len() > MOST_NAMED {
        return format!(
            ", but can't be told apart from {} others.",
            standing.rivals.len()
        );
    }
    let rivals = standing
        .rivals
        .iter()
        .map(|&rival| &summary.variants[rival]);
    format!(", but can't be told apart from {}.", listed(rivals))
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
        Some(_) => format!(
            " {}, {}, after Holm's correction {}",
            format::interval(difference.interval),
            format::p_equals(difference.p_value),
            format::p_value(row.corrected_p_value),
        ),
        None if difference.num_pairs == 1 => ", from one pair of runs".to_owned(),
        None => ", the same at every seed".to_owned(),
    };
    Some(format!(
        " Against {}: {mean}{sureness}.",
        analysis.baseline_name()
    ))
}

/// The variants by their means over tasks.
fn mean_over_tasks(analysis: &Analysis, means: &TaskMeans) -> String {
    let variants = analysis.summary.variants.iter().zip(&means.rows);
    let sure: Vec<String> = variants
        .filter(|(_, row)| row.corrected_p_value.is_some_and(|p_value| p_value < LEVEL))
        .filter_map(|(variant, row)| {
            let difference = format::difference(row.difference?);
            Some(format!("{variant} ({difference})"))
        })
        .collect();
    let sure = match sure.len() {
        0 => "No difference differs from zero at 5 % after Holm's correction over variants."
            .to_owned(),
        _ => format!(
            "It differs from zero at 5 % after Holm's correction over variants for {}.",
            listed(sure)
        ),
    };
    let parts = analysis.parts_of_mean();
    let panels = analysis.summary.panels.iter().enumerate();
    let left_out = panels.filter(|(place, _)| parts.iter().all(|(part, _)| part != place));
    let left_out: Vec<&String> = left_out.map(|(_, panel)| &panel.title).collect();
    let without = match left_out.is_empty() {
        true => String::new(),
        false => format!(", without {}", listed(left_out)),
    };
    format!(
        "Mean over tasks{without} of test {}, and its difference to that of {} at the same seed. {sure}",
        means.scale.title(),
        analysis.baseline_name()
    )
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
                let is_sure = row.corrected_p_value.is_some_and(|p_value| p_value < LEVEL);
                let mean = row.gain.and_then(|gain| gain.mean)?;
                is_sure
                    .then(|| format!("{} ({})", summary.variants[variant], format::percent(mean)))
            };
            let sure: Vec<String> = gains.rows.iter().enumerate().filter_map(sure).collect();
            words += &match sure.len() {
                0 => " No gain differs from zero at 5 % after Holm's correction over variants."
                    .to_owned(),
                _ => format!(
                    " It differs from zero at 5 % after Holm's correction over variants for {}.",
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
