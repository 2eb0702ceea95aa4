//! By what weights are selected: a score of every evaluation on validation, the best of which is kept.

use super::{CurvePoint, SplitName};
use homebench_metric::Metric;

/// A task's value of a metric.
pub(super) type TaskValue<'a> = (&'a str, Metric, Option<f64>);

/// The mean of AUC over tasks, of R² where tasks predict numbers; larger is better. Tasks that `is_trained` denies, those
/// whose weight in the loss is 0, have no say.
///
/// Where tasks of both kinds have a value, 2 AUC - 1 stands for AUC: like R², it is 0 for a constant prediction and 1 for a
/// perfect one. Where no task has a value, it is minus the mean loss; where no task has a loss either, there is none.
pub(super) fn selection_score(
    scores: &[TaskValue<'_>],
    is_trained: impl Fn(&str) -> bool,
) -> Option<f64> {
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
        if let Some(score) = selection_score(&scores, &is_trained)
            && is_better(score, best.map(|(_, best)| best))
        {
            best = Some((evaluation[0].epoch, score));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_evaluations_is_selected() {
        let point = |epoch, split, task: &str, metric, value| CurvePoint {
            epoch,
            step: 10 * epoch,
            split,
            task: task.to_owned(),
            metric,
            value: Some(value),
        };
        let validation =
            |epoch, task, auc| point(epoch, SplitName::Validation, task, Metric::Auc, auc);
        let curve = [
            validation(1, "a", 0.5),
            validation(1, "b", 0.75),
            point(2, SplitName::Train, "all", Metric::LogLoss, 9.0),
            validation(2, "a", 0.75),
            validation(2, "b", 0.5),
            validation(3, "a", 0.25),
            validation(3, "b", 0.5),
        ];
        assert_eq!(selected_by(&curve, |_| true), Some((1, 0.625)));
        assert_eq!(selected_by(&curve, |task| task == "a"), Some((2, 0.75)));
        assert_eq!(selected_by(&curve[2..3], |_| true), None);
    }
}
