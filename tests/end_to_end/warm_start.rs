//! Cells that start from the weights of others, and parts of models that stay as they are.

use crate::harness::{Bench, Ran, experiment, repository};
use crate::shop::{numbers, parquet};
use std::collections::BTreeMap;

/// Small, with experts and gates of every kind that a path may name.
const HEAD: &str = r#"question = "What does a start change?"
seeds = [1, 2]
[dataset]
name = "synthetic"
rows = 600
[training]
batch_size = 128
max_epochs = 2
embedding_dim = 2
# Would shrink the tables that are frozen below, too.
embedding_l2 = 0.1
[defaults]
num_experts = 2
expert_dims = [4]
tower_dims = [3]
norm = "batch"
"#;

const BASE: &str =
    "[variants.base]\nmodel = \"mmoe\"\ntraining = { task_weights = { follow = 0.0 } }\n";

/// All but the tower and the gate of a task is frozen.
const ADDED: &str = r#"[variants.added]
model = "mmoe"
init_from = { variant = "base", rename = { "task.like.gate" = "task.follow.gate" } }
freeze = ["embedding", "shared", "task.click", "task.long_view", "task.like"]
training = { weight_decay = 0.1, optimizer = "adamw", gradient_clip_norm = 0.5 }
"#;

fn spec() -> String {
    // Before the one that it starts from: the file's order is not that of running.
    format!("{HEAD}{ADDED}{BASE}")
}

fn run(bench: &Bench, spec: &str, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let arguments = ["run", spec, "--out", out, "--descriptions", &descriptions];
    bench.run(&[&arguments[..], &["--threads", "1"], more].concat())
}

fn done(text: &str) -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", text);
    run(&bench, "s.toml", "done", &[]).expect(0);
    bench
}

/// Ids of final cells by `variant/seed`.
fn ids(bench: &Bench, out: &str) -> BTreeMap<String, String> {
    let rows = bench.rows(&format!("{out}/cells.csv"));
    let finals = rows.iter().filter(|row| &row[12] == "final");
    let named = finals.map(|row| (format!("{}/{}", &row[1], &row[4]), row[0].to_owned()));
    named.collect()
}

type Weights = BTreeMap<String, Vec<f32>>;

fn weights(bench: &Bench, out: &str, id: &str) -> Weights {
    let path = bench.path(&format!("{out}/cells/{id}/weights.safetensors"));
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let values = tensors.into_iter();
    values
        .map(|(path, tensor)| (path, tensor.flatten_all().unwrap().to_vec1().unwrap()))
        .collect()
}

/// Values of the test split by task and metric.
fn test_scores(bench: &Bench, id: &str) -> BTreeMap<(String, String), String> {
    let rows = bench.rows("done/metrics.csv");
    let of_cell = rows.iter().filter(|row| &row[0] == id && &row[3] == "test");
    of_cell
        .map(|row| ((row[4].to_owned(), row[5].to_owned()), row[6].to_owned()))
        .collect()
}

