//! Scoring of a split with the weights as they are.

use super::inspect::Collector;
use super::logit_spill::LogitSpill;
use super::network::Network;
use super::{Score, TrainError};
use homebench_data::{Batch, Split};
use homebench_metric as metric;
use homebench_model::Trace;

/// Rows scored at a time.
// Experts are looked into on whole blocks, and METHODOLOGY says on which rows: the first 4,096.
// Scores don't depend on it, since a row's logits don't depend on the rows beside it.
const BLOCK_ROWS: usize = 4096;

/// Blocks that a collector sees of a split, the first ones. Looking into every row would cost small models a tenth of their
/// training time.
const BLOCKS_LOOKED_INTO: usize = 1;

/// Scores of every task.
pub(super) struct Evaluation {
    pub(super) scores: Vec<Score>,
}

impl Evaluation {
    /// The mean of AUC over tasks, of R² where tasks predict numbers; larger is better.
    ///
    /// Where tasks of both kinds have a value, 2 AUC - 1 stands for AUC: like R², it is 0 for a constant prediction and 1 for a
    /// perfect one. Where no task has a value, it is minus the mean loss.
    pub(super) fn selection_score(&self) -> f64 {
        let values = |metric: &str| -> Vec<f64> {
            let scores = self.scores.iter().filter(|score| score.metric == metric);
            scores.filter_map(|score| score.value).collect()
        };
        let mean = |values: &[f64]| {
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let (mut ranked, fitted) = (values("auc"), values("r_squared"));
        if !ranked.is_empty() && !fitted.is_empty() {
            ranked.iter_mut().for_each(|auc| *auc = 2.0 * *auc - 1.0);
        }
        let losses = || [values("log_loss"), values("mse")].concat();
        mean(&[ranked, fitted].concat())
            .or_else(|| mean(&losses()).map(|loss| -loss))
            .unwrap_or(f64::NEG_INFINITY)
    }
}

/// Which metrics are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Those that selection and curves need.
    Selection,
    /// All that the dataset allows.
    All,
}

/// Bins of the expected calibration error.
const CALIBRATION_BINS: usize = 20;

/// Scores every row of a split; `name` is `validation` or `test`. `collector` sees what experts and gates do on
/// [`BLOCKS_LOOKED_INTO`] blocks of rows.
///
/// Labels, users and truth of one task are in memory at a time; logits of many rows wait for their turn in files.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: &'static str,
    detail: Detail,
    collector: Option<&mut Collector>,
) -> Result<Evaluation, TrainError> {
    let mut logits = score(network, split, collector)?;
    let mut scores = Vec::with_capacity(2 * network.layout().tasks.len());
    for (task, task_name) in network.layout().tasks.iter().enumerate() {
        let is_regression = network.is_regression(task);
        let of_detail = detail == Detail::All;
        let rows = Rows {
            is_regression,
            logits: logits.take(task).map_err(TrainError::Scores)?,
            labels: split.labels(task),
            users: match of_detail && !is_regression {
                true => split.users(),
                false => Vec::new(),
            },
            truth: match of_detail {
                true => split.true_scores(task).unwrap_or_default(),
                false => Vec::new(),
            },
        }
        .observed();
        let mut values = rows.of_selection();
        if of_detail {
            values.extend(rows.of_detail());
        }
        scores.extend(values.into_iter().map(|(metric, value)| Score {
            split: name,
            task: task_name.clone(),
            metric,
            value,
            rows: rows.labels.len(),
            positives: rows.positives(),
        }));
    }
    Ok(Evaluation { scores })
}

