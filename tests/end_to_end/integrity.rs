//! Results folders that were changed, cut, or put together by hand: what homebench did not write it neither removes nor believes.

use crate::harness::{Bench, Ran, experiment};
use crate::process::{send, wait_for_cell, wait_until_gone};
use std::path::{Path, PathBuf};

/// Two cells that take a second each.
const SPEC: &str = r#"question = "Which?"
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
const TUNED: &str = r#"
[tuning]
trials = 2
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
"#;

fn run(bench: &Bench, more: &[&str]) -> Ran {
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

fn done(spec: &str) -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", spec);
    run(&bench, &[]).expect(0);
    bench
}

fn edit(bench: &Bench, name: &str, from: &str, to: &str) {
    let text = bench.read(name);
    assert!(text.contains(from), "{name} has no {from}: {text}");
    bench.write(name, &text.replacen(from, to, 1));
}

fn cells(bench: &Bench) -> Vec<String> {
    let rows = bench.rows("done/cells.csv");
    rows.iter().map(|row| row[0].to_owned()).collect()
}

/// A finished folder again, as it was.
fn copy(from: &Path, to: &Path) {
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

/// Every command that reads a folder looks, names the file and exits with 1; what can be written writes it into the report.
#[test]
fn whatever_is_changed_is_named_by_every_command() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    let [whole, folder] = ["whole", "done"].map(|name| bench.path(name));
    std::fs::create_dir(bench.path("done/external")).expect("a folder");
    let rows = bench.rows("done/metrics.csv");
    let own = rows
        .iter()
        .find(|row| &row[3] == "test" && &row[4] == "click");
    let counts = own
        .map(|row| format!("{},{}", &row[7], &row[8]))
        .expect("a score");
    let scores = format!(
        "variant,seed,split,task,metric,value,rows,positives\ntrees,1,test,click,auc,0.99,{counts}\n"
    );
    bench.write("done/external/trees.csv", &scores);
    let provenance: toml::Table =
        toml::from_str(&bench.read("done/provenance.toml")).expect("TOML");
    let content = provenance["runs"][0]["dataset"]["content_hash"].clone();
    bench.write(
        "done/external/trees.toml",
        &format!("about = \"Trees.\"\nprogram = \"p\"\ncommand = \"c\"\ndataset_content = {content}\ntrials = 0\n"),
    );
    bench.run(&["report", "done"]).expect(0);
    bench.run(&["status", "done"]).expect(0);
    copy(&folder, &whole);
    let last = cells(&bench).pop().expect("a cell");
    let outcome = format!("cells/{last}/outcome.toml");
    type Change<'a> = &'a dyn Fn(&str);
    let changes: [(&str, Change<'_>); 9] = [
        ("metrics.csv", &|name| edit(&bench, name, ",0.", ",0.9")),
        ("curves.csv", &|name| {
            std::fs::remove_file(bench.path(name)).unwrap()
        }),
        ("settings.csv", &|name| {
            bench.write(name, "cell,variant,setting,value\n")
        }),
        (&outcome, &|name| {
            edit(
                &bench,
                name,
                "validation_score = 0.",
                "validation_score = 0.9",
            )
        }),
        (&outcome, &|name| {
            edit(&bench, name, "status = \"done\"", "status = \"failed\"")
        }),
        ("spec.resolved.toml", &|name| {
            edit(&bench, name, "Which?", "Who?")
        }),
        ("facts.toml", &|name| {
            edit(&bench, name, "equation = \"", "equation = \"x")
        }),
        ("external/trees.csv", &|name| {
            edit(&bench, name, "0.99", "0.98")
        }),
        ("winners.toml", &|name| {
            std::fs::remove_file(bench.path(name)).unwrap()
        }),
    ];
    for (name, change) in changes {
        change(&format!("done/{name}"));
        let status = bench.run(&["status", "done"]).expect(1).stdout;
        assert!(status.contains(&format!("\n{name}: ")), "{name}: {status}");
        for command in [
            &["report", "done"][..],
            &["figures", "done"],
            &["diff", "done", "whole"],
            &["pack", "done", "--into", "small"],
        ] {
            let said = bench.run(command).expect(1).stderr;
            let expected = format!("warning: done/{name}: ");
            assert!(said.contains(&expected), "{command:?}, {name}: {said}");
            assert!(said.contains("hint: "), "{said}");
        }
        assert!(!bench.path("small").exists());
        let report = bench.read("done/report.md");
        let start: String = report.lines().take(5).collect();
        assert!(start.contains("not as homebench wrote it"), "{start}");
        assert!(
            report.contains(&format!("- {}: ", name.replace('_', "\\_"))),
            "{report}"
        );
        assert!(
            bench
                .read("done/report.html")
                .contains("not as homebench wrote it")
        );
        std::fs::remove_dir_all(&folder).expect("a folder");
        copy(&whole, &folder);
    }
    bench.run(&["status", "done"]).expect(0);
    // A change that is meant is taken when that is said.
    edit(&bench, "done/external/trees.csv", "0.99", "0.98");
    let said = run(&bench, &[]).expect(1).stderr;
    assert!(said.contains("external/trees.csv: altered"), "{said}");
    bench
        .run(&["report", "done", "--accept-external"])
        .expect(0);
    bench.run(&["pack", "done", "--into", "small"]).expect(0);
    bench.run(&["report", "small"]).expect(0);
}

/// Runs go on from cells that can be relied on, and from nothing else.
#[test]
fn a_run_trains_again_what_was_changed_and_says_so() {
    let bench = done(SPEC);
    let metrics = bench.read("done/metrics.csv");
    let table = bench.read("done/cells.csv");
    let ids = cells(&bench);
    let [one, two] = [0, 1].map(|place| format!("done/cells/{}/outcome.toml", ids[place]));
    let swap = || {
        let (first, second) = (bench.read(&one), bench.read(&two));
        bench.write(&one, &second);
        bench.write(&two, &first);
    };
    let times = format!("done/cells/{}/throughput.csv", ids[0]);
    let description = format!("done/cells/{}/cell.toml", ids[0]);
    let changes: [(&str, &dyn Fn()); 6] = [
        ("outcome.toml: altered", &|| {
            edit(
                &bench,
                &one,
                "validation_score = 0.",
                "validation_score = 0.9",
            )
        }),
        ("outcome.toml: damaged", &swap),
        ("outcome.toml: damaged", &|| bench.write(&one, "")),
        ("outcome.toml: gone", &|| {
            std::fs::remove_file(bench.path(&one)).unwrap()
        }),
        ("throughput.csv: altered", &|| {
            edit(&bench, &times, ",cpu,", ",gpu,")
        }),
        ("cell.toml: altered", &|| {
            edit(&bench, &description, "seed = 1", "seed = 3")
        }),
    ];
    for (expected, change) in changes {
        change();
        bench.run(&["status", "done"]).expect(1);
        let said = run(&bench, &[]).expect(0).stderr;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("mmoe/1: started"), "{expected}: {said}");
        assert_eq!(bench.read("done/metrics.csv"), metrics);
        assert_eq!(bench.read("done/cells.csv"), table);
        bench.run(&["status", "done"]).expect(0);
    }
    // Nothing that could not be read is lost.
    assert!(bench.path(&format!("{one}.damaged")).is_file());
}

