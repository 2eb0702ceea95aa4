//! The first screen of a report: what was asked, what the answer is, its chart, and how sure it is.

use super::claims::Answer;
use super::data_warnings::{how_many, warnings};
use super::{prose, sureness};
use crate::analysis::Analysis;
use crate::document::{Block, Span, strong, text};
use crate::figure::{FOREST, Figure};
use homebench_results::Finding;
use homebench_results::read::context::Context;

/// Of a longer first sentence only so much is shown, since the chart has to be in sight.
const LONGEST_SENTENCE: usize = 330;

/// Adds everything before the first section.
pub(super) fn push(
    blocks: &mut Vec<Block>,
    analysis: &Analysis,
    context: &Context,
    figures: &[Figure],
    findings: &[Finding],
) {
    altered(blocks, findings);
    missing(blocks, analysis);
    loud_warnings(blocks, analysis);
    let question = context.question.first().map(|words| asked(words));
    blocks.extend(question.map(|words| labelled("Question", &words)));
    let answer = Answer::new(analysis);
    blocks.push(labelled("Answer", &answer.summary));
    let item = |words: &String| vec![text(words)];
    if !answer.claims.is_empty() {
        blocks.push(Block::Claims(answer.claims.iter().map(item).collect()));
    }
    if !answer.more.is_empty() {
        blocks.push(Block::Details {
            summary: more_that_hold(answer.more.len()),
            blocks: vec![Block::List(answer.more.iter().map(item).collect())],
        });
    }
    let forest = figures
        .iter()
        .find(|figure| figure.name.starts_with(FOREST));
    blocks.extend(forest.map(super::figure_block(true)));
    blocks.push(labelled("How sure", &sureness::in_short(analysis)));
    let outcome = context.outcome.first().map(|words| first_sentence(words));
    blocks.extend(outcome.map(|words| labelled("Author's conclusion", &words)));
}

/// How many differences hold beside those that were claimed.
pub(crate) fn more_that_hold(number: usize) -> String {
    match number {
        1 => "1 more difference that holds".to_owned(),
        more => format!("{more} more differences that hold"),
    }
}

/// First of all: whoever reads on has to know.
fn altered(blocks: &mut Vec<Block>, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    blocks.push(Block::Paragraph(vec![strong(
        "This folder is not as homebench wrote it, so the numbers below may not be those of the run:",
    )]));
    let item = |finding: &Finding| vec![text(finding.to_string())];
    blocks.push(Block::List(findings.iter().map(item).collect()));
}

/// That the experiment is not whole, and what lacks.
fn missing(blocks: &mut Vec<Block>, analysis: &Analysis) {
    if let Some(words) = analysis.extent.sentence() {
        blocks.push(labelled("Not the whole experiment", &words));
    }
}

/// Warnings that may change what scores mean.
fn loud_warnings(blocks: &mut Vec<Block>, analysis: &Analysis) {
    let warnings = warnings(&analysis.results.data_warnings);
    let loud: Vec<&str> = warnings
        .iter()
        .filter(|warning| warning.is_loud)
        .map(|warning| warning.message.as_str())
        .collect();
    if !loud.is_empty() {
        let words = format!("{}: {}.", how_many(&warnings), loud.join("; "));
        blocks.push(labelled("Careful", &words));
    }
}

/// A paragraph that begins with a word in bold; what stands between backticks is code.
fn labelled(label: &str, words: &str) -> Block {
    let mut spans: Vec<Span> = vec![strong(format!("{label}:")), text(" ")];
    match prose(&words.to_owned()) {
        Block::Paragraph(more) => spans.extend(more),
        _ => spans.push(text(words)),
    }
    Block::Paragraph(spans)
}

/// Where the sentences of a paragraph end.
fn ends(words: &str) -> impl Iterator<Item = usize> {
    let spaces = words.match_indices([' ']).map(|(place, _)| place);
    let is_end = |place: &usize| {
        let (before, after) = words.split_at(*place);
        let next = after.trim_start().chars().next();
        // `e.g. this` and `.5 is` go on.
        before.ends_with(['.', '?', '!']) && next.is_some_and(char::is_uppercase)
    };
    spaces.filter(is_end).chain([words.len()])
}

/// What a paragraph asks: its first sentences up to a question; the question alone where those are many words; the first sentence
/// where nothing is asked.
pub(crate) fn asked(words: &str) -> String {
    let mut begin = 0;
    for end in ends(words) {
        if words[..end].ends_with('?') {
            let is_short = words[..end].chars().count() <= LONGEST_SENTENCE;
            return shortened(&words[if is_short { 0 } else { begin }..end]);
        }
        begin = end + 1;
    }
    first_sentence(words)
}

/// The first sentence of a paragraph; of one that is too long, its beginning.
pub(crate) fn first_sentence(words: &str) -> String {
    let end = ends(words).next().unwrap_or(words.len());
    shortened(&words[..end])
}

fn shortened(sentence: &str) -> String {
    if sentence.chars().count() <= LONGEST_SENTENCE {
        return sentence.to_owned();
    }
    let mut short = String::new();
    for word in sentence.split(' ') {
        if short.chars().count() + word.chars().count() > LONGEST_SENTENCE {
            break;
        }
        short += word;
        short.push(' ');
    }
    format!("{}...", short.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{asked, first_sentence};

    #[test]
    fn a_sentence_ends_where_another_begins() {
        let of = first_sentence;
        assert_eq!(of("Is it? Yes means: above."), "Is it?");
        assert_eq!(of("At .5 of e.g. two. More."), "At .5 of e.g. two.");
        assert_eq!(of("no end"), "no end");
        assert_eq!(asked("Is it? Yes means: above."), "Is it?");
        assert_eq!(
            asked("Two are. Is it .5 there? No. Or?"),
            "Two are. Is it .5 there?"
        );
        let context = "More words. ".repeat(40);
        assert_eq!(asked(&format!("{context}Is it? No.")), "Is it?");
        assert_eq!(asked("What is. What was."), "What is.");
        let long = of(&"word ".repeat(100));
        assert!(long.ends_with("word...") && long.len() < 340, "{long}");
    }
}
