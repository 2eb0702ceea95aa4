//! Variants that are programs: judged like models, tuned, seeded, held to limits, and recorded where they fail.

use crate::harness::{Bench, experiment, repository};

/// A spec with a program beside a model, after `more`.
pub(crate) fn spec(bench: &Bench, knobs: &str, more: &str) {
    let script = repository().join("tests/adapters/rates.py");
    std::fs::copy(script, bench.path("rates.py")).expect("a script");
    bench.write(
        "spec.toml",
        &format!(
            "question = \"?\"\nseeds = [1, 2]\n{more}\n[dataset]\nname = \"synthetic\"\nrows = 2000\n\
             [training]\nmax_epochs = 1\nbatch_size = 256\n\
             [variants.rates]\ncommand = [\"python3\", \"rates.py\"]\nrows_as = \"csv\"\nfeature = \"author\"\nsmoothing = 5\n{knobs}\n\
             [variants.logistic]\nmodel = \"logistic\"\n"
        ),
    );
}

pub(crate) fn run(bench: &Bench, more: &[&str]) -> crate::harness::Ran {
    let descriptions = experiment("datasets");
    let words = [
        "run",
        "spec.toml",
        "--descriptions",
        &descriptions,
        "--out",
        "out",
    ];
    bench.run(&[&words, more].concat())
}

/// Of cells: variant, seed, status and error.
fn cells(bench: &Bench) -> Vec<[String; 4]> {
    let rows = bench.rows("out/cells.csv");
    let cells = rows
        .iter()
        .map(|row| [1, 4, 5, 6].map(|column| row[column].to_owned()));
    cells.collect()
}

/// The error of a program that has this fault.
fn failure(knobs: &str, more: &[&str]) -> String {
    let bench = Bench::new();
    spec(&bench, knobs, "");
    run(&bench, &[&["--only", "rates/1"], more].concat()).expect(1);
    let cells = cells(&bench);
    assert_eq!(cells[0][2], "failed");
    cells[0][3].clone()
}

#[test]
fn a_program_is_judged_like_a_model_and_the_same_bytes_come_again() {
    let bench = Bench::new();
    spec(&bench, "", "");
    run(&bench, &["--jobs", "2"]).expect(0);
    assert!(cells(&bench).iter().all(|cell| cell[2] == "done"));
    let metrics = bench.rows("out/metrics.csv");
    let of = |variant: &str| -> Vec<[&str; 3]> {
        let rows = metrics
            .iter()
            .filter(|row| &row[1] == variant && &row[2] == "1");
        rows.map(|row| [&row[3], &row[4], &row[5]]).collect()
    };
    assert_eq!(
        of("rates"),
        of("logistic"),
        "the same scores, in the same order"
    );
    let auc = metrics
        .iter()
        .find(|row| &row[1] == "rates" && &row[3] == "test" && &row[5] == "auc");
    let auc: f64 = auc.expect("a score")[6].parse().expect("a number");
    assert!(auc > 0.5 && auc < 1.0, "{auc}");
    // What is not known of it is said by nobody.
    let rows = bench.rows("out/cells.csv");
    let program = rows.iter().find(|row| &row[1] == "rates").expect("a cell");
    assert_eq!((&program[10], &program[11]), ("", ""));
    // Neither rows nor what it kept outlive the cell.
    assert!(
        !bench
            .path(&format!("out/cells/{}/program", &program[0]))
            .exists()
    );
    std::fs::rename(bench.path("out"), bench.path("first")).expect("a folder");
    run(&bench, &["--threads", "1"]).expect(0);
    bench.assert_same_results("out", "first");
    // What it resolves to is a spec of the same cells.
    let resolved = bench.read("out/spec.resolved.toml");
    assert!(
        resolved.contains("command = [\"python3\", \"rates.py\"]"),
        "{resolved}"
    );
    assert!(!resolved.contains("scripts"), "{resolved}");
    bench.write("spec.toml", &resolved);
    let again = run(&bench, &[]).expect(0).stderr;
    assert!(again.contains("4 of 4 cells are done already"), "{again}");
    bench.run(&["status", "out"]).expect(0);
}

