//! NaN and missing numbers are counted wherever they stand.

use super::*;

#[test]
fn nan_that_is_read_as_nothing_is_counted_wherever_it_stands() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0, 2.0]));
    for (place, expected) in [
        (Place::Rows, "NaN on 10 rows was read as a missing value"),
        (Place::List, "NaN on 10 rows was read as a missing value"),
        (
            Place::Joined,
            "NaN on 1 rows of table.parquet was read as a missing value",
        ),
        (
            Place::JoinedList,
            "NaN on 1 rows of table.parquet was read as a missing value",
        ),
    ] {
        let dataset = columnar(place, "parquet", "\"v\"", "", &values);
        let (texts, warnings) = found(&dataset, place, 3);
        assert_eq!(texts, ["", "1", "2"], "{place:?}");
        assert_eq!(said(&warnings, "nan_as_missing"), [expected]);
    }
    // Of a column that is read twice each row is one.
    let dataset = columnar(
        Place::Rows,
        "parquet",
        "\"v\"",
        "optional = [\"v\"]\n",
        &values,
    );
    let text = described(Place::Rows, "parquet", "\"v\"", "optional = [\"v\"]\n").replace(
        "[features]\n",
        "[features]\nw = { kind = \"numeric\", column = \"v\" }\n",
    );
    dataset.write("descriptions/shop.toml", &text);
    let (_, warnings) = found(&dataset, Place::Rows, 3);
    let counted = said(&warnings, "nan_as_missing");
    assert_eq!(counted, ["NaN on 10 rows was read as a missing value"]);
}

#[test]
fn missing_numbers_of_a_joined_table_are_counted_unless_they_may_be_missing() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(10.0),
        Some(f64::NAN),
        None,
        Some(30.0),
    ]));
    for (is_expected, more) in [(true, ""), (false, "optional = [\"v\"]\n")] {
        let dataset = columnar(Place::Joined, "parquet", "\"v\"", more, &values);
        let text = described(Place::Joined, "parquet", "\"v\"", more).replace(
            "v = { kind = \"categorical\" }",
            "v = { kind = \"numeric\", transform = [\"standardise\"] }",
        );
        dataset.write("descriptions/shop.toml", &text);
        let prepared = dataset.open().unwrap();
        let numbers = all(&prepared.train).numeric;
        assert_eq!((numbers[1], numbers[2]), (0.0, 0.0));
        let found = said(&warnings(&dataset), "missing_numbers");
        // Rows 1 and 2 of every four, of thirty.
        let expected = "`v` is missing on 15 of 30 rows, though table.parquet has a row for them: inputs made of it are 0 after \
                        their transformation, or bucket 0; if it may be missing, add \"v\" to `optional`";
        match is_expected {
            true => assert_eq!(found, [expected]),
            false => assert_eq!(found, [] as [&str; 0]),
        }
    }
}
