//! How variants were tuned: the search space, the winners, and validation beside test.

use super::{paragraph, tuning_tables as tables};
use crate::report::analysis::Analysis;
use crate::report::context::Context;
use crate::report::document::Block;
use crate::report::format::counted;
use crate::report::results::distinct;

/// Adds the section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, context: &Context) {
    let results = analysis.results;
    blocks.push(Block::Heading("Tuning".to_owned()));
    if results.tuning.is_empty() {
        blocks.push(paragraph(
            "Phase 1 was skipped: nothing was tuned, every variant ran with the settings of the spec.",
        ));
    } else {
        let variants = distinct(results.tuning.iter().map(|trial| &trial.variant));
        let trials = variants
            .iter()
            .map(|&variant| tables::trials_of(results, variant).len());
        let (least, most) = (trials.clone().min().unwrap_or(0), trials.max().unwrap_or(0));
        let number = match least == most {
            true => format!("{} each", counted(least, "trial")),
            false => format!("{least} to {most} trials, which is no equal footing"),
        };
        blocks.push(paragraph(format!(
            "Phase 1 tuned {} with {number}, on validation alone. The winner of each was frozen and trained anew with fresh \
             seeds; then the test split was read, once.",
            counted(variants.len(), "variant")
        )));
    }
    if let Some(space) = &context.search_space {
        blocks.push(paragraph(
            "What was searched or swept, as the spec says it:",
        ));
        blocks.push(Block::Lines(space.clone()));
    }
    if !results.tuning.is_empty() {
        blocks.push(Block::Table(tables::tuned(analysis)));
        blocks.push(Block::Details {
            summary: "Every trial".to_owned(),
            blocks: vec![Block::Table(tables::trials(results))],
        });
    } else if !results.settings.is_empty() {
        blocks.push(paragraph("What a grid or random draws set:"));
        blocks.push(Block::Table(tables::settings(analysis)));
    }
}
