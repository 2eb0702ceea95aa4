//! Trainings whose tables begin with pretrained vectors.

use crate::harness::{self, Kept, values};
use homebench_data::{self as data, DatasetRef, Places, Prepared, PretrainedTable, Quiet};
use homebench_train::{
    CellResult, EmbeddingOptimizerName, KeepNothing, PretrainedUse, TrainError, TrainingConfig,
};
use std::path::{Path, PathBuf};

const DESCRIBED: &str = r#"source = "table"
default_protocol = "all"
columns = ["item", "seen", "day", "buys"]
[files.log]
name = "log.csv"
[files.vectors]
name = "integers.safetensors"
[features]
item = { kind = "categorical" }
seen = { kind = "list", table = "item" }
weekday = { kind = "categorical", column = "day" }
[pretrained.item]
file = "vectors"
key = "item_id"
vector = "embedding"
[tasks.buys]
label = "buys"
group = "shop"
[tasks.waits]
label = "buys = 0"
group = "shop"
[split]
kind = "hash"
seed = 3
validation_fraction = 0.2
test_fraction = 0.2
[protocols.all]
tasks = ["buys", "waits"]
"#;

/// The log and the vectors of `tests/golden/pretrained.py`, but for a vector with the largest number of 32 bits, which no model takes.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new(description: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = Self { folder };
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pretrained");
        for name in ["descriptions", "data"] {
            std::fs::create_dir(shop.path(name)).unwrap();
        }
        std::fs::write(shop.path("descriptions/shop.toml"), description).unwrap();
        std::fs::copy(golden.join("log.csv"), shop.path("data/log.csv")).unwrap();
        let vectors = std::fs::read(golden.join("integers.safetensors")).unwrap();
        let mut tensors =
            candle_core::safetensors::load_buffer(&vectors, &candle_core::Device::Cpu).unwrap();
        let clamped = tensors["embedding"].clamp(-3.0, 3.0).unwrap();
        tensors.insert("embedding".to_owned(), clamped);
        let path = shop.path("data/integers.safetensors");
        candle_core::safetensors::save(&tensors, path).unwrap();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Prepared {
        let places = Places {
            descriptions: self.path("descriptions"),
            data: self.path("data"),
            cache: self.path("cache"),
        };
        data::open(&DatasetRef::new("shop"), &places, &mut Quiet).unwrap()
    }

    fn vectors(&self) -> PretrainedTable {
        self.open().pretrained.table("item").unwrap().unwrap()
    }
}

/// Everything that could move a table without a gradient of its own.
fn training(how: Option<PretrainedUse>) -> TrainingConfig {
    TrainingConfig {
        batch_size: 8,
        max_epochs: 3,
        embedding_dim: 3,
        learning_rate: 0.05,
        embedding_l2: 0.1,
        pretrained: how
            .map(|how| ("item".to_owned(), how))
            .into_iter()
            .collect(),
        ..TrainingConfig::default()
    }
}

fn train(
    shop: &Shop,
    model: (&str, &str),
    training: &TrainingConfig,
) -> Result<CellResult, TrainError> {
    let settings = harness::settings(training);
    let model = harness::small_model(model);
    harness::train(shop.open(), &model, &settings, &mut KeepNothing)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Models with one table, with one for each task, and with both.
const MODELS: [(&str, &str); 4] = [
    ("mmoe", "num_experts = 2"),
    ("single_task", "norm = \"batch\""),
    ("stem", ""),
    ("shared_bottom", "bottom = \"fm\""),
];

/// The rows of a table that have vectors, and the others, by id.
fn rows<'a>(
    table: &'a [f32],
    vectors: &'a PretrainedTable,
) -> impl Iterator<Item = (&'a [f32], Option<&'a [f32]>)> {
    let width = vectors.width;
    table.chunks_exact(width).enumerate().map(move |(id, row)| {
        let place = vectors.ids.binary_search(&(id as u32)).ok();
        (
            row,
            place.map(|place| &vectors.vectors[place * width..][..width]),
        )
    })
}

