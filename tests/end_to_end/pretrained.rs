//! Embedding tables that begin with pretrained vectors: from a description to a report, and to scores of new rows.

use crate::bad_input::refusal_of;
use crate::harness::Bench;
use crate::shop;
use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

const VECTORS: &str = r#"
[files.visitors]
name = "visitors.parquet"
[files.tags]
name = "tags.safetensors"
[pretrained.visitor]
file = "visitors"
key = "visitor_id"
vector = "embedding"
[pretrained.tags]
file = "tags"
key = "keys"
vector = "vectors"
"#;

const VARIANTS: &str = r#"
[defaults]
expert_dims = [8]
tower_dims = [4]
[variants.random]
model = "mmoe"
[variants.frozen]
model = "mmoe"
training = { pretrained = { tags = "frozen", visitor = "frozen" } }
[variants.trained]
model = "mmoe"
training = { pretrained = { tags = "frozen", visitor = "trained" } }
[variants.rounded]
model = "single_task"
training = { precision = "bf16", pretrained = { tags = "frozen", visitor = "frozen" } }
[variants.after]
model = "mmoe"
init_from = { variant = "trained" }
freeze = ["embedding.visitor"]
"#;

const WIDTH: usize = 4;
const TAGS: [&str; 3] = ["c", "a", "unknown"];

/// Number `place` of the vector of row `row` of a file.
fn number(row: usize, place: usize) -> f32 {
    ((row * 7 + place * 3) % 11) as f32 / 8.0 - 0.6
}

fn vector(row: usize) -> Vec<f32> {
    (0..WIDTH).map(|place| number(row, place)).collect()
}

