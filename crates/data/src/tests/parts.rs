//! Tables in parts: folders, patterns, and columns that names of folders give.

use super::*;
use crate::{DatasetRef, prepare, verify};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

const DESCRIBED: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "item", "click"]
[files.log]
name = "log"
[files.items]
name = "items-*.csv"
[joins.item]
file = "items"
on = "item"
columns = ["item", "price"]
[split]
kind = "time"
column = "day"
validation_from = 4
test_from = 5
[features]
item = { kind = "categorical" }
price = { kind = "numeric" }
day_again = { kind = "categorical", column = "day" }
[tasks.click]
label = "click"
group = "main"
[protocols.all]
tasks = ["click"]
"#;

/// The log in folders of days, each of two rows of which one is a click.
fn dataset(description: &str) -> Dataset {
    let dataset = Dataset::described(description, "", "");
    for day in 1..=5 {
        let text = format!("item,click\na{day},1\nb,0\n");
        dataset.write(&format!("data/shop/log/day={day}/part-0.csv"), &text);
        dataset.write(&format!("data/shop/log/day={day}/part-1.csv"), "");
    }
    dataset.write("data/shop/log/_SUCCESS", "");
    dataset.write("data/shop/items-0.csv", "item,price\na1,10\na2,20\n");
    dataset.write("data/shop/items-1.csv", "item,price\nb,30\n");
    dataset
}

fn notices(dataset: &Dataset) -> Vec<String> {
    let mut notices = Notices::default();
    prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    let folder = dataset.folder.path().display().to_string();
    notices
        .0
        .iter()
        .map(|notice| notice.replace(&folder, ""))
        .collect()
}

#[test]
fn a_folder_is_its_files_in_order_with_a_column_of_its_folders() {
    let dataset = dataset(DESCRIBED);
    let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        [prepared.train.num_rows(), prepared.validation.num_rows()],
        [6, 2]
    );
    let train = all(&prepared.train);
    assert_eq!(train.numeric, [10.0, 30.0, 20.0, 30.0, 0.0, 30.0]);
    assert_eq!(train.labels, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    // The days of the folders are values like any other.
    let days: Vec<u32> = train.categorical.chunks(2).map(|row| row[1]).collect();
    assert_eq!(days[0], days[1]);
    assert_eq!(
        days.iter().collect::<std::collections::BTreeSet<_>>().len(),
        3
    );
}

#[test]
fn a_folder_of_parquet_gives_the_same_rows_and_patterns_do() {
    let expected = all(&dataset(DESCRIBED).open().unwrap().train);
    for name in [
        "log",
        "log/*/*.parquet",
        "log/**/part-?.parquet",
        "log/day=*",
    ] {
        let described = DESCRIBED.replace("name = \"log\"", &format!("name = \"{name}\""));
        let dataset = dataset(&described);
        for day in 1..=5 {
            let folder = dataset.path(&format!("data/shop/log/day={day}"));
            std::fs::remove_file(folder.join("part-0.csv")).unwrap();
            let batch = RecordBatch::try_from_iter([
                (
                    "item",
                    Arc::new(StringArray::from(vec![format!("a{day}"), "b".to_owned()]))
                        as ArrayRef,
                ),
                ("click", Arc::new(Int64Array::from(vec![1, 0])) as ArrayRef),
            ]);
            let batch = batch.unwrap();
            let file = std::fs::File::create(folder.join("part-0.parquet")).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        let found = all(&dataset
            .open()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .train);
        assert_eq!(found.numeric, expected.numeric, "{name}");
        assert_eq!(found.labels, expected.labels, "{name}");
        assert_eq!(found.categorical, expected.categorical, "{name}");
    }
}

#[test]
fn what_is_left_out_is_counted_and_a_part_more_is_another_content() {
    let dataset = dataset(DESCRIBED);
    let said = notices(&dataset);
    let expected = "/data/shop/log: 5 files are read; 5 without a byte and 1 whose names begin with `_` or `.` are left out";
    assert!(said.iter().any(|notice| notice == expected), "{said:?}");
    assert!(
        !notices(&dataset)
            .iter()
            .any(|notice| notice.contains("files are read"))
    );
    let hash = || {
        let prepared = dataset.open().unwrap();
        (prepared.content_hash, prepared.train.num_rows())
    };
    let before = hash();
    dataset.write("data/shop/log/day=1/part-2.csv", "item,click\nc,1\n");
    let after = hash();
    assert_ne!(before.0, after.0);
    assert_eq!((before.1, after.1), (6, 7));
}

#[test]
fn the_digest_of_a_folder_is_that_of_the_lines_of_sha256sum() {
    let dataset = dataset(DESCRIBED);
    let found = verify(
        &DatasetRef::new("shop"),
        &dataset.places(),
        &mut Notices::default(),
    )
    .unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "find . -name 'part-0.csv' | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum | sha256sum"])
        .current_dir(dataset.path("data/shop/log"))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(Some(found.sources[0].1.as_str()), printed.split(' ').next());
}

