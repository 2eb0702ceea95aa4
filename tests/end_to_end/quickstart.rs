//! The first command of a newcomer, cut down, and what it leaves.

use crate::harness::{Bench, SMALL, experiment, repository};

const TABLES: [(&str, &str); 7] = [
    (
        "cells.csv",
        "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row,phase,trial,split_seed,tries,log",
    ),
    (
        "metrics.csv",
        "cell,variant,seed,split,task,metric,value,rows,positives",
    ),
    (
        "curves.csv",
        "cell,variant,seed,epoch,step,split,task,metric,value",
    ),
    (
        "experts.csv",
        "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value",
    ),
    (
        "gates.csv",
        "cell,variant,seed,epoch,step,layer,path,task,expert_path,expert,metric,value",
    ),
    (
        "expert_histograms.csv",
        "cell,variant,seed,epoch,step,layer,path,expert,low,high,count",
    ),
    (
        "throughput.csv",
        "cell,variant,seed,device,threads,train_rows,train_seconds,train_rows_per_second,evaluation_rows,evaluation_seconds,total_seconds,peak_memory_bytes,cpu_seconds,tries",
    ),
];

#[test]
fn the_quickstart_writes_every_file_and_a_second_run_changes_none() {
    let bench = Bench::new();
    let first = bench.quickstart("out", &[]).expect(0);
    assert!(
        first.stdout.contains("home"),
        "no table on stdout:\n{}",
        first.stdout
    );
    for (file, header) in TABLES {
        let text = bench.read(&format!("out/{file}"));
        assert_eq!(text.lines().next(), Some(header), "{file}");
        assert!(
            text.lines().count() > 9 || file == "cells.csv",
            "{file} has few rows"
        );
    }
    let cells = bench.rows("out/cells.csv");
    let order: Vec<String> = cells
        .iter()
        .map(|row| format!("{}/{}", &row[1], &row[4]))
        .collect();
    let expected = ["shared_bottom", "mmoe", "home"]
        .iter()
        .flat_map(|variant| (1..=3).map(move |seed| format!("{variant}/{seed}")));
    assert_eq!(order, expected.collect::<Vec<_>>());
    assert!(cells.iter().all(|row| &row[5] == "done"));
    for name in ["spec.resolved.toml", "provenance.toml", "report.md"] {
        assert!(
            bench.path(&format!("out/{name}")).is_file(),
            "{name} is missing"
        );
    }
    let figures = bench.files("out/figures", &[]);
    assert!(
        figures
            .iter()
            .any(|(path, _)| path.extension().is_some_and(|e| e == "svg"))
    );
    assert!(
        figures
            .iter()
            .any(|(path, _)| path.extension().is_some_and(|e| e == "png"))
    );
    for row in &cells {
        // With its folder, four inodes: quotas of shared file systems are of those.
        let files = bench.files(&format!("out/cells/{}", &row[0]), &[]);
        let names = files.iter().map(|(path, _)| path.to_str().expect("UTF-8"));
        let expected = ["outcome.toml", "throughput.csv", "weights.safetensors"];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    let before = bench.files("out", &[".lock"]);
    let second = bench.quickstart("out", &[]).expect(0);
    assert!(
        second.stderr.contains("9 of 9 cells are done already"),
        "{}",
        second.stderr
    );
    assert_eq!(before, bench.files("out", &[".lock"]));
}

#[test]
fn scores_are_of_both_splits_and_within_bounds() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "mmoe/1"]).expect(0);
    let metrics = bench.rows("out/metrics.csv");
    let splits: std::collections::BTreeSet<&str> = metrics.iter().map(|row| &row[3]).collect();
    assert_eq!(
        splits.into_iter().collect::<Vec<_>>(),
        ["test", "validation"]
    );
    for row in &metrics {
        let value: f64 = row[6].parse().expect("a number");
        assert!(
            value >= 0.0 && (value <= 1.0 || &row[5] != "auc"),
            "{row:?}"
        );
        let (rows, positives): (usize, usize) = (row[7].parse().unwrap(), row[8].parse().unwrap());
        assert!(positives <= rows && rows > 0, "{row:?}");
    }
}

#[test]
fn a_resolved_spec_gives_the_same_cells() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "home/1"]).expect(0);
    bench.quickstart("out", &["--only", "home/2"]).expect(0);
    let ids: Vec<String> = bench
        .rows("out/cells.csv")
        .iter()
        .map(|row| row[0].to_owned())
        .collect();
    assert_eq!(ids.len(), 2, "cells of earlier runs stay in the tables");
    let descriptions = experiment("datasets");
    let again = bench
        .run(&[
            "plan",
            "out/spec.resolved.toml",
            "--out",
            "out",
            "--only",
            "home/*",
            "--descriptions",
            &descriptions,
        ])
        .expect(0)
        .stdout;
    for id in &ids {
        let line = again.lines().find(|line| line.starts_with(id.as_str()));
        assert!(
            line.is_some_and(|line| line.ends_with("done")),
            "{id} is not done in:\n{again}"
        );
    }
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    let (counts, rows) = status.split_once('\n').expect("counts and rows");
    assert_eq!(counts, "9 cells: 2 done, 7 missing");
    assert_eq!(rows.matches(" done").count(), 2, "{status}");
    assert_eq!(rows.matches(" missing").count(), 7, "{status}");
}

