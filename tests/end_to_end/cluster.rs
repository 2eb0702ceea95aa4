//! Cells as tasks: the protocol of files between a parent and tasks that are plain processes, and what a batch system may do to it, played by
//! scripts in its place. `tests/cluster/slurm.py` does the same with Slurm itself.
#![cfg(target_os = "linux")]

use crate::fake_slurm::FakeSlurm;
use crate::harness::{Bench, Ran, experiment};
use crate::process::{LONG_ENOUGH, send, wait_until_gone};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Four cells, each of a second or more.
pub(crate) const SPEC: &str = r#"question = "Which?"
seeds = [1, 2, 3, 4]
[run]
checkpoint_every_seconds = 0
[dataset]
name = "synthetic"
rows = 400
[training]
batch_size = 16
max_epochs = 2
embedding_dim = 2
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"#;
/// The same without an end in sight.
const LONG: [&str; 4] = [
    "--set",
    "training.max_epochs=100000",
    "--set",
    "training.patience=100000",
];
/// Long enough to be caught, and then ends: some seconds for a cell, with and without an optimised build.
const SLOW: [&str; 4] = match cfg!(debug_assertions) {
    true => [
        "--set",
        "training.max_epochs=12",
        "--set",
        "training.patience=12",
    ],
    false => [
        "--set",
        "training.max_epochs=20",
        "--set",
        "training.patience=20",
    ],
};
/// What tests ask for: to learn soon what takes minutes on a cluster.
pub(crate) const SETTINGS: &str = "tasks = 2\npoll_seconds = 0.3\nsilence_seconds = 5\n";

pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    let tables = ["processes", "manual"].map(|name| format!("[{name}]\n{SETTINGS}"));
    let slurm = format!("[slurm]\nmemory = \"1GiB\"\n{SETTINGS}");
    bench.write("cluster.toml", &(tables.concat() + &slurm));
    bench
}

fn arguments<'a>(out: &'a str, more: &[&'a str], descriptions: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![
        "run",
        "s.toml",
        "--out",
        out,
        "--descriptions",
        descriptions,
    ];
    arguments.extend(["--threads", "1"]);
    arguments.extend(more);
    arguments
}

fn run(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    bench.run(&arguments(out, more, &experiment("datasets")))
}

fn run_with(bench: &Bench, variable: (&str, &str), out: &str, more: &[&str]) -> Ran {
    bench.run_with(variable, &arguments(out, more, &experiment("datasets")))
}

fn start(bench: &Bench, out: &str, more: &[&str]) -> Child {
    let mut command = bench.command(&arguments(out, more, &experiment("datasets")));
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

const PROCESSES: [&str; 2] = ["--executor", "processes"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PROCESSES[..], more].concat()
}

/// The processes of tasks whose submission lies in a folder.
fn tasks(bench: &Bench) -> Vec<u32> {
    let folder = std::fs::canonicalize(bench.path(".")).expect("a folder");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    let processes = std::fs::read_dir("/proc").expect("Linux has it").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_task = |process: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.get(1) == Some(&"task") && words.get(2).is_some_and(|word| word.starts_with(&folder))
    };
    let mut found: Vec<u32> = numbers.filter(is_task).collect();
    found.sort_unstable();
    found
}

