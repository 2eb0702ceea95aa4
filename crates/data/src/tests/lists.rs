//! Multi-valued and hashed features, labels that are columns, splits by user, encodings.

use super::*;
use crate::schema::Pooling;

const SHOP: &str = r#"source = "table"
default_protocol = "all"
columns = ["user", "tags", "size", "bought"]
user = "user"
[files.log]
name = "log.csv"
[files.users]
name = "users.csv"
[joins.user]
file = "users"
on = "user"
columns = ["user", "likes"]
[features]
tags = { kind = "list" }
hashed = { kind = "list", column = "tags", buckets = 8, pooling = "sum" }
likes = { kind = "list", separator = ";", min_count = 2 }
person = { kind = "hash", column = "user", buckets = 4 }
[tasks.buys]
label = "bought"
group = "shop"
[split]
kind = "time"
column = "size"
validation_from = 5
test_from = 6
[protocols.all]
tasks = ["buys"]
"#;

const LOG: &str = "user,tags,size,bought\n\
    ann,red|blue,1,1\nbob,,2,0\nann, red ||red,3,0\ncat,green,4,1\nann,blue|white,5,1\nbob,red,6,0\n";
const USERS: &str = "user,likes\nann,tea;rice\nbob,tea\ncat,\n";

fn shop(description: &str, log: &str) -> Dataset {
    let dataset = Dataset::described(description, "", "");
    dataset.write("data/shop/log.csv", log);
    dataset.write("data/shop/users.csv", USERS);
    dataset
}

/// The lists of a batch, by row and feature.
fn lists(batch: &crate::Batch, width: usize) -> Vec<Vec<Vec<u32>>> {
    let mut start = 0;
    let lists: Vec<Vec<u32>> = batch
        .list_ends
        .iter()
        .map(|end| {
            let list = batch.list_ids[start..*end as usize].to_vec();
            start = *end as usize;
            list
        })
        .collect();
    assert_eq!(start, batch.list_ids.len());
    lists.chunks(width).map(<[_]>::to_vec).collect()
}

#[test]
fn lists_keep_their_order_and_repeats_and_unseen_values_are_out_of_vocabulary() {
    let prepared = shop(SHOP, LOG).open().unwrap();
    let features: Vec<_> = prepared
        .schema
        .lists
        .iter()
        .map(|list| (list.name.as_str(), list.vocabulary_size, list.pooling))
        .collect();
    assert_eq!(
        features,
        [
            ("tags", 4, Pooling::Mean),
            ("hashed", 9, Pooling::Sum),
            ("likes", 3, Pooling::Mean)
        ]
    );
    // red is there three times, then by text: blue, green. tea and rice have three and two training rows.
    let train = lists(&all(&prepared.train), 3);
    let of = |rows: &[Vec<Vec<u32>>], feature: usize| -> Vec<Vec<u32>> {
        rows.iter().map(|row| row[feature].clone()).collect()
    };
    assert_eq!(of(&train, 0), [vec![1, 2], vec![], vec![1, 1], vec![3]]);
    assert_eq!(of(&train, 2), [vec![1, 2], vec![1], vec![1, 2], vec![]]);
    let validation = lists(&all(&prepared.validation), 3);
    assert_eq!(of(&validation, 0), [vec![2, 0]]);
    // A hashed list has no vocabulary: white has a bucket of its own or another's, and the same one everywhere.
    let hashed = of(&train, 1);
    assert_eq!(hashed[2], [hashed[0][0]; 2]);
    assert_eq!(of(&validation, 1)[0][0], hashed[0][1]);
    assert!((1..=8).contains(&of(&validation, 1)[0][1]));
}

