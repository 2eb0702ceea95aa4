//! Whole trainings on made data: predictions that are not finite fail a cell with their place, whatever made them, and a task of weight 0
//! has no part in selection.

use crate::harness::Unseen;
use homebench_data::{self as data, DatasetRef, Places, Quiet};
use homebench_experiment::spec::{CellContent, CellDataset, CellModel, NUMERICS_VERSION};
use homebench_results::Phase;
use homebench_train::{
    self as train, CellResult, KeepNothing, OptimizerName, TrainError, TrainingConfig,
};
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;

const NAME: &str = "made";
const DESCRIPTION: &str = "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [\"day\", \"user\", \"x\", \"click\", \"like\"]\n\
    [files.log]\nname = \"log.csv\"\n\
    [split]\nkind = \"time\"\ncolumn = \"day\"\nvalidation_from = 8\ntest_from = 9\n\
    [features]\nuser = { kind = \"categorical\" }\nx = { kind = \"numeric\" }\n\
    [tasks.click]\nlabel = \"click\"\ngroup = \"a\"\n[tasks.like]\nlabel = \"like\"\ngroup = \"a\"\n\
    [protocols.all]\ntasks = [\"click\", \"like\"]\n";
/// A numeric input that one row of one split has, exact in f32.
const MARKED: f32 = 1.671875;

/// Days 1 to 9 of ten rows each; the row of index `row` of `day` has the marked input.
fn made(day: usize, row: usize) -> (TempDir, Places) {
    let folder = TempDir::new().expect("a folder");
    let mut log = String::from("day,user,x,click,like\n");
    for number in 0..90_usize {
        let (of_day, of_row) = (number / 10 + 1, number % 10);
        let x = match (of_day, of_row) == (day, row) {
            true => MARKED,
            false => (number * 7 % 13) as f32 / 16.0,
        };
        let (click, like) = (number * 5 % 3 % 2, number / 2 % 2);
        writeln!(log, "{of_day},u{},{x},{click},{like}", number % 4).expect("a text");
    }
    std::fs::write(folder.path().join("log.csv"), log).expect("a file");
    std::fs::write(folder.path().join(format!("{NAME}.toml")), DESCRIPTION).expect("a file");
    let places = Places {
        descriptions: folder.path().to_owned(),
        data: folder.path().to_owned(),
        cache: folder.path().join("cache"),
    };
    (folder, places)
}

/// Writes `value` over the marked input of a prepared split.
// Preparation refuses such a number; what is prepared may come from an older version, or be damaged.
fn put(cache: &Path, split: &str, value: f32) {
    let mut folders = vec![cache.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut bytes = std::fs::read(&path).expect("a file");
            let marked = MARKED.to_le_bytes();
            let Some(place) = bytes.windows(4).position(|bytes| bytes == marked) else {
                continue;
            };
            assert!(name.starts_with(split), "the marked input is in {name}");
            let before = blake3::hash(&bytes).to_hex();
            bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
            std::fs::write(&path, &bytes).expect("a file");
            let after = blake3::hash(&bytes).to_hex();
            seal(&path.with_file_name("manifest.toml"), &before, &after);
            return;
        }
    }
    panic!("no prepared file has the marked input");
}

/// Makes a manifest vouch for other bytes of a file, as if they had been prepared so.
fn seal(manifest: &Path, before: &str, after: &str) {
    let text = std::fs::read_to_string(manifest).expect("a manifest");
    let (_, text) = text.split_once('\n').expect("a digest in the first line");
    assert!(text.contains(before));
    let text = text.replace(before, after);
    let digest = blake3::hash(text.as_bytes()).to_hex();
    std::fs::write(manifest, format!("blake3 = \"{digest}\"\n{text}")).expect("a file");
}

