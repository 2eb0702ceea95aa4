//! Features that meet: selection by metrics on request, cohorts in other commands, event files of trials that are halved, programs that are
//! scored by what the spec asks for.

use crate::harness::{Bench, experiment};
use crate::{adapters, cohorts, search, selection, shop};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The shop with two trials, chosen by this.
fn tuned(metric: &str) -> String {
    let (spec, asked) = (cohorts::SPEC, cohorts::ASKED);
    format!(
        "{spec}{asked}[selection]\nmetric = \"{metric}\"\ntasks = {{ click = 1.0 }}\n\
         [tuning]\ntrials = 2\nseeds = [11]\n[tuning.random]\n\"training.learning_rate\" = {{ log_range = [1e-3, 1e-1] }}\n"
    )
}

#[test]
fn epochs_and_trials_are_selected_by_rankings_within_a_column_and_by_weights() {
    let bench = cohorts::shop();
    for metric in ["ndcg@10", "weighted_auc"] {
        let spec = tuned(metric);
        cohorts::run(&bench, &spec, &["--out", metric, "--jobs", "1"]).expect(0);
        selection::assert_selected(&bench, metric, metric, &[("click", 1.0)], 1.0);
        let cells = bench.rows(&format!("{metric}/cells.csv"));
        let trials = cells.iter().filter(|row| &row[12] == "tuning");
        assert_eq!(trials.clone().count(), 4);
        // Trials have what they are chosen by, and nothing else of what final cells are scored by.
        for row in trials {
            let cell = format!("{metric}/cells/{}", &row[0]);
            let content = bench.part(&cell, "cell.toml");
            assert!(!content.contains("cohorts") && !content.contains("extra"));
            assert_eq!(
                content.contains("session"),
                metric == "ndcg@10",
                "{content}"
            );
            let scores = bench.rows_of(&cell, "metrics.csv");
            assert!(scores.iter().any(|row| &row[5] == metric));
            assert!(scores.iter().all(|row| &row[5] != "brier"));
        }
        let scores = bench.rows(&format!("{metric}/metrics.csv"));
        let mut on_test = scores.iter().filter(|row| &row[3] == "test");
        assert!(on_test.any(|row| &row[5] == metric && !row[6].is_empty()));
        let other = format!("{metric}-jobs");
        cohorts::run(&bench, &spec, &["--out", &other, "--jobs", "2"]).expect(0);
        bench.assert_same_results(&other, metric);
    }
}

#[test]
fn cohorts_are_in_copies_and_in_reports_of_some_cells_and_diffs_read_them() {
    let bench = cohorts::shop();
    let spec = format!("{}{}", cohorts::SPEC, cohorts::ASKED);
    cohorts::run(&bench, &spec, &["--out", "one"]).expect(0);
    bench.run(&["report", "one", "--only", "mmoe"]).expect(0);
    let part = bench.read("one/only/mmoe/report.md");
    assert!(part.contains("## Cohorts"), "{part}");
    assert!(part.contains("../../cohorts.csv"), "{part}");
    // Means of the cells that are left, and of no others.
    let whole = bench.read("one/report.md");
    let line = |report: &str| {
        let section = report.split("## Cohorts").nth(1).expect("a section");
        let lines = section.lines();
        let fields = |line: &str| -> Vec<String> {
            let fields = line.trim_matches('|').split('|');
            fields.map(|field| field.trim().to_owned()).collect()
        };
        let mut rows = lines.filter(|line| line.starts_with('|')).map(fields);
        let header = rows.next().expect("a header");
        let column = header.iter().position(|name| name == "mmoe");
        let row = rows.nth(1).expect("a row");
        (row[1].clone(), row[column.expect("a column")].clone())
    };
    assert_eq!(line(&part), line(&whole));
    bench.run(&["pack", "one", "--into", "packed"]).expect(0);
    assert!(bench.path("packed/cohorts.csv.zst").exists());
    bench.run(&["report", "packed"]).expect(0);
    let report = bench.read("packed/report.md");
    assert!(
        report.contains("## Cohorts") && report.contains("(cohorts.csv.zst)"),
        "{report}"
    );
    bench.run(&["diff", "one", "packed"]).expect(0);
    bench.run(&["status", "packed"]).expect(0);
}

