//! Types, missing values, times and exact numbers: each value beside what numpy, datetime or counting by hand gives.

use super::*;
use crate::{RowSubset, Summary, prepare};
use std::fmt::Write;

const HEAD: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "user", "item", "x", "click", "like"]
user = "user"
optional = ["x"]
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "day"
validation_from = 8
test_from = 9
[features]
item = { kind = "categorical" }
x = { kind = "numeric", transform = ["standardise"] }
[protocols.all]
tasks = ["click"]
[tasks.click]
label = "click"
group = "a"
"#;

/// Nine days of forty rows: day, user, item, x, click, like.
fn log(change: impl Fn(usize, &mut [String; 6])) -> String {
    let mut text = "day,user,item,x,click,like\n".to_owned();
    for row in 0..360 {
        let mut fields = [
            (row / 40 + 1).to_string(),
            format!("u{}", row % 7),
            format!("i{}", row % 5),
            format!("{}.5", row as i64 % 11 - 5),
            ((row * 7 % 10 < 3) as u8).to_string(),
            ((row * 3 % 10 < 5) as u8).to_string(),
        ];
        change(row, &mut fields);
        let _ = writeln!(text, "{}", fields.join(","));
    }
    text
}

fn shop(described: &str, log: &str) -> Dataset {
    let dataset = Dataset::described(described, "", "");
    dataset.write("data/shop/log.csv", log);
    dataset
}

fn summary_of(dataset: &Dataset, rows: RowSubset) -> Summary {
    let reference = DatasetRef {
        rows,
        ..DatasetRef::new("shop")
    };
    prepare(&reference, &dataset.places(), &mut Notices::default()).unwrap()
}

fn summary(described: &str, log: &str) -> Summary {
    summary_of(&shop(described, log), RowSubset::All)
}

fn sizes(summary: &Summary) -> [usize; 3] {
    [
        summary.train.rows,
        summary.validation.rows,
        summary.test_rows,
    ]
}

/// Observed and positive training rows of each task.
fn train(summary: &Summary) -> Vec<(usize, usize)> {
    let counts = summary.train.observed.iter().zip(&summary.train.positives);
    counts
        .map(|(observed, positives)| (*observed, *positives))
        .collect()
}

fn with_tasks(tasks: &[(&str, &str)]) -> String {
    let head = HEAD.split("[protocols.all]").next().unwrap();
    let names: Vec<String> = tasks.iter().map(|(name, _)| format!("{name:?}")).collect();
    let mut text = format!(
        "{head}[protocols.all]\ntasks = [{}]\nnot_inputs = [\"x\"]\n",
        names.join(", ")
    );
    for (name, body) in tasks {
        let _ = writeln!(text, "[tasks.{name}]\ngroup = \"a\"\n{body}");
    }
    text
}

fn kinds(summary: &Summary) -> Vec<(&str, bool)> {
    summary
        .warnings
        .iter()
        .map(|warning| (warning.kind.as_str(), warning.is_loud))
        .collect()
}

fn said<'a>(summary: &'a Summary, kind: &str) -> Vec<&'a str> {
    let of_kind = summary
        .warnings
        .iter()
        .filter(|warning| warning.kind == kind);
    of_kind.map(|warning| warning.message.as_str()).collect()
}

#[test]
fn a_missing_number_is_neither_above_nor_not_above() {
    let log = log(|row, fields| {
        if row % 2 == 1 {
            fields[3].clear();
        }
    });
    let described = with_tasks(&[
        ("low", "label = \"x < 0\""),
        ("not_low", "label = \"not (x < 0)\""),
        ("kept", "label = \"click\"\nobserved = \"not (x < 0)\""),
    ]);
    let summary = summary(&described, &log);
    // Counted by hand: rows 0, 2, .. 278 have x = row mod 11 - 4.5.
    let low = (0..280).step_by(2).filter(|row| row % 11 < 5).count();
    let counts = train(&summary);
    assert_eq!(counts[0], (140, low));
    assert_eq!(counts[1], (140, 140 - low));
    assert_eq!(counts[2].0, 140 - low);
    assert_eq!(
        said(&summary, "observed_unknown"),
        [
            "whether the task `kept` is observed is unknown on 180 rows, since a value is missing there: it is not"
        ]
    );
}

#[test]
fn a_filter_that_is_unknown_leaves_the_row_out_and_counts_it() {
    let log = log(|row, fields| {
        if row % 4 == 0 {
            fields[3].clear();
        }
    });
    let described = HEAD.replace("optional", "filter = \"x <> 100\"\noptional");
    let summary = summary(&described, &log);
    assert_eq!(sizes(&summary), [210, 30, 30]);
    assert_eq!(
        said(&summary, "filtered_rows"),
        ["the filter left out 90 of 360 rows; on 90 of them a value that it needs is missing"]
    );
}

#[test]
fn rows_that_the_filter_leaves_out_need_no_place_in_time() {
    let log = log(|row, fields| {
        if row % 9 == 4 {
            fields[0].clear();
        }
    });
    let refused = shop(HEAD, &log).refusal();
    assert!(
        refused.contains("filter = \"day is not null\""),
        "{refused}"
    );
    // What the hint says, done.
    let described = HEAD.replace(
        "optional = [\"x\"]",
        "optional = [\"x\", \"day\"]\nfilter = \"day is not null\"",
    );
    let summary = summary(&described, &log);
    let with_a_day = |days: std::ops::RangeInclusive<usize>| {
        let rows = (0..360).filter(|row| row % 9 != 4 && days.contains(&(row / 40 + 1)));
        rows.count()
    };
    assert_eq!(
        sizes(&summary),
        [with_a_day(1..=7), with_a_day(8..=8), with_a_day(9..=9)]
    );
}

