//! The protocol: trials on validation, frozen winners, fresh seeds on test.

use crate::harness::{Bench, Ran, experiment};
use std::collections::{BTreeMap, BTreeSet};

/// Two variants, three trials each.
pub(crate) const SPEC: &str = r#"question = "Which is better, once tuned?"
seeds = [1, 2]
[dataset]
name = "synthetic"
rows = 2000
[training]
batch_size = 256
max_epochs = 1
[tuning]
trials = 3
seeds = [11, 12]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
[variants.bottom]
model = "shared_bottom"
expert_dims = [8]
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [8]
"#;

/// What may hold times, and logs.
const WITH_TIMES: &[&str] = &[
    "throughput.csv",
    "provenance.toml",
    "log.txt",
    ".lock",
    ".drawn.toml",
    "tries",
];

fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        out,
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&arguments, more].concat())
}

/// Files that are to be the same whatever happened on the way.
fn files(bench: &Bench, out: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = bench.files(out, WITH_TIMES);
    files.retain(|(path, _)| !path.to_string_lossy().contains("figures/throughput"));
    files
}

#[track_caller]
fn assert_same(bench: &Bench, one: &str, other: &str) {
    let (one, other) = (files(bench, one), files(bench, other));
    let names = |files: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<String> {
        files
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect()
    };
    assert_eq!(names(&one), names(&other));
    for (one, other) in one.iter().zip(&other) {
        assert!(one.1 == other.1, "{} differs", one.0.display());
    }
}

/// Rows of a table by the names of its columns.
fn table(bench: &Bench, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = bench.read(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("a table")
}

#[test]
fn every_variant_is_tuned_alike_and_test_is_read_by_final_cells_alone() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "out", &[]).expect(0);

    let cells = table(&bench, "out/cells.csv");
    let of = |phase: &str| -> Vec<_> { cells.iter().filter(|row| row["phase"] == phase).collect() };
    assert_eq!((of("tuning").len(), of("final").len()), (2 * 3 * 2, 2 * 2));
    let finals: BTreeSet<&String> = of("final").iter().map(|row| &row["cell"]).collect();
    let trials: BTreeSet<&String> = of("tuning").iter().map(|row| &row["cell"]).collect();
    for row in of("tuning") {
        assert!(row["seed"] == "11" || row["seed"] == "12", "{row:?}");
    }

    // Test rows, and rows of any score, are those of final cells.
    let metrics = table(&bench, "out/metrics.csv");
    let of_split = |split: &str| -> BTreeSet<&String> {
        let rows = metrics.iter().filter(|row| row["split"] == split);
        rows.map(|row| &row["cell"]).collect()
    };
    assert_eq!(of_split("test"), finals);
    assert_eq!(of_split("validation"), finals);
    for id in &trials {
        let part = bench.part(&format!("out/cells/{id}"), "metrics.csv");
        assert!(part.contains(",validation,") && !part.contains(",test,"));
        let content = bench.part(&format!("out/cells/{id}"), "cell.toml");
        assert!(content.contains("phase = \"tuning\""), "{content}");
    }

    // The winner is the earliest trial with the best mean over the tuning seeds.
    let tuning = table(&bench, "out/tuning.csv");
    assert_eq!(tuning.len(), 12);
    let settings = table(&bench, "out/settings.csv");
    let rate = |cell: &str| -> &String {
        let mut rows = settings.iter();
        let row = rows
            .find(|row| row["cell"] == cell)
            .expect("every cell has its setting");
        assert_eq!(row["setting"], "training.learning_rate");
        &row["value"]
    };
    for variant in ["bottom", "mmoe"] {
        let mut by_trial = BTreeMap::<usize, Vec<f64>>::new();
        let rows: Vec<_> = tuning
            .iter()
            .filter(|row| row["variant"] == variant)
            .collect();
        for row in &rows {
            let trial = row["trial"].parse().expect("a number");
            let score = row["validation_score"].parse().expect("a score");
            by_trial.entry(trial).or_default().push(score);
        }
        let mean = |scores: &Vec<f64>| scores.iter().sum::<f64>() / scores.len() as f64;
        let best = by_trial.values().map(mean).fold(f64::MIN, f64::max);
        let winner = by_trial.iter().find(|(_, scores)| mean(scores) == best);
        let winner = winner.expect("one is best").0.to_string();
        let mut won = None;
        for row in rows {
            assert_eq!(row["selected"] == "true", row["trial"] == winner, "{row:?}");
            if row["trial"] == winner {
                won = Some(rate(&row["cell"]));
            }
        }
        for row in of("final").iter().filter(|row| row["variant"] == variant) {
            assert_eq!(Some(rate(&row["cell"])), won, "{row:?}");
            assert!(!row["validation_score"].is_empty());
        }
        let frozen = bench.read("out/winners.toml");
        assert!(
            frozen.contains(&format!("variant = \"{variant}\"\ntrial = {winner}")),
            "{frozen}"
        );
    }
    // Both variants tried the same rates.
    let rates = |variant: &str| -> BTreeSet<&String> {
        let rows = tuning.iter().filter(|row| row["variant"] == variant);
        rows.map(|row| rate(&row["cell"])).collect()
    };
    assert_eq!(rates("bottom").len(), 3);
    assert_eq!(rates("bottom"), rates("mmoe"));
    let report = bench.report("out");
    assert!(report.contains("tuned"), "{report}");
}

