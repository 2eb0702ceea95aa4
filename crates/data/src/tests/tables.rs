//! Several files, joins, filters and splits other than by file.

use super::*;
use crate::{DatasetRef, prepare, split_seed};

/// A log of two days with users and videos beside it, all rows in one file.
const LOG: &str = "user,video,day,seconds,click\n\
    ann,1,10,5,1\nbob,2,10,,0\nann,3,11,7,0\ncat,1,12,9,1\nann,2,12,1,1\nbob,9,13,4,0\n";
const USERS: &str = "user,age,city\nann,30,Oslo\nbob,,\"Rome, Italy\"\n";
const VIDEOS: &str = "id\tlength\n1\t10\n2\t20\n3\t30\n";

pub(super) const DESCRIBED: &str = r#"source = "csv"
default_protocol = "all"
columns = ["user", "video", "day", "seconds", "click"]
optional = ["seconds"]
user = "user"
[format]
separator = ","
has_header = true
[files.log]
name = "log.csv"
[files.users]
name = "users.csv"
[files.videos]
name = "videos.tsv"
[joins.user]
file = "users"
on = "user"
columns = ["user", "age", "city"]
format = { separator = ",", has_header = true, quotes = true }
[joins.video]
file = "videos"
on = "video"
key = "id"
columns = ["id", "length"]
prefix = "video_"
format = { separator = "\t", has_header = true }
[features]
city = { kind = "categorical" }
age = { kind = "numeric" }
seconds = { kind = "bucket", buckets = 2 }
video_length = { kind = "numeric" }
[tasks.clicks]
label = "click == 1"
group = "watch"
[split]
kind = "time"
column = "day"
validation_from = 12
test_from = 13
[protocols.all]
tasks = ["clicks"]
"#;

pub(super) fn dataset(described: &str) -> Dataset {
    let dataset = Dataset::described(described, "", "");
    dataset.write("data/shop/log.csv", LOG);
    dataset.write("data/shop/users.csv", USERS);
    dataset.write("data/shop/videos.tsv", VIDEOS);
    dataset
}

fn refusal(from: &str, to: &str) -> String {
    assert!(DESCRIBED.contains(from), "{from}");
    dataset(&DESCRIBED.replacen(from, to, 1)).refusal()
}

fn notices(dataset: &Dataset) -> Vec<String> {
    let mut notices = Notices::default();
    prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    let said = notices.0.iter();
    said.map(|notice| notice.replace(&dataset.folder.path().display().to_string(), ""))
        .collect()
}

#[test]
fn rows_are_joined_by_key_and_what_is_missing_is_empty() {
    let dataset = dataset(DESCRIBED);
    let said = notices(&dataset);
    let prepared = dataset.open().unwrap();
    let train = all(&prepared.train);
    // Cities by count: Oslo, then Rome; ages and lengths as they are, a missing one 0.
    assert_eq!(train.labels, [1.0, 0.0, 0.0]);
    assert_eq!(train.numeric, [30.0, 10.0, 0.0, 20.0, 30.0, 30.0]);
    // Seconds: 5 and 7 in a bucket each, nothing is id 0.
    assert_eq!(train.categorical, [1, 1, 2, 0, 1, 2]);
    let validation = all(&prepared.validation);
    // Cat is in no table: her city is a text that no training row has.
    assert_eq!(validation.categorical[0], 0);
    assert_eq!(validation.numeric, [0.0, 10.0, 30.0, 20.0]);
    assert_eq!(validation.users, [2, 0]);
    assert_eq!(
        said,
        [
            "1 of 6 rows have no row in users.csv; its columns are empty there",
            "1 of 6 rows have no row in videos.tsv; its columns are empty there",
            "`age` is missing on 2 of 6 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, \
             or bucket 0; if it may be missing, add \"age\" to `optional`",
            "the feature `age` is the same (30) on every training row that has it, and missing on 1",
            "every label of the task `clicks` is positive in the validation split (2 rows): it has no AUC there",
        ]
    );
}

#[test]
fn a_filter_leaves_rows_out_before_anything_is_learned_and_counts_them() {
    let described = DESCRIBED.replace(
        "[format]",
        "filter = 'city != \"Oslo\" or day > 10'\n[format]",
    );
    let dataset = dataset(&described);
    let said = notices(&dataset);
    let train = all(&dataset.open().unwrap().train);
    assert_eq!(train.labels, [0.0, 0.0]);
    // Oslo and Rome have one row each now, so the first by text is first.
    assert_eq!([train.categorical[0], train.categorical[2]], [2, 1]);
    assert_eq!(said[0], "the filter left out 1 of 6 rows");
}