#[test]
fn decimal_commas_are_read_as_the_hint_says() {
    let with_points = log(|row, fields| fields[3] = format!("{}.25", row % 13));
    let with_commas = log(|row, fields| fields[3] = format!("\"{},25\"", row % 13));
    let quoted = HEAD.replace("[files.log]", "[format]\nquotes = true\n[files.log]");
    let refused = shop(&quoted, &with_commas).refusal();
    let column = "{ name = \"x_number\", expression = \"cast(replace(x, ',', '.') as float)\" }";
    assert!(refused.contains(column), "{refused}");
    let computed = quoted
        .replace("\"like\"]", &format!("\"like\", {column}]"))
        .replace("x = { kind", "x_number = { kind");
    let numbers =
        |described: &str, log: &str| all(&shop(described, log).open().unwrap().train).numeric;
    assert_eq!(
        numbers(&computed, &with_commas),
        numbers(HEAD, &with_points)
    );
}

#[test]
fn marks_of_missing_values_are_nothing_everywhere() {
    let log = log(|row, fields| {
        if row % 3 == 0 {
            fields[3] = ["NA", "\\N", "-"][row / 3 % 3].to_owned();
        }
        if row % 5 == 0 {
            fields[1] = "-".to_owned();
        }
    });
    let described = HEAD.replace("optional", "missing = [\"NA\", '\\N', \"-\"]\noptional");
    let summary = summary(&described, &log);
    assert_eq!(sizes(&summary), [280, 40, 40]);
    assert_eq!(
        said(&summary, "rows_without_user"),
        ["72 of 360 rows have no `user`; they are in no group of GAUC"]
    );
    // Without the marks the hint says what to write, and what it says works.
    let refused = shop(HEAD, &log).refusal();
    assert!(
        refused.contains("/log.csv:2:8: column `x`: expected a number, found `NA`"),
        "{refused}"
    );
    assert!(
        refused.contains("missing = [\"NA\"] above the first table"),
        "{refused}"
    );
    // A mark of one column makes it one that may be missing.
    let described = HEAD.replace("optional = [\"x\"]\n", "").replace(
        "\"x\", \"click\"",
        "{ name = \"x\", missing = [\"NA\", '\\N', \"-\"] }, \"click\"",
    );
    assert_eq!(train(&self::summary(&described, &log))[0].0, 280);
}

#[test]
fn times_are_compared_as_times_whatever_they_look_like() {
    // Ten rows each at 0, 7, 12 and 18 o'clock of nine days.
    let day = |row: usize| row / 40 + 1;
    let hour = |row: usize| [0, 7, 12, 18][row % 4];
    let limits = |from: &str, to: &str| {
        HEAD.replace("validation_from = 8", &format!("validation_from = {from}"))
            .replace("test_from = 9", &format!("test_from = {to}"))
    };
    let iso =
        log(|row, fields| fields[0] = format!("2022-04-0{}T{:02}:00:00", day(row), hour(row)));
    let space = limits("\"2022-04-08 12:00:00\"", "\"2022-04-09 12:00:00\"");
    // By datetime: 7 days and 2 of 4 hours before noon of the eighth.
    assert_eq!(sizes(&summary(&space, &iso)), [300, 40, 20]);
    let zoned = limits("\"2022-04-08T14:00:00+02:00\"", "2022-04-09T12:00:00Z");
    assert_eq!(sizes(&summary(&zoned, &iso)), [300, 40, 20]);
    let mixed = log(|row, fields| {
        let zone = ["", "Z", "+00:00", " UTC"][row / 4 % 4];
        fields[0] = format!("2022-04-0{} {:02}:00:00{zone}", day(row), hour(row));
    });
    assert_eq!(sizes(&summary(&space, &mixed)), [300, 40, 20]);

    let american = log(|row, fields| fields[0] = format!("{}/1/2022", day(row) + 3));
    let wrong = limits("\"11/1/2022\"", "\"12/1/2022\"");
    let refused = shop(&wrong, &american).refusal();
    assert!(
        refused.contains("expected a time such as 2022-04-08"),
        "{refused}"
    );
    // The fix of the hint, word for word.
    let typed = "{ name = \"day\", type = \"timestamp\", format = \"%m/%d/%Y\" }";
    assert!(
        refused.contains(&format!("{typed} in place of \"day\"")),
        "{refused}"
    );
    let fixed = wrong.replace("columns = [\"day\"", &format!("columns = [{typed}"));
    assert_eq!(sizes(&summary(&fixed, &american)), [280, 40, 40]);
    // A limit in ISO 8601 is one too, a value in another form is not.
    let fixed = fixed.replace("11/1/2022", "2022-11-01");
    assert_eq!(sizes(&summary(&fixed, &american)), [280, 40, 40]);
    let refused = shop(&limits("\"2022-11-01\"", "\"2022-12-01\""), &american).refusal();
    assert!(
        refused.contains("/log.csv:2:1: column `day`: expected a time such as"),
        "{refused}"
    );
    assert!(refused.contains(typed), "{refused}");
}