#[track_caller]
fn wait_for(what: &str, mut has_come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !has_come() {
        assert!(start.elapsed() < 2 * LONG_ENOUGH, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether some cell has a checkpoint.
fn has_checkpoint(bench: &Bench, out: &str) -> bool {
    let cells = std::fs::read_dir(bench.path(&format!("{out}/cells")));
    let mut cells = cells.into_iter().flatten().flatten();
    cells.any(|cell| cell.path().join("checkpoint").exists())
}

/// A test that fails leaves no task behind.
struct EndTasks<'a>(&'a Bench);

impl Drop for EndTasks<'_> {
    fn drop(&mut self) {
        for task in tasks(self.0) {
            let _ = send("KILL", task);
        }
    }
}

#[test]
fn tasks_give_the_bytes_of_a_run_on_this_machine_and_leave_nothing() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    let ran = run(&bench, "tasks", &with(&[])).expect(0);
    assert!(
        ran.stderr
            .contains("submitted: 4 cells in 2 tasks of processes"),
        "{}",
        ran.stderr
    );
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
    let mut parent = start(&bench, "out", &with(&SLOW));
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    assert!(send("KILL", parent.id()));
    parent.wait().unwrap();
    assert_eq!(tasks(&bench).len(), 2, "tasks go on");
    let status = bench.run(&["status", "out"]).expect(1).stdout;
    assert!(
        status.contains("running") && status.contains(" on "),
        "{status}"
    );
    assert!(
        status.contains("queued") && status.contains("of processes"),
        "{status}"
    );
    // Cells run on this machine would write into the same folders.
    let refused = run(&bench, "out", &SLOW).expect(2).stderr;
    assert!(
        refused.contains("may be at work in this folder"),
        "{refused}"
    );
    assert!(refused.contains("homebench cancel"), "{refused}");
    let ran = run(&bench, "out", &with(&SLOW)).expect(0);
    assert!(
        ran.stderr.contains("taking up 2 tasks of processes"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("submitted"), "{}", ran.stderr);
    bench.assert_same_results("out", "local");
    // Each was started once, and trained once.
    for (path, bytes) in bench.files("out/cells", &[]) {
        if path.ends_with("log.txt") {
            let log = String::from_utf8_lossy(&bytes);
            assert_eq!(log.matches("--- try ").count(), 1, "{log}");
        }
    }
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
    let parent = start(&bench, "out", &with(&SLOW));
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    let victim = tasks(&bench)[0];
    assert!(send("KILL", victim));
    wait_until_gone(victim);
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("its process is gone"), "{stderr}");
    assert!(stderr.contains("cells are submitted again"), "{stderr}");
    bench.assert_same_results("out", "local");
    // What went wrong can still be read.
    assert!(bench.path("out/.cluster").is_dir());
}

#[test]
fn a_task_that_is_asked_to_end_keeps_checkpoints_and_its_cells_are_submitted_again() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &SLOW).expect(0);
    let parent = start(&bench, "out", &with(&SLOW));
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    // As a batch system does some time before a job's end; it may say so more than once.
    let victim = tasks(&bench)[0];
    let _ = (
        send("USR1", victim),
        send("USR1", victim),
        send("TERM", victim),
    );
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("it ended before its cells did"), "{stderr}");
    bench.assert_same_results("out", "local");
}

#[test]
fn an_interruption_ends_the_tasks_with_checkpoints() {
    let bench = bench();
    let _end = EndTasks(&bench);
    let parent = start(&bench, "out", &with(&LONG));
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    assert!(send("INT", parent.id()));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: 0 of 4 cells ended"),
        "{stderr}"
    );
    assert!(stderr.contains("--executor processes"), "{stderr}");
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
fn a_run_may_leave_and_come_back_until_all_is_done() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "local", &[]).expect(0);
    let no_wait = with(&["--no-wait"]);
    let first = run(&bench, "out", &no_wait).expect(4).stderr;
    assert!(first.contains("of 4 cells ended"), "{first}");
    assert!(first.contains("--no-wait"), "{first}");
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
fn what_was_left_is_cancelled_by_hand() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "out", &[&with(&["--no-wait"])[..], &LONG].concat()).expect(4);
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "1 submission ended\n");
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    assert!(has_checkpoint(&bench, "out"));
    let said = bench.run(&["cancel", "out"]).expect(0).stdout;
    assert_eq!(said, "nothing is submitted\n");
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
    assert!(ran.contains("starting it again (try 2 of 2)"), "{ran}");
    assert!(ran.contains("failed: mmoe/2"), "{ran}");
    bench.assert_same_results("out", "local");
}

