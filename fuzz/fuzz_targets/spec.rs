//! Any text as a spec: refused with a diagnostic, or an experiment.
#![no_main]

use homebench_experiment::spec;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The file is read from disk, since what it includes is found beside it.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("room for temporary files"));

fuzz_target!(|text: &str| {
    let path = FOLDER.path().join("fuzzed.toml");
    std::fs::write(&path, text).expect("a file of this process");
    if let Err(refusal) = spec::load(&path, &[]) {
        refusal.render();
    }
});
