//! What the binary carries: experiments and descriptions by name, in a folder that has none; and specs that it writes.

use crate::harness::{Bench, SMALL};
use std::path::Path;

fn with_small<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, SMALL].concat()
}

#[test]
fn the_quickstart_runs_by_its_name_in_an_empty_folder() {
    let bench = Bench::new();
    let ran = bench.run(&with_small(&["run", "quickstart", "--only", "mmoe/1"]));
    let said = ran.expect(0).stderr;
    assert!(said.contains("quickstart: the experiment of "), "{said}");
    // The same cell as from the file in a clone: neither its id nor its numbers know where the spec was.
    bench
        .quickstart("runs/from-the-file", &["--only", "mmoe/1"])
        .expect(0);
    bench.assert_same_results("runs/quickstart", "runs/from-the-file");
}

#[test]
fn a_name_is_a_file_here_before_it_is_a_carried_one() {
    let bench = Bench::new();
    let spec = include_str!("../../experiments/quickstart.toml");
    let other = spec.replace("[variants.mmoe]", "[variants.mmoe_of_this_folder]");
    bench.write("quickstart.toml", &other);
    let plan = bench.run(&["plan", "quickstart"]).expect(0);
    assert!(
        plan.stdout.contains("mmoe_of_this_folder"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stderr
            .contains("quickstart: the experiment of quickstart.toml"),
        "{}",
        plan.stderr
    );
    std::fs::create_dir_all(bench.path("experiments/datasets")).unwrap();
    std::fs::rename(
        bench.path("quickstart.toml"),
        bench.path("experiments/quickstart.toml"),
    )
    .unwrap();
    let plan = bench.run(&["plan", "quickstart"]).expect(0).stdout;
    assert!(plan.contains("mmoe_of_this_folder"), "{plan}");
}

#[test]
fn a_description_that_the_project_lacks_is_a_carried_one() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("experiments/datasets")).unwrap();
    let prepared = bench.run(&["data", "prepare", "synthetic", "--rows", "500"]);
    let said = prepared.expect(0).stdout;
    assert!(said.starts_with("synthetic ("), "{said}");
    // Whose folder is named is meant.
    let refused = bench.run(&[
        "data",
        "prepare",
        "synthetic",
        "--descriptions",
        "experiments",
    ]);
    let said = refused.expect(2).stderr;
    assert!(said.contains("there is no dataset `synthetic`"), "{said}");
    // Descriptions that extend another find it too.
    let refused = bench.run(&["data", "prepare", "kuairand-pure"]).expect(2);
    assert!(
        !refused.stderr.contains("shared/kuairand.toml"),
        "{}",
        refused.stderr
    );
}

/// A cache may be shared with others, who put there what they like.
#[test]
fn carried_files_are_written_anew_in_the_place_of_a_pipe_and_through_no_link() {
    let bench = Bench::new();
    let cache = bench.path("cache").display().to_string();
    let plan = with_small(&["plan", "quickstart"]);
    let plan = || bench.run_with(("HOMEBENCH_CACHE", &cache), &plan);
    plan().expect(0);
    let entries = std::fs::read_dir(&cache).expect("a folder").flatten();
    let is_carried = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("bundled-"))
    };
    let mut folders = entries.map(|entry| entry.path());
    let folder = folders.find(is_carried).expect("carried files");
    for name in ["ablation.toml", "quickstart.toml"] {
        std::fs::remove_file(folder.join(name)).expect("a file");
        let made = std::process::Command::new("mkfifo")
            .arg(folder.join(name))
            .status();
        assert!(made.expect("mkfifo").success());
    }
    plan().expect(0);
    assert!(folder.join("ablation.toml").is_file());
    bench.write("notes", "mine");
    std::fs::remove_file(folder.join("quickstart.toml")).expect("a file");
    std::os::unix::fs::symlink(bench.path("notes"), folder.join("quickstart.toml"))
        .expect("a link");
    plan().expect(0);
    assert_eq!(bench.read("notes"), "mine");
    std::fs::remove_dir_all(&folder).expect("a folder");
    std::fs::create_dir(bench.path("elsewhere")).expect("a folder");
    std::os::unix::fs::symlink(bench.path("elsewhere"), &folder).expect("a link");
    let said = plan().expect(2).stderr;
    assert!(said.contains("it is a link"), "{said}");
    assert!(said.contains("--cache-dir"), "{said}");
    assert_eq!(bench.files("elsewhere", &[]).len(), 0);
}

