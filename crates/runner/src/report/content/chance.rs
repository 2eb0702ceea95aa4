//! Runs that rank a task no better than by chance: a mean that includes them is no measure of the variant.

use crate::report::analysis::Analysis;
use crate::report::document::{Block, strong, text};
use crate::report::format::{counted, listed};
use crate::report::results::Score;
use crate::report::statistics::auc_margin;

/// More places than this are counted rather than named.
const MOST_NAMED: usize = 8;

/// Which variants' test AUC can't be told apart from .5 on which tasks, and in how many runs; nothing where there is none.
pub(super) fn block(analysis: &Analysis) -> Option<Block> {
    let summary = analysis.summary;
    // Runs by chance and all runs, by variant and task.
    let mut counts = vec![(0, 0); summary.variants.len() * summary.panels.len()];
    for score in &analysis.results.scores {
        if score.split != "test" || score.metric != "auc" {
            continue;
        }
        let cell = &analysis.results.cells[score.cell];
        if let Some((variant, panel)) = summary.place(&cell.variant, &cell.dataset, &score.task) {
            let (by_chance, all) = &mut counts[variant * summary.panels.len() + panel];
            *by_chance += usize::from(is_by_chance(score));
            *all += 1;
        }
    }
    let found = counts.iter().enumerate().filter(|(_, (few, _))| *few > 0);
    let places: Vec<String> = found
        .map(|(place, (by_chance, all))| {
            let variant = &summary.variants[place / summary.panels.len()];
            let task = &summary.panels[place % summary.panels.len()].title;
            format!(
                "{variant} on {task} ({by_chance} of {})",
                counted(*all, "run")
            )
        })
        .collect();
    if places.is_empty() {
        return None;
    }
    let more = places.len().saturating_sub(MOST_NAMED);
    let mut named: Vec<String> = places.into_iter().take(MOST_NAMED).collect();
    if more > 0 {
        named.push(format!(
            "{} of a variant and a task",
            counted(more, "other pair")
        ));
    }
    Some(Block::Paragraph(vec![
        strong("By chance:"),
        text(format!(
            " the test AUC of {} can't be told apart from .5 (95 %, Hanley and McNeil). Such a run ranks the task's rows no \
             better than a coin; a mean and an interval that include it speak of it more than of the other runs.",
            listed(named)
        )),
    ]))
}

/// Whether ranking at random would give such an AUC on as many rows in 19 of 20 cases.
fn is_by_chance(score: &Score) -> bool {
    let margin = score
        .positives
        .and_then(|positives| auc_margin(0.5, positives, score.rows.checked_sub(positives)?));
    let (Some(auc), Some(margin)) = (score.value, margin) else {
        return false;
    };
    (auc - 0.5).abs() <= margin
}
