//! A task's rows on a split, and every score that they have.

use super::{GroupedAuc, Metric, auc, grouped_auc, mean_squared_error};
use std::cell::OnceCell;

/// What a task's scores are computed from: the rows that observe it.
#[derive(Debug, PartialEq)]
pub struct Rows {
    is_regression: bool,
    predictions: Vec<f32>,
    labels: Vec<f32>,
    users: Vec<u32>,
    truth: Vec<f32>,
    // Several metrics share these, and each is a sort of all rows or a pass over them.
    auc: OnceCell<Option<f64>>,
    best_auc: OnceCell<Option<f64>>,
    within_users: OnceCell<GroupedAuc>,
    squared_error: OnceCell<Option<f64>>,
    best_squared_error: OnceCell<Option<f64>>,
}

impl Rows {
    /// Keeps those rows that observe the task: whose label is not NaN.
    ///
    /// # Shapes
    /// - predictions: `[rows]`, logits, or predicted numbers of a regression
    /// - labels: `[rows]`, 0 or 1, or numbers; NaN where the row doesn't count
    /// - users: `[rows]`, or empty where rows have no user
    /// - truth: `[rows]`, true logits or expected labels; empty where they are not known
    pub fn observed(
        is_regression: bool,
        predictions: Vec<f32>,
        labels: Vec<f32>,
        users: Vec<u32>,
        truth: Vec<f32>,
    ) -> Self {
        let is_observed: Vec<bool> = labels.iter().map(|label| !label.is_nan()).collect();
        Self {
            is_regression,
            predictions: kept(predictions, &is_observed),
            labels: kept(labels, &is_observed),
            users: kept(users, &is_observed),
            truth: kept(truth, &is_observed),
            auc: OnceCell::new(),
            best_auc: OnceCell::new(),
            within_users: OnceCell::new(),
            squared_error: OnceCell::new(),
            best_squared_error: OnceCell::new(),
        }
    }

    /// Every wanted metric that such rows have, in the order of [`Metric::ALL`]; a value is absent where it is undefined.
    pub fn scores(&self, wanted: impl Fn(Metric) -> bool) -> Vec<(Metric, Option<f64>)> {
        let metrics = Metric::ALL.iter().copied().filter(|metric| wanted(*metric));
        metrics
            .filter_map(|metric| Some((metric, metric.compute(self)?)))
            .collect()
    }

    /// How many there are.
    pub fn num_rows(&self) -> usize {
        self.labels.len()
    }

    /// Rows of the positive class, where there are classes.
    pub fn positives(&self) -> Option<usize> {
        let positives = self
            .labels
            .iter()
            .filter(|label| super::is_positive(**label));
        (!self.is_regression).then(|| positives.count())
    }

    pub(crate) fn is_regression(&self) -> bool {
        self.is_regression
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(crate) fn has_truth(&self) -> bool {
        !self.truth.is_empty()
    }

    pub(crate) fn predictions(&self) -> &[f32] {
        &self.predictions
    }

    pub(crate) fn labels(&self) -> &[f32] {
        &self.labels
    }

    pub(crate) fn auc(&self) -> Option<f64> {
        *self
            .auc
            .get_or_init(|| auc(&self.predictions, &self.labels))
    }

    pub(crate) fn best_auc(&self) -> Option<f64> {
        *self.best_auc.get_or_init(|| auc(&self.truth, &self.labels))
    }

    pub(crate) fn within_users(&self) -> &GroupedAuc {
        let compute = || grouped_auc(&self.predictions, &self.labels, &self.users);
        self.within_users.get_or_init(compute)
    }

    pub(crate) fn squared_error(&self) -> Option<f64> {
        let compute = || mean_squared_error(&self.predictions, &self.labels);
        *self.squared_error.get_or_init(compute)
    }

    pub(crate) fn best_squared_error(&self) -> Option<f64> {
        let compute = || mean_squared_error(&self.truth, &self.labels);
        *self.best_squared_error.get_or_init(compute)
    }
}

fn kept<T>(values: Vec<T>, is_observed: &[bool]) -> Vec<T> {
    // Most tasks are observed on every row: nothing is copied then.
    if is_observed.iter().all(|observed| *observed) {
        return values;
    }
    let rows = values.into_iter().zip(is_observed);
    rows.filter(|(_, observed)| **observed)
        .map(|(value, _)| value)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(predictions: &[f32], labels: &[f32], users: &[u32], truth: &[f32]) -> Rows {
        let (users, truth) = (users.to_vec(), truth.to_vec());
        Rows::observed(false, predictions.to_vec(), labels.to_vec(), users, truth)
    }

    fn value(rows: &Rows, metric: Metric) -> Option<f64> {
        let found = rows.scores(|wanted| wanted == metric);
        let [(_, value)] = found[..] else {
            panic!("one score of {metric:?}, found {found:?}");
        };
        value
    }

    #[test]
    fn rows_that_do_not_observe_a_task_are_not_scored() {
        let all = rows(&[0.5, 1.0, -1.0], &[1.0, f32::NAN, 0.0], &[7, 8, 9], &[]);
        assert_eq!(all, rows(&[0.5, -1.0], &[1.0, 0.0], &[7, 9], &[]));
        let none = rows(&[0.5], &[f32::NAN], &[], &[]);
        assert_eq!(none.num_rows(), 0);
        let found = none.scores(|_| true);
        assert_eq!(found.len(), 5);
        assert!(found.into_iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn a_regression_has_its_own_metrics_and_no_positives() {
        let (predictions, labels) = (vec![1.5, 2.5, 3.5], vec![1.0, 2.0, 6.0]);
        let truth = vec![1.0, 2.0, 3.0];
        let rows = Rows::observed(true, predictions, labels, Vec::new(), truth);
        let names: Vec<&str> = rows
            .scores(|_| true)
            .iter()
            .map(|(m, _)| m.name())
            .collect();
        assert_eq!(names, ["r_squared", "mse", "best_mse", "mse_regret"]);
        let error = (0.25 + 0.25 + 6.25) / 3.0;
        assert_eq!(value(&rows, Metric::MeanSquaredError), Some(error));
        assert_eq!(value(&rows, Metric::BestMeanSquaredError), Some(3.0));
        assert_eq!(
            value(&rows, Metric::MeanSquaredErrorRegret),
            Some(error - 3.0)
        );
        let r_squared = value(&rows, Metric::RSquared).unwrap();
        assert!((r_squared - (1.0 - 6.75 / 14.0)).abs() < 1e-12);
        assert_eq!(rows.positives(), None);
    }

    #[test]
    fn users_of_one_class_are_left_out_and_counted() {
        let labels = [1.0, 0.0, 1.0, 0.0, 1.0];
        let rows = rows(&[1.0, 0.0, 0.0, 1.0, 5.0], &labels, &[0, 0, 1, 1, 2], &[]);
        assert_eq!(value(&rows, Metric::Gauc), Some(0.5));
        assert_eq!(value(&rows, Metric::GaucUsers), Some(2.0));
        assert_eq!(value(&rows, Metric::GaucUsersLeftOut), Some(1.0));
    }

    #[test]
    fn the_truth_has_no_regret() {
        let truth = [2.0, 0.0, -1.0, -2.0, -3.0];
        let rows = rows(&truth, &[1.0, 0.0, 1.0, 0.0, 0.0], &[], &truth);
        assert_eq!(value(&rows, Metric::AucRegret), Some(0.0));
    }
}
