//! By what weights are selected: a score of every evaluation on validation, the best of which is kept.

use super::{CurvePoint, SplitName};
use homebench_metric::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A task's value of a metric.
pub(super) type TaskValue<'a> = (&'a str, Metric, Option<f64>);

/// By what epochs and trials are selected: the table `[selection]` of a spec or a cell, where what is left out is at its default.
///
/// At its default, it is the mean of AUC over tasks, of R² where tasks predict numbers. Tasks whose weight in the loss is 0 have
/// no say. Where tasks of both kinds have a value, 2 AUC - 1 stands for AUC: like R², it is 0 for a constant prediction and 1
/// for a perfect one. Where no task has a value, it is minus the mean loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionConfig {
    /// The metric; absent for each task's main one, AUC or R².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// How the values of tasks become one.
    pub combine: Combine,
    /// Weights of the tasks that take part, above 0; empty where every trained task does, with a weight of 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, f64>,
}

/// How the values of tasks become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their weighted mean.
    #[default]
    Mean,
    /// The worst of them.
    Worst,
    /// Their product, each to the power of its weight.
    Product,
}

impl Combine {
    /// As a spec writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Worst => "worst",
            Self::Product => "product",
        }
    }
}

impl SelectionConfig {
    /// How a spec names each task's main metric.
    pub const MAIN: &str = "main";

    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The score of an evaluation; larger is better, so it is minus the metric where lower is. Absent where it is undefined, so that
    /// the evaluation is not selected. `is_trained` denies tasks whose weight in the loss is 0.
    pub(super) fn score(
        &self,
        scores: &[TaskValue<'_>],
        is_trained: impl Fn(&str) -> bool,
    ) -> Option<f64> {
        let score = match self.is_default() {
            true => default_score(scores, is_trained),
            false => self.combined(&self.weighed(scores, is_trained)?),
        };
        // A comparison with NaN is false both ways, so the first evaluation would stay the best.
        score.filter(|score| !score.is_nan())
    }

    /// Values and weights of the tasks that take part, in the order of the dataset; absent where one of them has no value.
    // Left out, it would make scores of other tasks' means, which are no scores on one scale.
    fn weighed(
        &self,
        scores: &[TaskValue<'_>],
        is_trained: impl Fn(&str) -> bool,
    ) -> Option<Vec<(f64, f64)>> {
        let weight = |task: &str| match self.tasks.is_empty() {
            true => f64::from(u8::from(is_trained(task))),
            false => self.tasks.get(task).copied().unwrap_or(0.0),
        };
        let is_its = |metric: Metric| match self.metric {
            Some(own) => metric == own,
            None => metric.skill(0.0).is_some(),
        };
        let chosen = scores.iter();
        let chosen = chosen.filter(|(task, metric, _)| is_its(*metric) && weight(task) > 0.0);
        let chosen: Vec<&TaskValue<'_>> = chosen.collect();
        let has = |wanted: Metric| chosen.iter().any(|(_, metric, _)| *metric == wanted);
        let is_mixed = self.metric.is_none() && has(Metric::Auc) && has(Metric::RSquared);
        let value = |(task, metric, value): &&TaskValue<'_>| {
            let value = match is_mixed {
                true => metric.skill((*value)?),
                false => *value,
            };
            Some((value?, weight(task)))
        };
        let found: Option<Vec<(f64, f64)>> = chosen.iter().map(value).collect();
        let expected = match self.tasks.len() {
            0 => chosen.len(),
            named => named,
        };
        found.filter(|found| !found.is_empty() && found.len() == expected)
    }

    fn combined(&self, values: &[(f64, f64)]) -> Option<f64> {
        let is_higher_better = match self.metric {
            Some(metric) => metric.higher_is_better()?,
            None => true,
        };
        let only = || values.iter().map(|(value, _)| *value);
        let combined = match self.combine {
            Combine::Mean => {
                let weights: f64 = values.iter().map(|(_, weight)| weight).sum();
                let sum: f64 = values.iter().map(|(value, weight)| value * weight).sum();
                sum / weights
            }
            Combine::Worst if is_higher_better => only().fold(f64::INFINITY, f64::min),
            Combine::Worst => only().fold(f64::NEG_INFINITY, f64::max),
            Combine::Product => {
                let powers = values
                    .iter()
                    .map(|(value, weight)| libm::pow(*value, *weight));
                powers.product()
            }
        };
        Some(match is_higher_better {
            true => combined,
            false => -combined,
        })
    }

    /// The first task that takes part and has no value, with the metric that it lacks.
    pub(super) fn undefined<'a>(
        &self,
        scores: &[TaskValue<'a>],
        is_trained: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, Metric)> {
        let takes_part = |task: &str| match self.tasks.is_empty() {
            true => is_trained(task),
            false => self.tasks.contains_key(task),
        };
        let is_its = |metric: Metric| match self.metric {
            Some(own) => metric == own,
            None => metric.skill(0.0).is_some(),
        };
        let mut all = scores.iter();
        let found = all.find(|(task, metric, value)| {
            is_its(*metric) && takes_part(task) && value.is_none_or(f64::is_nan)
        });
        found.map(|(task, metric, _)| (*task, *metric))
    }
}

/// What is selected by, after "selected by".
impl fmt::Display for SelectionConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = match self.metric {
            Some(metric) => metric.title(),
            None => "AUC (R² of a task that predicts a number)",
        };
        let how = match self.combine {
            Combine::Mean => "the mean of",
            Combine::Worst => "the worst",
            Combine::Product => "the product of",
        };
        write!(formatter, "{how} {metric} over ")?;
        if self.tasks.is_empty() {
            formatter.write_str("tasks")?;
        }
        let are_equal = self.tasks.values().all(|weight| *weight == 1.0);
        for (index, (task, weight)) in self.tasks.iter().enumerate() {
            let before = match index {
                0 => "",
                _ if index + 1 == self.tasks.len() => " and ",
                _ => ", ",
            };
            write!(formatter, "{before}{task}")?;
            if !are_equal {
                write!(formatter, " (weight {weight})")?;
            }
        }
        match self.metric.and_then(Metric::higher_is_better) {
            Some(false) => {
                formatter.write_str(", of which lower is better: scores are its negative")
            }
            _ => Ok(()),
        }
    }
}

