//! What is missing: unknown in conditions, nobody among users, nothing in joins; counted by hand.

use super::nine_days::*;
use super::*;

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