#[test]
fn units_of_time_are_never_mixed() {
    let start = 1_649_376_000i64;
    let limits = HEAD
        .replace(
            "validation_from = 8",
            &format!("validation_from = {}", start + 7 * 86_400),
        )
        .replace(
            "test_from = 9",
            &format!("test_from = {}", start + 8 * 86_400),
        );
    let at = |row: usize, unit: i64| ((start + (row as i64 / 40) * 86_400) * unit).to_string();
    let seconds = log(|row, fields| fields[0] = at(row, 1));
    assert_eq!(sizes(&summary(&limits, &seconds)), [280, 40, 40]);
    let milliseconds = log(|row, fields| fields[0] = at(row, 1_000));
    let refused = shop(&limits, &milliseconds).refusal();
    assert!(
        refused.contains("found `1649376000000, which looks like milliseconds`"),
        "{refused}"
    );
    let one = log(|row, fields| fields[0] = at(row, if row == 100 { 1_000 } else { 1 }));
    let refused = shop(&limits, &one).refusal();
    assert!(
        refused.contains("/log.csv:102:1: column `day`"),
        "{refused}"
    );
    // With the unit said, limits are times or counts.
    let typed = limits.replace(
        "columns = [\"day\"",
        "columns = [{ name = \"day\", type = \"timestamp\", unit = \"ms\" }",
    );
    let dated = typed
        .replace(&(start + 7 * 86_400).to_string(), "\"2022-04-15\"")
        .replace(&(start + 8 * 86_400).to_string(), "\"2022-04-16\"");
    assert_eq!(sizes(&summary(&dated, &milliseconds)), [280, 40, 40]);
    // Seconds that are said to be milliseconds are January 1970, milliseconds that are said to be seconds no year at all.
    let wrong = dated.replace("unit = \"ms\"", "unit = \"s\"");
    let refused = shop(&wrong, &milliseconds).refusal();
    assert!(
        refused.contains("expected a number of seconds since 1970, found `1649376000000`"),
        "{refused}"
    );
}

#[test]
fn integers_keep_every_digit() {
    let log_of_ids =
        log(|row, fields| fields[1] = (9_007_199_254_740_992u64 + row as u64 % 2).to_string());
    let described = HEAD.replace(
        "optional",
        "filter = \"user != 9007199254740993\"\noptional",
    );
    assert_eq!(sizes(&summary(&described, &log_of_ids)), [140, 20, 20]);
    let snowflakes =
        log(|row, fields| fields[0] = (1_511_111_111_111_111_100u64 + row as u64).to_string());
    let described = HEAD
        .replace("= 8", "= 1511111111111111380")
        .replace("= 9", "= 1511111111111111420");
    assert_eq!(sizes(&summary(&described, &snowflakes)), [280, 40, 40]);
    let beyond = log(|row, fields| fields[1] = (u64::MAX - row as u64 % 2).to_string());
    let described = HEAD.replace(
        "optional",
        "filter = \"user = 18446744073709551615\"\noptional",
    );
    assert_eq!(sizes(&summary(&described, &beyond)), [140, 20, 20]);
}

#[test]
fn nothing_matches_nothing_in_a_join_and_among_users() {
    let log = log(|row, fields| {
        if row % 4 == 0 {
            fields[1].clear();
        }
    });
    let described = HEAD
        .replace("[split]", "[files.users]\nname = \"users.csv\"\n[joins.user]\nfile = \"users\"\non = \"user\"\ncolumns = [\"user\", \"age\"]\n[split]")
        .replace("[features]", "[features]\nage = { kind = \"categorical\" }");
    let dataset = shop(&described, &log);
    let mut users = "user,age\n,99\n".to_owned();
    (0..7).for_each(|user| users += &format!("u{user},{}\n", 20 + user));
    dataset.write("data/shop/users.csv", &users);
    let summary = summary_of(&dataset, RowSubset::All);
    assert_eq!(
        said(&summary, "unmatched_rows"),
        [
            "90 of 360 rows have no row in users.csv; its columns are empty there; 90 of them have no `user`"
        ]
    );
    assert_eq!(
        said(&summary, "rows_without_key"),
        ["1 rows of users.csv have no `user`, and belong to no row"]
    );
    let folder = dataset.prepared_folder();
    let vocabulary = std::fs::read_to_string(folder.join("vocabularies.csv")).unwrap();
    assert!(!vocabulary.contains("99"), "{vocabulary}");
    let validation = all(&dataset.open().unwrap().validation);
    let nobody = validation
        .users
        .iter()
        .filter(|user| **user == crate::NOBODY)
        .count();
    assert_eq!(nobody, 10);
}

#[test]
fn rows_of_nobody_are_no_user_in_a_split_by_user() {
    let log = log(|_, fields| fields[1].clear());
    let described = HEAD.replace(
        "kind = \"time\"\ncolumn = \"day\"\nvalidation_from = 8\ntest_from = 9",
        "kind = \"user\"\nvalidation_fraction = 0.25\ntest_fraction = 0.25\nseed = 3",
    );
    // As one user all rows would lie in one split, and the others would be empty.
    let [_, validation, test] = sizes(&summary(&described, &log));
    assert!(
        (60..120).contains(&validation) && (60..120).contains(&test),
        "{validation} {test}"
    );
}

