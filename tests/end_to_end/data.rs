//! Datasets as users have them: described from their files, prepared, run.

use crate::harness::{Bench, Ran, repository};
use std::fmt::Write;

/// A block of docs/data.md by its first line, which names the file that it is.
fn documented(file: &str) -> String {
    let page = std::fs::read_to_string(repository().join("docs/data.md")).expect("docs/data.md");
    let head = format!("```toml\n# {file}\n");
    let (_, rest) = page
        .split_once(&head)
        .unwrap_or_else(|| panic!("no {file} in docs/data.md"));
    let (block, _) = rest.split_once("```").expect("a block that ends");
    block.to_owned()
}

/// Numbers that look random and are the same everywhere.
fn value(index: u32) -> u32 {
    index.wrapping_mul(2_654_435_761) >> 9
}

/// Small files in the layout of MovieLens-100K.
fn movielens(bench: &Bench) {
    const USERS: u32 = 60;
    const FILMS: u32 = 90;
    let mut ratings = String::new();
    for row in 0..4000 {
        let (user, film) = (1 + value(row) % USERS, 1 + value(row * 7 + 3) % FILMS);
        // Films differ, so that there is something to learn.
        let rating = 1 + (film % 4 + value(row * 13) % 3).min(4);
        let time = 874_724_710 + row * 4640;
        writeln!(ratings, "{user}\t{film}\t{rating}\t{time}").expect("a string");
    }
    let mut users = String::new();
    for user in 1..=USERS {
        let (gender, occupation) = (
            ["M", "F"][user as usize % 2],
            ["student", "doctor"][user as usize % 3 / 2],
        );
        writeln!(
            users,
            "{user}|{}|{gender}|{occupation}|{:05}",
            18 + user % 50,
            value(user) % 99_999
        )
        .expect("a string");
    }
    let mut films = String::new();
    for film in 1..=FILMS {
        let genres: String = (0..19)
            .map(|genre| format!("|{}", u32::from(value(film * 31 + genre).is_multiple_of(5))))
            .collect();
        writeln!(
            films,
            "{film}|Les Misérables {film} (1995)|01-Jan-{}||http://example.org/{film}{genres}",
            1990 + film % 8
        )
        .expect("a string");
    }
    std::fs::create_dir_all(bench.path("ml-100k")).expect("a folder");
    bench.write("ml-100k/u.data", &ratings);
    bench.write("ml-100k/u.user", &users);
    let latin: Vec<u8> = films.chars().map(|c| c as u8).collect();
    std::fs::write(bench.path("ml-100k/u.item"), latin).expect("a file");
}

#[test]
fn movielens_runs_with_the_files_of_the_documentation() {
    let bench = Bench::new();
    movielens(&bench);
    std::fs::create_dir_all(bench.path("experiments/datasets")).expect("a folder");
    for file in [
        "experiments/datasets/movielens.toml",
        "experiments/movielens.toml",
    ] {
        bench.write(file, &documented(file));
    }
    let prepared = bench
        .run(&["data", "prepare", "movielens", "--data-dir", "ml-100k"])
        .expect(0);
    assert!(
        prepared
            .stdout
            .contains("task like (praise): positive rate"),
        "{}",
        prepared.stdout
    );
    assert!(!prepared.stderr.contains("UTF-8"), "{}", prepared.stderr);
    let ran = bench
        .run(&[
            "run",
            "experiments/movielens.toml",
            "--set",
            "data.root=ml-100k",
            "--set",
            "training.max_epochs=3",
            "--set",
            "seeds=[1]",
        ])
        .expect(0);
    for variant in ["logistic", "mmoe", "home"] {
        assert!(
            ran.stdout.lines().any(|line| line.starts_with(variant)),
            "{}",
            ran.stdout
        );
    }
    let rows = bench.rows("runs/movielens/metrics.csv");
    let auc = rows
        .iter()
        .find(|row| &row[3] == "test" && &row[4] == "like" && &row[5] == "auc");
    let auc: f64 = auc.expect("an AUC")[6].parse().expect("a number");
    // Labels follow the film's number.
    assert!(auc > 0.6, "{auc}");
    let spec = bench.read("runs/movielens/spec.resolved.toml");
    assert!(
        !spec.contains("ml-100k"),
        "where files lie is no part of a spec:\n{spec}"
    );
}

