//! What a batch system may do, played by scripts in its place.

use super::*;
use crate::fake_slurm::FakeSlurm;

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_submitted() {
    let bench = bench();
    let no_slurm = ("PATH", "/nowhere");
    let said = [
        run(&bench, "out", &["--executor", "slrum"]),
        run(&bench, "out", &["--no-wait"]),
        run(
            &bench,
            "out",
            &["--executor", "slurm", "--cluster", "none.toml"],
        ),
        run_with(&bench, no_slurm, "out", &["--executor", "slurm"]),
    ]
    .map(|ran| ran.expect(2).stderr);
    bench.write("cluster.toml", "[slurm]\nmemroy = \"4GiB\"\n");
    let misspelt = run(&bench, "out", &["--executor", "slurm"])
        .expect(2)
        .stderr;
    bench.write("cluster.toml", "[slurm]\narguments = [\"--array=0-3\"]\n");
    let own = run(&bench, "out", &["--executor", "slurm"])
        .expect(2)
        .stderr;
    bench.write("cluster.toml", "");
    let unasked = run(&bench, "out", &["--executor", "slurm"])
        .expect(2)
        .stderr;
    assert!(!bench.path("out").exists());
    let all = [&said[..], &[misspelt, own, unasked]].concat();
    insta::assert_snapshot!(all.join("\n"), @r#"
    error: invalid value 'slrum' for '--executor <NAME>': expected one of local, slurm, processes, manual; did you mean `slurm`?

    For more information, try '--help'.

    error: --no-wait: says something of a cluster, and cells run here
    hint: add `--executor slurm`, or leave it out

    error: none.toml: can't read the file: No such file or directory (os error 2)
    hint: check the path

    error: scontrol: is not here, so tasks can't be submitted to Slurm
    hint: run homebench where `sbatch` works, such as on the cluster's login node, or leave `--executor slurm` out

    error: cluster.toml:2:1: unknown key `memroy` in [slurm]; expected one of `tasks`, `task_seconds`, `memory`, `time`, `constraint`, `processors`, `resubmissions`, `poll_seconds`, `silence_seconds`, `arguments`, `environment`, `setup`
    hint: did you mean `memory`?

    error: cluster.toml:2:14: `slurm.arguments`: homebench gives --array itself, found `--array=0-3`
    hint: set `tasks`

    error: --executor slurm: nothing says how much memory a cell needs, and a task that doesn't ask takes a node's whole memory
    hint: set `memory = "4GiB"` under [slurm] in cluster.toml, or `run.memory_limit_bytes` in the spec
    "#);
}

fn slurm(bench: &Bench, fake: &FakeSlurm, out: &str, more: &[&str]) -> Ran {
    let descriptions = experiment("datasets");
    let more = [&["--executor", "slurm"], more].concat();
    let mut command = bench.command(&arguments(out, &more, &descriptions));
    fake.set_up(&mut command);
    Ran::finish(&mut command)
}

#[test]
fn a_cluster_is_asked_for_what_its_settings_say_and_gives_the_same_bytes() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    run(&bench, "local", &[]).expect(0);
    let ran = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert_says(&ran, "submitted: 4 cells in 2 tasks of slurm 101");
    bench.assert_same_results("out", "local");
    let asked = fake.asked("sbatch");
    // The first only tests what is asked for.
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].contains("--test-only"), "{asked:?}");
    for word in [
        "--parsable",
        "--array=0-1%2",
        "--no-requeue",
        "--mem=",
        "--time=",
        "--signal=B:USR1@120",
        "--propagate=NONE",
    ] {
        assert!(asked[1].contains(word), "{word}: {asked:?}");
    }
    assert!(fake.asked("scancel").is_empty());
    let provenance = bench.read("out/provenance.toml");
    assert_says(&provenance, "name = \"fake1\"");
}