#[test]
fn labels_that_are_no_0_or_1_are_refused_with_what_to_write() {
    let log_of = |unknown: &'static str| {
        log(move |row, fields| {
            if row % 3 == 0 {
                fields[5] = unknown.to_owned();
            }
        })
    };
    let described = with_tasks(&[("likes", "label = \"like\"")]);
    let refused = shop(&described, &log_of("-1")).refusal();
    assert!(refused.contains("expected 0 or 1, found `-1`"), "{refused}");
    // What the hint says, followed.
    assert!(
        refused.contains("label = \"like = 1\" and observed = \"like >= 0\""),
        "{refused}"
    );
    let followed = with_tasks(&[("likes", "label = \"like = 1\"\nobserved = \"like >= 0\"")]);
    let summary = summary(&followed, &log_of("-1"));
    let positives = (0..280)
        .filter(|row| row % 3 != 0 && row * 3 % 10 < 5)
        .count();
    assert_eq!(train(&summary), [(186, positives)]);
    assert_eq!(said(&summary, "label_minus_one"), [] as [&str; 0]);
    // Without `observed`, -1 is a negative label, and that is said.
    let marked = |label: &str| {
        let described = with_tasks(&[("likes", &format!("label = \"{label}\""))]);
        self::summary(&described, &log_of("-1"))
    };
    for label in [
        "like > 0",
        "not (like = 0)",
        "like in (1)",
        "like = '1'",
        "case when like = 1 then true else false end",
        "abs(like) = 1",
    ] {
        let summary = marked(label);
        let said = said(&summary, "label_minus_one");
        assert!(
            said[0].contains("120 rows with -1 are taken for known labels"),
            "{label}: {said:?}"
        );
        assert!(
            said[0].ends_with("add observed = \"like >= 0\" to the task"),
            "{label}: {said:?}"
        );
    }
    // Two classes, one of them -1.
    let two = log(|row, fields| fields[5] = ["-1", "1"][row % 2].to_owned());
    let refused = shop(&described, &two).refusal();
    assert!(
        refused.contains("if it is the negative class: label = \"like > -1\""),
        "{refused}"
    );
    let followed = with_tasks(&[("likes", "label = \"like > -1\"")]);
    let of_two = self::summary(&followed, &two);
    assert_eq!(
        (train(&of_two), said(&of_two, "label_minus_one").len()),
        (vec![(280, 140)], 0)
    );
    let refused = shop(&described, &log_of("2")).refusal();
    assert!(
        refused.contains("say which values are positive, such as label = \"like = 2\""),
        "{refused}"
    );
    // True and false are a label as they are.
    let words = log(|row, fields| fields[5] = ["True", "False"][row % 2].to_owned());
    assert_eq!(train(&self::summary(&described, &words)), [(280, 140)]);
}

#[test]
fn hints_fit_what_was_found() {
    let one = |value: &'static str| {
        let value = value.to_owned();
        log(move |row, fields| {
            if row == 100 {
                fields[3] = value.clone();
            }
        })
    };
    for (value, expected) in [
        ("x", "this is the header again"),
        (" 1.5", "trim_spaces = true"),
        ("\"1.5\"", "quotes = true"),
        ("True", "type = \"boolean\""),
        ("null", "missing = [\"null\"]"),
        ("1e39", "missing = [\"1e39\"]"),
        ("1e200", "below 3.4e38"),
        ("abc", "make the feature categorical"),
    ] {
        let refused = shop(HEAD, &one(value)).refusal();
        assert!(refused.contains("/log.csv:102:"), "{refused}");
        assert!(refused.contains(expected), "{value}: {refused}");
    }
    let weighted = HEAD
        .replace("\"like\"]", "\"weight\"]\nweight = \"weight\"")
        .replace("optional = [\"x\"]", "optional = [\"x\", \"weight\"]");
    let weights = |value: &str| {
        log(|row, fields| {
            if row == 100 {
                fields[5] = value.to_owned();
            }
        })
        .replace("like", "weight")
    };
    for (value, expected) in [
        (
            "",
            "a weight is needed on every row: fill it in, or write 0",
        ),
        (
            "1e39",
            "expected a weight of 0, or between 1.2e-38 and 3.4e38, found `1",
        ),
        ("1e-60", "expected a weight of 0"),
        ("-1", "expected a weight of 0"),
    ] {
        let refused = shop(&weighted, &weights(value)).refusal();
        assert!(
            refused.contains("/log.csv:102:") && refused.contains(expected),
            "{value}: {refused}"
        );
    }
}

#[test]
fn numbers_are_centred_before_they_are_rounded() {
    let regression = |like: &dyn Fn(usize) -> String| {
        let described = with_tasks(&[(
            "likes",
            "label = \"like\"\nkind = \"regression\"\ntransform = [\"standardise\"]",
        )]);
        let dataset = shop(&described, &log(|row, fields| fields[5] = like(row)));
        let summary = summary_of(&dataset, RowSubset::All);
        let numbers =
            std::fs::read_to_string(dataset.prepared_folder().join("numbers.csv")).unwrap();
        let line = numbers
            .lines()
            .find(|line| line.starts_with("label like"))
            .unwrap()
            .to_owned();
        let fields: Vec<f64> = line
            .split(',')
            .filter_map(|field| field.parse().ok())
            .collect();
        (
            fields[0],
            fields[1],
            all(&dataset.open().unwrap().train).labels,
            summary,
        )
    };
    // numpy: mean and 1 / deviation of 100000000 + row % 10.
    let (mean, scale, labels, _) = regression(&|row| (100_000_000 + row % 10).to_string());
    assert_eq!(mean, 100_000_004.5);
    assert!((scale - 0.348_155_311_911_396).abs() < 1e-12, "{scale}");
    let distinct: std::collections::BTreeSet<u32> =
        labels.iter().map(|label| label.to_bits()).collect();
    assert_eq!(distinct.len(), 10);
    let (mean, scale, ..) = regression(&|row| (16_777_216 + row % 2).to_string());
    assert_eq!((mean, scale), (16_777_216.5, 2.0));
    let (mean, _, labels, summary) = regression(&|row| format!("{}e-50", 1 + row % 3));
    assert!((mean / 2e-50 - 1.0).abs() < 0.01);
    assert!(labels.iter().any(|label| *label > 1.0) && said(&summary, "constant_label").is_empty());
    let (.., summary) = regression(&|_| "7".to_owned());
    assert_eq!(
        said(&summary, "constant_label"),
        [
            "every label of the task `likes` is 7 in the train split (280 rows): it has no R² there",
            "every label of the task `likes` is 7 in the validation split (40 rows): it has no R² there",
        ]
    );
    // A label whose square 32 bits don't hold is refused where nothing scales it.
    let plain = with_tasks(&[("likes", "label = \"like\"\nkind = \"regression\"")]);
    let huge = log(|row, fields| fields[5] = format!("{}e30", row + 1));
    let refused = shop(&plain, &huge).refusal();
    assert!(
        refused.contains("/log.csv:2:") && refused.contains("transform = [\"standardise\"]"),
        "{refused}"
    );
    // A number that only training's scale makes too large.
    let tiny = log(|row, fields| {
        fields[3] = if row == 290 {
            "1e20".to_owned()
        } else {
            format!("{}e-30", row % 3)
        }
    });
    let refused = shop(HEAD, &tiny).refusal();
    assert!(
        refused
            .contains("the feature `x` is 100000000000000000000 on a row of the validation split"),
        "{refused}"
    );
}

