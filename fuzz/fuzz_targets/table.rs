//! Any bytes as a file of rows: prepared, or refused with a diagnostic. The first two bytes choose layout, types and split.
#![no_main]

use homebench_data::{DatasetRef, Observer, Places, open};
use libfuzzer_sys::fuzz_target;

const COLUMNS: [&str; 4] = ["user", "price", "tags", "bought"];

struct Silent;

impl Observer for Silent {
    fn notice(&mut self, _message: &str) {}
    fn progress(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

/// What the first two bytes of an input say.
struct Choices(u16);

impl Choices {
    fn is_chosen(&self, bit: u16) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// One of four, by two bits.
    fn one_of<'a>(&self, bit: u16, choices: [&'a str; 4]) -> &'a str {
        choices[usize::from(self.0 >> bit & 3)]
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([first, second], text)) = bytes.split_first_chunk() else {
        return;
    };
    let choices = Choices(u16::from_le_bytes([*first, *second]));
    let folder = tempfile::tempdir().expect("room for temporary files");
    let data = folder.path().join("fuzzed");
    std::fs::create_dir(&data).expect("a new folder");
    std::fs::write(data.join("rows.txt"), text).expect("a new file");
    std::fs::write(folder.path().join("fuzzed.toml"), describe(&choices)).expect("a new file");
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
                assert!(batch.numeric.iter().all(|number| number.is_finite()));
                assert!(batch.labels.iter().all(|label| label.is_finite()));
            }
        }
    }
});

fn describe(choices: &Choices) -> String {
    let kind = choices.one_of(0, ["csv", "recbole", "libsvm", "libffm"]);
    let delimited = format!(
        "separator = \"{}\"\nhas_header = {}\nquotes = {}\ntrim_spaces = {}\ncomment = \"#\"\n{}",
        choices.one_of(2, [",", ";", "::", "\\t"]),
        choices.is_chosen(4),
        choices.is_chosen(5),
        choices.is_chosen(6),
        if choices.is_chosen(5) && choices.is_chosen(7) {
            "escape = \"\\\\\""
        } else {
            ""
        },
    );
    let format = match kind {
        "csv" => format!(
            "{delimited}\nencoding = \"{}\"",
            if choices.is_chosen(8) {
                "latin-1"
            } else {
                "utf-8"
            }
        ),
        _ => String::new(),
    };
    let [user, price, tags, bought] = match kind {
        "libsvm" => ["qid", "1", "2", "label"],
        "libffm" => ["1", "2", "3", "label"],
        _ => COLUMNS,
    };
    let price_type = choices.one_of(
        9,
        [
            "",
            ", type = \"float\"",
            ", type = \"timestamp\", unit = \"s\"",
            ", type = \"integer\"",
        ],
    );
    let split = match choices.is_chosen(11) {
        true => {
            format!("kind = \"time\"\ncolumn = \"{price}\"\nvalidation_from = 2\ntest_from = 3")
        }
        false => {
            "kind = \"user\"\nvalidation_fraction = 0.3\ntest_fraction = 0.3\nseed = 1".to_owned()
        }
    };
    let filter = match choices.is_chosen(12) {
        true => format!("filter = '`{price}` >= 0 or `{tags}` in (\"a\", \"b\")'"),
        false => String::new(),
    };
    format!(
        r#"source = "table"
default_protocol = "all"
columns = ["{user}", {{ name = "{price}"{price_type}, missing = ["-1", "NA"] }}, "{tags}", "{bought}", {{ name = "twice", expression = "cast(`{price}` as float) * 2" }}]
optional = ["twice"]
user = "{user}"
{filter}
[format]
kind = "{kind}"
{format}
[files.rows]
name = "rows.txt"
[features]
user_id = {{ kind = "categorical", column = "{user}", min_count = 2 }}
user_hash = {{ kind = "hash", column = "{user}", buckets = 7 }}
price = {{ kind = "numeric", column = "{price}", transform = ["standardise"] }}
twice = {{ kind = "bucket", buckets = 3 }}
tags = {{ kind = "list", column = "{tags}" }}
[tasks.bought]
label = "{bought}"
group = "shop"
[split]
{split}
[protocols.all]
tasks = ["bought"]
"#,
    )
}
