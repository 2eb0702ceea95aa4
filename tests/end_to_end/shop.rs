//! The log of a shop: its rows and description, runs on it, and what these predict.

use crate::harness::{Bench, Ran};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;

pub(crate) const DESCRIPTION: &str = r#"source = "table"
default_protocol = "all"
columns = [
    "session", "item", { name = "seen", type = "timestamp" }, "visitor", "color", "tags", "price", "stay", "bought", "day",
    { name = "bright", expression = "color = 'red' or color = 'blue'" },
]
keys = ["session", "item", "seen"]
user = "visitor"
filter = "price < 90"
optional = ["price"]
[files.rows]
name = "rows.csv"
[files.brands]
name = "brands.csv"
[joins.brand]
file = "brands"
on = "item"
columns = ["item", "brand"]
[features]
color = { kind = "categorical", min_count = 2 }
bright = { kind = "categorical" }
brand = { kind = "categorical" }
visitor = { kind = "categorical" }
item = { kind = "hash", buckets = 50 }
tags = { kind = "list", separator = "|" }
price = { kind = "numeric", transform = ["log1p", "standardise"] }
price_bucket = { kind = "bucket", column = "price", buckets = 4 }
[tasks.buys]
label = "bought == 1"
observed = "stay > 2"
group = "shop"
[tasks.stays]
kind = "regression"
label = "stay"
transform = ["log1p", "standardise"]
group = "watch"
[split]
kind = "time"
files = "rows"
column = "day"
validation_from = "2024-01-06"
test_from = "2024-01-08"
[protocols.all]
tasks = ["buys", "stays"]
"#;

pub(crate) const MODELS: [(&str, &str); 11] = [
    ("logistic", ""),
    ("single_task", "expert_dims = [8]\ntower_dims = [4]"),
    (
        "shared_bottom",
        "expert_dims = [8]\ntower_dims = [4]\nnorm = \"batch\"",
    ),
    (
        "omoe",
        "num_experts = 2\nexpert_dims = [8]\ntower_dims = [4]",
    ),
    (
        "mmoe",
        "num_experts = 2\nexpert_dims = [8]\ntower_dims = [4]",
    ),
    (
        "ml_mmoe",
        "num_experts = 2\nexpert_dims = [8]\ntower_dims = [4]",
    ),
    ("cgc", "expert_dims = [8]\ntower_dims = [4]"),
    ("ple", "expert_dims = [8]\ntower_dims = [4]"),
    ("adatt_sp", "expert_dims = [8]\ntower_dims = [4]"),
    ("adatt", "expert_dims = [8]\ntower_dims = [4]"),
    ("home", "expert_dims = [8]\ntower_dims = [4]\nrank = 2"),
];

pub(crate) fn spec(models: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "question = \"What does each row get?\"\nseeds = [1]\n[dataset]\nname = \"shop\"\n[training]\nbatch_size = 64\n\
         max_epochs = 2\npatience = 2\nlearning_rate = 5e-3\nembedding_dim = 4\n",
    );
    for (model, knobs) in models {
        text += &format!("[variants.{model}]\nmodel = \"{model}\"\n{knobs}\n");
    }
    text
}

/// Rows of a log: the same ones in every run.
pub(crate) fn rows() -> Vec<[String; 10]> {
    let colors = ["red", "blue", "green", "white"];
    let row = |row: u64| {
        let mixed = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let price = match mixed % 13 {
            0 => String::new(),
            _ => format!(
                "{}",
                (mixed % 100) as f64 / 2.0 + if mixed.is_multiple_of(17) { 90.0 } else { 0.0 }
            ),
        };
        let color = if row == 3 {
            "mauve"
        } else {
            colors[(mixed / 7 % 4) as usize]
        };
        [
            format!("{}", 1000 + row / 5),
            format!("i{}", mixed % 40),
            format!("2024-01-{:02}T08:00:{:02}Z", 1 + row / 90, row % 60),
            format!("v{}", mixed / 3 % 25),
            color.to_owned(),
            ["a|b", "", "c", "a|c|d"][(mixed / 11 % 4) as usize].to_owned(),
            price,
            format!("{}", mixed / 5 % 50),
            format!(
                "{}",
                u64::from(mixed.is_multiple_of(5) || color == "red" && mixed.is_multiple_of(3))
            ),
            format!("2024-01-{:02}", 1 + row / 90),
        ]
    };
    (0..900).map(row).collect()
}