#[test]
fn a_number_of_rows_is_that_of_training_rows_whatever_divides_them() {
    let dataset = shop(HEAD, &log(|_, _| {}));
    for (wanted, expected) in [
        (140, [140, 20, 20]),
        (280, [280, 40, 40]),
        (1, [1, 1, 1]),
        (1_000, [280, 40, 40]),
    ] {
        let found = summary_of(&dataset, RowSubset::TrainRows(wanted));
        assert_eq!(sizes(&found), expected, "{wanted}");
    }
    let hashed = HEAD.replace(
        "kind = \"time\"\ncolumn = \"day\"\nvalidation_from = 8\ntest_from = 9",
        "kind = \"hash\"\nvalidation_fraction = 0.2\ntest_fraction = 0.2\nseed = 3",
    );
    let filtered = hashed.replace("optional", "filter = \"item <> 'i1'\"\noptional");
    for described in [hashed, filtered] {
        let dataset = shop(&described, &log(|_, _| {}));
        assert_eq!(
            summary_of(&dataset, RowSubset::TrainRows(50)).train.rows,
            50
        );
    }
}

#[test]
fn what_is_noticed_stays_with_the_data() {
    let other_case = log(|row, fields| {
        if row >= 280 {
            fields[2] = fields[2].to_uppercase();
        }
    });
    let dataset = shop(HEAD, &other_case);
    let first = summary_of(&dataset, RowSubset::All);
    assert_eq!(
        said(&first, "unseen_values"),
        [
            "all 40 values of the feature `item` in the validation split were not seen in training",
            "all 40 values of the feature `item` in the test split were not seen in training",
        ]
    );
    assert!(first.warnings[0].is_loud);
    // Found again, not only when it is prepared.
    let mut notices = Notices::default();
    let again = prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    assert_eq!(again.warnings, first.warnings);
    assert_eq!(notices.0.len(), first.warnings.len());
}

#[test]
fn leaks_and_copies_are_found() {
    let described = with_tasks(&[
        ("click", "label = \"click\""),
        ("again", "label = \"click = 1\""),
    ])
    .replace("not_inputs = [\"x\"]", "")
    .replace("x = {", "like = { kind = \"categorical\" }\nx = {");
    let copied = log(|row, fields| {
        fields[5] = fields[4].clone();
        // The rows of a day are those of the day before.
        let row = row % 40;
        fields[2] = format!("i{row}");
        fields[3] = format!("{row}.25");
        fields[4] = ((row % 3 == 0) as u8).to_string();
        fields[5] = ((row % 3 == 0) as u8 + 5).to_string();
    });
    let summary = summary(&described, &copied);
    assert_eq!(
        said(&summary, "equal_tasks"),
        ["the tasks `click` and `again` have the same label on all 280 training rows"]
    );
    let telling = said(&summary, "telling_feature");
    assert!(
        telling.contains(
            &"the feature `like` alone tells the label of the task `click` on every training row"
        ),
        "{telling:?}"
    );
    let copies = said(&summary, "copied_rows");
    assert_eq!(
        copies[0],
        "40 of 40 rows of the validation split have inputs that a training row has too"
    );
    assert!(
        copies[1].starts_with("40 of 40 rows of the test split"),
        "{copies:?}"
    );
    assert!(
        kinds(&summary)
            .iter()
            .any(|(kind, is_loud)| *kind == "copied_rows" && *is_loud)
    );
}

#[test]
fn features_that_say_nothing_are_told() {
    let log = log(|row, fields| {
        if row < 280 {
            fields[3].clear();
        }
    });
    let missing = "the feature `x` is missing on every training row";
    assert_eq!(said(&summary(HEAD, &log), "missing_feature"), [missing]);
    let bucket = HEAD.replace(
        "kind = \"numeric\", transform = [\"standardise\"]",
        "kind = \"bucket\", buckets = 4",
    );
    assert_eq!(said(&summary(&bucket, &log), "missing_feature"), [missing]);
    let far = self::log(|row, fields| fields[3] = (1_649_376_000 + row % 100).to_string());
    let plain = HEAD.replace(", transform = [\"standardise\"]", "");
    let said = summary(&plain, &far);
    let rounded = self::said(&said, "rounded_feature")[0].to_owned();
    assert!(
        rounded.starts_with("the feature `x` keeps 2 of 100 distinct numbers in 32 bits"),
        "{rounded}"
    );
}

