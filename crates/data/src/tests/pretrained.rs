//! Pretrained vectors of embedding tables: matched to vocabularies, kept with the rows, counted, and what is refused.

use super::columnar::{batch, write_parquet};
use super::*;
use crate::{PretrainedTable, Summary};
use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use parquet::basic::Compression;
use std::path::Path;
use std::sync::Arc;

const DESCRIBED: &str = r#"source = "table"
default_protocol = "all"
columns = ["item", "seen", "day", "buys"]
[files.log]
name = "log.csv"
[files.vectors]
name = "integers.parquet"
[features]
item = { kind = "categorical" }
seen = { kind = "list", table = "item" }
weekday = { kind = "bucket", column = "day", buckets = 2 }
hashed = { kind = "hash", column = "item", buckets = 8 }
[pretrained.item]
file = "vectors"
key = "item_id"
vector = "embedding"
[tasks.buys]
label = "buys"
group = "shop"
[split]
kind = "time"
column = "day"
validation_from = 6
test_from = 8
[protocols.all]
tasks = ["buys"]
[protocols.weekday]
tasks = ["buys"]
not_inputs = ["item", "seen"]
"#;

/// Of `tests/golden/pretrained.py`: files as Python's libraries write them.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/pretrained")
        .join(name)
}

fn shop(description: &str) -> Dataset {
    let dataset = Dataset::described(description, "", "");
    for file in ["log.csv", "integers.parquet", "texts.feather"] {
        std::fs::copy(golden(file), dataset.path("data/shop").join(file)).unwrap();
    }
    for file in ["integers.safetensors", "texts.safetensors"] {
        std::fs::copy(golden(file), dataset.path("data/shop").join(file)).unwrap();
    }
    dataset
}

fn summary(dataset: &Dataset) -> Summary {
    let reference = DatasetRef::new("shop");
    crate::prepare(&reference, &dataset.places(), &mut Notices::default()).unwrap()
}

fn vectors_of(dataset: &Dataset) -> PretrainedTable {
    let prepared = dataset.open().unwrap();
    prepared.pretrained.table("item").unwrap().unwrap()
}

#[test]
fn vectors_of_every_layout_lie_at_the_ids_of_their_values() {
    let expected = std::fs::read_to_string(golden("expected.csv")).unwrap();
    let rows: Vec<Vec<&str>> = (expected.lines().skip(1))
        .map(|line| line.split(',').collect())
        .collect();
    let with_vector = rows.iter().filter(|row| !row[3].is_empty());
    let ids: Vec<u32> = with_vector
        .clone()
        .map(|row| row[0].parse().unwrap())
        .collect();
    let bits: Vec<u32> = with_vector
        .flat_map(|row| row[3].split(' '))
        .map(|word| u32::from_str_radix(word, 16).unwrap())
        .collect();
    for name in [
        "integers.parquet",
        "texts.feather",
        "integers.safetensors",
        "texts.safetensors",
    ] {
        let dataset = shop(&DESCRIBED.replace("integers.parquet", name));
        let table = vectors_of(&dataset);
        assert_eq!((table.width, &table.ids), (3, &ids), "{name}");
        let found: Vec<u32> = table.vectors.iter().map(|value| value.to_bits()).collect();
        assert_eq!(found, bits, "{name}");
        // The vocabulary is that of the reference too.
        let path = dataset.prepared_folder().join("vocabularies.csv");
        let words = std::fs::read_to_string(path).unwrap();
        let of_item = words.lines().filter_map(|line| line.strip_prefix("item,"));
        let of_reference = rows.iter().map(|row| row[..3].join(","));
        assert!(of_item.eq(of_reference), "{name}: {words}");
        let summary = summary(&dataset);
        assert_eq!(summary.pretrained, [("item".to_owned(), 3)].into());
        let said: Vec<&str> = (summary.warnings.iter())
            .filter(|warning| warning.kind == "pretrained_vectors")
            .map(|warning| &*warning.message)
            .collect();
        let files = format!(
            "7 of 17 values of the table `item` have a pretrained vector, 62.1 % of their occurrences in training rows; the other 10 \
             start at random; 3 of 10 keys of {name} are none of its values"
        );
        assert_eq!(said, [files]);
    }
}