fn train(places: &Places, training: TrainingConfig) -> Result<CellResult, TrainError> {
    let dataset = data::open(&DatasetRef::new(NAME), places, &mut Quiet).expect("it opens");
    let content = CellContent {
        numerics_version: NUMERICS_VERSION,
        variant: "mmoe".into(),
        seed: 1,
        device: "cpu".into(),
        phase: Phase::Final,
        dataset: CellDataset {
            name: NAME.into(),
            protocol: String::new(),
            train_rows: None,
            fraction: None,
            split_seed: None,
            content_hash: String::new(),
            knobs: Default::default(),
        },
        model: CellModel {
            name: "mmoe".into(),
            knobs: "num_experts = 2\nexpert_dims = [8]\ntower_dims = [4]"
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
    train::train(
        dataset,
        &content.model_config().expect("a model"),
        &content.settings(),
        content.final_phase(),
        &candle_core::Device::Cpu,
        &mut Unseen,
        &mut KeepNothing,
    )
}

#[test]
fn an_input_that_is_not_finite_in_validation_or_test_alone_fails_the_cell_with_split_and_row() {
    let training = TrainingConfig {
        batch_size: 35,
        max_epochs: 2,
        ..TrainingConfig::default()
    };
    // 70 rows in two steps an epoch; validation is looked at after the first epoch, test after the last.
    for (day, split, step, epoch) in [(8, "validation", 2, 1), (9, "test", 4, 2)] {
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let (_folder, places) = made(day, 3);
            data::prepare(&DatasetRef::new(NAME), &places, &mut Quiet).expect("sound data");
            train(&places, training.clone()).expect("the data is sound as yet");
            put(&places.cache, split, value);
            let error = train(&places, training.clone()).unwrap_err();
            let TrainError::PredictionNotFinite {
                task,
                split: found,
                row,
                value: _,
                input,
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((task.as_str(), *found, *row), ("click", split, 3));
            assert_eq!(input.map(f32::to_bits), Some(value.to_bits()));
            let said = error.to_string();
            assert!(
                said.contains(&format!("at row 3 of the {split} split")),
                "{said}"
            );
            assert!(
                said.ends_with(&format!(
                    "a numeric input of this row is {value}; mend the row in the data"
                )),
                "{said}"
            );
            if split == "validation" {
                assert!(
                    said.contains(&format!("after step {step}, epoch {epoch}")),
                    "{said}"
                );
            }
        }
    }
}

#[test]
fn weights_that_diverge_in_the_last_step_fail_the_cell() {
    let (_folder, places) = made(1, 0);
    // The only step: its loss is that of fresh weights, which is finite.
    let training = TrainingConfig {
        batch_size: 1000,
        max_epochs: 1,
        optimizer: OptimizerName::Sgd,
        learning_rate: 1e30,
        ..TrainingConfig::default()
    };
    let error = train(&places, training).unwrap_err();
    assert!(
        matches!(
            error,
            TrainError::PredictionNotFinite {
                split: "validation",
                input: None,
                step: 1,
                epoch: 1,
                ..
            }
        ),
        "{error}"
    );
    let said = error.to_string();
    assert!(said.contains("lower `learning_rate`"), "{said}");
}

#[test]
fn a_task_of_weight_zero_has_no_part_in_early_stopping_or_in_the_choice_of_weights() {
    const PATIENCE: usize = 2;
    let (_folder, places) = made(1, 0);
    let trained = |weight: f64| {
        let training = TrainingConfig {
            batch_size: 10,
            max_epochs: 30,
            patience: PATIENCE,
            learning_rate: 0.02,
            task_weights: [("like".to_owned(), weight)].into(),
            ..TrainingConfig::default()
        };
        train(&places, training).expect("sound data")
    };
    let aucs = |result: &CellResult, task: &str| -> Vec<f64> {
        let points = result.curves.iter().filter(|point| {
            point.split == train::SplitName::Validation
                && point.task == task
                && point.metric.name() == "auc"
        });
        points
            .map(|point| point.value.expect("two classes"))
            .collect()
    };
    let alone = trained(0.0);
    let scores = aucs(&alone, "click");
    // By hand, from the curve: the first best epoch before so many without a better one.
    let (mut best, mut since) = (0, 0);
    for (epoch, score) in scores.iter().enumerate().skip(1) {
        (best, since) = match *score > scores[best] {
            true => (epoch, 0),
            false => (best, since + 1),
        };
        if since == PATIENCE {
            break;
        }
    }
    assert_eq!(alone.selected_epoch, best + 1);
    assert_eq!(alone.epochs_run, (best + 1 + since).min(30));
    assert_eq!(alone.validation_score, scores[best]);
    // It is scored all the same.
    assert_eq!(aucs(&alone, "like").len(), scores.len());
    let both = trained(0.5);
    let mean = |epoch: usize| (aucs(&both, "click")[epoch] + aucs(&both, "like")[epoch]) / 2.0;
    assert_eq!(both.validation_score, mean(both.selected_epoch - 1));
}
