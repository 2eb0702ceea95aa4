//! Parquet and Arrow files: the same rows as from text, and what is refused.

use super::tables::{DESCRIBED, dataset};
use super::*;
use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

pub(super) fn write_parquet(
    path: &Path,
    batch: &RecordBatch,
    compression: Compression,
    group_rows: usize,
) {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The log of `tables` with its columns in another order, a column more, and a type for each.
fn log() -> RecordBatch {
    let users: DictionaryArray<Int32Type> = ["ann", "bob", "ann", "cat", "ann", "bob"]
        .into_iter()
        .collect();
    batch(vec![
        (
            "click",
            Arc::new(BooleanArray::from(vec![
                true, false, false, true, true, false,
            ])),
        ),
        (
            "seconds",
            Arc::new(Float64Array::from(vec![
                Some(5.),
                None,
                Some(7.),
                Some(9.),
                Some(1.),
                Some(4.),
            ])),
        ),
        ("unused", Arc::new(Int8Array::from(vec![1; 6]))),
        ("user", Arc::new(users)),
        ("video", Arc::new(Int64Array::from(vec![1, 2, 3, 1, 2, 9]))),
        (
            "day",
            Arc::new(Int32Array::from(vec![10, 10, 11, 12, 12, 13])),
        ),
    ])
}

fn users() -> RecordBatch {
    batch(vec![
        ("age", Arc::new(Int32Array::from(vec![Some(30), None]))),
        (
            "city",
            Arc::new(LargeStringArray::from(vec!["Oslo", "Rome, Italy"])),
        ),
        ("user", Arc::new(StringArray::from(vec!["ann", "bob"]))),
    ])
}

/// A dataset whose log and users are in files with these endings.
fn described(ending: &str) -> Dataset {
    let text = DESCRIBED
        .replace("\"log.csv\"", &format!("\"log.{ending}\""))
        .replace("\"users.csv\"", &format!("\"users.{ending}\""))
        .replace(
            "format = { separator = \",\", has_header = true, quotes = true }\n",
            "",
        );
    dataset(&text)
}

fn rows(dataset: &Dataset) -> [super::super::Batch; 2] {
    let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
    [all(&prepared.train), all(&prepared.validation)]
}

fn assert_same(found: &[super::super::Batch; 2], expected: &[super::super::Batch; 2]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.categorical, expected.categorical);
        assert_eq!(found.numeric, expected.numeric);
        assert_eq!(found.labels, expected.labels);
        assert_eq!(found.users, expected.users);
    }
}

#[test]
fn parquet_of_every_codec_gives_the_rows_that_text_gives() {
    let expected = rows(&dataset(DESCRIBED));
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let dataset = described("parquet");
        write_parquet(
            &dataset.path("data/shop/log.parquet"),
            &log(),
            compression,
            4,
        );
        write_parquet(
            &dataset.path("data/shop/users.parquet"),
            &users(),
            compression,
            1,
        );
        assert_same(&rows(&dataset), &expected);
    }
}

#[test]
fn arrow_files_and_streams_give_the_rows_that_text_gives() {
    let expected = rows(&dataset(DESCRIBED));
    for (ending, compression) in [
        ("arrow", None),
        ("feather", Some(CompressionType::LZ4_FRAME)),
        ("ipc", Some(CompressionType::ZSTD)),
    ] {
        let dataset = described(ending);
        let options = || {
            let options = IpcWriteOptions::default();
            options.try_with_compression(compression).unwrap()
        };
        let create =
            |name: &str| File::create(dataset.path(&format!("data/shop/{name}.{ending}"))).unwrap();
        let log = log();
        let mut file =
            FileWriter::try_new_with_options(create("log"), &log.schema(), options()).unwrap();
        // Two batches, and one without rows between.
        for part in [log.slice(0, 4), log.slice(4, 0), log.slice(4, 2)] {
            file.write(&part).unwrap();
        }
        file.finish().unwrap();
        let users = users();
        let mut stream =
            StreamWriter::try_new_with_options(create("users"), &users.schema(), options())
                .unwrap();
        stream.write(&users).unwrap();
        stream.finish().unwrap();
        assert_same(&rows(&dataset), &expected);
    }
}