/// Absent, damaged and newer are three things, and nothing is written over.
#[test]
fn a_provenance_that_is_lost_is_never_replaced_unasked() {
    let bench = done(SPEC);
    let whole = bench.read("done/provenance.toml");
    let damaged = whole.replacen("[[runs]]", "[[runs]", 1);
    let altered = whole.replacen("jobs = 1", "jobs = 2", 1);
    let newer = whole.replacen("format = 2", "format = 3", 1);
    for text in [&damaged, &altered, &newer, ""] {
        bench.write("done/provenance.toml", text);
        for command in ["status", "report", "figures"] {
            let ran = bench.run(&[command, "done"]);
            assert_ne!(ran.code, Some(0), "{command}");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains("provenance.toml: "), "{command}: {said}");
        }
        run(&bench, &[]).expect(2);
        assert_eq!(&bench.read("done/provenance.toml"), text);
    }
    bench.write("done/provenance.toml", &newer);
    let said = run(&bench, &["--fresh"]).expect(2).stderr;
    insta::assert_snapshot!(said, @"
    error: done/provenance.toml: written by a newer homebench, format 3; this one reads up to 2
    hint: use the homebench that wrote it, or a newer one; to start anew beside it, give another folder with `--out DIR`
    ");
    assert_eq!(bench.read("done/provenance.toml"), newer);
    std::fs::remove_file(bench.path("done/provenance.toml")).expect("a file");
    let said = run(&bench, &[]).expect(2).stderr;
    insta::assert_snapshot!(said, @"
    error: done/provenance.toml: gone
    hint: restore it, or run the experiment again with `--fresh`
    ");
    bench.write("done/provenance.toml", &damaged);
    run(&bench, &["--fresh"]).expect(0);
    assert_eq!(bench.read("done/provenance.toml.damaged"), damaged);
    bench.run(&["status", "done"]).expect(0);
}

#[test]
fn files_of_a_newer_homebench_are_refused_and_stay_as_they_are() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    let id = cells(&bench).pop().expect("a cell");
    let names = ["outcome.toml", "cell.toml"].map(|name| format!("done/cells/{id}/{name}"));
    let names = names.into_iter().chain(
        ["winners.toml", "facts.toml", "provenance.toml"].map(|name| format!("done/{name}")),
    );
    for name in names {
        let whole = bench.read(&name);
        for first in ["schema = 3\n", "format = 3\n"] {
            let newer = format!("{first}{}", whole.replacen("format = 2\n", "", 1));
            bench.write(&name, &newer);
            for fresh in [&[][..], &["--fresh"]] {
                let said = run(&bench, fresh).expect(2).stderr;
                assert!(
                    said.contains("written by a newer homebench"),
                    "{name}: {said}"
                );
            }
            for command in ["status", "report", "figures"] {
                let said = bench.run(&[command, "done"]).expect(2).stderr;
                assert!(
                    said.contains("written by a newer homebench"),
                    "{name}: {said}"
                );
            }
            assert_eq!(bench.read(&name), newer);
        }
        bench.write(&name, &whole);
    }
    bench.run(&["status", "done"]).expect(0);
}

