//! Lists that attend to a target: from a description and a spec to a report and scores of new rows.

use crate::harness::Bench;
use crate::shop;
use std::collections::BTreeMap;

/// The shop with a list in the table of a feature of one id, and a list with a table of its own.
fn description() -> String {
    let lists = "color = { kind = \"categorical\", table = \"tags\" }\n\
                 hashes = { kind = \"list\", column = \"tags\", buckets = 7, pooling = \"sum\" }";
    shop::with_color(lists)
}

fn bench(variants: &str) -> Bench {
    shop::bench_of(&description(), variants)
}

const VARIANTS: &str = r#"
[defaults]
expert_dims = [8]
tower_dims = [4]
[variants.pooled]
model = "mmoe"
[variants.attending]
model = "mmoe"
training = { attention = { lists = { tags = "color" } } }
[variants.several]
model = "home"
rank = 2
training = { attention = { lists = { tags = "color", hashes = "item" }, hidden_dims = [6, 4] }, embedding_dropout = 0.3 }
[variants.crossed]
model = "mmoe"
bottom = "dcn_v2"
training = { attention = { lists = { tags = "color" } }, precision = "bf16", embedding_optimizer = "rowwise_adagrad" }
[variants.balanced]
model = "shared_bottom"
training = { attention = { lists = { tags = "color" } }, precision = "bf16x3", balance = { method = "pcgrad" } }
[variants.alone]
model = "single_task"
training = { attention = { lists = { hashes = "item" } } }
[variants.both]
model = "stem"
training = { attention = { lists = { tags = "color", hashes = "item" } } }
[variants.linear]
model = "logistic"
"#;

/// What is said of a spec that is refused.
#[track_caller]
fn refusal_of_shop(bench: &Bench, variants: &str) -> String {
    bench.write("shop.toml", &(shop::spec(&[]) + variants));
    shop::run(bench, "refused", &[]).expect(2).stderr
}

type Shapes = BTreeMap<String, Vec<usize>>;

/// Paths and shapes of a cell's units.
fn units(bench: &Bench, folder: &str) -> Shapes {
    let weights = std::fs::read(bench.path(&format!("{folder}/weights.safetensors"))).unwrap();
    let weights = candle_core::safetensors::load_buffer(&weights, &candle_core::Device::Cpu);
    let of_units = weights.expect("weights").into_iter();
    let of_units = of_units.filter(|(path, _)| path.contains("attention."));
    of_units
        .map(|(path, tensor)| (path, tensor.dims().to_vec()))
        .collect()
}

#[test]
fn lists_that_attend_train_alike_and_score_new_rows_as_they_were_scored() {
    let bench = bench(VARIANTS);
    let run = |out: &str, more: &[&str]| {
        let words = [&["--predictions", "test"], more].concat();
        shop::run(&bench, out, &words).expect(0);
    };
    run("out", &["--jobs", "1", "--threads", "1"]);
    run("again", &["--jobs", "1", "--threads", "3"]);
    bench.assert_same_results("again", "out");
    bench.write("new.csv", &shop::csv_of(&shop::rows(), &[1, 3, 4, 5, 6]));
    let rows = shop::rows();
    for (variant, id) in shop::cells(&bench, "out") {
        let folder = format!("out/cells/{id}");
        let predict = |file: &str, out: &str| {
            bench
                .run(&["predict", &folder, file, "--out", out])
                .expect(0);
            shop::parquet(&bench, out)
        };
        let all = predict("new.csv", "all.parquet");
        let test = shop::parquet(&bench, &format!("{folder}/predictions.test.parquet"));
        let places = shop::numbers(&test, "source_row");
        for task in ["score_buys", "score_stays"] {
            let (anew, kept) = (shop::bits(&all, task), shop::bits(&test, task));
            let of_test: Vec<u64> = (places.iter())
                .map(|place| anew[place.expect("a row") as usize])
                .collect();
            assert_eq!(of_test, kept, "{variant} {task}");
            // A row that comes alone has the score that it has among all, with an empty list and with a full one.
            for row in [0, 1, 2, 3, 7] {
                let one = std::slice::from_ref(&rows[row]);
                bench.write("one.csv", &shop::csv_of(one, &[1, 3, 4, 5, 6]));
                let alone = shop::bits(&predict("one.csv", "one.parquet"), task);
                assert_eq!(alone, [anew[row]], "{variant} {task} {row}");
            }
        }
        let units = units(&bench, &folder);
        let shape = |path: &str| units.get(path).map(Vec::as_slice);
        match variant.as_str() {
            "pooled" | "linear" => assert!(units.is_empty(), "{units:?}"),
            "several" => {
                assert_eq!(shape("attention.tags.0.weight"), Some(&[16, 6][..]));
                assert_eq!(shape("attention.hashes.2.bias"), Some(&[1][..]));
                assert_eq!(units.len(), 12);
            }
            "alone" => {
                assert_eq!(
                    shape("task.stays.attention.hashes.1.weight"),
                    Some(&[36, 1][..])
                );
                assert_eq!(units.len(), 8);
            }
            "both" => assert_eq!(units.len(), 24),
            _ => assert_eq!(shape("attention.tags.0.weight"), Some(&[16, 36][..])),
        }
    }
    let report = bench.read("out/report.md");
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "has lists attend to a target in place of being pooled:";
    for sentence in [
        format!("both {said} hashes to item, tags to color."),
        format!("alone {said} hashes to item."),
    ] {
        assert!(report.contains(&sentence), "{sentence}: {report}");
    }
    assert!(!report.contains(&format!("pooled {said}")), "{report}");
}