#[test]
fn an_experiment_that_is_not_there_is_told_the_nearest() {
    let bench = Bench::new();
    let said = |spec: &str| bench.run(&["run", spec]).expect(2).stderr;
    insta::assert_snapshot!(said("quickstrat"), @r"
    error: quickstrat: no such experiment
    hint: did you mean `quickstart`?
    ");
    insta::assert_snapshot!(said("experiments/census.toml"), @r"
    error: experiments/census.toml: no such file
    hint: homebench carries it: write `census`
    ");
    insta::assert_snapshot!(said("what-I-ask"), @r"
    error: what-I-ask: no such experiment
    hint: write the path of an experiment, or the name of one such as quickstart; `homebench new NAME` makes one
    ");
}

#[test]
fn a_new_spec_runs_as_it_stands_and_with_every_setting_that_it_shows() {
    let bench = Bench::new();
    let said = bench.run(&["new", "my-question"]).expect(0).stdout;
    assert_eq!(
        said,
        "my-question.toml: edit it, then: homebench run my-question.toml\n"
    );
    let text = bench.read("my-question.toml");
    assert!(
        text.contains("#   homebench run my-question.toml\n"),
        "{text}"
    );
    let run = with_small(&["run", "my-question", "--only", "mmoe/1"]);
    bench.run(&run).expect(0);
    assert!(Path::new(&bench.path("runs/my-question/report.html")).is_file());
    // A line that shows a setting has no space after its mark.
    let shown = |line: &&str| line.starts_with('#') && !line[1..].starts_with(' ');
    let mut count = 0;
    let uncommented: Vec<String> = text
        .lines()
        .map(|line| match shown(&line) && line != "#" {
            true => {
                count += 1;
                line[1..].to_owned()
            }
            false => line.to_owned(),
        })
        .collect();
    assert!(count > 10);
    let all = uncommented.join("\n");
    bench.write("all.toml", &all);
    let plan = bench.run(&["plan", "all.toml"]).expect(0).stdout;
    assert!(plan.contains("mmoe[num_experts=2]"), "{plan}");
}

#[test]
fn the_command_that_runs_a_new_spec_is_one_that_a_shell_takes() {
    let bench = Bench::new();
    let said = bench.run(&["new", "a b"]).expect(0).stdout;
    assert_eq!(said, "a b.toml: edit it, then: homebench run 'a b.toml'\n");
    let text = bench.read("a b.toml");
    assert!(text.contains("#   homebench run 'a b.toml'\n"), "{text}");
}

#[test]
fn a_new_spec_begins_as_another_and_writes_over_nothing() {
    let bench = Bench::new();
    bench
        .run(&["new", "wider.toml", "--like", "quickstart"])
        .expect(0);
    let original = include_str!("../../experiments/quickstart.toml");
    assert_eq!(bench.read("wider.toml"), original);
    bench
        .run(&["new", "third", "--like", "wider.toml"])
        .expect(0);
    assert_eq!(bench.read("third.toml"), original);
    let said = |arguments: &[&str]| bench.run(arguments).expect(2).stderr;
    insta::assert_snapshot!(said(&["new", "wider"]), @r"
    error: wider.toml: there is something already
    hint: choose another name, or remove it first
    ");
    insta::assert_snapshot!(said(&["new", "no/such/folder"]), @r"
    error: no/such/folder.toml: can't write: its folder is not there
    hint: make the folder first
    ");
    insta::assert_snapshot!(said(&["new", "fourth", "--like", "cencus"]), @r"
    error: cencus: no such file, and no experiment that homebench carries
    hint: did you mean `census`?
    ");
    assert!(!bench.path("fourth.toml").exists());
    assert_eq!(bench.read("wider.toml"), original);
}