#[test]
fn mean_lengths_are_of_training_rows_and_a_dataset_that_lacks_them_is_prepared_again() {
    let shop = shop(SHOP, LOG);
    let lengths = |prepared: &Prepared| -> Vec<f64> {
        let lists = prepared.schema.lists.iter();
        lists.map(|list| list.mean_length).collect()
    };
    let prepared = shop.open().unwrap();
    assert_eq!(lengths(&prepared), [5.0 / 4.0; 3]);
    let before = all(&prepared.train);
    drop(prepared);
    // As a version wrote it that didn't count them.
    let manifest = shop.prepared_folder().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = crate::sealed_text::unsealed(&text).unwrap();
    let kept: Vec<&str> = (text.lines())
        .filter(|line| !line.starts_with("mean_length = "))
        .collect();
    assert_eq!(kept.len() + 3, text.lines().count());
    let old = crate::sealed_text::sealed(&(kept.join("\n") + "\n"));
    std::fs::write(&manifest, old).unwrap();
    let mut notices = Notices::default();
    let reference = DatasetRef::new("shop");
    let prepared = crate::open(&reference, &shop.places(), &mut notices).unwrap();
    let said = notices.0.join("\n");
    assert!(
        said.contains("is of an older version and doesn't say how long lists are"),
        "{said}"
    );
    assert_eq!(lengths(&prepared), [5.0 / 4.0; 3]);
    let after = all(&prepared.train);
    assert_eq!(
        (before.list_ids, before.list_ends),
        (after.list_ids, after.list_ends)
    );
}

#[test]
fn an_export_says_of_every_feature_what_its_ids_are() {
    let with_a_bucket = SHOP.replace(
        "[tasks.buys]",
        "size = { kind = \"bucket\", buckets = 2 }\n[tasks.buys]",
    );
    let shop = shop(&with_a_bucket, LOG);
    let out = shop.path("rows");
    let reference = DatasetRef::new("shop");
    crate::export(&reference, &shop.places(), &out, &mut Notices::default()).unwrap();
    let schema = std::fs::read_to_string(out.join("schema.toml")).unwrap();
    let (_, features) = schema.split_once("user = \"user\"\n").unwrap();
    insta::assert_snapshot!(features, @r#"
    [[categorical]]
    name = "person"
    vocabulary_size = 5
    kind = "hash"

    [[categorical]]
    name = "size"
    vocabulary_size = 3
    kind = "bucket"

    [[lists]]
    name = "tags"
    vocabulary_size = 4
    pooling = "mean"

    [[lists]]
    name = "hashed"
    vocabulary_size = 9
    pooling = "sum"
    kind = "hash"

    [[lists]]
    name = "likes"
    vocabulary_size = 3
    pooling = "mean"

    [[tasks]]
    name = "buys"
    group = "shop"
    "#);
}

#[test]
fn hashed_ids_are_those_of_the_documented_hash() {
    let prepared = shop(SHOP, LOG).open().unwrap();
    assert_eq!(prepared.schema.categorical[0].vocabulary_size, 5);
    let train = all(&prepared.train);
    let expected = ["ann", "bob", "ann", "cat"].map(|user| {
        let digest = blake3::hash(user.as_bytes());
        let hash = u32::from_le_bytes(digest.as_bytes()[..4].try_into().unwrap());
        1 + (u64::from(hash) * 4 / (1 << 32)) as u32
    });
    assert_eq!(train.categorical, expected);
}

#[test]
fn a_filter_and_a_split_leave_the_right_lists_and_count_only_those() {
    let described = SHOP.replace("[files.log]", "filter = \"size != 3\"\n[files.log]");
    let described = described.replace("source = \"table\"", "source = \"table\"\n");
    let prepared = shop(&described, LOG).open().unwrap();
    let train = lists(&all(&prepared.train), 3);
    // Without the third row every tag is there once: by text blue, green, red.
    let tags: Vec<_> = train.iter().map(|row| row[0].clone()).collect();
    assert_eq!(tags, [vec![3, 1], vec![], vec![2]]);
}

#[test]
fn gathered_lists_are_those_that_reading_gives_across_blocks() {
    let rows: u32 = 140_000;
    let log: String = std::iter::once("user,tags,size,bought\n".to_owned())
        .chain((0..rows).map(|row| {
            let value = row.wrapping_mul(2_654_435_761) >> 7;
            let tags: Vec<String> = (0..value % 4)
                .map(|n| format!("t{}", (value >> n) % 50))
                .collect();
            let size = if row + 20 < rows { 1 } else { 5 + row % 2 };
            format!("ann,{},{size},{}\n", tags.join("|"), row % 2)
        }))
        .collect();
    let prepared = shop(SHOP, &log).open().unwrap();
    let split = &prepared.train;
    let whole = lists(&all(split), 3);
    assert_eq!(whole.len(), split.num_rows());
    let order: Vec<u32> = (0..4000u32)
        .map(|i| i.wrapping_mul(2_654_435_761) % split.num_rows() as u32)
        .collect();
    let mut batch = crate::Batch::default();
    // The buffers of a batch are used again.
    split.gather(&order[..7], &mut batch).unwrap();
    split.gather(&order, &mut batch).unwrap();
    for (found, row) in lists(&batch, 3).iter().zip(&order) {
        assert_eq!(*found, whole[*row as usize]);
    }
    split.read(65_530..65_550, &mut batch).unwrap();
    assert_eq!(lists(&batch, 3), whole[65_530..65_550]);
}

#[test]
fn arrow_lists_are_read_as_values() {
    use arrow::array::{Int32Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
    use std::sync::Arc;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for list in [
        Some(vec![Some("red"), Some("blue")]),
        None,
        Some(vec![Some("red"), None, Some("red")]),
        Some(vec![Some("green")]),
        Some(vec![Some("blue"), Some("white")]),
        Some(vec![Some("red")]),
    ] {
        tags.append_option(list);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "user",
            Arc::new(StringArray::from(vec![
                "ann", "bob", "ann", "cat", "ann", "bob",
            ])) as _,
            true,
        ),
        ("tags", Arc::new(tags.finish()) as _, true),
        (
            "size",
            Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])) as _,
            true,
        ),
        (
            "bought",
            Arc::new(Int32Array::from(vec![1, 0, 0, 1, 1, 0])) as _,
            true,
        ),
    ])
    .unwrap();
    let dataset = shop(&SHOP.replace("log.csv", "log.parquet"), LOG);
    let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let expected = shop(SHOP, LOG).open().unwrap();
    let found = dataset.open().unwrap_or_else(|error| panic!("{error}"));
    for (found, expected) in [
        (&found.train, &expected.train),
        (&found.validation, &expected.validation),
    ] {
        let (found, expected) = (all(found), all(expected));
        assert_eq!(lists(&found, 3), lists(&expected, 3));
        assert_eq!(found.categorical, expected.categorical);
    }
}

