//! Trainings whose tasks are balanced: of every method, on models of every kind, in one go and in pieces, on one thread and on several.

use crate::harness::{self, Kept, values};
use homebench_data::{DatasetRef, RowSubset};
use homebench_train::{
    BalanceAt, BalanceConfig, BalanceMethod, CellResult, CellSettings, EmbeddingOptimizerName,
    OptimizerName, TrainError, TrainingConfig,
};
use std::collections::BTreeMap;

/// Models of every kind that shares anything, with knobs that have operators of their own.
const SHARING: [(&str, &str); 14] = [
    ("shared_bottom", "norm = \"layer\""),
    ("omoe", "num_experts = 2"),
    ("mmoe", "num_experts = 2\nnorm = \"batch\""),
    ("mmoe", "num_experts = 2\ngate_dims = [3]"),
    ("ml_mmoe", "num_experts = 2"),
    ("cgc", ""),
    ("ple", "norm = \"batch\""),
    ("adatt", ""),
    ("home", "rank = 2"),
    ("home", "rank = 2\ngate_input = \"gated\""),
    ("sparse_mmoe", "num_experts = 3"),
    (
        "smes",
        "num_experts = 4\nshared_k = 1\nprivate_k = 1\nencoder_dims = [5]",
    ),
    ("task_expert", "num_experts = 2"),
    ("cross_stitch", ""),
];

fn train_with(
    (model, knobs): (&str, &str),
    training: &TrainingConfig,
    keeper: &mut Kept,
    last_epoch: Option<usize>,
) -> Result<CellResult, TrainError> {
    // One model on data with categorical features, whose tables are updated apart; the others on data that is soon made.
    let name = match (model, knobs) {
        ("home", "rank = 2") => "synthetic",
        _ => "task-arc",
    };
    let mut reference = DatasetRef {
        rows: RowSubset::Fraction(0.02),
        ..DatasetRef::new(name)
    };
    if name == "task-arc" {
        reference.knobs.insert("num_tasks".to_owned(), 3.into());
    }
    let settings = CellSettings {
        last_epoch,
        ..harness::settings(training)
    };
    let dataset = harness::made_up(&reference);
    let model = harness::small_model((model, knobs));
    harness::train(dataset, &model, &settings, keeper)
}

fn training(balance: BalanceConfig, max_epochs: usize) -> TrainingConfig {
    TrainingConfig {
        batch_size: 100,
        max_epochs,
        patience: 9,
        embedding_dim: 2,
        learning_rate: 0.02,
        embedding_dropout: 0.1,
        balance,
        ..TrainingConfig::default()
    }
}

fn train(model: (&str, &str), balance: BalanceConfig, max_epochs: usize) -> CellResult {
    let training = training(balance, max_epochs);
    train_with(model, &training, &mut Kept::default(), None).unwrap()
}

type Values = BTreeMap<String, Vec<f32>>;

/// The largest difference of a value from what is expected, in shares of the largest of its variable.
fn distance(found: &Values, expected: &Values) -> (f64, String) {
    let mut worst = (0f64, String::new());
    for (path, expected) in expected {
        let scale = expected
            .iter()
            .fold(1e-3f32, |most, value| most.max(value.abs()));
        for (one, other) in found[path].iter().zip(expected) {
            let share = f64::from((one - other).abs() / scale);
            if share > worst.0 {
                worst = (share, path.clone());
            }
        }
    }
    worst
}

#[test]
fn equal_weights_are_training_without_a_balance_to_the_bit() {
    for model in SHARING {
        let plain = train(model, BalanceConfig::default(), 1);
        let named = train(model, BalanceMethod::EqualWeights.defaults(), 1);
        assert_eq!(values(&plain), values(&named));
        assert_eq!(plain.curves, named.curves);
    }
}

/// GradNorm's weights are 1 in the first epoch: gradients of tasks, one backward pass each, add up to what one pass of the sum gives.
#[test]
fn gradients_of_tasks_add_up_to_the_gradient_of_the_sum_on_every_model() {
    for model in SHARING {
        let by_gradient = |balance| {
            // Adam would divide gradients of nearly 0 by their own size, and show their rounding.
            let training = TrainingConfig {
                optimizer: OptimizerName::Sgd,
                embedding_optimizer: EmbeddingOptimizerName::RowwiseAdagrad,
                ..training(balance, 1)
            };
            train_with(model, &training, &mut Kept::default(), None).unwrap()
        };
        let plain = by_gradient(BalanceConfig::default());
        let mut places = vec![BalanceAt::Parameters];
        if !["sparse_mmoe", "smes", "task_expert", "cross_stitch"].contains(&model.0) {
            places.push(BalanceAt::Representation);
        }
        for at in places {
            let found = by_gradient(BalanceConfig {
                balance_at: Some(at),
                ..BalanceMethod::GradNorm.defaults()
            });
            let (share, path) = distance(&values(&found), &values(&plain));
            assert!(share < 5e-4, "{model:?} at {at:?}: {path} {share}");
        }
    }
}

