//! Metrics on request and cohorts, from a spec to tables and the report.

use crate::harness::{Bench, Ran};
use std::collections::BTreeMap;
use std::fmt::Write;

const SHOP: &str = r#"source = "csv"
default_protocol = "all"
columns = ["user", "item", "session", "tab", "day", "weight", "clicked", "minutes"]
user = "user"
weight = "weight"
[files.visits]
name = "shop.csv"
[features]
user = { kind = "categorical" }
item = { kind = "categorical" }
[tasks.click]
label = "clicked == 1"
group = "visit"
[tasks.stay]
kind = "regression"
label = "minutes"
group = "visit"
[split]
kind = "time"
column = "day"
validation_from = 6
test_from = 8
[protocols.all]
tasks = ["click", "stay"]
[protocols.clicks]
tasks = ["click"]
"#;

pub(crate) const SPEC: &str = r#"question = "Whom does it serve?"
seeds = [1, 2]
dataset = { name = "shop" }
training = { max_epochs = 2, batch_size = 128 }
[variants.bottom]
model = "shared_bottom"
expert_dims = [8]
tower_dims = [4]
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [8]
tower_dims = [4]
"#;

pub(crate) const ASKED: &str = r#"[metrics]
extra = ["pr_auc", "brier", "ndcg@3", "mrr", "recall@2", "precision@2", "hit_rate@1", "mae", "rmse", "spearman", "weighted_auc", "weighted_mse"]
group = "session"
[cohorts]
whole = "item is not null"
tab = "tab"
late = "day % 2 = 1 and tab <> 'a'"
new_users = "user not in train"
activity = { training_rows = [1, 20] }
"#;

struct Visit {
    user: u32,
    session: String,
    tab: &'static str,
    day: u32,
    weight: u32,
    clicked: bool,
    minutes: f64,
}

/// Numbers that look random and are the same everywhere.
fn value(index: u32) -> u32 {
    index.wrapping_mul(2_654_435_761) >> 9
}

fn visits() -> Vec<Visit> {
    let visit = |row: u32| {
        let day = row / 200;
        // Some users come only later.
        let user = value(row) % (30 + 4 * day);
        let item = value(row * 7 + 3) % 40;
        Visit {
            user,
            // Some rows are of no session.
            session: match row % 11 {
                0 => String::new(),
                _ => format!("s{user}-{}", row / 50),
            },
            tab: ["a", "b", "c", ""][(value(row * 5 + 1) % 4) as usize],
            day,
            weight: value(row * 3 + 2) % 4,
            clicked: value(row * 13) % 40 < item,
            minutes: f64::from(item) / 4.0 + f64::from(value(row * 17) % 8),
        }
    };
    (0..2000).map(visit).collect()
}

pub(crate) fn shop() -> Bench {
    let bench = Bench::new();
    let mut text = "user,item,session,tab,day,weight,clicked,minutes\n".to_owned();
    for (row, visit) in visits().iter().enumerate() {
        let Visit {
            user,
            session,
            tab,
            day,
            weight,
            clicked,
            minutes,
        } = visit;
        let (item, clicked) = (value(row as u32 * 7 + 3) % 40, u8::from(*clicked));
        writeln!(
            text,
            "u{user},i{item},{session},{tab},{day},{weight},{clicked},{minutes}"
        )
        .expect("a string");
    }
    bench.write("shop.csv", &text);
    std::fs::create_dir_all(bench.path("experiments/datasets")).expect("a folder");
    bench.write("experiments/datasets/shop.toml", SHOP);
    bench
}

pub(crate) fn run(bench: &Bench, spec: &str, more: &[&str]) -> Ran {
    bench.write("experiments/served.toml", spec);
    let fixed = ["run", "experiments/served.toml", "--set", "data.root=."];
    bench.run(&[&fixed, more].concat())
}

type Sizes = BTreeMap<(String, String), (u64, u64)>;

/// Rows and clicks of every cohort of the test split, from the file.
fn expected_sizes() -> Sizes {
    let visits = visits();
    let mut trained = BTreeMap::<u32, u64>::new();
    for visit in visits.iter().filter(|visit| visit.day < 6) {
        *trained.entry(visit.user).or_default() += 1;
    }
    let mut sizes = Sizes::new();
    for visit in visits.iter().filter(|visit| visit.day >= 8) {
        let known = trained.get(&visit.user).copied().unwrap_or(0);
        let late = match visit.tab {
            // Even days are not late whatever the tab; of others nobody knows.
            "" if visit.day % 2 == 1 => "",
            tab if visit.day % 2 == 1 && tab != "a" => "true",
            _ => "false",
        };
        for (cohort, value) in [
            ("whole", "true"),
            ("tab", visit.tab),
            ("late", late),
            ("new_users", if known == 0 { "new" } else { "seen" }),
            (
                "activity",
                match known {
                    0 => "0",
                    1..20 => "1 to 19",
                    _ => "20 or more",
                },
            ),
        ] {
            let size = sizes
                .entry((cohort.to_owned(), value.to_owned()))
                .or_default();
            size.0 += 1;
            size.1 += u64::from(visit.clicked);
        }
    }
    sizes
}

