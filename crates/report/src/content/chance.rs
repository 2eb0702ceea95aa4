//! Runs that rank a task no better than by chance: a mean that includes them is no measure of the variant.

use crate::analysis::Analysis;
use crate::document::{Block, strong, text};
use crate::format::{self, counted, named};
use crate::statistics::{auc_margin, mean};
use homebench_metric::Metric;
use homebench_results::read::Score;

/// Which variants' test AUC can't be told apart from .5 on which tasks, and in how many runs; nothing where there is none.
pub(super) fn block(analysis: &Analysis) -> Option<Block> {
    let summary = &analysis.summary;
    // Runs by chance, and the AUC of the others, by variant and task.
    let mut places = vec![(0, Vec::new()); summary.variants.len() * summary.panels.len()];
    for score in &analysis.results.scores {
        if score.split != "test" || score.metric != Metric::Auc.name() {
            continue;
        }
        let cell = &analysis.results.cells[score.cell];
        let place = summary.place(&cell.variant, &cell.dataset, &score.task);
        // What is in no mean spoils none.
        let place = place.filter(|place| !summary.never_learned.contains(place));
        if let Some((variant, panel)) = place {
            let (by_chance, others) = &mut places[variant * summary.panels.len() + panel];
            match is_by_chance(score) {
                true => *by_chance += 1,
                false => others.extend(score.value),
            }
        }
    }
    let found = places.iter().enumerate().filter(|(_, (few, _))| *few > 0);
    let places: Vec<String> = found
        .map(|(place, (by_chance, others))| {
            let variant = &summary.variants[place / summary.panels.len()];
            let task = &summary.panels[place % summary.panels.len()].title;
            let runs = counted(by_chance + others.len(), "run");
            let others = match mean(others) {
                Some(mean) => format!(", the others' mean is {}", format::score(Some(mean))),
                None => String::new(),
            };
            format!("{variant} on {task} ({by_chance} of {runs}{others})")
        })
        .collect();
    if places.is_empty() {
        return None;
    }
    Some(Block::Paragraph(vec![
        strong("By chance:"),
        text(format!(
            " the test AUC of {} does not differ significantly from .5 (95 %, Hanley and McNeil). Such a run may rank the task's rows no \
             better than a coin; a mean and an interval that include it speak of it more than of the other runs.",
            named(places)
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