#[test]
fn done_cells_without_tables_are_not_merged() {
    let bench = done(SPEC);
    for name in ["cells.csv", "metrics.csv", "curves.csv", "throughput.csv"] {
        std::fs::remove_file(bench.path(&format!("done/{name}"))).expect("a file");
    }
    bench.unseal("done");
    let status = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(status.contains("cells.csv: not merged"), "{status}");
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
}

/// A folder belongs to a spec from its first cell on.
#[test]
fn another_spec_is_refused_before_anything_is_replaced() {
    let bench = done(SPEC);
    // As of a run that was killed before it merged.
    for name in ["cells.csv", "metrics.csv", "report.md"] {
        std::fs::remove_file(bench.path(&format!("done/{name}"))).expect("a file");
    }
    let before = bench.files("done", &[".lock"]);
    let other = ["--set", "training.learning_rate=0.01"];
    let said = run(&bench, &other).expect(2).stderr;
    assert!(
        said.contains("2 finished cells that this experiment does not have"),
        "{said}"
    );
    assert!(
        said.contains("`--out DIR`, or replace them with `--fresh`"),
        "{said}"
    );
    assert_eq!(bench.files("done", &[".lock"]), before);
    // Cells that were started count too.
    for entry in std::fs::read_dir(bench.path("done/cells")).expect("cells") {
        std::fs::remove_file(entry.expect("a cell").path().join("outcome.toml")).expect("a file");
    }
    let said = run(&bench, &other).expect(2).stderr;
    assert!(said.contains("2 cells, 0 of them finished,"), "{said}");
    // More seeds and variants are the same experiment.
    run(&bench, &["--set", "seeds=[1,2,3]"]).expect(0);
    run(&bench, &[&other[..], &["--fresh"]].concat()).expect(0);
    // What `--fresh` replaced holds nobody up.
    run(&bench, &[&other[..], &["--set", "seeds=[1,2,3]"]].concat()).expect(0);
}