fn score(
    network: &Network,
    split: &Split,
    mut collector: Option<&mut Collector>,
) -> Result<LogitSpill, TrainError> {
    let num_rows = split.num_rows();
    let mut logits = LogitSpill::new(num_rows, network.layout().tasks.len());
    let mut batch = Batch::default();
    for (block, start) in (0..num_rows).step_by(BLOCK_ROWS).enumerate() {
        let end = num_rows.min(start + BLOCK_ROWS);
        split
            .read(start..end, &mut batch)
            .map_err(TrainError::Data)?;
        let is_seen = collector.is_some() && block < BLOCKS_LOOKED_INTO;
        let mut trace = is_seen.then(Trace::default);
        let scores = network.scores(&batch, trace.as_mut())?;
        if let (Some(collector), Some(trace)) = (&mut collector, &trace) {
            collector.add(trace)?;
        }
        logits.append(&scores).map_err(TrainError::Scores)?;
        // A large split must not stay in memory because it was scored once.
        split.release(start..end);
    }
    Ok(logits)
}

/// A task's rows.
#[derive(Debug, PartialEq)]
struct Rows {
    /// Whether labels are numbers, and logits predictions of them.
    is_regression: bool,
    logits: Vec<f32>,
    labels: Vec<f32>,
    /// Empty where rows have no user.
    users: Vec<u32>,
    /// True logits, or expected labels of a regression; empty where they are not known.
    truth: Vec<f32>,
}

