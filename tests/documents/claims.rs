//! `CLAIMS.md` is what `results/claims.toml` says, with each folder's last run.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use toml::Table;

use crate::quotes::with_quotes;
use crate::{read, renews, root};

pub(crate) const DOCUMENT: &str = "CLAIMS.md";
const LIST: &str = "results/claims.toml";
const VERDICTS: [&str; 5] = ["yes", "in part", "no", "undecided", "not run"];

fn table(path: &str) -> Table {
    let table = toml::from_str(&read(Path::new(path)));
    table.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A value that is a text; a number of the list is a mistake of its author.
fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    let value = table.get(key)?;
    let text = value.as_str();
    Some(text.unwrap_or_else(|| panic!("{LIST}: `{key}` is no text: {value}")))
}

fn named<'a>(table: &'a Table, key: &str) -> &'a str {
    let found = text(table, key);
    found.unwrap_or_else(|| panic!("{LIST}: no `{key}` in {table}"))
}

fn tables<'a>(table: &'a Table, key: &str) -> Vec<&'a Table> {
    let rows = table.get(key).and_then(toml::Value::as_array);
    let rows = rows.unwrap_or_else(|| panic!("no [[{key}]] in {table}"));
    rows.iter().filter_map(toml::Value::as_table).collect()
}

/// Day, processor and commit of the run that made what a folder holds.
fn last_run(folder: &str) -> String {
    let provenance = table(&format!("results/{folder}/provenance.toml"));
    let runs = tables(&provenance, "runs");
    let run = runs.last().unwrap();
    let of = |part: &str, key: &str| run[part][key].as_str().unwrap().to_owned();
    let day = &run["ended"].as_str().unwrap()[..10];
    let processor = of("host", "cpu_model");
    let commit = of("source", "git_commit");
    let state = match run["source"]["git_dirty"].as_bool() {
        Some(true) => ", changed",
        _ => "",
    };
    format!("{day}, {processor}, `{}`{state}", &commit[..8])
}

fn row(claim: &Table) -> String {
    let verdict = named(claim, "verdict");
    assert!(VERDICTS.contains(&verdict), "{LIST}: verdict `{verdict}`");
    let run = match (text(claim, "folder"), text(claim, "run")) {
        (Some(folder), None) => last_run(folder),
        (None, Some(run)) => run.to_owned(),
        _ => panic!("{LIST}: one of `folder` and `run`, not both, in {claim}"),
    };
    let report =
        text(claim, "folder").map(|folder| format!(". [Report](results/{folder}/report.md)"));
    let disk = text(claim, "disk").map(|disk| format!(", {disk}"));
    format!(
        "| {} | **{verdict}** | {} | {}{} | {} | {}{} | {run} |",
        named(claim, "claim"),
        named(claim, "expected"),
        named(claim, "seen"),
        report.unwrap_or_default(),
        named(claim, "command"),
        named(claim, "time"),
        disk.unwrap_or_default(),
    )
}

fn document() -> String {
    let list = table(LIST);
    let mut out = format!("# Claims\n\n{}\n", named(&list, "about").trim());
    for section in tables(&list, "sections") {
        let title = named(section, "title");
        writeln!(out, "\n## {title}").unwrap();
        if let Some(about) = text(section, "about") {
            writeln!(out, "{}\n", about.trim()).unwrap();
        }
        let columns = "| claim | verdict | counts as yes | seen | command | takes | last run |";
        writeln!(
            out,
            "{columns}\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        .unwrap();
        for claim in tables(section, "claims") {
            writeln!(out, "{}", row(claim)).unwrap();
        }
    }
    with_quotes(&out)
        .unwrap_or_else(|error| panic!("{LIST}: {error}"))
        .0
}

#[test]
fn claims_are_those_of_the_list_with_the_last_runs_of_their_folders() {
    let document = document();
    if renews() {
        std::fs::write(root().join(DOCUMENT), document).unwrap();
        return;
    }
    let was = read(Path::new(DOCUMENT));
    let lines = was.lines().zip(document.lines()).enumerate();
    for (line, (was, now)) in lines {
        let hint = "`just claims` writes it from results/claims.toml";
        assert_eq!(was, now, "{DOCUMENT}, line {}: {hint}", line + 1);
    }
    assert_eq!(was.len(), document.len(), "{DOCUMENT}: lines at its end");
}

#[test]
fn every_folder_of_results_stands_in_a_claim() {
    let list = table(LIST);
    let claims = tables(&list, "sections").into_iter();
    let claims = claims.flat_map(|section| tables(section, "claims"));
    let stated: BTreeSet<String> = claims
        .filter_map(|claim| Some(text(claim, "folder")?.to_owned()))
        .collect();
    let folders = std::fs::read_dir(root().join("results")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    let reported: BTreeSet<String> = folders
        .filter(|folder| folder.join("report.md").exists())
        .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(stated, reported);
}
