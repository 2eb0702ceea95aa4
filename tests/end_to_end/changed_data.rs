//! A folder whose data changed, and one among whose data somebody put something: reports speak of what its cells learned from.

use crate::harness::{Bench, Ran};
use std::fmt::Write as _;

const DESCRIPTION: &str = include_str!("visits.toml");
const SPEC: &str = "question = \"Which?\"\nseeds = [1]\n[dataset]\nname = \"visits\"\n[training]\nbatch_size = 100\nmax_epochs = 1\n\
                    learning_rate = 1e-2\n[variants.a]\nmodel = \"logistic\"\n";

/// Puts so many rows in the dataset's place.
fn put_rows(bench: &Bench, num_rows: usize) {
    for folder in ["experiments/datasets", "files"] {
        std::fs::create_dir_all(bench.path(folder)).expect("a folder");
    }
    let mut text = "place,size,part,stays\n".to_owned();
    for row in 0..num_rows {
        let stays = u32::from(row % 3 == 0 || row % 7 == 1);
        writeln!(text, "p{},{},{row},{stays}", row % 11, row % 13).expect("a string");
    }
    bench.write("files/visits.csv", &text);
    bench.write("experiments/datasets/visits.toml", DESCRIPTION);
    bench.write("spec.toml", SPEC);
}

fn run(bench: &Bench, out: &str) -> Ran {
    bench.run(&["run", "spec.toml", "--set", "data.root=files", "--out", out])
}

/// What is kept of the data of the last run, by its folder's name, and the hash that it begins with.
fn last_content(bench: &Bench, out: &str) -> String {
    let provenance: toml::Table =
        toml::from_str(&bench.read(&format!("{out}/provenance.toml"))).expect("TOML");
    let runs = provenance["runs"].as_array().expect("runs");
    let dataset = &runs.last().expect("a run")["dataset"];
    dataset["content_hash"].as_str().expect("a hash").to_owned()
}

#[test]
fn after_the_data_changed_a_report_is_that_of_a_fresh_folder() {
    let bench = Bench::new();
    put_rows(&bench, 1000);
    run(&bench, "out").expect(0);
    let old = last_content(&bench, "out");
    put_rows(&bench, 1300);
    run(&bench, "out").expect(0);
    run(&bench, "fresh").expect(0);
    assert_ne!(last_content(&bench, "out"), old);
    for file in ["metrics.csv", "report.md"] {
        let of = |out: &str| bench.read(&format!("{out}/{file}"));
        assert_eq!(of("out"), of("fresh"), "{file}");
    }
    let said = bench.run(&["report", "out"]).expect(0).stderr;
    assert!(
        said.contains(&format!("data/{}: not of", &old[..16])),
        "{said}"
    );
    // Scores that another program made from the data of before are not of these cells.
    std::fs::create_dir(bench.path("out/external")).expect("a folder");
    bench.write(
        "out/external/trees.csv",
        "variant,seed,split,task,metric,value,rows,positives\ntrees,1,test,stays,auc,0.9,400,100\n",
    );
    bench.write(
        "out/external/trees.toml",
        &format!(
            "about = \"Trees.\"\nprogram = \"p 1\"\ncommand = \"c\"\ndataset_content = \"{old}\"\ntrials = 0\n"
        ),
    );
    let refused = bench.run(&["report", "out"]).expect(2).stderr;
    assert!(
        refused.contains(&format!("made from a dataset with content {old}")),
        "{refused}"
    );
}

#[test]
fn what_others_put_among_the_data_is_told_and_neither_reported_nor_sealed_nor_copied() {
    let bench = Bench::new();
    put_rows(&bench, 1000);
    run(&bench, "out").expect(0);
    let report = bench.read("out/report.md");
    let own = last_content(&bench, "out")[..16].to_owned();
    let foreign = "out/data/0123456789abcdef";
    std::fs::create_dir(bench.path(foreign)).expect("a folder");
    for file in ["data.toml", "description.toml"] {
        let text = bench.read(&format!("out/data/{own}/{file}"));
        bench.write(&format!("{foreign}/{file}"), &text);
    }
    std::fs::create_dir(bench.path("out/data/mine")).expect("a folder");
    bench.write("out/data/mine/data.toml", "junk\n");
    let status = bench.run(&["status", "out"]).expect(0).stdout;
    let told = ["0123456789abcdef", "mine"].map(|name| format!("data/{name}: not of this"));
    assert!(told.iter().all(|told| status.contains(told)), "{status}");
    let said = bench.run(&["report", "out"]).expect(0).stderr;
    assert!(told.iter().all(|told| said.contains(told)), "{said}");
    run(&bench, "out").expect(0);
    assert_eq!(bench.read("out/report.md"), report);
    let sealed = bench.read("out/provenance.toml");
    assert!(sealed.contains(&format!("data/{own}/data.toml")));
    assert!(!sealed.contains("data/mine") && !sealed.contains("data/0123456789abcdef"));
    bench.run(&["pack", "out", "--into", "small"]).expect(0);
    let copied = std::fs::read_dir(bench.path("small/data")).expect("a folder");
    assert_eq!(copied.count(), 1);
    // They are the user's.
    assert_eq!(bench.read("out/data/mine/data.toml"), "junk\n");
}