#[test]
fn tasks_can_be_started_by_hand_or_by_another_system() {
    let bench = bench();
    run(&bench, "local", &[]).expect(0);
    let manual = ["--executor", "manual", "--no-wait"];
    let said = run(&bench, "out", &manual).expect(4).stderr;
    assert!(said.contains("hq submit --array 0-1 "), "{said}");
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
    assert!(
        stderr.contains("which of the submission's tasks is it?"),
        "{stderr}"
    );
    let beyond = task("7", "HQ_TASK_ID");
    let stderr = String::from_utf8_lossy(&beyond.stderr);
    assert!(
        stderr.contains("has the tasks 0 to 1, and not 7"),
        "{stderr}"
    );
    assert!(task("0", "HQ_TASK_ID").status.success());
    assert!(task("1", "PBS_ARRAY_INDEX").status.success());
    run(&bench, "out", &manual).expect(0);
    bench.assert_same_results("out", "local");
}

#[test]
fn a_task_that_is_not_the_last_of_its_kind_ends_its_cells() {
    let bench = bench();
    let _end = EndTasks(&bench);
    run(&bench, "out", &[&with(&["--no-wait"])[..], &LONG].concat()).expect(4);
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
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
    assert!(
        refused.contains("the first task had another processor (Abacus 1, beads)"),
        "{refused}"
    );
    assert!(refused.contains("processors = \"any\""), "{refused}");
    assert!(tasks(&bench).is_empty());
}

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

// From here on a batch system that is played by scripts.

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
    assert!(
        ran.contains("submitted: 4 cells in 2 tasks of slurm 101"),
        "{ran}"
    );
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
    assert!(provenance.contains("name = \"fake1\""), "{provenance}");
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
    assert!(ran.contains("no answer came to the submission"), "{ran}");
    assert!(
        ran.contains("was not accepted; submitting it again"),
        "{ran}"
    );
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
        slurm(&bench, &fake, &out, &[]).expect(0);
        bench.assert_same_results(&out, "local");
        assert_eq!(fake.asked("sbatch").len(), 2, "{mode}");
    }
}

#[test]
fn what_is_refused_or_can_never_run_is_said_and_taken_back() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "refuse");
    let said = slurm(&bench, &fake, "out", &[]).expect(2).stderr;
    assert!(
        said.contains("sbatch: refuses the tasks: sbatch: error: invalid partition"),
        "{said}"
    );
    assert!(
        said.contains("hint: change what cluster.toml asks for"),
        "{said}"
    );
    assert!(!bench.path("out").exists());
    let fake = FakeSlurm::new(&bench);
    fake.set("sbatch", "never");
    let said = slurm(&bench, &fake, "out", &[]).expect(2).stderr;
    assert!(
        said.contains("task 0 of slurm 101 can never run: PartitionConfig"),
        "{said}"
    );
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
    assert!(
        said.contains("ended before it began (FAILED on fake1)"),
        "{said}"
    );
    assert!(said.contains("Exec format error"), "{said}");
}

#[test]
fn a_small_array_makes_larger_bundles() {
    let bench = bench();
    let fake = FakeSlurm::new(&bench);
    fake.set("scontrol", "small");
    let ran = slurm(&bench, &fake, "out", &[]).expect(0).stderr;
    assert!(ran.contains("submitted: 4 cells in 1 tasks"), "{ran}");
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
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    wait_for("the end of the tasks", || tasks(&bench).is_empty());
    let asked = fake.asked("scancel");
    assert!(asked[0].contains("--state=PENDING"), "{asked:?}");
    assert!(asked[1].contains("--batch --signal=USR1"), "{asked:?}");
}

#[test]
fn the_end_of_the_terminal_leaves_tasks_alone() {
    let bench = bench();
    let _end = EndTasks(&bench);
    let parent = start(&bench, "out", &with(&LONG));
    wait_for("a checkpoint", || has_checkpoint(&bench, "out"));
    assert!(send("HUP", parent.id()));
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert_eq!(tasks(&bench).len(), 2);
    bench.run(&["cancel", "out", "--now"]).expect(0);
}