#[test]
fn computed_columns_are_features_labels_keys_and_splits() {
    let described = r#"source = "table"
default_protocol = "all"
user = "user"
optional = ["x"]
[columns]
day = "integer"
user = {}
item = {}
x = {}
click = {}
like = {}
week = { expression = "(day - 1) / 7 + 1 >= 2" }
share = { expression = "coalesce(x, 0) / 2" }
letter = { expression = "substring(user, 1, 1) || lower(upper(item))" }
age_key = { expression = "'k' || day" }
liked = { expression = "like = 1 and click = 0" }
[files.log]
name = "log.csv"
[files.days]
name = "days.csv"
[joins.day]
file = "days"
on = "age_key"
key = "key"
columns = ["key", "weekday"]
[split]
kind = "time"
column = "day"
validation_from = 8
test_from = 9
[features]
letter = { kind = "categorical" }
share = { kind = "numeric" }
weekday = { kind = "numeric" }
[protocols.all]
tasks = ["liked"]
[tasks.liked]
label = "liked"
group = "a"
"#;
    let dataset = shop(described, &log(|_, _| {}));
    let days: String = (1..=9).map(|day| format!("k{day},{}\n", day % 7)).collect();
    dataset.write("data/shop/days.csv", &format!("key,weekday\n{days}"));
    let summary = summary_of(&dataset, RowSubset::All);
    assert_eq!(sizes(&summary), [280, 40, 40]);
    let positives = (0..280)
        .filter(|row| row * 3 % 10 < 5 && row * 7 % 10 >= 3)
        .count();
    assert_eq!(train(&summary), [(280, positives)]);
    let batch = all(&dataset.open().unwrap().train);
    // x = row mod 11 - 4.5 by its text, half of it, and the weekday of day 1.
    assert_eq!(batch.numeric[..4], [-2.75, 1.0, -2.25, 1.0]);
    let vocabulary =
        std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    assert!(vocabulary.contains("letter,1,ui0,56"), "{vocabulary}");
    // A label that is computed from an input gives the input away.
    let leaking = described
        .replace(
            "share = { kind",
            "x = { kind = \"numeric\" }\nshare = { kind",
        )
        .replace("like = 1 and click = 0", "x > 0");
    assert!(
        shop(&leaking, "")
            .refusal()
            .contains("the label of task `liked` is made from the column `x`")
    );
}

#[test]
fn times_in_usual_forms_are_read_with_the_format_of_the_hint() {
    let limits = HEAD
        .replace("= 8", "= \"2022-04-08\"")
        .replace("= 9", "= \"2022-04-09\"");
    for (written, format) in [
        ("0{d}.04.2022 00:00", "%d.%m.%Y %H:%M"),
        ("04/0{d}/2022", "%m/%d/%Y"),
        ("2022040{d}T000000Z", "%Y%m%dT%H%M%SZ"),
        ("2022040{d}", "%Y%m%d"),
        ("2022040{d}120000", "%Y%m%d%H%M%S"),
        ("2022-04-0{d} 00", "%Y-%m-%d %H"),
        ("0{d}-Apr-2022", "%d-%b-%Y"),
        ("0{d}/Apr/2022:13:00:00 +0200", "%d/%b/%Y:%H:%M:%S %z"),
    ] {
        let log =
            log(|row, fields| fields[0] = written.replace("{d}", &(row / 40 + 1).to_string()));
        let refused = shop(&limits, &log).refusal();
        let typed = format!("{{ name = \"day\", type = \"timestamp\", format = \"{format}\" }}");
        assert!(
            refused.contains(&format!("{typed} in place of \"day\"")),
            "{written}: {refused}"
        );
        let fixed = limits.replace("columns = [\"day\"", &format!("columns = [{typed}"));
        assert_eq!(sizes(&summary(&fixed, &log)), [280, 40, 40], "{written}");
    }
}

#[test]
fn values_of_any_kind_are_equal_as_numbers_or_as_texts() {
    let log = log(|row, fields| {
        fields[1] = ["a", "7", "07.0", "b"][row % 4].to_owned();
        fields[2] = ["a", "7.0", "7", "c"][row % 4].to_owned();
    });
    let described = with_tasks(&[("same", "label = \"user = item\"")])
        .replace("not_inputs = [\"x\"]", "not_inputs = [\"item\"]");
    assert_eq!(train(&summary(&described, &log)), [(280, 210)]);
}

#[test]
fn hashed_values_that_training_lacks_are_counted() {
    let log = log(|row, fields| {
        if row >= 280 {
            fields[2] = format!("{}.0", fields[2]);
        }
    });
    let described = HEAD.replace("kind = \"categorical\"", "kind = \"hash\", buckets = 1000");
    let found = summary(&described, &log);
    assert_eq!(said(&found, "unseen_values").len(), 2);
    assert!(said(&found, "unseen_values")[0].starts_with("all 40 values of the feature `item`"));
}

#[test]
fn columns_of_joined_tables_have_types_and_marks_too() {
    let described = HEAD
        .replace("[split]", "[files.users]\nname = \"users.csv\"\n[joins.user]\nfile = \"users\"\non = \"user\"\ncolumns = [\"user\", { name = \"age\", missing = [\"99\"] }, { name = \"born\", type = \"timestamp\", format = \"%d.%m.%Y\" }]\n[split]")
        .replace("[features]", "[features]\nage = { kind = \"numeric\" }")
        .replace("label = \"click\"", "label = \"born >= '2000-06-01'\"");
    let dataset = shop(&described, &log(|_, _| {}));
    let users: String = (0..7)
        .map(|user| format!("u{user},{},0{}.06.2000\n", [99, 20][user % 2], user % 3))
        .collect();
    dataset.write(
        "data/shop/users.csv",
        &format!(
            "user,age,born\n{}",
            users.replace(",00.06.2000", ",31.05.2000")
        ),
    );
    let summary = summary_of(&dataset, RowSubset::All);
    let positives = (0..280).filter(|row| row % 7 % 3 > 0).count();
    assert_eq!(train(&summary), [(280, positives)]);
    let batch = all(&dataset.open().unwrap().train);
    assert_eq!(
        batch.numeric[..8]
            .iter()
            .filter(|age| **age == 99.0)
            .count(),
        0
    );
}

