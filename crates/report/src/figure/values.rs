//! Values of variants as several figures need them: estimates, and gains paired by run.

use crate::analysis::{Analysis, Run, Split};
use crate::statistics::{Interval, differences, mean, student_interval};
use homebench_metric::Metric;
use homebench_results::read::{Results, distinct};
use std::collections::BTreeMap;

/// A mean over runs with Student's 95 % interval, where there are two runs or more that differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) interval: Option<Interval>,
}

impl Estimate {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            mean: mean(values)?,
            interval: student_interval(values),
        })
    }

    /// The mean and the ends of its interval, for axes.
    pub(super) fn reach(&self) -> impl Iterator<Item = f64> + use<> {
        let ends = self.interval.map(|interval| [interval.low, interval.high]);
        ends.into_iter().flatten().chain([self.mean])
    }
}

/// A variant's test values of one task on its main metric, by run.
pub(super) fn of_task(analysis: &Analysis, variant: usize, panel: usize) -> BTreeMap<Run, f64> {
    let Some(metric) = analysis.main_metric(panel) else {
        return BTreeMap::new();
    };
    let sample = analysis.summary.sample(Split::Test, variant, panel, metric);
    let defined = sample.iter();
    defined
        .filter_map(|(run, value)| Some((*run, (*value)?)))
        .collect()
}

/// By how much `one` is better than `other`, run by run; nothing where neither way is better.
pub(super) fn gains(
    higher_is_better: Option<bool>,
    one: &BTreeMap<Run, f64>,
    other: &BTreeMap<Run, f64>,
) -> Vec<f64> {
    let Some(higher) = higher_is_better else {
        return Vec::new();
    };
    let sign = if higher { 1.0 } else { -1.0 };
    let pairs: Vec<(f64, f64)> = one
        .iter()
        .filter_map(|(run, value)| Some((sign * value, sign * other.get(run)?)))
        .collect();
    differences(&pairs)
}

/// The main metrics of these panels as an axis or a sentence calls them, each once.
pub(super) fn labels(analysis: &Analysis, panels: impl Iterator<Item = usize>) -> String {
    let metrics = panels.filter_map(|panel| analysis.main_metric(panel));
    let labels = distinct(metrics).into_iter().map(Metric::label);
    labels.collect::<Vec<_>>().join(" or ")
}

/// What is added to a task's name where tasks have different main metrics: which one is its own.
pub(super) fn own_metric(analysis: &Analysis, panel: usize) -> String {
    let metric = analysis.main_metric(panel);
    let has_other = analysis.main_metrics().len() > 1;
    match metric.filter(|_| has_other) {
        Some(metric) => format!(" ({})", metric.title()),
        None => String::new(),
    }
}

/// The tasks' positive rates on validation, by dataset and name; nothing for a task without labels of two classes.
pub(super) fn positive_rates(results: &Results) -> BTreeMap<(String, String), f64> {
    let mut rates = BTreeMap::new();
    for score in results.scores.iter().filter(|s| s.split == "validation") {
        let Some(positives) = score.positives else {
            continue;
        };
        let rate = positives as f64 / score.rows as f64;
        let dataset = results.cells[score.cell].dataset.clone();
        if rate > 0.0 && rate.is_finite() {
            rates
                .entry((dataset, score.task.to_string()))
                .or_insert(rate);
        }
    }
    rates
}
