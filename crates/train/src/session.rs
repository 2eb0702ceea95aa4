//! The training of one cell, from fresh weights to the one reading of the test split.

use super::checkpoint::{self, Checkpoint, Position, Selected};
use super::evaluation::{Detail, Evaluation, evaluate, score};
use super::inspect::{Collector, Diagnostics, GradientNorms, Moment};
use super::loader::{Loaded, batches, for_each_batch};
use super::network::{Losses, Network, Step, StepLoss};
use super::order::Order;
use super::scoring::{Scored, SplitScoring};
use super::selection::{TaskValue, is_better};
use super::{
    CellResult, CellSettings, CurvePoint, Keeper, Observer, Progress, SelectionConfig, SplitName,
    TrainError, TrainingConfig, warm_start,
};
use anyhow::anyhow;
use candle_core::{Device, Tensor};
use homebench_data::seal::{FinalPhase, FrozenSelection};
use homebench_data::{Prepared, SealedSplit, Split};
use homebench_metric::Metric;
use homebench_model::ModelConfig;
use std::time::{Duration, Instant};

/// Least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Steps after which the losses of a device are waited for.
// Waiting for each would keep a device from running ahead. A loss that is no number is found out up
// to so many steps late.
const UNREAD_LOSSES: usize = 64;

/// State of a training under way. What the next step and the records depend on is in the fields before `training` and in
/// `gradient_norms`, and that is what a checkpoint keeps.
struct Session<'a> {
    network: Network,
    curves: Vec<CurvePoint>,
    /// The best weights so far.
    selected: Option<Selected>,
    diagnostics: Diagnostics,
    position: Position,
    training: &'a TrainingConfig,
    selection: &'a SelectionConfig,
    scored: &'a Scored<'a>,
    /// The last epoch.
    end: usize,
    observer: &'a mut dyn Observer,
    keeper: &'a mut dyn Keeper,
    /// Of experts since the last evaluation, where diagnostics are wanted.
    gradient_norms: Option<GradientNorms>,
    /// Steps of all epochs, whether or not training stops before.
    total_steps: usize,
    seed: u64,
    start: Instant,
    /// What the checkpoint had of `position.total_seconds`.
    earlier_seconds: f64,
    /// Losses of a device that nobody has waited for yet, [losses], each with its step. None are left where a checkpoint is kept.
    unread: Vec<(usize, Tensor)>,
    report: Report,
}

/// What the next report of progress is made of.
struct Report {
    since: Instant,
    rows: usize,
    loss: f64,
    steps: usize,
}

impl Report {
    fn start() -> Self {
        Self {
            since: Instant::now(),
            rows: 0,
            loss: 0.0,
            steps: 0,
        }
    }
}

/// Why an epoch ended early.
enum Stop {
    Error(TrainError),
    Patience,
}

impl<E: Into<TrainError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

pub(super) fn run(
    dataset: Prepared,
    model: &ModelConfig,
    settings: &CellSettings<'_>,
    phase: Option<FinalPhase>,
    device: &Device,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keeper,
) -> Result<CellResult, TrainError> {
    let start = Instant::now();
    // What can't be scored is found out before hours of training.
    let scored = Scored::new(settings, &dataset, phase.is_some())?;
    let CellSettings {
        training,
        selection,
        last_epoch,
        seed,
        start: start_from,
        freeze,
        distill,
        ..
    } = *settings;
    let steps_per_epoch = batches(dataset.train.num_rows(), training.batch_size).len();
    // Nobody looks into the experts of a trial.
    let with_diagnostics = phase.is_some() && observer.wants_diagnostics();
    let build = || {
        let mut network = Network::new(&dataset.schema, model, training, seed, device)?;
        network.check_balance()?;
        network.check_scenarios(&dataset)?;
        if let Some(start) = &start_from {
            warm_start::begin(&network, start)?;
        }
        if !freeze.is_empty() {
            network.freeze(freeze, training)?;
        }
        if let Some(from) = &distill {
            network.distill(&dataset.schema, from, seed)?;
        }
        let norms = with_diagnostics.then(|| network.gradient_norms());
        Ok((network, norms))
    };
    let end = last_epoch.unwrap_or(training.max_epochs);
    let (network, gradient_norms, resumed) = resume(keeper, end, build)?;
    let mut session = Session {
        network,
        gradient_norms,
        earlier_seconds: resumed.position.total_seconds,
        diagnostics: resumed.diagnostics,
        curves: resumed.curves,
        selected: resumed.selected,
        position: resumed.position,
        training,
        selection,
        scored: &scored,
        end,
        observer,
        keeper,
        // Early stopping ends a training long before so many steps; a total that wraps around would end a cosine at once.
        total_steps: steps_per_epoch.saturating_mul(training.max_epochs),
        seed,
        start,
        unread: Vec::new(),
        report: Report::start(),
    };
    session.observer.curves(&session.curves);
    // What went on from a training that its patience ended has nothing left to do.
    while session.position.epoch <= end && !session.is_out_of_patience() {
        match session.run_epoch(&dataset) {
            Ok(()) => {}
            Err(Stop::Patience) => break,
            Err(Stop::Error(error)) => return Err(error),
        }
        if session.position.epoch == end {
            break;
        }
        session.position.epoch += 1;
        session.position.batches_done = 0;
    }
    if last_epoch.is_some() {
        session.keep()?;
    }
    session.finish(dataset, phase)
}

