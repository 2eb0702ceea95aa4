//! Embedding tables that several features read: one vocabulary, ids that agree, and what is refused.

use super::*;
use crate::{NewRows, TableFormat};

const SHARED: &str = r#"source = "table"
default_protocol = "all"
columns = ["item", "seen", "bought", "time", "buys"]
[files.log]
name = "log.csv"
[features]
item = { kind = "categorical" }
seen = { kind = "list", table = "item" }
size = { kind = "bucket", column = "time", buckets = 2 }
bought = { kind = "list", pooling = "sum", table = "item" }
[tasks.buys]
label = "buys"
group = "shop"
[split]
kind = "time"
column = "time"
validation_from = 5
test_from = 7
[protocols.all]
tasks = ["buys"]
[protocols.lists]
tasks = ["buys"]
not_inputs = ["item"]
"#;

/// c is nowhere an item in training, d nowhere in training at all.
const LOG: &str = "item,seen,bought,time,buys\n\
    a,b|c,,1,1\nb,a,a|a,2,0\na,c,b,3,1\na,,b,4,0\nc,d|a,b,5,1\nb,a,a,6,0\nd,c,c,7,1\na,a,a,8,0\n";

fn shop(description: &str) -> Dataset {
    let dataset = Dataset::described(description, "", "");
    dataset.write("data/shop/log.csv", LOG);
    dataset
}

#[test]
fn features_of_one_table_have_the_ids_of_all_their_values() {
    let dataset = shop(SHARED);
    let prepared = dataset.open().unwrap();
    let schema = &prepared.schema;
    let tables: Vec<(&str, &str)> = (schema.tables.iter())
        .map(|(feature, table)| (feature.as_str(), table.as_str()))
        .collect();
    assert_eq!(tables, [("bought", "item"), ("seen", "item")]);
    // Training has a on five rows' fields (3 items, 1 seen, 1 bought), b on four, c on two.
    assert_eq!(schema.categorical[0].vocabulary_size, 4);
    assert!(schema.lists.iter().all(|list| list.vocabulary_size == 4));
    let words =
        std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    for feature in ["item", "seen", "bought"] {
        let of_feature: Vec<&str> = (words.lines())
            .filter_map(|line| line.strip_prefix(&format!("{feature},")))
            .collect();
        assert_eq!(of_feature, ["1,a,5", "2,b,4", "3,c,2"], "{feature}");
    }
    let rows = all(&prepared.train);
    let items: Vec<u32> = rows.categorical.iter().step_by(2).copied().collect();
    assert_eq!(items, [1, 2, 1, 1]);
    // By row: seen, then bought.
    assert_eq!(rows.list_ids, [2, 3, 1, 1, 1, 3, 2, 2]);
    assert_eq!(rows.list_ends, [2, 2, 3, 5, 6, 7, 7, 8]);
    // c has an id as an item too, since training has seen it in a list; d has none anywhere.
    let rows = all(&prepared.validation);
    let items: Vec<u32> = rows.categorical.iter().step_by(2).copied().collect();
    assert_eq!(items, [3, 2]);
    assert_eq!(rows.list_ids[..2], [0, 1]);
}

#[test]
fn a_table_keeps_its_name_where_a_protocol_leaves_its_feature_out() {
    let dataset = shop(SHARED);
    let lists = DatasetRef {
        protocol: Some("lists".to_owned()),
        ..DatasetRef::new("shop")
    };
    let prepared = crate::open(&lists, &dataset.places(), &mut Notices::default()).unwrap();
    // a and b three times, c twice: items don't count.
    assert!(
        prepared
            .schema
            .lists
            .iter()
            .all(|list| list.vocabulary_size == 4)
    );
    assert_eq!(prepared.schema.tables["seen"], "item");
    let names = |reference| crate::table_names(&reference, &dataset.places()).unwrap();
    assert_eq!(names(lists), ["item", "size"]);
    assert_eq!(names(DatasetRef::new("shop")), ["item", "size"]);
}

#[test]
fn counts_of_a_table_add_up_before_rare_values_are_left_out() {
    let rare = SHARED
        .replace("\"categorical\" }", "\"categorical\", min_count = 3 }")
        .replace("table = \"item\" }", "table = \"item\", min_count = 3 }");
    let prepared = shop(&rare).open().unwrap();
    // b is an item once, and in lists three times.
    assert_eq!(prepared.schema.categorical[0].vocabulary_size, 3);
    // Apart, the items have a alone.
    let apart = rare.replace("table = \"item\", ", "");
    let prepared = shop(&apart).open().unwrap();
    assert_eq!(prepared.schema.categorical[0].vocabulary_size, 2);
    assert!(prepared.schema.tables.is_empty());
}

