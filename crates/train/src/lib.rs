//! Training of one cell: mini-batches, early stopping on validation, one reading of the test split.
//!
//! - `session` is the training: `order` and `loader` give its batches, `network` makes a step of them, `evaluation` scores a split
//!   (`logit_spill` holds what waits to be scored), `checkpoint` makes bytes of the state between two steps.
//! - `balance` weighs the tasks of a step: numbers in, numbers out; `balanced_loss` and `task_gradients` have what it weighs.
//! - `pretrained` gives embedding tables the vectors that the data have of them.
//! - `warm_start` gives variables the values of another model's and says which stay; [`VariableShapes`] knows them by path.
//! - `distillation` adds the distance of the model's features from a teacher's to a step's loss.
//! - `relatedness` compares what tasks want of a trained network's weights.
//! - `inspect` looks into experts and gates: the three anomalies as numbers.
//! - [`device`] says which devices there are and whether a run fits on one.
//!
//! May import: `model`, `kernels`, `data`, `metric`, `diagnostic`, `random`. Must not hold: files of results and their tables (the cell's
//! process writes those), specs and sweeps, and anything that decides when a state is kept ([`Keeper`]). The same dataset, model,
//! settings and seed give the same bytes at any number of threads and after any number of interruptions.
// Tests compare with the platform's functions, which results must not depend on.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod attention_config;
mod balance;
mod balanced_loss;
mod checkpoint;
mod cohorts;
mod config;
pub mod device;
mod distillation;
mod evaluation;
mod inspect;
mod keeper;
mod loader;
mod logit_spill;
mod model_inputs;
mod names;
mod network;
mod order;
mod pretrained;
mod program;
mod relatedness;
mod schedule;
mod scorer;
mod scoring;
mod selection;
mod session;
mod task_gradients;
mod upcoming_rows;
mod variable_shapes;
mod warm_start;
mod without_effect;
mod written_schedule;

pub use attention_config::AttentionConfig;
pub use balance::{BalanceAt, BalanceConfig, BalanceMethod, GradientScaling};
pub use cohorts::{MOST_COHORTS, check_count};
pub use config::{
    EmbeddingOptimizerName, OptimizerName, PrecisionName, PretrainedUse, TrainingConfig,
};
pub use device::Device;
pub use distillation::{DistillFrom, Distillation};
pub use inspect::{Diagnostics, ExpertPoint, GatePoint, HistogramPoint};
pub use keeper::{KeepNothing, Keeper};
pub use model_inputs::{feature_dims, input_features, task_layout};
pub use names::{InsideName, SplitName};
pub use order::{WHOLE_SHUFFLE_ROWS, shuffle_notice};
pub use pretrained::pretrained_paths;
pub use program::{Program, ProgramScores, judge};
pub use relatedness::{MaskConfig, MaskOverlap, mask_overlaps};
pub use schedule::Schedule;
pub use scorer::Scorer;
pub use scoring::{Cohort, MetricChoice, NEW_USERS, SCENARIO, Scoring, carried};
pub use selection::{Combine, SelectionConfig, selected_by};
pub use variable_shapes::{VariableShape, VariableShapes};
pub use warm_start::{PathError, PathKey, StartFrom, StartPaths, check_frozen};
pub use without_effect::without_effect;
pub use written_schedule::{ScheduleKind, WrittenSchedule};

use homebench_data::seal::FinalPhase;
use homebench_data::{Batch, Prepared, Split};
use homebench_metric::Metric;
use homebench_model::ModelConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Passes over the training rows begun, from 1.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// `train` or `validation`.
    pub split: SplitName,
    /// Task, or `all`.
    pub task: String,
    /// The loss, or a metric of selection.
    pub metric: Metric,
    /// The value; absent where it is undefined (one class only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// A score of the selected weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// `validation` or `test`.
    pub split: SplitName,
    /// Task name.
    pub task: String,
    /// What the value is.
    pub metric: Metric,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
    /// Rows scored: those that observe the task.
    pub rows: usize,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<usize>,
}

/// A score of the selected weights on some of the rows of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortScore {
    /// Name of what divides the rows.
    pub cohort: String,
    /// What these rows have in common; empty where they have no value.
    pub value: String,
    /// Their score. Its rows are none where no row of the cohort observes the task.
    pub score: Score,
}

/// What training one cell gives.
#[derive(Debug)]
pub struct CellResult {
    /// Epoch of the selected weights, from 1.
    pub selected_epoch: usize,
    /// Epochs begun.
    pub epochs_run: usize,
    /// What selection went by, of the selected weights; larger is better.
    pub validation_score: f64,
    /// Trainable numbers, embeddings included.
    pub parameters: usize,
    /// Floating-point operations of the products of a forward pass, per row.
    pub flops_per_row: usize,
    /// Learning curves.
    pub curves: Vec<CurvePoint>,
    /// Scores of the selected weights.
    pub scores: Vec<Score>,
    /// Scores of the same by cohort, where cohorts are asked for.
    pub cohorts: Vec<CohortScore>,
    /// What experts and gates did on the validation split, at every evaluation; empty for a trial.
    pub diagnostics: Diagnostics,
    /// Rows trained on, epochs counted.
    pub train_rows: usize,
    /// Time in training steps.
    pub train_seconds: f64,
    /// Rows evaluated.
    pub evaluation_rows: usize,
    /// Time in evaluations.
    pub evaluation_seconds: f64,
    /// Time of the cell's processes before this one, up to the checkpoint that this one went on from.
    pub earlier_seconds: f64,
    /// The selected weights, by variable path, in order.
    pub weights: BTreeMap<String, candle_core::Tensor>,
}