/// A large table as text and as columns.
fn large() -> (String, RecordBatch) {
    let num_rows = 150_000u32;
    let value = |row: u32| row.wrapping_mul(2_654_435_761);
    let colors = (0..num_rows).map(|row| format!("shade {}", value(row) % 977));
    let sizes = (0..num_rows).map(|row| f64::from(value(row) % 1000) / 8.0);
    let labels = (0..num_rows).map(|row| ["no", "yes"][usize::from(value(row) % 7 == 0)]);
    let text = colors
        .clone()
        .zip(sizes.clone())
        .zip(labels.clone())
        .map(|((color, size), label)| format!("{color},{size},{label}\n"))
        .collect();
    let columns = batch(vec![
        ("color", Arc::new(StringArray::from_iter_values(colors))),
        ("size", Arc::new(Float64Array::from_iter_values(sizes))),
        ("label", Arc::new(StringArray::from_iter_values(labels))),
    ]);
    (text, columns)
}

#[test]
fn a_file_of_many_batches_and_row_groups_gives_the_rows_of_its_text_at_any_number_of_threads() {
    let (text, columns) = large();
    let expected = Dataset::described(DESCRIPTION, &text, TEST).open().unwrap();
    let expected = all(&expected.train);
    for (ending, group_rows) in [("parquet", 70_001), ("parquet", 9_999), ("arrow", 0)] {
        let description = DESCRIPTION.replace(
            "name = \"train.csv\"",
            &format!("name = \"train.{ending}\""),
        );
        let dataset = Dataset::described(&description, "", TEST);
        let path = dataset.path(&format!("data/shop/train.{ending}"));
        if ending == "parquet" {
            write_parquet(&path, &columns, Compression::SNAPPY, group_rows);
        } else {
            let file = File::create(&path).unwrap();
            let mut writer = FileWriter::try_new(file, &columns.schema()).unwrap();
            writer.write(&columns).unwrap();
            writer.finish().unwrap();
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let places = Places {
                cache: dataset.path(&format!("cache-{threads}")),
                ..dataset.places()
            };
            let reference = DatasetRef::new("shop");
            let prepared = pool
                .install(|| super::super::open(&reference, &places, &mut Notices::default()))
                .unwrap();
            let found = all(&prepared.train);
            assert!(found.categorical == expected.categorical && found.numeric == expected.numeric);
            assert!(found.labels == expected.labels);
        }
    }
}

/// What is said of a log with one column exchanged.
fn refusal(name: &str, array: ArrayRef) -> String {
    let dataset = described("parquet");
    let (log, schema) = (log(), log().schema());
    let columns = schema.fields().iter().zip(log.columns());
    let columns = columns.map(|(field, column)| match field.name() == name {
        true => (name, array.clone()),
        false => (field.name().as_str(), column.clone()),
    });
    let columns = columns.collect::<Vec<_>>();
    let columns = batch(columns);
    let path = dataset.path("data/shop/log.parquet");
    write_parquet(&path, &columns, Compression::SNAPPY, 4);
    write_parquet(
        &dataset.path("data/shop/users.parquet"),
        &users(),
        Compression::SNAPPY,
        4,
    );
    dataset.refusal()
}

#[test]
fn a_column_of_another_type_is_refused_with_file_and_column() {
    let lists = arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..6).map(|row| Some(vec![Some(row)])),
    );
    assert_eq!(
        refusal("user", Arc::new(lists)),
        "/data/shop/log.parquet: column `user`: expected one value a row, found the type List(Int32)\n\
         hint: read the column by a feature of kind = \"list\", or write one value a row"
    );
    let times = arrow::array::Time64MicrosecondArray::from(vec![1; 6]);
    assert_eq!(
        refusal("user", Arc::new(times)),
        "/data/shop/log.parquet: column `user`: expected texts, numbers or dates, found the type Time64(µs)\n\
         hint: write the column as numbers or texts in the file, or leave it out of the description"
    );
}

