//! Tasks that come after others and rows with scenarios, from the spec to the tables.

use crate::harness::{Bench, Ran, experiment};

fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "s.toml",
        "--out",
        out,
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&arguments[..], more].concat())
}

const TRAINING: &str = "seeds = [1]\n[training]\nbatch_size = 128\nmax_epochs = 1\nembedding_dim = 2\n\
    [defaults]\nexpert_dims = [4]\ntower_dims = [3]\n";

/// The small feed in three scenarios, with a model that reads features apart.
const SCENARIOS: &str = "[dataset]\nname = \"feed-small\"\nrows = 600\n\
    knobs = { num_tasks = 3, conflict = 0.0, num_scenarios = 3, scenario_share = 0.5, scenario_shift = 1.0 }\n\
    [variants.pepnet]\nmodel = \"pepnet\"\nprior_features = [\"user\", \"video_age\"]\n";

#[test]
fn every_row_is_scored_in_its_scenario_and_trials_are_not() {
    let bench = Bench::new();
    let tuning = "[tuning]\ntrials = 2\nseeds = [5]\n[tuning.grid]\n\"training.learning_rate\" = [0.01, 0.02]\n";
    let text = format!("question = \"Who is served?\"\n{TRAINING}{SCENARIOS}{tuning}");
    bench.write("s.toml", &text);
    run(&bench, "out", &["--threads", "1"]).expect(0);
    let all = bench.rows("out/metrics.csv");
    let cohorts = bench.rows("out/cohorts.csv");
    // cell, variant, seed, split, task, cohort, cohort_value, metric, value, rows, positives
    assert!(cohorts.iter().all(|row| &row[5] == "scenario"));
    let finals = bench.rows("out/cells.csv");
    let finals: Vec<_> = finals.iter().filter(|row| &row[12] == "final").collect();
    assert_eq!(finals.len(), 1);
    for cell in finals {
        for split in ["validation", "test"] {
            let of_cell: Vec<_> = (cohorts.iter())
                .filter(|row| row[0] == cell[0] && &row[3] == split && &row[7] == "log_loss")
                .collect();
            let tasks = of_cell.iter().map(|row| &row[4]);
            let tasks: std::collections::BTreeSet<&str> = tasks.collect();
            assert_eq!(tasks.len(), 3);
            for task in tasks {
                let of_task: Vec<_> = of_cell.iter().filter(|row| &row[4] == task).collect();
                let values: Vec<&str> = of_task.iter().map(|row| &row[6]).collect();
                assert_eq!(values, ["0", "1", "2"]);
                let number = |text: &str| text.parse::<f64>().unwrap();
                let rows: f64 = of_task.iter().map(|row| number(&row[9])).sum();
                let weighed: f64 = (of_task.iter())
                    .map(|row| number(&row[8]) * number(&row[9]))
                    .sum();
                // A mean over rows is the mean over scenarios, weighed by their rows.
                let whole = all
                    .iter()
                    .find(|row| {
                        row[0] == cell[0]
                            && row.iter().any(|field| field == split)
                            && row.iter().any(|field| field == task)
                            && row.iter().any(|field| field == "log_loss")
                    })
                    .unwrap();
                let is_near = |field: &str| {
                    let value = field.parse::<f64>();
                    value.is_ok_and(|value| (value - weighed / rows).abs() < 1e-9)
                };
                assert!(whole.iter().any(is_near), "{whole:?}: {}", weighed / rows);
            }
        }
    }
    // The same bytes at any number of threads.
    run(&bench, "again", &["--threads", "3"]).expect(0);
    bench.assert_same_results("again", "out");
    let own = text.replace(
        "[variants.pepnet]",
        "[cohorts]\nscenario = \"user not in train\"\n[variants.pepnet]",
    );
    bench.write("s.toml", &own);
    run(&bench, "own", &[]).expect(0);
    let values = bench.rows("own/cohorts.csv");
    assert!(values.iter().all(|row| ["new", "seen"].contains(&&row[6])));
}

