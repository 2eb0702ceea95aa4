//! Reports, their tables, and variants that other programs ran.

use crate::harness::{Bench, SMALL, experiment};

#[test]
fn a_report_takes_the_baseline_that_is_asked_for_and_gives_the_same_bytes_again() {
    let bench = Bench::new();
    bench.quickstart("out", &[]).expect(0);
    let before = bench.files("out", &[".lock"]);
    bench.run(&["report", "out"]).expect(0);
    assert_eq!(before, bench.files("out", &[".lock"]), "from the same CSV");
    let first = bench.report("out");
    assert!(first.contains("--baseline shared_bottom"), "{first}");
    assert!(!first.contains("## Author's conclusion"), "{first}");
    // Neither one that the spec names nor the author's answer is part of any cell.
    let tables = ["cells.csv", "metrics.csv"].map(|name| bench.read(&format!("out/{name}")));
    bench
        .quickstart(
            "out",
            &[
                "--set",
                "baseline=\"home\"",
                "--set",
                "outcome=\"`home`, by far.\\n\\nBut three seeds are few.\"",
            ],
        )
        .expect(0);
    let after = ["cells.csv", "metrics.csv"].map(|name| bench.read(&format!("out/{name}")));
    assert_eq!(tables, after);
    let spec = bench.read("out/spec.resolved.toml");
    assert!(spec.contains("baseline = \"home\"\n"), "{spec}");
    let named = bench.report("out");
    let (_, answered) = named
        .split_once("## Author's conclusion\n\n")
        .expect("an answer");
    let words = "`home`, by far.\n\nBut three seeds are few.\n\nThese are the words of the experiment's author";
    assert!(answered.starts_with(words), "{answered}");
    assert!(
        named.contains("Differences are test scores minus those of home"),
        "{named}"
    );
    bench
        .run(&["report", "out", "--baseline", "mmoe"])
        .expect(0);
    let report = bench.report("out");
    assert!(
        report.contains("Differences are test scores minus those of mmoe"),
        "{report}"
    );
    assert!(
        bench
            .read("out/tables/auc_differences.csv")
            .contains(",mmoe,3,")
    );
    let refused = bench
        .run(&["report", "out", "--baseline", "mmoee"])
        .expect(2)
        .stderr;
    insta::assert_snapshot!(refused, @r"
    error: --baseline mmoee: no variant of this folder; it has shared_bottom, mmoe, home
    hint: did you mean `mmoe`?
    ");
}

/// Another program can read the rows that cells read, and its scores are compared with theirs if it did.
#[test]
fn exported_rows_are_those_of_the_cells_and_external_scores_of_others_are_refused() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "*/1"]).expect(0);
    let descriptions = experiment("datasets");
    let rows = SMALL[1]
        .strip_prefix("dataset.rows=")
        .expect("a number of rows");
    let export = [
        "data",
        "export",
        "synthetic",
        "--rows",
        rows,
        "--out",
        "rows",
        "--descriptions",
        &descriptions,
    ];
    bench.run(&export).expect(0);
    let schema: toml::Table = toml::from_str(&bench.read("rows/schema.toml")).expect("TOML");
    let content = schema["content_hash"].as_str().expect("a hash");
    assert!(bench.read("out/provenance.toml").contains(content));
    let tasks = schema["tasks"].as_array().expect("a list");
    assert_eq!(tasks.len(), 4);
    for split in ["train", "validation", "test"] {
        assert!(bench.path(&format!("rows/{split}.arrow")).is_file());
    }

    std::fs::create_dir(bench.path("out/external")).expect("a folder");
    let origin = |content: &str| {
        format!(
            "about = \"Trees.\"\nprogram = \"p 1\"\ncommand = \"c\"\ndataset_content = \"{content}\"\ntrials = 3\n"
        )
    };
    let scores = bench.rows("out/metrics.csv");
    let own = scores
        .iter()
        .find(|row| &row[3] == "test" && &row[4] == "click");
    let counts = own
        .map(|row| format!("{},{}", &row[7], &row[8]))
        .expect("a score");
    bench.write(
        "out/external/trees.csv",
        &format!("variant,seed,split,task,metric,value,rows,positives\ntrees,1,test,click,auc,0.99,{counts}\n"),
    );
    bench.write("out/external/trees.toml", &origin(content));
    bench.run(&["report", "out"]).expect(0);
    let report = bench.report("out");
    assert!(report.contains("| trees (external) | 0.9900 |"), "{report}");
    assert!(
        report.contains("Tuned with 3 trials per task on validation."),
        "{report}"
    );
    bench.write("out/external/trees.toml", &origin("0123"));
    let refused = bench.run(&["report", "out"]).expect(2).stderr;
    assert!(
        refused.contains("made from a dataset with content 0123"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: make the external scores again"),
        "{refused}"
    );
}