/// What a cell's program folder holds is removed in the end, so it has to be the cell's.
#[test]
fn nothing_is_removed_or_written_behind_a_link_in_the_place_of_a_programs_folder() {
    let bench = Bench::new();
    spec(&bench, "", "");
    run(&bench, &["--only", "rates/1"]).expect(0);
    let cell = format!("out/cells/{}", &bench.rows("out/cells.csv")[0][0]);
    bench.take_outcome(&cell);
    std::fs::create_dir_all(bench.path("precious/state")).expect("a folder");
    bench.write("precious/notes", "mine");
    bench.write("precious/state/notes", "mine");
    let program = bench.path(&format!("{cell}/program"));
    let link = |to: &str, place: &std::path::Path| {
        std::os::unix::fs::symlink(bench.path(to), place).expect("a link");
    };
    let refused = |place: &str| {
        let said = run(&bench, &["--only", "rates/1"]).expect(2).stderr;
        assert!(said.contains(&format!("{place}: it is a link")), "{said}");
        assert_eq!(bench.files("precious", &[]).len(), 2);
        assert_eq!(bench.read("precious/notes"), "mine");
    };
    link("precious", &program);
    refused(&format!("{cell}/program"));
    std::fs::remove_file(&program).expect("a link");
    std::fs::create_dir(&program).expect("a folder");
    link("precious/state", &program.join("state"));
    refused(&format!("{cell}/program/state"));
    // What the hint says helps. A link among the rows of an earlier start is removed, and nothing behind it.
    std::fs::remove_file(program.join("state")).expect("a link");
    link("precious", &program.join("rows"));
    run(&bench, &["--only", "rates/1"]).expect(0);
    assert!(!program.exists());
    assert_eq!(bench.files("precious", &[]).len(), 2);
}

#[test]
fn a_script_that_was_edited_is_another_cell() {
    let bench = Bench::new();
    spec(&bench, "", "");
    run(&bench, &["--only", "rates/1"]).expect(0);
    let script = bench.read("rates.py");
    bench.write("rates.py", &(script + "\n# edited\n"));
    let descriptions = experiment("datasets");
    let plan = [
        "plan",
        "spec.toml",
        "--descriptions",
        &descriptions,
        "--out",
        "out",
        "--only",
        "rates/1",
    ];
    let plan = bench.run(&plan).expect(0).stdout;
    assert!(!plan.contains("done"), "{plan}");
}

#[test]
fn a_program_is_tuned_on_validation_and_its_winner_reads_test_once() {
    let bench = Bench::new();
    let tuning = "[tuning]\ntrials = 2\nseeds = [101]\n[tuning.grid]\nsmoothing = [0.5, 500]\n";
    spec(&bench, "", "");
    let spec = bench.read("spec.toml") + tuning;
    // The other variant has no such knob, so it is the one that is not tuned.
    bench.write(
        "spec.toml",
        &spec.replace("[variants.logistic]\nmodel = \"logistic\"\n", ""),
    );
    run(&bench, &[]).expect(0);
    let tuning = bench.rows("out/tuning.csv");
    assert_eq!(tuning.len(), 2);
    let scores: Vec<f64> = tuning
        .iter()
        .map(|row| row[4].parse().expect("a score"))
        .collect();
    assert_ne!(scores[0], scores[1], "the knob reaches the program");
    for trial in &tuning {
        let part = bench.part(&format!("out/cells/{}", &trial[2]), "metrics.csv");
        assert!(!part.contains(",test,"), "a trial saw test");
    }
    let winners = bench.read("out/winners.toml");
    assert!(winners.contains("smoothing"), "{winners}");
}

#[test]
fn what_a_program_gets_wrong_is_its_cells_failure_with_place_and_fix() {
    insta::assert_snapshot!(failure("fault = \"exit\"", &[]), @"the program ended with exit code 3 while it learned; its log says more");
    insta::assert_snapshot!(failure("fault = \"nan\"", &[]), @"validation_predictions.csv, row 3 (counted from 0), column `click`: expected a probability from 0 to 1, found `nan`");
    insta::assert_snapshot!(failure("fault = \"order\"", &[]), @"validation_predictions.csv, row 1 (counted from 0), column `row`: expected 1, found `2`: write the rows in the order in which they were given, numbered from 0");
    insta::assert_snapshot!(failure("fault = \"nothing\"", &[]), @"it wrote no predictions: expected validation_predictions.csv or validation_predictions.parquet, with the columns row, click, long_view, like, follow");
    let short = failure("fault = \"short\"", &[]);
    assert!(
        short.contains(": write one for each row that was given"),
        "{short}"
    );
    let slow = failure("fault = \"hang\"", &["--set", "run.time_limit_seconds=3"]);
    assert!(
        slow.contains("`run.time_limit_seconds` allows (3 s)"),
        "{slow}"
    );
    let large = failure(
        "fault = \"memory\"",
        &["--set", "run.memory_limit_bytes=\"700MB\""],
    );
    assert!(large.contains("`run.memory_limit_bytes` allows"), "{large}");
}