/// What of a cell's content says how its model is trained.
#[derive(Debug, Clone, Copy)]
pub struct CellSettings<'a> {
    /// How steps are made, and how many.
    pub training: &'a TrainingConfig,
    /// By what its epoch is selected.
    pub selection: &'a SelectionConfig,
    /// What it is scored by beside the metrics that every cell has.
    pub metrics: &'a MetricChoice,
    /// Cohorts of rows that are scored by themselves, by name.
    pub cohorts: &'a BTreeMap<String, Cohort>,
    /// The epoch after which it ends, where that is before `max_epochs`: its state is then kept for whoever goes on.
    pub last_epoch: Option<usize>,
    /// Of initial weights, of the order of rows, and of dropout.
    pub seed: u64,
    /// What its variables start from beside fresh weights, where that is anything.
    pub start: Option<StartFrom<'a>>,
    /// Paths of the variables that training leaves as they are.
    pub freeze: &'a [String],
    /// What it learns from beside labels, where that is anything.
    pub distill: Option<DistillFrom<'a>>,
}

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Epoch under way, from 1.
    pub epoch: usize,
    /// Largest number of epochs.
    pub max_epochs: usize,
    /// Rows trained on in this epoch.
    pub rows_done: usize,
    /// Rows of an epoch.
    pub rows_total: usize,
    /// Rows per second since the last report.
    pub rows_per_second: f64,
    /// Mean loss since the last report.
    pub loss: f64,
    /// Best validation score so far.
    pub best_validation_score: Option<f64>,
}

/// Hears how training goes, a few times a second at most.
pub trait Observer {
    /// Called with the state of training.
    fn progress(&mut self, progress: &Progress);

    /// Called once before the first step, with the points that an earlier process made of the curves, and after every evaluation, with
    /// all points so far.
    fn curves(&mut self, _points: &[CurvePoint]) {}

    /// Whether experts and gates are to be looked into: without, the same weights come out a little sooner.
    fn wants_diagnostics(&self) -> bool {
        true
    }

    /// Whether what the selected weights put out for the rows of a split is wanted.
    fn wants_predictions(&self, _split: SplitName) -> bool {
        false
    }

