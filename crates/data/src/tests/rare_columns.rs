//! Columns of rare types, files of other writers, and damaged ones: values are those that were written.

use super::*;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float16Array, Int8Array, Int32Array, Int64Array, NullArray, RecordBatch,
    RunArray, StringArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Schema};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{Int32Type as ParquetInt32, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::sync::Arc;

/// A dataset of one file whose column `item` is read as texts.
fn described(file: &str) -> Dataset {
    let description = format!(
        r#"source = "table"
default_protocol = "all"
columns = ["day", "item", "click"]
[files.log]
name = "{file}"
[split]
kind = "time"
column = "day"
validation_from = 6
test_from = 7
[features]
item = {{ kind = "categorical" }}
[tasks.click]
label = "click"
group = "main"
[protocols.all]
tasks = ["click"]
"#
    );
    Dataset::described(&description, "", "")
}

/// Six rows for training, one for validation and one for the test, with this column.
fn rows(item: ArrayRef) -> RecordBatch {
    let days = Int32Array::from(vec![0, 1, 2, 3, 4, 5, 6, 7]);
    let clicks = Int64Array::from(vec![0, 1, 0, 1, 0, 1, 0, 1]);
    RecordBatch::try_from_iter_with_nullable([
        ("day", Arc::new(days) as ArrayRef, true),
        ("unused", Arc::new(NullArray::new(8)) as ArrayRef, true),
        ("item", item, true),
        ("click", Arc::new(clicks) as ArrayRef, true),
    ])
    .unwrap()
}

fn write_parquet(dataset: &Dataset, file: &str, batch: &RecordBatch, codec: Compression) {
    let properties = WriterProperties::builder().set_compression(codec).build();
    let file = File::create(dataset.path(&format!("data/shop/{file}"))).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn write_arrow(dataset: &Dataset, file: &str, batch: &RecordBatch, is_stream: bool) {
    let file = File::create(dataset.path(&format!("data/shop/{file}"))).unwrap();
    if is_stream {
        let mut writer = StreamWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        return writer.finish().unwrap();
    }
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

/// The distinct items of training rows, in order.
fn items(dataset: &Dataset) -> Vec<String> {
    dataset.open().unwrap_or_else(|error| panic!("{error}"));
    let path = dataset.prepared_folder().join("vocabularies.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = header
        .iter()
        .position(|name| name == "text" || name == "value")
        .unwrap();
    let records = reader.records();
    let mut texts: Vec<String> = records
        .map(|record| record.unwrap()[column].to_owned())
        .collect();
    texts.sort();
    texts
}

/// Items of a column written as Parquet, as an Arrow file and as a stream, which have to be the same.
fn items_of(item: ArrayRef) -> Vec<String> {
    let batch = rows(item);
    let [arrow, stream] = [false, true].map(|is_stream| {
        let dataset = described("log.arrows");
        write_arrow(&dataset, "log.arrows", &batch, is_stream);
        items(&dataset)
    });
    assert_eq!(arrow, stream);
    let dataset = described("log.parquet");
    write_parquet(&dataset, "log.parquet", &batch, Compression::SNAPPY);
    assert_eq!(items(&dataset), arrow);
    arrow
}

fn eight<T: Clone>(values: [T; 2]) -> Vec<T> {
    values.iter().cycle().take(8).cloned().collect()
}

#[test]
fn every_codec_is_read() {
    let texts: ArrayRef = Arc::new(StringArray::from(eight(["a", "b"])));
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        // A name as pandas' documentation writes it.
        let dataset = described("log.parquet.brotli");
        write_parquet(&dataset, "log.parquet.brotli", &rows(texts.clone()), codec);
        assert_eq!(items(&dataset), ["a", "b"], "{codec:?}");
    }
}

#[test]
fn bytes_uuids_runs_and_dictionaries_are_texts() {
    assert_eq!(
        items_of(Arc::new(BinaryArray::from(eight([
            &b"caf\xc3\xa9"[..],
            b"b"
        ])))),
        ["b", "café"]
    );
    let fixed = FixedSizeBinaryArray::try_from_iter(eight(["abc", "xyz"]).into_iter()).unwrap();
    assert_eq!(items_of(Arc::new(fixed)), ["abc", "xyz"]);
    let keys = || Int8Array::from(eight([0, 1]));
    let of_values =
        |values: ArrayRef| items_of(Arc::new(DictionaryArray::<Int8Type>::new(keys(), values)));
    assert_eq!(
        of_values(Arc::new(BooleanArray::from(vec![true, false]))),
        ["false", "true"]
    );
    let decimals = Decimal128Array::from(vec![150, 275])
        .with_precision_and_scale(5, 2)
        .unwrap();
    // One text whatever the places of their column, as `1.5 = 1.50` in SQL.
    assert_eq!(of_values(Arc::new(decimals)), ["1.5", "2.75"]);
    let halves = Float16Array::from_iter_values([1.5, 2.0].map(half));
    assert_eq!(of_values(Arc::new(halves)), ["1.5", "2"]);
    // The shortest digits that are read as the number of 16 bits, as numpy prints it.
    let halves = Float16Array::from_iter_values([0.1, 0.2].map(half));
    assert_eq!(of_values(Arc::new(halves)), ["0.1", "0.2"]);
    assert_eq!(
        of_values(Arc::new(Int64Array::from(vec![7, 9]))),
        ["7", "9"]
    );
    let ends = Int32Array::from(vec![3, 8]);
    let runs = RunArray::try_new(&ends, &StringArray::from(vec!["a", "b"])).unwrap();
    let batch = rows(Arc::new(runs));
    let dataset = described("log.arrow");
    write_arrow(&dataset, "log.arrow", &batch, false);
    assert_eq!(items(&dataset), ["a", "b"]);
}

/// A number of 16 bits.
fn half(
    value: f32,
) -> <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    let cast = arrow::compute::cast(
        &arrow::array::Float32Array::from(vec![value]),
        &DataType::Float16,
    );
    let cast = cast.unwrap();
    cast.as_any()
        .downcast_ref::<Float16Array>()
        .unwrap()
        .value(0)
}

#[test]
fn a_uuid_is_its_36_characters() {
    let uuid = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    let array = FixedSizeBinaryArray::try_from_iter(vec![uuid; 8].into_iter()).unwrap();
    let named = std::collections::HashMap::from([(
        "ARROW:extension:name".to_owned(),
        "arrow.uuid".to_owned(),
    )]);
    let batch = rows(Arc::new(array));
    let fields = batch
        .schema()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "item" => field.as_ref().clone().with_metadata(named.clone()),
            _ => field.as_ref().clone(),
        })
        .collect::<Vec<Field>>();
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap();
    let dataset = described("log.arrow");
    write_arrow(&dataset, "log.arrow", &batch, false);
    assert_eq!(items(&dataset), ["01234567-89ab-cdef-0123-456789abcdef"]);
    // Parquet says it with a type of its own.
    let dataset = described("log.parquet");
    let schema = "message log { required int32 day; required fixed_len_byte_array(16) item (UUID); required int32 click; }";
    let file = File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let numbers: Vec<i32> = (0..8).collect();
    let clicks: Vec<i32> = numbers.iter().map(|day| day % 2).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ParquetInt32>()
        .write_batch(&numbers, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values = vec![parquet::data_type::FixedLenByteArray::from(uuid.to_vec()); 8];
    column
        .typed::<parquet::data_type::FixedLenByteArrayType>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ParquetInt32>()
        .write_batch(&clicks, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    assert_eq!(items(&dataset), ["01234567-89ab-cdef-0123-456789abcdef"]);
}

#[test]
fn a_time_of_96_bits_keeps_its_year() {
    let dataset = described("log.parquet");
    let schema = "message log { required int32 day; required int96 item; required int32 click; }";
    let file = File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let numbers: Vec<i32> = (0..8).collect();
    let clicks: Vec<i32> = numbers.iter().map(|day| day % 2).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ParquetInt32>()
        .write_batch(&numbers, None, None)
        .unwrap();
    column.close().unwrap();
    // Julian days: 2,440,588 is 1970-01-01, and 2,932,896 days later is 9999-12-31.
    let day = |day: u32, nanoseconds: u64| {
        let mut time = Int96::new();
        time.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, day);
        time
    };
    let mut values = vec![day(2_440_588 + 2_932_896, 0); 8];
    values[1] = day(2_440_588, 3_661_000_000_000);
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int96Type>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ParquetInt32>()
        .write_batch(&clicks, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let found = items(&dataset);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("1970-01-01T01:01:01"), "{found:?}");
    assert!(found[1].starts_with("9999-12-31T00:00:00"), "{found:?}");
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_row_and_a_name_twice_with_the_name() {
    let mut values = eight([&b"a"[..], b"b"]);
    values[4] = b"\xff\xfe";
    let dataset = described("log.parquet");
    let batch = rows(Arc::new(BinaryArray::from(values)));
    write_parquet(&dataset, "log.parquet", &batch, Compression::SNAPPY);
    assert_eq!(
        dataset.refusal(),
        "/data/shop/log.parquet: row 5, column `item`: expected bytes of UTF-8 text, found ff fe\n\
         hint: write the column as texts, or leave it out of the description"
    );
    let batch = rows(Arc::new(StringArray::from(eight(["a", "b"]))));
    let fields = batch
        .schema()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "unused" => Field::new("item", DataType::Null, true),
            _ => field.as_ref().clone(),
        })
        .collect::<Vec<Field>>();
    let twice =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap();
    for file in ["log.parquet", "log.arrow"] {
        let dataset = described(file);
        match file {
            "log.parquet" => write_parquet(&dataset, file, &twice, Compression::SNAPPY),
            _ => write_arrow(&dataset, file, &twice, false),
        }
        assert_eq!(
            dataset.refusal(),
            format!(
                "/data/shop/{file}: the column `item` is there twice\nhint: give the columns names of their own"
            )
        );
    }
}

