//! What can be wrong with `[selection]`: refused with its place and its mend.

use homebench_data::Places;
use homebench_experiment::spec::{Experiment, check_dataset, load, resolved_toml};
use std::path::{Path, PathBuf};

const SPEC: &str = r#"question = "Which is best?"
seeds = [1, 2]
dataset = { name = "feed" }
[selection]
metric = "auc"
[variants.mmoe]
model = "mmoe"
[variants.home]
model = "home"
"#;

/// Tasks of both kinds, and nobody's rows.
const MIXED: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "item", "click", "seconds"]
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "day"
validation_from = 8
test_from = 9
[features]
item = { kind = "categorical" }
[tasks]
click = { label = "click", group = "a" }
watched = { kind = "regression", label = "seconds", group = "a" }
[protocols.all]
tasks = ["click", "watched"]
"#;

/// The descriptions of the repository, or the folder, where it has one.
fn places(folder: &Path) -> Places {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let root = match folder.join("mixed.toml").exists() {
        true => folder.to_owned(),
        false => root,
    };
    Places::resolve(Some(&root), None, None)
}

fn check(folder: &Path, text: &str) -> anyhow::Result<Experiment> {
    let path = folder.join("spec.toml");
    std::fs::write(&path, text).unwrap();
    let (experiment, source) = load(&path, &[])?;
    check_dataset(&experiment, &source, &places(folder))?;
    Ok(experiment)
}

