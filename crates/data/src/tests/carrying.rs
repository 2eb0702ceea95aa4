//! Columns that are neither inputs nor labels and stay with each row.

use super::*;
use crate::seal::{FinalPhase, FrozenSelection};
use crate::{CarriedRows, CodedColumn, NOBODY, RowSubset, carry};

/// Times divide the rows; one row in five is left out by the filter.
const DESCRIBED: &str = r#"source = "csv"
default_protocol = "all"
columns = [
    "session", "item", { name = "seen", type = "timestamp" }, "color", "bought", "day",
    { name = "price", type = "float" }, { name = "brand", expression = "concat(color, '!')" },
]
keys = ["session", "item"]
user = "session"
filter = "color != 'none'"
optional = ["price"]
[files.rows]
name = "train.csv"
[features]
color = { kind = "categorical" }
[tasks.buys]
label = "bought == 1"
group = "shop"
[split]
kind = "time"
files = "rows"
column = "day"
validation_from = 2
test_from = 3
[protocols.all]
tasks = ["buys"]
"#;

const ROWS: &str = "session,item,seen,color,bought,day,price\n\
    17,a1,2024-01-01T00:00:00Z,red,1,1,2.5\n\
    18,a2,2024-01-02T00:00:00Z,none,0,1,1\n\
    19,007,2024-01-03T00:00:00Z,blue,0,3,\n\
    17,a1,2024-01-04T00:00:00.5Z,red,0,2,4\n\
    ,a4,2024-01-05T00:00:00Z,blue,1,1,5\n\
    20,a5,2024-01-06T00:00:00Z,red,1,2,6\n\
    21,,2024-01-07T00:00:00Z,red,1,3,7\n";

fn dataset() -> Dataset {
    Dataset::described(DESCRIBED, ROWS, "")
}

fn carried(dataset: &Dataset, columns: &[&str]) -> Prepared {
    let reference = DatasetRef::new("shop");
    let found = carry(
        &reference,
        &dataset.places(),
        columns,
        &mut Notices::default(),
    )
    .unwrap();
    let rows = dataset.open().unwrap();
    rows.with_carried(found.unwrap()).unwrap()
}

fn test_rows(prepared: Prepared) -> Split {
    let selection = FrozenSelection::freeze(1, FinalPhase::of_a_final_cell());
    prepared.test.open(&selection).unwrap()
}

fn texts(rows: &CarriedRows, name: &str) -> Vec<String> {
    let CodedColumn { codes, values } = rows.coded(name).unwrap();
    let text = |code: &u32| match *code {
        NOBODY => "-".to_owned(),
        code => values[code as usize].clone(),
    };
    codes.iter().map(text).collect()
}

fn type_of(rows: &CarriedRows, name: &str) -> String {
    rows.field(name).unwrap().1.data_type().to_string()
}

#[test]
fn columns_stay_with_the_rows_that_are_left_and_keep_their_types() {
    let dataset = dataset();
    let prepared = carried(&dataset, &["session", "item", "seen", "price", "brand"]);
    let train = prepared.train.carried().unwrap();
    assert_eq!(
        train.names().collect::<Vec<_>>(),
        ["session", "item", "seen", "price", "brand"]
    );
    // The second row of the file is filtered out, and its place stays its own.
    assert_eq!(train.source_rows(0..2), [0, 4]);
    assert_eq!(texts(train, "session"), ["17", "-"]);
    assert_eq!(texts(train, "brand"), ["red!", "blue!"]);
    let validation = prepared.validation.carried().unwrap();
    assert_eq!(validation.source_rows(0..2), [3, 5]);
    assert_eq!(validation.source_rows(1..2), [5]);
    assert_eq!(texts(validation, "seen")[0], "2024-01-04T00:00:00.5");
    assert_eq!(texts(validation, "price"), ["4", "6"]);
    // Whole numbers in their usual spelling are such in every split; 007 is a text, and so are all of its column.
    assert_eq!(type_of(validation, "session"), "Int64");
    assert_eq!(type_of(validation, "item"), "Utf8");
    assert_eq!(type_of(validation, "seen"), "Timestamp(µs, \"UTC\")");
    let test = test_rows(prepared);
    let rows = test.carried().unwrap();
    assert_eq!(rows.source_rows(0..2), [2, 6]);
    assert_eq!(texts(rows, "item"), ["007", "-"]);
    assert_eq!(texts(rows, "price"), ["-", "7"]);
    assert!(rows.coded("color").is_none());
}

