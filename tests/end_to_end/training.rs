//! Every training setting at once: taken, kept in the ids, written out, and the same bytes on a repeat.

use crate::harness::{Bench, experiment};

const SPEC: &str = r#"question = "Does every setting work?"
seeds = [1]

[dataset]
name = "synthetic"
rows = 3000

[training]
batch_size = 256
max_epochs = 2
learning_rate = 1e-2
optimizer = "sgd"
momentum = 0.9
weight_decay = 1e-4
gradient_clip_norm = 1.0
embedding_optimizer = "rowwise_adagrad"
embedding_l2 = 1e-3
embedding_dropout = 0.1

[training.schedule]
kind = "cosine"
warm_up_steps = 5

[training.task_weights]
long_view = 2.0

[training.positive_weights]
like = 3.0

[variants.sgd]
model = "mmoe"
num_experts = 2

[variants.adagrad]
model = "mmoe"
num_experts = 2
[variants.adagrad.training]
optimizer = "adagrad"
schedule = { kind = "step", every_steps = 10, factor = 0.5 }
task_weights = {}

[variants.adamw]
model = "single_task"
[variants.adamw.training]
optimizer = "adamw"
schedule = { kind = "warm_up", warm_up_steps = 3 }
"#;

fn run(bench: &Bench, spec: &str, out: &str, more: &[&str]) {
    let descriptions = experiment("datasets");
    let arguments = ["run", spec, "--out", out, "--descriptions", &descriptions];
    bench.run(&[&arguments, more].concat()).expect(0);
}

fn ids(bench: &Bench, out: &str) -> Vec<String> {
    let rows = bench.rows(&format!("{out}/cells.csv"));
    assert!(rows.iter().all(|row| &row[5] == "done"));
    rows.iter().map(|row| row[0].to_owned()).collect()
}

#[test]
fn every_setting_trains_the_same_at_any_number_of_threads_and_from_its_resolved_spec() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "spec.toml", "one", &["--threads", "1"]);
    run(
        &bench,
        "one/spec.resolved.toml",
        "again",
        &["--threads", "3"],
    );
    assert_eq!(ids(&bench, "one").len(), 3);
    for table in ["cells.csv", "metrics.csv", "curves.csv"] {
        let (one, again) = (
            bench.read(&format!("one/{table}")),
            bench.read(&format!("again/{table}")),
        );
        assert_eq!(one, again, "{table}");
    }
    for id in ids(&bench, "one") {
        let weights = |out: &str| {
            let path = bench.path(&format!("{out}/cells/{id}/weights.safetensors"));
            std::fs::read(path).expect("weights")
        };
        assert!(weights("one") == weights("again"), "weights of {id}");
    }
}

#[test]
fn every_setting_changes_the_id_and_the_numbers_and_a_default_written_out_changes_neither() {
    let bench = Bench::new();
    let plain = r#"question = "Which?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 1500
[training]
batch_size = 256
max_epochs = 1
[variants.a]
model = "shared_bottom"
"#;
    bench.write("spec.toml", plain);
    let with = |out: &str, settings: &[&str]| {
        let more: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        run(&bench, "spec.toml", out, &more);
        let loss = bench.rows(&format!("{out}/metrics.csv"))[1][6].to_owned();
        (ids(&bench, out).remove(0), loss)
    };
    let defaults = [
        "training.optimizer=\"adam\"",
        "training.embedding_optimizer=\"adam\"",
        "training.gradient_clip_norm=0.0",
        "training.momentum=0.0",
        "training.embedding_l2=-0.0",
        "training.embedding_dropout=0",
        "training.schedule={ kind = \"constant\" }",
        "training.task_weights={ like = 1.0 }",
        "training.positive_weights={}",
    ];
    let usual = with("plain", &[]);
    assert_eq!(with("defaults", &defaults), usual);

    let mut seen = vec![usual];
    let others: [&[&str]; 12] = [
        &["training.optimizer=\"adamw\"", "training.weight_decay=0.5"],
        &["training.optimizer=\"adagrad\""],
        &["training.optimizer=\"sgd\""],
        &["training.optimizer=\"sgd\"", "training.momentum=0.5"],
        &[
            "training.optimizer=\"adagrad\"",
            "training.gradient_clip_norm=0.01",
        ],
        &["training.embedding_optimizer=\"rowwise_adagrad\""],
        &["training.embedding_l2=1.0"],
        &["training.embedding_dropout=0.5"],
        &["training.schedule={ kind = \"warm_up\", warm_up_steps = 3 }"],
        &["training.schedule={ kind = \"cosine\" }"],
        &["training.task_weights={ like = 0.1 }"],
        &["training.positive_weights={ like = 5.0 }"],
    ];
    for (index, settings) in others.iter().enumerate() {
        let (id, loss) = with(&format!("out-{index}"), settings);
        for (other_id, other_loss) in &seen {
            assert_ne!(id, *other_id, "{settings:?}");
            assert_ne!(loss, *other_loss, "{settings:?}");
        }
        seen.push((id, loss));
    }
}