#[test]
fn nothing_of_others_is_removed_or_written_through_links() {
    let bench = done(SPEC);
    let elsewhere = bench.path("elsewhere");
    std::fs::create_dir_all(elsewhere.join("notes")).expect("a folder");
    bench.write("elsewhere/notes/auc.md", "mine");
    bench.write("elsewhere/precious", "mine");
    bench.write("done/tables/notes.md", "mine");
    std::fs::create_dir(bench.path("done/tables/notes")).expect("a folder");
    bench.write("done/tables/notes/auc.md", "mine");
    bench.run(&["report", "done"]).expect(0);
    run(&bench, &[]).expect(0);
    let link =
        |to: PathBuf, name: &str| std::os::unix::fs::symlink(to, bench.path(name)).expect("a link");
    for folder in ["done/tables", "done/figures"] {
        std::fs::rename(bench.path(folder), bench.path("aside")).expect("a folder");
        link(elsewhere.clone(), folder);
        let command = if folder.ends_with("tables") {
            "report"
        } else {
            "figures"
        };
        let said = bench.run(&[command, "done"]).expect(2).stderr;
        assert!(said.contains("it is a link"), "{said}");
        std::fs::remove_file(bench.path(folder)).expect("a link");
        std::fs::rename(bench.path("aside"), bench.path(folder)).expect("a folder");
    }
    // A report that was changed by hand is kept.
    bench.write("done/report.md", "mine");
    let said = bench.run(&["report", "done"]).expect(0).stderr;
    assert!(said.contains("kept as done/report.md.kept"), "{said}");
    for name in ["report.md.kept", "tables/notes.md", "tables/notes/auc.md"] {
        assert_eq!(bench.read(&format!("done/{name}")), "mine");
    }
    let id = cells(&bench).pop().expect("a cell");
    for name in [".lock".to_owned(), format!("cells/{id}/log.txt")] {
        let name = format!("done/{name}");
        std::fs::remove_file(bench.path(&name)).expect("a file");
        link(elsewhere.join("precious"), &name);
        run(&bench, &["--fresh"]).expect(2);
        std::fs::remove_file(bench.path(&name)).expect("a link");
    }
    assert_eq!(bench.files("elsewhere", &[]).len(), 2);
    assert_eq!(bench.read("elsewhere/precious"), "mine");
}

#[test]
fn two_reports_at_once_wait_for_each_other() {
    let bench = done(SPEC);
    for _ in 0..4 {
        let both = ["report", "figures", "report"].map(|command| {
            let mut command = bench.command(&[command, "done"]);
            command
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("the binary starts")
        });
        for mut child in both {
            assert!(child.wait().expect("its end").success());
        }
    }
    let is_left =
        |(path, _): &(PathBuf, Vec<u8>)| path.extension().is_some_and(|ending| ending == "part");
    assert!(!bench.files("done", &[]).iter().any(is_left));
}

#[test]
fn special_files_and_names_that_steer_a_terminal_do_no_harm() {
    let bench = done(SPEC);
    let id = cells(&bench).pop().expect("a cell");
    let outcome = format!("done/cells/{id}/outcome.toml");
    edit(
        &bench,
        &outcome,
        "[files]\n",
        "[files]\n\"/dev/zero\" = \"aa\"\n",
    );
    let said = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(said.contains("outcome.toml: altered"), "{said}");
    run(&bench, &[]).expect(0);
    edit(
        &bench,
        &outcome,
        "status = ",
        "\"\\u001b[2J\" = 1\nstatus = ",
    );
    let said = bench.run(&["status", "done"]).expect(2).stderr;
    assert!(
        said.contains("\\u{1b}[2J") && !said.contains('\u{1b}'),
        "{said}"
    );
    for name in ["provenance.toml", "metrics.csv"] {
        let path = bench.path(&format!("done/{name}"));
        std::fs::remove_file(&path).expect("a file");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
    }
    assert_ne!(bench.run(&["status", "done"]).code, Some(0));
}

/// The commit is that of the sources when they were compiled, whatever git is told when the program runs.
#[test]
fn provenance_and_tables_do_not_depend_on_the_environment() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    // A cell that fails in candle, whose errors may carry a backtrace.
    bench.write("s.toml", &SPEC.replace("seeds = [1, 2]", "seeds = [1]"));
    let descriptions = experiment("datasets");
    let out = OsStr::from_bytes(b"no\xff");
    let output = bench
        .command(&["run", "s.toml", "--descriptions", &descriptions, "--out"])
        .arg(out)
        .env("GIT_DIR", "/nowhere")
        .env("PATH", "/nowhere")
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let path = bench.path("").join(out).join("provenance.toml");
    let text = std::fs::read_to_string(path).expect("a file");
    assert!(
        text.contains("no\\\\xff") || text.contains("'no\\xff'"),
        "{text}"
    );
    assert!(text.contains("source_blake3 = "), "{text}");
}

