//! Scoring of a split with the weights as they are.

use super::network::Network;
use super::{Score, TrainError};
use crate::data::{Batch, Split};
use crate::metric;

/// Rows scored at a time.
const BLOCK_ROWS: usize = 4096;

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

/// Scores every row of a split; `name` is `validation` or `test`.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: &'static str,
) -> Result<Evaluation, TrainError> {
    let tasks = network.tasks();
    let num_rows = split.num_rows();
    let mut logits: Vec<Vec<f32>> = vec![Vec::with_capacity(num_rows); tasks.len()];
    let mut labels = logits.clone();
    let mut batch = Batch::default();
    for start in (0..num_rows).step_by(BLOCK_ROWS) {
        let end = num_rows.min(start + BLOCK_ROWS);
        split
            .read(start..end, &mut batch)
            .map_err(TrainError::Data)?;
        let scores = network.scores(&batch)?;
        for (task, column) in logits.iter_mut().enumerate() {
            column.extend(scores.iter().skip(task).step_by(tasks.len()));
        }
        for (task, column) in labels.iter_mut().enumerate() {
            column.extend(batch.labels.iter().skip(task).step_by(tasks.len()));
        }
    }
    let mut scores = Vec::with_capacity(2 * tasks.len());
    for (task, (logits, labels)) in tasks.iter().zip(logits.into_iter().zip(labels)) {
        let (logits, labels) = observed(logits, labels);
        for (metric, value) in [
            ("auc", metric::auc(&logits, &labels)),
            ("log_loss", metric::log_loss(&logits, &labels)),
        ] {
            scores.push(Score {
                split: name,
                task: task.clone(),
                metric,
                value,
                rows: labels.len(),
                positives: labels.iter().filter(|label| **label > 0.5).count(),
            });
        }
    }
    Ok(Evaluation { scores })
}

/// The rows that observe a task: those whose label is not NaN.
fn observed(logits: Vec<f32>, labels: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    if !labels.iter().any(|label| label.is_nan()) {
        return (logits, labels);
    }
    let rows = logits.into_iter().zip(labels);
    rows.filter(|(_, label)| !label.is_nan()).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_observe_a_task_are_not_scored() {
        let (logits, labels) = observed(vec![0.5, 1.0, -1.0], vec![1.0, f32::NAN, 0.0]);
        assert_eq!((logits, labels), (vec![0.5, -1.0], vec![1.0, 0.0]));
        let (logits, labels) = observed(vec![0.5], vec![f32::NAN]);
        assert!(logits.is_empty() && labels.is_empty());
        assert_eq!(metric::auc(&logits, &labels), None);
        assert_eq!(metric::log_loss(&logits, &labels), None);
    }
}