#[test]
fn a_tuned_experiment_has_the_same_bytes_with_two_jobs_in_parts_and_a_second_time() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "one", &["--jobs", "1", "--threads", "1"]).expect(0);
    run(&bench, "two", &["--jobs", "2", "--threads", "1"]).expect(0);
    assert_same(&bench, "one", "two");

    // In parts: some trials, then the other variant whole, then all.
    run(&bench, "parts", &["--only", "mmoe/trial-2/*"]).expect(0);
    assert!(!bench.path("parts/winners.toml").exists());
    run(&bench, "parts", &["--only", "mmoe"]).expect(0);
    assert_eq!(
        bench
            .read("parts/winners.toml")
            .matches("variant =")
            .count(),
        1
    );
    let last = run(&bench, "parts", &[]).expect(0);
    assert!(
        last.stderr.contains("6 of 12 trials are done already"),
        "{}",
        last.stderr
    );
    assert_same(&bench, "one", "parts");

    let before = bench.files("one", &[".lock"]);
    let again = run(&bench, "one", &[]).expect(0);
    assert!(
        again.stderr.contains("12 of 12 trials are done already"),
        "{}",
        again.stderr
    );
    assert!(
        again.stderr.contains("4 of 4 cells are done already"),
        "{}",
        again.stderr
    );
    assert_eq!(before, bench.files("one", &[".lock"]));
    // And once more from the resolved spec.
    bench.write("spec.toml", &bench.read("one/spec.resolved.toml"));
    run(&bench, "resolved", &[]).expect(0);
    assert_same(&bench, "one", "resolved");
}

#[test]
fn one_final_cell_needs_the_trials_of_its_variant_alone() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "out", &["--only", "bottom/2"]).expect(0);
    let cells = table(&bench, "out/cells.csv");
    assert!(cells.iter().all(|row| row["variant"] == "bottom"));
    assert_eq!(cells.len(), 6 + 1);
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert_eq!(status.matches("  after tuning").count(), 2, "{status}");
}

