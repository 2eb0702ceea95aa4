//! Scoring of a split with the weights as they are.

use super::inspect::{Collector, Moment};
use super::logit_spill::LogitSpill;
use super::network::Network;
use super::selection::{TaskValue, selection_score};
use super::{Score, SplitName, TrainError};
use homebench_data::{Batch, Split};
use homebench_metric::Rows;
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
    /// What selection goes by.
    pub(super) fn selection_score(&self, is_trained: impl Fn(&str) -> bool) -> Option<f64> {
        let scores = self.scores.iter();
        let scores: Vec<TaskValue<'_>> = scores
            .map(|score| (score.task.as_str(), score.metric, score.value))
            .collect();
        selection_score(&scores, is_trained)
    }

    /// Refuses a score that is neither absent nor finite.
    fn check(&self, moment: Moment) -> Result<(), TrainError> {
        for score in &self.scores {
            if let Some(value) = score.value.filter(|value| !value.is_finite()) {
                return Err(TrainError::ScoreNotFinite {
                    task: score.task.clone(),
                    metric: score.metric.name(),
                    split: score.split.name(),
                    value,
                    step: moment.step,
                    epoch: moment.epoch,
                });
            }
        }
        Ok(())
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
///
/// # Errors
/// A prediction or a score that is not finite, with task, split and row; data or temporary files that can't be read.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: SplitName,
    detail: Detail,
    moment: Moment,
    collector: Option<&mut Collector>,
) -> Result<Evaluation, TrainError> {
    let mut logits = score(network, split, name, moment, collector)?;
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
    let evaluation = Evaluation { scores };
    evaluation.check(moment)?;
    Ok(evaluation)
}

fn score(
    network: &Network,
    split: &Split,
    name: SplitName,
    moment: Moment,
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
        // Before the collector, whose numbers would only say what follows from this.
        check_predictions(network, &scores, &batch, start, name, moment)?;
        if let (Some(collector), Some(trace)) = (&mut collector, &trace) {
            collector.add(trace)?;
        }
        logits.append(&scores).map_err(TrainError::Scores)?;
        // A large split must not stay in memory because it was scored once.
        split.release(start..end);
    }
    Ok(logits)
}

/// Refuses a prediction that is not finite: of a task that is not observed on the row as well, since the weights that give it are broken.
fn check_predictions(
    network: &Network,
    scores: &[f32],
    batch: &Batch,
    first_row: usize,
    split: SplitName,
    moment: Moment,
) -> Result<(), TrainError> {
    let Some(place) = scores.iter().position(|score| !score.is_finite()) else {
        return Ok(());
    };
    let tasks = &network.layout().tasks;
    let (row, task) = (place / tasks.len(), place % tasks.len());
    let num_numeric = batch.numeric.len() / batch.num_rows;
    let mut inputs = batch.numeric.iter().skip(row * num_numeric);
    let not_finite = (inputs.by_ref().take(num_numeric)).find(|input| !input.is_finite());
    Err(TrainError::PredictionNotFinite {
        task: tasks[task].clone(),
        split: split.name(),
        row: first_row + row,
        value: scores[place],
        input: not_finite.copied(),
        step: moment.step,
        epoch: moment.epoch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_metric::Metric;

    fn score(task: &str, metric: Metric, value: Option<f64>) -> Score {
        Score {
            split: SplitName::Validation,
            task: task.to_owned(),
            metric,
            value,
            rows: 1,
            positives: None,
        }
    }

    #[test]
    fn selection_puts_auc_on_the_scale_of_r_squared_where_there_are_both_and_is_by_losses_where_neither_is()
     {
        let of = |scores: &[(Metric, Option<f64>)]| {
            let scores = scores.iter().copied();
            let scores = scores.map(|(metric, value)| score("any", metric, value));
            let scores = scores.collect();
            Evaluation { scores }.selection_score(|_| true)
        };
        let (auc, loss) = ((Metric::Auc, Some(0.75)), (Metric::LogLoss, Some(9.0)));
        let (r_squared, mse) = (
            (Metric::RSquared, Some(0.25)),
            (Metric::MeanSquaredError, Some(3.0)),
        );
        assert_eq!(of(&[auc, loss, (Metric::Auc, None)]), Some(0.75));
        assert_eq!(of(&[r_squared, mse]), Some(0.25));
        assert_eq!(of(&[auc, loss, r_squared, mse]), Some((0.5 + 0.25) / 2.0));
        assert_eq!(
            of(&[(Metric::Auc, None), loss, (Metric::RSquared, None), mse]),
            Some(-6.0)
        );
        assert_eq!(of(&[(Metric::Auc, None), (Metric::LogLoss, None)]), None);
    }

    #[test]
    fn a_task_that_is_not_trained_has_no_say_in_selection() {
        let scores = vec![
            score("click", Metric::Auc, Some(0.75)),
            score("like", Metric::Auc, Some(0.25)),
            // Where it would be the only one of numbers, it puts no scale on the others either.
            score("watch", Metric::RSquared, Some(0.5)),
        ];
        let evaluation = Evaluation { scores };
        assert_eq!(
            evaluation.selection_score(|task| task == "click"),
            Some(0.75)
        );
        assert_eq!(
            evaluation.selection_score(|task| task == "like"),
            Some(0.25)
        );
        assert_eq!(
            evaluation.selection_score(|task| task != "watch"),
            Some(0.5)
        );
        assert_eq!(evaluation.selection_score(|_| false), None);
    }

    #[test]
    fn an_infinite_score_is_refused_and_an_absent_one_is_not() {
        let moment = Moment { epoch: 2, step: 9 };
        let of = |value| {
            let scores = vec![score("watch", Metric::MeanSquaredError, value)];
            Evaluation { scores }.check(moment)
        };
        assert!(of(None).is_ok() && of(Some(0.5)).is_ok());
        let said = of(Some(f64::INFINITY)).unwrap_err().to_string();
        assert_eq!(
            said,
            "the mse of the task `watch` became inf on the validation split (after step 9, epoch 2) while every prediction \
             is finite: a label of the split is not, or is too large"
        );
    }
}