#[test]
fn a_table_with_vectors_of_few_rows_is_said_loudly() {
    let dataset = shop(DESCRIBED);
    write_vectors(&dataset, &["98"], &[&[1.0, 2.0]]);
    let warnings = summary(&dataset).warnings;
    let said = warnings
        .iter()
        .find(|warning| warning.kind == "pretrained_vectors")
        .unwrap();
    assert!(said.is_loud, "{}", said.message);
}

#[test]
fn numbers_that_32_bits_turn_into_0_are_counted() {
    let dataset = shop(DESCRIBED);
    let said = |numbers: Vec<f64>| {
        let field = Arc::new(Field::new("item", DataType::Float64, true));
        let values = Arc::new(Float64Array::from(numbers));
        let vectors = FixedSizeListArray::new(field, 3, values, None);
        let keys = texts(&["98", "nobody"]);
        let columns = vec![("item_id", keys), ("embedding", Arc::new(vectors) as _)];
        write_columns(&dataset, columns);
        let warnings = summary(&dataset).warnings;
        let mut of_vectors = warnings.into_iter();
        of_vectors
            .find(|warning| warning.kind == "pretrained_vectors")
            .unwrap()
            .message
    };
    // numpy's float32 of 1e-50 is 0, of 1e-40 a subnormal number. A vector that nothing reads loses nothing.
    let none = said(vec![0.0, -0.0, 1e-40, 1e-50, 1.0, 1.0]);
    assert!(!none.contains("became 0"), "{none}");
    let two = said(vec![1e-50, -1e-46, 1e-40, 1e-50, 1.0, 1.0]);
    let expected = "; 2 numbers of its vectors are too small for 32 bits and became 0";
    assert!(two.ends_with(expected), "{two}");
}

#[test]
fn vectors_are_part_of_what_a_dataset_is_and_their_absence_is_not() {
    let dataset = shop(DESCRIBED);
    let hash = || dataset.open().unwrap().content_hash;
    let first = hash();
    write_vectors(&dataset, &["98"], &[&[1.0, 2.0]]);
    assert_ne!(hash(), first);
    // As a description that never knew of vectors has it: other files of a folder are no part of it.
    let (head, rest) = DESCRIBED.split_once("[pretrained.item]").unwrap();
    let rest = rest.split_once("[tasks.buys]").unwrap().1;
    let without = format!("{head}[tasks.buys]{rest}");
    let without = without.replace("[files.vectors]\nname = \"integers.parquet\"\n", "");
    let document = |text: &str| homebench_diagnostic::Document::new("shop.toml", text);
    let parse = |text: &str| crate::schema::Description::parse("shop", &document(text)).unwrap();
    let canonical = |text: &str| parse(text).protocol(None).unwrap().canonical();
    let lines = canonical(DESCRIBED);
    let others = lines
        .lines()
        .filter(|line| !line.starts_with("PretrainedFile"));
    assert!(others.eq(canonical(&without).lines()), "{lines}");
}

#[test]
fn a_protocol_whose_features_read_no_such_table_needs_no_vectors() {
    let dataset = shop(DESCRIBED);
    std::fs::remove_file(dataset.path("data/shop/integers.parquet")).unwrap();
    let reference = DatasetRef {
        protocol: Some("weekday".to_owned()),
        ..DatasetRef::new("shop")
    };
    let places = dataset.places();
    let prepared = crate::open(&reference, &places, &mut Notices::default()).unwrap();
    assert_eq!(prepared.pretrained.table("item").unwrap(), None);
    let names = |reference: &DatasetRef| crate::pretrained_names(reference, &places).unwrap();
    assert_eq!(names(&reference), Some(Vec::new()));
    assert_eq!(
        names(&DatasetRef::new("shop")),
        Some(vec!["item".to_owned()])
    );
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/integers.parquet: the file is missing
    hint: put it there, or name another folder with --data-dir or HOMEBENCH_DATA
    ");
}

