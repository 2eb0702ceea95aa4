//! What a report claims: one sentence for each difference to the baseline, with its number, those that hold first.

use crate::analysis::Analysis;
use crate::format::{self, counted, listed};
use crate::left_out;
use crate::statistics::{Judgement, PairedDifference, Verdict};
use homebench_results::read::distinct;

/// So many claims stand in the first screen; the others that hold are folded.
const MOST_CLAIMS: usize = 6;
/// Where fewer hold than this, the nearest of the others stand beside them.
const FEWEST_CLAIMS: usize = 4;

/// What the folder answers, in sentences.
pub(crate) struct Answer {
    /// What is compared, and how many differences hold.
    pub(crate) summary: String,
    /// The first claims.
    pub(crate) claims: Vec<String>,
    /// The other differences that hold.
    pub(crate) more: Vec<String>,
}

/// A difference of a variant to the baseline.
struct Claim {
    sentence: String,
    verdict: Verdict,
    is_of_mean: bool,
    p_value: f64,
    /// How much better the variant is; below 0 where it is worse.
    gain: f64,
}

impl Answer {
    /// Of every difference to the baseline on the tasks' main metrics.
    pub(crate) fn new(analysis: &Analysis) -> Self {
        let claims = claims(analysis);
        let summary = summary(analysis, &claims);
        let (seen, mut others): (Vec<Claim>, Vec<Claim>) = claims
            .into_iter()
            .partition(|claim| claim.verdict.is_seen());
        let num_others = match seen.len() + others.len() <= MOST_CLAIMS {
            true => others.len(),
            false => FEWEST_CLAIMS.saturating_sub(seen.len()),
        };
        others.truncate(num_others);
        let sentences = |claims: Vec<Claim>| claims.into_iter().map(|claim| claim.sentence);
        let mut first: Vec<String> = sentences(seen).collect();
        let more = first.split_off(first.len().min(MOST_CLAIMS));
        first.extend(sentences(others));
        Self {
            summary,
            claims: first,
            more,
        }
    }
}

/// Every difference: means over tasks first, and of those the ones that hold from the best variant to the worst; the rest by p-value.
/// Only means are on one scale.
fn claims(analysis: &Analysis) -> Vec<Claim> {
    let summary = &analysis.summary;
    let mut claims = Vec::new();
    if let Some(means) = &analysis.task_means {
        for (variant, row) in summary.variants.iter().zip(&means.rows) {
            let place = left_out::mean_over(analysis, &row.both);
            let found = row.difference.as_ref().zip(row.judgement);
            let claim = |found| claim(variant, ("in", &place), found, true);
            claims.extend(found.map(claim));
        }
    }
    for (panel, place) in summary.panels.iter().enumerate() {
        let rows = analysis.main_of(panel).map(|main| &main.panels[panel]);
        for (variant, row) in summary.variants.iter().zip(rows.into_iter().flatten()) {
            let found = row.difference.as_ref().zip(row.judgement);
            let claim = |found| claim(variant, ("on", &place.title), found, false);
            claims.extend(found.map(claim));
        }
    }
    // Stable: of equal p-values the order of the plan stays.
    claims.sort_by(|a, b| {
        let holds = |claim: &Claim| claim.verdict.is_seen();
        let by_kind = b.is_of_mean.cmp(&a.is_of_mean);
        let by_holding = by_kind.then(holds(b).cmp(&holds(a)));
        by_holding.then(match a.is_of_mean && holds(a) {
            true => b.gain.total_cmp(&a.gain),
            false => a.p_value.total_cmp(&b.p_value),
        })
    });
    claims
}

fn claim(
    variant: &str,
    (preposition, place): (&str, &str),
    (difference, judgement): (&PairedDifference, Judgement),
    is_of_mean: bool,
) -> Claim {
    let number = format::claim(difference.mean, difference.interval);
    let p_value = format::claimed_p_value(judgement.corrected_p_value);
    let whom = format!("{variant} {preposition} {place}");
    let sentence = match judgement.verdict {
        Verdict::Better | Verdict::Worse => format!(
            "{variant} is {} {preposition} {place}: {number}, {p_value} after Holm.",
            judgement.verdict.words()
        ),
        Verdict::NoDifferenceSeen => {
            format!("{whom}: no difference seen, {number}, {p_value} after Holm.")
        }
        Verdict::Identical => format!("{whom}: identical in every run."),
        Verdict::NotJudged => format!(
            "{whom}: {}, not judged over {}.",
            format::claim(difference.mean, None),
            counted(difference.num_pairs, "run")
        ),
    };
    // What isn't tested comes last.
    let order = judgement.corrected_p_value.and(difference.p_value);
    Claim {
        sentence,
        verdict: judgement.verdict,
        is_of_mean,
        p_value: order.unwrap_or(f64::INFINITY),
        gain: match judgement.verdict {
            Verdict::Worse => -difference.mean.abs(),
            _ => difference.mean.abs(),
        },
    }
}