#[test]
fn several_files_are_one_after_another() {
    let described = DESCRIPTION
        .replace(
            "[files.test]",
            "[files.more]\nname = \"more.csv\"\n[files.test]",
        )
        .replace("train = \"train\"", "train = [\"train\", \"more\"]");
    let dataset = Dataset::described(&described, TRAIN, TEST);
    dataset.write("data/shop/more.csv", "black, 9, yes\n");
    let train = all(&dataset.open().unwrap().train);
    assert_eq!(train.labels, [1.0, 0.0, 0.0, 1.0, 1.0]);
}

/// 60 shades with 10 rows each, divided by a hash of the shade.
fn by_hash() -> Dataset {
    let rows: String = (0..600)
        .map(|row| format!("shade {}, {}, {}\n", row % 60, row, ["no", "yes"][row % 2]))
        .collect();
    let (before, after) = DESCRIPTION.split_once("[split]").unwrap();
    let (_, after) = after.split_once("[protocols").unwrap();
    let split = "[split]\nkind = \"hash\"\nfiles = \"train\"\ncolumn = \"color\"\n\
        validation_fraction = 0.2\ntest_fraction = 0.2\nseed = 3\n";
    let described = format!("{before}{split}[protocols{after}")
        .replace("[format]", "user = \"color\"\n[format]");
    Dataset::described(&described, &rows, TEST)
}

fn users(split: &Split) -> std::collections::BTreeSet<u32> {
    all(split).users.into_iter().collect()
}

#[test]
fn another_seed_divides_the_rows_anew_and_that_of_the_description_changes_nothing() {
    let dataset = by_hash();
    let open = |split_seed| {
        let reference = DatasetRef {
            split_seed,
            ..DatasetRef::new("shop")
        };
        super::super::open(&reference, &dataset.places(), &mut Notices::default()).unwrap()
    };
    let (usual, same, other) = (open(None), open(Some(3)), open(Some(4)));
    assert_eq!(usual.content_hash, same.content_hash);
    assert_ne!(usual.content_hash, other.content_hash);
    assert_eq!(users(&usual.train), users(&same.train));
    assert_ne!(users(&usual.train), users(&other.train));
    assert!(users(&other.train).is_disjoint(&users(&other.validation)));
    let seed = split_seed(&DatasetRef::new("shop"), &dataset.places());
    assert_eq!(seed.unwrap(), 3);
}

#[test]
fn a_split_that_is_fixed_has_no_seed() {
    let dataset = Dataset::new();
    let reference = DatasetRef {
        split_seed: Some(3),
        ..DatasetRef::new("shop")
    };
    let said = dataset.said(&split_seed(&reference, &dataset.places()).unwrap_err());
    assert_eq!(
        said,
        "shop: the split of `shop` is fixed: its training rows are files of their own, and no seed divides them anew\n\
         hint: leave `split_seeds` out, or use a dataset whose description has `kind = \"hash\"` in [split]"
    );
}