#[test]
fn a_damaged_file_of_vectors_is_made_again() {
    let dataset = shop(DESCRIBED);
    let table = vectors_of(&dataset);
    let path = dataset.prepared_folder().join("pretrained.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut notices = Notices::default();
    let prepared = crate::open(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    assert_eq!(prepared.pretrained.table("item").unwrap(), Some(table));
    assert!(
        notices.0.iter().any(|said| said.contains("is not whole")),
        "{:?}",
        notices.0
    );
}

#[test]
fn vectors_in_parts_are_those_of_one_file() {
    let dataset = shop(&DESCRIBED.replace("integers.parquet", "parts/*.parquet"));
    std::fs::create_dir(dataset.path("data/shop/parts")).unwrap();
    let part = |name: &str, keys: &[&str], vectors: &[&[f32]]| {
        let path = dataset.path("data/shop/parts").join(name);
        let columns = vec![("item_id", texts(keys)), ("embedding", lists(vectors))];
        write_parquet(&path, &batch(columns), Compression::UNCOMPRESSED, 8);
    };
    part("a.parquet", &["101", "98"], &[&[1.0, 2.0], &[3.0, 4.0]]);
    part("b.parquet", &["99"], &[&[5.0, 6.0]]);
    let table = vectors_of(&dataset);
    assert_eq!(table.ids, [1, 2, 14]);
    assert_eq!(table.vectors, [5.0, 6.0, 1.0, 2.0, 3.0, 4.0]);
    part("b.parquet", &["102", "98"], &[&[5.0, 6.0], &[7.0, 8.0]]);
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/parts/b.parquet: row 2, column `item_id`: row 2 of /data/shop/parts/a.parquet has the key `98` too
    hint: keep one row for each key
    ");
    part("b.parquet", &["102"], &[&[5.0]]);
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/parts/b.parquet: row 1, column `embedding`: a vector of 1, and that of row 1 of /data/shop/parts/a.parquet has 2
    hint: write vectors of one length
    ");
}

fn texts(keys: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(keys.to_vec()))
}

fn lists(vectors: &[&[f32]]) -> ArrayRef {
    let values = Float32Array::from(vectors.concat());
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let lengths = vectors.iter().map(|vector| vector.len());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(field, offsets, Arc::new(values), None))
}

fn write_columns(dataset: &Dataset, columns: Vec<(&str, ArrayRef)>) {
    let path = dataset.path("data/shop/integers.parquet");
    write_parquet(&path, &batch(columns), Compression::UNCOMPRESSED, 2);
}

fn write_vectors(dataset: &Dataset, keys: &[&str], vectors: &[&[f32]]) {
    let columns = vec![("item_id", texts(keys)), ("embedding", lists(vectors))];
    write_columns(dataset, columns);
}

