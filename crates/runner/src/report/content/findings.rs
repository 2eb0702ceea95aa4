//! What was found and how sure it is, in sentences.

use crate::report::comparison::{Comparison, FEWEST_SEEDS_TO_LEAD, Standing};
use crate::report::document::{Block, Span, strong, text};
use crate::report::format::{self, counted, listed};
use crate::report::results::{Results, Summary};
use crate::report::statistics::smallest_p_value;

/// A sentence or two per task on the main metric, then how far they can be trusted.
pub(super) fn blocks(
    results: &Results,
    summary: &Summary,
    main: &Comparison,
    baseline: usize,
) -> Vec<Block> {
    let tasks = (0..summary.panels.len()).map(|panel| finding(summary, main, panel, baseline));
    let mut blocks = vec![Block::List(tasks.collect())];
    let mut sureness = Vec::new();
    sureness.extend(power(main));
    sureness.extend(detectable(summary, main, baseline));
    let failed = results
        .cells
        .iter()
        .filter(|cell| cell.failure.is_some())
        .count();
    if failed > 0 {
        let cells = counted(results.cells.len(), "cell");
        sureness.push(format!(
            "{failed} of {cells} failed and are missing from every mean; they are listed below."
        ));
    }
    if !sureness.is_empty() {
        blocks.push(Block::Paragraph(vec![
            strong("How sure:"),
            text(format!(" {}", sureness.join(" "))),
        ]));
    }
    blocks
}

fn finding(summary: &Summary, main: &Comparison, panel: usize, baseline: usize) -> Vec<Span> {
    let title = main.metric.title();
    let standing = &main.standings[panel];
    let mut spans = vec![strong(&summary.panels[panel].title), text(": ")];
    let Some(best) = standing.best else {
        spans.push(text(format!("no test {title} to rank by.")));
        return spans;
    };
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
        counted(row.seeds.len(), "seed"),
        certainty(summary, standing),
    )));
    if best != baseline {
        spans.extend(against_baseline(summary, main, panel, best, baseline).map(text));
    }
    spans
}

fn certainty(summary: &Summary, standing: &Standing) -> String {
    if standing.num_others == 0 {
        return ".".to_owned();
    }
    if standing.leader().is_some() {
        return ", ahead of every other variant: no 95 % interval of a paired difference includes zero.".to_owned();
    }
    let rivals = listed(
        standing
            .rivals
            .iter()
            .map(|&rival| &summary.variants[rival]),
    );
    format!(", but can't be told apart from {rivals}.")
}

fn against_baseline(
    summary: &Summary,
    main: &Comparison,
    panel: usize,
    variant: usize,
    baseline: usize,
) -> Option<String> {
    let row = &main.panels[panel][variant];
    let difference = row.difference.as_ref()?;
    let mean = format::difference(difference.mean);
    let sureness = match difference.interval {
        Some(_) => format!(
            " {}, p = {}, after Holm's correction {}",
            format::interval(difference.interval),
            format::probability(difference.p_value),
            format::probability(row.corrected_p_value),
        ),
        None => ", from one pair of runs".to_owned(),
    };
    Some(format!(
        " Against {}: {mean}{sureness}.",
        summary.variants[baseline]
    ))
}

/// What so few seeds can't show.
fn power(main: &Comparison) -> Option<String> {
    let differences = main
        .panels
        .iter()
        .flatten()
        .filter_map(|row| row.difference.as_ref());
    let most = differences.map(|difference| difference.num_pairs).max()?;
    let seeds = counted(most, "seed");
    if most < FEWEST_SEEDS_TO_LEAD {
        return Some(format!(
            "With {seeds} in common no variant is called ahead: that takes at least {FEWEST_SEEDS_TO_LEAD}."
        ));
    }
    let least = smallest_p_value(most);
    (least > 0.05).then(|| {
        format!(
            "With {seeds} the sign-flip test, which assumes no distribution, can't reach 5 % (its smallest p-value is \
             {least:.3}) and a bootstrap can only repeat {seeds}: the intervals here are Student's, which hold if \
             differences between seeds are about normal, and nothing here can show that they are."
        )
    })
}

/// The smallest effects that the experiment could have seen.
fn detectable(summary: &Summary, main: &Comparison, baseline: usize) -> Option<String> {
    let differences = main
        .panels
        .iter()
        .flatten()
        .filter_map(|row| row.difference.as_ref());
    let effects: Vec<f64> = differences
        .filter_map(|difference| difference.smallest_detectable)
        .collect();
    let least = effects.iter().copied().reduce(f64::min)?;
    let most = effects.iter().copied().reduce(f64::max)?;
    let range = match format!("{least:.5}") == format!("{most:.5}") {
        true => format!("{least:.5}"),
        false => format!("{least:.5} to {most:.5}, by variant and task"),
    };
    Some(format!(
        "A true difference to {} has to be this large for a paired test at 5 % to find it in four of five such \
         experiments: {range}.",
        summary.variants[baseline],
    ))
}
