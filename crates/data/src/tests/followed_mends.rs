//! Hints of layouts, times and expressions, each followed: what they say is accepted, and the result is right.

use super::followed_hints::follow;
use super::nine_days::*;
use super::*;

/// Times of the eighth and the ninth day as limits.
fn by_days() -> String {
    HEAD.replace("= 8", "= \"2022-04-08\"")
        .replace("= 9", "= \"2022-04-09\"")
}

/// The description with this entry in place of a column.
fn with_entry(described: &str, column: &str, entry: &str) -> String {
    let list = described
        .lines()
        .find(|line| line.starts_with("columns"))
        .unwrap();
    described.replace(list, &list.replacen(&format!("\"{column}\""), entry, 1))
}

/// Nine days, written so.
fn days(write: impl Fn(usize) -> String) -> String {
    log(|row, fields| fields[0] = write(row / 40 + 1))
}

#[test]
fn marks_in_the_place_of_a_time_are_left_out() {
    let marked = log(|row, fields| {
        fields[0] = match row {
            3 | 5 => "infinity".to_owned(),
            _ => format!("2022-04-{:02}", row / 40 + 1),
        };
    });
    let hint = "write missing = [\"infinity\"] above the first table of the description; without a time the row belongs to no split. \
                To leave such rows out: add \"day\" to `optional`, and filter = \"day is not null\"";
    let followed = by_days().replace(
        "optional = [\"x\"]",
        "missing = [\"infinity\"]\noptional = [\"x\", \"day\"]\nfilter = \"day is not null\"",
    );
    follow(&by_days(), &marked, hint, &followed);
    assert_eq!(sizes(&summary(&followed, &marked)), [278, 40, 40]);
}

#[test]
fn times_beside_iso_8601_are_told_their_format() {
    type Value = fn(usize) -> String;
    let cases: [(&str, Value, &str); 7] = [
        (
            "",
            |day| format!("2022-04-0{day}T12"),
            "format = \"%Y-%m-%dT%H\"",
        ),
        (
            "",
            |day| format!("2022-04-0{day} 01:00:00 PM"),
            "format = \"%Y-%m-%d %I:%M:%S %p\"",
        ),
        (
            "",
            |day| format!("2022-04-0{day}_12:00"),
            "format = \"%Y-%m-%d_%H:%M\"",
        ),
        (
            "",
            |day| format!("2022-04-0{day} 12:00:00.1234567890"),
            "format = \"%Y-%m-%d %H:%M:%S%.f\"",
        ),
        (
            "",
            |day| format!("2022-04-0{day} 12:00:00 Europe/Berlin"),
            "format = \"%Y-%m-%d %H:%M:%S Europe/Berlin\", zone = \"Europe/Berlin\"",
        ),
        (
            "",
            |day| format!("2022-04-0{day} 12:00:00 EST"),
            "format = \"%Y-%m-%d %H:%M:%S EST\", zone = \"EST\"",
        ),
        (
            ", format = \"%m/%d/%Y\"",
            |day| format!("0{day}.04.2022"),
            "format = \"%d.%m.%Y\"",
        ),
    ];
    for (declared, write, rule) in cases {
        let entry = |rule: &str| format!("{{ name = \"day\", type = \"timestamp\"{rule} }}");
        let described = match declared {
            "" => by_days(),
            rule => with_entry(&by_days(), "day", &entry(rule)),
        };
        let followed = with_entry(&by_days(), "day", &entry(&format!(", {rule}")));
        follow(&described, &days(write), rule, &followed);
        assert_eq!(sizes(&summary(&followed, &days(write))), [280, 40, 40]);
    }
    let american = with_entry(
        &by_days(),
        "day",
        "{ name = \"day\", type = \"timestamp\", format = \"%m/%d/%Y\" }",
    );
    follow(
        &american,
        &days(|day| format!("2022-04-0{day}")),
        "leave out the `format` of `day`, since this is ISO 8601",
        &by_days(),
    );
    // What no calendar has is said to be none still.
    let refused = shop(&by_days(), &days(|day| format!("2022-02-3{day}"))).refusal();
    assert!(refused.contains("the calendar, or the clocks"), "{refused}");
}