#[test]
fn rows_that_give_no_vector_are_refused_with_their_number() {
    let said = |keys: &[&str], vectors: &[&[f32]]| {
        let dataset = shop(DESCRIBED);
        write_vectors(&dataset, keys, vectors);
        dataset.refusal()
    };
    let (one, two): (&[f32], &[f32]) = (&[1.0, 2.0], &[3.0, 4.0]);
    insta::assert_snapshot!(said(&["98", "99", "98"], &[one, two, two]), @r"
    /data/shop/integers.parquet: row 3, column `item_id`: row 1 has the key `98` too
    hint: keep one row for each key
    ");
    insta::assert_snapshot!(said(&["98", "99", "100"], &[one, two, &[1.0]]), @r"
    /data/shop/integers.parquet: row 3, column `embedding`: a vector of 1, and that of row 1 of /data/shop/integers.parquet has 2
    hint: write vectors of one length
    ");
    insta::assert_snapshot!(said(&["98", ""], &[one, two]), @r"
    /data/shop/integers.parquet: row 2, column `item_id`: there is no key
    hint: give the row a key, or leave it out
    ");
    insta::assert_snapshot!(said(&["98", "99"], &[one, &[1.0, f32::NAN]]), @r"
    /data/shop/integers.parquet: row 2, column `embedding`: number 2 of the vector is NaN
    hint: give the row finite numbers, or leave it out
    ");
    insta::assert_snapshot!(said(&["98", "99"], &[one, &[f32::NEG_INFINITY, 0.0]]), @r"
    /data/shop/integers.parquet: row 2, column `embedding`: number 1 of the vector is -inf
    hint: give the row finite numbers, or leave it out
    ");
    insta::assert_snapshot!(said(&["98", "99"], &[&[], &[]]), @r"
    /data/shop/integers.parquet: row 1, column `embedding`: the vector is empty
    hint: give the row a vector, or leave it out
    ");
    insta::assert_snapshot!(said(&["i98", "i99", "i1", "i2"], &[one, two, one, two]), @r"
    /data/shop/integers.parquet: no key of the column `item_id` is a value of the table `item` in training rows: keys are such as `i98`, `i99`, `i1`, values such as `99`, `101`, `102`
    hint: name the column that has the feature's values as `key`, or write its keys as the feature's column writes them
    ");
    insta::assert_snapshot!(said(&[], &[]), @r"
    /data/shop/integers.parquet: there is no row
    hint: write a row for each value, or take the table out of [pretrained]
    ");
    let name = "name = \"integers.parquet\"\n";
    let counted = shop(&DESCRIBED.replace(name, &format!("{name}rows = 11\n")));
    insta::assert_snapshot!(counted.refusal(), @r"
    /data/shop/integers.parquet: expected 11 rows, found 10
    hint: the file is cut or another one; remove it and get it again
    ");
}

#[test]
fn nulls_and_numbers_beyond_32_bits_are_refused_with_their_row() {
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(98), None, Some(99)]));
    let field = || Arc::new(Field::new("item", DataType::Float64, true));
    let vectors = |values: Vec<Option<f64>>, nulls: Option<Vec<bool>>| -> ArrayRef {
        let values = Arc::new(Float64Array::from(values));
        let nulls = nulls.map(NullBuffer::from);
        Arc::new(FixedSizeListArray::new(field(), 2, values, nulls))
    };
    let said = |keys: &ArrayRef, vectors: ArrayRef| {
        let dataset = shop(DESCRIBED);
        write_columns(
            &dataset,
            vec![("item_id", keys.clone()), ("embedding", vectors)],
        );
        dataset.refusal()
    };
    let whole = || vec![Some(1.0); 6];
    insta::assert_snapshot!(said(&keys, vectors(whole(), None)), @r"
    /data/shop/integers.parquet: row 2, column `item_id`: there is no key
    hint: give the row a key, or leave it out
    ");
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![98, 99, 100]));
    insta::assert_snapshot!(said(&keys, vectors(whole(), Some(vec![true, true, false]))), @r"
    /data/shop/integers.parquet: row 3, column `embedding`: there is no vector
    hint: give the row a vector, or leave it out
    ");
    let mut values = whole();
    values[3] = None;
    insta::assert_snapshot!(said(&keys, vectors(values, None)), @r"
    /data/shop/integers.parquet: row 2, column `embedding`: number 2 of the vector is missing
    hint: give the row finite numbers, or leave it out
    ");
    let mut values = whole();
    values[2] = Some(1e39);
    insta::assert_snapshot!(said(&keys, vectors(values, None)), @r"
    /data/shop/integers.parquet: row 2, column `embedding`: number 1 of the vector is 1e39, which 32 bits don't hold
    hint: give the row finite numbers, or leave it out
    ");
}

#[test]
fn files_that_hold_no_vectors_are_refused() {
    let said = |columns: Vec<(&str, ArrayRef)>| {
        let dataset = shop(DESCRIBED);
        write_columns(&dataset, columns);
        dataset.refusal()
    };
    let keys = texts(&["98"]);
    let vectors = lists(&[&[1.0]]);
    insta::assert_snapshot!(said(vec![("item_id", keys.clone()), ("embeddings", vectors.clone())]), @r"
    /data/shop/integers.parquet: there is no column `embedding`; the file has `item_id`, `embeddings`
    hint: did you mean `embeddings`?
    ");
    insta::assert_snapshot!(said(vec![("item", keys.clone()), ("embedding", vectors)]), @r"
    /data/shop/integers.parquet: there is no column `item_id`; the file has `item`, `embedding`
    hint: did you mean `item`?
    ");
    insta::assert_snapshot!(said(vec![("item_id", keys.clone()), ("embedding", keys)]), @r"
    /data/shop/integers.parquet: column `embedding`: expected a list of floats in every row, found the type Utf8
    hint: name the column of vectors as `vector`, or write them as lists of floats
    ");
    let dataset = shop(DESCRIBED);
    dataset.write("data/shop/integers.parquet", "item_id,embedding\n98,1 2\n");
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/integers.parquet: expected vectors in Parquet, Arrow or safetensors
    hint: write a Parquet file with a column `item_id` and a column `embedding` of lists of floats
    ");
    let named = |from: &str, to: &str| {
        let text = DESCRIBED.replace("integers.parquet", "texts.safetensors");
        shop(&text.replace(from, to)).refusal()
    };
    insta::assert_snapshot!(named("\"embedding\"", "\"vectors\""), @r"
    /data/shop/texts.safetensors: there is no tensor `vectors`; the file has: embedding, item_id
    hint: correct the name in the description, or get the right file
    ");
    insta::assert_snapshot!(named("key = \"item_id\"\nvector = \"embedding\"", "key = \"embedding\"\nvector = \"item_id\""), @r"
    /data/shop/texts.safetensors: tensor `item_id`: expected F32 or F64 [n, width], found U8 [10, 13]
    hint: write the vectors as float32
    ");
}

#[test]
fn tensors_of_other_shapes_are_refused() {
    use safetensors::tensor::{Dtype, TensorView};
    let said = |keys: (Dtype, &[usize], &[u8]), vectors: (Dtype, &[usize], &[u8])| {
        let view = |(dtype, shape, bytes): (Dtype, &[usize], _)| {
            TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
        };
        let tensors = [("item_id", view(keys)), ("embedding", view(vectors))];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        let dataset = shop(DESCRIBED);
        std::fs::write(dataset.path("data/shop/integers.parquet"), bytes).unwrap();
        dataset.refusal()
    };
    let one = 1f32.to_le_bytes();
    let vector: (Dtype, &[usize], &[u8]) = (Dtype::F32, &[1, 1], &one);
    insta::assert_snapshot!(said((Dtype::F32, &[1], &one), vector), @r"
    /data/shop/integers.parquet: tensor `item_id`: expected whole numbers [n], or U8 [n, longest], found F32 [1]
    hint: write keys as int64, or as uint8 of their UTF-8 bytes with zeros behind
    ");
    insta::assert_snapshot!(said((Dtype::I8, &[2], &[98, 99]), vector), @r"
    /data/shop/integers.parquet: tensor `item_id` has 2 rows, and `embedding` 1
    hint: give every key its vector
    ");
    insta::assert_snapshot!(said((Dtype::U8, &[1, 2], b"\xff\0"), vector), @r"
    /data/shop/integers.parquet: row 1, tensor `item_id`: expected UTF-8
    hint: write the key as the bytes of its text in UTF-8, with zeros behind alone
    ");
    insta::assert_snapshot!(said((Dtype::U8, &[1, 3], b"9\x008"), vector), @r"
    /data/shop/integers.parquet: row 1, tensor `item_id`: expected UTF-8
    hint: write the key as the bytes of its text in UTF-8, with zeros behind alone
    ");
    insta::assert_snapshot!(said((Dtype::I8, &[1], &[98]), (Dtype::BF16, &[1, 2], &one)), @r"
    /data/shop/integers.parquet: tensor `embedding`: expected F32 or F64 [n, width], found BF16 [1, 2]
    hint: write the vectors as float32
    ");
    // A whole number below 0 has its sign: no value of the log.
    insta::assert_snapshot!(said((Dtype::I8, &[1], &[158]), vector), @r"
    /data/shop/integers.parquet: no key of the column `item_id` is a value of the table `item` in training rows: keys are such as `-98`, values such as `99`, `101`, `102`
    hint: name the column that has the feature's values as `key`, or write its keys as the feature's column writes them
    ");
    let dataset = shop(DESCRIBED);
    let whole = std::fs::read(golden("integers.safetensors")).unwrap();
    std::fs::write(dataset.path("data/shop/integers.parquet"), &whole[..300]).unwrap();
    insta::assert_snapshot!(dataset.refusal(), @r"
    /data/shop/integers.parquet: can't be read as safetensors: incomplete metadata, file not fully covered
    hint: the file is cut, damaged or of another kind; get it again
    ");
}

#[test]
fn descriptions_of_vectors_that_can_not_be_are_refused_with_their_place() {
    let said = |from: &str, to: &str| shop(&DESCRIBED.replacen(from, to, 1)).refusal();
    let named = |table: &str| said("[pretrained.item]", &format!("[pretrained.{table}]"));
    insta::assert_snapshot!(named("itme"), @r"
    /descriptions/shop.toml:13:13: no feature reads a table `itme`
    hint: did you mean [pretrained.item]?
    ");
    insta::assert_snapshot!(named("catalogue"), @r"
    /descriptions/shop.toml:13:13: no feature reads a table `catalogue`
    hint: name a categorical feature or a list, or the `table` that features share
    ");
    insta::assert_snapshot!(named("seen"), @r"
    /descriptions/shop.toml:13:13: the feature `seen` reads the table `item`, whose rows it shares
    hint: describe the vectors of that table: [pretrained.item]
    ");
    insta::assert_snapshot!(named("weekday"), @r#"
    /descriptions/shop.toml:13:13: the feature `weekday` has ids of buckets, which no key names
    hint: name a feature of kind = "categorical", or of kind = "list" without `buckets`
    "#);
    insta::assert_snapshot!(named("hashed"), @r#"
    /descriptions/shop.toml:13:13: the feature `hashed` has ids of a hash: values of one bucket would share a vector
    hint: name a feature of kind = "categorical", or of kind = "list" without `buckets`
    "#);
    let number = "weekday = { kind = \"numeric\", column = \"day\" }";
    let bucket = "weekday = { kind = \"bucket\", column = \"day\", buckets = 2 }";
    let text = DESCRIBED
        .replace(bucket, number)
        .replace("[pretrained.item]", "[pretrained.weekday]");
    insta::assert_snapshot!(shop(&text).refusal(), @r#"
    /descriptions/shop.toml:13:13: the feature `weekday` is a number, and has no embedding table
    hint: name a feature of kind = "categorical", or of kind = "list" without `buckets`
    "#);
    insta::assert_snapshot!(said("file = \"vectors\"", "file = \"vector\""), @r"
    /descriptions/shop.toml:14:8: there is no file `vector` in [files]
    hint: did you mean `vectors`?
    ");
    insta::assert_snapshot!(said("vector = \"embedding\"", "vector = \"item_id\""), @r"
    /descriptions/shop.toml:16:10: `item_id` can't be both the key and the vector
    hint: name the column or tensor of the values as `key`, that of their vectors as `vector`
    ");
    insta::assert_snapshot!(said("vector = \"embedding\"\n", ""), @r"
    /descriptions/shop.toml:13:1: the key `vector` is missing in [pretrained.item]
    hint: add `vector = ...`
    ");
    insta::assert_snapshot!(said("vector = \"embedding\"", "vectors = \"embedding\""), @r"
    /descriptions/shop.toml:16:1: unknown key `vectors` in [pretrained.item]; expected one of `file`, `key`, `vector`
    hint: did you mean `vector`?
    ");
}