#[test]
fn a_column_of_128_bits_that_nothing_needs_is_no_hindrance_and_one_in_use_is_its_number() {
    let numbers = |values: [i128; 2]| {
        let bytes = eight(values).into_iter().map(i128::to_le_bytes);
        Arc::new(FixedSizeBinaryArray::try_from_iter(bytes).unwrap()) as ArrayRef
    };
    for (is_stream, file) in [(false, "log.arrow"), (true, "log.arrows")] {
        let dataset = described(file);
        write_arrow(&dataset, file, &rows(numbers([1 << 70, -3])), is_stream);
        let path = dataset.path(&format!("data/shop/{file}"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, with_128_bits(bytes)).unwrap();
        assert_eq!(items(&dataset), ["-3", "1180591620717411303424"]);
    }
}

/// The file with its column of 16 bytes called one of whole numbers of 128 bits, as polars writes it.
fn with_128_bits(mut bytes: Vec<u8>) -> Vec<u8> {
    use arrow::ipc::{self, FixedSizeBinary, Type};
    let mut patches = Vec::new();
    let mut note = |schema: ipc::Schema<'_>, start: usize| {
        for field in schema.fields().unwrap() {
            if let Some(fixed) = field.type_as_fixed_size_binary() {
                let kind = field._tab.vtable().get(ipc::Field::VT_TYPE_TYPE);
                patches.push((start + field._tab.loc() + usize::from(kind), Type::Int.0));
                let width = fixed._tab.vtable().get(FixedSizeBinary::VT_BYTEWIDTH);
                patches.push((start + fixed._tab.loc() + usize::from(width), 128));
            }
        }
    };
    // The schema's message comes first, behind its mark and its length; a file has it again in its footer.
    let head = bytes.windows(4).position(|mark| mark == [0xff; 4]).unwrap() + 8;
    let len = u32::from_le_bytes(bytes[head - 4..head].try_into().unwrap()) as usize;
    let message = ipc::root_as_message(&bytes[head..head + len]).unwrap();
    note(message.header_as_schema().unwrap(), head);
    if bytes.starts_with(b"ARROW1") {
        let end = bytes.len() - 10;
        let len = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
        let footer = ipc::root_as_footer(&bytes[end - len..end]).unwrap();
        note(footer.schema().unwrap(), end - len);
    }
    for (at, byte) in patches {
        bytes[at] = byte;
    }
    bytes
}

