//! The training of one cell, from fresh weights to the one reading of the test split.

mod scores;

pub(super) use scores::{open_test, predict};

use super::checkpoint::{self, Checkpoint, Position, Selected};
use super::inspect::{Diagnostics, GradientNorms};
use super::loader::{Loaded, batches, for_each_batch};
use super::network::{Losses, Network, Step, StepLoss};
use super::order::Order;
use super::scoring::Scored;
use super::{
    CellResult, CellSettings, CurvePoint, Keeper, Observer, Progress, SelectionConfig, TrainError,
    TrainingConfig, pretrained, warm_start,
};
use anyhow::anyhow;
use candle_core::{Device, Tensor};
use homebench_data::Prepared;
use homebench_data::seal::FinalPhase;
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
        pretrained::begin(&network, model, training, &dataset.pretrained)?;
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
}
