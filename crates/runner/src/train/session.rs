//! The training of one cell, from fresh weights to the one reading of the test split.

use super::diagnostics::{Collector, Diagnostics, GradientNorms, Moment};
use super::evaluation::{Detail, Evaluation, evaluate};
use super::loader::{batches, for_each_batch};
use super::network::{Network, Step};
use super::{
    CellResult, CurvePoint, FrozenSelection, Observer, Progress, Score, TrainError, TrainingConfig,
};
use crate::data::{Batch, Prepared, Split};
use crate::spec::FinalPhase;
use candle_core::Tensor;
use homebench_model::ModelConfig;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// The best weights so far.
struct Selected {
    epoch: usize,
    step: usize,
    score: f64,
    weights: BTreeMap<String, Tensor>,
}

/// State of a training under way.
struct Session<'a> {
    network: Network,
    training: &'a TrainingConfig,
    observer: &'a mut dyn Observer,
    curves: Vec<CurvePoint>,
    diagnostics: Diagnostics,
    /// Of experts since the last evaluation, where diagnostics are wanted.
    gradient_norms: Option<GradientNorms>,
    selected: Option<Selected>,
    evaluations_without_gain: usize,
    epoch: usize,
    step: usize,
    /// Steps of all epochs, whether or not training stops before.
    total_steps: usize,
    seed: u64,
    last_finite_loss: Option<f64>,
    /// Sum of losses and their number since the last evaluation.
    losses: (f64, usize),
    train_rows: usize,
    train_time: Duration,
    evaluation_rows: usize,
    evaluation_time: Duration,
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
    training: &TrainingConfig,
    seed: u64,
    phase: Option<FinalPhase>,
    observer: &mut dyn Observer,
) -> Result<CellResult, TrainError> {
    let steps_per_epoch = batches(dataset.train.num_rows(), training.batch_size).len();
    let network = Network::new(&dataset.schema, model, training, seed)?;
    // Nobody looks into the experts of a trial.
    let with_diagnostics = phase.is_some() && observer.wants_diagnostics();
    let mut session = Session {
        gradient_norms: with_diagnostics.then(|| network.gradient_norms()),
        diagnostics: Diagnostics::default(),
        network,
        training,
        observer,
        curves: Vec::new(),
        selected: None,
        evaluations_without_gain: 0,
        epoch: 0,
        step: 0,
        total_steps: steps_per_epoch * training.max_epochs,
        seed,
        last_finite_loss: None,
        losses: (0.0, 0),
        train_rows: 0,
        train_time: Duration::ZERO,
        evaluation_rows: 0,
        evaluation_time: Duration::ZERO,
        report: Report::start(),
    };
    for epoch in 1..=training.max_epochs {
        session.epoch = epoch;
        match session.run_epoch(&dataset) {
            Ok(()) => {}
            Err(Stop::Patience) => break,
            Err(Stop::Error(error)) => return Err(error),
        }
    }
    session.finish(dataset, phase)
}

