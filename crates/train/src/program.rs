//! The judgement of a program outside: it learns and predicts on its own, and is scored as models here are.

use super::evaluation::{Detail, Evaluation};
use super::scoring::{Scored, SplitScoring};
use super::session::open_test;
use super::{
    CellResult, CellSettings, CurvePoint, Diagnostics, Observer, PredictedBlock, Score, SplitName,
    TrainError,
};
use homebench_data::seal::FinalPhase;
use homebench_data::{Batch, Prepared, Schema, Split};
use std::collections::BTreeMap;
use std::time::Instant;

/// Scores of a split's rows, for each task in its order: log-odds, or numbers of a regression.
pub type ProgramScores = Vec<Vec<f32>>;

/// A program that trains a model of its own.
pub trait Program {
    /// Has it learn from the rows to train on, choose what it likes on those of validation, and predict these.
    ///
    /// # Errors
    /// The program failed, or what it gave is not of these rows.
    fn fit(&mut self, dataset: &Prepared) -> Result<ProgramScores, TrainError>;

    /// Has it predict the test split, whose labels it doesn't get. What it has learned can't change any more.
    ///
    /// # Errors
    /// As [`Self::fit`].
    fn predict(&mut self, schema: &Schema, test: &Split) -> Result<ProgramScores, TrainError>;
}

/// Runs a program once and scores it as [`train`](super::train) does a model: on validation, and on test where `phase` proves that it is no
/// trial. Its choice is frozen before it sees a row of test.
///
/// # Errors
/// See [`Program::fit`]; scores that are not finite, no task to select by, or what the spec asks of scores and these rows don't have.
pub fn judge(
    dataset: Prepared,
    settings: &CellSettings<'_>,
    phase: Option<FinalPhase>,
    program: &mut dyn Program,
    observer: &mut dyn Observer,
) -> Result<CellResult, TrainError> {
    let scored = Scored::new(settings, &dataset, phase.is_some())?;
    let start = Instant::now();
    let predicted = program.fit(&dataset)?;
    let train_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (schema, validation) = (&dataset.schema, &dataset.validation);
    let of_validation = (validation, SplitName::Validation);
    show(of_validation, &predicted, observer)?;
    let mut evaluation = evaluate(schema, of_validation, predicted, scored.validation())?;
    let validation_score = selection_score(&evaluation, settings)?;
    let is_in_curves = |score: &&Score| {
        let metrics = &scored.validation().selection_metrics;
        metrics.contains(&score.metric)
    };
    let in_curves = evaluation.scores.iter().filter(is_in_curves);
    let curves = in_curves.map(|score| CurvePoint {
        epoch: EPOCH,
        step: EPOCH,
        split: score.split,
        task: score.task.clone(),
        metric: score.metric,
        value: score.value,
    });
    let curves = curves.collect();
    let mut evaluation_rows = validation.num_rows();
    if let Some(phase) = phase {
        let test = open_test(dataset.test, EPOCH, phase)?;
        let predicted = program.predict(schema, &test)?;
        show((&test, SplitName::Test), &predicted, observer)?;
        let scoring = scored.test(&test)?;
        let tested = evaluate(schema, (&test, SplitName::Test), predicted, &scoring)?;
        evaluation.scores.extend(tested.scores);
        evaluation.cohorts.extend(tested.cohorts);
        evaluation_rows += test.num_rows();
    }
    Ok(CellResult {
        selected_epoch: EPOCH,
        epochs_run: EPOCH,
        validation_score,
        // Not known of it.
        parameters: 0,
        flops_per_row: 0,
        curves,
        scores: evaluation.scores,
        cohorts: evaluation.cohorts,
        diagnostics: Diagnostics::default(),
        train_rows: dataset.train.num_rows(),
        train_seconds,
        evaluation_rows,
        evaluation_seconds: start.elapsed().as_secs_f64(),
        earlier_seconds: 0.0,
        weights: BTreeMap::new(),
    })
}

/// A program is one epoch, of one step, to whoever counts them.
const EPOCH: usize = 1;

/// Rows that are shown at a time.
const BLOCK_ROWS: usize = 4096;

/// Shows `observer` what was predicted for the rows of a split, where it wants that.
fn show(
    (split, name): (&Split, SplitName),
    predicted: &ProgramScores,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    if !observer.wants_predictions(name) {
        return Ok(());
    }
    let num_rows = split.num_rows();
    let (mut batch, mut outputs) = (Batch::default(), Vec::new());
    for start in (0..num_rows).step_by(BLOCK_ROWS) {
        let rows = start..num_rows.min(start + BLOCK_ROWS);
        split
            .read(rows.clone(), &mut batch)
            .map_err(TrainError::Data)?;
        outputs.clear();
        outputs.extend(rows.flat_map(|row| predicted.iter().map(move |task| task[row])));
        let block = PredictedBlock {
            split: name,
            rows: split,
            first_row: start,
            batch: &batch,
            outputs: &outputs,
        };
        observer
            .predicted(&block)
            .map_err(TrainError::Predictions)?;
    }
    Ok(())
}

fn selection_score(
    evaluation: &Evaluation,
    settings: &CellSettings<'_>,
) -> Result<f64, TrainError> {
    let weights = &settings.training.task_weights;
    let is_trained = |task: &str| weights.get(task) != Some(&0.0);
    let selection = settings.selection;
    let score = evaluation.selection_score(selection, is_trained);
    score.ok_or_else(
        || match selection.undefined(&evaluation.values(), is_trained) {
            Some((task, metric)) if !selection.is_default() => TrainError::SelectionUndefined {
                task: task.to_owned(),
                metric: metric.name(),
            },
            _ => TrainError::NothingToSelectBy,
        },
    )
}

fn evaluate(
    schema: &Schema,
    (split, name): (&Split, SplitName),
    predicted: ProgramScores,
    scoring: &SplitScoring,
) -> Result<Evaluation, TrainError> {
    let mut evaluation = Evaluation::default();
    for (task, (about, predicted)) in schema.tasks.iter().zip(predicted).enumerate() {
        let about = (about.name.as_str(), about.is_regression());
        let detail = Detail::All(scoring);
        evaluation.add_task((split, name), task, about, predicted, detail);
    }
    evaluation.check((EPOCH, EPOCH))?;
    Ok(evaluation)
}