#[test]
fn a_label_that_is_a_column_is_0_or_1_and_not_observed_where_it_is_empty() {
    let prepared = shop(SHOP, &LOG.replace("cat,green,4,1", "cat,green,4,"))
        .open()
        .unwrap();
    let labels = all(&prepared.train).labels;
    assert_eq!(labels[..3], [1.0, 0.0, 0.0]);
    assert!(labels[3].is_nan());
    assert_eq!(
        shop(SHOP, &LOG.replace("cat,green,4,1", "cat,green,4,2")).refusal(),
        "/data/shop/log.csv:5:13: column `bought`: expected 0 or 1, found `2`\n\
         hint: say which values are positive, such as label = \"bought = 2\" or label = \"bought >= 2\""
    );
}

#[test]
fn a_split_by_user_keeps_users_together_and_needs_them() {
    let (before, after) = SHOP.split_once("[split]").unwrap();
    let (_, after) = after.split_once("[protocols").unwrap();
    let split =
        "[split]\nkind = \"user\"\nvalidation_fraction = 0.2\ntest_fraction = 0.2\nseed = 3\n";
    let described = format!("{before}{split}[protocols{after}");
    let log: String = std::iter::once("user,tags,size,bought\n".to_owned())
        .chain((0..600).map(|row| format!("u{},red,{row},{}\n", row % 60, row % 2)))
        .collect();
    let prepared = shop(&described, &log).open().unwrap();
    let users = |split: &Split| -> std::collections::BTreeSet<u32> {
        all(split).users.into_iter().collect()
    };
    let (train, validation) = (users(&prepared.train), users(&prepared.validation));
    assert!(train.is_disjoint(&validation));
    assert_eq!(all(&prepared.train).num_rows, 10 * train.len());
    assert_eq!(all(&prepared.validation).num_rows, 10 * validation.len());
    assert!(train.len() + validation.len() < 60 && !validation.is_empty());
    let said = shop(&described.replace("user = \"user\"\n", ""), &log).refusal();
    assert!(
        said.ends_with(
            "a split by user needs the column of the users\n\
             hint: name it at the top of the description: user = \"user_id\""
        ),
        "{said}"
    );
}

