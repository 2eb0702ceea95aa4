//! Scoring of a split with the weights as they are.

use super::inspect::{Collector, Moment};
use super::logit_spill::LogitSpill;
use super::network::Network;
use super::scoring::SplitScoring;
use super::selection::TaskValue;
use super::{CohortScore, Observer, PredictedBlock, Score, SelectionConfig, SplitName, TrainError};
use homebench_data::{Batch, Split};
use homebench_metric::{Inputs, Metric, Needs, Rows};
use homebench_model::Trace;

/// Rows scored at a time.
// Experts are looked into on whole blocks, and METHODOLOGY says on which rows: the first 4,096.
// Scores don't depend on it, since a row's logits don't depend on the rows beside it.
const BLOCK_ROWS: usize = 4096;

/// Blocks that a collector sees of a split, the first ones. Looking into every row would cost small models a tenth of their
/// training time.
const BLOCKS_LOOKED_INTO: usize = 1;

/// Scores of every task.
#[derive(Default)]
pub(super) struct Evaluation {
    pub(super) scores: Vec<Score>,
    pub(super) cohorts: Vec<CohortScore>,
}

impl Evaluation {
    /// What selection goes by; absent where it is undefined.
    pub(super) fn selection_score(
        &self,
        selection: &SelectionConfig,
        is_trained: impl Fn(&str) -> bool,
    ) -> Option<f64> {
        selection.score(&self.values(), is_trained)
    }

    pub(super) fn values(&self) -> Vec<TaskValue<'_>> {
        let scores = self.scores.iter();
        scores
            .map(|score| (score.task.as_str(), score.metric, score.value))
            .collect()
    }

    /// Adds the scores of a task, by its name and whether it is a regression, from what was predicted for the rows of the split.
    pub(super) fn add_task(
        &mut self,
        (split, name): (&Split, SplitName),
        task: usize,
        (task_name, is_regression): (&str, bool),
        predicted: Vec<f32>,
        detail: Detail<'_>,
    ) {
        let inputs = Inputs {
            predictions: predicted,
            labels: split.labels(task),
            ..detail.inputs(split, task, is_regression)
        };
        let of_task = TaskScores {
            split: name,
            task: task_name,
        };
        if let Detail::All(scoring) = detail {
            let cohorts = of_task.cohort_scores(scoring, &inputs);
            self.cohorts.extend(cohorts);
        }
        let scores = of_task.scores(detail.wanted(), inputs);
        self.scores.extend(scores);
    }

    /// Refuses a score that is neither absent nor finite, after so many epochs and steps.
    pub(super) fn check(&self, (epoch, step): (usize, usize)) -> Result<(), TrainError> {
        let of_cohorts = self.cohorts.iter().map(|cohort| &cohort.score);
        for score in self.scores.iter().chain(of_cohorts) {
            if let Some(value) = score.value.filter(|value| !value.is_finite()) {
                return Err(TrainError::ScoreNotFinite {
                    task: score.task.clone(),
                    metric: score.metric.name(),
                    split: score.split.name(),
                    value,
                    step,
                    epoch,
                });
            }
        }
        Ok(())
    }
}

/// Which metrics are computed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Detail<'a> {
    /// Those that curves have, and that by which is selected.
    Selection(&'a SplitScoring),
    /// All that the dataset allows and the spec asks for.
    All(&'a SplitScoring),
}

impl<'a> Detail<'a> {
    fn wanted(self) -> &'a [Metric] {
        match self {
            Self::Selection(scoring) => &scoring.selection_metrics,
            Self::All(scoring) => &scoring.metrics,
        }
    }

    /// Whatever the wanted metrics are computed from beside predictions and labels.
    fn inputs(self, split: &Split, task: usize, is_regression: bool) -> Inputs {
        let needs = |needs: Needs| self.wanted().iter().any(|metric| metric.needs() == needs);
        let (Self::Selection(scoring) | Self::All(scoring)) = self;
        let mut inputs = Inputs {
            is_regression,
            ..Inputs::default()
        };
        if needs(Needs::Truth) {
            inputs.truth = split.true_scores(task).unwrap_or_default();
        }
        if needs(Needs::Weights) {
            inputs.weights.clone_from(&scoring.weights);
        }
        if is_regression {
            return inputs;
        }
        if needs(Needs::Groups) {
            inputs.groups.clone_from(&scoring.groups);
        }
        // Rows are ranked within users where no other groups are named.
        if needs(Needs::Users) || (needs(Needs::Groups) && inputs.groups.is_empty()) {
            inputs.users = split.users();
        }
        inputs
    }
}