/// The network with what was kept of its training, or at the beginning.
fn resume(
    keeper: &mut dyn Keeper,
    end: usize,
    build: impl Fn() -> Result<(Network, Option<GradientNorms>), TrainError>,
) -> Result<(Network, Option<GradientNorms>, Checkpoint), TrainError> {
    let (mut network, mut norms) = build()?;
    let Some(mut file) = keeper.kept() else {
        return Ok((network, norms, Checkpoint::fresh()));
    };
    let read = checkpoint::read(&mut file, keeper.key(), &mut network, norms.as_mut());
    let read = read.and_then(|read| match read.position.epoch <= end {
        true => Ok(read),
        // Of a later rung of the same trial.
        false => Err(anyhow!(
            "it is of epoch {}, after the last",
            read.position.epoch
        )),
    });
    match read {
        Ok(checkpoint) => Ok((network, norms, checkpoint)),
        Err(error) => {
            keeper.refused(&format!("{error:#}"));
            (network, norms) = build()?;
            Ok((network, norms, Checkpoint::fresh()))
        }
    }
}

impl Session<'_> {
    /// What is left of the epoch.
    fn run_epoch(&mut self, dataset: &Prepared) -> Result<(), Stop> {
        let rows = batches(dataset.train.num_rows(), self.training.batch_size);
        // Evaluations at equal distances, the last at the end of the epoch.
        let parts = self.training.evaluations_per_epoch.min(rows.len()).max(1);
        // More than 0 where a checkpoint was kept inside the epoch.
        let first = self.position.batches_done.min(rows.len());
        let mut rows_done: usize = rows[..first].iter().map(ExactSizeIterator::len).sum();
        // Where an epoch is gone on with, the evaluations that it had are behind it.
        let mut next = first * parts / rows.len().max(1) + 1;
        let train = &dataset.train;
        let order = Order::new(train.num_rows(), self.seed, self.position.epoch);
        let device = self.network.device().clone();
        for_each_batch(train, order, &rows[first..], &device, |loaded| {
            self.train_on(loaded)?;
            rows_done += loaded.batch.num_rows;
            self.position.batches_done += 1;
            self.maybe_report(rows_done, train.num_rows())?;
            if self.position.batches_done * parts >= next * rows.len() {
                next += 1;
                self.evaluate(dataset)?;
            }
            self.maybe_keep()
        })
    }

    fn train_on(&mut self, loaded: &mut Loaded) -> Result<(), TrainError> {
        let start = Instant::now();
        let step = self.position.step;
        let num_rows = loaded.batch.num_rows;
        let loss = self.network.step(
            loaded,
            self.training,
            &Step {
                index: step as u64,
                rate_factor: self.training.schedule.factor(step, self.total_steps),
                seed: self.seed,
                epoch: self.position.epoch,
            },
            self.gradient_norms.as_mut(),
        )?;
        let position = &mut self.position;
        position.train_seconds += start.elapsed().as_secs_f64();
        position.step += 1;
        position.train_rows += num_rows;
        self.report.rows += num_rows;
        let step = position.step;
        match loss {
            StepLoss::Known(losses) => self.take_loss(step, losses),
            StepLoss::OnDevice(losses) => {
                self.unread.push((step, losses));
                match self.unread.len() < UNREAD_LOSSES {
                    true => Ok(()),
                    false => self.read_losses(),
                }
            }
        }
    }

    /// Waits for the device, where there is one, and takes its losses.
    fn read_losses(&mut self) -> Result<(), TrainError> {
        let unread = std::mem::take(&mut self.unread);
        if unread.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let losses: Vec<&Tensor> = unread.iter().map(|(_, loss)| loss).collect();
        let losses = Tensor::stack(&losses, 0)?.to_vec2::<f32>()?;
        self.position.train_seconds += start.elapsed().as_secs_f64();
        for ((step, _), losses) in unread.iter().zip(losses) {
            self.take_loss(*step, self.network.losses(&losses))?;
        }
        Ok(())
    }

    fn take_loss(&mut self, step: usize, losses: Losses) -> Result<(), TrainError> {
        let position = &mut self.position;
        let loss = losses.total();
        if !loss.is_finite() {
            return Err(TrainError::LossNotFinite {
                step,
                epoch: position.epoch,
                loss,
                last_finite_loss: position.last_finite_loss,
            });
        }
        position.last_finite_loss = Some(loss);
        position.loss_sum += losses.of_tasks;
        position.loss_count += 1;
        if let Some(auxiliary) = losses.auxiliary {
            *position.auxiliary_sum.get_or_insert(0.0) += auxiliary;
        }
        if let Some(distillation) = losses.distillation {
            *position.distillation_sum.get_or_insert(0.0) += distillation;
        }
        self.report.loss += loss;
        self.report.steps += 1;
        Ok(())
    }

    /// Keeps the state where it is time for that, and ends the training where that is asked for.
    fn maybe_keep(&mut self) -> Result<(), Stop> {
        if self.keeper.is_due(self.position.step) {
            self.keep()?;
        }
        match self.keeper.is_stopping() {
            true => Err(Stop::Error(TrainError::Stopped)),
            false => Ok(()),
        }
    }

    fn keep(&mut self) -> Result<(), TrainError> {
        self.read_losses()?;
        if let Some(norms) = &mut self.gradient_norms {
            norms.settle()?;
        }
        self.position.total_seconds = self.total_seconds();
        let state = checkpoint::State {
            position: &self.position,
            curves: &self.curves,
            selected: self.selected.as_ref(),
            diagnostics: &self.diagnostics,
            gradient_norms: self.gradient_norms.as_ref(),
        };
        let (network, key) = (&mut self.network, self.keeper.key().to_owned());
        self.keeper
            .keep(&mut |out| checkpoint::write(out, &key, network, &state));
        Ok(())
    }

    fn is_out_of_patience(&self) -> bool {
        self.position.evaluations_without_gain >= self.training.patience
    }

    fn total_seconds(&self) -> f64 {
        self.earlier_seconds + self.start.elapsed().as_secs_f64()
    }

    fn maybe_report(&mut self, rows_done: usize, rows_total: usize) -> Result<(), TrainError> {
        if self.report.since.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        self.read_losses()?;
        let elapsed = self.report.since.elapsed();
        self.observer.progress(&Progress {
            epoch: self.position.epoch,
            max_epochs: self.end,
            rows_done,
            rows_total,
            rows_per_second: self.report.rows as f64 / elapsed.as_secs_f64(),
            loss: self.report.loss / self.report.steps.max(1) as f64,
            best_validation_score: self.selected.as_ref().map(|selected| selected.score),
        });
        self.report = Report::start();
        Ok(())
    }

    /// Scores the validation split, keeps the weights if they are the best, and says when patience is over.
    fn evaluate(&mut self, dataset: &Prepared) -> Result<(), Stop> {
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
    fn finish(
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
            flops_per_row: self.network.model().flops_per_row(),
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
pub(super) fn open_test(
    test: SealedSplit,
    selected_epoch: usize,
    phase: FinalPhase,
) -> Result<Split, TrainError> {
    let selection = FrozenSelection::freeze(selected_epoch, phase);
    test.open(&selection).map_err(TrainError::Data)
}

/// Shows `observer` what selected weights put out for the splits that it wants.
pub(super) fn predict(
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