/// A spec whose program is a shell that starts `first`, notes its number, and then does `then`.
#[cfg(target_os = "linux")]
fn spec_of_shell(bench: &Bench, first: &str, then: &str) {
    spec(bench, "", "");
    let text = bench.read("spec.toml");
    let text = text.replace("[\"python3\", \"rates.py\"]", "[\"sh\", \"start.sh\"]");
    bench.write("spec.toml", &text);
    let script = format!("{first} &\necho $! > number.new\nmv number.new number\n{then}\n");
    bench.write("start.sh", &script);
}

#[cfg(target_os = "linux")]
fn number(bench: &Bench) -> Option<u32> {
    let text = std::fs::read_to_string(bench.path("number")).ok()?;
    text.trim().parse().ok()
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_program_leaves_behind_ends_with_its_cell_and_holds_no_lock() {
    let bench = Bench::new();
    spec_of_shell(&bench, "sleep 471", "exec python3 rates.py \"$1\"");
    run(&bench, &["--only", "rates/1"]).expect(0);
    crate::process::wait_until_gone(number(&bench).expect("it began"));
    bench.run(&["report", "out"]).expect(0);
    run(&bench, &["--only", "rates/1"]).expect(0);
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_program_has_started_ends_with_the_run_however_it_ends() {
    use crate::process::{LONG_ENOUGH, send, wait_until_gone};
    for (signal, first) in [
        ("TERM", "sleep 472"),
        ("KILL", "sleep 473"),
        // In a session of its own.
        ("KILL", "setsid sleep 474"),
    ] {
        let bench = Bench::new();
        spec_of_shell(&bench, first, "wait");
        let descriptions = experiment("datasets");
        let words = ["run", "spec.toml", "--descriptions", &descriptions];
        let words = [&words[..], &["--out", "out", "--only", "rates/1"]].concat();
        let mut command = bench.command(&words);
        let quiet = std::process::Stdio::null;
        let mut parent = command
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .expect("it starts");
        let start = std::time::Instant::now();
        let process = loop {
            if let Some(process) = number(&bench) {
                break process;
            }
            assert!(start.elapsed() < LONG_ENOUGH, "the program never began");
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(send(signal, parent.id()));
        parent.wait().expect("it was started");
        wait_until_gone(process);
    }
}

#[test]
fn a_command_that_names_no_file_or_no_program_is_refused() {
    let bench = Bench::new();
    let refused = |words: &str| {
        spec(&bench, "", "");
        let text = bench.read("spec.toml");
        bench.write(
            "spec.toml",
            &text.replace("[\"python3\", \"rates.py\"]", words),
        );
        run(&bench, &[]).expect(2).stderr
    };
    insta::assert_snapshot!(refused("[\"python3\", \"rate.py\"]"), @r"
    error: spec.toml:11:11: `variants.rates.command`: none of its words is a file here, so nothing would tell when the program changes
    hint: name the script by its path from this folder, or add the files that it consists of to `files`
    ");
    insta::assert_snapshot!(refused("\"python3 rates.py\""), @r#"error: spec.toml:11:11: `variants.rates.command`: expected a program and its arguments, such as ["python3", "ranker.py"], found "python3 rates.py""#);
    bench.write("spec.toml", "");
    let said = failure(
        "",
        &[
            "--set",
            "variants.rates.command=[\"no-such-program\", \"rates.py\"]",
        ],
    );
    assert_eq!(said, "can't start `no-such-program`: entity not found");
}

#[test]
fn the_example_of_the_page_plans_as_many_trials_for_the_program_as_for_the_model() {
    let bench = Bench::new();
    let page = include_str!("../../docs/adapters.md");
    let example = page.split("```toml\n").nth(1).expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    bench.write("spec.toml", example);
    std::fs::create_dir_all(bench.path("docs/adapters")).expect("a folder");
    bench.write(
        "docs/adapters/sklearn_ranker.py",
        include_str!("../../docs/adapters/sklearn_ranker.py"),
    );
    let descriptions = experiment("datasets");
    let plan = bench.run(&["plan", "spec.toml", "--descriptions", &descriptions]);
    let plan = plan.expect(0).stdout;
    let trials = |variant: &str| {
        let lines = plan.lines().filter(|line| line.contains("trial-"));
        lines.filter(|line| line.contains(variant)).count()
    };
    assert_eq!((trials("sklearn"), trials("mmoe")), (3, 3), "{plan}");
}
