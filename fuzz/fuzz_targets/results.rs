//! Any rows in a table of an otherwise good results folder: read, or refused with file, line and column. The first byte chooses the
//! table, and whether its header stays.
#![no_main]

use homebench_results::read::Results;
use homebench_results::sample::Sample;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The sample's tables, and what they hold.
static SAMPLE: LazyLock<(TempDir, Vec<(String, String)>)> = LazyLock::new(|| {
    let folder = Sample::sized(2, 2, 1).write();
    let files = std::fs::read_dir(folder.path()).expect("a folder of this process");
    let mut tables: Vec<(String, String)> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".csv"))
        .filter_map(|name| {
            Some((
                std::fs::read_to_string(folder.path().join(&name)).ok()?,
                name,
            ))
        })
        .map(|(text, name)| (name, text))
        .collect();
    tables.sort();
    (folder, tables)
});

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rows)) = bytes.split_first() else {
        return;
    };
    let (folder, tables) = &*SAMPLE;
    let (name, text) = &tables[usize::from(choice & 0x7F) % tables.len()];
    let header = text.lines().next().unwrap_or_default();
    let head = if choice & 0x80 == 0 {
        format!("{header}\n")
    } else {
        String::new()
    };
    let path = folder.path().join(name);
    std::fs::write(&path, [head.as_bytes(), rows].concat()).expect("a file of this process");
    if let Err(refusal) = Results::read(folder.path()) {
        drop(format!("{refusal:#}"));
    }
    std::fs::write(&path, text).expect("a file of this process");
});