#[test]
fn a_split_by_hash_of_a_column_keeps_its_rows_together() {
    let dataset = by_hash();
    let prepared = dataset.open().unwrap();
    let (train, validation) = (users(&prepared.train), users(&prepared.validation));
    assert!(train.is_disjoint(&validation));
    assert!(train.len() + validation.len() < 60 && validation.len() > 4);
    assert_eq!(all(&prepared.train).num_rows, 10 * train.len());
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_both_lines() {
    let dataset = dataset(DESCRIBED);
    dataset.write("data/shop/users.csv", &format!("{USERS}ann,31,Bergen\n"));
    assert_eq!(
        dataset.refusal(),
        "/data/shop/users.csv:4:1: the key `ann` of `user` is there twice, first at line 2\n\
         hint: a joined table has one row for each key; remove all but one"
    );
}

#[test]
fn a_fault_in_a_joined_table_is_told_where_it_is() {
    let dataset = dataset(DESCRIBED);
    dataset.write("data/shop/users.csv", "user,age,city\nann,old,Oslo\n");
    assert_eq!(
        dataset.refusal(),
        "/data/shop/users.csv:2:5: column `age`: expected a number, found `old`\n\
         hint: correct the row, or make the feature categorical in the description"
    );
    dataset.write("data/shop/users.csv", "user,age,city\nann,30\n");
    assert_eq!(
        dataset.refusal(),
        "/data/shop/users.csv:2:1: expected 3 fields, found 2; column `city` is missing\n\
         hint: the row is cut; get the file again"
    );
}

#[test]
fn a_time_that_is_no_number_and_an_empty_field_that_must_not_be_are_refused() {
    let dataset = dataset(DESCRIBED);
    dataset.write("data/shop/log.csv", &LOG.replace("ann,3,11", "ann,3,noon"));
    assert!(
        dataset
            .refusal()
            .starts_with("/data/shop/log.csv:4:7: column `day`: expected a number, found `noon`"),
        "{}",
        dataset.refusal()
    );
    let said = refusal("optional = [\"seconds\"]", "");
    assert!(
        said.starts_with("/data/shop/log.csv:3:10: column `seconds`: expected a number, found ``"),
        "{said}"
    );
}

#[test]
fn joins_and_splits_are_checked_in_the_description() {
    for (from, to, expected) in [
        (
            "file = \"users\"",
            "file = \"user\"",
            "there is no file `user` in [files]\nhint: did you mean `users`?",
        ),
        (
            "on = \"user\"",
            "on = \"usr\"",
            "there is no column `usr`\nhint: did you mean `user`?",
        ),
        (
            "prefix = \"video_\"\n",
            "prefix = \"\"\n",
            "there is no column `video_length`",
        ),
        (
            "\"age\", \"city\"]",
            "\"day\", \"city\"]",
            "there already is a column `day`\nhint: give the join a prefix, such as prefix = \"user_\"",
        ),
        (
            "test_from = 13",
            "test_from = 12",
            "expected `test_from` after `validation_from`",
        ),
        (
            "test_from = 13",
            "test_from = \"13\"",
            "expected a time such as 2022-04-08 or 2022-04-08T12:00:00, found `13`",
        ),
        (
            "test_from = 13",
            "",
            "the key `test_from` is missing in [split]\nhint: it is the first value that belongs there",
        ),
        (
            "test_from = 13",
            "test_from = 13\nseed = 1",
            "`seed` has no meaning in a split by time\nhint: it belongs to kind = \"files\" or \"hash\"",
        ),
        ("kind = \"time\"", "kind = \"tim\"", "unknown value `tim`"),
        (
            "test_from = 13",
            "test_from = 99",
            "the test split has no row",
        ),
        (
            "optional = [\"seconds\"]",
            "optional = [\"second\"]",
            "there is no column `second`",
        ),
        (
            "[format]",
            "filter = \"day => 1\"\n[format]",
            "`=>` is no operator here\nhint: write `>=`",
        ),
    ] {
        let said = refusal(from, to);
        assert!(said.contains(expected), "{from} -> {to}: {said}");
    }
}

/// `text` as a file of one gzip member.
fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_packed_file_is_read_as_its_text_and_a_broken_one_is_refused() {
    let plain = all(&dataset(DESCRIBED).open().unwrap().train);
    let dataset = dataset(&DESCRIBED.replace("\"log.csv\"", "\"log.csv.gz\""));
    let path = dataset.path("data/shop/log.csv.gz");
    std::fs::write(&path, gzip(LOG)).unwrap();
    assert_eq!(
        all(&dataset.open().unwrap().train).categorical,
        plain.categorical
    );
    let packed = gzip(LOG);
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let said = dataset.refusal();
    assert!(
        said.starts_with("/data/shop/log.csv.gz: the gzip data is broken after "),
        "{said}"
    );
    assert!(
        said.ends_with("\nhint: the file is cut or damaged; get it again"),
        "{said}"
    );
}

#[test]
fn a_zstandard_file_is_read_as_its_text() {
    let dataset = dataset(&DESCRIBED.replace("\"videos.tsv\"", "\"videos.tsv.zst\""));
    let packed = zstd::encode_all(VIDEOS.as_bytes(), 1).unwrap();
    std::fs::write(dataset.path("data/shop/videos.tsv.zst"), packed).unwrap();
    assert_eq!(all(&dataset.open().unwrap().train).numeric[1], 10.0);
    std::fs::write(dataset.path("data/shop/videos.tsv.zst"), "id\tlength\n").unwrap();
    let said = dataset.refusal();
    assert!(
        said.contains("expected Zstandard data, as the name says, found something else"),
        "{said}"
    );
}

#[test]
fn files_right_in_the_data_folder_are_found() {
    let dataset = dataset(DESCRIBED);
    std::fs::rename(dataset.path("data/shop"), dataset.path("mine")).unwrap();
    let places = Places {
        data: dataset.path("mine"),
        ..dataset.places()
    };
    assert!(crate::open(&DatasetRef::new("shop"), &places, &mut Notices::default()).is_ok());
}