#[test]
fn a_draft_of_movielens_runs_once_its_label_is_chosen() {
    let bench = Bench::new();
    movielens(&bench);
    let draft = bench
        .run(&[
            "data",
            "describe",
            "ml-100k/u.data",
            "ml-100k/u.user",
            "ml-100k/u.item",
        ])
        .expect(0);
    assert!(
        draft.stdout.contains("# label = \"column_3 >= 4\""),
        "{}",
        draft.stdout
    );
    let chosen = draft
        .stdout
        .replace(
            "[tasks.choose]\nlabel = \"\"",
            "[tasks.choose]\nlabel = \"column_3 >= 4\"",
        )
        .replace(
            "tasks = [\"choose\"]",
            "tasks = [\"choose\"]\nnot_inputs = [\"column_3\"]",
        );
    std::fs::create_dir_all(bench.path("experiments/datasets")).expect("a folder");
    bench.write("experiments/datasets/mine.toml", &chosen);
    let prepared = bench
        .run(&["data", "prepare", "mine", "--data-dir", "ml-100k"])
        .expect(0);
    assert!(
        prepared.stdout.contains("task choose (main)"),
        "{}",
        prepared.stdout
    );
}

#[test]
fn data_root_names_a_folder_and_nothing_else() {
    let bench = Bench::new();
    bench.write("spec.toml", "");
    let ran = bench
        .run(&["plan", "spec.toml", "--set", "data.root=3"])
        .expect(2);
    assert_eq!(
        ran.stderr,
        "error: --set data.root=3: expected the path of a folder\nhint: write --set data.root=path/to/files\n"
    );
}

const ONE_CLASS: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "color", "bought", "returned"]
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "day"
validation_from = 8
test_from = 9
[features]
color = { kind = "categorical" }
[tasks.buys]
label = "bought"
group = "shop"
[tasks.returns]
label = "returned"
group = "shop"
[protocols.all]
tasks = ["buys", "returns"]
"#;

/// Nothing is returned on the last days.
fn one_class(bench: &Bench) -> Ran {
    let mut log = "day,color,bought,returned\n".to_owned();
    for row in 0..1000 {
        let (day, returned) = (row / 100, row < 800 && value(row).is_multiple_of(3));
        writeln!(
            log,
            "{day},c{},{},{}",
            value(row) % 9,
            value(row) % 2,
            u32::from(returned)
        )
        .expect("a string");
    }
    for folder in ["experiments/datasets", "files"] {
        std::fs::create_dir_all(bench.path(folder)).expect("a folder");
    }
    bench.write("files/log.csv", &log);
    bench.write("experiments/datasets/shop.toml", ONE_CLASS);
    bench.write(
        "spec.toml",
        "question = \"Which?\"\nseeds = [1]\n[dataset]\nname = \"shop\"\n[training]\nbatch_size = 100\nmax_epochs = 1\n\
         learning_rate = 1e-2\n[variants.a]\nmodel = \"logistic\"\n",
    );
    bench.run(&["run", "spec.toml", "--set", "data.root=files"])
}

#[test]
fn a_split_with_one_class_has_no_auc_and_says_so_everywhere() {
    let bench = Bench::new();
    let ran = one_class(&bench).expect(0);
    let said = "no label of the task `returns` is positive in the validation split (100 rows): it has no AUC there";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let told = "No AUC on returns: its labels are of one class, 0 of 100 rows are positive in the test split.";
    // Lines are broken at eighty columns.
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(told), "{}", ran.stdout);
    for row in bench.rows("runs/spec/metrics.csv") {
        if &row[4] == "returns" && &row[5] == "auc" {
            assert_eq!((&row[6], &row[7], &row[8]), ("", "100", "0"));
        }
    }
    let report = bench.report("runs/spec");
    assert!(
        report.contains("It has no AUC: its labels are of one class, 0 of 100 rows are positive"),
        "{report}"
    );
}