#[test]
fn hashed_features_share_as_they_are() {
    let hashed = SHARED
        .replace("\"categorical\" }", "\"hash\", buckets = 64 }")
        .replace("table = \"item\" }", "table = \"item\", buckets = 64 }");
    let prepared = shop(&hashed).open().unwrap();
    let rows = all(&prepared.train);
    // b as an item, and as what was seen.
    assert_eq!(rows.categorical[2], rows.list_ids[0]);
    assert_eq!(prepared.schema.lists[0].vocabulary_size, 65);
}

#[test]
fn new_rows_have_the_ids_of_the_table() {
    let dataset = shop(SHARED);
    dataset.open().unwrap();
    let folder = dataset.prepared_folder();
    let numbers = std::fs::read_to_string(folder.join("numbers.csv")).unwrap();
    // As results keep it.
    let words = std::fs::read(folder.join("vocabularies.csv")).unwrap();
    let packed = zstd::encode_all(&words[..], 3).unwrap();
    let words = folder.join("vocabularies.csv.zst");
    std::fs::write(&words, packed).unwrap();
    let document = homebench_diagnostic::Document::new("description.toml", SHARED);
    let description = crate::schema::Description::parse("shop", &document).unwrap();
    let canonical = description.protocol(None).unwrap().canonical();
    let digest = blake3::hash(canonical.as_bytes()).to_hex().to_string();
    let rows = NewRows::new("shop", SHARED, "all", None, &digest, Some(&words), &numbers);
    let rows = rows.unwrap();
    assert_eq!(rows.schema().unwrap().tables["bought"], "item");
    dataset.write("new.csv", "item,seen,bought,time\nc,a|d,b,9\n");
    let mut ids = Vec::new();
    let mut model = |batch: &crate::Batch| {
        ids.push((batch.categorical[0], batch.list_ids.clone()));
        Ok(vec![0.0; batch.num_rows])
    };
    let (files, places) = ([dataset.path("new.csv")], dataset.places());
    let (format, mut observer) = (TableFormat::Csv, Notices::default());
    rows.score(
        &files,
        &places,
        Vec::new(),
        format,
        &mut model,
        &mut observer,
    )
    .unwrap();
    assert_eq!(ids, [(3, vec![1, 0, 2])]);
}

#[test]
fn tables_that_features_cannot_share_are_refused_with_their_place() {
    let said = |from: &str, to: &str| shop(&SHARED.replacen(from, to, 1)).refusal();
    let seen = "seen = { kind = \"list\", table = \"item\" }";
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"itme\" }"), @r#"
    /descriptions/shop.toml:8:33: no other feature reads the table `itme`
    hint: did you mean "item"?
    "#);
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"catalogue\" }"), @r"
    /descriptions/shop.toml:8:33: no other feature reads the table `catalogue`
    hint: name another feature, whose table this one is to read, or leave `table` out
    ");
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"item\", min_count = 2 }"), @r"
    /descriptions/shop.toml:8:33: `seen` has min_count = 2, and `item`, which reads the same table, min_count = 1
    hint: give both the same `min_count` or the same `buckets`: a row of the table is one value
    ");
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"item\", buckets = 8 }"), @r"
    /descriptions/shop.toml:8:33: `seen` has buckets = 8, and `item`, which reads the same table, min_count = 1
    hint: give both the same `min_count` or the same `buckets`: a row of the table is one value
    ");
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"size\" }"), @r"
    /descriptions/shop.toml:8:33: `size` has ids of buckets or none, which no other feature shares
    hint: name a categorical, hash or list feature
    ");
    insta::assert_snapshot!(said(seen, "seen = { kind = \"list\", table = \"a.b\" }"), @r"
    /descriptions/shop.toml:8:1: `a.b` can't be the name of a table
    hint: use letters, digits, `_` and `-`
    ");
    insta::assert_snapshot!(said("buckets = 2 }", "buckets = 2, table = \"item\" }"), @r#"
    /descriptions/shop.toml:9:57: `table` has no meaning for a bucket feature
    hint: it belongs to kind = "categorical" or "hash" or "list"
    "#);
}

#[test]
fn a_table_is_part_of_what_a_dataset_is_and_its_absence_is_not() {
    let hash = |text: &str| shop(text).open().unwrap().content_hash;
    assert_ne!(
        hash(SHARED),
        hash(&SHARED.replace(", table = \"item\"", ""))
    );
}