#[test]
fn a_computed_column_does_not_hide_one_of_the_file() {
    let described = HEAD
        .replace(
            "\"x\", \"click\"",
            "\"x\", { name = \"like\", expression = \"x * 2\" }, \"click\"",
        )
        .replace(", \"like\"]", "]");
    let refused = shop(&described, &log(|_, _| {})).refusal();
    assert!(
        refused.contains("/log.csv: the file has a column `like`, which the description computes"),
        "{refused}"
    );
}

#[test]
fn units_that_differ_from_the_type_and_what_weighs_nothing_are_refused() {
    let start = 1_649_376_000i64;
    let at = |row: usize, unit: i64| ((start + (row as i64 / 40) * 86_400) * unit).to_string();
    let typed = HEAD
        .replace(
            "columns = [\"day\"",
            "columns = [{ name = \"day\", type = \"timestamp\", unit = \"ms\" }",
        )
        .replace("= 8", "= \"2022-04-15\"")
        .replace("= 9", "= \"2022-04-16\"");
    let mixed = log(|row, fields| fields[0] = at(row, if row % 2 == 0 { 1_000 } else { 1 }));
    let refused = shop(&typed, &mixed).refusal();
    assert!(
        refused.contains("/log.csv:3:1: column `day`: expected milliseconds since 1970"),
        "{refused}"
    );
    let weighted = HEAD.replace("\"like\"]", "\"like\"]\nweight = \"like\"");
    let refused = shop(&weighted, &log(|_, fields| fields[5] = "0".to_owned())).refusal();
    assert!(
        refused.contains("the weight `like` is 0 on every training row"),
        "{refused}"
    );
    let weighted_na = log(|row, fields| {
        fields[5] = if row == 7 {
            "NA".to_owned()
        } else {
            "1".to_owned()
        }
    });
    let refused = shop(&weighted, &weighted_na).refusal();
    assert!(
        refused.contains("a weight is needed on every row"),
        "{refused}"
    );
    let dataset = shop(HEAD, &log(|_, _| {}));
    let few = DatasetRef {
        rows: RowSubset::Fraction(0.001),
        ..DatasetRef::new("shop")
    };
    let said = prepare(&few, &dataset.places(), &mut Notices::default())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("so few rows were asked for that a split has none"),
        "{said}"
    );
}

#[test]
fn training_numbers_far_from_all_others_and_features_of_one_value_are_told() {
    let far = log(|row, fields| {
        if row == 100 {
            fields[3] = "1e30".to_owned()
        }
    });
    let found = summary(HEAD, &far);
    assert!(
        said(&found, "far_numbers")[0]
            .starts_with("1 training numbers of the feature `x`, such as 1"),
        "{:?}",
        found.warnings
    );
    assert_eq!(said(&found, "rounded_feature").len(), 1);
    let one = log(|_, fields| fields[2] = "i1".to_owned());
    assert_eq!(
        said(&summary(HEAD, &one), "constant_feature"),
        ["the feature `item` is the same (i1) on every training row"]
    );
    let rare = HEAD.replace(
        "kind = \"categorical\"",
        "kind = \"categorical\", min_count = 1000",
    );
    assert_eq!(
        said(&summary(&rare, &log(|_, _| {})), "rare_values").len(),
        1
    );
    // A computed input that shares a column with the label may be allowed, by its own name.
    let shared = HEAD
        .replace(
            "\"x\", \"click\"",
            "\"x\", { name = \"half\", expression = \"x / 2\" }, \"click\"",
        )
        .replace("x = {", "half = {")
        .replace("label = \"click\"", "label = \"x > 0\"");
    assert!(
        shop(&shared, &log(|_, _| {}))
            .refusal()
            .contains("made from the column `half`")
    );
    let allowed = shared.replace(
        "tasks = [\"click\"]",
        "tasks = [\"click\"]\nlabel_sources_as_inputs = [\"half\"]",
    );
    assert_eq!(train(&summary(&allowed, &log(|_, _| {})))[0].0, 280);
}

#[test]
fn a_type_gives_a_value_one_text_however_the_file_spells_it() {
    let log = log(|row, fields| {
        fields[1] = ["1", "01", "+1", "1.0"][row % 4].to_owned();
        fields[2] = [
            "2022-04-01",
            "2022-04-01T00:00:00",
            "2022-04-01 02:00:00+02:00",
            "2022-04-01 13:00",
        ][row % 4]
            .to_owned();
    });
    let words = |described: &str| {
        let dataset = shop(described, &log);
        let summary = summary_of(&dataset, RowSubset::All);
        let vocabulary =
            std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
        let words: Vec<String> = vocabulary
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(2).unwrap().to_owned())
            .collect();
        (words, summary)
    };
    let typed = |user: &str, item: &str| {
        HEAD.replace(
            "\"user\", \"item\"",
            &format!(
                "{{ name = \"user\", type = \"{user}\" }}, {{ name = \"item\", type = \"{item}\" }}"
            ),
        )
        .replace("item = {", "user = { kind = \"categorical\" }\nitem = {")
    };
    assert_eq!(words(&typed("text", "text")).0.len(), 8);
    assert_eq!(
        words(&typed("integer", "date")).0,
        ["1", "2022-04-01T00:00:00"]
    );
    assert_eq!(
        words(&typed("float", "timestamp")).0,
        ["1", "2022-04-01T00:00:00", "2022-04-01T13:00:00"]
    );
    let refused = shop(&typed("boolean", "date"), &log.replacen(",01,", ",2,", 1)).refusal();
    assert!(
        refused.contains("/log.csv:3:3: column `user`: expected 0 or 1, found `2`"),
        "{refused}"
    );
    let refused = shop(&typed("integer", "date"), &log.replacen(",+1,", ",1.5,", 1)).refusal();
    assert!(
        refused.contains("/log.csv:4:3: column `user`: expected an integer, found `1.5`"),
        "{refused}"
    );
}