#[test]
fn months_are_divided_by_their_first_days() {
    let months = days(|month| format!("2022-{month:02}"));
    let by_months = HEAD
        .replace("= 8", "= \"2022-08\"")
        .replace("= 9", "= \"2022-09\"");
    let hint = "write a whole date, such as \"2022-08-01\"; where the column has months too, divide by their first days: { name = \
                \"first_day\", expression = \"cast(concat(day, '-01') as timestamp)\" } in `columns`, and column = \"first_day\" in \
                [split]";
    let whole = by_months
        .replace("2022-08", "2022-08-01")
        .replace("2022-09", "2022-09-01");
    let first_day =
        "{ name = \"first_day\", expression = \"cast(concat(day, '-01') as timestamp)\" }";
    let followed = with_entry(&whole, "like", &format!("\"like\", {first_day}"))
        .replace("column = \"day\"", "column = \"first_day\"");
    follow(&by_months, &months, hint, &followed);
    follow(&whole, &months, first_day, &followed);
    assert_eq!(sizes(&summary(&followed, &months)), [280, 40, 40]);
}

#[test]
fn times_that_divide_no_rows_are_told_without_the_split() {
    let typed = |rule: &str| {
        with_entry(
            HEAD,
            "like",
            &format!(
                "{{ name = \"like\", type = \"timestamp\"{rule} }}, {{ name = \"hour\", expression = \"extract(hour from like)\" }}"
            ),
        )
        .replace("x = { kind", "hour = { kind = \"categorical\" }\nx = { kind")
    };
    let seconds = log(|_, fields| fields[5] = "1649419200".to_owned());
    follow(
        &typed(""),
        &seconds,
        "unit = \"s\" }",
        &typed(", unit = \"s\""),
    );
    let refused = shop(&typed(""), &seconds).refusal();
    assert!(!refused.contains("[split]"), "{refused}");
    let years = log(|_, fields| fields[5] = "2022".to_owned());
    let refused = shop(&typed(""), &years).refusal();
    assert!(
        refused.contains("leave out the type of `like`: this number is no time"),
        "{refused}"
    );
}

#[test]
fn lines_that_are_no_rows_are_named() {
    let plain = log(|_, _| {});
    for (line, said) in [
        (
            "   ",
            "expected 6 fields, found 1; column `user` is missing; the line has nothing but blanks",
        ),
        ("\u{1a}", "the line is Ctrl-Z"),
        (
            "(360 rows)",
            "the line counts the rows, as psql writes it behind them",
        ),
    ] {
        let refused = shop(HEAD, &format!("{plain}{line}\n")).refusal();
        assert!(refused.contains("/log.csv:362:1: "), "{refused}");
        assert!(refused.contains(said), "{refused}");
        assert!(refused.ends_with("hint: remove the line"), "{refused}");
    }
    let semicolons = plain.replace(',', ";");
    let format = |separator: &str| {
        HEAD.replace(
            "[files.log]",
            &format!("[format]\nseparator = \"{separator}\"\n[files.log]"),
        )
    };
    let marked = format!("sep=;\n{semicolons}");
    let refused = shop(&format(";"), &marked).refusal();
    assert!(
        refused.ends_with("hint: remove the first line, which tells Excel the separator"),
        "{refused}"
    );
    let refused = shop(&format(","), &marked).refusal();
    assert!(
        refused.ends_with("and set separator = \";\" in the format"),
        "{refused}"
    );
    assert!(shop(&format(";"), &semicolons).open().is_ok());
}

#[test]
fn types_behind_names_are_those_of_recbole() {
    let typed = log(|_, _| {}).replace(',', "\t").replace(
        "day\tuser\titem\tx\tclick\tlike",
        "day:float\tuser:token\titem:token\tx:float\tclick:float\tlike:float",
    );
    let format =
        |keys: &str| HEAD.replace("[files.log]", &format!("[format]\n{keys}\n[files.log]"));
    let hint = "set kind = \"recbole\" in the format, in place of its other keys";
    let followed = format("kind = \"recbole\"");
    follow(HEAD, &typed, hint, &followed);
    follow(&format("separator = \"\\t\""), &typed, hint, &followed);
    assert_eq!(sizes(&summary(&followed, &typed)), [280, 40, 40]);
}

