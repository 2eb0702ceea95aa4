//! What looking into experts and gates costs: whole trainings with and without it, in turns, as a share of training time.
//!
//!   cargo bench -p homebench-benches --bench diagnostics -- 5
//!
//! prints a row of CSV per workload and pair; arguments are the number of pairs and names of workloads. Curves are compared: what
//! is looked into learns the same.

use homebench_runner::data::{self, DatasetRef, Places, Quiet, RowSubset};
use homebench_runner::spec::{
    CellContent, CellDataset, CellModel, CellTraining, NUMERICS_VERSION, Phase,
};
use homebench_runner::train::{self, CellResult, Observer, Progress, TrainingConfig};
use std::path::PathBuf;
use std::time::Instant;

struct Workload {
    name: &'static str,
    model: &'static str,
    knobs: &'static str,
    batch_size: usize,
    embedding_dim: usize,
    train_rows: usize,
}

/// A size at which cells are small and many, and one at which experts are as wide as those of home-l.
const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "home-small",
        model: "home",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]\nrank = 4",
        batch_size: 1024,
        embedding_dim: 8,
        train_rows: 60_000,
    },
    Workload {
        name: "mmoe-small",
        model: "mmoe",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]",
        batch_size: 1024,
        embedding_dim: 8,
        train_rows: 60_000,
    },
    Workload {
        name: "ple-small",
        model: "ple",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]",
        batch_size: 1024,
        embedding_dim: 8,
        train_rows: 60_000,
    },
    Workload {
        name: "home-large",
        model: "home",
        knobs: "expert_dims = [256, 128]\ntower_dims = [64]\nrank = 64",
        batch_size: 4096,
        embedding_dim: 100,
        train_rows: 60_000,
    },
];

struct Watcher {
    wants_diagnostics: bool,
}

impl Observer for Watcher {
    fn progress(&mut self, _: &Progress) {}

    fn wants_diagnostics(&self) -> bool {
        self.wants_diagnostics
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pairs = arguments.iter().find_map(|argument| argument.parse().ok());
    let named = |workload: &&Workload| arguments.iter().any(|argument| argument == workload.name);
    let is_any_named = WORKLOADS.iter().any(|workload| named(&workload));
    println!("workload,pair,train_seconds,seconds_without,seconds_with,share_of_training");
    for workload in WORKLOADS.iter().filter(|w| !is_any_named || named(w)) {
        measure(workload, pairs.unwrap_or(3));
    }
}

/// Times pairs, and at the end the shortest of each side, which others' work on the machine disturbs least.
fn measure(workload: &Workload, pairs: usize) {
    let mut least = [f64::INFINITY; 3];
    for pair in 1..=pairs {
        // Who goes first changes from pair to pair.
        let first = pair % 2 == 0;
        let (one, two) = (trained(workload, first), trained(workload, !first));
        let (with, without) = if first { (one, two) } else { (two, one) };
        assert_same_training(&with.1, &without.1);
        let seconds = [without.1.train_seconds, without.0, with.0];
        for (least, seconds) in least.iter_mut().zip(seconds) {
            *least = least.min(seconds);
        }
        print(workload, &pair.to_string(), seconds);
    }
    print(workload, "shortest", least);
}

fn print(workload: &Workload, pair: &str, [training, without, with]: [f64; 3]) {
    let share = (with - without) / training;
    let name = workload.name;
    println!("{name},{pair},{training:.3},{without:.3},{with:.3},{share:.4}");
}

fn trained(workload: &Workload, wants_diagnostics: bool) -> (f64, CellResult) {
    let descriptions = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../experiments/datasets");
    let places = Places::resolve(Some(&descriptions), None, None);
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(workload.train_rows),
        ..DatasetRef::new("synthetic")
    };
    let dataset = data::open(&reference, &places, &mut Quiet).expect("the embedded source opens");
    let training = TrainingConfig {
        batch_size: workload.batch_size,
        embedding_dim: workload.embedding_dim,
        max_epochs: 3,
        patience: 3,
        ..TrainingConfig::default()
    };
    let content = content(workload, &training);
    let model = content.model_config().expect("a model");
    let start = Instant::now();
    let result = train::train(
        dataset,
        &model,
        &training,
        content.seed,
        content.final_phase(),
        &candle_core::Device::Cpu,
        &mut Watcher { wants_diagnostics },
        &mut train::KeepNothing,
    );
    let seconds = start.elapsed().as_secs_f64();
    (seconds, result.expect("it trains"))
}

fn content(workload: &Workload, training: &TrainingConfig) -> CellContent {
    CellContent {
        numerics_version: NUMERICS_VERSION,
        variant: workload.name.into(),
        seed: 1,
        device: "cpu".into(),
        phase: Phase::Final,
        dataset: CellDataset {
            name: "synthetic".into(),
            protocol: String::new(),
            train_rows: Some(workload.train_rows),
            fraction: None,
            split_seed: None,
            content_hash: String::new(),
        },
        model: CellModel {
            name: workload.model.into(),
            knobs: workload.knobs.parse().expect("knobs"),
        },
        training: CellTraining::from(training),
    }
}

fn assert_same_training(one: &CellResult, other: &CellResult) {
    assert_eq!(one.curves, other.curves);
    assert!(!one.diagnostics.experts.is_empty() && other.diagnostics.experts.is_empty());
}
