//! Whole trainings by the path of CUDA devices, on the processor in place of one: they learn what the processor learns, repeat
//! themselves whatever the order of threads, and go on from a checkpoint as if nothing had been.

#[path = "../../kernels/tests/common/place.rs"]
mod place;

use homebench_data::{self as data, DatasetRef, Places, Quiet, RowSubset};
use homebench_experiment::spec::{CellContent, CellDataset, CellModel, NUMERICS_VERSION};
use homebench_kernels::cuda::{Order, on_host};
use homebench_results::Phase;
use homebench_train::{
    self as train, CellResult, EmbeddingOptimizerName, KeepNothing, Keeper, Observer, Progress,
    TrainError, TrainingConfig,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;

const TRAIN_ROWS: usize = 600;

struct Unseen;

impl Observer for Unseen {
    fn progress(&mut self, _: &Progress) {}
}

/// Keeps the state after one step and stops; then, or from the beginning, goes on to the end.
#[derive(Default)]
struct KeepOnce {
    at_step: usize,
    kept: Option<File>,
    is_stopping: bool,
    refused: Option<String>,
}

impl Keeper for KeepOnce {
    fn key(&self) -> &str {
        "cell"
    }

    fn is_due(&mut self, step: usize) -> bool {
        step == self.at_step
    }

    fn keep(&mut self, fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>) {
        let mut file = tempfile::tempfile().unwrap();
        fill(&mut file).unwrap();
        file.rewind().unwrap();
        self.kept = Some(file);
        self.is_stopping = true;
    }

    fn kept(&mut self) -> Option<File> {
        self.kept.take()
    }

    fn refused(&mut self, why: &str) {
        self.refused = Some(why.to_owned());
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping
    }
}

/// A small HoME with everything that a step can have: both optimisers' state, dropout, clipping, norms of gradients.
fn train(keeper: &mut dyn Keeper) -> Result<CellResult, TrainError> {
    let descriptions = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let places = Places::resolve(Some(&descriptions), None, None);
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(TRAIN_ROWS),
        ..DatasetRef::new("synthetic")
    };
    let dataset = data::open(&reference, &places, &mut Quiet).expect("the embedded source opens");
    let training = TrainingConfig {
        batch_size: 100,
        embedding_dim: 3,
        max_epochs: 2,
        embedding_optimizer: EmbeddingOptimizerName::Adam,
        embedding_dropout: 0.1,
        gradient_clip_norm: 1.0,
        ..TrainingConfig::default()
    };
    let content = CellContent {
        numerics_version: NUMERICS_VERSION,
        variant: "home".into(),
        seed: 1,
        device: "cuda".into(),
        phase: Phase::Final,
        dataset: CellDataset {
            name: "synthetic".into(),
            protocol: String::new(),
            train_rows: Some(TRAIN_ROWS),
            fraction: None,
            split_seed: None,
            content_hash: String::new(),
            knobs: Default::default(),
        },
        model: CellModel {
            name: "home".into(),
            knobs: "expert_dims = [9, 5]\ntower_dims = [4]\nrank = 2"
                .parse()
                .expect("knobs"),
        },
        training,
        selection: Default::default(),
        last_epoch: None,
        freeze: Vec::new(),
        init_from: None,
        distill: None,
        metrics: Default::default(),
        cohorts: Default::default(),
    };
    let model = content.model_config().expect("a model");
    let device = candle_core::Device::Cpu;
    train::train(
        dataset,
        &model,
        &content.settings(),
        content.final_phase(),
        &device,
        &mut Unseen,
        keeper,
    )
}

/// Every weight, by path.
fn weights(result: &CellResult) -> BTreeMap<String, Vec<f32>> {
    let of = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let all = result.weights.iter();
    all.map(|(path, tensor)| (path.clone(), of(tensor)))
        .collect()
}

#[test]
fn a_cell_learns_on_the_cuda_path_what_it_learns_on_the_processor() {
    let expected = train(&mut KeepNothing).unwrap();
    let [first, last] = [Order::Ascending, Order::Descending]
        .map(|order| on_host(place::kernels, order, || train(&mut KeepNothing)).unwrap());
    // To the last bit, whatever the order of threads.
    assert_eq!(weights(&first), weights(&last));
    assert_eq!(first.curves, last.curves);
    assert_eq!(first.scores, last.scores);
    assert_eq!(first.diagnostics, last.diagnostics);
    assert_eq!(first.curves.len(), expected.curves.len());
    let curves = first.curves.iter().zip(&expected.curves);
    for (found, expected) in curves.filter(|(_, point)| point.metric.name() != "auc") {
        let (Some(a), Some(b)) = (found.value, expected.value) else {
            assert_eq!(found, expected);
            continue;
        };
        assert!((a - b).abs() < 1e-3, "{found:?} {expected:?}");
    }
    let norms = |result: &CellResult| -> Vec<f64> {
        let points = result.diagnostics.experts.iter();
        let norms = points.filter(|point| point.metric.name() == "gradient_norm");
        norms.filter_map(|point| point.value).collect()
    };
    let (found, expected) = (norms(&first), norms(&expected));
    assert!(!expected.is_empty() && found.len() == expected.len());
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-2 * b.abs() + 1e-6, "{a} {b}");
    }
}

#[test]
fn a_cell_on_the_cuda_path_goes_on_from_a_checkpoint_as_if_nothing_had_been() {
    on_host(place::kernels, Order::Ascending, || {
        let whole = train(&mut KeepNothing).unwrap();
        let mut keeper = KeepOnce {
            at_step: 8,
            ..KeepOnce::default()
        };
        let stopped = train(&mut keeper).unwrap_err();
        assert!(matches!(stopped, TrainError::Stopped), "{stopped}");
        keeper.is_stopping = false;
        keeper.at_step = 0;
        let resumed = train(&mut keeper).unwrap();
        assert_eq!(keeper.refused, None);
        assert_eq!(weights(&resumed), weights(&whole));
        assert_eq!(resumed.curves, whole.curves);
        assert_eq!(resumed.diagnostics, whole.diagnostics);
    });
}
