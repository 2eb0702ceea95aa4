//! Hints of refusals, each followed: what they say is accepted.

use super::nine_days::*;
use super::*;

/// Asserts that a refusal says so, and that the description that follows its hint is prepared.
pub(super) fn follow(described: &str, log: &str, hint: &str, followed: &str) {
    let refused = shop(described, log).refusal();
    assert!(refused.contains(hint), "{hint}: {refused}");
    assert!(refused.contains("hint: "), "{refused}");
    if let Err(error) = shop(followed, log).open() {
        panic!("{hint}, followed: {error}");
    }
}

#[test]
fn an_allowed_value_that_is_a_mark_is_allowed_and_other_missing_ones_are_placed() {
    let marked = log(|row, fields| {
        if row == 3 {
            fields[2] = "NA".to_owned();
        }
    });
    let allowed = |more: &str| {
        HEAD.replace(
            "optional = [\"x\"]",
            &format!(
                "optional = [\"x\"{more}]\nmissing = [\"NA\"]\nallowed_values = {{ item = [\"i0\", \"i1\", \"i2\", \"i3\", \"i4\"] }}"
            ),
        )
    };
    let refused = shop(&allowed(""), &marked).refusal();
    assert!(
        refused.contains("/log.csv:5:6: column `item`: unknown value ``"),
        "{refused}"
    );
    follow(
        &allowed(""),
        &marked,
        "add \"item\" to `optional`",
        &allowed(", \"item\""),
    );
    let both = allowed("").replace("[\"i0\"", "[\"NA\", \"i0\"");
    assert!(shop(&both, &marked).open().is_ok());
}

#[test]
fn limits_of_a_split_are_written_as_the_column_is() {
    let days = log(|row, fields| fields[0] = format!("2022-04-{:02}", row / 40 + 1));
    let numbers = HEAD
        .replace("= 8", "= 1649376000")
        .replace("= 9", "= 1649462400");
    let quoted = HEAD
        .replace("= 8", "= \"2022-04-08\"")
        .replace("= 9", "= \"2022-04-09\"");
    follow(
        &numbers,
        &days,
        "write the limits of [split] as times in quotes, such as validation_from = \"2022-04-01\"",
        &quoted,
    );
    let typed = |head: &str, format: &str| {
        let column = format!("[{{ name = \"day\", type = \"timestamp\", format = \"{format}\" }}");
        head.replace("[\"day\"", &column)
    };
    let american = log(|row, fields| fields[0] = format!("4/{}/2022", row / 40 + 1));
    follow(
        &numbers,
        &american,
        "format = \"%m/%d/%Y\" } in place of \"day\" (%d/%m/%Y where the day comes first); and write the limits",
        &typed(&quoted, "%m/%d/%Y"),
    );
    let digits = log(|row, fields| fields[0] = format!("202204{:02}", row / 40 + 1));
    let of_digits = HEAD
        .replace("= 8", "= \"20220408\"")
        .replace("= 9", "= \"20220409\"");
    follow(
        &of_digits,
        &digits,
        "type = \"timestamp\", format = \"%Y%m%d\" }",
        &typed(&of_digits, "%Y%m%d"),
    );
}

#[test]
fn a_boolean_of_other_words_is_a_text_of_a_label() {
    let words = log(|row, fields| fields[4] = ["Yes", "No"][row % 2].to_owned());
    let of_label = with_tasks(&[("click", "label = 'click = \"Yes\"'")]);
    let typed = of_label.replace(
        "\"click\", \"like\"",
        "{ name = \"click\", type = \"boolean\" }, \"like\"",
    );
    follow(&typed, &words, "leave out the type of `click`", &of_label);
}

#[test]
fn a_filter_leaves_negative_weights_out() {
    let weights = log(|row, fields| {
        if row % 40 == 0 {
            fields[5] = "-1".to_owned();
        }
    });
    let weighted = HEAD.replace(
        "optional = [\"x\"]",
        "optional = [\"x\"]\nweight = \"like\"",
    );
    let filter = "filter = \"like >= 0\"";
    follow(
        &weighted,
        &weights,
        filter,
        &weighted.replace("optional", &format!("{filter}\noptional")),
    );
}

