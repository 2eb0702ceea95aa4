//! Keeps ARCHITECTURE.md true: which crate may use which, what must stay out of some, where proofs are made, and that every file it
//! names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the page's table of arrows: a crate, and those that it uses.
fn stated_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let names = |cell: &str| -> BTreeSet<String> {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let page = read("ARCHITECTURE.md");
    let rows = page.lines().skip_while(|line| *line != "## The crates");
    let cells = rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let name = names(cells.get(1)?).into_iter().next()?;
        Some((name, names(cells.get(2)?)))
    });
    cells.collect()
}

/// The crates of this workspace that each crate's manifest depends on, tests aside.
fn manifest_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let folders = std::fs::read_dir(root().join("crates")).unwrap();
    let arrows = folders.map(|folder| {
        let folder = folder.unwrap().file_name().into_string().unwrap();
        let manifest: toml::Table =
            toml::from_str(&read(&format!("crates/{folder}/Cargo.toml"))).unwrap();
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        let ours = used.into_iter().flatten().filter_map(|(name, _)| {
            let name = name.strip_prefix("homebench-")?;
            Some(name.to_owned())
        });
        (folder.clone(), ours.collect())
    });
    arrows.collect()
}

#[test]
fn crates_use_each_other_as_the_page_says_and_downwards_only() {
    let stated = stated_arrows();
    assert_eq!(stated, manifest_arrows());
    // A crate comes after those that use it, so no arrow runs back up.
    let order: Vec<String> = read("ARCHITECTURE.md")
        .lines()
        .skip_while(|line| *line != "## The crates")
        .filter_map(|row| Some(row.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .filter(|name| stated.contains_key(name))
        .collect();
    let place = |name: &String| order.iter().position(|other| other == name);
    for (name, used) in &stated {
        for other in used {
            assert!(place(name) < place(other), "{name} -> {other} runs up");
        }
    }
}

/// Every package that a crate links, tests and build scripts aside.
fn linked(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}", "--package", name])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    let packages = text.lines().filter_map(|line| line.split(' ').next());
    packages.map(str::to_owned).collect()
}

#[test]
fn reports_and_results_link_no_tensors_and_no_table_formats_and_data_no_tensors() {
    let heavy = [
        "candle-core",
        "candle-nn",
        "arrow",
        "arrow-array",
        "parquet",
    ];
    for name in ["report", "results", "metric", "diagnostic", "random"] {
        let linked = linked(&format!("homebench-{name}"));
        assert!(linked.contains(&format!("homebench-{name}")));
        for package in heavy {
            assert!(!linked.contains(package), "{name} links {package}");
        }
    }
    let data = linked("homebench-data");
    assert!(data.contains("parquet") && !data.contains("candle-core"));
}

/// Every package that these arguments of `cargo tree` select, with its features.
fn packages_with_features(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--format", "{p} with {f}"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains(" with "));
    lines
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .collect()
}

/// A package with other features is another one to cargo. So where tests turn on a feature of a package that others build on, `cargo run`
/// and `cargo test` each compile candle and arrow.
#[test]
fn the_program_has_the_features_that_tests_have() {
    let program = packages_with_features(&["--package", "homebench-runner", "--edges", "no-dev"]);
    let tests = packages_with_features(&["--workspace"]);
    let compiled_twice: Vec<&String> = program.difference(&tests).collect();
    assert!(compiled_twice.is_empty(), "{compiled_twice:#?}");
}

#[test]
fn committed_results_stay_small_enough_to_review() {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "results"])
        .output();
    let Ok(listed) = output.map(|output| String::from_utf8(output.stdout).unwrap()) else {
        return;
    };
    // Of a copy without its history nothing is known.
    assert!(!root().join(".git").exists() || listed.contains("metrics.csv"));
    let (mut bytes, mut pictures) = (0, BTreeMap::new());
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        bytes += root()
            .join(file)
            .metadata()
            .map_or(0, |metadata| metadata.len());
        if file.ends_with(".svg") {
            *pictures.entry(file.split('/').nth(1)).or_insert(0) += 1;
        }
    }
    assert!(bytes <= 12 << 20, "{bytes} bytes are tracked in results/");
    assert!(pictures.values().all(|count| *count <= 4), "{pictures:?}");
}

