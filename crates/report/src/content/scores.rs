//! The scores: every task's main metric in full, the other metrics in short.

use super::{paragraph, tables};
use crate::analysis::{Analysis, Comparison};
use crate::document::{Block, link, text};
use crate::statistics::FEWEST_RUNS;

/// Adds the sections.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis) {
    let main = analysis.main_metrics();
    for &place in &main {
        let comparison = &analysis.comparisons[place];
        blocks.push(Block::Heading(format!(
            "Scores: {}",
            comparison.metric.label()
        )));
        blocks.push(paragraph(explanation(analysis, comparison)));
        in_full(blocks, analysis, comparison);
    }
    let others = (0..analysis.comparisons.len()).filter(|place| !main.contains(place));
    let others: Vec<Block> = others.map(|place| in_short(analysis, place)).collect();
    if !others.is_empty() {
        blocks.push(Block::Heading("Other metrics".to_owned()));
        blocks.extend(others);
    }
}

fn explanation(analysis: &Analysis, comparison: &Comparison) -> String {
    let direction = comparison
        .metric
        .direction()
        .map_or(String::new(), |words| format!("; {words}"));
    let mut sentence = format!("Mean ± standard deviation over runs{direction}.");
    let num_variants = analysis.summary.variants.len();
    if num_variants > 1 {
        sentence += &format!(
            " Differences are test scores minus those of {} at the same seed, with Student's 95 % interval of their mean. The \
             verdict is the paired t-test's at 5 % after Holm's correction over every variant and task of this metric; it takes \
             {FEWEST_RUNS} runs. Bold: better than every other variant by the same rule. The bootstrap, P(better) and what could have \
             been seen are in tables/{}_differences.md.",
            analysis.baseline_name(),
            comparison.metric.name(),
        );
    }
    if analysis.shown.len() < num_variants {
        sentence += &format!(
            " Of {num_variants} variants the tables show {}: the best by their rank on validation, and {}; tables/ has all.",
            analysis.shown.len(),
            analysis.baseline_name()
        );
    }
    sentence
}

fn in_full(blocks: &mut Vec<Block>, analysis: &Analysis, comparison: &Comparison) {
    let panels = tables::panels_with_values(comparison);
    if panels.len() > 1 {
        blocks.push(Block::Subheading(format!(
            "All tasks: test {}",
            comparison.metric.title()
        )));
        blocks.push(Block::Table(tables::overview(
            analysis,
            comparison,
            &analysis.shown,
        )));
    }
    for panel in panels {
        let title = &analysis.summary.panels[panel].title;
        blocks.push(Block::Subheading(format!(
            "{title}: {}",
            comparison.metric.title()
        )));
        blocks.push(Block::Table(tables::scores(
            analysis,
            comparison,
            panel,
            &analysis.shown,
        )));
    }
}

fn in_short(analysis: &Analysis, place: usize) -> Block {
    let comparison = &analysis.comparisons[place];
    let metric = comparison.metric;
    if metric.describes_rows() {
        return Block::Details {
            summary: format!("Test {} (the same for every variant)", metric.label()),
            blocks: vec![Block::Table(tables::of_rows(analysis, comparison))],
        };
    }
    let direction = metric.direction().unwrap_or("neither way is better");
    let name = metric.name();
    let differences = format!("tables/{name}_differences.md");
    Block::Details {
        summary: format!("Test {} ({direction})", metric.label()),
        blocks: vec![
            Block::Table(tables::overview(analysis, comparison, &analysis.shown)),
            Block::Paragraph(vec![
                text("Differences and their intervals: "),
                link(&differences, &differences),
                text("."),
            ]),
        ],
    }
}