#[test]
fn a_plan_shows_cells_and_writes_nothing() {
    let bench = Bench::new();
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let mut arguments = vec!["plan", &spec, "--descriptions", &descriptions];
    arguments.extend(SMALL);
    let plan = bench.run(&arguments).expect(0).stdout;
    assert_eq!(plan.lines().count(), 10, "{plan}");
    assert!(!bench.path("runs").exists());
}

#[test]
fn report_and_figures_read_a_finished_folder() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "*/1"]).expect(0);
    std::fs::remove_dir_all(bench.path("out/figures")).expect("figures are there");
    let drawn = bench.run(&["figures", "out"]).expect(0).stdout;
    assert!(drawn.lines().any(|line| line.ends_with(".svg")), "{drawn}");
    assert!(
        bench
            .run(&["report", "out"])
            .expect(0)
            .stdout
            .contains("mmoe")
    );
    let refused = bench.run(&["report", "nowhere"]).expect(2).stderr;
    assert!(refused.contains("nowhere: no such folder"), "{refused}");
}

#[test]
fn a_plan_knows_the_parameters_and_operations_that_training_finds() {
    let bench = Bench::new();
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    bench.quickstart("out", &["--only", "*/1"]).expect(0);
    let mut arguments = vec![
        "plan",
        &spec,
        "--out",
        "out",
        "--descriptions",
        &descriptions,
    ];
    arguments.extend(SMALL);
    let plan = bench.run(&arguments).expect(0).stdout;
    for row in bench.rows("out/cells.csv") {
        let line = plan
            .lines()
            .find(|line| line.starts_with(&row[0]))
            .expect("the cell is planned");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[4..6], [&row[10], &row[11]], "{line}");
    }
}

/// The best mean validation AUC of the curves is what was selected, and the scores are those of that evaluation.
#[test]
fn the_selected_weights_are_those_of_the_best_validation() {
    let bench = Bench::new();
    // A rate so large that the score goes up and down.
    let settings = [
        "--set",
        "training.max_epochs=6",
        "--set",
        "training.patience=6",
        "--set",
        "training.learning_rate=0.05",
    ];
    bench.quickstart("out", &settings).expect(0);
    let curves = bench.rows("out/curves.csv");
    let metrics = bench.rows("out/metrics.csv");
    let mut chosen_before_the_end = 0;
    for cell in bench.rows("out/cells.csv").iter() {
        let mut by_epoch = std::collections::BTreeMap::<usize, Vec<f64>>::new();
        for row in curves.iter() {
            if row[0] == cell[0] && &row[5] == "validation" && &row[7] == "auc" {
                let values = by_epoch.entry(row[3].parse().unwrap()).or_default();
                values.push(row[8].parse().unwrap());
            }
        }
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let best = by_epoch.values().map(mean).fold(f64::MIN, f64::max);
        let selected: usize = cell[7].parse().unwrap();
        assert_eq!(mean(&by_epoch[&selected]), best);
        assert_eq!(cell[9].parse::<f64>().unwrap(), best);
        let scores: Vec<f64> = metrics
            .iter()
            .filter(|row| row[0] == cell[0] && &row[3] == "validation" && &row[5] == "auc")
            .map(|row| row[6].parse().unwrap())
            .collect();
        assert_eq!(scores, by_epoch[&selected]);
        chosen_before_the_end += usize::from(selected < 6);
    }
    assert!(chosen_before_the_end > 0, "no cell had anything to choose");
}

#[test]
fn the_readme_shows_what_the_quickstart_prints() {
    let bench = Bench::new();
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let out = ["--out", "runs/quickstart", "--descriptions", &descriptions];
    let ran = bench.run(&[&["run", &spec], &out[..]].concat()).expect(0);
    let readme = repository().join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let [open, close] = ["", "/"].map(|mark| format!("<!-- {mark}output of quickstart -->"));
    let (before, rest) = text.split_once(&open).unwrap();
    let (shown, after) = rest.split_once(&close).unwrap();
    // The rest has the tasks one by one, and times.
    let (answer, _) = ran.stdout.split_once("  click (AUC)\n").unwrap();
    let printed = format!("\n```\n{}\n```\n", answer.trim_end());
    if std::env::var_os("HOMEBENCH_QUOTE").is_some() {
        std::fs::write(&readme, [before, &open, &printed, &close, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, printed, "`just quote` writes what it prints now");
}
