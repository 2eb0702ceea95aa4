//! Tests of the whole path from a description and files to rows.

mod bad_input;
mod caching;
mod carrying;
mod chains;
mod columnar;
mod computed_columns;
mod describing;
mod describing_columns;
mod describing_refusals;
mod description;
mod documentation;
mod embedded;
mod faults;
mod fetching;
mod followed_hints;
mod followed_mends;
mod hints;
mod joined_mends;
mod kinds;
mod kuairand;
mod layouts;
mod list_texts;
mod lists;
mod missing;
mod new_rows;
mod nine_days;
mod operands;
mod parts;
mod preparation;
mod pretrained;
mod public_sets;
mod rare_columns;
mod receipts;
mod regression;
mod shared_tables;
mod tables;
mod times;
mod typed_values;
mod types;
mod versions;
mod warnings;

use super::{DatasetRef, Observer, Places, Prepared, Split};
use std::path::PathBuf;

const DESCRIPTION: &str = r#"source = "csv"
default_protocol = "all"
columns = ["color", "size", "label"]
[format]
separator = ","
has_header = false
trim_spaces = true
[files.train]
name = "train.csv"
[files.test]
name = "test.csv"
[allowed_values]
label = ["no", "yes"]
[features]
color = { kind = "categorical" }
size = { kind = "numeric", transform = ["standardise"] }
size_bucket = { kind = "bucket", column = "size", buckets = 4 }
[tasks.buys]
label = 'label == "yes"'
group = "shop"
[split]
train = "train"
holdout = "test"
validation_fraction = 0.5
seed = 1
[protocols.all]
tasks = ["buys"]
"#;

const TRAIN: &str = "red, 1, yes\nblue, 2, no\nred, 3, no\ngreen, 4, yes\n";
const TEST: &str = "blue, 1, no\nwhite, 4, yes\n";

/// A described dataset in a folder of its own.
struct Dataset {
    folder: tempfile::TempDir,
}

impl Dataset {
    fn new() -> Self {
        Self::described(DESCRIPTION, TRAIN, TEST)
    }

    fn described(description: &str, train: &str, test: &str) -> Self {
        let dataset = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        dataset.write("descriptions/shop.toml", description);
        dataset.write("data/shop/train.csv", train);
        dataset.write("data/shop/test.csv", test);
        dataset
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn places(&self) -> Places {
        Places {
            descriptions: self.path("descriptions"),
            data: self.path("data"),
            cache: self.path("cache"),
        }
    }

    fn open(&self) -> anyhow::Result<Prepared> {
        super::open(
            &DatasetRef::new("shop"),
            &self.places(),
            &mut Notices::default(),
        )
    }

    /// The error of opening it, with the folder's name left out.
    fn refusal(&self) -> String {
        self.said(&self.open().unwrap_err())
    }

    fn said(&self, error: &anyhow::Error) -> String {
        error
            .to_string()
            .replace(&self.folder.path().display().to_string(), "")
    }

    /// The one folder of the cache.
    fn prepared_folder(&self) -> PathBuf {
        let folders: Vec<PathBuf> = std::fs::read_dir(self.path("cache"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }
}

#[derive(Default)]
struct Notices(Vec<String>);

impl Observer for Notices {
    fn notice(&mut self, message: &str) {
        self.0.push(message.to_owned());
    }
    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

fn all(split: &Split) -> super::Batch {
    let mut batch = super::Batch::default();
    split.read(0..split.num_rows(), &mut batch).unwrap();
    batch
}

/// The correlation of two lists of numbers.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len() as f64;
    let [mean_a, mean_b] = [a, b].map(|values| values.iter().sum::<f64>() / count);
    let sum = |product: &dyn Fn(f64, f64) -> f64| -> f64 {
        let rows = a.iter().zip(b);
        rows.map(|(x, y)| product(x - mean_a, y - mean_b)).sum()
    };
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}