/// The command that an interrupted run prints goes on with what is there, also where a finished experiment had been extended.
#[test]
fn an_extended_experiment_that_was_interrupted_goes_on() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    let descriptions = experiment("datasets");
    let extended = SPEC.replace("seeds = [1, 2]", "seeds = [1, 2, 3]");
    bench.write("s.toml", &format!("{extended}{TUNED}"));
    let words = [
        "run",
        "s.toml",
        "--out",
        "done",
        "--descriptions",
        &descriptions,
    ];
    let mut parent = bench
        .command(&words)
        .env("HOMEBENCH_FAULTS", "mmoe/3=hang")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let cell = wait_for_cell(parent.id());
    for _ in 0..2 {
        assert!(send("TERM", parent.id()));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(parent.wait().expect("its end").code(), Some(130));
    wait_until_gone(cell);
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
    let left = bench.files("done", &[]);
    let is_aside = |(path, _): &(PathBuf, Vec<u8>)| path.to_string_lossy().contains(".damaged");
    assert!(!left.iter().any(is_aside));
}

/// Seals hold files of the folder alone, whatever a provenance from elsewhere says.
#[test]
fn a_seal_of_a_file_outside_the_folder_is_no_seal() {
    let bench = done(SPEC);
    let whole = bench.read("done/provenance.toml");
    bench.write("precious", "mine");
    let precious = bench.path("precious").display().to_string();
    let id = cells(&bench).pop().expect("a cell");
    for name in [
        precious.as_str(),
        "cells/../../precious",
        "../precious",
        "cells.csv",
    ] {
        // With the digest that it should have, and as of the first format, which had none.
        let with_key = whole.replace(
            "[files_blake3]\n",
            &format!("[files_blake3]\n\"{name}\" = \"00\"\n"),
        );
        let (above, _) = with_key.split_once("# blake3 of").expect("a digest");
        let digest = blake3::hash(above.as_bytes()).to_hex();
        for text in [
            format!("{above}# blake3 of the lines above: {digest}\n"),
            above.replace("format = 2\n", ""),
        ] {
            bench.write("done/provenance.toml", &text);
            let said = bench.run(&["status", "done"]).expect(1).stdout;
            assert!(said.contains("is no file that is sealed"), "{name}: {said}");
            run(&bench, &[]).expect(2);
            assert_eq!(bench.read("precious"), "mine");
        }
    }
    bench.write("done/provenance.toml", &whole);
    // A cell's own tables are looked at by whoever reads those of the folder.
    let part = format!("done/cells/{id}/metrics.csv");
    edit(&bench, &part, ",0.", ",0.9");
    for command in ["status", "report", "figures"] {
        let ran = bench.run(&[command, "done"]).expect(1);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains(&format!("cells/{id}/metrics.csv: altered")),
            "{said}"
        );
    }
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
}

#[test]
fn status_names_a_spec_or_winners_that_were_altered() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    for name in ["done/winners.toml", "done/spec.resolved.toml"] {
        let whole = bench.read(name);
        for text in [format!("{whole}x\n"), String::new(), "[".to_owned()] {
            bench.write(name, &text);
            let status = bench.run(&["status", "done"]).expect(1).stdout;
            assert!(status.contains(&name["done/".len()..]), "{status}");
        }
        bench.write(name, &whole);
    }
    bench.run(&["status", "done"]).expect(0);
}

/// A spec is copied by people; what stands beside it is theirs.
#[test]
fn a_folder_with_nothing_of_homebench_but_a_spec_is_somebody_elses() {
    let bench = done(SPEC);
    std::fs::create_dir(bench.path("notes")).expect("a folder");
    std::fs::copy(
        bench.path("done/spec.resolved.toml"),
        bench.path("notes/spec.resolved.toml"),
    )
    .expect("a copy");
    bench.write("notes/report.md", "mine");
    let descriptions = experiment("datasets");
    let words = [
        "run",
        "s.toml",
        "--out",
        "notes",
        "--descriptions",
        &descriptions,
    ];
    for fresh in [&[][..], &["--fresh"]] {
        let said = bench.run(&[&words[..], fresh].concat()).expect(2).stderr;
        assert!(said.contains("holds no results of homebench"), "{said}");
    }
    assert_eq!(bench.read("notes/report.md"), "mine");
}