#[test]
fn a_frozen_table_has_the_vectors_of_the_file_to_the_bit_and_else_its_random_start() {
    let shop = Shop::new(DESCRIBED);
    let vectors = shop.vectors();
    for optimizer in [
        EmbeddingOptimizerName::Adam,
        EmbeddingOptimizerName::RowwiseAdagrad,
    ] {
        for model in MODELS {
            // No step moves a table: what it ends with is its random start.
            let still = TrainingConfig {
                embedding_learning_rate: Some(0.0),
                embedding_l2: 0.0,
                ..training(None)
            };
            let random = values(&train(&shop, model, &still).unwrap());
            let frozen = TrainingConfig {
                embedding_optimizer: optimizer,
                ..training(Some(PretrainedUse::Frozen))
            };
            let frozen = values(&train(&shop, model, &frozen).unwrap());
            let (mut num_tables, mut num_moved) = (0, 0);
            for (path, table) in &frozen {
                if !path.ends_with("embedding.item.weight") {
                    num_moved += usize::from(*table != random[path]);
                    continue;
                }
                num_tables += 1;
                let starts = random[path].chunks_exact(vectors.width);
                for ((row, vector), start) in rows(table, &vectors).zip(starts) {
                    assert_eq!(bits(row), bits(vector.unwrap_or(start)), "{model:?} {path}");
                }
            }
            let sets = match model.0 {
                "single_task" => 2,
                "stem" => 3,
                _ => 1,
            };
            assert_eq!(num_tables, sets, "{model:?}");
            assert!(num_moved > 3, "{model:?}");
        }
    }
}

#[test]
fn a_trained_table_begins_with_the_vectors_and_moves() {
    let shop = Shop::new(DESCRIBED);
    let vectors = shop.vectors();
    let model = MODELS[0];
    let of = |training: &TrainingConfig| {
        let weights = values(&train(&shop, model, training).unwrap());
        weights["embedding.item.weight"].clone()
    };
    let still = TrainingConfig {
        embedding_learning_rate: Some(0.0),
        embedding_l2: 0.0,
        ..training(Some(PretrainedUse::Trained))
    };
    let frozen = of(&training(Some(PretrainedUse::Frozen)));
    assert_eq!(bits(&of(&still)), bits(&frozen));
    let trained = of(&training(Some(PretrainedUse::Trained)));
    let moved = rows(&trained, &vectors).filter(|(row, vector)| vector.is_some_and(|v| v != *row));
    // Values of training rows: the vocabulary has no others.
    assert_eq!(moved.count(), vectors.ids.len());
    assert_ne!(trained, of(&training(None)));
}

#[test]
fn with_dropout_and_a_width_of_its_own_a_frozen_table_keeps_its_bits() {
    let shop = Shop::new(DESCRIBED);
    let vectors = shop.vectors();
    let training = TrainingConfig {
        embedding_dim: 2,
        embedding_dims: [("item".to_owned(), 3)].into(),
        embedding_dropout: 0.3,
        ..training(Some(PretrainedUse::Frozen))
    };
    let weights = values(&train(&shop, MODELS[0], &training).unwrap());
    for (row, vector) in rows(&weights["embedding.item.weight"], &vectors) {
        assert!(vector.is_none_or(|vector| bits(vector) == bits(row)));
    }
    assert_eq!(weights["embedding.weekday.weight"].len() % 2, 0);
}

#[test]
fn what_is_kept_of_a_training_goes_on_to_the_same_weights() {
    let shop = Shop::new(DESCRIBED);
    for how in [PretrainedUse::Frozen, PretrainedUse::Trained] {
        let training = training(Some(how));
        let model = harness::small_model(MODELS[0]);
        let whole = train(&shop, MODELS[0], &training).unwrap();
        let mut keeper = Kept::default();
        for last_epoch in [Some(1), None] {
            let settings = homebench_train::CellSettings {
                last_epoch,
                ..harness::settings(&training)
            };
            let result = harness::train(shop.open(), &model, &settings, &mut keeper).unwrap();
            assert_eq!(keeper.refused, None);
            let is_whole = values(&result) == values(&whole);
            assert!(last_epoch.is_some() || is_whole, "{how:?}");
        }
    }
}

#[test]
fn what_no_vectors_fit_ends_the_training_before_it_begins() {
    let shop = Shop::new(DESCRIBED);
    let said =
        |training: &TrainingConfig| train(&shop, MODELS[0], training).unwrap_err().to_string();
    let wide = TrainingConfig {
        embedding_dim: 4,
        ..training(Some(PretrainedUse::Frozen))
    };
    let other = TrainingConfig {
        pretrained: [("weekday".to_owned(), PretrainedUse::Trained)].into(),
        ..training(None)
    };
    insta::assert_snapshot!([said(&wide), said(&other)].join("\n"), @r"
    the embedding table `item` can't begin with pretrained vectors: its rows have 4 numbers, and the vectors 3
    the embedding table `weekday` can't begin with pretrained vectors: the data have none of it
    ");
}
