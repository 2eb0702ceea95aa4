//! Marks of missing values in columns of every type.

use super::*;

/// Beside each column what DuckDB's `nullif(v, mark)` gives; categories are the texts of what is left.
#[test]
fn marks_are_found_in_columns_of_every_type_wherever_they_stand() {
    let big = 1i64 << 53;
    let decimals = Decimal128Array::from(vec![-100, 250, 300]);
    let arrays: [(ArrayRef, &str, [&str; 3]); 6] = [
        (
            Arc::new(Float32Array::from(vec![-99.9, 2.0, 3.5])),
            "-99.9",
            ["", "2", "3.5"],
        ),
        (
            Arc::new(Int64Array::from(vec![big, big + 1, 5])),
            "9007199254740993",
            ["9007199254740992", "", "5"],
        ),
        (
            Arc::new(decimals.with_precision_and_scale(5, 2).unwrap()),
            "-1",
            ["", "2.5", "3"],
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![
                0, 1_000_000, 1_500_000,
            ])),
            "1970-01-01",
            ["", "1970-01-01T00:00:01", "1970-01-01T00:00:01.500"],
        ),
        (
            Arc::new(Date32Array::from(vec![0, 19_090, 19_091])),
            "1970-01-01",
            ["", "2022-04-08", "2022-04-09"],
        ),
        (
            Arc::new(StringArray::from(vec!["-1", "-1.0", "x"])),
            "-1",
            ["", "-1.0", "x"],
        ),
    ];
    for (array, mark, expected) in arrays {
        for place in PLACES {
            let column = format!("{{ name = \"v\", missing = [\"{mark}\"] }}");
            let dataset = columnar(place, "parquet", &column, "", &array);
            let expected: Vec<String> = match place {
                // What is missing finds no row.
                Place::Key => (0..3)
                    .map(|row| {
                        if expected[row].is_empty() {
                            String::new()
                        } else {
                            row.to_string()
                        }
                    })
                    .collect(),
                _ => expected.iter().map(|text| (*text).to_owned()).collect(),
            };
            let (texts, _) = found(&dataset, place, 3);
            assert_eq!(texts, expected, "{place:?} {mark}");
        }
    }
}

#[test]
fn a_mark_of_32_bits_is_no_number_of_features_labels_and_conditions() {
    // The tester's twelve rows: 2, 3 and the mark in turn. pandas: mean 2.5 and 1 / deviation 2 of what is left.
    let values: ArrayRef = Arc::new(Float32Array::from(vec![2.0, 3.0, -99.9]));
    let column = "{ name = \"v\", missing = [\"-99.9\"] }";
    let dataset = columnar(Place::Rows, "parquet", column, "", &values);
    let text = described(Place::Rows, "parquet", column, "")
        .replace(
            "v = { kind = \"categorical\" }",
            "v = { kind = \"numeric\", transform = [\"standardise\"] }",
        )
        .replace(
            "tasks = [\"y\"]",
            "tasks = [\"y\", \"gone\", \"amount\"]\nlabel_sources_as_inputs = [\"v\"]",
        )
        + "[tasks.gone]\nlabel = \"v is null\"\ngroup = \"a\"\n\
           [tasks.amount]\nkind = \"regression\"\nlabel = \"v\"\ngroup = \"a\"\n";
    dataset.write("descriptions/shop.toml", &text);
    let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
    let train = all(&prepared.train);
    assert_eq!(train.numeric[..3], [-1.0, 1.0, 0.0]);
    let labels: Vec<&[f32]> = train.labels.chunks(3).collect();
    assert_eq!([labels[0][1], labels[1][1], labels[2][1]], [0.0, 0.0, 1.0]);
    assert_eq!((labels[0][2], labels[1][2]), (2.0, 3.0));
    assert!(labels[2][2].is_nan());
}