impl Session<'_> {
    fn run_epoch(&mut self, dataset: &Prepared) -> Result<(), Stop> {
        let num_batches = batches(dataset.train.num_rows(), self.training.batch_size).len();
        // Evaluations at equal distances, the last at the end of the epoch.
        let parts = self.training.evaluations_per_epoch.min(num_batches).max(1);
        let mut done = 0;
        let (mut rows_done, mut next) = (0, 1);
        let (batch_size, epoch, seed) = (self.training.batch_size, self.epoch, self.seed);
        let data = |error| Stop::Error(TrainError::Data(error));
        for_each_batch(&dataset.train, batch_size, seed, epoch, data, |batch| {
            self.train_on(batch)?;
            rows_done += batch.num_rows;
            done += 1;
            self.maybe_report(rows_done, dataset.train.num_rows());
            if done * parts >= next * num_batches {
                next += 1;
                self.evaluate(dataset)?;
            }
            Ok(())
        })
    }

    fn train_on(&mut self, batch: &Batch) -> Result<(), TrainError> {
        let start = Instant::now();
        let loss = self.network.step(
            batch,
            self.training,
            &Step {
                index: self.step as u64,
                rate_factor: self.training.schedule.factor(self.step, self.total_steps),
                seed: self.seed,
            },
            self.gradient_norms.as_mut(),
        )?;
        self.train_time += start.elapsed();
        self.step += 1;
        self.train_rows += batch.num_rows;
        if !loss.is_finite() {
            return Err(TrainError::LossNotFinite {
                step: self.step,
                epoch: self.epoch,
                loss,
                last_finite_loss: self.last_finite_loss,
            });
        }
        self.last_finite_loss = Some(loss);
        self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        self.report.rows += batch.num_rows;
        self.report.loss += loss;
        self.report.steps += 1;
        Ok(())
    }

    fn maybe_report(&mut self, rows_done: usize, rows_total: usize) {
        let elapsed = self.report.since.elapsed();
        if elapsed < REPORT_EVERY {
            return;
        }
        self.observer.progress(&Progress {
            epoch: self.epoch,
            max_epochs: self.training.max_epochs,
            rows_done,
            rows_total,
            rows_per_second: self.report.rows as f64 / elapsed.as_secs_f64(),
            loss: self.report.loss / self.report.steps.max(1) as f64,
            best_validation_score: self.selected.as_ref().map(|selected| selected.score),
        });
        self.report = Report::start();
    }

    /// Scores the validation split, keeps the weights if they are the best, and says when patience is over.
    fn evaluate(&mut self, dataset: &Prepared) -> Result<(), Stop> {
        let start = Instant::now();
        let norms = self.gradient_norms.as_mut().map(GradientNorms::take);
        let layout = self.network.layout();
        let mut collector = norms.is_some().then(|| Collector::new(layout));
        let evaluation = evaluate(
            &self.network,
            &dataset.validation,
            "validation",
            Detail::Selection,
            collector.as_mut(),
        )?;
        if let (Some(collector), Some(norms)) = (collector, norms) {
            let moment = Moment {
                epoch: self.epoch,
                step: self.step,
            };
            collector.finish(moment, &evaluation.scores, &norms, &mut self.diagnostics);
        }
        self.evaluation_time += start.elapsed();
        self.evaluation_rows += dataset.validation.num_rows();
        self.record(&evaluation);
        let score = evaluation.selection_score();
        if self.selected.as_ref().is_none_or(|best| score > best.score) {
            self.evaluations_without_gain = 0;
            self.selected = Some(Selected {
                epoch: self.epoch,
                step: self.step,
                score,
                weights: self.network.variables().snapshot()?,
            });
            return Ok(());
        }
        self.evaluations_without_gain += 1;
        if self.evaluations_without_gain >= self.training.patience {
            return Err(Stop::Patience);
        }
        Ok(())
    }

    fn record(&mut self, evaluation: &Evaluation) {
        let (sum, count) = std::mem::take(&mut self.losses);
        let (epoch, step) = (self.epoch, self.step);
        self.curves.push(CurvePoint {
            epoch,
            step,
            split: "train",
            task: "all".to_string(),
            metric: "loss",
            value: (count > 0).then(|| sum / count as f64),
        });
        self.curves
            .extend(evaluation.scores.iter().map(|score| CurvePoint {
                epoch,
                step,
                split: score.split,
                task: score.task.clone(),
                metric: score.metric,
                value: score.value,
            }));
    }

    /// Restores the selected weights and scores validation with them and, once and in a final cell alone, test.
    fn finish(
        mut self,
        dataset: Prepared,
        phase: Option<FinalPhase>,
    ) -> Result<CellResult, TrainError> {
        let Some(selected) = self.selected.take() else {
            return Err(TrainError::NothingTrained);
        };
        self.network.variables().restore(&selected.weights)?;
        let layout = self.network.layout().clone();
        let mut histograms =
            (self.gradient_norms.is_some()).then(|| Collector::with_histograms(&layout));
        let mut scores = self.score("validation", &dataset.validation, histograms.as_mut())?;
        if let Some(histograms) = histograms {
            let moment = Moment {
                epoch: selected.epoch,
                step: selected.step,
            };
            histograms.finish_histograms(moment, &mut self.diagnostics);
        }
        if let Some(phase) = phase {
            let selection = FrozenSelection {
                selected_epoch: selected.epoch,
                _phase: phase,
            };
            let test = dataset.test.open(&selection).map_err(TrainError::Data)?;
            scores.extend(self.score("test", &test, None)?);
        }
        Ok(CellResult {
            selected_epoch: selected.epoch,
            epochs_run: self.epoch,
            validation_score: selected.score,
            parameters: self.network.variables().num_trained(),
            flops_per_row: self.network.model().flops_per_row(),
            curves: self.curves,
            scores,
            diagnostics: self.diagnostics,
            train_rows: self.train_rows,
            train_seconds: self.train_time.as_secs_f64(),
            evaluation_rows: self.evaluation_rows,
            evaluation_seconds: self.evaluation_time.as_secs_f64(),
            weights: selected.weights,
        })
    }

    /// Every score of a split with the weights as they are.
    fn score(
        &mut self,
        name: &'static str,
        split: &Split,
        collector: Option<&mut Collector>,
    ) -> Result<Vec<Score>, TrainError> {
        let start = Instant::now();
        let evaluation = evaluate(&self.network, split, name, Detail::All, collector)?;
        self.evaluation_time += start.elapsed();
        self.evaluation_rows += split.num_rows();
        Ok(evaluation.scores)
    }
}
