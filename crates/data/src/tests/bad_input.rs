//! What is said of bad input, word for word: file, row, column and mend.

use super::tables::{DESCRIBED, dataset};
use super::*;
use crate::{DatasetRef, prepare};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

/// The log of `tables` with one of its lines changed.
fn refusal_of_log(from: &str, to: &str) -> String {
    let dataset = dataset(DESCRIBED);
    change(&dataset, "log.csv", from, to);
    dataset.refusal()
}

fn change(dataset: &Dataset, file: &str, from: &str, to: &str) {
    let name = format!("data/shop/{file}");
    let text = std::fs::read_to_string(dataset.path(&name)).unwrap();
    assert!(text.contains(from), "{from}");
    dataset.write(&name, &text.replacen(from, to, 1));
}

fn refusal_of_description(from: &str, to: &str) -> String {
    assert!(DESCRIBED.contains(from), "{from}");
    dataset(&DESCRIBED.replacen(from, to, 1)).refusal()
}

/// The log as Parquet, with this column in place of its own.
fn refusal_of_parquet(name: &str, array: ArrayRef) -> String {
    let dataset = dataset(&DESCRIBED.replacen("log.csv", "log.parquet", 1));
    let texts = |values: [&str; 6]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let numbers = |values: [i64; 6]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let mut columns = vec![
        ("user", texts(["ann", "bob", "ann", "cat", "ann", "bob"])),
        ("video", numbers([1, 2, 3, 1, 2, 9])),
        ("day", numbers([10, 10, 11, 12, 12, 13])),
        ("seconds", numbers([5, 1, 7, 9, 1, 4])),
        ("click", numbers([1, 0, 0, 1, 1, 0])),
    ];
    let place = columns.iter().position(|(other, _)| *other == name);
    columns[place.unwrap()].1 = array;
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    dataset.refusal()
}

fn notices(dataset: &Dataset) -> String {
    let mut notices = Notices::default();
    prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    let folder = dataset.folder.path().display().to_string();
    notices.0.join("\n").replace(&folder, "")
}

