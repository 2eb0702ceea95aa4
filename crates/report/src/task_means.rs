//! The mean over tasks: a variant's test scores as one number a run, and its difference to the baseline's at the same seed.

use super::analysis::Analysis;
use super::comparison::Spread;
use super::metric_name::MetricName;
use super::statistics::{
    Interval, LEVEL, differences, holm, mean, smallest_detectable_effect, student_interval,
    student_p_value,
};
use crate::figure::values::over_tasks;
use std::collections::BTreeMap;

/// Every variant's mean over tasks of the metric that is main to all of them.
pub(super) struct TaskMeans<'a> {
    pub(super) metric: MetricName<'a>,
    /// One per variant.
    pub(super) rows: Vec<TaskMean>,
}

/// A variant's mean over tasks, over runs that have a score on every task.
pub(super) struct TaskMean {
    pub(super) score: Spread,
    /// Mean of its differences to the baseline, run by run; nothing for the baseline, nor below.
    pub(super) difference: Option<f64>,
    /// Student's, of that mean.
    pub(super) interval: Option<Interval>,
    /// Of the paired t-test.
    pub(super) p_value: Option<f64>,
    /// The same after Holm's correction over variants.
    pub(super) corrected_p_value: Option<f64>,
    /// The true difference that the test finds in four of five such experiments, before any correction.
    pub(super) smallest_detectable: Option<f64>,
}

impl<'a> TaskMeans<'a> {
    /// Nothing with fewer than two tasks or variants, where tasks have different main metrics, or with several datasets: scores of
    /// different scales have no mean.
    pub(super) fn of(analysis: &Analysis<'a>) -> Option<Self> {
        let summary = analysis.summary;
        let main = (*analysis.main.first()?)?;
        let is_one_scale = analysis.main.iter().all(|other| *other == Some(main))
            && summary
                .panels
                .iter()
                .all(|panel| panel.dataset == summary.panels[0].dataset);
        if summary.panels.len() < 2 || summary.variants.len() < 2 || !is_one_scale {
            return None;
        }
        let metric = analysis.comparisons[main].metric;
        let scores = (0..summary.variants.len())
            .map(|variant| over_tasks(summary, variant, metric.name()))
            .collect::<Vec<_>>();
        let mut rows: Vec<TaskMean> = (0..scores.len())
            .map(|variant| row(&scores, variant, analysis.baseline))
            .collect();
        let p_values: Vec<f64> = rows.iter().filter_map(|row| row.p_value).collect();
        let mut corrected = holm(&p_values).into_iter();
        for row in &mut rows {
            row.corrected_p_value = row.p_value.and_then(|_| corrected.next());
        }
        Some(Self { metric, rows })
    }
}

fn row<K: Ord>(scores: &[BTreeMap<K, f64>], variant: usize, baseline: usize) -> TaskMean {
    let values: Vec<f64> = scores[variant].values().copied().collect();
    let pairs: Vec<(f64, f64)> = scores[variant]
        .iter()
        .filter(|_| variant != baseline)
        .filter_map(|(run, value)| Some((*value, *scores[baseline].get(run)?)))
        .collect();
    let differences = differences(&pairs);
    TaskMean {
        score: Spread::of(&values),
        difference: mean(&differences),
        interval: student_interval(&differences),
        p_value: student_p_value(&differences),
        corrected_p_value: None,
        smallest_detectable: smallest_detectable_effect(&differences, LEVEL),
    }
}

#[cfg(test)]
mod tests {
    use super::row;
    use std::collections::BTreeMap;

    #[test]
    fn differences_are_paired_by_run_and_tested_against_zero() {
        let scores = [
            BTreeMap::from([(1, 0.70), (2, 0.71), (3, 0.72)]),
            BTreeMap::from([(1, 0.72), (2, 0.72), (3, 0.75), (4, 0.90)]),
        ];
        let other = row(&scores, 1, 0);
        // scipy.stats.ttest_rel([.72, .72, .75], [.70, .71, .72])
        assert!((other.difference.unwrap() - 0.02).abs() < 1e-12);
        assert!((other.p_value.unwrap() - 0.074_179_900_227_448_5).abs() < 1e-9);
        let interval = other.interval.unwrap();
        assert!((interval.low + 0.004_841_377_117_503_176).abs() < 1e-9);
        assert!((other.score.mean.unwrap() - 0.7725).abs() < 1e-12);
        let baseline = row(&scores, 0, 0);
        assert_eq!((baseline.difference, baseline.p_value), (None, None));
    }
}
