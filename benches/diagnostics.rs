//! What looking into experts and gates costs: whole trainings with and without it, in turns, as a share of training time.
//!
//!   cargo bench -p homebench-benches --bench diagnostics -- 5 ple-small
//!
//! prints a row of CSV per workload and pair, and the median; arguments are the number of pairs and names of workloads, by default
//! a small and a large one. Seconds are of processor time, which others' work on the machine hardly touches. Curves are compared:
//! what is looked into learns the same.

use homebench_data::{self as data, DatasetRef, Places, Quiet, RowSubset};
use homebench_experiment::spec::{CellContent, CellDataset, CellModel, NUMERICS_VERSION};
use homebench_results::Phase;
use homebench_runner::provenance::Usage;
use homebench_train::{self as train, CellResult, Observer, Progress, TrainingConfig};
use std::path::PathBuf;
use std::time::Instant;

struct Workload {
    name: &'static str,
    model: &'static str,
    knobs: &'static str,
    batch_size: usize,
    embedding_dim: usize,
    epochs: usize,
    pairs: usize,
    /// Whether it is measured where nothing is named.
    by_default: bool,
}

/// Fewer than most experiments have, so that an evaluation comes sooner and weighs more than it does there.
const TRAIN_ROWS: usize = 60_000;

/// A size at which cells are small and many, and one at which experts are as wide as those of home-l.
const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "home-small",
        model: "home",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]\nrank = 4",
        batch_size: 1024,
        embedding_dim: 8,
        epochs: 3,
        pairs: 5,
        by_default: true,
    },
    Workload {
        name: "mmoe-small",
        model: "mmoe",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]",
        batch_size: 1024,
        embedding_dim: 8,
        epochs: 3,
        pairs: 5,
        by_default: false,
    },
    Workload {
        name: "ple-small",
        model: "ple",
        knobs: "expert_dims = [64, 32]\ntower_dims = [16]",
        batch_size: 1024,
        embedding_dim: 8,
        epochs: 3,
        pairs: 5,
        by_default: false,
    },
    Workload {
        name: "home-large",
        model: "home",
        knobs: "expert_dims = [256, 128]\ntower_dims = [64]\nrank = 64",
        batch_size: 4096,
        embedding_dim: 100,
        epochs: 2,
        pairs: 2,
        by_default: true,
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

/// A training, in seconds.
#[derive(Clone, Copy)]
struct Cost {
    /// Processor time of all of it.
    cpu: f64,
    /// The part of that which its steps took.
    training: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pairs = arguments.iter().find_map(|argument| argument.parse().ok());
    let named = |workload: &Workload| arguments.iter().any(|argument| argument == workload.name);
    let is_any_named = WORKLOADS.iter().any(named);
    println!(
        "workload,pair,training_cpu_seconds,cpu_seconds_without,cpu_seconds_with,share_of_training"
    );
    for workload in &WORKLOADS {
        let is_chosen = match is_any_named {
            true => named(workload),
            false => workload.by_default,
        };
        if is_chosen {
            measure(workload, pairs.unwrap_or(workload.pairs));
        }
    }
}

/// Measures pairs, and at the end gives the median of their shares.
fn measure(workload: &Workload, pairs: usize) {
    let mut rows = Vec::with_capacity(pairs);
    for pair in 1..=pairs {
        // Who goes first changes from pair to pair.
        let first = pair % 2 == 0;
        let (one, two) = (trained(workload, first), trained(workload, !first));
        let (with, without) = if first { (one, two) } else { (two, one) };
        assert_same_training(&with.1, &without.1);
        let seconds = [without.0.training, without.0.cpu, with.0.cpu];
        let share = (with.0.cpu - without.0.cpu) / without.0.training;
        print(workload, &pair.to_string(), seconds, share);
        rows.push((seconds, share));
    }
    let medians = [0, 1, 2].map(|column| median(rows.iter().map(|(seconds, _)| seconds[column])));
    let share = median(rows.iter().map(|(_, share)| *share));
    print(workload, "median", medians, share);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.len() / 2, (values.len() - 1) / 2);
    f64::midpoint(values[lower], values[upper])
}

fn print(workload: &Workload, pair: &str, [training, without, with]: [f64; 3], share: f64) {
    let name = workload.name;
    println!("{name},{pair},{training:.3},{without:.3},{with:.3},{share:.4}");
}

fn cpu_seconds() -> f64 {
    let usage = Usage::of_this_process();
    usage
        .expect("the system tells a process its processor time")
        .cpu_seconds
}

fn trained(workload: &Workload, wants_diagnostics: bool) -> (Cost, CellResult) {
    let descriptions = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../experiments/datasets");
    let places = Places::resolve(Some(&descriptions), None, None);
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(TRAIN_ROWS),
        ..DatasetRef::new("synthetic")
    };
    let dataset = data::open(&reference, &places, &mut Quiet).expect("the embedded source opens");
    let training = TrainingConfig {
        batch_size: workload.batch_size,
        embedding_dim: workload.embedding_dim,
        max_epochs: workload.epochs,
        patience: workload.epochs,
        ..TrainingConfig::default()
    };
    let content = content(workload, &training);
    let model = content.model_config().expect("a model");
    let (start, cpu_start) = (Instant::now(), cpu_seconds());
    let result = train::train(
        dataset,
        &model,
        &content.settings(),
        content.final_phase(),
        &candle_core::Device::Cpu,
        &mut Watcher { wants_diagnostics },
        &mut train::KeepNothing,
    );
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_start);
    let result = result.expect("it trains");
    // Steps and evaluations keep the same threads busy, so their parts of the time are those of the processor time.
    let training = cpu * result.train_seconds / seconds;
    (Cost { cpu, training }, result)
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
            train_rows: Some(TRAIN_ROWS),
            fraction: None,
            split_seed: None,
            content_hash: String::new(),
            knobs: Default::default(),
        },
        model: CellModel {
            name: workload.model.into(),
            knobs: workload.knobs.parse().expect("knobs"),
        },
        training: training.clone(),
        metrics: Default::default(),
        cohorts: Default::default(),
        selection: Default::default(),
        last_epoch: None,
        freeze: Vec::new(),
        init_from: None,
        distill: None,
    }
}

fn assert_same_training(one: &CellResult, other: &CellResult) {
    assert_eq!(one.curves, other.curves);
    assert!(!one.diagnostics.experts.is_empty() && other.diagnostics.experts.is_empty());
}