#[test]
fn nothing_is_forgotten_where_all_but_a_task_is_frozen() {
    let bench = Bench::new();
    bench.write("s.toml", &spec());
    run(&bench, "s.toml", "done", &["--predictions", "test"]).expect(0);
    let ids = ids(&bench, "done");
    assert_ne!(ids["added/1"], ids["added/2"]);
    for seed in [1, 2] {
        let [base, added] = ["base", "added"].map(|variant| &ids[&format!("{variant}/{seed}")]);
        let (before, after) = (
            weights(&bench, "done", base),
            weights(&bench, "done", added),
        );
        assert_eq!(before.len(), after.len());
        for (path, values) in &before {
            let is_trained = path.starts_with("task.follow.");
            assert_eq!(values != &after[path], is_trained, "{path}");
        }
        let predicted = |id: &str, task: &str| {
            let rows = parquet(&bench, &format!("done/cells/{id}/predictions.test.parquet"));
            numbers(&rows, &format!("score_{task}"))
        };
        for task in ["click", "long_view", "like", "follow"] {
            let (before, after) = (predicted(base, task), predicted(added, task));
            assert!(before.len() > 100);
            // To the last bit, of every row.
            let bits = |scores: &[Option<f64>]| -> Vec<Option<u64>> {
                scores.iter().map(|score| score.map(f64::to_bits)).collect()
            };
            assert_eq!(bits(&before) != bits(&after), task == "follow", "{task}");
        }
        let (before, after) = (test_scores(&bench, base), test_scores(&bench, added));
        assert!(before.len() > 8);
        for (of, value) in &before {
            // What is known of the truth stays in any case.
            let is_moved = of.0 == "follow" && of.1 == "log_loss";
            let may_move = of.0 == "follow";
            assert!(*value == after[of] || may_move, "{of:?}");
            assert!(*value != after[of] || !is_moved, "{of:?}");
        }
    }
    let report = bench.report("done");
    let said = "added starts from the selected weights of base (the same seed): all variables, task.follow.gate as \
        task.like.gate; frozen: embedding, shared, task.click,";
    assert!(report.contains(said), "{report}");
    assert!(report.contains("With the training that it starts from, a run costs"));
}

/// But for what steps of 1e-30 move.
#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], path: &str) {
    let pairs = found.iter().zip(expected);
    let is_far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-20;
    assert!(!pairs.clone().any(is_far), "{path}: {found:?} {expected:?}");
    assert_eq!(found.len(), expected.len());
}

#[test]
fn what_is_not_named_starts_fresh_and_what_is_named_starts_where_the_other_ended() {
    // No step moves anything that is seen: what there is at the end is what there was at the start.
    let stay = "training = { learning_rate = 1e-30, max_epochs = 1 }\n";
    let text = format!(
        "{HEAD}{BASE}\
         [variants.fresh]\nmodel = \"mmoe\"\n{stay}\
         [variants.part]\nmodel = \"mmoe\"\n{stay}\
         init_from = {{ variant = \"base\", seed = 2, paths = [\"embedding\", \"task.like.gate\"] }}\n\
         [variants.mean]\nmodel = \"mmoe\"\n{stay}\
         [variants.mean.init_from]\nvariant = \"base\"\npaths = []\n\
         rename = {{ \"task.click.gate\" = \"task.follow.gate\", \"task.like.gate\" = \"task.follow.gate\" }}\n"
    );
    let bench = done(&text);
    let ids = ids(&bench, "done");
    let of = |label: &str| weights(&bench, "done", &ids[label]);
    let (base, other, fresh) = (of("base/1"), of("base/2"), of("fresh/1"));
    let is_statistic = |path: &str| path.contains("running");
    for (path, values) in of("part/1").iter().filter(|(path, _)| !is_statistic(path)) {
        let is_named = path.starts_with("embedding.") || path.starts_with("task.like.gate.");
        let start = if is_named { &other[path] } else { &fresh[path] };
        assert_near(values, start, path);
    }
    for (path, values) in of("mean/1").iter().filter(|(path, _)| !is_statistic(path)) {
        let Some(rest) = path.strip_prefix("task.follow.gate") else {
            assert_near(values, &fresh[path], path);
            continue;
        };
        let sources = ["click", "like"].map(|task| &base[&format!("task.{task}.gate{rest}")]);
        let pairs = sources[0].iter().zip(sources[1]);
        let means: Vec<f32> = pairs
            .map(|(a, b)| ((f64::from(*a) + f64::from(*b)) / 2.0) as f32)
            .collect();
        assert_near(values, &means, path);
    }
}

