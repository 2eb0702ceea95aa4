//! Clock times, files of two types, and splits by joined columns.

use super::*;

#[test]
fn clock_times_that_a_zone_skips_are_refused_in_every_layout() {
    // 2022-03-27T02:30:00, which clocks of Berlin skip by zoneinfo, and noon.
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        1_648_382_400_000_000,
        1_648_348_200_000_000,
    ]));
    let column = "{ name = \"v\", type = \"timestamp\", zone = \"Europe/Berlin\" }";
    for place in PLACES {
        for more in ["", "optional = [\"v\"]\n"] {
            let refused = columnar(place, "parquet", column, more, &values).refusal();
            assert!(
                refused.contains("row 2, column `")
                    && refused.contains("a time that clocks of Europe/Berlin show"),
                "{place:?}: {refused}"
            );
            assert!(refused.contains("found `2022-03-27T02:30:00`"), "{refused}");
        }
    }
    let noon = values.slice(0, 1);
    let (texts, _) = found(
        &columnar(Place::Joined, "parquet", column, "", &noon),
        Place::Joined,
        1,
    );
    assert_eq!(texts, ["2022-03-27T10:00:00"]);
}

/// The texts are those of DuckDB's `union_by_name`, as this program writes them.
#[test]
fn parts_of_two_types_are_one_column_or_refused() {
    let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![1, 0]));
    let narrow: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 2.0]));
    let wide: ArrayRef = Arc::new(Float64Array::from(vec![f64::from(0.1f32), 2.0]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![18_993, 18_994]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(
        [18_993, 18_994].map(|day| day * 86_400_000_000i64).to_vec(),
    ));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["1.0", "2.0"]));
    for place in [Place::Rows, Place::Joined, Place::List] {
        for (a, b, expected) in [
            (&booleans, &integers, Some(["1", "0"])),
            (&narrow, &wide, Some(["0.10000000149011612", "2"])),
            (
                &days,
                &times,
                Some(["2022-01-01T00:00:00", "2022-01-02T00:00:00"]),
            ),
            (&wide, &words, None),
            (&days, &words, None),
            (&days, &integers, None),
        ] {
            let table = if place == Place::Joined {
                "table"
            } else {
                "log"
            };
            let whole = columnar(place, "parquet", "\"v\"", "", a);
            let other = columnar(place, "parquet", "\"v\"", "", b);
            let folder = whole.path(&format!("data/shop/{table}-parts"));
            std::fs::create_dir_all(&folder).unwrap();
            let file = format!("data/shop/{table}.parquet");
            if place == Place::Joined {
                // A table whose keys are 0 and 1 in one part and 2 and 3 in the other.
                let keys = |first: usize| numbers(first..first + 2);
                save(
                    &whole,
                    "table-parts/a.parquet",
                    &[("u", keys(0)), ("v", a.clone())],
                );
                save(
                    &whole,
                    "table-parts/b.parquet",
                    &[("u", keys(2)), ("v", b.clone())],
                );
                let row = numbers(0..NUM_ROWS);
                let u = numbers((0..NUM_ROWS).map(|row| row % 4));
                let y = numbers((0..NUM_ROWS).map(|row| row * 7 / 3 % 2));
                save(&whole, "log.parquet", &[("row", row), ("u", u), ("y", y)]);
            } else {
                std::fs::copy(whole.path(&file), folder.join("a.parquet")).unwrap();
                std::fs::copy(other.path(&file), folder.join("b.parquet")).unwrap();
            }
            let text = described(place, "parquet", "\"v\"", "").replace(
                &format!("name = \"{table}.parquet\""),
                &format!("name = \"{table}-parts/*.parquet\""),
            );
            whole.write("descriptions/shop.toml", &text);
            match expected {
                Some([first, second]) => {
                    let (texts, _) = found(&whole, place, 4);
                    assert_eq!(texts, [first, second, first, second], "{place:?}");
                    let words =
                        std::fs::read_to_string(whole.prepared_folder().join("vocabularies.csv"));
                    assert_eq!(words.unwrap().lines().count(), 3, "{place:?} {first}");
                }
                None => {
                    let refused = whole.refusal();
                    assert!(
                        refused.contains("-parts/b.parquet: column `v`: its type is")
                            && refused.contains("type = \""),
                        "{place:?}: {refused}"
                    );
                }
            }
        }
    }
}

#[test]
fn rows_are_divided_by_a_column_of_a_joined_table_by_its_values() {
    let divided = |values: &[&str], column: &str| {
        let dataset = text(Place::Joined, column, "", values);
        let by_value = described(Place::Joined, "csv", column, "").replace(
            "kind = \"time\"\ncolumn = \"row\"\nvalidation_from = 15\ntest_from = 24",
            "kind = \"hash\"\ncolumn = \"v\"\nvalidation_fraction = 0.3\ntest_fraction = 0.3\nseed = 1",
        );
        dataset.write("descriptions/shop.toml", &by_value);
        let reference = DatasetRef::new("shop");
        let summary = crate::prepare(&reference, &dataset.places(), &mut Notices::default());
        let summary = summary.unwrap_or_else(|error| panic!("{error}"));
        [
            summary.train.rows,
            summary.validation.rows,
            summary.test_rows,
        ]
    };
    let plain = ["0", "1", "2", "3", "4", "5"];
    let spelled = ["00", "+1", "02", "3", "+4", "005"];
    let typed = "{ name = \"v\", type = \"integer\" }";
    let sizes = divided(&plain, "\"v\"");
    // Five rows of each value stay together.
    assert!(
        sizes.iter().all(|rows| *rows > 0 && rows % 5 == 0),
        "{sizes:?}"
    );
    assert_eq!(divided(&spelled, typed), sizes);
}