/// Writes vectors of the visitors v0 to v19, of 25 that there are, and of one who never came.
fn write_visitors(bench: &Bench, shift: usize) {
    let keys: Vec<String> = (0..20).map(|visitor| format!("v{visitor}")).collect();
    let keys = keys.into_iter().chain(["nobody".to_owned()]);
    let keys: StringArray = keys.map(Some).collect();
    let values: Vec<f32> = (0..21).flat_map(|row| vector(row + shift)).collect();
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let values = Arc::new(Float32Array::from(values));
    let vectors = FixedSizeListArray::new(field, WIDTH as i32, values, None);
    let columns: [(&str, ArrayRef); 2] = [
        ("visitor_id", Arc::new(keys)),
        ("embedding", Arc::new(vectors)),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let file = File::create(bench.path("data/shop/visitors.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("rows");
    writer.close().expect("Parquet");
}

/// Writes vectors of two of the four tags, and of one that there is not.
fn write_tags(bench: &Bench) {
    let tensor = |shape: (usize, usize), values: Vec<u8>| {
        candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).expect("a tensor")
    };
    let longest = TAGS.iter().map(|tag| tag.len()).max().unwrap_or(0);
    let padded = |tag: &&str| {
        let mut bytes = tag.as_bytes().to_vec();
        bytes.resize(longest, 0);
        bytes
    };
    let keys = tensor((3, longest), TAGS.iter().flat_map(padded).collect());
    let values: Vec<f32> = (30..33).flat_map(vector).collect();
    let vectors = candle_core::Tensor::from_vec(values, (3, WIDTH), &candle_core::Device::Cpu);
    let tensors = [("keys", keys), ("vectors", vectors.expect("a tensor"))];
    let tensors = tensors
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
    candle_core::safetensors::save(&tensors, bench.path("data/shop/tags.safetensors"))
        .expect("safetensors");
}

fn bench(variants: &str) -> Bench {
    let described = format!("{}{VECTORS}", shop::DESCRIPTION);
    let bench = shop::bench_of(&described, variants);
    write_visitors(&bench, 0);
    write_tags(&bench);
    bench
}

/// The variables of a cell, row by row.
fn weights(bench: &Bench, out: &str, id: &str) -> BTreeMap<String, Vec<Vec<f32>>> {
    let path = bench.path(&format!("{out}/cells/{id}/weights.safetensors"));
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu);
    let tensors = tensors.expect("weights").into_iter();
    let tables = tensors.filter(|(path, _)| path.contains("embedding."));
    tables
        .map(|(path, tensor)| (path, tensor.to_vec2().expect("a matrix")))
        .collect()
}

/// The values of a feature's vocabulary with their ids, as results keep them.
fn vocabulary(bench: &Bench, feature: &str) -> BTreeMap<String, usize> {
    let cached = bench.files("cache", &[]);
    let mut all = cached
        .iter()
        .filter(|(path, _)| path.ends_with("vocabularies.csv"));
    let (_, text) = all.next().expect("a prepared dataset");
    let text = String::from_utf8(text.clone()).expect("UTF-8");
    let lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let of_feature = lines.filter(|line| line[0] == feature);
    of_feature
        .map(|line| (line[2].to_owned(), line[1].parse().expect("an id")))
        .collect()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn vectors_reach_tables_reports_and_scores_of_new_rows() {
    let bench = bench(VARIANTS);
    let own = ["--cache-dir", "cache", "--predictions", "test"];
    shop::run(&bench, "out", &[&own[..], &["--jobs", "1"]].concat()).expect(0);
    shop::run(&bench, "again", &[&own[..], &["--jobs", "2"]].concat()).expect(0);
    bench.assert_same_results("again", "out");
    let (visitors, tags) = (vocabulary(&bench, "visitor"), vocabulary(&bench, "tags"));
    assert!(visitors.len() > 20 && tags.len() == 4);
    let cells = shop::cells(&bench, "out");
    let of = |variant: &str| weights(&bench, "out", &cells[variant]);
    let (frozen, trained, random) = (of("frozen"), of("trained"), of("random"));
    for variant in ["frozen", "rounded"] {
        let tables = of(variant);
        let roots: &[&str] = match variant {
            "rounded" => &["task.buys.", "task.stays."],
            _ => &[""],
        };
        for root in roots {
            let rows = &tables[&format!("{root}embedding.visitor.weight")];
            let mut num_visitors = 0;
            for visitor in 0..20 {
                // Two of them never came before the days for validation.
                if let Some(id) = visitors.get(&format!("v{visitor}")) {
                    num_visitors += 1;
                    let found = bits(&rows[*id]);
                    assert_eq!(found, bits(&vector(visitor)), "{variant} v{visitor}");
                }
            }
            assert_eq!(num_visitors, 18);
            let rows = &tables[&format!("{root}embedding.tags.weight")];
            for (row, tag) in TAGS.iter().enumerate().take(2) {
                assert_eq!(
                    bits(&rows[tags[*tag]]),
                    bits(&vector(30 + row)),
                    "{variant} {tag}"
                );
            }
        }
    }
    let path = "embedding.visitor.weight";
    // A trained table has moved; a frozen one of a start from there has what that one had.
    assert_ne!(trained[path], frozen[path]);
    assert_eq!(of("after")[path], trained[path]);
    assert_ne!(
        of("after")["embedding.tags.weight"],
        trained["embedding.tags.weight"]
    );
    assert_ne!(random[path][visitors["v1"]], vector(1));
    // The tables without vectors are as they were: random ones that are trained.
    assert_eq!(frozen.len(), random.len());

    let warnings = bench.read("out/data_warnings.csv");
    for said in [
        "18 of 23 values of the table `visitor` have a pretrained vector",
        "the other 5 start at random; 3 of 21 keys of visitors.parquet are none of its values",
        "2 of 4 values of the table `tags` have a pretrained vector",
    ] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    let report = bench.read("out/report.md");
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "18 of 23 values of the table",
        "frozen begins with pretrained vectors of tags (frozen), visitor (frozen).",
        "trained begins with pretrained vectors of tags (frozen), visitor (trained).",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }

    // The weights are enough.
    for file in ["visitors.parquet", "tags.safetensors"] {
        std::fs::remove_file(bench.path("data/shop").join(file)).expect("a file");
    }
    bench.write("new.csv", &shop::csv_of(&shop::rows(), &[1, 3, 4, 5, 6]));
    for (variant, id) in &cells {
        let folder = format!("out/cells/{id}");
        let predict = ["predict", &folder, "new.csv", "--out", "all.parquet"];
        bench.run(&predict).expect(0);
        let all = shop::parquet(&bench, "all.parquet");
        let test = shop::parquet(&bench, &format!("{folder}/predictions.test.parquet"));
        let places = shop::numbers(&test, "source_row");
        for task in ["score_buys", "score_stays"] {
            let (anew, kept) = (shop::bits(&all, task), shop::bits(&test, task));
            let of_test: Vec<u64> = (places.iter())
                .map(|place| anew[place.expect("a row") as usize])
                .collect();
            assert_eq!(of_test, kept, "{variant} {task}");
        }
    }
}

#[test]
fn a_killed_cell_goes_on_and_a_resolved_spec_asks_the_same() {
    // Of all variants by the file, but for one that says otherwise.
    let shared = VARIANTS.replace(
        "training = { pretrained = { tags = \"frozen\", visitor = \"frozen\" } }",
        "training = { pretrained = {} }",
    );
    let bench = bench(&format!(
        "pretrained = {{ visitor = \"trained\" }}\n{shared}"
    ));
    let spec = bench
        .read("shop.toml")
        .replace("[variants.after]", "[variants.later]");
    let spec = spec
        .split("[variants.later]")
        .next()
        .expect("a spec")
        .to_owned();
    bench.write("shop.toml", &spec);
    shop::run(&bench, "whole", &[]).expect(0);
    let killed = ("HOMEBENCH_FAULTS", "trained/*=kill@11:once");
    let arguments = [
        "run",
        "shop.toml",
        "--out",
        "cut",
        "--descriptions",
        "descriptions",
    ];
    bench.run_with(killed, &arguments).expect(1);
    shop::run(&bench, "cut", &[]).expect(0);
    bench.assert_same_results("cut", "whole");
    bench.write("shop.toml", &bench.read("whole/spec.resolved.toml"));
    shop::run(&bench, "resolved", &[]).expect(0);
    assert_eq!(
        shop::cells(&bench, "resolved"),
        shop::cells(&bench, "whole")
    );
    // Other vectors are other data.
    write_visitors(&bench, 1);
    shop::run(&bench, "other", &["--only", "trained"]).expect(0);
    let id = |out: &str| shop::cells(&bench, out)["trained"].clone();
    assert_ne!(id("other"), id("whole"));
}

#[test]
fn vectors_are_swept_with_the_variants_that_have_them() {
    let sweep = "[variants.mmoe]\nmodel = \"mmoe\"\nexpert_dims = [8]\n[grid]\n\
        \"training.pretrained\" = [{}, { visitor = \"frozen\" }, { visitor = \"trained\" }]\n";
    let bench = bench(sweep);
    shop::run(&bench, "out", &[]).expect(0);
    let names: Vec<String> = shop::cells(&bench, "out").into_keys().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    insta::assert_snapshot!(names.join("\n"), @r"
    mmoe[pretrained=()]
    mmoe[pretrained=(visitor=frozen)]
    mmoe[pretrained=(visitor=trained)]
    ");
}

/// What a run of the shop says where a line is added to its spec's training.
#[track_caller]
fn refused(line: &str, more: &str) -> String {
    let variants = format!("{line}\n[variants.mmoe]\nmodel = \"mmoe\"\nexpert_dims = [8]\n{more}");
    let bench = bench(&variants);
    let said = shop::run(&bench, "out", &[]).expect(2).stderr;
    // Behind the warnings about the data.
    let error = said.find("error: ").expect("an error");
    said[error..].to_owned()
}

#[test]
fn spec_that_asks_for_vectors_that_there_are_not_is_refused() {
    let with = |tables: &str| refused(&format!("pretrained = {{ {tables} }}"), "");
    insta::assert_snapshot!(with("visitr = \"frozen\""), @r"
    error: shop.toml:11:16: `training.pretrained.visitr`: no feature reads a table `visitr`; tables are: color, bright, brand, visitor, item, tags, price_bucket
    hint: did you mean `visitor`?
    ");
    insta::assert_snapshot!(with("brand = \"frozen\""), @r"
    error: shop.toml:11:16: `training.pretrained.brand`: `shop` has no pretrained vectors of the table `brand`; it has those of: visitor, tags
    hint: describe their file in shop.toml as [pretrained.brand], or leave it out
    ");
    insta::assert_snapshot!(with("visitor = \"fixed\""), @"error: shop.toml:11:26: unknown value `fixed` for `training.pretrained.visitor`; expected one of `frozen`, `trained`");
    insta::assert_snapshot!(with("price = \"frozen\""), @r"
    error: shop.toml:11:16: `training.pretrained.price`: no feature reads a table `price`; tables are: color, bright, brand, visitor, item, tags, price_bucket
    hint: did you mean `price_bucket`?
    ");
    let wide = "pretrained = { visitor = \"frozen\" }\nembedding_dims = { visitor = 3, tags = 5 }";
    insta::assert_snapshot!(refused(wide, ""), @r"
    error: shop.toml:11:16: `training.pretrained.visitor`: the pretrained vectors of `visitor` have 4 numbers, and its embeddings 3
    hint: set `embedding_dims = { tags = 5, visitor = 4 }` in [training]; on a GPU give all tables the width 4 by `embedding_dim`
    ");
    let linear = "[variants.linear]\nmodel = \"logistic\"\n";
    insta::assert_snapshot!(refused("pretrained = { visitor = \"trained\" }", linear), @r"
    error: shop.toml:11:16: `training.pretrained.visitor`: `logistic` has one number for each value, and the pretrained vectors of `visitor` have 4
    hint: set `pretrained = {}` in [variants.linear.training]
    ");
    let of_variant = "[variants.mmoe.training]\npretrained = { color = \"frozen\" }\n";
    insta::assert_snapshot!(refused("", of_variant), @r"
    error: shop.toml:16:16: `variants.mmoe.training.pretrained.color`: `shop` has no pretrained vectors of the table `color`; it has those of: visitor, tags
    hint: describe their file in shop.toml as [pretrained.color], or leave it out
    ");
    let made_up = "question = \"Is it?\"\nseeds = [1]\n[dataset]\nname = \"synthetic\"\n[training]\n\
        pretrained = { user = \"frozen\" }\n[variants.mmoe]\nmodel = \"mmoe\"\n";
    insta::assert_snapshot!(refusal_of(made_up, &[]), @r"
    error: spec.toml:6:16: `training.pretrained.user`: the rows of `synthetic` are made up, so that no file has vectors of their values
    hint: leave it out, or use a dataset of files with [pretrained.user]
    ");
}
