//! What weights are worth: the validation split after each epoch, and every score once the weights are selected.

use super::{Session, Stop};
use crate::checkpoint::Selected;
use crate::evaluation::{Detail, Evaluation, evaluate, score};
use crate::inspect::{Collector, GradientNorms, Moment};
use crate::network::Network;
use crate::scoring::SplitScoring;
use crate::selection::{TaskValue, is_better};
use crate::{CellResult, CurvePoint, Observer, SplitName, TrainError};
use homebench_data::seal::{FinalPhase, FrozenSelection};
use homebench_data::{Prepared, SealedSplit, Split};
use homebench_metric::Metric;
use std::time::Instant;

impl Session<'_> {
    /// Scores the validation split, keeps the weights if they are the best, and says when patience is over.
    pub(super) fn evaluate(&mut self, dataset: &Prepared) -> Result<(), Stop> {
        self.read_losses()?;
        let start = Instant::now();
        let norms = self.gradient_norms.as_mut().map(GradientNorms::take);
        let norms = norms.transpose()?;
        let layout = self.network.layout();
        let mut collector = norms.is_some().then(|| Collector::new(layout));
        let moment = Moment {
            epoch: self.position.epoch,
            step: self.position.step,
        };
        let evaluation = evaluate(
            &self.network,
            &dataset.validation,
            SplitName::Validation,
            Detail::Selection(self.scored.validation()),
            moment,
            collector.as_mut(),
            None,
        )?;
        if let (Some(collector), Some(norms)) = (collector, norms) {
            collector.finish(moment, &evaluation.scores, &norms, &mut self.diagnostics)?;
        }
        self.position.evaluation_seconds += start.elapsed().as_secs_f64();
        self.position.evaluation_rows += dataset.validation.num_rows();
        self.record(&evaluation);
        let is_trained = |task: &str| self.network.is_trained(task);
        let score = evaluation.selection_score(self.selection, is_trained);
        // It is the labels' fault, so that no epoch has a score; another metric than the default's may lack one now and then.
        if score.is_none() && self.selection.is_default() {
            return Err(TrainError::NothingToSelectBy.into());
        }
        let best = self.selected.as_ref().map(|best| best.score);
        if let Some(score) = score.filter(|score| is_better(*score, best)) {
            self.position.evaluations_without_gain = 0;
            self.selected = Some(Selected {
                epoch: self.position.epoch,
                step: self.position.step,
                score,
                weights: self.network.variables().snapshot()?,
            });
            return Ok(());
        }
        self.position.evaluations_without_gain += 1;
        if self.is_out_of_patience() {
            return Err(Stop::Patience);
        }
        Ok(())
    }

    fn record(&mut self, evaluation: &Evaluation) {
        let sum = std::mem::take(&mut self.position.loss_sum);
        let count = std::mem::take(&mut self.position.loss_count);
        let auxiliary = self.position.auxiliary_sum.take();
        let distillation = self.position.distillation_sum.take();
        let (epoch, step) = (self.position.epoch, self.position.step);
        let mut of_training = |metric: Metric, sum: f64| {
            self.curves.push(CurvePoint {
                epoch,
                step,
                split: SplitName::Train,
                task: "all".to_string(),
                metric,
                value: (count > 0).then(|| sum / count as f64),
            });
        };
        of_training(Metric::Loss, sum);
        if let Some(auxiliary) = auxiliary {
            of_training(Metric::AuxiliaryLoss, auxiliary);
        }
        if let Some(distillation) = distillation {
            of_training(Metric::DistillationLoss, distillation);
        }
        self.record_weights();
        self.curves
            .extend(evaluation.scores.iter().map(|score| CurvePoint {
                epoch,
                step,
                split: score.split,
                task: score.task.clone(),
                metric: score.metric,
                value: score.value,
            }));
        self.observer.curves(&self.curves);
    }

    /// The mean weight of each task since the last evaluation, where tasks are balanced.
    fn record_weights(&mut self) {
        let tasks = self.network.layout().tasks.clone();
        let Some(balancer) = self.network.balancer_mut() else {
            return;
        };
        let weights = balancer.take_mean_weights();
        let (epoch, step) = (self.position.epoch, self.position.step);
        let points = tasks.into_iter().zip(weights);
        self.curves.extend(points.map(|(task, value)| CurvePoint {
            epoch,
            step,
            split: SplitName::Train,
            task,
            metric: Metric::LossWeight,
            value,
        }));
    }

    /// Restores the selected weights and scores validation with them and, once and in a final cell alone, test.
    pub(super) fn finish(
        mut self,
        dataset: Prepared,
        phase: Option<FinalPhase>,
    ) -> Result<CellResult, TrainError> {
        let Some(selected) = self.selected.take() else {
            return Err(self.why_nothing_is_selected());
        };
        let scored = self.scored;
        self.network.variables().restore(&selected.weights)?;
        let layout = self.network.layout().clone();
        let mut histograms =
            (self.gradient_norms.is_some()).then(|| Collector::with_histograms(&layout));
        let moment = Moment {
            epoch: selected.epoch,
            step: selected.step,
        };
        let Evaluation {
            mut scores,
            mut cohorts,
        } = self.score(
            SplitName::Validation,
            &dataset.validation,
            scored.validation(),
            moment,
            histograms.as_mut(),
        )?;
        if let Some(histograms) = histograms {
            histograms.finish_histograms(moment, &mut self.diagnostics);
        }
        if let Some(phase) = phase {
            let test = open_test(dataset.test, selected.epoch, phase)?;
            let scoring = scored.test(&test)?;
            let tested = self.score(SplitName::Test, &test, &scoring, moment, None)?;
            scores.extend(tested.scores);
            cohorts.extend(tested.cohorts);
        }
        Ok(CellResult {
            selected_epoch: selected.epoch,
            epochs_run: self.position.epoch,
            validation_score: selected.score,
            parameters: self.network.variables().num_trained(),
            flops_per_row: self.network.flops_per_row(),
            curves: self.curves,
            scores,
            cohorts,
            diagnostics: self.diagnostics,
            train_rows: self.position.train_rows,
            train_seconds: self.position.train_seconds,
            evaluation_rows: self.position.evaluation_rows,
            evaluation_seconds: self.position.evaluation_seconds,
            earlier_seconds: self.earlier_seconds,
            weights: selected.weights,
        })
    }

    /// By the curve, which a training that goes on from a checkpoint has as well.
    fn why_nothing_is_selected(&self) -> TrainError {
        let last = self.curves.iter().map(|point| point.step).max();
        let points = self.curves.iter();
        let points = points.filter(|point| Some(point.step) == last);
        let scores: Vec<TaskValue<'_>> = points
            .filter(|point| point.split == SplitName::Validation)
            .map(|point| (point.task.as_str(), point.metric, point.value))
            .collect();
        let is_trained = |task: &str| self.network.is_trained(task);
        match self.selection.undefined(&scores, is_trained) {
            Some((task, metric)) => TrainError::SelectionUndefined {
                task: task.to_owned(),
                metric: metric.name(),
            },
            None => TrainError::NothingTrained,
        }
    }

    /// Every score of a split with the weights as they are.
    fn score(
        &mut self,
        name: SplitName,
        split: &Split,
        scoring: &SplitScoring,
        moment: Moment,
        collector: Option<&mut Collector>,
    ) -> Result<Evaluation, TrainError> {
        let start = Instant::now();
        let is_wanted = self.observer.wants_predictions(name);
        let observer: Option<&mut dyn Observer> = match is_wanted {
            true => Some(&mut *self.observer),
            false => None,
        };
        let (network, detail) = (&self.network, Detail::All(scoring));
        let evaluation = evaluate(network, split, name, detail, moment, collector, observer)?;
        self.position.evaluation_seconds += start.elapsed().as_secs_f64();
        self.position.evaluation_rows += split.num_rows();
        Ok(evaluation)
    }
}

/// The test split, once nothing is left to choose.
pub(crate) fn open_test(
    test: SealedSplit,
    selected_epoch: usize,
    phase: FinalPhase,
) -> Result<Split, TrainError> {
    let selection = FrozenSelection::freeze(selected_epoch, phase);
    test.open(&selection).map_err(TrainError::Data)
}

/// Shows `observer` what selected weights put out for the splits that it wants.
pub(crate) fn predict(
    dataset: Prepared,
    network: &Network,
    selected_epoch: usize,
    phase: Option<FinalPhase>,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let moment = Moment {
        epoch: selected_epoch,
        step: 0,
    };
    let mut show = |name: SplitName, split: &Split| -> Result<(), TrainError> {
        if observer.wants_predictions(name) {
            score(network, split, name, moment, None, Some(&mut *observer))?;
        }
        Ok(())
    };
    show(SplitName::Validation, &dataset.validation)?;
    match phase {
        Some(phase) => show(
            SplitName::Test,
            &open_test(dataset.test, selected_epoch, phase)?,
        ),
        None => Ok(()),
    }
}
