//! What happens to a command whose output nobody reads, or that can't be written.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, Ran, SMALL, experiment};
use crate::process::{send, wait_for_cell, wait_until_gone};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An experiment of a second.
const QUICK: [&str; 4] = ["--only", "*o*e/1", "--set", "training.max_epochs=1"];

/// Every command that answers on stdout, over finished results in `out`.
fn commands() -> Vec<Vec<String>> {
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let places = ["--descriptions".to_owned(), descriptions];
    let mut plan = vec!["plan".to_owned(), spec];
    plan.extend(SMALL.iter().map(|word| word.to_string()));
    plan.extend(places.clone());
    let mut prepare = words("data prepare synthetic --rows 3000");
    prepare.extend(places.clone());
    let mut verify = words("data verify synthetic --rows 3000");
    verify.extend(places);
    let plain = [
        "models",
        "devices",
        "status out",
        "report out",
        "figures out",
        "diff out out",
        "compare out out",
        "report out --only home",
        "cache list",
        "data describe table.csv",
        "--help",
        "run --help",
        "--version",
    ];
    let mut all: Vec<Vec<String>> = plain.into_iter().map(words).collect();
    all.extend([plan, prepare, verify]);
    all
}

fn finished() -> Bench {
    let bench = Bench::new();
    bench.quickstart("out", &QUICK).expect(0);
    let rows: String = (0..40)
        .map(|row| format!("{},{}\n", row % 7, row % 2))
        .collect();
    bench.write("table.csv", &format!("a,b\n{rows}"));
    bench
}

/// The exit code and stderr of a command whose stdout goes there.
fn into(bench: &Bench, words: &[String], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = bench.command(&words);
    let output = command.stdout(stdout).stderr(Stdio::piped()).spawn();
    let output = output
        .expect("it starts")
        .wait_with_output()
        .expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one() {
    let bench = finished();
    for words in commands() {
        let usual = into(&bench, &words, Stdio::piped());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(into(&bench, &words, writer), usual, "{words:?}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, stderr) = into(&bench, &words, full);
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
        let said = "error: stdout: can't be written: No space left on device";
        assert!(stderr.contains(said), "{words:?}: {stderr}");
        assert!(stderr.contains("hint: "), "{words:?}: {stderr}");
    }
}

#[test]
fn a_limit_of_file_sizes_is_told_with_the_mend() {
    let bench = finished();
    let program = bench.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    let limited = "ulimit -f 2; exec \"$0\" report out --out elsewhere";
    command.args(["-c", limited]).arg(program);
    let said = Ran::finish(command.current_dir(bench.path(".")))
        .expect(2)
        .stderr;
    assert!(said.contains("can't be written"), "{said}");
    assert!(
        said.contains("raise the limit of file sizes (`ulimit -f`)"),
        "{said}"
    );
}

#[test]
fn a_stderr_that_is_closed_or_full_changes_nothing() {
    let bench = finished();
    for (place, redirection) in ["2>&-", "2>/dev/full", ">&- 2>&-"].iter().enumerate() {
        let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
        let out = format!("out{place}");
        let mut words = vec!["run", &spec, "--out", &out, "--descriptions", &descriptions];
        words.extend(SMALL);
        words.extend(QUICK);
        let usual = bench.command(&words);
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .arg(usual.get_program())
            .args(usual.get_args());
        shell.current_dir(bench.path("")).stdout(Stdio::null());
        shell.envs(
            usual
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        assert_eq!(shell.status().unwrap().code(), Some(0), "{redirection}");
        bench.assert_same_results(&out, "out");
    }
}

/// A run of many cells that takes long.
fn long_run(bench: &Bench) -> Command {
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let mut words = vec![
        "run",
        &spec,
        "--out",
        "long",
        "--descriptions",
        &descriptions,
    ];
    words.extend(SMALL);
    words.extend([
        "--set",
        "training.max_epochs=1000",
        "--set",
        "training.patience=1000",
    ]);
    bench.command(&words)
}

/// A run of many cells whose output nobody reads after the first line.
fn start_unread(bench: &Bench) -> Child {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = long_run(bench);
    let command = command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let child = command.spawn().expect("it starts");
    // The command has the writer's ends no more than this process has.
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).unwrap();
    assert!(!first.is_empty());
    child
}

#[test]
fn a_run_that_nobody_reads_goes_on_and_obeys_signals() {
    for signal in ["INT", "TERM", "HUP"] {
        let bench = Bench::new();
        let mut parent = start_unread(&bench);
        let cell = wait_for_cell(parent.id());
        // A cell that was killed is a line that can't be written; the next one starts all the same.
        assert!(send("KILL", cell));
        wait_until_gone(cell);
        let next = wait_for_cell(parent.id());
        assert!(send(signal, parent.id()));
        assert_eq!(parent.wait().unwrap().code(), Some(130), "{signal}");
        wait_until_gone(next);
    }
}

/// The run of many cells, started by a shell that does this first.
fn start_after(bench: &Bench, first: &str) -> Child {
    let usual = long_run(bench);
    let mut shell = Command::new("sh");
    let script = format!("{first}; exec \"$0\" \"$@\"");
    shell
        .args(["-c", &script])
        .arg(usual.get_program())
        .args(usual.get_args());
    shell
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell.envs(
        usual
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    // As in a terminal of its own.
    shell.process_group(0).spawn().expect("a shell")
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let bench = Bench::new();
    let mut parent = start_after(&bench, "trap '' HUP INT");
    let cell = wait_for_cell(parent.id());
    for signal in ["HUP", "INT", "HUP"] {
        assert!(send(signal, parent.id()));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(parent.try_wait().unwrap(), None);
    assert!(send("TERM", parent.id()));
    assert_eq!(parent.wait().unwrap().code(), Some(130));
    wait_until_gone(cell);
}

#[test]
fn a_cell_that_was_stopped_is_woken_to_end_and_dies_with_its_parent() {
    let bench = Bench::new();
    let mut parent = start_after(&bench, "true");
    let cell = wait_for_cell(parent.id());
    assert!(send("STOP", cell));
    let start = Instant::now();
    assert!(send("TERM", parent.id()));
    assert_eq!(parent.wait().unwrap().code(), Some(130));
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "it was asked in vain"
    );
    wait_until_gone(cell);
    let mut parent = start_after(&bench, "true");
    let cell = wait_for_cell(parent.id());
    // Once it listens to its parent.
    std::thread::sleep(Duration::from_millis(500));
    assert!(send("STOP", cell));
    assert!(send("KILL", parent.id()));
    parent.wait().unwrap();
    wait_until_gone(cell);
    let mut again = start_after(&bench, "true");
    wait_for_cell(again.id());
    assert!(send("INT", again.id()));
    assert!(send("INT", again.id()) || again.try_wait().unwrap().is_some());
    assert_eq!(again.wait().unwrap().code(), Some(130));
}

#[test]
fn a_folder_that_is_taken_away_stops_the_run_with_words() {
    let bench = Bench::new();
    let mut command = long_run(&bench);
    let parent = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let cell = wait_for_cell(parent.id());
    std::fs::rename(bench.path("long"), bench.path("moved")).unwrap();
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the run was stopped"), "{stderr}");
    assert!(
        stderr.contains("moved or removed while the run was at work"),
        "{stderr}"
    );
    wait_until_gone(cell);
}
