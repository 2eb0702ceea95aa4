//! Tasks of regression, from a description to the report.

use crate::harness::{Bench, experiment};

const SPEC: &str = r#"
question = "Which model predicts two related numbers best?"
seeds = [1, 2, 3]
[dataset]
name = "two-task"
rows = 4000
[training]
batch_size = 256
max_epochs = 3
patience = 3
learning_rate = 5e-3
[variants.single_task]
model = "single_task"
expert_dims = [16]
tower_dims = []
[variants.mmoe]
model = "mmoe"
num_experts = 3
expert_dims = [16]
tower_dims = []
"#;

fn run(bench: &Bench, out: &str, more: &[&str]) -> crate::harness::Ran {
    bench.write("pair.toml", SPEC);
    let descriptions = experiment("datasets");
    let mut arguments = vec![
        "run",
        "pair.toml",
        "--out",
        out,
        "--descriptions",
        &descriptions,
    ];
    arguments.extend(more);
    bench.run(&arguments).expect(0)
}

#[test]
fn two_regressions_are_trained_selected_scored_and_reported() {
    let bench = Bench::new();
    let ran = run(&bench, "one", &[]);
    assert!(ran.stdout.contains("Test R²"), "{}", ran.stdout);
    let metrics = bench.rows("one/metrics.csv");
    let of = |metric: &str| -> Vec<f64> {
        let rows = metrics
            .iter()
            .filter(|row| &row[3] == "test" && &row[5] == metric);
        rows.map(|row| row[6].parse().expect("a value")).collect()
    };
    // Two variants, three seeds, two tasks.
    assert_eq!(of("r_squared").len(), 12);
    assert!(
        of("r_squared")
            .iter()
            .all(|value| (0.3..1.0).contains(value)),
        "{metrics:?}"
    );
    // The noise's variance is .01.
    assert!(
        of("best_mse")
            .iter()
            .all(|best| (best - 0.01).abs() < 0.001),
        "{metrics:?}"
    );
    let regret = of("mse")
        .into_iter()
        .zip(of("best_mse"))
        .map(|(found, best)| found - best);
    assert!(
        regret
            .zip(of("mse_regret"))
            .all(|(a, b)| (a - b).abs() < 1e-12 && a > 0.0)
    );
    let has = |metric: &str| metrics.iter().any(|row| &row[5] == metric);
    assert!(!has("auc") && !has("log_loss") && !has("calibration"));
    assert!(
        metrics.iter().all(|row| row[8].is_empty()),
        "a regression has no positives"
    );
    let cells = bench.read("one/cells.csv");
    assert!(cells.contains("validation_score"), "{cells}");
    let curves = bench.rows("one/curves.csv");
    let best = |row: &&csv::StringRecord| &row[7] == "r_squared";
    assert!(curves.iter().any(|row| best(&row)), "{curves:?}");
    for figure in [
        "test_r_squared",
        "validation_r_squared",
        "seesaw",
        "gates_mmoe",
    ] {
        assert!(
            bench.path(&format!("one/figures/{figure}.svg")).is_file(),
            "{figure}"
        );
    }
    let report = bench.report("one");
    assert!(report.contains("R²") && !report.contains("AUC"), "{report}");
    bench.run(&["status", "one"]).expect(0);
    bench.run(&["report", "one"]).expect(0);
}

#[test]
fn regressions_give_the_same_bytes_with_any_jobs_and_threads_and_are_compared() {
    let bench = Bench::new();
    run(&bench, "one", &["--set", "run.threads=1"]);
    run(&bench, "two", &["--jobs", "2", "--set", "run.threads=3"]);
    bench.assert_same_results("two", "one");
    let same = bench.run(&["diff", "one", "two"]).expect(0);
    assert!(same.stdout.contains("r_squared"), "{}", same.stdout);
    run(&bench, "worse", &["--set", "training.learning_rate=1e-5"]);
    let worse = bench.run(&["diff", "one", "worse"]).expect(1);
    assert!(worse.stdout.contains("worse"), "{}", worse.stdout);
}

