//! Results folders that were changed, cut, or put together by hand: what is not as homebench wrote it is named and not believed.

use crate::harness::{Bench, experiment};
use crate::small_run::{SPEC, TUNED, cells, copy, done, edit, run};

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
        ("outcome.toml: altered", &|| {
            edit(&bench, &one, "\nseed = ", "\nseed = 3")
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
    let outcome = format!("cells/{id}/outcome.toml");
    let names = [&outcome, "winners.toml", "facts.toml", "provenance.toml"];
    let names = names.map(|name| format!("done/{name}"));
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
    let outcome = format!("done/cells/{id}/outcome.toml");
    edit(&bench, &outcome, ",auc,0.", ",auc,0.9");
    for command in ["status", "report", "figures"] {
        let ran = bench.run(&[command, "done"]).expect(1);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains(&format!("cells/{id}/outcome.toml: altered")),
            "{said}"
        );
    }
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
}

/// A change of external scores is taken only once they were read.
#[test]
fn external_scores_that_were_refused_are_not_sealed() {
    let bench = done(SPEC);
    std::fs::create_dir(bench.path("done/external")).expect("a folder");
    let provenance: toml::Table =
        toml::from_str(&bench.read("done/provenance.toml")).expect("TOML");
    let content = provenance["runs"][0]["dataset"]["content_hash"].clone();
    bench.write(
        "done/external/trees.toml",
        &format!("about = \"Trees.\"\nprogram = \"p\"\ncommand = \"c\"\ndataset_content = {content}\ntrials = 0\n"),
    );
    let rows = bench.rows("done/metrics.csv");
    let is_auc = |row: &&csv::StringRecord| &row[3] == "test" && &row[5] == "auc";
    let row = rows.iter().find(is_auc).expect("a score");
    let right = format!(
        "variant,seed,split,task,metric,value,rows,positives\ntrees,1,test,{},auc,0.99,{},{}\n",
        &row[4], &row[7], &row[8]
    );
    bench.write("done/external/trees.csv", &right);
    bench.run(&["report", "done"]).expect(0);
    bench.write(
        "done/external/trees.csv",
        &right.replace(&row[4], "nothing"),
    );
    bench
        .run(&["report", "done", "--accept-external"])
        .expect(2);
    bench.write("done/external/trees.csv", &right);
    bench.run(&["report", "done"]).expect(0);
}