pub(crate) const NAMES: [&str; 10] = [
    "session", "item", "seen", "visitor", "color", "tags", "price", "stay", "bought", "day",
];

/// CSV of these columns of some rows.
pub(crate) fn csv_of(rows: &[[String; 10]], columns: &[usize]) -> String {
    let line = |fields: Vec<&str>| fields.join(",") + "\n";
    let header = line(columns.iter().map(|column| NAMES[*column]).collect());
    let rows = rows.iter();
    let rows = rows.map(|row| line(columns.iter().map(|column| row[*column].as_str()).collect()));
    header + &rows.collect::<String>()
}

pub(crate) fn bench(models: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    for folder in ["descriptions", "data", "data/shop"] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
    }
    bench.write("descriptions/shop.toml", DESCRIPTION);
    bench.write(
        "data/shop/rows.csv",
        &csv_of(&rows(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    );
    let brands = (0..35).map(|item| format!("i{item},brand{}\n", item % 6));
    bench.write(
        "data/shop/brands.csv",
        &("item,brand\n".to_owned() + &brands.collect::<String>()),
    );
    bench.write("shop.toml", &spec(models));
    bench
}

/// The bench with another description, and variants as they stand in a spec.
pub(crate) fn bench_of(described: &str, variants: &str) -> Bench {
    let bench = bench(&[]);
    bench.write("descriptions/shop.toml", described);
    bench.write("shop.toml", &(spec(&[]) + variants));
    bench
}

/// The description with the feature `color` described in another way.
pub(crate) fn with_color(color: &str) -> String {
    let described = DESCRIPTION.replace("color = { kind = \"categorical\", min_count = 2 }", color);
    assert_ne!(described, DESCRIPTION);
    described
}

pub(crate) fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let mut arguments = vec![
        "run",
        "shop.toml",
        "--out",
        out,
        "--descriptions",
        "descriptions",
    ];
    arguments.extend(more);
    bench.run(&arguments)
}

/// Ids of the cells by variant.
pub(crate) fn cells(bench: &Bench, out: &str) -> BTreeMap<String, String> {
    let rows = bench.rows(&format!("{out}/cells.csv"));
    rows.iter()
        .map(|row| (row[1].to_owned(), row[0].to_owned()))
        .collect()
}

pub(crate) fn parquet(bench: &Bench, name: &str) -> RecordBatch {
    let file = File::open(bench.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader
        .build()
        .expect("Parquet")
        .map(|batch| batch.expect("rows"))
        .collect();
    concat_batches(&schema, &batches).expect("one schema")
}

pub(crate) fn numbers(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = rows
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no column {name}"));
    let column = cast(column, &DataType::Float64).expect("a number");
    column.as_primitive::<Float64Type>().iter().collect()
}

pub(crate) fn bits(rows: &RecordBatch, name: &str) -> Vec<u64> {
    let values = numbers(rows, name).into_iter();
    values
        .map(|value| value.expect("a score").to_bits())
        .collect()
}

/// Of pairs of a positive and a negative the share in which the positive is scored higher, ties half.
pub(crate) fn auc(scores: &[f64], labels: &[f64]) -> f64 {
    let of = |wanted: f64| {
        scores
            .iter()
            .zip(labels)
            .filter(move |(_, label)| **label == wanted)
    };
    let (mut won, mut pairs) = (0.0, 0.0);
    for (positive, _) in of(1.0) {
        for (negative, _) in of(0.0) {
            pairs += 1.0;
            won += if positive > negative {
                1.0
            } else if positive == negative {
                0.5
            } else {
                0.0
            };
        }
    }
    won / pairs
}
