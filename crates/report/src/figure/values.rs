//! Values of variants as several figures need them: means over tasks, and gains paired by run.

use crate::metric_name::MetricName;
use crate::statistics::{Interval, differences, mean, student_interval};
use homebench_results::read::{Panel, Results, Run, Summary};
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

/// The metric that quality is told by: AUC, or else the first of which one way is better.
pub(super) fn main_metric(summary: &Summary) -> Option<&str> {
    let directed = |metric: &&String| MetricName::of(metric).direction().is_some();
    let auc = summary.metrics.iter().find(|metric| *metric == "auc");
    let found = auc.or_else(|| summary.metrics.iter().find(directed));
    found.map(String::as_str)
}

/// A variant's test values by run, a mean over the tasks of a panel each; runs that lack a task are left out.
pub(crate) fn over_tasks(summary: &Summary, variant: usize, metric: &str) -> BTreeMap<Run, f64> {
    over_panels(summary, variant, metric, |_| true)
}

/// As [`over_tasks`], over the panels that are wanted.
pub(super) fn over_panels(
    summary: &Summary,
    variant: usize,
    metric: &str,
    is_wanted: impl Fn(&Panel) -> bool,
) -> BTreeMap<Run, f64> {
    let panels = (0..summary.panels.len()).filter(|panel| is_wanted(&summary.panels[*panel]));
    let samples: Vec<_> = panels
        .map(|panel| summary.sample("test", variant, panel, metric))
        .filter(|sample| !sample.is_empty())
        .collect();
    let Some(first) = samples.first() else {
        return BTreeMap::new();
    };
    let value = |run: &Run| {
        let values: Option<Vec<f64>> = samples
            .iter()
            .map(|sample| sample.get(run).copied().flatten())
            .collect();
        Some((*run, mean(&values?)?))
    };
    first.keys().filter_map(value).collect()
}

/// A variant's test values of one task by run.
pub(super) fn of_task(
    summary: &Summary,
    variant: usize,
    panel: usize,
    metric: &str,
) -> BTreeMap<Run, f64> {
    let sample = summary.sample("test", variant, panel, metric);
    let defined = sample.into_iter();
    defined
        .filter_map(|(run, value)| Some((run, value?)))
        .collect()
}

/// By how much `one` is better than `other`, run by run; nothing where neither way is better.
pub(super) fn gains(
    metric: &str,
    one: &BTreeMap<Run, f64>,
    other: &BTreeMap<Run, f64>,
) -> Vec<f64> {
    let Some(sign) = MetricName::of(metric).advantage(1.0, 0.0) else {
        return Vec::new();
    };
    let pairs: Vec<(f64, f64)> = one
        .iter()
        .filter_map(|(run, value)| Some((sign * value, sign * other.get(run)?)))
        .collect();
    differences(&pairs)
}

/// The first variant of single-task models, against which a gain is one of sharing.
pub(super) fn single_task(results: &Results, summary: &Summary) -> Option<usize> {
    let mut cells = results.cells.iter();
    let cell = cells.find(|cell| cell.model == "single_task" && cell.failure.is_none())?;
    summary
        .variants
        .iter()
        .position(|variant| *variant == cell.variant)
}

/// The variant that gains are measured from: the spec's baseline, else single-task models; and how it is called in a sentence.
pub(super) fn origin(results: &Results, summary: &Summary) -> Option<(usize, String)> {
    let single_task = single_task(results, summary);
    let named = summary.named_baseline(results);
    match named.filter(|named| Some(*named) != single_task) {
        Some(named) => Some((named, summary.variants[named].clone())),
        None => single_task.map(|single| (single, "single-task models".to_owned())),
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
            rates.entry((dataset, score.task.clone())).or_insert(rate);
        }
    }
    rates
}