#[test]
fn labels_that_are_unknown_are_counted_and_cases_are_labels() {
    let log = log(|row, fields| {
        if row % 2 == 1 {
            fields[3].clear();
        }
    });
    let described = with_tasks(&[("low", "label = \"case when x < 0 then click end\"")]);
    let found = summary(&described, &log);
    let rows: Vec<usize> = (0..280).step_by(2).filter(|row| row % 11 < 5).collect();
    let positives = rows.iter().filter(|row| *row * 7 % 10 < 3).count();
    assert_eq!(train(&found), [(rows.len(), positives)]);
    let unknown = 360 - (0..360).step_by(2).filter(|row| row % 11 < 5).count();
    assert_eq!(
        said(&found, "label_unknown"),
        [format!(
            "the label of the task `low` is unknown on {unknown} rows, since a value is missing there: they are not observed"
        )]
    );
    for (format, expected) in [
        ("%Y-%m-%d %H:%M:%S.%f", "%S%.f"),
        ("%Y-%m-%d %Z", "a zone is %z"),
    ] {
        let typed = format!("{{ name = \"day\", type = \"timestamp\", format = \"{format}\" }}");
        let refused = shop(
            &HEAD.replace("columns = [\"day\"", &format!("columns = [{typed}")),
            "",
        )
        .refusal();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn times_of_any_unit_compare_as_times() {
    use arrow::array::{
        ArrayRef, Date32Array, RecordBatch, TimestampMicrosecondArray, TimestampSecondArray,
    };
    use std::sync::Arc;
    let second = |row: i64| 1_649_376_000 + row * 3_600;
    let rows = 0..360i64;
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "day",
            Arc::new(
                rows.clone()
                    .map(|row| Some(row / 40 + 1))
                    .collect::<arrow::array::Int64Array>(),
            ),
        ),
        (
            "item",
            Arc::new(
                rows.clone()
                    .map(|row| Some(format!("i{}", row % 5)))
                    .collect::<arrow::array::StringArray>(),
            ),
        ),
        (
            "a",
            Arc::new(
                rows.clone()
                    .map(|row| Some(second(row)))
                    .collect::<TimestampSecondArray>(),
            ),
        ),
        (
            "b",
            Arc::new(
                rows.clone()
                    .map(|row| Some(second(row + row % 3 - 1) * 1_000_000))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        (
            "c",
            Arc::new(
                rows.map(|row| Some((second(row) / 86_400) as i32))
                    .collect::<Date32Array>(),
            ),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let described = with_tasks(&[
        ("later", "label = \"a < b\""),
        ("same", "label = \"a = b\""),
        ("date", "label = \"c <= b\""),
    ])
    .replace(
        "[\"day\", \"user\", \"item\", \"x\", \"click\", \"like\"]",
        "[\"day\", \"item\", \"a\", \"b\", \"c\"]",
    )
    .replace("user = \"user\"\noptional = [\"x\"]\n", "")
    .replace(
        "x = { kind = \"numeric\", transform = [\"standardise\"] }\n",
        "",
    )
    .replace("not_inputs = [\"x\"]", "")
    .replace("log.csv", "log.parquet");
    let dataset = shop(&described, "");
    let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let later = (0..280).filter(|row| row % 3 == 2).count();
    let same = (0..280).filter(|row| row % 3 == 1).count();
    // The date begins before b but where b is an hour before a at midnight.
    let date = (0..280i64)
        .filter(|row| second(*row) / 86_400 * 86_400 <= second(row + row % 3 - 1))
        .count();
    let found = train(&summary_of(&dataset, RowSubset::All));
    assert_eq!(found, [(280, later), (280, same), (280, date)]);
    // Times in a text file likewise, and a time beside a number is refused.
    let log = log(|row, fields| {
        fields[1] = format!("2022-04-01 {:02}:00", row % 24);
        fields[2] = format!("2022-04-01T{:02}:00:00", (row + 1) % 24);
    });
    let described = with_tasks(&[("later", "label = \"user < item\"")])
        .replace("not_inputs = [\"x\"]", "not_inputs = [\"item\"]");
    let later = (0..280).filter(|row| row % 24 < 23).count();
    assert_eq!(train(&summary(&described, &log)), [(280, later)]);
}

#[test]
fn computed_columns_use_those_before_them_and_those_of_joined_tables() {
    let described = HEAD
        .replace("[split]", "[files.users]\nname = \"users.csv\"\n[joins.user]\nfile = \"users\"\non = \"user\"\ncolumns = [\"user\", \"age\"]\n[split]")
        .replace("\"x\", \"click\"", "\"x\", { name = \"old\", expression = \"age > 22\" }, { name = \"both\", expression = \"old and click = 1\" }, \"click\"")
        .replace("label = \"click\"", "label = \"both\"");
    let dataset = shop(&described, &log(|_, _| {}));
    let users: String = (0..7)
        .map(|user| format!("u{user},{}\n", 20 + user))
        .collect();
    dataset.write("data/shop/users.csv", &format!("user,age\n{users}"));
    let positives = (0..280)
        .filter(|row| row % 7 > 2 && row * 7 % 10 < 3)
        .count();
    assert_eq!(
        train(&summary_of(&dataset, RowSubset::All)),
        [(280, positives)]
    );
    // What comes later is not there yet, and that is what is said.
    let turned = described.replace("expression = \"age > 22\"", "expression = \"both\"");
    let refused = shop(&turned, "").refusal();
    assert!(
        refused.contains("`both` is computed here or further down"),
        "{refused}"
    );
}
