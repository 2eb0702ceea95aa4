//! Cells that learn from the features of others.

use crate::harness::{Bench, Ran, experiment};
use std::collections::{BTreeMap, BTreeSet};

/// Norms, so that a teacher in training mode would give other features, and a task with few labels.
const SPEC: &str = r#"question = "What do teachers change?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 600
[training]
batch_size = 128
max_epochs = 2
embedding_dim = 2
[defaults]
num_experts = 2
expert_dims = [4]
tower_dims = [3]
norm = "batch"
[variants.student]
model = "mmoe"
distill = { from = "single", weight = 0.5 }
[variants.exchanged]
model = "mmoe"
distill = { from = "single", weight = 0.5, teachers = { click = "follow", follow = "click" } }
[variants.plain]
model = "mmoe"
[variants.single]
model = "single_task"
expert_dims = [5]
"#;

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

fn done() -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    run(&bench, "done", &["--threads", "1"]).expect(0);
    bench
}

/// Ids of cells by `variant/seed`.
fn ids(bench: &Bench) -> BTreeMap<String, String> {
    let rows = bench.rows("done/cells.csv");
    let named = rows.iter();
    named
        .map(|row| (format!("{}/{}", &row[1], &row[4]), row[0].to_owned()))
        .collect()
}

/// Values of a metric of training, in the order of evaluations.
fn curve(bench: &Bench, id: &str, metric: &str) -> Vec<String> {
    let rows = bench.rows("done/curves.csv");
    let of_cell = rows
        .iter()
        .filter(|row| &row[0] == id && row.iter().any(|field| field == metric));
    of_cell
        .map(|row| row.iter().next_back().unwrap().to_owned())
        .collect()
}

fn paths(bench: &Bench, id: &str) -> BTreeSet<String> {
    let path = bench.path(&format!("done/cells/{id}/weights.safetensors"));
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    tensors.into_keys().collect()
}

#[test]
fn a_student_learns_from_its_teacher_and_is_served_without_what_that_took() {
    let bench = done();
    let ids = ids(&bench);
    let [student, exchanged, plain, single] = ["student", "exchanged", "plain", "single"]
        .map(|variant| ids[&format!("{variant}/1")].as_str());
    let distances = |id: &str| -> Vec<f64> {
        let values = curve(&bench, id, "distillation_loss");
        values.iter().map(|value| value.parse().unwrap()).collect()
    };
    let found = distances(student);
    assert_eq!(found.len(), 2, "an evaluation an epoch");
    // Two unit vectors are at most 4 apart, times the weight and four tasks; what is learned brings them together.
    assert!(found[0] < 8.0 && found[1] < found[0], "{found:?}");
    assert_ne!(found, distances(exchanged));
    assert!(distances(plain).is_empty());
    assert!(distances(single).is_empty());
    // The loss of the tasks stays by its own name, and labels are learned otherwise than without a teacher.
    assert_ne!(curve(&bench, student, "loss"), curve(&bench, plain, "loss"));
    assert_eq!(paths(&bench, student), paths(&bench, plain));
    let content: toml::Table = bench
        .part(&format!("done/cells/{student}"), "cell.toml")
        .parse()
        .unwrap();
    assert_eq!(content["distill"]["cell"].as_str(), Some(single));
    // The same size and cost as without a teacher.
    let rows = bench.rows("done/cells.csv");
    let header = bench.read("done/cells.csv");
    let header: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    let place = |column: &str| header.iter().position(|name| *name == column).unwrap();
    for column in ["parameters", "flops_per_row"] {
        let of = |variant: &str| {
            let row = rows.iter().find(|row| &row[1] == variant).unwrap();
            row[place(column)].to_owned()
        };
        assert_eq!(of("student"), of("plain"), "{column}");
    }
    let report = bench.report("done");
    let said = "student learns from the features of single (the same seed) with weight 0.5";
    assert!(report.contains(said), "{report}");
}

#[test]
fn threads_jobs_and_interruptions_change_no_byte() {
    let bench = done();
    run(&bench, "two", &["--jobs", "2"]).expect(0);
    bench.assert_same_results("two", "done");
    run(&bench, "threads", &["--threads", "2"]).expect(0);
    bench.assert_same_results("threads", "done");
    let every_step = ["--threads", "1", "--set", "run.checkpoint_every_seconds=0"];
    let descriptions = experiment("datasets");
    let killed = [
        "run",
        "s.toml",
        "--out",
        "killed",
        "--descriptions",
        &descriptions,
    ];
    let killed = [&killed[..], &every_step].concat();
    // The second in its second epoch, behind an evaluation, so that the sums of one are under way.
    for faults in ["student/1=kill@3:once", "student/1=kill@6"] {
        bench
            .run_with(("HOMEBENCH_FAULTS", faults), &killed)
            .expect(1);
    }
    bench.run(&killed).expect(0);
    bench.assert_same_results("killed", "done");
}

#[test]
fn ids_of_students_follow_their_teachers() {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    let descriptions = experiment("datasets");
    let ids = |change: &str| -> BTreeMap<String, String> {
        let arguments = [
            "plan",
            "s.toml",
            "--descriptions",
            &descriptions,
            "--set",
            change,
        ];
        let ran = bench.run(&arguments).expect(0);
        let lines = ran.stdout.lines().skip(1);
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        words
            .filter(|words| words.len() > 4)
            .map(|words| (format!("{}/{}", words[1], words[3]), words[0].to_owned()))
            .collect()
    };
    let before = ids("run.jobs=1");
    assert_eq!(before.len(), 4);
    for (change, touched) in [
        ("variants.single.tower_dims=[4]", "student exchanged single"),
        ("variants.student.distill.weight=1.0", "student"),
        (
            "variants.student.distill.adapter_learning_rate=0.2",
            "student",
        ),
        (
            "variants.student.distill.adapter_weight_decay=0.0",
            "student",
        ),
        (
            "variants.exchanged.distill.teachers={ click = \"like\" }",
            "exchanged",
        ),
        // A default that is written out is the same cell.
        ("variants.student.distill.adapter_learning_rate=0.1", ""),
    ] {
        let after = ids(change);
        for (label, id) in &before {
            let variant = label.split('/').next().unwrap();
            let is_touched = touched.split(' ').any(|one| one == variant);
            assert_eq!(after[label] != *id, is_touched, "{change}: {label}");
        }
    }
}