#[test]
fn a_value_that_is_no_finite_number_is_refused_with_its_row() {
    let days = Int32Array::from(vec![Some(10), Some(10), None, Some(12), Some(12), Some(13)]);
    assert_eq!(
        refusal("day", Arc::new(days)),
        "/data/shop/log.parquet: row 3, column `day`: expected a value to split by, found ``\n\
         hint: fill it in; without it the row belongs to no split. To leave such rows out: add \"day\" to `optional`, and filter = \"day is not null\""
    );
    let seconds = Float64Array::from(vec![1., 2., 3., 4., f64::INFINITY, 6.]);
    let said = refusal("seconds", Arc::new(seconds));
    let expected =
        "/data/shop/log.parquet: row 5, column `seconds`: expected a finite number, found `inf`\n";
    assert!(said.starts_with(expected), "{said}");
    // NaN is what some programs write for a missing number: refused where none may be missing.
    let days = Float64Array::from(vec![10., 10., 11., 12., f64::NAN, 13.]);
    let said = refusal("day", Arc::new(days));
    assert!(
        said.contains("row 5, column `day`: expected a finite number, found `NaN`"),
        "{said}"
    );
}

#[test]
fn a_missing_column_and_a_broken_file_are_refused() {
    let dataset = described("parquet");
    let path = dataset.path("data/shop/log.parquet");
    write_parquet(
        &dataset.path("data/shop/users.parquet"),
        &users(),
        Compression::SNAPPY,
        4,
    );
    let columns = log().project(&[0, 1, 3, 4]).unwrap();
    write_parquet(&path, &columns, Compression::SNAPPY, 4);
    assert_eq!(
        dataset.refusal(),
        "/data/shop/log.parquet: there is no column `day`; the file has `click`, `seconds`, `user`, `video`\n\
         hint: correct the name in the description, or get the right file"
    );
    write_parquet(&path, &log(), Compression::SNAPPY, 4);
    let whole = std::fs::read(&path).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"user,video\nann,1\n"] {
        std::fs::write(&path, bytes).unwrap();
        let said = dataset.refusal();
        assert!(
            said.starts_with("/data/shop/log.parquet: can't be read as Parquet: "),
            "{said}"
        );
        assert!(
            said.ends_with(
                "\nhint: the file is cut, damaged or of another kind; get it again, or name its kind with format = { kind = \"...\" }"
            ),
            "{said}"
        );
    }
}

#[test]
fn arrow_files_that_are_cut_or_too_old_are_refused() {
    let dataset = described("arrow");
    let path = dataset.path("data/shop/log.arrow");
    std::fs::write(dataset.path("data/shop/users.arrow"), "").unwrap();
    std::fs::write(&path, "FEA1 and so on").unwrap();
    assert_eq!(
        dataset.refusal(),
        "/data/shop/log.arrow: the file is in Feather's first version, which nothing writes any more\n\
         hint: write it again as Arrow, Feather version 2 or Parquet"
    );
    let log = log();
    let mut file = FileWriter::try_new(File::create(&path).unwrap(), &log.schema()).unwrap();
    file.write(&log).unwrap();
    file.finish().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let said = dataset.refusal();
    assert!(
        said.starts_with("/data/shop/log.arrow: can't be read as Arrow: "),
        "{said}"
    );
}

#[test]
fn the_kind_of_a_file_can_be_said_and_then_text_keys_have_no_meaning() {
    let (text, columns) = large();
    drop(text);
    let description = DESCRIPTION
        .replace("name = \"train.csv\"", "name = \"train.data\"")
        .replace("name = \"test.csv\"", "name = \"test.data\"")
        .replace(
            "separator = \",\"\nhas_header = false\ntrim_spaces = true",
            "kind = \"parquet\"",
        );
    let dataset = Dataset::described(&description, "", "");
    for name in ["train", "test"] {
        let path = dataset.path(&format!("data/shop/{name}.data"));
        write_parquet(&path, &columns.slice(0, 1000), Compression::SNAPPY, 4000);
    }
    assert_eq!(dataset.open().unwrap().train.num_rows(), 1000);
    let said = Dataset::described(
        &description.replace(
            "kind = \"parquet\"",
            "kind = \"parquet\"\nseparator = \",\"",
        ),
        "",
        "",
    )
    .refusal();
    assert!(
        said.ends_with(
            "`separator` has no meaning for a file that names its columns and types\n\
             hint: it belongs to kind = \"csv\""
        ),
        "{said}"
    );
}

