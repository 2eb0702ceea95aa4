//! What the words of a report mean, and which models its variants are, for a reader who has nothing else.

use crate::analysis::Analysis;
use crate::document::{Block, Cell as Field, Table, strong, text};
use homebench_results::Facts;
use homebench_results::read::distinct;

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
        "Better, worse, bold",
        "The difference has a p (Holm) below .05 and rests on three runs or more; of fewer runs nothing is judged. No difference seen is \
         no proof that there is none. Bold is better than every other variant, corrected over all tasks.",
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

/// The section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, facts: &Facts) {
    let sources = facts.sources.iter();
    let sources = sources.map(|source| (source.name.as_str(), source.about.as_str()));
    let metrics = analysis.summary.metrics.iter();
    let metrics = metrics.filter_map(|metric| Some((metric.title(), metric.meaning()?)));
    let terms = TERMS.into_iter().chain(metrics).chain(sources);
    let entry = |(term, meaning): (&str, &str)| vec![strong(term), text(format!(": {meaning}"))];
    blocks.push(Block::Heading("Terms".to_owned()));
    blocks.push(Block::List(terms.map(entry).collect()));
    let mut models = Table::new(&["model", "equation", "published in"]);
    let used = distinct(analysis.results.own_cells().map(|cell| cell.model.as_str()));
    let known = facts.models.iter();
    for model in known.filter(|model| used.contains(&model.name.as_str())) {
        let row = [&model.name, &model.equation, &model.paper];
        models.push(row.map(Field::words).to_vec());
    }
    for bottom in &facts.bottoms {
        let name = format!("bottom {}", bottom.name);
        let row = [&name, &bottom.equation, &bottom.paper];
        models.push(row.map(Field::words).to_vec());
    }
    if !models.rows.is_empty() {
        blocks.push(Block::Table(models));
    }
}