#[test]
fn jobs_and_interruptions_and_lost_weights_change_no_byte() {
    let bench = done(&spec());
    run(&bench, "s.toml", "two", &["--jobs", "2"]).expect(0);
    bench.assert_same_results("two", "done");
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "s.toml",
        "--out",
        "killed",
        "--descriptions",
        &descriptions,
    ];
    let every_step = [
        "--threads",
        "1",
        "--jobs",
        "2",
        "--set",
        "run.checkpoint_every_seconds=0",
    ];
    let killed = [&arguments[..], &every_step].concat();
    // The one at its second step, then what starts from it at its third.
    for faults in ["base/*=kill@2:once", "added/*=kill@3:once"] {
        let killed = bench.run_with(("HOMEBENCH_FAULTS", faults), &killed);
        let left_out = killed.stderr.matches("added/1: left out").count();
        assert_eq!(left_out, usize::from(faults.starts_with("base")));
        killed.expect(1);
    }
    bench.run(&killed).expect(0);
    bench.assert_same_results("killed", "done");
    // Weights that are gone or altered are made again, and nothing else is.
    let ids = ids(&bench, "done");
    let path = format!("done/cells/{}/weights.safetensors", ids["base/1"]);
    let before = std::fs::read(bench.path(&path)).unwrap();
    for damage in [None, Some(b"other".as_slice())] {
        match damage {
            None => std::fs::remove_file(bench.path(&path)).unwrap(),
            Some(bytes) => std::fs::write(bench.path(&path), bytes).unwrap(),
        }
        let ran = run(&bench, "s.toml", "done", &["--only", "added/*"]);
        assert!(ran.stderr.contains("base/1: not reused"), "{}", ran.stderr);
        assert!(
            !ran.stderr.contains("added/1: not reused"),
            "{}",
            ran.stderr
        );
        assert_eq!(std::fs::read(bench.path(&path)).unwrap(), before);
    }
    run(&bench, "s.toml", "done", &[]).expect(0);
    bench.assert_same_results("done", "two");
}

#[test]
fn a_cell_whose_start_failed_is_a_row_that_says_so_and_the_next_run_mends_it() {
    let bench = Bench::new();
    bench.write("s.toml", &spec());
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "s.toml",
        "--out",
        "done",
        "--descriptions",
        &descriptions,
    ];
    let ran = bench
        .run_with(("HOMEBENCH_FAULTS", "base/1=exit@1"), &arguments)
        .expect(1);
    let reason = "`base/1`, which it starts from, failed: the process ended with exit code 7 and gave no reason";
    assert!(
        ran.stderr.contains(&format!("added/1: left out: {reason}")),
        "{}",
        ran.stderr
    );
    let rows = bench.rows("done/cells.csv");
    let left_out = rows
        .iter()
        .find(|row| &row[1] == "added" && &row[4] == "1")
        .unwrap();
    assert_eq!((&left_out[5], &left_out[6]), ("failed", reason));
    // Those of the other seed have nothing to do with it.
    assert_eq!(rows.iter().filter(|row| &row[5] == "done").count(), 2);
    run(&bench, "s.toml", "done", &[]).expect(0);
    run(&bench, "s.toml", "whole", &[]).expect(0);
    bench.assert_same_results("done", "whole");
}

#[test]
fn a_plan_shows_what_cells_start_from_and_their_ids_follow_those() {
    let bench = Bench::new();
    bench.write("s.toml", &spec());
    let descriptions = experiment("datasets");
    let plan = |more: &[&str]| {
        let arguments = ["plan", "s.toml", "--descriptions", &descriptions];
        bench.run(&[&arguments, more].concat()).expect(0)
    };
    let ids = |ran: &Ran| -> BTreeMap<String, String> {
        let lines = ran
            .stdout
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let cells = lines.filter(|words| words.len() > 4);
        cells
            .map(|words| (format!("{}/{}", words[1], words[3]), words[0].to_owned()))
            .collect()
    };
    let ran = plan(&[]);
    let added = ran
        .stdout
        .lines()
        .find(|line| line.contains("added"))
        .unwrap();
    assert!(added.contains("base/1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("starts_from"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("added: starts from the selected weights of base (the same seed)"),
        "{}",
        ran.stderr
    );
    let before = ids(&ran);
    // A setting of the one changes the ids of both, one of the other those of its own.
    let of_base = ids(&plan(&[
        "--set",
        "variants.base.tower_dims=[3]",
        "--set",
        "variants.base.training.patience=7",
    ]));
    assert!(before.iter().all(|(label, id)| of_base[label] != *id));
    let of_added = ids(&plan(&["--set", "variants.added.training.patience=7"]));
    for (label, id) in &before {
        assert_eq!(of_added[label] == *id, label.starts_with("base"), "{label}");
    }
}

const TUNING: &str = r#"
[tuning]
trials = 2
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-3, 1e-1] }
"#;