/// A number and two classes beside it, from a file.
#[test]
fn numbers_and_classes_are_learned_together() {
    let bench = Bench::new();
    let mut rows = String::from("kind,size,seconds,clicked,fixed,part\n");
    for row in 0..3000u32 {
        let (kind, size) = (row % 7, f64::from(row * 37 % 101) / 10.0);
        let seconds = 100.0 * f64::from(kind) + 50.0 * size + f64::from(row * 13 % 17);
        let clicked = u8::from(kind > 3 || row % 5 == 0);
        rows += &format!("{kind},{size},{seconds},{clicked},7.5,{}\n", row % 10);
    }
    std::fs::create_dir_all(bench.path("data/shop")).expect("a folder");
    std::fs::create_dir_all(bench.path("descriptions")).expect("a folder");
    bench.write("data/shop/rows.csv", &rows);
    bench.write(
        "descriptions/shop.toml",
        r#"source = "table"
default_protocol = "all"
columns = ["kind", "size", "seconds", "clicked", "fixed", "part"]
[files.rows]
name = "rows.csv"
[features]
kind = { kind = "categorical" }
size = { kind = "numeric", transform = ["standardise"] }
[tasks]
click = { label = "clicked", group = "watch" }
watched = { kind = "regression", label = "seconds", transform = ["standardise"], group = "watch" }
fixed = { kind = "regression", label = "fixed", group = "watch" }
[split]
kind = "time"
files = "rows"
column = "part"
validation_from = 8
test_from = 9
[protocols.all]
tasks = ["click", "watched", "fixed"]
"#,
    );
    bench.write(
        "mixed.toml",
        r#"question = "Do a class and a number help each other?"
seeds = [1, 2]
[dataset]
name = "shop"
[training]
batch_size = 128
max_epochs = 20
patience = 20 # the constant, learned first, makes a plateau of the others
learning_rate = 1e-2
[variants.home]
model = "home"
expert_dims = [16]
tower_dims = []
rank = 2
[variants.shared_bottom]
model = "shared_bottom"
expert_dims = [16]
tower_dims = []
"#,
    );
    let ran = bench
        .run(&[
            "run",
            "mixed.toml",
            "--out",
            "mixed",
            "--descriptions",
            "descriptions",
        ])
        .expect(0);
    assert!(
        ran.stderr
            .contains("every label of the task `fixed` is 7.5 in the train split"),
        "{}",
        ran.stderr
    );
    let prepared = bench
        .run(&["data", "prepare", "shop", "--descriptions", "descriptions"])
        .expect(0);
    assert!(
        prepared
            .stdout
            .contains("task watched (watch): regression, labels -0.0000 ± 1.0000 train")
            || prepared
                .stdout
                .contains("task watched (watch): regression, labels 0.0000 ± 1.0000 train"),
        "{}",
        prepared.stdout
    );
    let metrics = bench.rows("mixed/metrics.csv");
    let of = |task: &str, metric: &str| -> Vec<String> {
        let rows = metrics
            .iter()
            .filter(|row| &row[3] == "test" && &row[4] == task && &row[5] == metric);
        rows.map(|row| row[6].to_owned()).collect()
    };
    assert_eq!(of("click", "auc").len(), 4);
    assert!(
        of("watched", "r_squared")
            .iter()
            .all(|value| value.parse::<f64>().expect("a value") > 0.8),
        "{metrics:?}"
    );
    assert!(of("fixed", "r_squared").iter().all(String::is_empty));
    assert!(of("fixed", "mse").iter().all(|value| !value.is_empty()));
    // The epoch was chosen by 2 AUC - 1 and R² together.
    let curves = bench.rows("mixed/curves.csv");
    let cells = bench.rows("mixed/cells.csv");
    let report = bench.report("mixed");
    assert!(
        report
            .contains("It has no R²: the labels of its 300 rows are one number in the test split."),
        "{report}"
    );
    assert!(
        ran.stdout
            .contains("No R² on fixed: the labels of its 300 rows are one number"),
        "{}",
        ran.stdout
    );
    assert!(!curves.is_empty() && cells.len() == 4);
}

/// The tasks' correlation at three values, in one experiment.
fn swept(bench: &Bench, more: &[&str]) -> crate::harness::Ran {
    let mut arguments = vec![
        "--set",
        "grid.dataset.correlation=[-0.5, 0.0, 1.0]",
        "--set",
        "seeds=[1, 2]",
        "--set",
        "training.max_epochs=2",
    ];
    arguments.extend(more);
    run(bench, "swept", &arguments)
}