#[test]
fn a_damaged_file_is_refused_and_ends_no_program() {
    let texts = StringArray::from((0..8).map(|row| format!("text {row}")).collect::<Vec<_>>());
    let batch = rows(Arc::new(texts));
    for file in ["log.parquet", "log.arrow", "log.arrows"] {
        let dataset = described(file);
        match file {
            "log.parquet" => write_parquet(&dataset, file, &batch, Compression::SNAPPY),
            _ => write_arrow(&dataset, file, &batch, file == "log.arrows"),
        }
        let path = dataset.path(&format!("data/shop/{file}"));
        let whole = std::fs::read(&path).unwrap();
        let stream = homebench_random::Philox::new(1, "damage", file);
        for round in 0..150 {
            let [at, value, more, ..] = stream.u32x4(round);
            let mut bytes = whole.clone();
            let at = at as usize % bytes.len();
            bytes[at] = value as u8;
            if more % 4 == 0 {
                let last = (at + 8).min(bytes.len());
                bytes[at..last].fill(0xff);
            }
            std::fs::write(&path, &bytes).unwrap();
            // Some damage can't be seen; what can is a refusal that names the file.
            if let Err(said) = dataset.open() {
                let said = dataset.said(&said);
                assert!(said.starts_with(&format!("/data/shop/{file}")), "{said}");
            }
            let _ = std::fs::remove_dir_all(dataset.path("cache"));
        }
    }
}