/// Runs the spec of all settings with cells that break on purpose.
#[cfg(target_os = "linux")]
fn run_broken(bench: &Bench, out: &str, faults: &str, retries: &str) -> crate::harness::Ran {
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        out,
        "--descriptions",
        &descriptions,
        "--set",
        "run.checkpoint_every_seconds=0",
        "--set",
        retries,
    ];
    let output = bench
        .command(&arguments)
        .env("HOMEBENCH_FAULTS", faults)
        .output()
        .expect("the binary starts");
    crate::harness::Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Gradient descent with momentum, Adagrad and AdamW with row-wise Adagrad on the tables, and Adam with Adam: a kill in
/// either epoch or at its edge changes no byte.
#[cfg(target_os = "linux")]
#[test]
fn every_optimiser_goes_on_from_its_checkpoint_to_the_same_bytes() {
    let bench = Bench::new();
    let adam = "\n[variants.adam]\nmodel = \"home\"\n[variants.adam.training]\noptimizer = \"adam\"\nweight_decay = 0.0\nembedding_optimizer = \"adam\"\nevaluations_per_epoch = 3\n";
    bench.write("spec.toml", &format!("{SPEC}{adam}"));
    run(&bench, "spec.toml", "undisturbed", &[]);
    for step in ["2", "11", "12", "17"] {
        let out = format!("killed-{step}");
        let faults = format!("*=kill@{step}:once");
        let ran = run_broken(&bench, &out, &faults, "run.retries=1").expect(0);
        assert_eq!(
            ran.stderr.matches("try 2 of 2").count(),
            4,
            "{}",
            ran.stderr
        );
        bench.assert_same_results(&out, "undisturbed");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_or_foreign_checkpoint_is_not_used_and_changes_no_byte() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    run(&bench, "spec.toml", "undisturbed", &[]);
    run_broken(&bench, "out", "*=kill@9", "run.retries=0").expect(1);
    let kept: Vec<std::path::PathBuf> = bench
        .rows("out/cells.csv")
        .iter()
        .map(|row| bench.path(&format!("out/cells/{}/checkpoint", &row[0])))
        .collect();
    let read = |index: usize| std::fs::read(&kept[index]).expect("a checkpoint");
    let (mut damaged, foreign) = (read(0), read(1));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&kept[0], damaged).expect("a checkpoint");
    std::fs::write(&kept[2], foreign).expect("a checkpoint");
    let ran = run_broken(&bench, "out", "", "run.retries=0").expect(0);
    let said = |text: &str| assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    said(
        "sgd/1: its checkpoint is not used, its content doesn't fit its digest; training from the beginning",
    );
    said("adamw/1: its checkpoint is not used, it is of another cell");
    assert!(
        !ran.stderr.contains("adagrad/1: its checkpoint"),
        "{}",
        ran.stderr
    );
    bench.assert_same_results("out", "undisturbed");
}
