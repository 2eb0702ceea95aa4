//! Columns that expressions compute.

use super::nine_days::*;
use super::*;

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

/// A text with an offset is cast to the day that is written, as a column of the type `date` has it.
#[test]
fn a_cast_to_a_day_is_the_day_of_a_column_of_days() {
    let texts = [
        "2022-04-08T23:00:00-05:00",
        "2022-04-08T12:00:00Z",
        "2022-04-09T01:00:00+05:00",
    ];
    let written = log(|row, fields| {
        fields[1] = texts[row % 3].to_owned();
        fields[5] = texts[row % 3].to_owned();
    });
    let described = |label: &str| {
        with_tasks(&[("click", &format!("label = '{label}'"))])
            .replace("user = \"user\"\n", "")
            .replace("\"like\"]", "{ name = \"like\", type = \"date\" }]")
    };
    // By hand: of 280 training rows 84 are clicks, and 94, 93 and 93 have the first, the second and the third text.
    for (label, positives) in [
        ("cast(user as date) = like and click = 1", 84),
        (
            "cast(user as date) = date \"2022-04-08T23:00:00-05:00\"",
            187,
        ),
        ("like = \"2022-04-09T23:00:00-05:00\"", 93),
    ] {
        let summary = summary(&described(label), &written);
        assert_eq!(train(&summary), [(280, positives)], "{label}");
    }
}