#[test]
fn knobs_of_lists_and_hashes_are_checked() {
    for (from, to, expected) in [
        (
            "buckets = 4",
            "buckets = 1",
            "expected 2 to 67108864 buckets, found 1",
        ),
        (
            "kind = \"hash\", column = \"user\", buckets = 4",
            "kind = \"hash\", column = \"user\"",
            "the hash feature `person` has no `buckets`\nhint: add `buckets = 32`",
        ),
        (
            "separator = \";\", min_count = 2",
            "min_count = 2, buckets = 5",
            "`min_count` and `buckets` don't go together: hashed values are not counted",
        ),
        (
            "separator = \";\"",
            "separator = \"→\"",
            "expected one ASCII character that is no line end, found '→'",
        ),
        (
            "pooling = \"sum\"",
            "pooling = \"max\"",
            "unknown value `max`",
        ),
        (
            "person = { kind",
            "person = { protocols = [\"al\"], kind",
            "there is no protocol `al`\nhint: did you mean `all`?",
        ),
    ] {
        assert!(SHOP.contains(from), "{from}");
        let said = shop(&SHOP.replacen(from, to, 1), LOG).refusal();
        assert!(said.contains(expected), "{from} -> {to}: {said}");
    }
}

#[test]
fn a_protocol_has_its_own_filter_and_features_and_an_unused_table_need_not_be_there() {
    let described = SHOP
        .replace(
            "min_count = 2 }",
            "min_count = 2, protocols = [\"likes\"] }",
        )
        .replace(
            "[protocols.all]",
            "[protocols.likes]\ntasks = [\"buys\"]\nfilter = 'user != \"cat\"'\n[protocols.all]",
        );
    let dataset = shop(&described, LOG);
    std::fs::remove_file(dataset.path("data/shop/users.csv")).unwrap();
    let prepared = dataset.open().unwrap();
    assert_eq!(
        (prepared.schema.lists.len(), prepared.train.num_rows()),
        (2, 4)
    );
    let reference = DatasetRef {
        protocol: Some("likes".to_owned()),
        ..DatasetRef::new("shop")
    };
    let open = || super::super::open(&reference, &dataset.places(), &mut Notices::default());
    assert!(
        dataset
            .said(&open().unwrap_err())
            .starts_with("/data/shop/users.csv: the file is missing")
    );
    dataset.write("data/shop/users.csv", USERS);
    let prepared = open().unwrap();
    assert_eq!(
        (prepared.schema.lists.len(), prepared.train.num_rows()),
        (3, 3)
    );
}

#[test]
fn latin_1_is_read_as_said_and_otherwise_kept_and_told() {
    let described = SHOP.replace(
        "[features]",
        "[features]\nname = { kind = \"categorical\", column = \"user\" }",
    );
    let write = |dataset: &Dataset| {
        let log = LOG
            .replace("ann", "Zoë")
            .chars()
            .map(|c| c as u8)
            .collect::<Vec<u8>>();
        std::fs::write(dataset.path("data/shop/log.csv"), log).unwrap();
    };
    let words = |dataset: &Dataset| {
        std::fs::read(dataset.prepared_folder().join("vocabularies.csv")).unwrap()
    };
    let dataset = shop(&described, "");
    write(&dataset);
    let mut notices = Notices::default();
    crate::prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    let said = notices.0.iter().find(|said| said.contains("UTF-8"));
    assert_eq!(
        said.unwrap(),
        "1 values of the column `user` are no UTF-8, such as `Zo\u{fffd}`; they are used as they are (with \
         encoding = \"latin-1\" in the description's format they are read as Latin-1)"
    );
    assert!(words(&dataset).windows(3).any(|bytes| bytes == b"Zo\xeb"));
    let described = described.replace(
        "[files.log]",
        "[format]\nencoding = \"latin-1\"\n[files.log]",
    );
    let dataset = shop(&described, "");
    write(&dataset);
    let mut notices = Notices::default();
    super::super::open(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    assert!(
        !notices.0.iter().any(|said| said.contains("UTF-8")),
        "{:?}",
        notices.0
    );
    assert!(String::from_utf8(words(&dataset)).unwrap().contains("Zoë"));
}