    /// Takes what the selected weights put out, block after block in the order of the rows: of test only once selection is frozen.
    ///
    /// # Errors
    /// It can't be kept.
    fn predicted(&mut self, _block: &PredictedBlock<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the selected weights put out for some rows of a split.
#[derive(Debug, Clone, Copy)]
pub struct PredictedBlock<'a> {
    /// The split's name.
    pub split: SplitName,
    /// All of its rows.
    pub rows: &'a Split,
    /// Place of the first row of the block.
    pub first_row: usize,
    /// The rows of the block.
    pub batch: &'a Batch,
    /// Logits, and numbers of regressions as models learn them, row-major [rows, tasks].
    pub outputs: &'a [f32],
}

/// Why a cell could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss stopped being a number.
    #[error(
        "the loss became {loss} at step {step} (epoch {epoch}); the last finite loss was {}", shown(*last_finite_loss)
    )]
    LossNotFinite {
        /// Step, from 1.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
        /// The loss.
        loss: f64,
        /// The last finite loss, if any.
        last_finite_loss: Option<f64>,
    },
    /// A model gave a row a score that is no number that ranks or measures.
    // Not an absent score: a metric of such logits would be absent or infinite, and selection would go by the other tasks.
    #[error(
        "the prediction of the task `{task}` became {value} at row {row} of the {split} split, rows counted from 0 \
         (after step {step}, epoch {epoch}): {}", cause(*input)
    )]
    PredictionNotFinite {
        /// The task.
        task: String,
        /// The split, `validation` or `test`.
        split: &'static str,
        /// Row of the prepared split, from 0.
        row: usize,
        /// The prediction.
        value: f32,
        /// A numeric input of the row that is not finite, if there is one.
        input: Option<f32>,
        /// Steps done.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
    },
    /// A score is infinite although the predictions are not: the labels are to blame.
    #[error(
        "the {metric} of the task `{task}` became {value} on the {split} split (after step {step}, epoch {epoch}) \
         while every prediction is finite: a label of the split is not, or is too large"
    )]
    ScoreNotFinite {
        /// The task.
        task: String,
        /// Name of the metric.
        metric: &'static str,
        /// The split, `validation` or `test`.
        split: &'static str,
        /// The score.
        value: f64,
        /// Steps done.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
    },
    /// Outputs of an expert, weights of a gate or gradients stopped being numbers.
    #[error(
        "{what} of `{path}` became {value} on the validation split (after step {step}, epoch {epoch}): {}",
        cause(None)
    )]
    InsideNotFinite {
        /// What was measured, as `experts.csv` and `gates.csv` name it.
        what: &'static str,
        /// Path of the set of experts or of the gate.
        path: String,
        /// The value.
        value: f64,
        /// Steps done.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
    },
    /// No trained task has a label in the validation split, so nothing says which weights are best.
    #[error(
        "the validation split has no label of any task that is trained, so no epoch can be selected: give it rows that observe one"
    )]
    NothingToSelectBy,
    /// What is selected by is undefined at every evaluation.
    #[error(
        "no epoch can be selected: `{metric}` of the task `{task}` is undefined at every evaluation on validation, as where its \
         rows have one class; choose other tasks or another metric in [selection]"
    )]
    SelectionUndefined {
        /// The task.
        task: String,
        /// Name of the metric.
        metric: &'static str,
    },
    /// What it is to start from, or to leave as it is, can't be meant.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A table is to begin with pretrained vectors that the data don't have, or have in another width.
    #[error("the embedding table `{table}` can't begin with pretrained vectors: {why}")]
    Pretrained {
        /// Name of the table.
        table: String,
        /// What is in the way.
        why: String,
    },
    /// Its tasks can't be balanced as its settings say.
    #[error("{0}")]
    Balance(String),
    /// A model has weights for a scenario that no training row has.
    #[error(
        "no training row is of the scenario `{value}` of `{feature}`, and the weights that the model has for it would stay as they start: \
         give the training split rows of it, or the dataset fewer scenarios"
    )]
    IdleScenario {
        /// The feature.
        feature: String,
        /// Its value.
        value: String,
    },
    /// A teacher or a student that has no features to compare, or none of a task.
    #[error("nothing can be distilled: {0}")]
    NoFeatures(String),
    /// The model refused its configuration.
    #[error(transparent)]
    Model(#[from] homebench_model::ModelError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The training split has no rows, or no epoch was asked for.
    #[error("nothing was trained: the training split has no rows, or no epoch was asked for")]
    NothingTrained,
    /// What the spec asks of scores can't be had of these rows.
    #[error("scoring the {split} split")]
    Unscorable {
        /// The split, `validation` or `test`.
        split: &'static str,
        /// Why.
        source: Box<homebench_diagnostic::Diagnostic>,
    },
    /// A program outside failed, or gave what is of no use.
    #[error("{0}")]
    Program(String),
    /// Its keeper asked for an end.
    #[error("training was stopped before its end")]
    Stopped,
    /// Scores of many rows go through temporary files, and those can't be written or read.
    #[error("keeping the scores of the rows in a temporary file (TMPDIR says where)")]
    Scores(#[source] std::io::Error),
    /// Predictions can't be kept.
    #[error("writing predictions")]
    Predictions(#[source] std::io::Error),
    /// Data could not be read.
    #[error("reading the prepared data")]
    Data(#[source] anyhow::Error),
}

/// Why predictions stopped being numbers, as far as the row tells.
fn cause(input: Option<f32>) -> String {
    match input {
        Some(input) => format!("a numeric input of this row is {input}; mend the row in the data"),
        None => "the weights grew too large; lower `learning_rate`, or set `gradient_clip_norm`"
            .to_owned(),
    }
}

fn shown(loss: Option<f64>) -> String {
    loss.map_or_else(|| "none".to_string(), |loss| loss.to_string())
}

/// Trains one cell on `device` and the current rayon pool's threads and scores it once: on validation, and on test where `phase` proves
/// that it is no trial.
///
/// The same dataset, model, training and seed give the same bytes at any number of threads, and however often `keeper` went
/// on with what another process had kept.
///
/// # Errors
/// See [`TrainError`].
pub fn train(
    dataset: Prepared,
    model: &ModelConfig,
    settings: &CellSettings<'_>,
    phase: Option<FinalPhase>,
    device: &candle_core::Device,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keeper,
) -> Result<CellResult, TrainError> {
    // Of the whole process, which trains one cell.
    homebench_kernels::set_precision(settings.training.precision.into());
    session::run(dataset, model, settings, phase, device, observer, keeper)
}

/// Shows `observer` what kept weights put out for the rows of the splits that it wants, as [`train()`] did when it had chosen them: on
/// validation, and on test where `phase` proves that the cell is no trial.
///
/// # Errors
/// See [`TrainError`]; weights of another model.
pub fn predict(
    dataset: Prepared,
    model: &ModelConfig,
    training: &TrainingConfig,
    weights: &std::collections::BTreeMap<String, candle_core::Tensor>,
    selected_epoch: usize,
    phase: Option<FinalPhase>,
    device: &candle_core::Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let scorer = Scorer::new(&dataset.schema, model, training, weights, device)?;
    session::predict(dataset, scorer.network(), selected_epoch, phase, observer)
}