#[test]
fn keys_change_neither_what_models_read_nor_its_hash() {
    let dataset = dataset();
    let with = dataset.open().unwrap().content_hash;
    let folder = dataset.prepared_folder();
    let files = || {
        [
            "train.arrow",
            "validation.arrow",
            "test.arrow",
            "manifest.toml",
        ]
        .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    let before = files();
    dataset.write(
        "descriptions/shop.toml",
        &DESCRIBED.replace("keys = [\"session\", \"item\"]\n", ""),
    );
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(dataset.open().unwrap().content_hash, with);
    assert_eq!(files(), before);
}

#[test]
fn carried_columns_are_made_once_in_the_same_bytes_on_any_number_of_threads() {
    let rows = |count: usize| -> String {
        let row = |row: usize| {
            format!(
                "{row},k{},2024-01-01T00:00:00Z,red,{},{},1\n",
                row % 7,
                row % 2,
                1 + row % 3
            )
        };
        let header = "session,item,seen,color,bought,day,price\n".to_owned();
        header + &(0..count).map(row).collect::<String>()
    };
    let dataset = Dataset::described(DESCRIBED, &rows(150_000), "");
    let folder = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| drop(carried(&dataset, &["session", "item"])));
        let cache = std::fs::read_dir(dataset.path("cache")).unwrap();
        let mut digests: Vec<String> = cache
            .flatten()
            .map(|entry| entry.path().join("manifest.toml"))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .filter(|text| text.contains("carried = [\"session\", \"item\"]"))
            .collect();
        std::fs::remove_dir_all(dataset.path("cache")).unwrap();
        assert_eq!(digests.len(), 1);
        digests.remove(0)
    };
    let one = folder(1);
    assert_eq!(one, folder(3));
    // Of a subset the rows are those of the subset, over the bounds of blocks.
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(20_000),
        ..DatasetRef::new("shop")
    };
    let places = dataset.places();
    let found = carry(&reference, &places, &["session"], &mut Notices::default());
    let prepared = crate::open(&reference, &places, &mut Notices::default()).unwrap();
    let prepared = prepared.with_carried(found.unwrap().unwrap()).unwrap();
    let train = prepared.train.carried().unwrap();
    let places = train.source_rows(0..20_000);
    assert!(places.is_sorted() && places.iter().all(|row| row % 3 == 0));
    let sessions: Vec<u64> = texts(train, "session")
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    assert_eq!(sessions, places);
}

#[test]
fn damaged_carried_columns_are_made_again() {
    let dataset = dataset();
    drop(carried(&dataset, &["session"]));
    let cache = std::fs::read_dir(dataset.path("cache")).unwrap();
    let is_carried = |folder: &PathBuf| {
        std::fs::read_to_string(folder.join("manifest.toml"))
            .is_ok_and(|text| text.contains("carried"))
    };
    let folder = cache
        .flatten()
        .map(|entry| entry.path())
        .find(is_carried)
        .unwrap();
    let file = folder.join("train.arrow");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let prepared = carried(&dataset, &["session"]);
    assert_eq!(
        texts(prepared.train.carried().unwrap(), "session"),
        ["17", "-"]
    );
}

#[test]
fn a_key_that_is_no_column_is_refused_with_the_nearest_name() {
    let refused = |keys: &str| {
        let description = DESCRIBED.replace("keys = [\"session\", \"item\"]", keys);
        Dataset::described(&description, ROWS, "").refusal()
    };
    let said = refused("keys = [\"sesion\"]");
    assert!(
        said.contains("there is no column `sesion`") && said.contains("session"),
        "{said}"
    );
    let said = refused("keys = [\"item\", \"item\"]");
    assert!(said.contains("the column `item` is listed twice"), "{said}");
    let dataset = dataset();
    let reference = DatasetRef::new("shop");
    let said = carry(
        &reference,
        &dataset.places(),
        &["colour"],
        &mut Notices::default(),
    );
    let said = dataset.said(&said.unwrap_err());
    assert!(
        said.contains("there is no column `colour`") && said.contains("color"),
        "{said}"
    );
}

#[test]
fn an_expression_over_columns_stays_with_rows_as_a_column_of_its_own() {
    let dataset = dataset();
    let texts = [
        "price > 2.5",
        "case when color = 'red' then 'warm' else brand end",
    ];
    let rows = carried(&dataset, &texts);
    let coded = |name: &str| rows.train.carried().unwrap().coded(name).unwrap();
    let dear = coded(texts[0]);
    assert_eq!(dear.values, ["false", "true"]);
    assert_eq!(dear.codes, [0, 1]);
    assert_eq!(coded(texts[1]).values, ["warm", "blue!"]);
}

#[test]
fn counts_tell_of_missing_values_and_of_distinct_ones_in_every_split() {
    let dataset = dataset();
    let reference = DatasetRef::new("shop");
    let mut notices = Notices::default();
    let found = carry(
        &reference,
        &dataset.places(),
        &["session", "price"],
        &mut notices,
    );
    let found = found.unwrap().unwrap();
    let [train, validation, test] = found.counts("session").unwrap();
    assert_eq!((train.rows, train.missing, train.values), (2, 1, 1));
    assert_eq!(
        (validation.rows, validation.missing, validation.values),
        (2, 0, 2)
    );
    assert_eq!((test.rows, test.missing, test.values), (2, 0, 2));
    assert_eq!(found.counts("price").unwrap()[2].missing, 1);
    assert_eq!(found.counts("color"), None);
}

#[test]
fn what_cannot_stay_with_rows_is_refused_by_the_description_alone() {
    let dataset = dataset();
    let reference = DatasetRef::new("shop");
    let refused = |text: &str| {
        let found = crate::check_carried(&reference, &dataset.places(), text);
        found.map_err(|error| {
            error
                .downcast::<homebench_diagnostic::Diagnostic>()
                .unwrap()
                .render()
        })
    };
    for text in [
        "session",
        "brand",
        "price > 1 and color = 'red'",
        "lower(brand)",
    ] {
        assert_eq!(refused(text), Ok(()), "{text}");
    }
    let said = refused("sesion").unwrap_err();
    assert!(
        said.contains("there is no column `sesion`") && said.contains("did you mean `session`?"),
        "{said}"
    );
    let said = refused("prize > 1").unwrap_err();
    assert!(said.contains("prize") && said.contains("`price`"), "{said}");
    assert!(refused("price >").is_err());
}
