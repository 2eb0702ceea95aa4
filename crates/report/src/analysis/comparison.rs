//! Variants against each other on one metric: what every table and finding is made from.

use super::summary::{Run, Sample, Split, Summary};
use crate::statistics::{
    Evidence, Interval, Judgement, PairedDifference, Verdict, bootstrap_interval, judge, mean,
    paired_difference, probability_of_improvement, standard_deviation, student_interval,
};
use homebench_metric::Metric;
use rayon::prelude::*;

/// A metric over all variants and panels.
pub(crate) struct Comparison {
    pub(crate) metric: Metric,
    /// Rows of each panel, one per variant.
    pub(crate) panels: Vec<Vec<Row>>,
    /// Who is best in each panel, and how clearly.
    pub(crate) standings: Vec<Standing>,
}

/// The best variant of a panel and those that it can't be told apart from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Standing {
    /// The variant with the best mean; nothing without values or where neither way is better.
    pub(crate) best: Option<usize>,
    /// The others with a value than which it is not judged better.
    pub(crate) rivals: Vec<usize>,
    /// The others with a value.
    pub(crate) num_others: usize,
}

impl Standing {
    /// The best variant, if it is ahead of every other one, of which there must be one.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.best
            .filter(|_| self.num_others > 0 && self.rivals.is_empty())
    }
}

/// A variant in a panel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Seeds with a test value.
    pub(crate) seeds: Vec<u64>,
    pub(crate) validation: Spread,
    pub(crate) test: Spread,
    /// Student's interval of the test mean.
    pub(crate) interval: Option<Interval>,
    /// Bootstrap interval of the test mean.
    pub(crate) bootstrap: Option<Interval>,
    /// Against the baseline; nothing for itself.
    pub(crate) difference: Option<PairedDifference>,
    /// What is said of the difference, corrected over every variant and panel.
    pub(crate) judgement: Option<Judgement>,
    /// Probability that a run of the variant is better than one of the baseline.
    pub(crate) probability_of_improvement: Option<f64>,
}

/// Mean and standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: Option<f64>,
    pub(crate) deviation: Option<f64>,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        Self {
            mean: mean(values),
            deviation: standard_deviation(values),
        }
    }
}

impl Comparison {
    /// Compares every variant with the baseline (an index into the summary's variants).
    pub(crate) fn new(summary: &Summary, metric: Metric, baseline: usize) -> Self {
        let rows = |panel: usize| {
            let variants = (0..summary.variants.len()).into_par_iter();
            variants
                .map(|variant| row(summary, metric, panel, variant, baseline))
                .collect()
        };
        let mut panels: Vec<Vec<Row>> = (0..summary.panels.len()).map(rows).collect();
        judge_rows(metric, &mut panels);
        let standings = standings(summary, metric, &panels);
        Self {
            metric,
            panels,
            standings,
        }
    }
}

fn row(summary: &Summary, metric: Metric, panel: usize, variant: usize, baseline: usize) -> Row {
    let sample = summary.sample(Split::Test, variant, panel, metric);
    let test = summary.values(Split::Test, variant, panel, metric);
    let against = summary.values(Split::Test, baseline, panel, metric);
    let is_baseline = variant == baseline;
    let pairs = pairs(summary, metric, panel, variant, baseline);
    // One run against one is a coin's toss, not a probability.
    let wins =
        probability_of_improvement(&test, &against).filter(|_| test.len() > 1 && against.len() > 1);
    let higher = metric.higher_is_better();
    // Wins are counted by the larger value, which loses where lower is better.
    let improvement = wins
        .zip(higher)
        .map(|(wins, higher)| if higher { wins } else { 1.0 - wins });
    Row {
        seeds: sample
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(&(seed, _), _)| seed)
            .collect(),
        validation: Spread::of(&summary.values(Split::Validation, variant, panel, metric)),
        test: Spread::of(&test),
        interval: student_interval(&test),
        bootstrap: bootstrap_interval(&test),
        difference: paired_difference(&pairs).filter(|_| !is_baseline),
        judgement: None,
        probability_of_improvement: improvement.filter(|_| !is_baseline),
    }
}

/// Test values of two variants at the seeds that both have.
pub(crate) fn pairs(
    summary: &Summary,
    metric: Metric,
    panel: usize,
    one: usize,
    other: usize,
) -> Vec<(f64, f64)> {
    let sample = |variant: usize| summary.sample(Split::Test, variant, panel, metric);
    pairs_of(sample(one), sample(other))
}

/// Values of two samples at the seeds that both have.
pub(crate) fn pairs_of(one: &Sample, other: &Sample) -> Vec<(f64, f64)> {
    let pair = |(run, value): (&Run, &Option<f64>)| value.zip(other.get(run).copied().flatten());
    one.iter().filter_map(pair).collect()
}

