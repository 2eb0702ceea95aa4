//! Times in every form and unit, as points on one line; values beside what Python's datetime gives.

use super::nine_days::*;
use super::*;

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
fn a_limit_may_lie_between_two_days_and_a_day_is_the_one_that_is_written() {
    let typed = |from: &str, to: &str, rule: &str| {
        HEAD.replace(
            "validation_from = 8",
            &format!("validation_from = \"{from}\""),
        )
        .replace("test_from = 9", &format!("test_from = \"{to}\""))
        .replace(
            "\"day\", \"user\"",
            &format!("{{ name = \"day\", {rule} }}, \"user\""),
        )
    };
    let of = |text: &'static str| {
        log(move |row, fields| fields[0] = text.replace('N', &(row / 40 + 1).to_string()))
    };
    // Midnight of the 8th comes after noon of the 7th.
    let date = typed(
        "2022-04-07 12:00:00",
        "2022-04-08 12:00:00",
        "type = \"date\"",
    );
    assert_eq!(sizes(&summary(&date, &of("2022-04-0N"))), [280, 40, 40]);
    // In UTC these are the days after and before.
    let date = typed("2022-04-08", "2022-04-09", "type = \"date\"");
    for text in ["2022-04-0NT23:00:00-05:00", "2022-04-0NT01:00:00+02:00"] {
        assert_eq!(sizes(&summary(&date, &of(text))), [280, 40, 40], "{text}");
    }
}

#[test]
fn years_of_two_digits_are_read_with_the_format_of_the_hint() {
    let american = log(|row, fields| fields[0] = format!("{}/1/22", row / 40 + 4));
    let limits = HEAD
        .replace("validation_from = 8", "validation_from = \"11/1/22\"")
        .replace("test_from = 9", "test_from = \"12/1/22\"");
    let typed =
        |format: &str| format!("{{ name = \"day\", type = \"timestamp\", format = \"{format}\" }}");
    let refused = shop(&limits, &american).refusal();
    let hint = typed("%m/%d/%y");
    assert!(refused.contains(&hint), "{refused}");
    let with = |column: &str| limits.replace("columns = [\"day\"", &format!("columns = [{column}"));
    assert_eq!(sizes(&summary(&with(&hint), &american)), [280, 40, 40]);
    // %Y would take 22 for the year 22, before every other.
    let of_four = with(&typed("%m/%d/%Y"))
        .replace("11/1/22", "2022-11-01")
        .replace("12/1/22", "2022-12-01");
    let refused = shop(&of_four, &american).refusal();
    assert!(
        refused.contains("with four digits of the year, found `4/1/22`"),
        "{refused}"
    );
}