#[test]
fn a_tuned_variant_starts_from_what_won_and_its_trials_from_trials() {
    let bench = Bench::new();
    bench.write("s.toml", &(spec() + TUNING));
    run(&bench, "s.toml", "done", &[]).expect(0);
    let rows = bench.rows("done/cells.csv");
    let cells = |variant: &str, phase: &str| -> Vec<String> {
        let of = rows
            .iter()
            .filter(|row| &row[1] == variant && &row[12] == phase);
        of.map(|row| row[0].to_owned()).collect()
    };
    assert_eq!(cells("added", "tuning").len(), 2);
    let start_of = |id: &String| -> String {
        let content: toml::Table = bench
            .part(&format!("done/cells/{id}"), "cell.toml")
            .parse()
            .unwrap();
        content["init_from"]["cell"].as_str().unwrap().to_owned()
    };
    let winners: toml::Table = bench.read("done/winners.toml").parse().unwrap();
    let winners = winners["winners"].as_array().unwrap();
    let base = winners
        .iter()
        .find(|one| one["variant"].as_str() == Some("base"))
        .unwrap();
    let trial = base["trial"].as_integer().unwrap() as usize;
    let won = base["trials"][trial - 1]["cells"][0].as_str().unwrap();
    for id in cells("added", "tuning") {
        assert_eq!(start_of(&id), won);
    }
    let finals = cells("base", "final");
    let starts: Vec<String> = cells("added", "final").iter().map(start_of).collect();
    assert_eq!(starts, finals);
    // Nothing runs again, and a run of two jobs comes to the same.
    let again = run(&bench, "s.toml", "done", &[]).expect(0);
    assert!(
        again.stderr.contains("4 of 4 trials are done already"),
        "{}",
        again.stderr
    );
    run(&bench, "s.toml", "two", &["--jobs", "2"]).expect(0);
    bench.assert_same_results("two", "done");
    let status = bench.run(&["status", "done"]).expect(0);
    assert!(
        status.stdout.starts_with("8 cells: 8 done"),
        "{}",
        status.stdout
    );
}

#[test]
fn the_example_of_the_page_runs_and_keeps_its_promise() {
    let page = std::fs::read_to_string(repository().join("docs/experiments.md")).unwrap();
    let mut blocks = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let example = blocks.find(|block| block.contains("init_from = ")).unwrap();
    let bench = Bench::new();
    bench.write("s.toml", example);
    let small = [
        "--set",
        "dataset.rows=600",
        "--set",
        "seeds=[1]",
        "--set",
        "training.max_epochs=1",
        "--set",
        "training.batch_size=128",
    ];
    run(&bench, "s.toml", "done", &small).expect(0);
    let ids = ids(&bench, "done");
    let scores = |variant: &str| test_scores(&bench, &ids[&format!("{variant}/1")]);
    let (standing, added, tuned_on) = (scores("standing"), scores("added"), scores("tuned_on"));
    let of = |task: &str| (task.to_owned(), "log_loss".to_owned());
    for task in ["click", "long_view", "like"] {
        assert_eq!(added[&of(task)], standing[&of(task)]);
        assert_ne!(tuned_on[&of(task)], standing[&of(task)]);
    }
    assert_ne!(added[&of("follow")], standing[&of("follow")]);
}