#[test]
fn a_killed_cell_goes_on_to_the_same_weights_on_any_instruction_set() {
    let bench = bench(VARIANTS);
    let only = ["--only", "several"];
    shop::run(&bench, "whole", &only).expect(0);
    let arguments = [
        "run",
        "shop.toml",
        "--descriptions",
        "descriptions",
        "--out",
    ];
    let with = |variable: (&str, &str), out: &str, only: &[&str]| {
        bench.run_with(variable, &[&arguments[..], &[out], only].concat())
    };
    // In its second epoch; the next run goes on from the end of the first.
    with(("HOMEBENCH_FAULTS", "several/*=kill@11:once"), "cut", &only).expect(1);
    shop::run(&bench, "cut", &only).expect(0);
    bench.assert_same_results("cut", "whole");
    let crossed = ["--only", "crossed"];
    shop::run(&bench, "best", &crossed).expect(0);
    with(("HOMEBENCH_INSTRUCTIONS", "portable"), "portable", &crossed).expect(0);
    bench.assert_same_results("portable", "best");
}

#[test]
fn a_model_with_attention_starts_from_one_that_pools_and_its_tables_or_units_can_stay() {
    let bench = bench(
        "[defaults]\nexpert_dims = [8]\ntower_dims = [4]\n\
         [variants.pooled]\nmodel = \"mmoe\"\n\
         [variants.begun]\nmodel = \"mmoe\"\ntraining = { attention = { lists = { tags = \"color\" } } }\n\
         init_from = { variant = \"pooled\", paths = [\"embedding\", \"shared\", \"task\"] }\nfreeze = [\"embedding\"]\n\
         [variants.kept]\nmodel = \"mmoe\"\ntraining = { attention = { lists = { tags = \"color\" } } }\n\
         init_from = { variant = \"begun\" }\nfreeze = [\"attention.tags\"]\n",
    );
    shop::run(&bench, "out", &[]).expect(0);
    let ids = shop::cells(&bench, "out");
    let weights = |variant: &str| {
        let path = bench.path(&format!("out/cells/{}/weights.safetensors", ids[variant]));
        let loaded = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let values = |tensor: candle_core::Tensor| -> Vec<f32> {
            tensor.flatten_all().unwrap().to_vec1().unwrap()
        };
        let loaded = loaded
            .into_iter()
            .map(|(path, tensor)| (path, values(tensor)));
        loaded.collect::<BTreeMap<_, _>>()
    };
    let (pooled, begun, kept) = (weights("pooled"), weights("begun"), weights("kept"));
    let (table, unit) = ("embedding.tags.weight", "attention.tags.0.weight");
    assert_eq!(pooled[table], begun[table]);
    assert_ne!(begun[table], kept[table]);
    assert_eq!(begun[unit], kept[unit]);
    let said = refusal_of_shop(
        &bench,
        "[variants.a]\nmodel = \"mmoe\"\n[variants.b]\nmodel = \"mmoe\"\ninit_from = { variant = \"a\" }\n\
         training = { attention = { lists = { tags = \"color\" } } }\n",
    );
    let said = &said[said.find("error:").expect("an error")..];
    insta::assert_snapshot!(said, @r"
    error: shop.toml:15:13: `variants.b.init_from`: `a` has no variable `attention.tags.0.bias`
    hint: name in `paths` what both have, or say by `rename` as what it begins
    ");
}

/// Id, parameters, FLOPs and expert widths of a plan's cells, by name.
fn planned(bench: &Bench, variants: &str) -> BTreeMap<String, [String; 4]> {
    bench.write("shop.toml", &(shop::spec(&[]) + variants));
    let arguments = [
        "plan",
        "shop.toml",
        "--out",
        "out",
        "--descriptions",
        "descriptions",
    ];
    let plan = bench.run(&arguments).expect(0);
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |place: usize| words.get(place).unwrap_or(&"").to_string();
        (word(1), [word(0), word(4), word(5), word(6)])
    };
    plan.stdout.lines().skip(1).map(line).collect()
}

