//! What tasks have in common, asked of finished cells: `relatedness` and `routing`.

use crate::harness::{Bench, experiment};
use std::collections::BTreeMap;

fn run(bench: &Bench, spec: &str, more: &[&str]) {
    bench.write("s.toml", spec);
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "s.toml",
        "--out",
        "done",
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&arguments[..], more].concat()).expect(0);
}

const PAIR: &str = r#"question = "What do two tasks want of a bottom?"
seeds = [1]
[dataset]
name = "two-task"
rows = 4000
[training]
batch_size = 100
max_epochs = 3
learning_rate = 1e-2
[defaults]
expert_dims = [16, 8]
tower_dims = []
[grid]
"dataset.correlation" = [0.0, 1.0]
[variants.bottom]
model = "shared_bottom"
[variants.single]
model = "single_task"
"#;

#[test]
fn tasks_that_agree_want_the_same_weights_and_strangers_don_t() {
    let bench = Bench::new();
    run(&bench, PAIR, &["--threads", "1"]);
    let descriptions = experiment("datasets");
    let rows = bench.rows("done/cells.csv");
    let cell = |variant: &str, correlation: &str| {
        let knob = format!("correlation={correlation}]");
        let row = rows
            .iter()
            .find(|row| &row[1] == variant && row.iter().any(|field| field.ends_with(&knob)));
        format!("done/cells/{}", &row.unwrap()[0])
    };
    let overlaps = |cell: &str, more: &[&str]| {
        let arguments = ["relatedness", cell, "--descriptions", &descriptions];
        bench.run(&[&arguments[..], more].concat()).expect(0)
    };
    let iou = |table: &str| -> BTreeMap<String, [f64; 2]> {
        let lines = table
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect::<Vec<_>>());
        lines
            .map(|fields| {
                let numbers = [fields[7], fields[8]].map(|number| number.parse().unwrap());
                (fields[0].to_owned(), numbers)
            })
            .collect()
    };
    let [strangers, twins] = ["0", "1"].map(|correlation| cell("bottom", correlation));
    let of_strangers = overlaps(&strangers, &[]);
    assert!(
        of_strangers.stderr.contains(
            "masks keep 0.3 of each task's weights; drawn at random, two of them come to 0.176"
        ),
        "{}",
        of_strangers.stderr
    );
    let of_twins = overlaps(&twins, &[]);
    let (apart, together) = (iou(&of_strangers.stdout), iou(&of_twins.stdout));
    let layers: Vec<&str> = apart.keys().map(String::as_str).collect();
    assert_eq!(
        layers,
        ["all", "shared.expert.0.weight", "shared.expert.1.weight"]
    );
    let all = |table: &BTreeMap<String, [f64; 2]>| table["all"][0];
    assert!(all(&together) > all(&apart) + 0.1, "{apart:?} {together:?}");
    // The same bytes again, at any number of threads, and in a file.
    let again = overlaps(&twins, &["--threads", "2", "--out", "masks.csv"]);
    assert_eq!(
        (again.stdout.as_str(), bench.read("masks.csv")),
        ("", of_twins.stdout)
    );
    // Networks of their own share nothing.
    let none = overlaps(&cell("single", "1"), &[]);
    assert_eq!(none.stdout.lines().count(), 1);
    assert!(
        none.stderr.contains("no two tasks share a layer"),
        "{}",
        none.stderr
    );
    let refused = [
        "relatedness",
        &twins,
        "--share",
        "1",
        "--descriptions",
        &descriptions,
    ];
    let said = bench.run(&refused).expect(2).stderr;
    assert!(
        said.contains("expected a number above 0 and below 1"),
        "{said}"
    );
    let said = bench.run(&["relatedness", "done"]).expect(2).stderr;
    assert!(said.contains("expected the folder of a cell"), "{said}");
}

const ARC: &str = r#"question = "Do gates follow the arc?"
seeds = [1, 2]
[dataset]
name = "task-arc"
rows = 2000
[training]
batch_size = 100
max_epochs = 2
[variants.mmoe]
model = "mmoe"
expert_dims = [8]
tower_dims = [4]
[variants.bottom]
model = "shared_bottom"
expert_dims = [8]
tower_dims = [4]
"#;

#[test]
fn routing_is_held_against_the_truth_where_there_is_one() {
    let bench = Bench::new();
    run(&bench, ARC, &[]);
    let ran = bench.run(&["routing", "done"]).expect(0);
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(
        lines[0].join(" "),
        "dataset variant seed tasks mean_similarity spearman mantel_p_value orders"
    );
    assert_eq!(
        lines.len(),
        3,
        "a shared bottom has no gates: {}",
        ran.stdout
    );
    for (line, seed) in lines[1..].iter().zip(["1", "2"]) {
        assert_eq!(
            [line[0], line[1], line[2], line[3], line[7]],
            ["task-arc", "mmoe", seed, "8", "40320"]
        );
        let [similarity, rho, p] = [4, 5, 6].map(|place| line[place].parse::<f64>().unwrap());
        assert!(similarity > 0.0 && similarity <= 1.0 + 1e-12, "{line:?}");
        assert!(rho.abs() <= 1.0 && p > 0.0 && p <= 1.0, "{line:?}");
    }
    assert!(
        ran.stderr.contains("task-arc, mmoe: rho "),
        "{}",
        ran.stderr
    );
    // It may stand beside the tables, and in the place of none.
    for out in ["done/gates.csv", "done/data/routing.csv"] {
        let said = bench.run(&["routing", "done", "--out", out]);
        let said = said.expect(2).stderr;
        assert!(said.contains("homebench itself writes there"), "{said}");
    }
    let out = ["routing", "done", "--out", "done/routing.csv"];
    bench.run(&out).expect(0);
    assert_eq!(bench.read("done/routing.csv"), ran.stdout);
    bench.run(&["status", "done"]).expect(0);
    let gates = bench.read("done/gates.csv");
    bench.write("done/gates.csv", &(gates.trim_end().to_owned() + "1\n"));
    let said = bench.run(&["routing", "done"]).expect(1).stderr;
    assert!(
        said.contains("gates.csv: altered since homebench wrote it"),
        "{said}"
    );
    bench.write("done/gates.csv", &gates);
    let other = ARC.replace("task-arc", "task-depths");
    run(&bench, &other, &["--fresh", "--set", "seeds=[1]"]);
    let said = bench.run(&["routing", "done"]).expect(2).stderr;
    assert!(
        said.contains("nothing is known of how the tasks of its data are related"),
        "{said}"
    );
}