#[test]
fn a_fault_names_its_part_and_a_column_in_two_places_is_refused() {
    let dataset = dataset(DESCRIBED);
    dataset.write("data/shop/log/day=3/part-0.csv", "item,click\na,1\nb,no\n");
    let said = dataset.refusal();
    assert!(
        said.starts_with("/data/shop/log/day=3/part-0.csv:3:3: column `click`"),
        "{said}"
    );
    dataset.write("data/shop/log/day=3/part-0.csv", "item,click,day\na,1,3\n");
    assert_eq!(
        dataset.refusal(),
        "/data/shop/log/day=3/part-0.csv: the column `day` is both in the file and in the name of its folder\n\
         hint: rename the column in the file or the key of the folders"
    );
    dataset.write("data/shop/log/day=3/part-0.csv", "item,click\na,1\n");
    dataset.write("data/shop/items-1.csv", "item,price\na2,30\n");
    let said = dataset.refusal();
    assert!(said.contains("first at line 3 of "), "{said}");
}

#[test]
fn a_file_replaced_by_another_of_the_same_size_and_time_is_noticed() {
    let described = DESCRIBED.replace("name = \"log\"", "name = \"log.csv\"");
    let dataset = Dataset::described(&described, "", "");
    dataset.write("data/shop/items-0.csv", "item,price\na,10\n");
    let text = "day,item,click\n1,a,1\n2,b,0\n3,a,1\n4,a,1\n5,b,0\n";
    dataset.write("data/shop/log.csv", text);
    let path = dataset.path("data/shop/log.csv");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let first = dataset.open().unwrap();
    // Beside its place and moved over it, then in its place.
    for (round, text) in [
        text.replace("2,b,0", "2,b,1"),
        text.replace("1,a,1", "1,a,0"),
    ]
    .iter()
    .enumerate()
    {
        let new = if round == 0 {
            path.with_extension("new")
        } else {
            path.clone()
        };
        std::fs::write(&new, text).unwrap();
        let file = std::fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(time).unwrap();
        drop(file);
        if round == 0 {
            std::fs::rename(&new, &path).unwrap();
        }
        let again = dataset.open().unwrap();
        assert_ne!(again.content_hash, first.content_hash);
        let expected: &[f32] = if round == 0 {
            &[1.0, 1.0, 1.0]
        } else {
            &[0.0, 0.0, 1.0]
        };
        assert_eq!(all(&again.train).labels, expected);
    }
}

#[test]
fn a_dataset_may_have_the_name_of_its_folder_of_rows() {
    let named = DESCRIBED.replace("name = \"log\"", "name = \"shop\"");
    let dataset = dataset(&named);
    std::fs::rename(dataset.path("data/shop"), dataset.path("mine")).unwrap();
    std::fs::rename(dataset.path("mine/log"), dataset.path("mine/shop")).unwrap();
    let places = Places {
        data: dataset.path("mine"),
        ..dataset.places()
    };
    crate::open(&DatasetRef::new("shop"), &places, &mut Notices::default()).unwrap();
}
