//! Tasks and their cells: the bytes of a run on this machine, whatever ends in between and whoever starts them.

use super::*;
use crate::process::wait_until_gone;

#[test]
fn tasks_give_the_bytes_of_a_run_on_this_machine_and_leave_nothing() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    let ran = run(&bench, "tasks", &with(&[])).expect(0);
    assert_says(&ran.stderr, "submitted: 4 cells in 2 tasks of processes");
    bench.assert_same_results("tasks", "local");
    assert!(!bench.path("tasks/.cluster").exists());
    assert!(tasks(&bench).is_empty());
    let provenance: toml::Table = toml::from_str(&bench.read("tasks/provenance.toml")).unwrap();
    let run_of = &provenance["runs"][0];
    assert_eq!(run_of["executor"].as_str(), Some("processes"));
    let hosts = run_of["hosts"].as_array().unwrap();
    let cells = hosts
        .iter()
        .map(|host| host["cells"].as_array().unwrap().len());
    assert_eq!(cells.sum::<usize>(), 4);
    // A run on this machine says nothing of other machines.
    let local = bench.read("local/provenance.toml");
    assert!(
        !local.contains("executor") && !local.contains("hosts"),
        "{local}"
    );
    // All is done: nothing is submitted.
    let again = run(&bench, "tasks", &with(&[])).expect(0);
    assert!(!again.stderr.contains("submitted"), "{}", again.stderr);
}

#[test]
fn a_tuned_experiment_is_submitted_phase_by_phase() {
    let bench = bench();
    bench.write("s.toml", &format!("{SPEC}{}", crate::small_run::TUNED));
    let more = ["--set", "seeds=[1]", "--set", "training.max_epochs=1"];
    run(&bench, "local", &more).expect(0);
    let ran = run(&bench, "tasks", &with(&more)).expect(0);
    assert_eq!(
        ran.stderr.matches("submitted: ").count(),
        2,
        "{}",
        ran.stderr
    );
    bench.assert_same_results("tasks", "local");
}

#[test]
fn tasks_outlive_a_killed_parent_and_the_next_one_takes_them_up() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &SLOW).expect(0);
    let mut parent = start_until_checkpoint(&bench, &with(&SLOW));
    assert!(send("KILL", parent.id()));
    parent.wait().unwrap();
    assert_eq!(tasks(&bench).len(), 2, "tasks go on");
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert_says(&status, "running");
    assert_says(&status, " on ");
    assert_says(&status, "queued");
    assert_says(&status, "of processes");
    // Cells run on this machine would write into the same folders.
    let refused = run(&bench, "out", &SLOW).expect(2).stderr;
    assert_says(&refused, "may be at work in this folder");
    assert_says(&refused, "homebench cancel");
    let ran = run(&bench, "out", &with(&SLOW)).expect(0);
    assert_says(&ran.stderr, "taking up 2 tasks of processes");
    assert!(!ran.stderr.contains("submitted"), "{}", ran.stderr);
    bench.assert_same_results("out", "local");
    // Each was started once, and trained once.
    let rows = bench.rows("out/throughput.csv");
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| &row[13] == "1"), "{rows:?}");
}

#[test]
fn a_parent_killed_around_its_submission_loses_and_doubles_nothing() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &[]).expect(0);
    for moment in ["intended", "submitted"] {
        let fault = format!("parent=kill@{moment}");
        let out = format!("out-{moment}");
        let ran = run_with(&bench, ("HOMEBENCH_FAULTS", &fault), &out, &with(&[]));
        assert_eq!(ran.code, None, "{}", ran.stderr);
        assert!(bench.path(&format!("{out}/.cluster")).is_dir());
        let next = run(&bench, &out, &with(&[])).expect(0).stderr;
        let is_taken_up = next.contains("taking up");
        assert_eq!(is_taken_up, moment == "submitted", "{moment}: {next}");
        assert_eq!(
            next.contains("submitted: 4 cells"),
            moment == "intended",
            "{next}"
        );
        bench.assert_same_results(&out, "local");
    }
}

#[test]
fn cells_of_a_killed_task_are_submitted_again_and_go_on_from_checkpoints() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &SLOW).expect(0);
    let parent = start_until_checkpoint(&bench, &with(&SLOW));
    let victim = tasks(&bench)[0];
    assert!(send("KILL", victim));
    wait_until_gone(victim);
    let stderr = end(parent, 0);
    assert_says(&stderr, "its process is gone");
    assert_says(&stderr, "cells are submitted again");
    bench.assert_same_results("out", "local");
    // What went wrong can still be read.
    assert!(bench.path("out/.cluster").is_dir());
}

