//! Types and exact numbers: each value beside what numpy or counting by hand gives.

use super::nine_days::*;
use super::*;

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
    let (.., summary) =
        regression(&|row| format!("{:?}", 0.7 / (row + 1) as f64 * (row + 1) as f64));
    let rounded = said(&summary, "constant_label");
    assert!(
        rounded[0].contains(
            "or differs from it by rounding in 64 bits alone, in the train split (280 rows)"
        ),
        "{rounded:?}"
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
