//! Any text as a TOML file of an otherwise good results folder, with the digest that it should have or without: used, or refused. The
//! first byte chooses the file, and whether it has the digest.
#![no_main]

use homebench_results::read::Results;
use homebench_results::sample::Sample;
use homebench_results::{Facts, Ledger, Outcome, ResultsFolder, Winners, findings, with_digest};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

const FILES: [&str; 6] = [
    "provenance.toml",
    "winners.toml",
    "facts.toml",
    "spec.resolved.toml",
    ".drawn.toml",
    "cells/fuzzed/outcome.toml",
];

static SAMPLE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = Sample::sized(2, 2, 1).write();
    std::fs::create_dir_all(folder.path().join("cells/fuzzed")).expect("a new folder");
    folder
});

fn read(folder: &Path) {
    let results = ResultsFolder::new(folder);
    if let Ok(found) = findings(&results) {
        for finding in found {
            drop(finding.to_string());
        }
    }
    drop(Ledger::read(&results).map_err(|unusable| unusable.said.to_string()));
    drop(Winners::read(&results).map_err(|refusal| refusal.to_string()));
    drop(Facts::read(folder).map_err(|unusable| unusable.said.to_string()));
    let cell = results.cell("fuzzed");
    if let Ok(Some((outcome, parts))) = Outcome::read_with_parts(&cell) {
        drop(outcome.altered_file(&cell, &parts).map(str::to_owned));
    }
    if let Err(refusal) = Results::read(folder) {
        drop(format!("{refusal:#}"));
    }
}

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let path = SAMPLE
        .path()
        .join(FILES[usize::from(choice & 0x7F) % FILES.len()]);
    let before = std::fs::read(&path).ok();
    let text = match choice & 0x80 {
        0 => with_digest(text.to_owned()),
        _ => text.to_owned(),
    };
    std::fs::write(&path, text).expect("a file of this process");
    read(SAMPLE.path());
    match before {
        Some(bytes) => std::fs::write(&path, bytes).expect("a file of this process"),
        None => std::fs::remove_file(&path).expect("a file of this process"),
    }
});