#[test]
fn the_binary_carries_every_committed_experiment_and_description() {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "experiments"])
        .output();
    let Ok(listed) = output.map(|output| String::from_utf8(output.stdout).unwrap()) else {
        return;
    };
    assert!(!root().join(".git").exists() || !listed.is_empty());
    let main = read("crates/runner/src/main.rs");
    for file in listed.lines() {
        let name = file.strip_prefix("experiments/").unwrap();
        assert!(
            main.contains(&format!("\"{name}\",")),
            "{name} is not in BUNDLE of crates/runner/src/main.rs"
        );
        // A copy by `homebench new --like` would look for it elsewhere.
        let includes = read(file).lines().any(|line| line.starts_with("include"));
        assert!(!includes, "{file} includes another file");
    }
}

/// Source files below a folder.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Files below `crates/` that have a text, from the root.
fn files_with(text: &str) -> Vec<String> {
    let mut files: Vec<String> = sources("crates")
        .into_iter()
        .filter(|path| std::fs::read_to_string(path).unwrap().contains(text))
        .map(|path| {
            let path = path.strip_prefix(root()).unwrap();
            path.to_string_lossy().into_owned()
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_key_to_the_test_split_is_made_in_one_place() {
    // Tests of the data open what they have made.
    let places = |text: &str| {
        let mut files = files_with(text);
        files.retain(|path| !path.starts_with("crates/data/src/tests/"));
        files
    };
    assert_eq!(
        places("FinalPhase::of_a_final_cell"),
        [
            "crates/data/src/seal.rs",
            "crates/experiment/src/spec/canonical.rs"
        ]
    );
    assert_eq!(
        places("FrozenSelection::freeze("),
        ["crates/train/src/session/scores.rs"]
    );
}

#[test]
fn every_crate_says_what_it_is_for_what_it_may_import_and_what_must_not_go_in() {
    for name in manifest_arrows().into_keys() {
        let text = read(&format!("crates/{name}/src/lib.rs"));
        let docs: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let docs = docs.join(" ");
        for part in ["May import", "Must not"] {
            assert!(
                docs.contains(part),
                "crates/{name}/src/lib.rs has no `{part}`"
            );
        }
    }
}

#[test]
fn every_file_that_the_pages_for_contributors_name_is_there() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "BIAS.md"] {
        let text = read(page);
        let named = text.split('`').skip(1).step_by(2);
        let files = named.filter(|name| {
            name.contains('/') && !name.contains([' ', '*', '<']) && !name.starts_with("runs/")
        });
        let mut count = 0;
        for file in files {
            assert!(
                root().join(file).exists(),
                "{page} names {file}, which isn't there"
            );
            count += 1;
        }
        assert!(count > 0, "{page} names no file");
    }
}

#[test]
fn only_one_place_writes_to_stdout_and_stderr() {
    // The macros panic where the other end of a pipe is closed or a disk is full, and would take a run's supervision with them.
    let macros = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];
    let mut folders = vec![root().join("crates")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_linked = !["tests", "examples", "benches", "on_host"].contains(&&*name);
            if path.is_dir() && is_linked {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "build.rs" && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(str::trim_start);
                let mut code = lines.filter(|line| !line.starts_with("//"));
                let prints = |line: &str| {
                    macros.iter().any(|name| {
                        let at = line.find(name);
                        // A longer name, such as `eprintln!` of `println!`, is found by itself.
                        at.is_some_and(|at| {
                            !line[..at]
                                .ends_with(|letter: char| letter == '_' || letter.is_alphanumeric())
                        })
                    })
                };
                if code.any(prints) {
                    found.push(path);
                }
            }
        }
    }
    assert_eq!(
        found,
        Vec::<PathBuf>::new(),
        "use `note!` and `write_answer` of crates/runner/src/output.rs"
    );
}