#[test]
fn an_experiment_that_was_interrupted_is_reported_with_what_is_missing() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "*m*/1"]).expect(0);
    // As a kill before the tables were written leaves it.
    for table in ["cells.csv", "metrics.csv", "curves.csv", "throughput.csv"] {
        std::fs::remove_file(bench.path(&format!("out/{table}"))).expect("a table");
    }
    let ran = bench.run(&["report", "out"]).expect(1);
    let said = "Not the whole experiment: 6 of 9 cells have not ended: shared_bottom (seeds";
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(said), "{}", ran.stdout);
    let report = bench.report("out");
    assert!(report.contains("6 of 9 cells have not ended"), "{report}");
    assert!(report.contains("home (seeds 2, 3)"), "{report}");
    assert!(bench.read("out/report.html").contains("have not ended"));
    // The tables are the run's to write.
    assert!(!bench.path("out/metrics.csv").exists());
    // The same command goes on, and then it is whole.
    bench.quickstart("out", &[]).expect(0);
    assert!(!bench.report("out").contains("have not ended"));
    bench.run(&["report", "out"]).expect(0);
}

#[test]
fn some_of_the_cells_are_reported_beside_the_whole() {
    let bench = Bench::new();
    bench.quickstart("out", &["--only", "*/1"]).expect(0);
    let whole = bench.read("out/report.md");
    let ran = bench.run(&["report", "out", "--only", "h?me*"]).expect(0);
    assert!(
        ran.stdout.contains("Only cells that fit h?me* are"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.ends_with("report: out/only/h_me/report.html\n"),
        "{}",
        ran.stderr
    );
    let part = bench.read("out/only/h_me/report.md");
    assert!(!part.contains("mmoe") && part.contains("home"), "{part}");
    // Links lead to the folder's own tables.
    assert!(part.contains("](../../metrics.csv)"), "{part}");
    assert_eq!(bench.read("out/report.md"), whole);
    let refused = bench
        .run(&["report", "out", "--only", "hoem"])
        .expect(2)
        .stderr;
    insta::assert_snapshot!(refused, @r"
    error: --only hoem: no cell here is named so; expected a pattern of: shared_bottom/1, mmoe/1, home/1
    hint: did you mean `home`?
    ");
    let refused = bench.run(&["report", "uot"]).expect(2).stderr;
    insta::assert_snapshot!(refused, @r"
    error: uot: no such folder
    hint: did you mean `out`?
    ");
    bench
        .run(&["report", "out", "--out", "else/where"])
        .expect(0);
    assert!(
        bench
            .read("else/where/report.md")
            .contains("](../../out/metrics.csv)")
    );
}

#[test]
fn folders_are_compared_by_ranks_and_those_that_share_nothing_are_refused() {
    let bench = Bench::new();
    bench.quickstart("a", &["--only", "*/1"]).expect(0);
    bench
        .quickstart("b", &["--only", "*/1", "--set", "dataset.rows=2000"])
        .expect(0);
    std::fs::create_dir(bench.path("peers")).expect("a folder");
    let ran = bench
        .run(&["compare", "a", "b", "peers", "--out", "board"])
        .expect(0);
    assert!(
        ran.stdout.contains("3 variants over 2 datasets."),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr
            .contains("peers: no results folder with tables; passed over"),
        "{}",
        ran.stderr
    );
    for name in [
        "report.md",
        "report.html",
        "tables/ranks.tex",
        "figures/ranks.svg",
    ] {
        assert!(bench.path(&format!("board/{name}")).is_file(), "{name}");
    }
    bench.quickstart("c", &["--only", "mmoe/1"]).expect(0);
    bench.quickstart("d", &["--only", "home/1"]).expect(0);
    let refused = bench.run(&["compare", "c", "d"]).expect(2).stderr;
    assert!(refused.contains("c has mmoe; d has home"), "{refused}");
}
