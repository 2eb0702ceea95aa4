//! Any text as the manifest of a prepared dataset, with the digest that it should have: used, or named and prepared again.
#![no_main]

use homebench_data::{DatasetRef, Observer, Places, open};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

const DESCRIPTION: &str = r#"source = "table"
default_protocol = "all"
columns = ["user", "price", "bought"]
[format]
separator = ","
has_header = true
[files.rows]
name = "rows.csv"
[features]
user = { kind = "categorical" }
price = { kind = "numeric", transform = ["standardise"] }
[tasks.bought]
label = "bought"
group = "shop"
[split]
kind = "hash"
validation_fraction = 0.3
test_fraction = 0.3
seed = 1
[protocols.all]
tasks = ["bought"]
"#;

struct Silent;

impl Observer for Silent {
    fn notice(&mut self, _message: &str) {}
    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

/// A prepared dataset, and its manifest.
static DATASET: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("room for temporary files");
    let data = folder.path().join("fuzzed");
    std::fs::create_dir(&data).expect("a new folder");
    let rows = (0..40).map(|row| format!("u{},{}.5,{}\n", row % 5, row, row % 2));
    let text = format!("user,price,bought\n{}", rows.collect::<String>());
    std::fs::write(data.join("rows.csv"), text).expect("a new file");
    std::fs::write(folder.path().join("fuzzed.toml"), DESCRIPTION).expect("a new file");
    let prepared = open(&DatasetRef::new("fuzzed"), &places(&folder), &mut Silent);
    drop(prepared.expect("a dataset as described"));
    let cache = std::fs::read_dir(folder.path().join("cache")).expect("a folder of this process");
    let manifests = cache
        .flatten()
        .map(|entry| entry.path().join("manifest.toml"));
    let manifest = manifests.into_iter().find(|path| path.exists());
    (folder, manifest.expect("a manifest"))
});

fn places(folder: &TempDir) -> Places {
    Places {
        descriptions: folder.path().to_owned(),
        data: folder.path().to_owned(),
        cache: folder.path().join("cache"),
    }
}

fuzz_target!(|text: &str| {
    let (folder, manifest) = &*DATASET;
    // Behind the digest; an input may be a manifest as it lies in a cache.
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("blake3 = ") => rest,
        _ => text,
    };
    let digest = blake3::hash(text.as_bytes()).to_hex();
    std::fs::write(manifest, format!("blake3 = \"{digest}\"\n{text}")).expect("a file of this process");
    match open(&DatasetRef::new("fuzzed"), &places(folder), &mut Silent) {
        Err(refusal) => drop(refusal.to_string()),
        Ok(prepared) => {
            let mut batch = homebench_data::Batch::default();
            for split in [&prepared.train, &prepared.validation] {
                split
                    .read(0..split.num_rows(), &mut batch)
                    .expect("rows that are there");
            }
        }
    }
});
