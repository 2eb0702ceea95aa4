//! Any bytes as a delimited text: prepared, or refused with a diagnostic. The first byte chooses the layout and the split.
#![no_main]

use homebench_data::{DatasetRef, Observer, Places, open};
use libfuzzer_sys::fuzz_target;

const COLUMNS: &str = "user,price,tags,bought\n";

struct Silent;

impl Observer for Silent {
    fn notice(&mut self, _message: &str) {}
    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choices, text)) = bytes.split_first() else {
        return;
    };
    let is_chosen = |bit: u8| choices >> bit & 1 == 1;
    let folder = tempfile::tempdir().expect("room for temporary files");
    let data = folder.path().join("fuzzed");
    std::fs::create_dir(&data).expect("a new folder");
    let head = if is_chosen(0) { COLUMNS } else { "" };
    std::fs::write(data.join("rows.csv"), [head.as_bytes(), text].concat()).expect("a new file");
    std::fs::write(folder.path().join("fuzzed.toml"), describe(&is_chosen)).expect("a new file");
    let places = Places {
        descriptions: folder.path().to_owned(),
        data: folder.path().to_owned(),
        cache: folder.path().join("cache"),
    };
    match open(&DatasetRef::new("fuzzed"), &places, &mut Silent) {
        Err(refusal) => drop(refusal.to_string()),
        Ok(prepared) => {
            for split in [&prepared.train, &prepared.validation] {
                let mut batch = homebench_data::Batch::default();
                split
                    .read(0..split.num_rows(), &mut batch)
                    .expect("rows that are there");
                let sizes = prepared
                    .schema
                    .categorical
                    .iter()
                    .map(|feature| feature.vocabulary_size);
                for (id, size) in batch.categorical.iter().zip(sizes.cycle()) {
                    assert!((*id as usize) < size, "an id beyond its vocabulary");
                }
            }
        }
    }
});

fn describe(is_chosen: &dyn Fn(u8) -> bool) -> String {
    let split = match is_chosen(6) {
        true => "kind = \"time\"\ncolumn = \"price\"\nvalidation_from = 2\ntest_from = 3",
        false => "kind = \"user\"\nvalidation_fraction = 0.3\ntest_fraction = 0.3\nseed = 1",
    };
    format!(
        r#"source = "table"
default_protocol = "all"
columns = ["user", "price", "tags", "bought"]
optional = ["price"]
user = "user"
{filter}
[format]
separator = "{separator}"
has_header = {has_header}
quotes = {quotes}
trim_spaces = {trim_spaces}
encoding = "{encoding}"
[files.rows]
name = "rows.csv"
[features]
user_id = {{ kind = "categorical", column = "user", min_count = 2 }}
user_hash = {{ kind = "hash", column = "user", buckets = 7 }}
price = {{ kind = "numeric", transform = ["log1p", "standardise"] }}
price_bucket = {{ kind = "bucket", column = "price", buckets = 3 }}
tags = {{ kind = "list" }}
[tasks.bought]
label = "bought"
group = "shop"
[split]
{split}
[protocols.all]
tasks = ["bought"]
"#,
        filter = if is_chosen(5) {
            "filter = 'price >= 0'"
        } else {
            ""
        },
        separator = if is_chosen(7) { ';' } else { ',' },
        has_header = is_chosen(0),
        quotes = is_chosen(1),
        trim_spaces = is_chosen(2),
        encoding = if is_chosen(3) { "latin-1" } else { "utf-8" },
    )
}
