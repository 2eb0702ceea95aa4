//! What homebench did not write, it neither removes nor writes over, in results folders and elsewhere.

use crate::harness::experiment;
use crate::small_run::{SPEC, cells, copy, done, run};
use std::path::PathBuf;

/// A folder belongs to a spec from its first cell on.
#[test]
fn another_spec_is_refused_before_anything_is_replaced() {
    let bench = done(SPEC);
    let ids = cells(&bench);
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
    for id in ids {
        bench.take_outcome(&format!("done/cells/{id}"));
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
    // Nor of a part of the cells.
    link(elsewhere.clone(), "done/only");
    let part = ["report", "done", "--only", "mmoe"];
    let said = bench.run(&part).expect(2).stderr;
    assert!(said.contains("done/only: it is a link"), "{said}");
    std::fs::remove_file(bench.path("done/only")).expect("a link");
    bench.run(&part).expect(0);
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
        // A cell that has said nothing has no log.
        let _ = std::fs::remove_file(bench.path(&name));
        link(elsewhere.join("precious"), &name);
        run(&bench, &["--fresh"]).expect(2);
        std::fs::remove_file(bench.path(&name)).expect("a link");
    }
    assert_eq!(bench.files("elsewhere", &[]).len(), 2);
    assert_eq!(bench.read("elsewhere/precious"), "mine");
}

/// What is not as it was written is moved out of the way; what is behind a link is another folder's.
#[test]
fn a_run_moves_nothing_behind_a_link() {
    let bench = done(SPEC);
    let ids = cells(&bench);
    copy(&bench.path("done"), &bench.path("other"));
    let hash = std::fs::read_dir(bench.path("done/data")).expect("a folder");
    let hash = hash.map(|entry| entry.expect("an entry").file_name());
    let hash = hash.last().expect("data").into_string().expect("UTF-8");
    let data = format!("data/{hash}");
    bench.write(&format!("other/{data}/data.toml"), "damaged");
    let before = bench.files("other", &[]);
    for (own, theirs) in [
        (format!("cells/{}", ids[0]), format!("cells/{}", ids[1])),
        (data.clone(), data),
    ] {
        let place = bench.path(&format!("done/{own}"));
        std::fs::rename(&place, bench.path("aside")).expect("a folder");
        std::os::unix::fs::symlink(bench.path(&format!("other/{theirs}")), &place).expect("a link");
        for more in [&[][..], &["--fresh"]] {
            let said = run(&bench, more).expect(2).stderr;
            assert!(
                said.contains(&format!("done/{own}: it is a link")),
                "{said}"
            );
            assert_eq!(bench.files("other", &[]), before);
        }
        std::fs::remove_file(&place).expect("a link");
        std::fs::rename(bench.path("aside"), &place).expect("a folder");
        run(&bench, &[]).expect(0);
    }
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

/// Its report is another's, and so is its lock.
#[test]
fn no_report_goes_into_the_folder_of_another_experiment() {
    let bench = done(SPEC);
    copy(&bench.path("done"), &bench.path("other"));
    // The default of `compare`, and an experiment of that name.
    copy(&bench.path("done"), &bench.path("runs/compare"));
    bench.write("other/report.md", "theirs");
    let before = bench.files("other", &[]);
    std::os::unix::fs::symlink(bench.path("other"), bench.path("linked")).expect("a link");
    for out in ["other", "linked", "new/../other", "other/only/mmoe"] {
        for words in [&["report", "done"][..], &["compare", "done", "done"]] {
            let said = bench.run(&[words, &["--out", out]].concat());
            let said = said.expect(2).stderr;
            assert!(said.contains("another folder with `--out DIR`"), "{said}");
            assert_eq!(bench.files("other", &[]), before);
        }
    }
    let before = bench.files("runs/compare", &[]);
    let said = bench.run(&["compare", "done", "other"]).expect(2).stderr;
    assert!(
        said.contains("runs/compare: it is a results folder"),
        "{said}"
    );
    assert_eq!(bench.files("runs/compare", &[]), before);
    // Its own folder may be named as well, and what the hint says helps.
    for out in ["done", "board"] {
        bench.run(&["report", "done", "--out", out]).expect(0);
    }
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
