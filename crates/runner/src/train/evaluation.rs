//! Scoring of a split with the weights as they are.

use super::diagnostics::Collector;
use super::network::Network;
use super::{Score, TrainError};
use crate::data::{Batch, Split};
use crate::metric;
use homebench_model::Trace;

/// Rows scored at a time.
const BLOCK_ROWS: usize = 4096;

/// Blocks that a collector sees of a split, the first ones. Looking into every row would cost small models a tenth of their
/// training time.
const BLOCKS_LOOKED_INTO: usize = 1;

/// Scores of every task.
pub(super) struct Evaluation {
    pub(super) scores: Vec<Score>,
}

impl Evaluation {
    /// Mean AUC over the tasks that have one; where none has, minus the mean log-loss, so that larger is better either way.
    pub(super) fn selection_score(&self) -> f64 {
        let mean = |metric: &str| {
            let values: Vec<f64> = self
                .scores
                .iter()
                .filter(|score| score.metric == metric)
                .filter_map(|score| score.value)
                .collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        mean("auc")
            .or_else(|| mean("log_loss").map(|loss| -loss))
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

/// Logits and labels of a split, by task, and the users of its rows.
struct Scored {
    logits: Vec<Vec<f32>>,
    labels: Vec<Vec<f32>>,
    users: Vec<u32>,
}

/// Scores every row of a split; `name` is `validation` or `test`. `collector` sees what experts and gates do on
/// [`BLOCKS_LOOKED_INTO`] blocks of rows.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: &'static str,
    detail: Detail,
    collector: Option<&mut Collector>,
) -> Result<Evaluation, TrainError> {
    let tasks = &network.layout().tasks;
    let Scored {
        logits,
        labels,
        users,
    } = score(network, split, collector)?;
    let mut scores = Vec::with_capacity(2 * tasks.len());
    for (task, (logits, labels)) in logits.into_iter().zip(labels).enumerate() {
        let truth = match detail {
            Detail::All => split.true_logits(task),
            Detail::Selection => None,
        };
        let rows = Rows {
            logits,
            truth: truth.unwrap_or_default(),
            users: match detail {
                Detail::All => users.clone(),
                Detail::Selection => Vec::new(),
            },
            labels,
        }
        .observed();
        let positives = rows.labels.iter().filter(|label| **label > 0.5).count();
        let mut values = rows.of_selection();
        if detail == Detail::All {
            values.extend(rows.of_detail());
        }
        scores.extend(values.into_iter().map(|(metric, value)| Score {
            split: name,
            task: tasks[task].clone(),
            metric,
            value,
            rows: rows.labels.len(),
            positives,
        }));
    }
    Ok(Evaluation { scores })
}

fn score(
    network: &Network,
    split: &Split,
    mut collector: Option<&mut Collector>,
) -> Result<Scored, TrainError> {
    let num_tasks = network.layout().tasks.len();
    let num_rows = split.num_rows();
    let mut logits: Vec<Vec<f32>> = vec![Vec::with_capacity(num_rows); num_tasks];
    let mut labels = logits.clone();
    let mut users = Vec::new();
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
        for (task, column) in logits.iter_mut().enumerate() {
            column.extend(scores.iter().skip(task).step_by(num_tasks));
        }
        for (task, column) in labels.iter_mut().enumerate() {
            column.extend(batch.labels.iter().skip(task).step_by(num_tasks));
        }
        users.extend_from_slice(&batch.users);
    }
    Ok(Scored {
        logits,
        labels,
        users,
    })
}

/// A task's rows.
#[derive(Debug, PartialEq)]
struct Rows {
    logits: Vec<f32>,
    labels: Vec<f32>,
    /// Empty where rows have no user.
    users: Vec<u32>,
    /// True logits; empty where they are not known.
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
            logits: keep(&self.logits, &self.labels),
            users: keep(&self.users, &self.labels),
            truth: keep(&self.truth, &self.labels),
            labels: keep(&self.labels, &self.labels),
        }
    }

    fn of_selection(&self) -> Metrics {
        vec![
            ("auc", metric::auc(&self.logits, &self.labels)),
            ("log_loss", metric::log_loss(&self.logits, &self.labels)),
        ]
    }

    fn of_detail(&self) -> Metrics {
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