fn summary(analysis: &Analysis, claims: &[Claim]) -> String {
    let has_scores = analysis.main.iter().any(Option::is_some);
    if !has_scores {
        return "Nothing can be answered: there is no test score of a metric of which a way is better.".to_owned();
    }
    let metrics = analysis.main_metrics().into_iter();
    let metrics = metrics.map(|place| analysis.comparisons[place].metric.title());
    let metrics = listed(metrics);
    if claims.is_empty() {
        return format!(
            "{} alone has scores, so there is nothing to compare it with.",
            alone(analysis)
        );
    }
    let seeds = distinct(analysis.results.own_cells().map(|cell| cell.seed));
    let mut words = format!(
        "Compared with {} in test {metrics}, over {}.",
        analysis.baseline_name(),
        counted(seeds.len(), "seed")
    );
    let kinds = [(true, "In the mean over tasks"), (false, "Task by task")];
    let has_means = claims.iter().any(|claim| claim.is_of_mean);
    for (is_of_mean, title) in kinds {
        let of_kind = claims.iter().filter(|claim| claim.is_of_mean == is_of_mean);
        let verdicts: Vec<Verdict> = of_kind.map(|claim| claim.verdict).collect();
        if !verdicts.is_empty() {
            let title = if has_means {
                format!("{title}, ")
            } else {
                String::new()
            };
            words += &format!(" {}.", capitalised(&(title + &counts(&verdicts))));
        }
    }
    words
}

/// The variant that has scores.
fn alone(analysis: &Analysis) -> &str {
    let comparisons = analysis.comparisons.iter();
    let mut rows = comparisons.flat_map(|comparison| comparison.panels.iter());
    let with_score = rows.find_map(|rows| rows.iter().position(|row| row.test.mean.is_some()));
    &analysis.summary.variants[with_score.unwrap_or(analysis.baseline)]
}

/// How many differences have which verdict.
fn counts(verdicts: &[Verdict]) -> String {
    let count = |wanted: Verdict| {
        verdicts
            .iter()
            .filter(|verdict| **verdict == wanted)
            .count()
    };
    let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
    let all = counted(verdicts.len(), "difference");
    let judged = count(Verdict::NoDifferenceSeen) + better + worse;
    let mut words = match (better + worse, judged) {
        (0, 0) => String::new(),
        (0, _) if verdicts.len() == 1 => {
            "the one difference does not hold after Holm's correction".to_owned()
        }
        (0, _) => format!("none of {all} holds after Holm's correction"),
        (held, _) => {
            let hold = if held == 1 { "holds" } else { "hold" };
            format!(
                "{held} of {all} {hold} after Holm's correction: {better} better, {worse} worse"
            )
        }
    };
    let rest = [
        (count(Verdict::NotJudged), "not judged"),
        (count(Verdict::Identical), "identical"),
    ];
    for (number, what) in rest.into_iter().filter(|(number, _)| *number > 0) {
        let start = if words.is_empty() { "" } else { "; " };
        words += &match number == verdicts.len() {
            true => format!(
                "{start}{all} {} {what}",
                if number == 1 { "is" } else { "are" }
            ),
            false => format!("{start}{number} {what}"),
        };
    }
    words
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::read::Results;
    use homebench_results::sample::Sample;

    fn answer(sample: &Sample) -> String {
        let results = Results::read(sample.write().path()).unwrap();
        let answer = Answer::new(&Analysis::new(results, None).unwrap());
        let lines = std::iter::once(answer.summary).chain(answer.claims);
        let more = answer.more.into_iter().map(|claim| format!("+ {claim}"));
        lines.chain(more).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_claim_is_a_sentence_with_its_number_and_those_that_hold_come_first() {
        insta::assert_snapshot!(answer(&Sample::default()));
    }

    #[test]
    fn two_seeds_are_not_judged_one_variant_is_not_compared_and_what_is_the_same_is_said() {
        let two = Sample {
            num_seeds: 2,
            ..Sample::default()
        };
        let same = Sample {
            step: 0.0,
            ..Sample::sized(2, 1, 3)
        };
        let all = [two, Sample::sized(1, 2, 3), same];
        insta::assert_snapshot!(all.map(|sample| answer(&sample)).join("\n\n"));
    }

    #[test]
    fn of_many_differences_the_first_are_claimed_and_the_others_that_hold_are_folded() {
        let many = Sample {
            step: 0.02,
            ..Sample::sized(6, 6, 5)
        };
        let said = answer(&many);
        let folded = said.lines().filter(|line| line.starts_with("+ ")).count();
        let shown = said.lines().count() - 1 - folded;
        assert_eq!(shown, MOST_CLAIMS, "{said}");
        assert!(folded > 10, "{said}");
        let none = Sample {
            step: 0.0,
            jitter: 0.01,
            ..Sample::sized(6, 6, 5)
        };
        let said = answer(&none);
        assert_eq!(said.lines().count(), 1 + FEWEST_CLAIMS, "{said}");
    }
}