fn accepted(text: &str) -> Experiment {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is said of a spec, without the folder that it lies in.
#[track_caller]
fn refused(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let said = check(folder.path(), text)
        .expect_err("it is wrong")
        .to_string();
    said.replace(&format!("{}/", folder.path().display()), "")
}

/// With these lines in place of the metric, from line 5 on.
#[track_caller]
fn of_lines(lines: &str) -> String {
    refused(&SPEC.replace("metric = \"auc\"", lines))
}

/// The same on tasks of both kinds, and nobody's rows.
#[track_caller]
fn on_mixed(lines: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mixed.toml"), MIXED).unwrap();
    let spec = SPEC.replace("metric = \"auc\"", lines);
    let spec = spec.replace("name = \"feed\"", "name = \"mixed\"");
    let said = check(folder.path(), &spec)
        .expect_err("it is wrong")
        .to_string();
    said.replace(&format!("{}/", folder.path().display()), "")
}

#[track_caller]
fn assert_says(said: &str, place: &str, expected: &[&str]) {
    assert!(said.starts_with(&format!("spec.toml:{place}: ")), "{said}");
    for words in expected {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn metrics_that_there_are_not_or_that_nothing_can_be_selected_by() {
    assert_says(
        &of_lines("metric = \"gac\""),
        "5:10",
        &[
            "`selection.metric`: there is no metric `gac`; expected one of: main, auc, log_loss,",
            "hint: did you mean `gauc`?",
        ],
    );
    for (name, why) in [
        ("calibration", "neither way of it is better"),
        ("gauc_users", "neither way of it is better"),
        ("loss", "training makes it"),
        ("auc_regret", "no choice may know"),
    ] {
        let said = of_lines(&format!("metric = \"{name}\""));
        assert_says(&said, "5:10", &[why, "expected one of: main, auc"]);
    }
}

#[test]
fn ways_to_combine_that_there_are_not_or_that_do_not_fit() {
    assert_says(
        &of_lines("combine = \"wurst\""),
        "5:11",
        &[
            "expected one of `mean`, `worst`, `product`, found `wurst`",
            "did you mean `worst`?",
        ],
    );
    assert_says(
        &of_lines("combine = \"worst\"\ntasks = { like = 2.0 }"),
        "6:18",
        &[
            "the worst of some values has no weights",
            "write 1.0 for each task",
        ],
    );
    assert_says(
        &of_lines("combine = \"product\"\nmetric = \"r_squared\""),
        "5:11",
        &["`r_squared` may be negative, and two bad values then have a good product"],
    );
    assert_says(
        &on_mixed("combine = \"product\""),
        "5:11",
        &["`r_squared` may be negative", "write `combine = \"mean\"`"],
    );
}

#[test]
fn weights_that_choose_no_task_or_one_that_there_is_not() {
    assert_says(
        &of_lines("tasks = { lik = 1.0 }"),
        "5:11",
        &[
            "`selection.tasks`: the dataset has no task `lik`; it has: effective_view,",
            "did you mean `like`?",
        ],
    );
    for weight in ["-1.0", "nan", "inf"] {
        let said = of_lines(&format!("tasks = {{ like = {weight} }}"));
        assert_says(
            &said,
            "5:18",
            &["expected a finite number, 0 or more", "hint: "],
        );
    }
    for none in ["tasks = { like = 0.0, follow = 0 }", "tasks = {}"] {
        let said = of_lines(none);
        assert_says(
            &said,
            "5:1",
            &["no task has a weight above 0", "a weight of 1.0"],
        );
    }
}

#[test]
fn metrics_that_a_chosen_task_can_not_have() {
    for (metric, why, able) in [
        (
            "auc",
            "`watched` predicts a number and has no `auc`",
            "click",
        ),
        (
            "mse",
            "`click` predicts classes and has no `mse`",
            "watched",
        ),
    ] {
        let said = on_mixed(&format!("metric = \"{metric}\""));
        let hint = format!("hint: choose the tasks that have it: `tasks = {{ {able} = 1.0 }}`");
        assert_says(&said, "5:10", &[why, &hint]);
    }
    let said = on_mixed("metric = \"gauc\"\ntasks = { click = 1.0 }");
    assert_says(
        &said,
        "5:10",
        &[
            "`gauc` is computed within users, and the dataset `mixed` has none",
            "`user = \"user_id\"`",
        ],
    );
}

#[test]
fn tasks_that_a_variant_does_not_learn_and_trials_of_different_tasks() {
    let named = SPEC.replace("metric = \"auc\"", "tasks = { like = 1.0 }");
    let said = refused(&format!(
        "{named}training = {{ task_weights = {{ like = 0.0 }} }}\n"
    ));
    assert_says(
        &said,
        "5:11",
        &[
            "`home` doesn't learn `like`",
            "give `like` a weight above 0 in the loss",
        ],
    );
    let tuned = "[tuning]\nseeds = [9]\n[tuning.grid]\ntraining.task_weights.like = [0.0, 1.0]\n";
    let said = refused(&format!("{SPEC}{tuned}"));
    assert_says(
        &said,
        "13:36",
        &[
            "trials of `mmoe` learn different tasks (trial 1 and trial 2)",
            "of tasks that every trial learns",
        ],
    );
}

#[test]
fn variants_that_would_be_tuned_on_different_scales() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mixed.toml"), MIXED).unwrap();
    let spec = SPEC.replace("name = \"feed\"", "name = \"mixed\"");
    let spec = spec.replace("metric = \"auc\"", "metric = \"main\"");
    let spec = format!(
        "{spec}training = {{ task_weights = {{ watched = 0.0 }} }}\n[tuning]\nseeds = [9]\n[tuning.grid]\ntraining.learning_rate = [1e-3, 2e-3]\n"
    );
    let said = check(folder.path(), &spec)
        .expect_err("it is wrong")
        .to_string();
    let said = said.replace(&format!("{}/", folder.path().display()), "");
    assert_says(
        &said,
        "10:14",
        &[
            "`mmoe` and `home` learn tasks of different kinds",
            "of tasks that every variant learns",
        ],
    );
    // Named, they are on one.
    let named = spec.replace("metric = \"main\"", "tasks = { click = 1.0 }");
    check(folder.path(), &named).unwrap();
}

#[test]
fn what_is_said_comes_back_and_the_default_is_written_out() {
    let text = SPEC.replace(
        "metric = \"auc\"",
        "metric = \"gauc\"\ncombine = \"product\"\ntasks = { like = 2, follow = 0.0, effective_view = 0.5 }",
    );
    let experiment = accepted(&text);
    // A weight of 0 is none.
    assert_eq!(experiment.selection.tasks.len(), 2);
    let resolved = resolved_toml(&experiment, "default");
    assert_eq!(
        accepted(&resolved.replace("protocol = \"default\"", "")).selection,
        experiment.selection
    );
    let default = accepted(&SPEC.replace("[selection]\nmetric = \"auc\"\n", ""));
    assert!(default.selection.is_default());
    let resolved = resolved_toml(&default, "default");
    assert!(
        resolved.contains("[selection]\nmetric = \"main\"\ncombine = \"mean\"\n"),
        "{resolved}"
    );
    let same = accepted(&SPEC.replace("metric = \"auc\"", "metric = \"main\"\ncombine = \"mean\""));
    assert!(same.selection.is_default());
}