#[test]
fn a_header_that_nobody_said_is_there_is_found() {
    let log = log(|_, _| {});
    let without = |has: bool| {
        HEAD.replace(
            "[files.log]",
            &format!("[format]\nhas_header = {has}\n[files.log]"),
        )
    };
    follow(
        &without(false),
        &log,
        "set has_header = true in the format",
        &without(true),
    );
}

#[test]
fn times_counted_with_an_exponent_are_read() {
    let plain = log(|row, fields| fields[0] = (1_649_376_000 + row / 40 + 1).to_string());
    let exponents =
        log(|row, fields| fields[0] = format!("{:e}", (1_649_376_000 + row / 40 + 1) as f64));
    let described = HEAD
        .replace(
            "[\"day\"",
            "[{ name = \"day\", type = \"timestamp\", unit = \"s\" }",
        )
        .replace("= 8", "= 1649376008")
        .replace("= 9", "= 1649376009")
        .replace("item = {", "day = { kind = \"numeric\" }\nitem = {");
    let rows = |log: &str| all(&shop(&described, log).open().unwrap().train).numeric;
    assert!(exponents.contains("1.649376001e9"));
    assert_eq!(rows(&plain), rows(&exponents));
}

#[test]
fn formats_that_lose_a_part_of_a_time_and_zones_of_dates_are_refused() {
    let typed = |rule: &str| {
        let column = format!("[{{ name = \"day\", {rule} }}");
        HEAD.replace("[\"day\"", &column)
            .replace("= 8", "= \"2022-04-08\"")
            .replace("= 9", "= \"2022-04-09\"")
    };
    let evenings = log(|row, fields| fields[0] = format!("04/{}/2022 07:30 PM", row / 40 + 1));
    follow(
        &typed("type = \"timestamp\", format = \"%m/%d/%Y %I:%M\""),
        &evenings,
        "add %p for AM and PM",
        &typed("type = \"timestamp\", format = \"%m/%d/%Y %I:%M %p\""),
    );
    let fractions =
        log(|row, fields| fields[0] = format!("2022-04-0{} 12:00:00;300", row / 40 + 1));
    follow(
        &typed("type = \"timestamp\", format = \"%Y-%m-%d %H:%M:%S;%f\""),
        &fractions,
        "or %3f, %6f or %9f for so many digits",
        &typed("type = \"timestamp\", format = \"%Y-%m-%d %H:%M:%S;%3f\""),
    );
    let days = log(|row, fields| fields[0] = format!("2022-04-0{}", row / 40 + 1));
    follow(
        &typed("type = \"date\", zone = \"Europe/Berlin\""),
        &days,
        "leave `zone` out",
        &typed("type = \"date\""),
    );
}

#[test]
fn spaces_of_texts_in_parquet_are_trimmed_as_the_hint_says() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let text = HEAD
        .replace("log.csv", "log.parquet")
        .replace("optional = [\"x\"]\n", "");
    let column = |of: fn(usize) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..360).map(of)))
    };
    let texts = |of: fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..360).map(of)))
    };
    let columns: [(&str, ArrayRef); 6] = [
        ("day", column(|row| row as i64 / 40 + 1)),
        ("user", column(|row| row as i64 % 7)),
        ("item", texts(|row| [" a", "a ", "b"][row % 3].to_owned())),
        ("x", texts(|row| format!(" {}", row % 11))),
        ("click", column(|row| i64::from(row * 7 % 10 < 3))),
        ("like", column(|row| i64::from(row * 3 % 10 < 5))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    for kind in ["", "kind = \"parquet\"\n"] {
        let trimmed = text.replace(
            "[files.log]",
            &format!("[format]\n{kind}trim_spaces = true\n[files.log]"),
        );
        let prepared = |described: &str| {
            let dataset = Dataset::described(described, "", "");
            let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
            let mut writer =
                parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            dataset
        };
        let refused = prepared(&text).refusal();
        assert!(refused.contains("trim_spaces = true"), "{refused}");
        let dataset = prepared(&trimmed);
        let opened = dataset.open().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(opened.train.num_rows(), 280);
        let words = std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv"));
        assert_eq!(words.unwrap().lines().count(), 3, "a header, a and b");
    }
}