/// Judges all panels and variants together.
fn judge_rows(metric: Metric, panels: &mut [Vec<Row>]) {
    let evidence = |row: &Row| {
        let difference = row.difference.as_ref()?;
        Some(Evidence::of(
            difference,
            metric.advantage(difference.mean, 0.0),
        ))
    };
    let family: Vec<Option<Evidence>> = panels.iter().flatten().map(evidence).collect();
    let rows = panels.iter_mut().flatten();
    for (row, judgement) in rows.zip(judge(&family)) {
        row.judgement = judgement;
    }
}

fn best(metric: Metric, rows: &[Row]) -> Option<usize> {
    metric.direction()?;
    let means = rows
        .iter()
        .enumerate()
        .filter_map(|(variant, row)| Some((variant, row.test.mean?)));
    let better = |a: (usize, f64), b: (usize, f64)| {
        if metric
            .advantage(b.1, a.1)
            .is_some_and(|advantage| advantage > 0.0)
        {
            b
        } else {
            a
        }
    };
    means.reduce(better).map(|(variant, _)| variant)
}

/// Who is best in each panel; the best of all panels are judged against all others together.
fn standings(summary: &Summary, metric: Metric, panels: &[Vec<Row>]) -> Vec<Standing> {
    let best: Vec<Option<usize>> = panels.iter().map(|rows| best(metric, rows)).collect();
    let mut places = Vec::new();
    for (panel, rows) in panels.iter().enumerate() {
        let has_value = (0..rows.len()).filter(|variant| rows[*variant].test.mean.is_some());
        let others = has_value.filter(|variant| best[panel].is_some_and(|best| best != *variant));
        places.extend(others.map(|other| (panel, other)));
    }
    let evidence = |(panel, other): &(usize, usize)| {
        let pairs = pairs(summary, metric, *panel, best[*panel]?, *other);
        let difference = paired_difference(&pairs)?;
        let advantage = metric.advantage(difference.mean, 0.0);
        Some(Evidence::of(&difference, advantage))
    };
    let family: Vec<Option<Evidence>> = places.par_iter().map(evidence).collect();
    let mut standings: Vec<Standing> = best
        .iter()
        .map(|best| Standing {
            best: *best,
            ..Standing::default()
        })
        .collect();
    for ((panel, other), judgement) in places.iter().zip(judge(&family)) {
        let standing = &mut standings[*panel];
        standing.num_others += 1;
        if judgement.map(|judgement| judgement.verdict) != Some(Verdict::Better) {
            standing.rivals.push(*other);
        }
    }
    standings
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::read::Results;
    use homebench_results::sample::Sample as Folder;

    fn summary(sample: &Folder) -> Summary {
        Summary::new(&Results::read(sample.write().path()).unwrap()).unwrap()
    }

    #[test]
    fn the_baseline_has_no_difference_and_the_others_are_paired_by_seed() {
        let sample = Folder {
            failed: vec![(1, 0)],
            ..Folder::default()
        };
        let summary = summary(&sample);
        let comparison = Comparison::new(&summary, Metric::Auc, 0);
        let rows = &comparison.panels[0];
        assert_eq!(rows[0].difference, None);
        assert_eq!(rows[1].seeds, [1, 2]);
        assert_eq!(rows[1].difference.as_ref().unwrap().num_pairs, 2);
        let three = rows[2].difference.as_ref().unwrap();
        assert_eq!((three.num_pairs, three.sign_flip_p_value), (3, Some(0.25)));
        // Two runs are not judged, so Holm's correction is over two hypotheses: one variant on two tasks.
        let judgement = rows[2].judgement.unwrap();
        let (p_value, corrected) = (three.p_value.unwrap(), judgement.corrected_p_value.unwrap());
        assert!(p_value < 0.05 && corrected > p_value && corrected <= 2.0 * p_value);
        assert_eq!(rows[2].probability_of_improvement, Some(1.0));
    }

    #[test]
    fn a_loss_is_best_where_it_is_lowest() {
        let summary = summary(&Folder::default());
        let loss = Comparison::new(&summary, Metric::LogLoss, 0);
        assert_eq!(loss.standings[0].best, Some(2));
        assert_eq!(loss.panels[0][2].probability_of_improvement, Some(1.0));
    }

    #[test]
    fn nobody_leads_with_two_seeds_alone_or_where_no_difference_is_seen() {
        let leaders = |summary: &Summary| -> Vec<Option<usize>> {
            Comparison::new(summary, Metric::Auc, 0)
                .standings
                .iter()
                .map(Standing::leader)
                .collect()
        };
        let clear = summary(&Folder {
            step: 0.02,
            ..Folder::default()
        });
        assert_eq!(leaders(&clear), [Some(2), Some(2)]);
        let two = summary(&Folder {
            num_seeds: 2,
            ..Folder::default()
        });
        assert_eq!(leaders(&two), [None, None]);
        let alone = summary(&Folder::sized(1, 2, 3));
        assert_eq!(leaders(&alone), [None, None]);
        let close = summary(&Folder {
            step: 0.0001,
            ..Folder::default()
        });
        assert_eq!(leaders(&close), [None, None]);
        let standing = Comparison::new(&close, Metric::Auc, 0).standings[0].clone();
        assert_eq!(
            (standing.num_others, standing.rivals.is_empty()),
            (2, false)
        );
    }
}