/// Without a list of what was drawn, nobody knows whose a report is; and a folder in a table's place is moved, not written over.
#[test]
fn what_stands_in_the_place_of_a_report_or_a_table_is_kept() {
    let bench = done(SPEC);
    std::fs::remove_file(bench.path("done/.drawn.toml")).expect("a list");
    bench.write("done/report.md", "mine");
    bench.write("done/figures/throughput.svg", "mine");
    bench.run(&["report", "done"]).expect(0);
    bench.run(&["figures", "done"]).expect(0);
    bench.write("done/figures/throughput.png", "mine");
    bench.run(&["figures", "done"]).expect(0);
    for name in [
        "report.md",
        "figures/throughput.svg",
        "figures/throughput.png",
    ] {
        assert_eq!(bench.read(&format!("done/{name}.kept")), "mine");
    }
    std::fs::remove_file(bench.path("done/metrics.csv")).expect("a table");
    std::fs::create_dir(bench.path("done/metrics.csv")).expect("a folder");
    bench.write("done/metrics.csv/notes", "mine");
    let said = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(
        said.contains("metrics.csv: damaged, it is a folder and not a file"),
        "{said}"
    );
    run(&bench, &[]).expect(0);
    assert_eq!(bench.read("done/metrics.csv.damaged/notes"), "mine");
    bench.run(&["status", "done"]).expect(0);
}

/// What other programs read is written whole, into places where nothing is.
#[test]
fn an_export_replaces_nothing() {
    let bench = done(SPEC);
    let descriptions = experiment("datasets");
    let words = [
        "data",
        "export",
        "synthetic",
        "--rows",
        "400",
        "--out",
        "rows",
        "--descriptions",
        &descriptions,
    ];
    std::fs::create_dir(bench.path("rows")).expect("a folder");
    bench.write("rows/train.arrow", "mine");
    let said = bench.run(&words).expect(2).stderr;
    assert!(
        said.contains("rows/train.arrow: there is something already"),
        "{said}"
    );
    assert_eq!(bench.read("rows/train.arrow"), "mine");
    std::fs::remove_file(bench.path("rows/train.arrow")).expect("a file");
    bench.run(&words).expect(0);
}

/// Cells on data of before lie beside those of today, which are the ones in the tables.
#[test]
fn status_takes_the_cells_of_the_tables_for_the_current_ones() {
    let bench = Bench::new();
    bench.write(
        "s.toml",
        &SPEC.replace("\"synthetic\"\nrows = 400", "\"shop\""),
    );
    std::fs::create_dir_all(bench.path("d")).expect("a folder");
    std::fs::create_dir_all(bench.path("data/shop")).expect("a folder");
    let rows = (0..200).map(|row| {
        format!(
            "u{},{},{},{}\n",
            row % 9,
            row * 7 % 11,
            row * 5 % 13,
            row % 3 / 2
        )
    });
    let text = format!("user,item,shop,bought\n{}", rows.collect::<String>());
    bench.write("data/shop/log.csv", &text);
    let description = |features: &str| {
        format!(
            "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [\"user\", \"item\", \"shop\", \"bought\"]\n\
             [format]\nseparator = \",\"\nhas_header = true\n[files.log]\nname = \"log.csv\"\n[features]\n{features}\
             [tasks.buys]\nlabel = \"bought\"\ngroup = \"shop\"\n[split]\nkind = \"hash\"\nvalidation_fraction = 0.2\n\
             test_fraction = 0.2\nseed = 1\n[protocols.all]\ntasks = [\"buys\"]\n"
        )
    };
    let run = || {
        let words = [
            "run",
            "s.toml",
            "--out",
            "done",
            "--descriptions",
            "d",
            "--data-dir",
            "data",
            "--threads",
            "1",
        ];
        bench.run(&words).expect(0);
    };
    // Whichever ids come first, in one of the two orders it is those of before.
    let [all, fewer] = [
        "user = { kind = \"categorical\" }\nitem = { kind = \"categorical\" }\n",
        "user = { kind = \"categorical\" }\n",
    ];
    for features in [all, fewer, all] {
        bench.write("d/shop.toml", &description(features));
        run();
        let status = bench.run(&["status", "done"]).stdout;
        for id in cells(&bench) {
            let line = status
                .lines()
                .find(|line| line.starts_with(&id))
                .expect("a line");
            assert!(line.contains("done"), "{status}");
        }
    }
    let status = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(status.contains("4 cells: 2 done, 2 stale"), "{status}");
    bench.run(&["pack", "done", "--into", "small"]).expect(0);
    let status = bench.run(&["status", "small"]).expect(0).stdout;
    assert!(
        status.starts_with("2 cells: 2 done; this folder has their tables alone"),
        "{status}"
    );
}