fn default_score(scores: &[TaskValue<'_>], is_trained: impl Fn(&str) -> bool) -> Option<f64> {
    let values = |metric: Metric| -> Vec<f64> {
        let scores = scores.iter();
        let scores = scores.filter(|(task, of, _)| *of == metric && is_trained(task));
        scores.filter_map(|(_, _, value)| *value).collect()
    };
    let mean = |values: &[f64]| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let (mut ranked, fitted) = (values(Metric::Auc), values(Metric::RSquared));
    if !ranked.is_empty() && !fitted.is_empty() {
        let skill = |auc| Metric::Auc.skill(auc);
        ranked = ranked.into_iter().filter_map(skill).collect();
    }
    let losses = || [values(Metric::LogLoss), values(Metric::MeanSquaredError)].concat();
    mean(&[ranked, fitted].concat()).or_else(|| mean(&losses()).map(|loss| -loss))
}

/// Whether a new score is better than the one so far.
// Strictly: of equal scores the earlier epoch stays.
pub(super) fn is_better(score: f64, best: Option<f64>) -> bool {
    best.is_none_or(|best| score > best)
}

impl CurvePoint {
    /// A task's value on validation, as tables have it; nothing where no metric has this name.
    pub fn on_validation(
        (epoch, step): (usize, usize),
        task: &str,
        metric: &str,
        value: Option<f64>,
    ) -> Option<Self> {
        Some(Self {
            epoch,
            step,
            split: SplitName::Validation,
            task: task.to_owned(),
            metric: Metric::named(metric)?,
            value,
        })
    }
}

/// The epoch whose weights training selected and their score, from the learning curve that it wrote, in its order: a curve and a score
/// that don't fit together are not of one training.
pub fn selected_by(
    curve: &[CurvePoint],
    selection: &SelectionConfig,
    is_trained: impl Fn(&str) -> bool,
) -> Option<(usize, f64)> {
    let points = curve
        .iter()
        .filter(|point| point.split == SplitName::Validation);
    let points: Vec<&CurvePoint> = points.collect();
    let mut best: Option<(usize, f64)> = None;
    for evaluation in points.chunk_by(|one, next| (one.epoch, one.step) == (next.epoch, next.step))
    {
        let scores = evaluation.iter();
        let scores: Vec<TaskValue<'_>> = scores
            .map(|point| (point.task.as_str(), point.metric, point.value))
            .collect();
        if let Some(score) = selection.score(&scores, &is_trained)
            && is_better(score, best.map(|(_, best)| best))
        {
            best = Some((evaluation[0].epoch, score));
        }
    }
    best
}

#[cfg(test)]
mod tests;
