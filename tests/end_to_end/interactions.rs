//! Bottoms in front of models, tables that features share, and widths of their own: from a spec to scores of new rows.

use crate::bad_input::refusal_of;
use crate::harness::{Bench, experiment};
use crate::shop;

/// The shop with a second feature of the table of tags.
fn bench() -> Bench {
    let shared = "color = { kind = \"categorical\", table = \"tags\" }";
    shop::bench_of(&shop::with_color(shared), VARIANTS)
}

const VARIANTS: &str = r#"
[defaults]
expert_dims = [8]
tower_dims = [4]
[variants.plain]
model = "mmoe"
[variants.fm]
model = "mmoe"
bottom = "fm"
[variants.crossed]
model = "home"
rank = 2
bottom = "dcn_v2"
cross_rank = 3
training = { embedding_dims = { tags = 3, visitor = 6 } }
[variants.attending]
model = "shared_bottom"
bottom = "autoint"
attention_layers = 2
[variants.alone]
model = "single_task"
bottom = "autoint"
attention_layers = 1
[variants.linear]
model = "logistic"
training = { embedding_optimizer = "rowwise_adagrad" }
"#;

#[test]
fn models_behind_bottoms_and_shared_tables_train_alike_and_score_new_rows_as_they_were_scored() {
    let bench = bench();
    let predictions = ["--predictions", "test", "--jobs", "1"];
    shop::run(&bench, "out", &predictions).expect(0);
    shop::run(&bench, "again", &["--predictions", "test", "--jobs", "2"]).expect(0);
    bench.assert_same_results("again", "out");
    bench.write("new.csv", &shop::csv_of(&shop::rows(), &[1, 3, 4, 5, 6]));
    for (variant, id) in shop::cells(&bench, "out") {
        let folder = format!("out/cells/{id}");
        bench
            .run(&["predict", &folder, "new.csv", "--out", "all.parquet"])
            .expect(0);
        let all = shop::parquet(&bench, "all.parquet");
        let test = shop::parquet(&bench, &format!("{folder}/predictions.test.parquet"));
        let places = shop::numbers(&test, "source_row");
        let rows = shop::rows();
        for task in ["score_buys", "score_stays"] {
            let (anew, kept) = (shop::bits(&all, task), shop::bits(&test, task));
            let of_test: Vec<u64> = (places.iter())
                .map(|place| anew[place.expect("a row") as usize])
                .collect();
            assert_eq!(of_test, kept, "{variant} {task}");
            // A row that comes alone has the score that it has among all.
            let one = csv_of_one(&rows[7]);
            bench.write("one.csv", &one);
            bench
                .run(&["predict", &folder, "one.csv", "--out", "one.parquet"])
                .expect(0);
            let alone = shop::parquet(&bench, "one.parquet");
            assert_eq!(shop::bits(&alone, task), [anew[7]], "{variant} {task}");
        }
        let weights = std::fs::read(bench.path(&format!("{folder}/weights.safetensors"))).unwrap();
        let weights = candle_core::safetensors::load_buffer(&weights, &candle_core::Device::Cpu);
        let weights = weights.expect("weights");
        let dims = |path: &str| weights.get(path).map(|tensor| tensor.dims()[1]);
        let root = if ["alone", "linear"].contains(&variant.as_str()) {
            "task.buys."
        } else {
            ""
        };
        let width = |table: &str| dims(&format!("{root}embedding.{table}.weight"));
        // One table of both features, under one name.
        assert_eq!(width("color"), None, "{variant}");
        let expected = match variant.as_str() {
            "crossed" => (3, 6, 4),
            "linear" => (1, 1, 1),
            _ => (4, 4, 4),
        };
        let found = (width("tags"), width("visitor"), width("brand"));
        let expected = (Some(expected.0), Some(expected.1), Some(expected.2));
        assert_eq!(found, expected, "{variant}");
    }
    let report = bench.read("out/report.md");
    for words in [
        "bottom fm",
        "arXiv:2008.13535",
        "bottom autoint",
        "arXiv:1810.11921",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

fn csv_of_one(row: &[String; 10]) -> String {
    shop::csv_of(std::slice::from_ref(row), &[1, 3, 4, 5, 6])
}

#[test]
fn a_killed_cell_of_shared_tables_goes_on_to_the_same_weights() {
    let bench = bench();
    let only = ["--only", "crossed"];
    shop::run(&bench, "whole", &only).expect(0);
    // In its second epoch; the next run goes on from the end of the first.
    let killed = ("HOMEBENCH_FAULTS", "crossed/*=kill@11:once");
    let arguments = [
        "run",
        "shop.toml",
        "--out",
        "cut",
        "--descriptions",
        "descriptions",
    ];
    bench
        .run_with(killed, &[&arguments, &only[..]].concat())
        .expect(1);
    shop::run(&bench, "cut", &only).expect(0);
    bench.assert_same_results("cut", "whole");
}

/// A sweep and a budget, one thing a line.
const SPEC: &str = r#"question = "Does interaction help?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 2000
[training]
batch_size = 256
max_epochs = 1
[variants.linear]
model = "logistic"
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [64]
"#;

/// Names, FLOPs and expert widths of a plan's cells.
fn planned(spec: &str) -> Vec<(String, f64, String)> {
    let bench = Bench::new();
    bench.write("spec.toml", spec);
    let descriptions = experiment("datasets");
    let plan = bench
        .run(&[
            "plan",
            "spec.toml",
            "--out",
            "out",
            "--descriptions",
            &descriptions,
        ])
        .expect(0);
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flops = words[5].parse().expect("a number");
        (
            words[1].to_owned(),
            flops,
            words.get(6).unwrap_or(&"").to_string(),
        )
    };
    plan.stdout.lines().skip(1).map(line).collect()
}

#[test]
fn bottoms_are_swept_where_models_can_have_them_and_budgets_count_them() {
    let swept = planned(&format!(
        "{SPEC}[grid]\nbottom = [\"none\", \"fm\", \"dcn_v2\"]\n"
    ));
    let names: Vec<&str> = swept.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "linear",
            "mmoe[bottom=none]",
            "mmoe[bottom=fm]",
            "mmoe[bottom=dcn_v2]"
        ]
    );
    let flops: Vec<f64> = swept[1..].iter().map(|(_, flops, _)| *flops).collect();
    assert!(flops[0] < flops[1] && flops[1] < flops[2], "{flops:?}");
    // A default goes to the models that can have it, with its settings.
    let default = "[defaults]\nbottom = \"dcn_v2\"\ncross_layers = 1\n[variants.plain]\nmodel = \"mmoe\"\nbottom = \"none\"\nnum_experts = 2\nexpert_dims = [64]\n";
    let shared = planned(&format!("{SPEC}{default}"));
    let of = |name: &str| {
        shared
            .iter()
            .find(|(other, ..)| other == name)
            .expect("planned")
            .1
    };
    assert_eq!((of("linear"), of("plain")), (swept[0].1, flops[0]));
    assert!(
        of("plain") < of("mmoe") && of("mmoe") < flops[2],
        "{shared:?}"
    );
    let own = "[variants.crossed]\nmodel = \"mmoe\"\nnum_experts = 2\nexpert_dims = [64]\nbottom = \"dcn_v2\"\n\
               cross_layers = 1\nbudget = { like = \"mmoe\", flops = 0.05 }\n";
    let equal = planned(&format!("{SPEC}{own}"));
    let of = |name: &str| {
        equal
            .iter()
            .find(|(other, ..)| other == name)
            .expect("planned")
    };
    let (mmoe, crossed) = (of("mmoe"), of("crossed"));
    assert!((crossed.1 / mmoe.1 - 1.0).abs() <= 0.05, "{equal:?}");
    // What the bottom costs is missing in the experts.
    let width = |widths: &str| {
        widths
            .trim_matches(['[', ']'])
            .parse::<usize>()
            .expect("a width")
    };
    assert!(width(&crossed.2) < width(&mmoe.2), "{equal:?}");
}

