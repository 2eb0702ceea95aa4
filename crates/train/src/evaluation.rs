//! Scoring of a split with the weights as they are.

use super::inspect::Collector;
use super::logit_spill::LogitSpill;
use super::network::Network;
use super::{Score, SplitName, TrainError};
use homebench_data::{Batch, Split};
use homebench_metric::{Metric, Rows};
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
        let values = |metric: Metric| -> Vec<f64> {
            let scores = self.scores.iter().filter(|score| score.metric == metric);
            scores.filter_map(|score| score.value).collect()
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

/// Scores every row of the split of this name. `collector` sees what experts and gates do on
/// [`BLOCKS_LOOKED_INTO`] blocks of rows.
///
/// Labels, users and truth of one task are in memory at a time; logits of many rows wait for their turn in files.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: SplitName,
    detail: Detail,
    collector: Option<&mut Collector>,
) -> Result<Evaluation, TrainError> {
    let mut logits = score(network, split, collector)?;
    let mut scores = Vec::with_capacity(2 * network.layout().tasks.len());
    for (task, task_name) in network.layout().tasks.iter().enumerate() {
        let is_regression = network.is_regression(task);
        let of_detail = detail == Detail::All;
        let rows = Rows::observed(
            is_regression,
            logits.take(task).map_err(TrainError::Scores)?,
            split.labels(task),
            match of_detail && !is_regression {
                true => split.users(),
                false => Vec::new(),
            },
            match of_detail {
                true => split.true_scores(task).unwrap_or_default(),
                false => Vec::new(),
            },
        );
        let values = rows.scores(|metric| of_detail || metric.is_in_curves());
        scores.extend(values.into_iter().map(|(metric, value)| Score {
            split: name,
            task: task_name.clone(),
            metric,
            value,
            rows: rows.num_rows(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_puts_auc_on_the_scale_of_r_squared_where_there_are_both_and_is_by_losses_where_neither_is()
     {
        let score = |(metric, value)| Score {
            split: SplitName::Validation,
            task: "any".to_owned(),
            metric,
            value,
            rows: 1,
            positives: None,
        };
        let of = |scores: &[(Metric, Option<f64>)]| {
            let scores = scores.iter().copied().map(score).collect();
            Evaluation { scores }.selection_score()
        };
        let (auc, loss) = ((Metric::Auc, Some(0.75)), (Metric::LogLoss, Some(9.0)));
        let (r_squared, mse) = (
            (Metric::RSquared, Some(0.25)),
            (Metric::MeanSquaredError, Some(3.0)),
        );
        assert_eq!(of(&[auc, loss, (Metric::Auc, None)]), 0.75);
        assert_eq!(of(&[r_squared, mse]), 0.25);
        assert_eq!(of(&[auc, loss, r_squared, mse]), (0.5 + 0.25) / 2.0);
        assert_eq!(
            of(&[(Metric::Auc, None), loss, (Metric::RSquared, None), mse]),
            -6.0
        );
        assert_eq!(of(&[]), f64::NEG_INFINITY);
    }
}
