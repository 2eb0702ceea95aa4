//! A small experiment, done in a second, and what tests do to its folder.

use crate::harness::{Bench, Ran, experiment};
use std::path::Path;

/// Two cells that take a second each.
pub(crate) const SPEC: &str = r#"question = "Which?"
seeds = [1, 2]
[dataset]
name = "synthetic"
rows = 400
[training]
batch_size = 128
max_epochs = 1
embedding_dim = 2
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"#;
pub(crate) const TUNED: &str = r#"
[tuning]
trials = 2
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
"#;

pub(crate) fn run(bench: &Bench, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let spec = [
        "run",
        "s.toml",
        "--out",
        "done",
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&spec[..], &["--threads", "1"], more].concat())
}

pub(crate) fn done(spec: &str) -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", spec);
    run(&bench, &[]).expect(0);
    bench
}

pub(crate) fn edit(bench: &Bench, name: &str, from: &str, to: &str) {
    let text = bench.read(name);
    assert!(text.contains(from), "{name} has no {from}: {text}");
    bench.write(name, &text.replacen(from, to, 1));
}

pub(crate) fn cells(bench: &Bench) -> Vec<String> {
    let rows = bench.rows("done/cells.csv");
    rows.iter().map(|row| row[0].to_owned()).collect()
}

/// A finished folder again, as it was.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let new = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &new),
            false => drop(std::fs::copy(&path, &new).expect("a file")),
        }
    }
}