#[test]
fn bottoms_and_widths_that_make_no_model_are_refused_with_their_place() {
    let said = |right: &str, wrong: &str| {
        assert!(SPEC.contains(right));
        refusal_of(&SPEC.replacen(right, wrong, 1), &[])
    };
    let mmoe = "model = \"mmoe\"\n";
    let with = |line: &str| said(mmoe, &format!("{mmoe}{line}\n"));
    insta::assert_snapshot!(with("bottom = \"dcn\""), @r#"error: spec.toml:13:10: `variants.mmoe.bottom`: expected one of "none", "fm", "dcn_v2", "autoint", found "dcn""#);
    insta::assert_snapshot!(with("cross_layers = 2"), @r#"error: spec.toml:13:16: `variants.mmoe.cross_layers`: a setting of bottom = "dcn_v2", and the bottom here is "none"; write that bottom, or leave this out"#);
    insta::assert_snapshot!(with("bottom = \"fm\"\ncross_layers = 2"), @r#"error: spec.toml:14:16: `variants.mmoe.cross_layers`: a setting of bottom = "dcn_v2", and the bottom here is "fm"; write that bottom, or leave this out"#);
    let logistic = "model = \"logistic\"\n";
    insta::assert_snapshot!(said(logistic, &format!("{logistic}bottom = \"fm\"\n")), @r"error: spec.toml:11:10: `variants.linear.bottom`: `logistic` can't have one: it is linear in the features of a row, and any interaction makes it another model; leave the bottom out, or use another model");
    insta::assert_snapshot!(with("bottom = \"fm\"\ntraining = { embedding_dims = { user = 3 } }"), @r#"error: spec.toml:13:10: `variants.mmoe.bottom`: "fm" needs embeddings of one width, and `user` has 3 units, `user_segment` 8; give all features one width, or use bottom = "dcn_v2""#);
    insta::assert_snapshot!(with("training = { embedding_dims = { usr = 3 } }"), @r"
    error: spec.toml:13:33: `variants.mmoe.training.embedding_dims`: no feature reads a table `usr`; tables are: user, user_segment, video, author, category, network, hour, weekday
    hint: did you mean `user`?
    ");
    insta::assert_snapshot!(with("training = { embedding_dims = { user = 0 } }"), @r"error: spec.toml:13:40: `variants.mmoe.training.embedding_dims.user`: expected a whole number, 1 or more, found 0");
    insta::assert_snapshot!(refusal_of(&format!("{SPEC}[grid]\ncross_layers = [1, 2]\n"), &[]), @r"error: spec.toml:16:1: `grid.cross_layers`: no variant has a knob `cross_layers`; there are: activation, bottom, expert_dims, gate_dims, norm, norm_position, num_experts, tower_dims");
}