#[test]
fn bytes_of_which_the_writers_schema_cannot_be_read_are_refused_where_they_are_needed() {
    let write = |dataset: &Dataset, names: [&str; 2]| {
        let schema = format!(
            "message log {{ required int32 day; required fixed_len_byte_array(16) {}; required int32 {}; required int32 click; }}",
            names[0], names[1]
        );
        let file = File::create(dataset.path("data/shop/log.parquet")).unwrap();
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let hint =
            parquet::file::metadata::KeyValue::new("ARROW:schema".to_owned(), "AAAA".to_owned());
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(vec![hint]))
            .build();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let numbers: Vec<i32> = (0..8).collect();
        let bytes = vec![parquet::data_type::FixedLenByteArray::from(vec![b'a'; 16]); 8];
        let clicks: Vec<i32> = numbers.iter().map(|day| day % 2).collect();
        for place in 0..4 {
            let mut column = group.next_column().unwrap().unwrap();
            match place {
                1 => column
                    .typed::<parquet::data_type::FixedLenByteArrayType>()
                    .write_batch(&bytes, None, None),
                3 => column
                    .typed::<ParquetInt32>()
                    .write_batch(&clicks, None, None),
                _ => column
                    .typed::<ParquetInt32>()
                    .write_batch(&numbers, None, None),
            }
            .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    };
    let dataset = described("log.parquet");
    write(&dataset, ["unused", "item"]);
    assert_eq!(items(&dataset).len(), 6);
    write(&dataset, ["item", "unused"]);
    let said = dataset.refusal();
    assert!(
        said.starts_with("/data/shop/log.parquet: column `item`: expected texts, numbers or dates, found the type FixedSizeBinary"),
        "{said}"
    );
}
