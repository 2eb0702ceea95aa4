//! Trainings that start from another's weights and leave a part of them as it is, of every model.

use crate::harness::{self, values};
use homebench_data::{DatasetRef, RowSubset};
use homebench_train::{
    CellResult, CellSettings, KeepNothing, OptimizerName, StartFrom, StartPaths, TrainError,
    TrainingConfig,
};
use std::collections::BTreeMap;

/// Every model, with norms of each kind where they may stand.
const MODELS: [(&str, &str); 13] = [
    ("logistic", ""),
    ("single_task", "norm = \"batch\""),
    ("shared_bottom", "norm = \"layer\""),
    ("omoe", "num_experts = 2"),
    ("mmoe", "num_experts = 2\nnorm = \"batch\""),
    ("mmoe", "num_experts = 2\ngate_dims = [3]"),
    ("ml_mmoe", "num_experts = 2\nnorm = \"batch\""),
    ("cgc", "norm = \"batch\""),
    ("ple", "norm = \"batch\""),
    ("adatt_sp", ""),
    ("adatt", "norm = \"batch\""),
    ("home", "rank = 2"),
    ("home", "rank = 2\nfeature_gate_mix = \"before_sigmoid\""),
];

type Weights = BTreeMap<String, candle_core::Tensor>;

fn train(
    model: (&str, &str),
    training: &TrainingConfig,
    start: Option<&Weights>,
    freeze: &[String],
) -> Result<CellResult, TrainError> {
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(300),
        ..DatasetRef::new("synthetic")
    };
    let paths = StartPaths::default();
    let settings = CellSettings {
        start: start.map(|weights| StartFrom {
            paths: &paths,
            weights,
        }),
        freeze,
        ..harness::settings(training)
    };
    let model = harness::small_model(model);
    harness::train(
        harness::made_up(&reference),
        &model,
        &settings,
        &mut KeepNothing,
    )
}

/// Everything that could move a variable without a gradient of its own.
fn training() -> TrainingConfig {
    TrainingConfig {
        batch_size: 100,
        max_epochs: 1,
        embedding_dim: 2,
        learning_rate: 0.05,
        optimizer: OptimizerName::Adamw,
        weight_decay: 0.1,
        embedding_l2: 0.1,
        gradient_clip_norm: 0.5,
        ..TrainingConfig::default()
    }
}

#[test]
fn what_is_frozen_keeps_its_bytes_and_the_rest_is_trained() {
    for model in MODELS {
        let first = train(model, &training(), None, &[]).unwrap();
        let (before, first) = (values(&first), first.weights);
        // One in two, so that most operators have both; running statistics are frozen with what they are of, or alone.
        let freeze: Vec<String> = first.keys().step_by(2).cloned().collect();
        let second = train(model, &training(), Some(&first), &freeze).unwrap();
        let mut num_moved = 0;
        for (path, after) in values(&second) {
            let is_moved = after != before[&path];
            assert!(!(is_moved && freeze.contains(&path)), "{model:?}: {path}");
            num_moved += usize::from(is_moved);
        }
        // A gate of one expert learns nothing, and a norm whose mean stays keeps its variance too.
        let num_free = first.len() - freeze.len();
        assert!(
            num_moved * 2 > num_free,
            "{model:?}: {num_moved} of {num_free} moved"
        );
    }
}

#[test]
fn frozen_tables_are_as_tables_that_no_step_moves() {
    for model in MODELS {
        let still = TrainingConfig {
            embedding_learning_rate: Some(0.0),
            embedding_l2: 0.0,
            ..training()
        };
        let expected = train(model, &still, None, &[]).unwrap();
        let frozen = train(model, &training(), None, &["embedding".to_owned()]).unwrap();
        assert_eq!(frozen.curves, expected.curves, "{model:?}");
        assert_eq!(values(&frozen), values(&expected), "{model:?}");
    }
}

#[test]
fn weights_that_do_not_fit_end_the_training_before_it_begins() {
    let weights = train(("mmoe", ""), &training(), None, &[]).unwrap().weights;
    let said = |model, freeze: &[String]| {
        let ended = train(model, &training(), Some(&weights), freeze);
        ended.unwrap_err().to_string()
    };
    let other = said(("mmoe", "num_experts = 7"), &[]);
    assert!(
        other.contains("`shared.expert.0.bias` is [7, 4] here, and"),
        "{other}"
    );
    let nothing = said(("mmoe", ""), &["shared.gate".to_owned()]);
    assert_eq!(
        nothing,
        "the model has no variable at or below `shared.gate`"
    );
}