#[test]
fn a_missing_column() {
    insta::assert_snapshot!(refusal_of_log("seconds", "second"), @r"
    /data/shop/log.csv:1:1: there is no column `seconds`; the file has `user`, `video`, `day`, `second`, `click`
    hint: did you mean `second`?
    ");
    // Where the first line doesn't name them, a column is missing in a row.
    let headless = dataset(&DESCRIBED.replacen("has_header = true", "has_header = false", 1));
    headless.write("data/shop/log.csv", "ann,1,10,5,1\nbob,2,10,0\n");
    insta::assert_snapshot!(headless.refusal(), @r"
    /data/shop/log.csv:2:1: expected 5 fields, found 4; column `click` is missing
    hint: the row is cut; get the file again
    ");
    let users = dataset(DESCRIBED);
    change(&users, "users.csv", "city", "town");
    insta::assert_snapshot!(users.refusal(), @r"
    /data/shop/users.csv:1:1: there is no column `city`; the file has `user`, `age`, `town`
    hint: correct the name in the description, or get the right file
    ");
}

#[test]
fn a_duplicate_key_in_a_joined_table() {
    let dataset = dataset(DESCRIBED);
    change(&dataset, "videos.tsv", "3\t30\n", "3\t30\n1\t40\n");
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/videos.tsv:5:1: the key `1` of `id` is there twice, first at line 2
    hint: a joined table has one row for each key; remove all but one
    ");
}

#[test]
fn a_label_that_is_neither_0_nor_1() {
    let described = DESCRIBED.replacen("label = \"click == 1\"", "label = \"click\"", 1);
    let dataset = dataset(&described);
    change(&dataset, "log.csv", "bob,2,10,,0", "bob,2,10,,2");
    insta::assert_snapshot!(dataset.refusal(), @r#"
    /data/shop/log.csv:3:11: column `click`: expected 0 or 1, found `2`
    hint: say which values are positive, such as label = "click = 2" or label = "click >= 2"
    "#);
    change(&dataset, "log.csv", "bob,2,10,,2", "bob,2,10,,yes");
    insta::assert_snapshot!(dataset.refusal(), @r#"
    /data/shop/log.csv:3:11: column `click`: expected 0 or 1, found `yes`
    hint: say which value is positive: label = 'click = "yes"'
    "#);
}

#[test]
fn no_number_and_no_finite_one() {
    insta::assert_snapshot!(refusal_of_log("ann,3,11,7,0", "ann,3,11,NaN,0"), @r#"
    /data/shop/log.csv:4:10: column `seconds`: expected a finite number, found `NaN`
    hint: if it stands for a missing value, write missing = ["NaN"] above the first table of the description; or leave the field empty
    "#);
    insta::assert_snapshot!(refusal_of_log("ann,3,11,7,0", "ann,3,11,-inf,0"), @"
    /data/shop/log.csv:4:10: column `seconds`: expected a finite number, found `-inf`
    hint: correct the row, or make the feature categorical in the description
    ");
    insta::assert_snapshot!(refusal_of_log("ann,3,11,7,0", "ann,3,11,7s,0"), @"
    /data/shop/log.csv:4:10: column `seconds`: expected a number, found `7s`
    hint: correct the row, or make the feature categorical in the description
    ");
    insta::assert_snapshot!(refusal_of_log("ann,3,11,7,0", "ann,3,,7,0"), @r#"
    /data/shop/log.csv:4:7: column `day`: expected a value to split by, found ``
    hint: fill it in; without it the row belongs to no split. To leave such rows out: add "day" to `optional`, and filter = "day is not null"
    "#);
    let infinite = Float64Array::from(vec![5.0, 1.0, f64::INFINITY, 9.0, 1.0, 4.0]);
    insta::assert_snapshot!(refusal_of_parquet("seconds", Arc::new(infinite)), @r#"
    /data/shop/log.parquet: row 3, column `seconds`: expected a finite number, found `inf`
    hint: if it stands for a missing value, write missing = ["inf"] above the first table of the description; or leave the field empty
    "#);
}

#[test]
fn an_empty_split() {
    insta::assert_snapshot!(refusal_of_description("test_from = 13", "test_from = 99"), @r"
    /data/shop/log.csv: the test split has no row; train has 3, validation has 3
    hint: no `day` is 99 or more: set `test_from` of [split] to an earlier value
    ");
    let none_between = "validation_from = 12.2\ntest_from = 12.8";
    let by_time = "validation_from = 12\ntest_from = 13";
    insta::assert_snapshot!(refusal_of_description(by_time, none_between), @r"
    /data/shop/log.csv: the validation split has no row; train has 5, test has 1
    hint: no `day` is 12.2 or more and less than 12.8: move `validation_from` and `test_from` of [split] apart
    ");
    insta::assert_snapshot!(refusal_of_description(by_time, "validation_from = 1\ntest_from = 13"), @r"
    /data/shop/log.csv: the train split has no row; validation has 5, test has 1
    hint: every `day` is 1 or more: set `validation_from` of [split] to a later value
    ");
    let filtered = "filter = \"day < 13\"\n[format]";
    insta::assert_snapshot!(refusal_of_description("[format]", filtered), @r"
    /data/shop/log.csv: the test split has no row; train has 3, validation has 2
    hint: does `filter` leave out too much? If not, no `day` is 13 or more: set `test_from` of [split] to an earlier value
    ");
    let nothing = "filter = \"day > 13\"\n[format]";
    insta::assert_snapshot!(refusal_of_description("[format]", nothing), @r"
    /data/shop/log.csv: the train split has no row, and neither have the others
    hint: `filter` leaves out every row; correct it
    ");
    let by_user = "kind = \"user\"\nvalidation_fraction = 0.01\ntest_fraction = 0.01\nseed = 1";
    let time = "kind = \"time\"\ncolumn = \"day\"\nvalidation_from = 12\ntest_from = 13";
    insta::assert_snapshot!(refusal_of_description(time, by_user), @r"
    /data/shop/log.csv: the test split has no row; train has 4, validation has 2
    hint: there are too few values of `user` for the fractions of [split]: make them larger, or take another `seed`
    ");
    let one_row = Dataset::described(DESCRIPTION, TRAIN, "blue, 1, no\n");
    insta::assert_snapshot!(one_row.refusal(), @r"
    /data/shop/test.csv: the test split has no row; train has 4, validation has 1
    hint: `validation_fraction` of [split] is 0.5: give both validation and test some of the rows of `holdout`
    ");
    insta::assert_snapshot!(Dataset::described(DESCRIPTION, "", TEST).refusal(), @r"
    /data/shop/train.csv: the train split has no row; validation has 1, test has 1
    hint: name files that have rows as `train` in [split]
    ");
}

#[test]
fn a_split_of_one_class() {
    insta::assert_snapshot!(notices(&dataset(DESCRIBED)), @r#"
    1 of 6 rows have no row in users.csv; its columns are empty there
    1 of 6 rows have no row in videos.tsv; its columns are empty there
    `age` is missing on 2 of 6 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, or bucket 0; if it may be missing, add "age" to `optional`
    the feature `age` is the same (30) on every training row that has it, and missing on 1
    every label of the task `clicks` is positive in the validation split (2 rows): it has no AUC there
    "#);
}

#[test]
fn rows_that_a_filter_or_a_join_loses_are_counted() {
    let described = DESCRIBED.replacen(
        "[format]",
        "filter = \"seconds > 1 or day > 10\"\n[format]",
        1,
    );
    insta::assert_snapshot!(notices(&dataset(&described)), @r#"
    the filter left out 1 of 6 rows; on 1 of them a value that it needs is missing
    1 of 6 rows have no row in users.csv; its columns are empty there
    1 of 6 rows have no row in videos.tsv; its columns are empty there
    `age` is missing on 1 of 5 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, or bucket 0; if it may be missing, add "age" to `optional`
    the feature `age` is the same (30) on every training row
    the feature `city` is the same (Oslo) on every training row
    the one value of the feature `city` in the test split was not seen in training
    every label of the task `clicks` is positive in the validation split (2 rows): it has no AUC there
    "#);
}

#[test]
fn broken_gzip() {
    use std::io::Write;
    let dataset = dataset(&DESCRIBED.replacen("log.csv", "log.csv.gz", 1));
    let text = std::fs::read(dataset.path("data/shop/log.csv")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&text.repeat(2000)).unwrap();
    let packed = packed.finish().unwrap();
    let path = dataset.path("data/shop/log.csv.gz");
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    insta::with_settings!({filters => vec![(r"after \d+ bytes", "after [N] bytes")]}, {
        insta::assert_snapshot!(dataset.refusal(), @r"
        /data/shop/log.csv.gz: the gzip data is broken after [N] bytes of text: incomplete deflate stream
        hint: the file is cut or damaged; get it again
        ");
    });
    let mut flipped = packed;
    let middle = flipped.len() / 2;
    flipped[middle..middle + 8].fill(0xff);
    std::fs::write(&path, flipped).unwrap();
    let said = dataset.refusal();
    assert!(
        said.starts_with("/data/shop/log.csv.gz: the gzip data is broken after "),
        "{said}"
    );
    std::fs::write(&path, text).unwrap();
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/log.csv.gz: expected gzip data, as the name says, found something else
    hint: take `.gz` off its name if it is not packed, or get it again
    ");
}

#[test]
fn a_parquet_file_with_another_type() {
    // Texts of numbers are numbers; one that is none is told by its row.
    let texts = StringArray::from(vec!["5", "", "7", "much", "1", "4"]);
    insta::assert_snapshot!(refusal_of_parquet("seconds", Arc::new(texts)), @"
    /data/shop/log.parquet: row 4, column `seconds`: expected a number, found `much`
    hint: correct the row, or make the feature categorical in the description
    ");
    let seconds = Int64Array::from(vec![Some(1), None, Some(0), Some(1), Some(1), Some(0)]);
    insta::assert_snapshot!(refusal_of_parquet("day", Arc::new(seconds)), @r#"
    /data/shop/log.parquet: row 2, column `day`: expected a value to split by, found ``
    hint: fill it in; without it the row belongs to no split. To leave such rows out: add "day" to `optional`, and filter = "day is not null"
    "#);
}

#[test]
fn a_file_that_changed_since_it_was_prepared() {
    let dataset = dataset(DESCRIBED);
    notices(&dataset);
    change(&dataset, "log.csv", "ann,3,11,7,0", "ann,3,11,70,1");
    insta::assert_snapshot!(notices(&dataset), @r#"
    /data/shop/log.csv: the file is another one than when it was last read; what is made from it is made anew
    1 of 6 rows have no row in users.csv; its columns are empty there
    1 of 6 rows have no row in videos.tsv; its columns are empty there
    `age` is missing on 2 of 6 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, or bucket 0; if it may be missing, add "age" to `optional`
    the feature `age` is the same (30) on every training row that has it, and missing on 1
    every label of the task `clicks` is positive in the validation split (2 rows): it has no AUC there
    "#);
}

/// Writes a file when reading has begun.
struct Writer<'a> {
    dataset: &'a Dataset,
    text: Option<&'a str>,
}

impl Observer for Writer<'_> {
    fn notice(&mut self, _message: &str) {}
    fn progress(&mut self, stage: &str, _done: u64, _total: u64) {
        if stage == "reading rows"
            && let Some(text) = self.text.take()
        {
            let path = self.dataset.path("data/shop/log.csv");
            // Beside its place, as programs do that replace a file.
            let other = path.with_extension("new");
            std::fs::write(&other, text).unwrap();
            std::fs::rename(other, path).unwrap();
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_prepared() {
    let dataset = dataset(DESCRIBED);
    let said = |text: &str| {
        let mut writer = Writer {
            dataset: &dataset,
            text: Some(text),
        };
        let said = prepare(&DatasetRef::new("shop"), &dataset.places(), &mut writer);
        dataset.said(&said.unwrap_err())
    };
    insta::assert_snapshot!(said("user,video,day,seconds,click\nann,1,10,5,1\n"), @r"
    /data/shop/log.csv: the file changed while it was read: it had 106 bytes and now has 42
    hint: wait until nothing writes it any more, then run this again; nothing was kept
    ");
    // Nothing was kept, and the next run reads what is there.
    assert!(!dataset.path("cache").read_dir().unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with("shop-") && !name.to_string_lossy().ends_with(".lock")
    }));
    let log = std::fs::read_to_string(dataset.path("data/shop/log.csv")).unwrap();
    dataset.write(
        "data/shop/log.csv",
        &format!("{log}bob,9,13,4,0\ncat,1,12,9,1\n"),
    );
    let grown = std::fs::read_to_string(dataset.path("data/shop/log.csv")).unwrap();
    // The same number of bytes is no proof.
    insta::assert_snapshot!(said(&grown.replace("ann", "bob")), @r"
    /data/shop/log.csv: the file changed while it was read: it was written again
    hint: wait until nothing writes it any more, then run this again; nothing was kept
    ");
    assert_eq!(dataset.open().unwrap().train.num_rows(), 1);
}

#[test]
fn a_cache_that_a_kill_cut_in_half() {
    let dataset = dataset(DESCRIBED);
    let before = all(&dataset.open().unwrap().train);
    let file = dataset.prepared_folder().join("train.arrow");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    insta::with_settings!({filters => vec![
        (r"shop-[0-9a-f]{16}", "shop-[hash]"),
        (r"has \d+ bytes instead of \d+", "has [N] bytes instead of [2 N]"),
    ]}, {
        insta::assert_snapshot!(notices(&dataset), @r#"
        /cache/shop-[hash] is not whole (/cache/shop-[hash]/train.arrow has [N] bytes instead of [2 N]); it is prepared again
        1 of 6 rows have no row in users.csv; its columns are empty there
        1 of 6 rows have no row in videos.tsv; its columns are empty there
        `age` is missing on 2 of 6 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, or bucket 0; if it may be missing, add "age" to `optional`
        the feature `age` is the same (30) on every training row that has it, and missing on 1
        every label of the task `clicks` is positive in the validation split (2 rows): it has no AUC there
        "#);
    });
    assert_eq!(
        all(&dataset.open().unwrap().train).categorical,
        before.categorical
    );
    // A manifest that is cut tells nothing of the files.
    let manifest = dataset.prepared_folder().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let said = notices(&dataset);
    assert!(
        said.contains("manifest.toml has other bytes than were written"),
        "{said}"
    );
    assert!(said.contains("it is prepared again"), "{said}");
}

/// Names stand in every table and figure.
#[test]
fn names_that_no_person_reads_are_refused_at_their_line() {
    let long = "n".repeat(600);
    // The task is named twice: where it is defined, and by the protocol.
    let task = DESCRIBED.replace("clicks", &long);
    let feature = DESCRIBED.replace("city = {", &format!("{long} = {{ column = \"city\","));
    let group = DESCRIBED.replace("\"watch\"", &format!("\"{long}\""));
    for (description, expected) in [
        (task, "the name has 600 bytes; expected at most 500"),
        (feature, "the name has 600 bytes; expected at most 500"),
        (
            group,
            "the name of the group has 600 bytes; expected at most 500",
        ),
    ] {
        let said = dataset(&description).refusal();
        assert!(said.starts_with("/descriptions/shop.toml:"), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
