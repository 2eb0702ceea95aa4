//! The ways in which a run of many machines ends before its cells do.

use super::*;
use crate::process::cells_of;

#[test]
fn an_interruption_ends_the_tasks_with_checkpoints() {
    let bench = bench();
    let _end = EndTasks(&bench);
    let parent = start_until_checkpoint(&bench, &with(&LONG));
    assert!(send("INT", parent.id()));
    let stderr = end(parent, 130);
    assert_says(&stderr, "interrupted: 0 of 4 cells ended");
    assert_says(&stderr, "--executor processes");
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    assert!(has_checkpoint(&bench, "out"));
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert!(
        status.contains("unfinished") && !status.contains("queued"),
        "{status}"
    );
    // Nothing is left that would keep a run on this machine out.
    let refused = run(
        &bench,
        "out",
        &["--fail-fast", "--set", "training.max_epochs=100000"],
    );
    assert!(
        !refused.stderr.contains("may be at work"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_end_of_the_terminal_leaves_tasks_alone() {
    let bench = bench();
    let _end = EndTasks(&bench);
    let parent = start_until_checkpoint(&bench, &with(&LONG));
    assert!(send("HUP", parent.id()));
    end(parent, 4);
    assert_eq!(tasks(&bench).len(), 2);
    bench.run(&["cancel", "out", "--now"]).expect(0);
}

#[test]
fn a_run_may_leave_and_come_back_until_all_is_done() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &[]).expect(0);
    let no_wait = with(&["--no-wait"]);
    let first = run(&bench, "out", &no_wait).expect(4).stderr;
    assert_says(&first, "of 4 cells ended");
    assert_says(&first, "--no-wait");
    let mut ran = None;
    wait_for("the end", || {
        let next = run(&bench, "out", &no_wait);
        let is_done = next.code != Some(4);
        ran = Some(next);
        is_done
    });
    ran.unwrap().expect(0);
    bench.assert_same_results("out", "local");
}

#[test]
fn a_submission_whose_record_is_lost_is_ended_before_anything_else_runs() {
    let bench = bench();
    let _end = EndTasks(&bench);
    leave_running(&bench);
    let folders = std::fs::read_dir(bench.path("out/.cluster")).expect("a folder");
    let folder = folders.flatten().next().expect("a submission").path();
    std::fs::write(folder.join("submission.toml"), "").expect("a file");
    let said = bench.run(&["status", "out"]).expect(1).stdout;
    assert_says(&said, "submission.toml: can't be read");
    std::fs::remove_file(folder.join("submission.toml")).expect("a file");
    let said = bench.run(&["status", "out"]).expect(1).stdout;
    assert_says(&said, "submission.toml: is gone");
    for more in [&LONG[..], &with(&LONG)] {
        let said = run(&bench, "out", more).expect(2).stderr;
        assert_says(&said, "tasks of its submission have begun");
        assert_says(&said, "`homebench cancel out`");
    }
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "1 submission ended\n");
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "nothing is submitted\n");
    // With the checkpoints of the tasks that were ended.
    let next = start(&bench, "out", &LONG);
    wait_for("a cell", || !cells_of(next.id()).is_empty());
    assert!(send("TERM", next.id()));
    end(next, 130);
}

#[test]
fn what_was_left_is_cancelled_by_hand() {
    let bench = bench();
    let _end = EndTasks(&bench);
    leave_running(&bench);
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "1 submission ended\n");
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    assert!(has_checkpoint(&bench, "out"));
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "nothing is submitted\n");
}

/// What a submission's files may be in a folder from elsewhere: a pipe keeps its reader for ever, and a link leads to what is another's.
#[test]
fn files_of_a_submission_that_are_none_hold_nobody_up_and_are_not_written_through() {
    let bench = bench();
    let _end = EndTasks(&bench);
    leave_running(&bench);
    let submissions = std::fs::read_dir(bench.path("out/.cluster")).expect("a folder");
    let mut folders = submissions.map(|entry| entry.expect("an entry").path());
    let folder = folders.find(|path| path.is_dir()).expect("a submission");
    let (orders, chunks) = (folder.join("orders"), folder.join("chunks"));
    std::fs::rename(&chunks, bench.path("chunks")).expect("a file");
    let made = std::process::Command::new("mkfifo").arg(&chunks).status();
    assert!(made.expect("mkfifo").success());
    bench.run(&["status", "out"]);
    let said = run(&bench, "out", &with(&LONG)).expect(2).stderr;
    assert_says(&said, "chunks: can't be read: it is a pipe (FIFO)");
    std::fs::rename(bench.path("chunks"), &chunks).expect("a file");
    std::fs::remove_file(&orders).expect("a file");
    bench.write("notes", "mine");
    std::os::unix::fs::symlink(bench.path("notes"), &orders).expect("a link");
    bench.run(&["cancel", "out"]);
    assert_eq!(bench.read("notes"), "mine");
}