#[test]
fn every_method_goes_on_from_what_was_kept_and_has_the_same_bytes_at_any_number_of_threads() {
    let model = ("mmoe", "num_experts = 2\nnorm = \"batch\"");
    for method in BalanceMethod::ALL {
        let places = match method.needs_gradients() {
            true => vec![Some(BalanceAt::Parameters), Some(BalanceAt::Representation)],
            false => vec![None],
        };
        for balance_at in places {
            let balance = BalanceConfig {
                balance_at,
                ..method.defaults()
            };
            let training = training(balance, 2);
            let pool = |threads| {
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap()
            };
            let whole = pool(1)
                .install(|| train_with(model, &training, &mut Kept::default(), None))
                .unwrap();
            let mut keeper = Kept::default();
            let pieces = pool(3)
                .install(|| {
                    train_with(model, &training, &mut keeper, Some(1))?;
                    train_with(model, &training, &mut keeper, None)
                })
                .unwrap();
            let name = method.name();
            assert_eq!(keeper.refused, None, "{name}");
            assert_eq!(pieces.curves, whole.curves, "{name}");
            assert_eq!(values(&pieces), values(&whole), "{name}");
            let weights: Vec<f64> = whole
                .curves
                .iter()
                .filter(|point| point.metric.name() == "loss_weight" && point.epoch == 2)
                .map(|point| point.value.unwrap())
                .collect();
            match method {
                BalanceMethod::EqualWeights => assert!(weights.is_empty()),
                _ => {
                    let sum: f64 = weights.iter().sum();
                    assert!(
                        (sum - weights.len() as f64).abs() < 1e-9,
                        "{name} {weights:?}"
                    );
                    assert!(weights.len() > 1, "{name}");
                }
            }
        }
    }
}

/// FAMO with scalars that don't move weighs as the geometric mean does. Its second look must move no running statistic.
#[test]
fn a_second_look_moves_no_running_statistic() {
    let model = ("mmoe", "num_experts = 2\nnorm = \"batch\"");
    let famo = BalanceConfig {
        learning_rate: Some(1e-300),
        ..BalanceMethod::Famo.defaults()
    };
    let famo = train(model, famo, 2);
    let mean = train(model, BalanceMethod::GeometricMean.defaults(), 2);
    let (share, path) = distance(&values(&famo), &values(&mean));
    assert!(share < 1e-3, "{path} {share}");
    assert!(values(&famo).keys().any(|path| path.contains("running")));
}

#[test]
fn what_cannot_be_balanced_is_refused_before_training() {
    let refused = |model, balance| {
        let training = training(balance, 1);
        let ended = train_with(model, &training, &mut Kept::default(), None);
        ended.unwrap_err().to_string()
    };
    for model in [("single_task", ""), ("logistic", "")] {
        assert_eq!(
            refused(model, BalanceMethod::Nash.defaults()),
            "`nash_mtl` compares gradients of what tasks share, and this model's tasks share nothing; use a method of losses such as `uw`"
        );
        train(model, BalanceMethod::Uncertainty.defaults(), 1);
    }
    let at = BalanceConfig {
        balance_at: Some(BalanceAt::Representation),
        ..BalanceMethod::MinimumNorm.defaults()
    };
    assert_eq!(
        refused(("smes", ""), at),
        "`mgda` is to compare gradients at a representation, and this model has no one tensor that every task reads; use `balance_at = \"parameters\"`"
    );
}

/// A state of another method is not gone on from.
#[test]
fn a_checkpoint_of_other_tasks_or_none_is_refused() {
    let model = ("mmoe", "num_experts = 2");
    let mut keeper = Kept::default();
    let plain = training(BalanceConfig::default(), 2);
    train_with(model, &plain, &mut keeper, Some(1)).unwrap();
    let balanced = training(BalanceMethod::Famo.defaults(), 2);
    train_with(model, &balanced, &mut keeper, None).unwrap();
    assert_eq!(
        keeper.refused.as_deref(),
        Some("its tasks are balanced otherwise")
    );
}