type Metrics = Vec<(&'static str, Option<f64>)>;

impl Rows {
    /// The rows that observe the task: those whose label is not NaN.
    fn observed(self) -> Self {
        if !self.labels.iter().any(|label| label.is_nan()) {
            return self;
        }
        fn keep<T: Copy>(values: &[T], labels: &[f32]) -> Vec<T> {
            let rows = values.iter().zip(labels);
            rows.filter(|(_, label)| !label.is_nan())
                .map(|(value, _)| *value)
                .collect()
        }
        Self {
            is_regression: self.is_regression,
            logits: keep(&self.logits, &self.labels),
            users: keep(&self.users, &self.labels),
            truth: keep(&self.truth, &self.labels),
            labels: keep(&self.labels, &self.labels),
        }
    }

    /// Rows of the positive class, where there are classes.
    fn positives(&self) -> Option<usize> {
        let positives = self.labels.iter().filter(|label| **label > 0.5);
        (!self.is_regression).then(|| positives.count())
    }

    fn of_selection(&self) -> Metrics {
        let (logits, labels) = (&self.logits, &self.labels);
        match self.is_regression {
            true => vec![
                ("r_squared", metric::r_squared(logits, labels)),
                ("mse", metric::mean_squared_error(logits, labels)),
            ],
            false => vec![
                ("auc", metric::auc(logits, labels)),
                ("log_loss", metric::log_loss(logits, labels)),
            ],
        }
    }

    fn of_detail(&self) -> Metrics {
        match self.is_regression {
            true => self.of_regression(),
            false => self.of_probabilities(),
        }
    }

    fn of_regression(&self) -> Metrics {
        if self.truth.is_empty() {
            return Vec::new();
        }
        let best = metric::mean_squared_error(&self.truth, &self.labels);
        let found = metric::mean_squared_error(&self.logits, &self.labels);
        let regret = found.zip(best).map(|(found, best)| found - best);
        vec![("best_mse", best), ("mse_regret", regret)]
    }

    fn of_probabilities(&self) -> Metrics {
        let (logits, labels) = (&self.logits, &self.labels);
        let error = metric::expected_calibration_error(logits, labels, CALIBRATION_BINS);
        let mut values = vec![
            (
                "normalised_entropy",
                metric::normalised_entropy(logits, labels),
            ),
            ("calibration", metric::calibration(logits, labels)),
            ("expected_calibration_error", error),
        ];
        if !self.users.is_empty() {
            let within = metric::grouped_auc(logits, labels, &self.users);
            values.extend([
                ("gauc", within.weighted),
                ("gauc_unweighted", within.unweighted),
                ("gauc_users", Some(within.num_groups as f64)),
                ("gauc_users_left_out", Some(within.num_left_out as f64)),
            ]);
        }
        if !self.truth.is_empty() {
            let best = metric::auc(&self.truth, labels);
            let regret = best
                .zip(metric::auc(logits, labels))
                .map(|(best, auc)| best - auc);
            values.extend([("best_auc", best), ("auc_regret", regret)]);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(logits: &[f32], labels: &[f32], users: &[u32]) -> Rows {
        Rows {
            is_regression: false,
            logits: logits.to_vec(),
            labels: labels.to_vec(),
            users: users.to_vec(),
            truth: Vec::new(),
        }
    }

    #[test]
    fn rows_that_do_not_observe_a_task_are_not_scored() {
        let all = rows(&[0.5, 1.0, -1.0], &[1.0, f32::NAN, 0.0], &[7, 8, 9]);
        assert_eq!(all.observed(), rows(&[0.5, -1.0], &[1.0, 0.0], &[7, 9]));
        let none = rows(&[0.5], &[f32::NAN], &[]).observed();
        assert!(none.logits.is_empty());
        let values = none.of_selection().into_iter().chain(none.of_detail());
        assert!(values.into_iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn a_regression_has_its_own_metrics_and_no_positives() {
        let rows = Rows {
            is_regression: true,
            truth: vec![1.0, 2.0, 3.0],
            ..rows(&[1.5, 2.5, 3.5], &[1.0, 2.0, 6.0], &[])
        };
        let found: Metrics = rows
            .of_selection()
            .into_iter()
            .chain(rows.of_detail())
            .collect();
        let value = |name| found.iter().find(|(metric, _)| *metric == name).unwrap().1;
        assert_eq!(value("mse"), Some((0.25 + 0.25 + 6.25) / 3.0));
        assert_eq!(value("best_mse"), Some(3.0));
        assert_eq!(value("mse_regret"), Some((0.25 + 0.25 + 6.25) / 3.0 - 3.0));
        assert!((value("r_squared").unwrap() - (1.0 - 6.75 / 14.0)).abs() < 1e-12);
        assert_eq!(found.len(), 4);
        assert_eq!(rows.positives(), None);
    }

    #[test]
    fn selection_puts_auc_on_the_scale_of_r_squared_where_there_are_both_and_is_by_losses_where_neither_is()
     {
        let score = |(metric, value)| Score {
            split: "validation",
            task: "any".to_owned(),
            metric,
            value,
            rows: 1,
            positives: None,
        };
        let of = |scores: &[(&'static str, Option<f64>)]| {
            let scores = scores.iter().copied().map(score).collect();
            Evaluation { scores }.selection_score()
        };
        let (auc, loss) = (("auc", Some(0.75)), ("log_loss", Some(9.0)));
        let (r_squared, mse) = (("r_squared", Some(0.25)), ("mse", Some(3.0)));
        assert_eq!(of(&[auc, loss, ("auc", None)]), 0.75);
        assert_eq!(of(&[r_squared, mse]), 0.25);
        assert_eq!(of(&[auc, loss, r_squared, mse]), (0.5 + 0.25) / 2.0);
        assert_eq!(of(&[("auc", None), loss, ("r_squared", None), mse]), -6.0);
        assert_eq!(of(&[]), f64::NEG_INFINITY);
    }

    #[test]
    fn users_of_one_class_are_left_out_and_counted() {
        let found = rows(
            &[1.0, 0.0, 0.0, 1.0, 5.0],
            &[1.0, 0.0, 1.0, 0.0, 1.0],
            &[0, 0, 1, 1, 2],
        )
        .of_detail();
        let value = |name| found.iter().find(|(metric, _)| *metric == name).unwrap().1;
        assert_eq!(value("gauc"), Some(0.5));
        assert_eq!(value("gauc_users"), Some(2.0));
        assert_eq!(value("gauc_users_left_out"), Some(1.0));
    }

    #[test]
    fn the_truth_has_no_regret() {
        let labels = [1.0, 0.0, 1.0, 0.0, 0.0];
        let truth = vec![2.0, 0.0, -1.0, -2.0, -3.0];
        let rows = Rows {
            truth: truth.clone(),
            ..rows(&truth, &labels, &[])
        };
        let found = rows.of_detail();
        assert!(found.contains(&("auc_regret", Some(0.0))), "{found:?}");
    }
}
