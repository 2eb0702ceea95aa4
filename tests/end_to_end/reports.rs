//! Reports, their tables, and variants that other programs ran.

use crate::harness::{Bench, SMALL, experiment};

#[test]
fn a_report_takes_the_baseline_that_is_asked_for_and_gives_the_same_bytes_again() {
    let bench = Bench::new();
    bench.quickstart("out", &[]).expect(0);
    let before = bench.files("out", &[".lock"]);
    bench.run(&["report", "out"]).expect(0);
    assert_eq!(before, bench.files("out", &[".lock"]), "from the same CSV");
    let first = bench.read("out/report.md");
    assert!(first.contains("--baseline shared_bottom"), "{first}");
    assert!(!first.contains("## Answered"), "{first}");
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
    let named = bench.read("out/report.md");
    let (_, answered) = named.split_once("## Answered\n\n").expect("an answer");
    let words = "`home`, by far.\n\nBut three seeds are few.\n\nThese are the words of the experiment's author";
    assert!(answered.starts_with(words), "{answered}");
    assert!(
        named.contains("Differences are test scores minus those of home"),
        "{named}"
    );
    bench
        .run(&["report", "out", "--baseline", "mmoe"])
        .expect(0);
    let report = bench.read("out/report.md");
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
    let report = bench.read("out/report.md");
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