#[test]
fn a_purchase_is_scored_by_the_chance_of_its_whole_chain() {
    let bench = Bench::new();
    let text = format!(
        "question = \"What is a chain worth?\"\n{TRAINING}[dataset]\nname = \"click-chain\"\nrows = 2000\n\
         knobs = {{ first_rate = 0.5 }}\n[run]\npredictions = [\"test\"]\n\
         [variants.esmm]\nmodel = \"esmm\"\n[variants.aitm]\nmodel = \"aitm\"\n\
         [variants.resflow]\nmodel = \"resflow\"\n[variants.mmoe]\nmodel = \"mmoe\"\n"
    );
    bench.write("s.toml", &text);
    run(&bench, "out", &["--threads", "1"]).expect(0);
    let cells = bench.rows("out/cells.csv");
    for cell in &cells {
        let file = format!("out/cells/{}/predictions.test.parquet", &cell[0]);
        let rows = crate::shop::parquet(&bench, &file);
        let of = |task: &str| crate::shop::numbers(&rows, &format!("score_{task}"));
        let (click, purchase) = (of("click"), of("purchase"));
        assert!(click.len() > 1000, "{cell:?}");
        let is_chain = purchase
            .iter()
            .zip(&click)
            .all(|(purchase, click)| purchase <= click);
        // By its form alone ESMM never says that a purchase is likelier than its click.
        assert!(is_chain || &cell[1] != "esmm", "{cell:?}");
    }
    // The calibrator's loss is told beside that of the tasks, of the model that has one.
    let curves = bench.rows("out/curves.csv");
    let own = curves
        .iter()
        .filter(|row| row.iter().any(|field| field == "auxiliary_loss"));
    let variants: std::collections::BTreeSet<&str> = own.map(|row| &row[1]).collect();
    assert_eq!(variants.into_iter().collect::<Vec<_>>(), ["aitm"]);
    run(&bench, "again", &["--threads", "2"]).expect(0);
    bench.assert_same_results("again", "out");
}

/// What is refused before anything runs, at its place.
fn refusal(dataset: &str, variant: &str) -> String {
    let bench = Bench::new();
    let text =
        format!("question = \"Which?\"\n{TRAINING}[dataset]\n{dataset}\n[variants.a]\n{variant}\n");
    bench.write("s.toml", &text);
    run(&bench, "out", &[]).expect(2).stderr
}

#[test]
fn models_that_the_data_can_not_have_are_refused_before_anything_runs() {
    let said = refusal(
        "name = \"synthetic\"",
        "model = \"pepnet\"\nprior_features = [\"usr\"]\nparts = \"ppnet\"",
    );
    insta::assert_snapshot!(said, @"error: s.toml:14:18: `variants.a.prior_features`: no feature is called `usr`; there are: user, user_segment, video, author, category, network, hour, weekday, user_activity, video_duration, video_age");
    let said = refusal(
        "name = \"synthetic\"",
        "model = \"pepnet\"\nprior_features = [\"user\"]",
    );
    insta::assert_snapshot!(said, @r#"error: s.toml:12:11: `variants.a.parts`: EPNet's gate reads the scenario of a row, and the dataset has none; write scenario = "a_column" in its description, or parts = "ppnet""#);
    let said = refusal("name = \"synthetic\"", "model = \"esmm\"");
    insta::assert_snapshot!(said, @r#"error: s.toml:12:11: `esmm` is a model of tasks that come one after another, and here none comes after another; say so in the description, such as after = "click" of the task of conversions, or take another model"#);
    let said = refusal(
        "name = \"click-chain\"\nknobs = { first_rate = 2.0 }",
        "model = \"esmm\"",
    );
    insta::assert_snapshot!(said, @r"
    error: s.toml:12:24: `dataset.knobs.first_rate`: `chain.first_rate`: expected a rate between 0 and 1, found 2
    hint: it is the share of positive labels among the rows where the task before is positive
    ");
}