#[test]
fn a_failed_trial_is_worst_and_shown_and_a_variant_without_any_other_has_failed_rows() {
    let bench = Bench::new();
    let spec = SPEC
        .replace("[variants.mmoe]", "[variants.bottom.tuning.random]\n\"training.learning_rate\" = { choices = [1e30, 1e31, 1e-3] }\n[variants.mmoe.tuning.random]\n\"training.learning_rate\" = { choices = [1e30, 1e31, 1e32] }\n[variants.mmoe]")
        .replace("seeds = [11, 12]", "seeds = [11]");
    bench.write("spec.toml", &spec);
    let ran = run(&bench, "out", &[]).expect(1);
    let tuning = table(&bench, "out/tuning.csv");
    let failed = tuning
        .iter()
        .filter(|row| row["validation_score"].is_empty());
    assert_eq!(failed.count(), 2 + 3);
    let selected: Vec<_> = tuning
        .iter()
        .filter(|row| row["selected"] == "true")
        .collect();
    assert_eq!(selected.len(), 1);
    assert_eq!(selected[0]["variant"], "bottom");
    assert!(!selected[0]["validation_score"].is_empty());

    let cells = table(&bench, "out/cells.csv");
    let finals = |variant: &str| -> Vec<_> {
        let rows = cells.iter().filter(|row| row["phase"] == "final");
        rows.filter(|row| row["variant"] == variant).collect()
    };
    assert!(finals("bottom").iter().all(|row| row["status"] == "done"));
    assert_eq!(finals("mmoe").len(), 2);
    for row in finals("mmoe") {
        assert_eq!(row["status"], "failed");
        assert!(
            row["error"].starts_with("every trial failed, the first with: the loss became"),
            "{row:?}"
        );
    }
    assert!(
        ran.stderr.contains("failed: mmoe/1: every trial failed"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("failed: bottom/trial-"),
        "{}",
        ran.stderr
    );

    // What failed for a winner that is frozen is not tried again; what has none is.
    let again = run(&bench, "out", &[]).expect(1);
    let before_the_end = again
        .stderr
        .split("results are in")
        .next()
        .unwrap_or_default();
    assert!(!before_the_end.contains("bottom/trial"), "{before_the_end}");
    assert!(
        again
            .stderr
            .contains("mmoe/trial-1/11: failed before, trying again"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_frozen_winner_stays_unless_everything_is_fresh() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "out", &["--only", "bottom/*"]).expect(0);
    let before = bench.read("out/winners.toml");

    // Another search is another experiment.
    let other = ["--set", "tuning.trials=2", "--only", "bottom/*"];
    let said = run(&bench, "out", &other).expect(2).stderr;
    insta::assert_snapshot!(said, @r"
    error: out/winners.toml: the winner of `bottom` was chosen from other trials than this experiment has: the search, its seeds, the data or the numerics changed
    hint: keep it and give another folder with `--out DIR`, or tune again with `--fresh`
    ");
    assert_eq!(bench.read("out/winners.toml"), before);
    run(&bench, "out", &[&other[..], &["--fresh"]].concat()).expect(0);
    assert_ne!(bench.read("out/winners.toml"), before);

    // A winner that was not the best is none.
    let text = bench.read("out/winners.toml");
    let (trial, wrong) = match text.contains("trial = 1") {
        true => ("trial = 1", "trial = 2"),
        false => ("trial = 2", "trial = 1"),
    };
    let altered = text.replace(trial, wrong);
    bench.write("out/winners.toml", &altered);
    let said = run(&bench, "out", &other).expect(2).stderr;
    assert!(said.contains("altered since homebench wrote it"), "{said}");
    // Not even where its digests say that it was written so.
    let (above, _) = altered
        .split_once("# blake3 of the lines above: ")
        .expect("a digest");
    let digest = blake3::hash(above.as_bytes()).to_hex();
    bench.write(
        "out/winners.toml",
        &format!("{above}# blake3 of the lines above: {digest}\n"),
    );
    bench.unseal("out");
    let said = run(&bench, "out", &other).expect(2).stderr;
    assert!(
        said.contains("is not the first with the best score"),
        "{said}"
    );
    assert!(said.contains("hint: the file was altered"), "{said}");
}

#[test]
fn a_trial_that_was_killed_is_tried_again_before_a_winner_is_chosen() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "whole", &[]).expect(0);
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        "out",
        "--descriptions",
        &descriptions,
    ];
    let killed = bench
        .command(&arguments)
        .env("HOMEBENCH_FAULTS", "bottom/11=kill@3")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), Some(1));
    assert!(!bench.read("out/winners.toml").contains("\"bottom\""));
    run(&bench, "out", &[]).expect(0);
    assert_same(&bench, "out", "whole");
}

#[test]
fn a_lost_trial_is_tried_again_and_its_winner_stays() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "out", &[]).expect(0);
    run(&bench, "whole", &[]).expect(0);
    let trial = &table(&bench, "out/tuning.csv")[0]["cell"];
    std::fs::remove_dir_all(bench.path(&format!("out/cells/{trial}"))).unwrap();
    run(&bench, "out", &[]).expect(0);
    assert_same(&bench, "out", "whole");
}