/// Scores every row of the split of this name. `collector` sees what experts and gates do on
/// [`BLOCKS_LOOKED_INTO`] blocks of rows.
///
/// `observer`, where one is given, is shown the outputs. Labels, users and truth of one task are in memory at a time; logits of many rows wait for their turn in files.
///
/// # Errors
/// A prediction or a score that is not finite, with task, split and row; data or temporary files that can't be read.
pub(super) fn evaluate(
    network: &Network,
    split: &Split,
    name: SplitName,
    detail: Detail<'_>,
    moment: Moment,
    collector: Option<&mut Collector>,
    observer: Option<&mut dyn Observer>,
) -> Result<Evaluation, TrainError> {
    let mut logits = score(network, split, name, moment, collector, observer)?;
    let mut evaluation = Evaluation::default();
    for (task, task_name) in network.layout().tasks.iter().enumerate() {
        let about = (task_name.as_str(), network.is_regression(task));
        let predicted = logits.take(task).map_err(TrainError::Scores)?;
        evaluation.add_task((split, name), task, about, predicted, detail);
    }
    evaluation.check((moment.epoch, moment.step))?;
    Ok(evaluation)
}

/// The task and the split that rows are scored of.
struct TaskScores<'a> {
    split: SplitName,
    task: &'a str,
}

impl TaskScores<'_> {
    fn scores(&self, wanted: &[Metric], inputs: Inputs) -> Vec<Score> {
        let rows = Rows::observed(wanted, inputs);
        let score = |(metric, value)| Score {
            split: self.split,
            task: self.task.to_owned(),
            metric,
            value,
            rows: rows.num_rows(),
            positives: rows.positives(),
        };
        rows.scores().into_iter().map(score).collect()
    }

    fn cohort_scores(&self, scoring: &SplitScoring, inputs: &Inputs) -> Vec<CohortScore> {
        let mut scores = Vec::new();
        for cohort in &scoring.cohorts {
            for (value, rows) in &cohort.values {
                let of_cohort = self.scores(&scoring.metrics, inputs.of_rows(rows));
                scores.extend(of_cohort.into_iter().map(|score| CohortScore {
                    cohort: cohort.name.clone(),
                    value: value.clone(),
                    score,
                }));
            }
        }
        scores
    }
}

/// Outputs for every row of a split.
///
/// # Errors
/// As of [`evaluate`].
pub(super) fn score(
    network: &Network,
    split: &Split,
    name: SplitName,
    moment: Moment,
    mut collector: Option<&mut Collector>,
    mut observer: Option<&mut dyn Observer>,
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
        if let Some(observer) = &mut observer {
            let block = PredictedBlock {
                split: name,
                rows: split,
                first_row: start,
                batch: &batch,
                outputs: &scores,
            };
            observer
                .predicted(&block)
                .map_err(TrainError::Predictions)?;
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
            Evaluation {
                scores,
                ..Evaluation::default()
            }
            .selection_score(&SelectionConfig::default(), |_| true)
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
        let evaluation = Evaluation {
            scores,
            ..Evaluation::default()
        };
        let default = SelectionConfig::default();
        let of =
            |is_trained: &dyn Fn(&str) -> bool| evaluation.selection_score(&default, is_trained);
        assert_eq!(of(&|task| task == "click"), Some(0.75));
        assert_eq!(of(&|task| task == "like"), Some(0.25));
        assert_eq!(of(&|task| task != "watch"), Some(0.5));
        assert_eq!(of(&|_| false), None);
    }

    #[test]
    fn an_infinite_score_is_refused_and_an_absent_one_is_not() {
        let of = |value| {
            let scores = vec![score("watch", Metric::MeanSquaredError, value)];
            Evaluation {
                scores,
                ..Evaluation::default()
            }
            .check((2, 9))
        };
        assert!(of(None).is_ok() && of(Some(0.5)).is_ok());
        let of_cohort = Evaluation {
            cohorts: vec![CohortScore {
                cohort: "tab".to_owned(),
                value: "1".to_owned(),
                score: score("watch", Metric::MeanSquaredError, Some(f64::INFINITY)),
            }],
            ..Evaluation::default()
        };
        assert!(of_cohort.check((2, 9)).is_err());
        let said = of(Some(f64::INFINITY)).unwrap_err().to_string();
        assert_eq!(
            said,
            "the mse of the task `watch` became inf on the validation split (after step 9, epoch 2) while every prediction \
             is finite: a label of the split is not, or is too large"
        );
    }
}