#[test]
fn a_task_that_is_asked_to_end_keeps_checkpoints_and_its_cells_are_submitted_again() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &SLOW).expect(0);
    let parent = start_until_checkpoint(&bench, &with(&SLOW));
    // As a batch system does some time before a job's end; it may say so more than once.
    let victim = tasks(&bench)[0];
    let _ = (
        send("USR1", victim),
        send("USR1", victim),
        send("TERM", victim),
    );
    let stderr = end(parent, 0);
    assert_says(&stderr, "it ended before its cells did");
    bench.assert_same_results("out", "local");
}

#[test]
fn a_cell_that_fails_in_a_task_is_the_row_that_it_is_here() {
    let bench = bench();
    let fault = ("HOMEBENCH_FAULTS", "mmoe/2=abort@3,mmoe/3=abort@3:once");
    // A checkpoint has times in it, and that of a cell that failed stays.
    let more = [
        "--set",
        "run.retries=1",
        "--set",
        "run.checkpoint_every_seconds=600",
    ];
    run_with(&bench, fault, "local", &more).expect(1);
    let ran = run_with(&bench, fault, "out", &with(&more))
        .expect(1)
        .stderr;
    assert_says(&ran, "starting it again (try 2 of 2)");
    assert_says(&ran, "failed: mmoe/2");
    bench.assert_same_results("out", "local");
}

/// Its command and its files are named from where the run is started, and tasks are started elsewhere.
#[test]
fn a_program_of_a_variant_runs_in_tasks_as_it_does_here() {
    let bench = bench();
    crate::adapters::spec(&bench, "", "");
    let spec = bench.read("spec.toml");
    bench.write("s.toml", &spec);
    let more = ["--only", "rates/*"];
    run(&bench, "local", &more).expect(0);
    run(&bench, "tasks", &with(&more)).expect(0);
    bench.assert_same_results("tasks", "local");
}

#[test]
fn tasks_can_be_started_by_hand_or_by_another_system() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    let manual = ["--executor", "manual", "--no-wait"];
    let said = run(&bench, "out", &manual).expect(4).stderr;
    assert_says(&said, "hq submit --array 0-1 ");
    let line = said
        .lines()
        .find(|line| line.contains("hq submit"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = words
        .iter()
        .position(|word| word.ends_with("/homebench"))
        .unwrap();
    let task = |index: &str, variable: &str| {
        let mut task = Command::new(words[command]);
        task.args(&words[command + 1..]).current_dir("/");
        task.env(variable, index).stdin(Stdio::null());
        task.output().unwrap()
    };
    // Nobody says which task it is; there is no such task; then both.
    let none = task("", "NO_SUCH_VARIABLE");
    let stderr = String::from_utf8_lossy(&none.stderr);
    assert_eq!(none.status.code(), Some(2), "{stderr}");
    assert_says(&stderr, "which of the submission's tasks is it?");
    let beyond = task("7", "HQ_TASK_ID");
    let stderr = String::from_utf8_lossy(&beyond.stderr);
    assert_says(&stderr, "has the tasks 0 to 1, and not 7");
    assert!(task("0", "HQ_TASK_ID").status.success());
    assert!(task("1", "PBS_ARRAY_INDEX").status.success());
    run(&bench, "out", &manual).expect(0);
    bench.assert_same_results("out", "local");
}

#[test]
fn a_task_that_is_not_the_last_of_its_kind_ends_its_cells() {
    let bench = bench();
    let _end = EndTasks(&bench);
    leave_running(&bench);
    // A batch system starts a task a second time while the first still runs.
    let first = tasks(&bench);
    let folder = std::fs::read_dir(bench.path("out/.cluster"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut second = Command::new(folder.join("homebench"))
        .args(["task", folder.to_str().unwrap(), "--index", "0"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first one that had this task ends, and the other task goes on.
    let left = || {
        first
            .iter()
            .filter(|task| tasks(&bench).contains(task))
            .count()
    };
    wait_for("the end of the first", || left() == 1);
    assert!(second.try_wait().unwrap().is_none());
    bench.run(&["cancel", "out", "--now"]).expect(0);
    wait_for("the end of the second", || {
        second.try_wait().unwrap().is_some()
    });
    wait_for("the end of all", || tasks(&bench).is_empty());
}

#[test]
fn another_processor_is_refused_where_all_have_to_be_the_same() {
    let bench = bench();
    let settings = format!("[processes]\n{SETTINGS}processors = \"same\"\n");
    bench.write("cluster.toml", &settings);
    run(&bench, "out", &with(&[])).expect(0);
    assert!(bench.path("out/.cluster/processor.txt").is_file());
    bench.write("out/.cluster/processor.txt", "Abacus 1, beads\n");
    let refused = run(&bench, "out", &with(&["--fresh"])).expect(2).stderr;
    assert_says(
        &refused,
        "the first task had another processor (Abacus 1, beads)",
    );
    assert_says(&refused, "processors = \"any\"");
    assert!(tasks(&bench).is_empty());
}
