//! What a type makes of a value, and which spellings are one key.

use super::*;

/// The right texts are `str` of Python's int, float, bool, `datetime.isoformat` and zoneinfo.
const TYPED: [(&str, &[&str], &[&str], &str); 7] = [
    (
        "type = \"integer\"",
        &["1", "02", "+3", "40"],
        &["1", "2", "3", "40"],
        "x",
    ),
    (
        "type = \"float\"",
        &["1.50", "25e-1", "03.0", "4"],
        &["1.5", "2.5", "3", "4"],
        "x",
    ),
    (
        "type = \"boolean\"",
        &["T", "0"],
        &["true", "false"],
        "maybe",
    ),
    (
        "type = \"date\", format = \"%d/%m/%Y\"",
        &["01/02/2022", "2/2/2022", "28/02/1969"],
        &[
            "2022-02-01T00:00:00",
            "2022-02-02T00:00:00",
            "1969-02-28T00:00:00",
        ],
        "2022-02-01",
    ),
    (
        "type = \"timestamp\", format = \"%d/%m/%y %I:%M %p\"",
        &["08/04/22 07:30 PM", "08/04/69 12:00 AM"],
        &["2022-04-08T19:30:00", "1969-04-08T00:00:00"],
        "08/04/22 19:30 PM",
    ),
    (
        "type = \"timestamp\", zone = \"Europe/Berlin\"",
        &[
            "2022-04-08 14:00",
            "2022-01-08T12:00:00",
            "2022-04-08T12:00:01Z",
        ],
        &[
            "2022-04-08T12:00:00",
            "2022-01-08T11:00:00",
            "2022-04-08T12:00:01",
        ],
        "2022-03-27 02:30",
    ),
    (
        "type = \"timestamp\", unit = \"ms\"",
        &["1649419200000", "1.649419201e12", "1649419202000.5"],
        &[
            "2022-04-08T12:00:00",
            "2022-04-08T12:00:01",
            "2022-04-08T12:00:02.0005",
        ],
        "noon",
    ),
];

#[test]
fn a_type_holds_for_rows_joined_tables_keys_and_lists_alike() {
    for (rule, values, expected, wrong) in TYPED {
        let column = format!("{{ name = \"v\", {rule} }}");
        for place in PLACES {
            let expected: Vec<String> = match place {
                Place::Key => (0..values.len()).map(|row| row.to_string()).collect(),
                _ => expected.iter().map(|text| (*text).to_owned()).collect(),
            };
            let bad = [&values[1..], &[wrong]].concat();
            let array = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
            let good = [
                text(place, &column, "", values),
                columnar(place, "parquet", &column, "", &array(values)),
                columnar(place, "arrow", &column, "", &array(values)),
            ];
            for dataset in good {
                let (texts, warnings) = found(&dataset, place, values.len());
                assert_eq!(texts, expected, "{place:?} {rule}");
                assert_eq!(said(&warnings, "unmatched_rows"), [] as [&str; 0]);
            }
            let in_table = matches!(place, Place::Joined | Place::JoinedList);
            for (ending, dataset) in [
                ("csv", text(place, &column, "", &bad)),
                (
                    "parquet",
                    columnar(place, "parquet", &column, "", &array(&bad)),
                ),
            ] {
                let refused = dataset.refusal();
                // The last of the values, one row below the header in text.
                let line = bad.len() + usize::from(ending == "csv");
                let at = match ending {
                    "csv" => format!(".csv:{line}:"),
                    _ => format!(".parquet: row {line}, "),
                };
                assert!(
                    refused.contains(&at) && refused.contains(&format!("found `{wrong}`")),
                    "{place:?} {rule}: {refused}"
                );
                assert!(!in_table || refused.contains("/table."), "{refused}");
                assert!(refused.contains("\nhint: "), "{refused}");
            }
        }
    }
}

#[test]
fn what_spells_a_key_of_a_type_twice_is_one_key() {
    let column = "{ name = \"v\", type = \"integer\" }";
    let refused = text(Place::Key, column, "", &["1", "2", "+1"]).refusal();
    assert!(
        refused.contains("/table.csv:4:") && refused.contains("is there twice, first at line 2"),
        "{refused}"
    );
}

#[test]
fn decimals_have_one_text_whatever_their_places() {
    let decimals = |places: u32| -> ArrayRef {
        let values = [1_00, 2_50, 3_00].map(|value| value * 10i128.pow(places - 2));
        let array = Decimal128Array::from(values.to_vec());
        Arc::new(array.with_precision_and_scale(14, places as i8).unwrap())
    };
    let dataset = columnar(Place::Key, "parquet", "{ name = \"v\" }", "", &decimals(2));
    let table = [("k", decimals(4)), ("row_of_table", numbers(0..3))];
    save(&dataset, "table.parquet", &table);
    // DuckDB joins all rows.
    let (texts, warnings) = found(&dataset, Place::Key, 3);
    assert_eq!(texts, ["0", "1", "2"]);
    assert_eq!(said(&warnings, "unmatched_rows"), [] as [&str; 0]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.5, 3.0]));
    save(
        &dataset,
        "table.parquet",
        &[("k", floats), ("row_of_table", numbers(0..3))],
    );
    std::fs::remove_dir_all(dataset.path("cache")).unwrap();
    assert_eq!(found(&dataset, Place::Key, 3).0, ["0", "1", "2"]);
    let (texts, _) = found(
        &columnar(Place::Rows, "arrow", "\"v\"", "", &decimals(3)),
        Place::Rows,
        3,
    );
    assert_eq!(texts, ["1", "2.5", "3"]);
}

#[test]
fn a_day_and_its_midnight_are_one_key() {
    let days: ArrayRef = Arc::new(Date32Array::from(vec![19_090, 19_091]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(
        [19_090, 19_091].map(|day| day * 86_400_000_000i64).to_vec(),
    ));
    for (of_rows, of_table) in [(&days, &times), (&times, &days)] {
        let dataset = columnar(Place::Key, "parquet", "{ name = \"v\" }", "", of_rows);
        let table = [("k", of_table.clone()), ("row_of_table", numbers(0..2))];
        save(&dataset, "table.parquet", &table);
        assert_eq!(found(&dataset, Place::Key, 2).0, ["0", "1"]);
    }
}
