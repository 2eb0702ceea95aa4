//! docs/tutorial.md, step by step: its files are written, its commands run, and what they print is what the page shows.

use std::process::Command;

use crate::harness::{Bench, repository};

const MARK: &str = "```console\n";

/// Writes the files of the page, each named by its first line.
fn write_files(bench: &Bench, page: &str) {
    for kind in ["```python\n# ", "```toml\n# "] {
        for block in page.split(kind).skip(1) {
            let (name, rest) = block.split_once('\n').unwrap();
            let (text, _) = rest.split_once("```\n").unwrap();
            bench.write(name, text);
        }
    }
}

/// What a command prints on stdout, up to the table that has times.
fn printed(bench: &Bench, command: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    let folder = bench.path("bin");
    let output = Command::new("bash")
        .args(["-c", command])
        .current_dir(bench.path(""))
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{said}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    match stdout.split_once("\nvariant ") {
        Some((answer, _)) => format!("{answer}\n...\n"),
        None => stdout,
    }
}

#[test]
fn the_tutorial_shows_what_its_commands_print() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("bin")).unwrap();
    let program = env!("CARGO_BIN_EXE_homebench-under-test");
    std::os::unix::fs::symlink(program, bench.path("bin/homebench")).unwrap();
    let document = repository().join("docs/tutorial.md");
    let page = std::fs::read_to_string(&document).unwrap();
    write_files(&bench, &page);

    let mut now = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once(MARK) {
        let (block, tail) = after.split_once("```\n").unwrap();
        now += before;
        now += MARK;
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            now += &format!("$ {command}\n{}", printed(&bench, command));
        }
        now += "```\n";
        rest = tail;
    }
    now += rest;
    if std::env::var_os("HOMEBENCH_QUOTE").is_some() {
        std::fs::write(&document, now).unwrap();
        return;
    }
    assert_eq!(page, now, "`just quote` writes what the commands print now");
}