#[test]
fn pooling_and_attention_are_swept_budgets_count_units_and_ids_without_attention_stay() {
    let bench = bench("");
    let one = "[variants.mmoe]\nmodel = \"mmoe\"\nnum_experts = 2\nexpert_dims = [64]\n";
    let plain = planned(&bench, one);
    // What says that nothing attends is the same cell as saying nothing.
    assert_eq!(
        planned(&bench, &format!("{one}training = {{ attention = {{}} }}\n")),
        plain
    );
    let swept = planned(
        &bench,
        &format!(
            "{one}[grid]\n\"training.attention\" = [{{}}, {{ lists = {{ tags = \"color\" }}, hidden_dims = [5] }}]\n"
        ),
    );
    let names: Vec<&String> = swept.keys().collect();
    assert_eq!(
        names,
        [
            "mmoe[attention=()]",
            "mmoe[attention=(hidden_dims=5,lists=(tags=color))]"
        ]
    );
    let widths = planned(
        &bench,
        &format!(
            "{one}training = {{ attention = {{ lists = {{ tags = \"color\" }} }} }}\n[grid]\n\"training.attention.hidden_dims\" = [[5], [9, 3]]\n"
        ),
    );
    let names: Vec<&String> = widths.keys().collect();
    assert_eq!(names, ["mmoe[hidden_dims=5]", "mmoe[hidden_dims=9x3]"]);
    let number = |cell: &[String; 4], place: usize| cell[place].parse::<f64>().expect("a number");
    let cells: Vec<&[String; 4]> = swept.values().collect();
    assert_eq!(number(cells[0], 1), number(&plain["mmoe"], 1));
    // 16 inputs to 5 units, and these to a score, with biases.
    assert_eq!(
        number(cells[1], 1) - number(cells[0], 1),
        (17 * 5 + 6) as f64
    );
    let equal = planned(
        &bench,
        &format!(
            "{one}[variants.attending]\nmodel = \"mmoe\"\nnum_experts = 2\nexpert_dims = [64]\n\
             training = {{ attention = {{ lists = {{ tags = \"color\" }} }} }}\nbudget = {{ like = \"mmoe\", flops = 0.05 }}\n"
        ),
    );
    let (mmoe, attending) = (&equal["mmoe"], &equal["attending"]);
    assert!(
        (number(attending, 2) / number(mmoe, 2) - 1.0).abs() <= 0.05,
        "{equal:?}"
    );
    // What the unit costs is missing in the experts.
    let width = |widths: &str| {
        widths
            .trim_matches(['[', ']'])
            .parse::<usize>()
            .expect("a width")
    };
    assert!(width(&attending[3]) < width(&mmoe[3]), "{equal:?}");
}