/// Every event file of a folder, with its events without their times.
fn events(bench: &Bench, out: &str) -> BTreeMap<PathBuf, Vec<Vec<u8>>> {
    let files = bench.files(&format!("{out}/tensorboard"), &[]);
    let read = |(path, bytes): (PathBuf, Vec<u8>)| {
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            // A checksum is before and one behind; the time is the first field.
            events.push(rest[12 + 9..12 + length].to_vec());
            rest = &rest[12 + length + 4..];
        }
        (path.parent().expect("a folder").to_owned(), events)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn a_trial_that_is_promoted_goes_on_in_its_event_file() {
    let bench = Bench::new();
    bench.write("spec.toml", search::HALVING);
    let with = ["--set", "run.tensorboard=true"];
    search::run(&bench, "whole", &with).expect(0);
    let whole = events(&bench, "whole");
    let counts = |trial: usize| {
        let path = format!("bottom/trial-{trial}/11");
        // The first says the version of the format; then one for each epoch.
        whole[Path::new(&path)].len() - 1
    };
    let mut epochs: Vec<usize> = (1..=4).map(counts).collect();
    epochs.sort_unstable();
    assert_eq!(epochs[..3], [1, 1, 2]);
    assert!(epochs[3] > 2);
    assert_eq!(whole.len(), 5, "{:?}", whole.keys());
    // The same where a process was killed on its second rung, and where nobody asked for them before.
    let killed = [&with[..], &["--set", "run.retries=2"]].concat();
    let descriptions = experiment("datasets");
    let fixed = search::arguments("killed", &descriptions);
    let fault = ("HOMEBENCH_FAULTS", "bottom/11=kill@7:once");
    bench
        .run_with(fault, &[&fixed[..], &killed].concat())
        .expect(0);
    assert_eq!(events(&bench, "killed"), whole);
    search::run(&bench, "later", &[]).expect(0);
    search::run(&bench, "later", &with).expect(0);
    assert_eq!(events(&bench, "later"), whole);
}

#[test]
fn a_program_is_scored_and_selected_by_what_the_spec_asks_for() {
    let bench = Bench::new();
    let asked = "metrics = { extra = [\"pr_auc\", \"ndcg@5\"] }\ncohorts = { new_users = \"user not in train\" }\n\
                 selection = { metric = \"ndcg@5\", tasks = { click = 1.0, like = 1.0 } }";
    adapters::spec(&bench, "", asked);
    adapters::run(&bench, &[]).expect(0);
    for table in ["metrics", "cohorts", "curves"] {
        let rows = bench.rows(&format!("out/{table}.csv"));
        let metric = match table {
            "metrics" => 5,
            _ => 7,
        };
        let of = |variant: &str| -> Vec<String> {
            let rows = rows.iter();
            let rows = rows.filter(|row| &row[1] == variant && &row[metric] != "loss");
            rows.map(|row| row[metric].to_owned()).collect()
        };
        assert_eq!(of("rates"), of("logistic"), "{table}");
        assert!(of("rates").contains(&"ndcg@5".to_owned()), "{table}");
    }
    let weights = [("click", 1.0), ("like", 1.0)];
    selection::assert_selected(&bench, "out", "ndcg@5", &weights, 1.0);
}

#[test]
fn a_program_has_no_rungs() {
    let bench = Bench::new();
    let tuning = "[tuning]\nmethod = \"successive_halving\"\ntrials = 9\nseeds = [11]\n\
                  [variants.rates.tuning.random]\nsmoothing = { range = [1, 9] }\n\
                  [variants.logistic.tuning.random]\n\"training.learning_rate\" = { log_range = [1e-4, 1e-1] }\n";
    adapters::spec(&bench, "", "");
    let spec = bench
        .read("spec.toml")
        .replace("max_epochs = 1", "max_epochs = 9");
    bench.write("spec.toml", &format!("{spec}{tuning}"));
    let said = adapters::run(&bench, &[]).expect(2).stderr;
    assert!(
        said.contains("`variants.rates.command`: a program trains at once"),
        "{said}"
    );
    assert!(said.contains("method = \"tpe\""), "{said}");
    let spec = bench.read("spec.toml");
    let spec = spec.replace(
        "\"successive_halving\"\ntrials = 9",
        "\"tpe\"\nstartup_trials = 2\ntrials = 3",
    );
    bench.write(
        "spec.toml",
        &spec.replace("max_epochs = 9", "max_epochs = 1"),
    );
    adapters::run(&bench, &[]).expect(0);
    bench.run(&["status", "out"]).expect(0);
}

/// AUC of a task by the predictions of a cell for the test split.
fn auc_of_predictions(bench: &Bench, folder: &str, task: &str) -> f64 {
    let rows = shop::parquet(bench, &format!("{folder}/predictions.test.parquet"));
    let column = |name: &str| shop::numbers(&rows, &format!("{name}_{task}"));
    let observed = column("score").into_iter().zip(column("label"));
    let observed = observed.filter_map(|(score, label)| Some((score?, label?)));
    let (scores, labels): (Vec<f64>, Vec<f64>) = observed.unzip();
    shop::auc(&scores, &labels)
}

#[track_caller]
fn assert_auc(bench: &Bench, out: &str, cell: &str, task: &str) {
    let scores = bench.rows(&format!("{out}/metrics.csv"));
    let mut scores = scores.iter().filter(|row| &row[0] == cell);
    let row = scores.find(|row| &row[3] == "test" && &row[4] == task && &row[5] == "auc");
    let expected: f64 = row.expect("a score")[6].parse().expect("a number");
    let found = auc_of_predictions(bench, &format!("{out}/cells/{cell}"), task);
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

fn ids_of(bench: &Bench, out: &str, variant: &str) -> Vec<String> {
    let rows = bench.rows(&format!("{out}/cells.csv"));
    let finals = rows
        .iter()
        .filter(|row| &row[1] == variant && &row[12] == "final");
    finals.map(|row| row[0].to_owned()).collect()
}

#[test]
fn predictions_groups_and_cohorts_stay_with_rows_at_once() {
    let bench = cohorts::shop();
    let spec = tuned("ndcg@10");
    cohorts::run(&bench, &spec, &["--out", "plain"]).expect(0);
    let both = ["--out", "both", "--predictions", "validation,test"];
    cohorts::run(&bench, &spec, &both).expect(0);
    for table in ["metrics.csv", "cohorts.csv", "curves.csv"] {
        assert!(
            bench.read(&format!("both/{table}")) == bench.read(&format!("plain/{table}")),
            "{table}"
        );
    }
    for id in ids_of(&bench, "both", "mmoe") {
        assert_auc(&bench, "both", &id, "click");
    }
    // Those of cells that are done come to the same bytes.
    let later = ["--out", "plain", "--predictions", "validation,test"];
    cohorts::run(&bench, &spec, &later).expect(0);
    bench.assert_same_results("plain", "both");
}

#[test]
fn predictions_of_a_program_are_kept_as_it_gave_them() {
    let bench = Bench::new();
    adapters::spec(&bench, "", "");
    adapters::run(&bench, &["--predictions", "test"]).expect(0);
    let ids = ids_of(&bench, "out", "rates");
    assert_eq!(ids.len(), 2);
    for id in &ids {
        assert_auc(&bench, "out", id, "click");
    }
    let said = adapters::run(&bench, &["--predictions", "validation,test"]).expect(0);
    let words = "of a program, which keeps no weights to predict with";
    assert_eq!(said.stderr.matches(words).count(), 2, "{}", said.stderr);
    let folder = format!("out/cells/{}", ids[0]);
    bench.write("new.csv", "author\n1\n");
    let said = bench.run(&["predict", &folder, "new.csv"]).expect(2).stderr;
    assert!(
        said.contains("the cell is of a program of the user's"),
        "{said}"
    );
}