#[test]
fn every_metric_is_there_by_cohort_with_sizes_and_the_bytes_depend_on_no_number_of_jobs() {
    let bench = shop();
    let spec = format!("{SPEC}{ASKED}");
    let ran = run(&bench, &spec, &["--out", "one", "--jobs", "1"]).expect(0);
    assert!(
        ran.stderr.contains("rows have no `session`"),
        "{}",
        ran.stderr
    );
    let warnings = bench.read("one/data_warnings.csv");
    assert!(warnings.contains("rows_without_group"), "{warnings}");
    let scores = bench.rows("one/metrics.csv");
    let cohorts = bench.rows("one/cohorts.csv");
    let mut sizes = Sizes::new();
    for row in cohorts
        .iter()
        .filter(|row| &row[3] == "test" && &row[4] == "click")
    {
        let size = (
            row[9].parse().expect("rows"),
            row[10].parse().expect("positives"),
        );
        let key = (row[5].to_owned(), row[6].to_owned());
        assert_eq!(*sizes.entry(key).or_insert(size), size);
    }
    assert_eq!(sizes, expected_sizes());
    // A cohort of all rows has the very scores of the split, every one.
    let whole: Vec<Vec<&str>> = cohorts
        .iter()
        .filter(|row| &row[5] == "whole")
        .map(|row| {
            [0, 1, 2, 3, 4, 7, 8, 9, 10]
                .map(|column| &row[column])
                .to_vec()
        })
        .collect();
    let all: Vec<Vec<&str>> = scores.iter().map(|row| row.iter().collect()).collect();
    assert_eq!(whole, all);
    let of_task = |task: &str| -> Vec<&str> {
        let rows = scores
            .iter()
            .filter(|row| &row[3] == "test" && &row[4] == task && &row[2] == "1");
        rows.filter(|row| &row[1] == "mmoe")
            .map(|row| &row[5])
            .collect()
    };
    let (click, stay) = (of_task("click"), of_task("stay"));
    assert_eq!(click[..2], ["auc", "log_loss"]);
    assert_eq!(
        click[9..],
        [
            "pr_auc",
            "brier",
            "weighted_auc",
            "ranked_groups",
            "ranked_groups_left_out",
            "ndcg@3",
            "mrr",
            "recall@2",
            "precision@2",
            "hit_rate@1"
        ]
    );
    assert_eq!(
        stay,
        [
            "r_squared",
            "mse",
            "mae",
            "rmse",
            "spearman",
            "weighted_mse"
        ]
    );
    let report = bench.read("one/report.md");
    for part in ["## Cohorts", "By tab: 4 cohorts", "NDCG@3", "(missing)"] {
        assert!(report.contains(part), "{part}");
    }
    run(&bench, &spec, &["--out", "two", "--jobs", "2"]).expect(0);
    bench.assert_same_results("two", "one");
}

#[test]
fn a_spec_that_asks_for_nothing_has_the_cells_and_the_scores_that_it_always_had() {
    let bench = shop();
    run(&bench, SPEC, &["--out", "plain"]).expect(0);
    run(&bench, &format!("{SPEC}{ASKED}"), &["--out", "more"]).expect(0);
    assert!(!bench.path("plain/cohorts.csv").exists());
    let plain = bench.rows("plain/metrics.csv");
    let more = bench.rows("more/metrics.csv");
    let scores = |rows: &[csv::StringRecord]| -> Vec<Vec<String>> {
        let scores = rows
            .iter()
            .map(|row| row.iter().skip(1).map(str::to_owned).collect());
        scores.collect()
    };
    let (plain, more) = (scores(&plain), scores(&more));
    let kept: Vec<&Vec<String>> = more.iter().filter(|row| plain.contains(row)).collect();
    assert_eq!(kept, plain.iter().collect::<Vec<_>>());
    assert!(more.len() > plain.len());
}