#[test]
fn times_are_texts_in_iso_8601_and_numbers_as_the_file_counts_them() {
    let times = TimestampMillisecondArray::from(vec![
        1_650_000_000_000,
        1_650_000_001_500,
        1_650_100_000_000,
        1_650_200_000_000,
        1_650_300_000_000,
        1_650_400_000_000,
    ])
    .with_timezone("Europe/Oslo");
    let columns = log();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("click", columns.column(0).clone()),
        ("seconds", columns.column(1).clone()),
        ("user", columns.column(3).clone()),
        ("video", columns.column(4).clone()),
    ];
    columns.push(("day", Arc::new(times)));
    for (from, to) in [
        ("\"2022-04-17\"", "\"2022-04-19T00:00\""),
        ("1650200000000", "1650300000001"),
    ] {
        let text = DESCRIBED
            .replace("\"log.csv\"", "\"log.parquet\"")
            .replace("validation_from = 12", &format!("validation_from = {from}"))
            .replace("test_from = 13", &format!("test_from = {to}"));
        let dataset = dataset(&text);
        let path = dataset.path("data/shop/log.parquet");
        write_parquet(&path, &batch(columns.clone()), Compression::SNAPPY, 4);
        if from.starts_with('"') {
            let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                [prepared.train.num_rows(), prepared.validation.num_rows()],
                [3, 2]
            );
        } else {
            // As numbers, times count as the file does: 1650300000000 is not yet the test.
            let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
            let rows = [prepared.train.num_rows(), prepared.validation.num_rows()];
            assert_eq!(rows, [3, 2]);
        }
    }
}

#[test]
fn a_time_of_a_file_stands_beside_no_number() {
    let times = TimestampMillisecondArray::from_iter_values(
        (0..6).map(|row| 1_650_000_000_000 + row * 100_000_000),
    );
    let columns = log();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("click", columns.column(0).clone()),
        ("seconds", columns.column(1).clone()),
        ("user", columns.column(3).clone()),
        ("video", columns.column(4).clone()),
    ];
    columns.push(("day", Arc::new(times)));
    let of = |filter: &str| {
        let text = DESCRIBED
            .replace(
                "optional = [",
                &format!("filter = '{filter}'\noptional = ["),
            )
            .replace("\"log.csv\"", "\"log.parquet\"")
            .replace("validation_from = 12", "validation_from = \"2022-04-18\"")
            .replace("test_from = 13", "test_from = \"2022-04-19\"");
        let dataset = dataset(&text);
        let path = dataset.path("data/shop/log.parquet");
        write_parquet(&path, &batch(columns.clone()), Compression::SNAPPY, 4);
        dataset
    };
    // All are above that count of seconds, whatever day it is: in the file they are milliseconds.
    for filter in [
        "day >= 1650200000",
        "day in (1, 2)",
        "day between 1 and 2",
        "coalesce(day, 5) > 4",
        "greatest(day, 5) > 4",
        "case when click then day else 5 end > 4",
    ] {
        let refused = of(filter).refusal();
        assert!(
            refused.contains("column `day`: expected a number, since the other values are numbers, and a time has no unit")
                && refused.contains("found `2022-04-15T05:20:00`"),
            "{filter}: {refused}"
        );
        assert!(refused.contains("`extract(epoch from day)`"), "{refused}");
    }
    // What the hint says.
    for filter in [
        "day >= \"2022-04-16 00:00:00\"",
        "extract(epoch from day) >= 1650067200",
    ] {
        let prepared = of(filter)
            .open()
            .unwrap_or_else(|error| panic!("{filter}: {error}"));
        let rows = [prepared.train.num_rows(), prepared.validation.num_rows()];
        assert_eq!(rows, [2, 1], "{filter}");
    }
}