#[test]
fn what_can_not_attend_is_refused_with_its_place_and_the_mend() {
    let bench = bench("");
    let with = |training: &str| {
        let variant = format!("[variants.a]\nmodel = \"mmoe\"\ntraining = {{ {training} }}\n");
        refusal_of_shop(&bench, &variant)
    };
    let lists = |lists: &str| with(&format!("attention = {{ lists = {{ {lists} }} }}"));
    insta::assert_snapshot!(lists("tag = \"color\""), @r"
    error: shop.toml:13:38: `variants.a.training.attention.lists.tag`: the dataset has no input `tag`; lists are: hashes, tags
    hint: did you mean `tags`?
    ");
    insta::assert_snapshot!(lists("color = \"brand\""), @r#"
    error: shop.toml:13:38: `variants.a.training.attention.lists.color`: `color` has one id a row and is no list; lists are: hashes, tags
    hint: write a list before its target, such as lists = { hashes = "brand" }
    "#);
    insta::assert_snapshot!(lists("price = \"brand\""), @r#"
    error: shop.toml:13:38: `variants.a.training.attention.lists.price`: `price` is a number and no list; lists are: hashes, tags
    hint: write a list before its target, such as lists = { hashes = "brand" }
    "#);
    insta::assert_snapshot!(lists("tags = \"colour\""), @r"
    error: shop.toml:13:45: `variants.a.training.attention.lists.tags`: the dataset has no input `colour`; a target has one id a row: color, bright, brand, visitor, item, price_bucket
    hint: did you mean `color`?
    ");
    insta::assert_snapshot!(lists("tags = \"price\""), @r"
    error: shop.toml:13:45: `variants.a.training.attention.lists.tags`: `price` is a number, which has no embedding; a target has one id a row: color, bright, brand, visitor, item, price_bucket
    hint: did you mean `price_bucket`?
    ");
    insta::assert_snapshot!(lists("tags = \"hashes\""), @r#"
    error: shop.toml:13:45: `variants.a.training.attention.lists.tags`: `hashes` is a list itself; a target has one id a row: color, bright, brand, visitor, item, price_bucket
    hint: write a feature of one id behind the list, such as lists = { tags = "color" }
    "#);
    insta::assert_snapshot!(lists("tags = \"tags\""), @r#"
    error: shop.toml:13:45: `variants.a.training.attention.lists.tags`: `tags` can't attend to itself, a list; a target has one id a row: color, bright, brand, visitor, item, price_bucket
    hint: write a feature of one id behind the list, such as lists = { tags = "color" }
    "#);
    insta::assert_snapshot!(lists("tags = 3"), @r"error: shop.toml:13:45: `variants.a.training.attention.lists.tags`: expected a string, found integer `3`");
    insta::assert_snapshot!(with("embedding_dims = { item = 3 }, attention = { lists = { tags = \"item\" } }"), @r"
    error: shop.toml:13:76: `variants.a.training.attention.lists.tags`: embeddings of `tags` have 4 units and those of `item` 3, so that they can't be compared
    hint: give both one width in `embedding_dims`, or one `table` in the description
    ");
    insta::assert_snapshot!(with("attention = { lists = { tags = \"color\" }, hidden_dims = [] }"), @r"
    error: shop.toml:13:70: `variants.a.training.attention.hidden_dims`: expected widths of one hidden layer or more, each 1 or more, found none
    hint: one layer of 36 units is the default, [36]
    ");
    insta::assert_snapshot!(with("attention = { lists = { tags = \"color\" }, hidden_dims = [8, 0] }"), @r"
    error: shop.toml:13:70: `variants.a.training.attention.hidden_dims`: expected widths of one hidden layer or more, each 1 or more, found 0
    hint: one layer of 36 units is the default, [36]
    ");
    insta::assert_snapshot!(with("attention = { hidden_dims = [8] }"), @r#"
    error: shop.toml:13:42: `variants.a.training.attention.hidden_dims`: no list attends to a target, so that these layers are nobody's
    hint: say which list attends to which feature, such as lists = { seen = "item" }, or leave the key out
    "#);
    insta::assert_snapshot!(with("attention = { list = { tags = \"color\" } }"), @r"
    error: shop.toml:13:28: unknown key `list` in [variants.a.training.attention]; expected one of `lists`, `hidden_dims`
    hint: did you mean `lists`?
    ");
    let linear = "[training.attention]\nlists = { tags = \"color\" }\n[variants.a]\nmodel = \"mmoe\"\n[variants.linear]\nmodel = \"logistic\"\n";
    insta::assert_snapshot!(refusal_of_shop(&bench, linear), @r"
    error: shop.toml:11:11: `training.attention`: `logistic` can't attend to a target: it is linear in the features of a row, and any interaction makes it another model
    hint: give that variant training = { attention = {} }, which pools its lists, or leave it out
    ");
    // The mend works.
    let mended = format!("{linear}training = {{ attention = {{}} }}\n");
    assert_eq!(planned(&bench, &mended).len(), 2);
    let pooled = description().replace("hashes = { kind", "# hashes = { kind");
    let without = pooled.replace(
        "tags = { kind = \"list\"",
        "tags = { kind = \"categorical\" } # ",
    );
    bench.write(
        "descriptions/shop.toml",
        &without.replace(", table = \"tags\"", ""),
    );
    insta::assert_snapshot!(lists("tags = \"color\""), @r#"
    error: shop.toml:13:38: `variants.a.training.attention.lists.tags`: the dataset has no list that could attend to `color`
    hint: leave `attention` out, or describe a feature of the kind "list"
    "#);
}