#[test]
fn what_rows_cannot_be_scored_by_is_refused_at_its_place_before_anything_is_trained() {
    let bench = shop();
    let mut empty = "user,item,session,tab,day,weight,clicked,minutes\n".to_owned();
    for row in 0..400 {
        let day = row / 40;
        let weight = u8::from(day < 8);
        writeln!(
            empty,
            "u{},i{},,t{row},{day},{weight},{},1.5",
            row % 7,
            row % 5,
            row % 2
        )
        .expect("a string");
    }
    std::fs::create_dir_all(bench.path("other")).expect("a folder");
    bench.write("other/shop.csv", &empty);
    for (root, protocol, tables, said, hint) in [
        (
            ".",
            "all",
            "[metrics]\nextra = [\"ndcg@3\"]\ngroup = \"sesion\"",
            "`metrics.group`: there is no column `sesion`",
            "did you mean `session`?",
        ),
        (
            ".",
            "all",
            "[cohorts]\ntab = \"tap\"",
            "`cohorts.tab`: there is no column `tap`",
            "did you mean `tab`?",
        ),
        (
            ".",
            "all",
            "[cohorts]\ntab = \"tap = 'a'\"",
            "`cohorts.tab`: ",
            "`tab`",
        ),
        (
            ".",
            "all",
            "[metrics]\nextra = [\"brier\"]\ngroup = \"session\"",
            "`metrics.group`: no metric ranks rows",
            "extra = [\"ndcg@10\"]",
        ),
        (
            ".",
            "clicks",
            "[metrics]\nextra = [\"brier\", \"mae\"]",
            "`metrics.extra`: `mae` is of regressions, and all tasks here tell two classes apart",
            "pr_auc, brier or ndcg@10",
        ),
        (
            "other",
            "clicks",
            "[metrics]\nextra = [\"ndcg@3\"]\ngroup = \"session\"",
            "`metrics.group`: `session` is empty on all 80 rows of the validation split",
            "rank within users",
        ),
        (
            "other",
            "clicks",
            "[metrics]\nextra = [\"weighted_auc\"]",
            "every row of the test split has the weight 0",
            "leave the weighted metrics out",
        ),
    ] {
        let spec = SPEC.replace(
            "name = \"shop\"",
            &format!("name = \"shop\", protocol = \"{protocol}\""),
        );
        bench.write("experiments/served.toml", &format!("{spec}{tables}\n"));
        let root = format!("data.root={root}");
        let ran = bench.run(&[
            "run",
            "experiments/served.toml",
            "--set",
            &root,
            "--out",
            "refused",
            "--fresh",
        ]);
        assert_ne!(ran.code, Some(0), "{tables}");
        let text = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(said), "{said}\n{}", ran.stderr);
        assert!(text.contains(hint), "{hint}\n{}", ran.stderr);
        assert!(!bench.path("refused/cohorts.csv").exists(), "{tables}");
    }
    // Of as many values as rows.
    bench.write(
        "experiments/served.toml",
        &format!("{SPEC}[cohorts]\nvisit = \"concat(session, item, minutes, user)\"\n"),
    );
    let many: String = bench.read("shop.csv");
    let many: Vec<&str> = many.lines().skip(1).collect();
    let mut wide = "user,item,session,tab,day,weight,clicked,minutes\n".to_owned();
    for copy in 0..4 {
        for (row, line) in many.iter().enumerate() {
            let (user, rest) = line.split_once(',').expect("fields");
            writeln!(wide, "{user}-{copy}-{row},{rest}").expect("a string");
        }
    }
    std::fs::create_dir_all(bench.path("wide")).expect("a folder");
    bench.write("wide/shop.csv", &wide);
    let ran = bench
        .run(&[
            "run",
            "experiments/served.toml",
            "--set",
            "data.root=wide",
            "--out",
            "wide-out",
        ])
        .expect(2);
    assert!(
        ran.stderr.contains("values; expected at most 1000"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("served.toml:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("case when"), "{}", ran.stderr);
}

#[test]
fn an_embedded_source_has_users_for_cohorts_and_no_columns() {
    let bench = Bench::new();
    let spec = crate::harness::experiment("quickstart.toml");
    let spec = std::fs::read_to_string(&spec).expect("the spec");
    let asked = "[metrics]\nextra = [\"ndcg@10\", \"pr_auc\"]\n[cohorts]\nnew_users = \"user not in train\"\n";
    bench.write("spec.toml", &format!("{spec}\n{asked}"));
    let descriptions = crate::harness::experiment("datasets");
    let fixed = ["run", "spec.toml", "--descriptions", &descriptions];
    let small = [&fixed[..], crate::harness::SMALL, &["--out", "out"]].concat();
    bench.run(&small).expect(0);
    let rows = bench.rows("out/cohorts.csv");
    assert!(
        rows.iter()
            .any(|row| &row[6] == "seen" && &row[7] == "ndcg@10" && !row[8].is_empty())
    );
    bench.write("spec.toml", &format!("{spec}\n[cohorts]\ntab = \"tab\"\n"));
    let ran = bench.run(&fixed).expect(2);
    assert!(
        ran.stderr
            .contains("made by an embedded source and have no column `tab`"),
        "{}",
        ran.stderr
    );
}
