//! Hints that fit what was found, and are right when followed.

use super::nine_days::*;
use super::*;

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
fn words_and_numbers_for_unknown_labels_are_told_with_what_to_write() {
    let words = log(|row, fields| fields[5] = ["yes", "no", "NA"][row % 3].to_owned());
    let described = with_tasks(&[("likes", "label = 'like = \"yes\"'")]);
    let found = summary(&described, &words);
    assert_eq!(
        said(&found, "label_unknown_word"),
        [
            "the label of the task `likes` is made from the column `like`, and 120 rows with `NA` are taken for known labels: if it means \
             unknown, write { name = \"like\", missing = [\"NA\"] } in `columns`"
        ]
    );
    assert_eq!(train(&found), [(280, 94)]);
    let followed = described.replace(
        "\"click\", \"like\"",
        "\"click\", { name = \"like\", missing = [\"NA\"] }",
    );
    let found = summary(&followed, &words);
    assert_eq!(said(&found, "label_unknown_word"), [] as [&str; 0]);
    // 93 of 280 rows are unknown.
    assert_eq!(train(&found), [(187, 94)]);
    // Whoever names the word knows that it is there.
    let named = with_tasks(&[(
        "likes",
        "label = 'like = \"yes\"'\nobserved = 'like <> \"NA\"'",
    )]);
    assert_eq!(
        said(&summary(&named, &words), "label_unknown_word"),
        [] as [&str; 0]
    );
    let named = with_tasks(&[("likes", "label = 'like in (\"yes\", \"NA\")'")]);
    assert_eq!(
        said(&summary(&named, &words), "label_unknown_word"),
        [] as [&str; 0]
    );
    // A column of such words: the first that is found decides what is proposed.
    let plain = with_tasks(&[("likes", "label = \"like\"")]);
    for (first, proposed) in [
        (
            "unknown",
            "if `unknown` means that the label is not known, write { name = \"like\", missing = [\"unknown\"] }",
        ),
        ("no", "label = 'like <> \"no\"'"),
        ("yes", "label = 'like = \"yes\"'"),
    ] {
        let refused = shop(&plain, &log(|_, fields| fields[5] = first.to_owned())).refusal();
        assert!(refused.contains(proposed), "{refused}");
    }

    let ratings = log(|row, fields| fields[5] = ["-1", "3", "7", "10"][row % 4].to_owned());
    for task in [
        "label = \"like >= 7\"",
        "label = \"like\"\nkind = \"regression\"",
    ] {
        let found = summary(&with_tasks(&[("likes", task)]), &ratings);
        let expected = "whose one negative number is -1, and 90 rows with -1 are taken for known labels: if -1 means unknown, add observed = \
                        \"like >= 0\" to the task";
        let said = said(&found, "label_minus_one");
        assert!(said.len() == 1 && said[0].ends_with(expected), "{said:?}");
    }
}

#[test]
fn a_number_with_a_comma_may_be_one_of_thousands() {
    let described = |column: &str, feature: &str| {
        HEAD.replace("[files.log]", "[format]\nseparator = \";\"\n[files.log]")
            .replace("\"like\"]", &format!("\"like\"{column}]"))
            .replace("x = { kind", &format!("{feature} = {{ kind"))
    };
    let log = log(|row, fields| fields[3] = format!("{},000", row % 9 + 1).replace(',', "@"));
    let log = log.replace(',', ";").replace('@', ",");
    let refused = shop(&described("", "x"), &log).refusal();
    let expected = "{ name = \"x_number\", expression = \"cast(replace(x, ',', '') as float)\" } where the comma separates thousands";
    assert!(refused.contains(expected), "{refused}");
    let computed = ", { name = \"x_number\", expression = \"cast(replace(x, ',', '') as float)\" }";
    let dataset = shop(&described(computed, "x_number"), &log);
    summary_of(&dataset, RowSubset::All);
    let numbers = std::fs::read_to_string(dataset.prepared_folder().join("numbers.csv")).unwrap();
    // 1,000 to 9,000, in training 280 times.
    assert!(numbers.contains("x_number,false,49"), "{numbers}");
}
