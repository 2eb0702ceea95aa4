//! What can be wrong with how `[tuning]` searches: refused with its place and its mend.

use homebench_experiment::spec::{Experiment, Method, Sampling, load, resolved_toml};

const SPEC: &str = r#"question = "Which is best?"
seeds = [1, 2]
dataset = { name = "feed" }
[training]
max_epochs = 9
[tuning]
method = "random"
trials = 9
seeds = [11]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-2] }
[variants.mmoe]
model = "mmoe"
[variants.home]
model = "home"
"#;

fn read(text: &str) -> Result<Experiment, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, text).unwrap();
    let read = load(&path, &[]).map(|(experiment, _)| experiment);
    read.map_err(|said| {
        said.to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    })
}

#[track_caller]
fn accepted(text: &str) -> Experiment {
    read(text).unwrap_or_else(|said| panic!("{said}\n{text}"))
}

/// With these lines in place of the method, from line 7 on.
fn with(lines: &str) -> String {
    SPEC.replace("method = \"random\"", lines)
}

#[track_caller]
fn assert_refused(text: &str, place: &str, expected: &[&str]) {
    let said = read(text).expect_err("it is wrong");
    assert!(said.starts_with(&format!("spec.toml:{place}: ")), "{said}");
    for words in expected {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn methods_and_ways_of_sampling_that_there_are_not() {
    assert_refused(
        &with("method = \"tep\""),
        "7:10",
        &[
            "expected one of `random`, `grid`, `successive_halving`, `tpe`, found `tep`",
            "did you mean `tpe`?",
        ],
    );
    assert_refused(
        &with("sampling = \"latin_hypercubes\""),
        "7:12",
        &[
            "expected one of `independent`, `latin_hypercube`",
            "did you mean `latin_hypercube`?",
        ],
    );
    let grid = with("method = \"grid\"\nsampling = \"independent\"");
    let grid = grid
        .replace("[tuning.random]", "[tuning.grid]")
        .replace("{ log_range = [1e-4, 1e-2] }", "[1e-3]");
    assert_refused(
        &grid,
        "8:1",
        &["a grid has every combination, so nothing is drawn"],
    );
    let unsaid = grid
        .replace("method = \"grid\"\n", "")
        .replace("trials = 9\n", "");
    assert_refused(&unsaid, "7:1", &["nothing is drawn", "leave the key out"]);
}

#[test]
fn keys_of_a_method_that_is_not_chosen() {
    for (key, whose) in [
        ("eta", "successive_halving"),
        ("min_epochs", "successive_halving"),
        ("startup_trials", "tpe"),
        ("generation_size", "tpe"),
    ] {
        assert_refused(
            &with(&format!("method = \"random\"\n{key} = 4")),
            "8:1",
            &[
                &format!(
                    "`tuning.{key}`: a key of the method `{whose}`, and the method is `random`"
                ),
                &format!("write `method = \"{whose}\"`"),
            ],
        );
        assert_refused(&with(&format!("{key} = 4")), "7:1", &["no method is named"]);
    }
}

#[test]
fn numbers_that_make_no_search() {
    let halving = |line: &str| with(&format!("method = \"successive_halving\"\n{line}"));
    assert_refused(
        &halving("eta = 1"),
        "8:7",
        &["expected a whole number, 2 or more, found 1", "3 is usual"],
    );
    assert_refused(&halving("min_epochs = 0"), "8:14", &["1 or more, found 0"]);
    assert_refused(
        &halving("min_epochs = 10"),
        "8:14",
        &[
            "expected at most `max_epochs`, which is 9, found 10",
            "raise `training.max_epochs`",
        ],
    );
    assert_refused(
        &halving("min_epochs = 4"),
        "8:14",
        &[
            "make one rung, on which nothing is halved",
            "raise `training.max_epochs` to 12",
        ],
    );
    let few = halving("eta = 3").replace("trials = 9", "trials = 8");
    assert_refused(
        &few,
        "9:10",
        &[
            "8 trials leave 8, 2, 0 on rungs of 1, 3, 9 epochs",
            "give 9 trials or more",
        ],
    );
    let enough = few.replace("trials = 8", "trials = 9");
    assert_eq!(accepted(&enough).tuning.unwrap().trials, 9);
    // What the hints say is taken.
    accepted(&halving("min_epochs = 4").replace("max_epochs = 9", "max_epochs = 12"));

    let tpe = |line: &str| with(&format!("method = \"tpe\"\n{line}"));
    assert_refused(&tpe("startup_trials = 1"), "8:18", &["2 or more, found 1"]);
    assert_refused(&tpe("generation_size = 0"), "8:19", &["1 or more, found 0"]);
    assert_refused(
        &tpe("generation_size = 2"),
        "9:10",
        &[
            "expected more than the 10 trials of the start-up",
            "`startup_trials = 4`",
        ],
    );
    accepted(&tpe("startup_trials = 4"));
    let few = tpe("startup_trials = 4").replace(
        "{ log_range = [1e-4, 1e-2] }",
        "{ choices = [1e-3, 2e-3, 3e-3, 4e-3, 5e-3] }",
    );
    assert_refused(
        &few,
        "11:9",
        &["9 different settings are asked for, and at most 5 exist"],
    );
}

#[test]
fn spaces_that_a_method_can_not_search() {
    assert_refused(
        &with("method = \"grid\""),
        "11:1",
        &[
            "a grid has no points of its own within a range",
            "list the values in [tuning.grid]",
        ],
    );
    let choices = with("method = \"grid\"").replace("log_range", "choices");
    assert_refused(
        &choices,
        "11:1",
        &[
            "the method `grid` draws nothing",
            "write the list into [tuning.grid]",
        ],
    );
    let grid = SPEC
        .replace("[tuning.random]", "[tuning.grid]")
        .replace("{ log_range = [1e-4, 1e-2] }", "[1e-3, 1e-2]");
    for (lines, place) in [
        ("method = \"random\"", "11:1"),
        ("method = \"successive_halving\"", "11:1"),
        ("method = \"tpe\"\nstartup_trials = 4", "12:1"),
    ] {
        let text = grid.replace("method = \"random\"", lines);
        assert_refused(
            &text,
            place,
            &["a grid is not drawn from", "`method = \"grid\"`"],
        );
    }
    let more = grid
        .replace("\"random\"", "\"grid\"")
        .replace("trials = 9", "trials = 1");
    assert_refused(
        &more,
        "10:9",
        &["the grid of `mmoe` makes 2, `tuning.trials` says 1"],
    );
    accepted(&more.replace("trials = 1", "trials = 2"));
}

#[test]
fn budgets_that_are_not_equal() {
    let own = format!("{SPEC}training = {{ max_epochs = 3 }}\n");
    assert_refused(
        &own,
        "16:27",
        &[
            "tuned with the same epochs: `mmoe` has 9, `home` has 3",
            "into [training] alone",
        ],
    );
    // Without a method it is as it was: trials are compared.
    accepted(&own.replace("method = \"random\"\n", ""));
    let searched = SPEC.replace(
        "learning_rate\" = { log_range = [1e-4, 1e-2] }",
        "max_epochs\" = { range = [1, 9] }",
    );
    assert_refused(
        &searched,
        "11:1",
        &["every variant is to have the same budget"],
    );
}

#[test]
fn a_search_comes_back_from_its_resolved_text_with_its_defaults() {
    let halving = accepted(&with("method = \"successive_halving\""));
    let tuning = halving.tuning.clone().unwrap();
    assert!(
        matches!(tuning.method, Some(Method::SuccessiveHalving(halving)) if halving.eta == 3 && halving.min_epochs == 1)
    );
    assert_eq!(tuning.sampling, Sampling::LatinHypercube);
    let resolved = resolved_toml(&halving, "all");
    assert!(resolved.contains("method = \"successive_halving\"\neta = 3\nmin_epochs = 1\nsampling = \"latin_hypercube\"\n"), "{resolved}");
    // Of TPE only what is drawn is known beforehand.
    let tpe = accepted(&with("method = \"tpe\"\nstartup_trials = 4"));
    assert!(tpe.variants.iter().all(|variant| variant.trials.len() == 4));
    for (experiment, name) in [(&halving, "halving"), (&tpe, "tpe")] {
        let again = accepted(&resolved_toml(experiment, "all"));
        assert_eq!(
            again.tuning.as_ref().unwrap().method,
            experiment.tuning.as_ref().unwrap().method,
            "{name}"
        );
        let trials = |experiment: &Experiment| -> Vec<Vec<(String, toml::Value)>> {
            let all = experiment
                .variants
                .iter()
                .flat_map(|variant| &variant.trials);
            all.map(|trial| trial.chosen_values()).collect()
        };
        assert_eq!(trials(&again), trials(experiment));
    }
    // Draws without a method are those of before, and named so they are the same.
    let unnamed = accepted(&with(""));
    let named = accepted(SPEC);
    assert_eq!(
        unnamed.variants[0].trials[0].chosen_values(),
        named.variants[0].trials[0].chosen_values()
    );
    let resolved = resolved_toml(&unnamed, "all");
    assert!(
        !resolved.contains("method") && !resolved.contains("sampling"),
        "{resolved}"
    );
}
