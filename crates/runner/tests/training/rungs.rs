//! Trainings that end before their last epoch, as trials do on a rung of successive halving, and go on: they train no step twice, and come to
//! what they would come to at one go.

use crate::harness::{self, Kept, values};
use homebench_data::{DatasetRef, RowSubset};
use homebench_model::ModelConfig;
use homebench_train::{CellResult, CellSettings, Schedule, TrainError, TrainingConfig};

/// 600 rows in 6 steps an epoch, whose step sizes fall to 0 at the end of all epochs.
fn train_all(
    keeper: &mut Kept,
    last_epoch: Option<usize>,
    (max_epochs, patience, learning_rate): (usize, usize, f64),
) -> Result<CellResult, TrainError> {
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(600),
        ..DatasetRef::new("synthetic")
    };
    let training = TrainingConfig {
        batch_size: 100,
        embedding_dim: 3,
        max_epochs,
        patience,
        learning_rate,
        embedding_dropout: 0.1,
        schedule: Schedule::Cosine {
            warm_up_steps: 0,
            final_share: 0.0,
        },
        ..TrainingConfig::default()
    };
    let knobs = "expert_dims = [8]\ntower_dims = [4]\nrank = 2";
    let model = ModelConfig::from_table("home", &knobs.parse().unwrap()).unwrap();
    let settings = CellSettings {
        last_epoch,
        ..harness::settings(&training)
    };
    harness::train(harness::made_up(&reference), &model, &settings, keeper)
}

/// At most 6 epochs, all of them.
fn train(keeper: &mut Kept, last_epoch: Option<usize>) -> Result<CellResult, TrainError> {
    train_all(keeper, last_epoch, (6, 9, 0.05))
}

#[track_caller]
fn assert_same(one: &CellResult, other: &CellResult) {
    assert_eq!(one.curves, other.curves);
    assert_eq!(one.scores, other.scores);
    let numbers = |result: &CellResult| {
        let rows = (result.train_rows, result.evaluation_rows);
        (
            result.selected_epoch,
            result.epochs_run,
            result.validation_score,
            rows.0,
        )
    };
    assert_eq!(numbers(one), numbers(other));
    assert_eq!(values(one), values(other));
}

#[test]
fn a_training_in_rungs_comes_to_what_it_comes_to_at_one_go_and_trains_no_step_twice() {
    let whole = train(&mut Kept::default(), None).unwrap();
    assert_eq!(whole.epochs_run, 6);
    let mut keeper = Kept::default();
    for (rung, steps) in [(Some(1), 6), (Some(3), 18), (None, 36)] {
        let result = train(&mut keeper, rung).unwrap();
        assert_eq!(keeper.steps, steps);
        assert_eq!(result.epochs_run, rung.unwrap_or(6));
        // A rung is the beginning of the whole.
        assert_eq!(result.curves, whole.curves[..result.curves.len()]);
        if rung.is_none() {
            assert_same(&result, &whole);
        }
    }
    assert_eq!(keeper.refused, None);
}

#[test]
fn patience_that_ends_on_a_rung_ends_those_above_it_too() {
    // Steps so large that validation soon gets worse.
    let settings = (20, 1, 0.3);
    let whole = train_all(&mut Kept::default(), None, settings).unwrap();
    assert!(whole.epochs_run < 19, "it never got worse");
    let mut keeper = Kept::default();
    let first = train_all(&mut keeper, Some(19), settings).unwrap();
    let steps = keeper.steps;
    let last = train_all(&mut keeper, None, settings).unwrap();
    assert_eq!(keeper.steps, steps);
    assert_same(&first, &whole);
    assert_same(&last, &whole);
}

#[test]
fn what_a_later_rung_kept_is_not_taken_for_an_earlier_one() {
    let mut keeper = Kept::default();
    let expected = train(&mut keeper, Some(1)).unwrap();
    let mut later = Kept::default();
    train(&mut later, Some(3)).unwrap();
    let found = train(&mut later, Some(1)).unwrap();
    assert_eq!(
        later.refused.as_deref(),
        Some("it is of epoch 3, after the last")
    );
    assert_same(&found, &expected);
}
