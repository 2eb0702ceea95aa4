//! What the words of a report mean, and which models its variants are, for a reader who has nothing else.

use crate::report::analysis::Analysis;
use crate::report::document::{Block, Cell as Field, Table, strong, text};
use crate::report::results::distinct;

const AUC: (&str, &str) = (
    "AUC",
    "The probability that a row with a positive label is ranked above one with a negative label: 1 is best, .5 is chance.",
);

const TERMS: [(&str, &str); 8] = [
    (
        "Variant, run, cell",
        "A variant is a model with its settings, under the name that the spec gives it. It runs once with every seed; such a run is a cell.",
    ),
    (
        "Difference",
        "A variant's score minus the baseline's, seed by seed, then the mean: what both share at a seed cancels.",
    ),
    (
        "p",
        "How probable a mean difference at least this far from zero would be if there were none (Student's paired t-test).",
    ),
    (
        "p (Holm)",
        "The same, raised for the number of comparisons that are read together (Holm, 1979): if those below .05 are believed, the \
         chance that even one of them is wrong is at most 5 %. An interval is of one comparison by itself and isn't corrected.",
    ),
    (
        "Ahead, bold",
        "No interval of a difference between this variant and any other includes zero; each compared by itself, not corrected.",
    ),
    (
        "P(better)",
        "The share of pairs of runs, one of the variant and one of the baseline, in which the variant's is better.",
    ),
    (
        "Could have seen",
        "The smallest true difference that p below .05, before any correction, would find in four of five such experiments. After \
         Holm's correction it takes a larger one.",
    ),
    (
        "Budget",
        "Where variants have one, their expert widths are solved so that a forward pass takes as many FLOPs, or the model has as many \
         parameters, as the variant that the spec names; the other of the two may differ.",
    ),
];

/// What the data built into homebench are.
const SOURCES: [(&str, &str); 3] = [
    (
        "feed",
        "Made-up data built into homebench: users and short videos in contexts, and tasks in two groups (watching, and interacting), for \
         each of which the true probability of every row is known. The regret of an AUC is what that probability would have ranked \
         better on the same rows.",
    ),
    (
        "synthetic",
        "Made-up data built into homebench: a small feed with two dense tasks of watching and two sparse ones of interacting.",
    ),
    (
        "two-task",
        "Made-up data built into homebench: the MMoE paper's pair of regressions, whose weight vectors have a chosen cosine.",
    ),
];

/// The section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis) {
    let entry = |(term, meaning): (&str, &str)| vec![strong(term), text(format!(": {meaning}"))];
    let is_used = |(name, _): &(&str, &str)| {
        let mut cells = analysis.results.own_cells();
        // A swept dataset has its knobs in brackets behind its name.
        cells.any(|cell| cell.dataset.split('[').next() == Some(name))
    };
    let sources = SOURCES.into_iter().filter(is_used);
    let has_auc = analysis.summary.metrics.iter().any(|name| name == "auc");
    let auc = has_auc.then_some(AUC);
    let used = distinct(analysis.results.own_cells().map(|cell| cell.model.as_str()));
    let mut models = Table::new(&["model", "equation", "published in"]);
    let known = homebench_model::registry().into_iter();
    for model in known.filter(|model| used.contains(&model.name)) {
        let row = [model.name, model.equation, model.paper];
        models.push(row.map(Field::words).to_vec());
    }
    blocks.push(Block::Heading("Terms".to_owned()));
    blocks.push(Block::List(
        TERMS
            .into_iter()
            .chain(auc)
            .chain(sources)
            .map(entry)
            .collect(),
    ));
    if !models.rows.is_empty() {
        blocks.push(Block::Table(models));
    }
}