#[test]
fn a_knob_of_the_data_is_swept_and_variants_are_compared_at_each_of_its_values() {
    let bench = Bench::new();
    swept(&bench, &["--only", "mmoe/correlation=1/*"]);
    let cells = bench.rows("swept/cells.csv");
    let done = cells
        .iter()
        .filter(|row| row.iter().any(|field| field == "done"));
    assert_eq!((cells.len(), done.count()), (2, 2), "{cells:?}");
    swept(&bench, &[]);
    let metrics = bench.rows("swept/metrics.csv");
    let test = |row: &&csv::StringRecord| &row[3] == "test" && &row[5] == "best_mse";
    assert_eq!(metrics.iter().filter(test).count(), 24);
    let cells = bench.read("swept/cells.csv");
    for value in ["-0.5", "0", "1"] {
        let name = format!("two-task[correlation={value}]");
        assert_eq!(cells.matches(&name).count(), 4, "{cells}");
    }
    let settings = bench.read("swept/settings.csv");
    assert_eq!(
        settings.matches(",dataset.correlation,").count(),
        12,
        "{settings}"
    );
    let report = bench.report("swept");
    assert!(report.contains("**correlation=1: first**"), "{report}");
    for figure in [
        "sensitivity_dataset_correlation",
        "gain_dataset_correlation",
    ] {
        assert!(
            bench.path(&format!("swept/figures/{figure}.svg")).is_file(),
            "{figure}"
        );
    }
    let status = bench.run(&["status", "swept"]).expect(0);
    assert!(
        status.stdout.contains("mmoe/correlation=-0.5"),
        "{}",
        status.stdout
    );
    // The resolved spec is a spec of the same cells.
    let descriptions = experiment("datasets");
    let spec = "swept/spec.resolved.toml";
    let again = bench
        .run(&[
            "plan",
            spec,
            "--out",
            "swept",
            "--descriptions",
            &descriptions,
        ])
        .expect(0);
    assert_eq!(
        again.stdout.matches(" done").count(),
        12,
        "{}",
        again.stdout
    );
}

#[test]
fn a_knob_of_the_data_has_one_value_too() {
    let bench = Bench::new();
    run(
        &bench,
        "one",
        &[
            "--set",
            "dataset.knobs.noise=0.5",
            "--set",
            "seeds=[1]",
            "--set",
            "training.max_epochs=1",
        ],
    );
    let metrics = bench.rows("one/metrics.csv");
    let best = metrics
        .iter()
        .filter(|row| &row[3] == "test" && &row[5] == "best_mse");
    for row in best {
        let best: f64 = row[6].parse().expect("a value");
        assert!((best - 0.25).abs() < 0.03, "{best}");
    }
    assert!(bench.read("one/cells.csv").contains("two-task[noise=0.5]"));
    bench.run(&["status", "one"]).expect(0);
}

#[test]
fn knobs_that_the_data_does_not_have_are_refused() {
    let bench = Bench::new();
    bench.write(
        "pair.toml",
        &SPEC.replace("[training]", "knobs = { scale = 2.0 }\n[training]"),
    );
    let descriptions = experiment("datasets");
    let refused = |set: &str| {
        let arguments = [
            "plan",
            "pair.toml",
            "--descriptions",
            &descriptions,
            "--set",
            set,
        ];
        bench.run(&arguments).expect(2).stderr
    };
    let all = [
        "grid.dataset.corelation=[0.5]",
        "grid.dataset.correlation=[0.5, 1.5]",
        "dataset.knobs.scale=-1.0",
        "dataset.knobs.correlation=\"high\"",
        "grid.dataset.input_dim=[8, 16]",
        "random.dataset.correlation={ range = [0.0, 1.0] }",
        "variants.mmoe.grid.dataset.correlation=[0.5]",
        "dataset.name=census-income",
        "dataset.knobs.phases=[0.0]",
    ]
    .map(refused);
    insta::assert_snapshot!(all.join(""), @r#"
    error: --set grid.dataset.corelation=[0.5]: `grid."dataset.corelation".0`: unknown key `corelation` in [regression]; expected one of `input_dim`, `correlation`, `scale`, `frequencies`, `phases`, `noise`, `label_scales`
    hint: did you mean `correlation`?
    error: --set grid.dataset.correlation=[0.5, 1.5]: `grid."dataset.correlation".1`: expected a number from -1 to 1, found 1.5
    error: --set dataset.knobs.scale=-1.0: `dataset.knobs.scale`: expected a number from 0 to 1000, found -1
    error: --set dataset.knobs.correlation="high": `dataset.knobs.correlation`: `regression.correlation`: expected a number, found string "high"
    error: [grid]: the inputs are others with another `input_dim`: it can't be swept
    hint: write a spec for each of its values, with knobs in [dataset]
    error: --set random.dataset.correlation={ range = [0.0, 1.0] }: `random."dataset.correlation"`: a knob of the data can't be swept here
    hint: write it into [grid]: every variant is trained on each of its values
    error: --set variants.mmoe.grid.dataset.correlation=[0.5]: `variants.mmoe.grid."dataset.correlation"`: a knob of the data can't be swept here
    hint: write it into [grid]: every variant is trained on each of its values
    error: pair.toml:7:9: a dataset in files has no knobs: its rows are what they are
    hint: set knobs of an embedded source alone, such as that of experiments/datasets/two-task.toml
    error: --set dataset.knobs.phases=[0.0]: `dataset.knobs.phases`: expected one phase for each of 3 frequencies, found 1
    hint: each wave is sin(frequency * w·x + phase)
    "#);
}