/// Whatever comes back from a submission that was accepted, it is found by its name and not made again.
#[test]
fn a_submission_without_a_readable_answer_is_found_by_its_name() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    for mode in ["silent", "garbage", "late", "lost"] {
        let fake = FakeSlurm::new(&bench);
        fake.set("sbatch", mode);
        let out = format!("out-{mode}");
        slurm(&bench, &fake, &out, &[]).expect(0);
        bench.assert_same_results(&out, "local");
        let submitted = fake.asked("sbatch").len();
        assert_eq!(submitted, 2, "{mode}: tested once and submitted once");
    }
}

#[test]
fn a_submission_that_hangs_is_made_again_once_it_is_known_not_to_be_there() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    run(&bench, "local", &[]).expect(0);
    fake.set("sbatch", "hang");
    let ran = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert_says(&ran, "no answer came to the submission");
    assert_says(&ran, "was not accepted; submitting it again");
    bench.assert_same_results("out", "local");
}

#[test]
fn a_batch_system_that_does_not_answer_is_waited_for_by_files() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    for mode in ["down", "garbage", "forgets"] {
        let fake = FakeSlurm::new(&bench);
        fake.set("squeue", mode);
        let out = format!("out-{mode}");
        let said = slurm(&bench, &fake, &out, &[]).expect(0).stderr;
        bench.assert_same_results(&out, "local");
        assert_eq!(fake.asked("sbatch").len(), 2, "{mode}");
        let is_away = mode != "forgets";
        let words = "once it does, look whether it has any of hb-";
        assert_eq!(said.contains(words), is_away, "{mode}: {said}");
        assert!(fake.asked("scancel").is_empty(), "{mode}");
    }
}

/// Somebody cancels everything before it has begun to run: no node is to blame for that.
#[test]
fn tasks_that_were_cancelled_before_they_began_are_submitted_again() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "cancelled");
    let said = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert_says(&said, "ended before it began (CANCELLED on fake1)");
    assert_says(&said, "cells are submitted again");
    bench.assert_same_results("out", "local");
}

/// What it may have kept of tasks that ended while it was away is taken back.
#[test]
fn a_batch_system_that_comes_back_is_left_with_nothing() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    fake.set("squeue", "away");
    let said = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert!(!said.contains("look whether it has any of"), "{said}");
    let asked = fake.asked("scancel");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("--name=hb-"), "{asked:?}");
}

#[test]
fn what_is_refused_or_can_never_run_is_said_and_taken_back() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "refuse");
    let said = slurm(&bench, &fake, "out", &[]).expect(2).stderr;
    assert_says(
        &said,
        "sbatch: refuses the tasks: sbatch: error: invalid partition",
    );
    assert_says(&said, "hint: change what cluster.toml asks for");
    assert!(!bench.path("out").exists());
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "never");
    let said = slurm(&bench, &fake, "out", &[]).expect(2).stderr;
    assert_says(&said, "task 0 of slurm 101 can never run: PartitionConfig");
    assert!(
        fake.asked("scancel")
            .iter()
            .any(|asked| asked.contains("--name=hb-")),
        "{said}"
    );
    assert!(!bench.run(&["status", "out"]).stdout.contains("queued"));
    // A node on which nothing can start.
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "broken");
    let said = slurm(&bench, &fake, "out", &[]).expect(2).stderr;
    assert_says(&said, "ended before it began (FAILED on fake1)");
    assert_says(&said, "Exec format error");
}

#[test]
fn a_small_array_makes_larger_bundles() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    fake.set("scontrol", "small");
    let ran = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert_says(&ran, "submitted: 4 cells in 1 tasks");
}

#[test]
fn an_interruption_takes_back_what_waits_and_asks_what_runs() {
    let bench = bench();
    let _end = EndTasks(&bench);
    let fake = FakeSlurm::new(&bench);
    let descriptions = experiment("datasets");
    let more = [&["--executor", "slurm"][..], &LONG].concat();
    let mut command = bench.command(&arguments("out", &more, &descriptions));
    fake.set_up(&mut command);
    let parent = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    assert!(send("INT", parent.id()));
    end(parent, 130);
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    let asked = fake.asked("scancel");
    assert!(asked[0].contains("--state=PENDING"), "{asked:?}");
    assert!(asked[1].contains("--batch --signal=USR1"), "{asked:?}");
}