#[test]
fn expressions_that_fail_on_a_row_are_named() {
    let with = |columns: &str| {
        with_entry(HEAD, "like", &format!("\"like\", {columns}"))
            .replace("x = { kind", "b = { kind = \"categorical\" }\nx = { kind")
    };
    let plain = log(|_, _| {});
    let described = with(
        "{ name = \"a\", expression = \"x * 2\" }, { name = \"b\", expression = \"cast(x as integer)\" }",
    );
    insta::assert_snapshot!(shop(&described, &plain).refusal(), @r"
    /data/shop/log.csv:2:1: the column `b`, which is cast(x as integer): expected an integer (round or floor it first), found `-5.5`
    hint: guard it with `case when ... then ... end`, or write `try_cast` for null where a value can't be cast
    ");
    let filtered = HEAD.replace(
        "optional",
        "filter = \"cast(item as integer) > 1\"\noptional",
    );
    let refused = shop(&filtered, &plain).refusal();
    assert!(
        refused.contains(":2:1: `filter`, which is cast(item as integer) > 1: expected an integer"),
        "{refused}"
    );
    // The row of a label is its row in the file, also where rows before it are left out.
    let label = with_tasks(&[("clicks", "label = \"b > 2\"")]);
    let label = with_entry(
        &label,
        "like",
        "\"like\", { name = \"b\", expression = \"case when day > 1 then cast(click as integer) else 3 end\" }",
    )
    .replace("optional", "filter = \"day > 1\"\noptional");
    let words = log(|row, fields| {
        if row == 50 {
            fields[4] = "no".to_owned();
        }
    });
    let refused = shop(&label, &words).refusal();
    assert!(
        refused.contains("/log.csv:52:1: the column `b`, which is case when"),
        "{refused}"
    );
}

#[test]
fn texts_that_are_compared_with_numbers_are_cast_as_the_hint_says() {
    let described = with_tasks(&[("late", "label = \"user > 3\"")]);
    let followed = with_tasks(&[("late", "label = \"try_cast(user as float) > 3\"")]);
    let some = log(|row, fields| {
        if row % 2 == 0 {
            fields[1] = (row / 2 % 7).to_string();
        }
    });
    follow(
        &described,
        &some,
        "`try_cast(user as float)` is null",
        &followed,
    );
    // Numbers 4, 5 and 6 of seven; the other half of the rows has no label.
    let (observed, positives) = train(&summary(&followed, &some))[0];
    assert_eq!((observed, positives), (140, 60));
}

#[test]
fn a_number_of_a_joined_table_is_told_with_its_key() {
    let dataset = |transform: &str| {
        let described = super::tables::DESCRIBED.replace(
            "age = { kind = \"numeric\" }",
            &format!("age = {{ kind = \"numeric\"{transform} }}"),
        );
        let dataset = super::tables::dataset(&described);
        dataset.write(
            "data/shop/users.csv",
            "user,age,city\nann,30,Oslo\nbob,2e39,Rome\n",
        );
        dataset
    };
    insta::assert_snapshot!(dataset("").refusal(), @r#"
    /data/shop/log.csv:3:1: the column `age` of the joined table's row with the key `bob`, which is the row's `user`: expected a number that 32 bits hold, below 3.4e38 in size, found `2000000000000000000000000000000000000000`
    hint: correct the value in the joined table, or give the feature transform = ["log1p", "standardise"]
    "#);
    let followed = dataset(", transform = [\"log1p\", \"standardise\"]");
    assert!(followed.open().is_ok());
}

#[test]
fn columns_of_parquet_that_are_no_numbers_are_written_as_such() {
    use arrow::array::{ArrayRef, DurationMillisecondArray, Int64Array, RecordBatch};
    use std::sync::Arc;
    let described = HEAD
        .replace("log.csv", "log.parquet")
        .replace("optional = [\"x\"]\n", "")
        .replace("user = \"user\"\n", "");
    let write = |x: ArrayRef| {
        let dataset = Dataset::described(&described, "", "");
        let column = |of: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..360).map(of)))
        };
        let columns: [(&str, ArrayRef); 6] = [
            ("day", column(|row| row / 40 + 1)),
            ("user", column(|row| row % 7)),
            ("item", column(|row| row % 5)),
            ("x", x),
            ("click", column(|row| i64::from(row * 7 % 10 < 3))),
            ("like", column(|row| i64::from(row * 3 % 10 < 5))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        dataset
    };
    let durations = DurationMillisecondArray::from_iter_values(0..360);
    insta::assert_snapshot!(write(Arc::new(durations)).refusal(), @r"
    /data/shop/log.parquet: column `x`: expected numbers, found the type Duration(ms)
    hint: write the column as numbers in the file, such as whole numbers of a unit, or leave it out of the description
    ");
    let numbers = Int64Array::from_iter_values(0..360);
    assert!(write(Arc::new(numbers)).open().is_ok());
}
