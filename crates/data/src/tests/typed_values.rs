//! Values of one column wherever it stands: of the rows, of a joined table or in lists, in text, Parquet and Arrow.

use super::*;
use crate::DataWarning;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::fmt::Write;
use std::fs::File;
use std::sync::Arc;

/// Where the column `v` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Rows,
    Joined,
    Key,
    List,
    JoinedList,
}

const PLACES: [Place; 5] = [
    Place::Rows,
    Place::Joined,
    Place::Key,
    Place::List,
    Place::JoinedList,
];

/// Rows of every file of rows: the n values come once each, again and again.
const NUM_ROWS: usize = 30;

/// A description with one feature of `v`, which `column` declares; `more` stands before the first table.
fn described(place: Place, ending: &str, column: &str, more: &str) -> String {
    let of_rows = match place {
        Place::Rows | Place::List => format!("\"row\", {column}, \"y\""),
        Place::Key => format!("\"row\", {column}, \"y\""),
        Place::Joined | Place::JoinedList => "\"row\", \"u\", \"y\"".to_owned(),
    };
    let join = match place {
        Place::Rows | Place::List => String::new(),
        Place::Key => {
            let key = column.replace("name = \"v\"", "name = \"k\"");
            format!(
                "[joins.t]\nfile = \"table\"\non = \"v\"\nkey = \"k\"\ncolumns = [{key}, \"row_of_table\"]\n"
            )
        }
        _ => format!("[joins.t]\nfile = \"table\"\non = \"u\"\ncolumns = [\"u\", {column}]\n"),
    };
    let feature = match place {
        Place::Rows | Place::Joined => "v = { kind = \"categorical\" }",
        Place::Key => "v = { kind = \"categorical\", column = \"row_of_table\" }",
        Place::List | Place::JoinedList => "v = { kind = \"list\" }",
    };
    let table = match place {
        Place::Rows | Place::List => String::new(),
        _ => format!("[files.table]\nname = \"table.{ending}\"\n"),
    };
    format!(
        "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [{of_rows}]\n{more}[files.log]\nname = \"log.{ending}\"\n\
         {table}{join}[split]\nkind = \"time\"\ncolumn = \"row\"\nvalidation_from = 15\ntest_from = 24\n[features]\n{feature}\n\
         [tasks.y]\nlabel = \"y\"\ngroup = \"a\"\n[protocols.all]\ntasks = [\"y\"]\n"
    )
}

fn save(dataset: &Dataset, name: &str, columns: &[(&str, ArrayRef)]) {
    let path = dataset.path(&format!("data/shop/{name}"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let columns = columns
        .iter()
        .map(|(name, array)| (*name, array.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let file = File::create(&path).unwrap();
    if name.ends_with(".parquet") {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    } else {
        let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    }
}

fn numbers(values: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|it| it as i64)))
}

/// Each value in a list of its own.
fn in_lists(values: &ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let ends = OffsetBuffer::from_lengths(vec![1; values.len()]);
    Arc::new(ListArray::new(field, ends, values.clone(), None))
}

/// A dataset whose column `v` has these values in turn.
fn columnar(place: Place, ending: &str, column: &str, more: &str, values: &ArrayRef) -> Dataset {
    let dataset = Dataset::described(&described(place, ending, column, more), "", "");
    let n = values.len();
    let turns = numbers((0..NUM_ROWS).map(|row| row % n));
    let repeated = |values: &ArrayRef| arrow::compute::take(values, &turns, None).unwrap();
    let row = numbers(0..NUM_ROWS);
    let y = numbers((0..NUM_ROWS).map(|row| row * 7 / 3 % 2));
    let of_table = numbers(0..n);
    let (second, table): (_, Option<[(&str, ArrayRef); 2]>) = match place {
        Place::Rows => (("v", repeated(values)), None),
        Place::List => (("v", repeated(&in_lists(values))), None),
        Place::Key => (
            ("v", repeated(values)),
            Some([("k", values.clone()), ("row_of_table", of_table)]),
        ),
        Place::Joined => (
            ("u", turns.clone()),
            Some([("u", of_table), ("v", values.clone())]),
        ),
        Place::JoinedList => (
            ("u", turns.clone()),
            Some([("u", of_table), ("v", in_lists(values))]),
        ),
    };
    save(
        &dataset,
        &format!("log.{ending}"),
        &[("row", row), second, ("y", y)],
    );
    if let Some(table) = table {
        save(&dataset, &format!("table.{ending}"), &table);
    }
    dataset
}

fn text(place: Place, column: &str, more: &str, values: &[&str]) -> Dataset {
    let dataset = Dataset::described(&described(place, "csv", column, more), "", "");
    let is_joined = matches!(place, Place::Joined | Place::JoinedList);
    let mut log = format!("row,{},y\n", if is_joined { "u" } else { "v" });
    for row in 0..NUM_ROWS {
        let turn = row % values.len();
        let value = match is_joined {
            true => turn.to_string(),
            false => values[turn].to_owned(),
        };
        let _ = writeln!(log, "{row},{value},{}", row * 7 / 3 % 2);
    }
    dataset.write("data/shop/log.csv", &log);
    let mut table = match place {
        Place::Key => "k,row_of_table\n".to_owned(),
        _ => "u,v\n".to_owned(),
    };
    for (row, value) in values.iter().enumerate() {
        let _ = match place {
            Place::Key => writeln!(table, "{value},{row}"),
            _ => writeln!(table, "{row},{value}"),
        };
    }
    dataset.write("data/shop/table.csv", &table);
    dataset
}

/// The category, or the list's one value, of each value in turn, and what is said.
fn found(dataset: &Dataset, place: Place, n: usize) -> (Vec<String>, Vec<DataWarning>) {
    let prepared = dataset
        .open()
        .unwrap_or_else(|error| panic!("{place:?}: {error}"));
    let train = all(&prepared.train);
    let words =
        std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    let text = |id: u32| {
        let words = words.lines().skip(1).map(|line| {
            let mut fields = line.split(',').skip(1);
            (fields.next().unwrap(), fields.next().unwrap())
        });
        let of_id = words.into_iter().find(|(word, _)| *word == id.to_string());
        of_id.map_or("?", |(_, text)| text).to_owned()
    };
    let texts = match place {
        Place::List | Place::JoinedList => (0..n)
            .map(|row| {
                let start = row.checked_sub(1).map_or(0, |row| train.list_ends[row]);
                let ids = &train.list_ids[start as usize..train.list_ends[row] as usize];
                ids.iter().map(|id| text(*id)).collect::<Vec<_>>().join("|")
            })
            .collect(),
        _ => train.categorical[..n].iter().map(|id| text(*id)).collect(),
    };
    (texts, warnings(dataset))
}

fn warnings(dataset: &Dataset) -> Vec<DataWarning> {
    let reference = DatasetRef::new("shop");
    let summary = crate::prepare(&reference, &dataset.places(), &mut Notices::default());
    summary.unwrap().warnings
}

fn said(warnings: &[DataWarning], kind: &str) -> Vec<String> {
    let of_kind = warnings.iter().filter(|warning| warning.kind == kind);
    of_kind.map(|warning| warning.message.clone()).collect()
}

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
