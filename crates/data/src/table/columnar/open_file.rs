//! Opening Parquet and Arrow files: what they are, their columns, and whether they can be what they say.

use super::guard::guarded;
use super::ipc_layout::IpcLayout;
use super::plain_arrays::{Meaning, plain_type};
use super::{broken, cant_read};
use crate::schema::FileKind;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::ipc::reader::{FileReader, StreamReader};
use homebench_diagnostic::{Diagnostic, regular_file};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, LogicalType, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// How a file is laid out.
#[derive(Debug)]
pub(super) enum ColumnarLayout {
    Parquet(ArrowReaderMetadata),
    ArrowFile(IpcLayout),
    ArrowStream(IpcLayout),
}

/// A file whose columns are known.
pub(crate) struct Opened {
    pub(super) layout: ColumnarLayout,
    /// Its columns, with the types that they have once they are plain.
    pub(crate) schema: SchemaRef,
    /// What the bytes of each column are.
    pub(super) meanings: Vec<Meaning>,
    /// Its number of rows, where it says it.
    pub(super) num_rows: Option<u64>,
    /// Columns that are the row numbers or other indices of a pandas data frame.
    pub(crate) index_columns: Vec<String>,
}

/// Opens a file. What it is, its first bytes say: names are given by people.
///
/// # Errors
/// A file that can't be read, is damaged, or of a kind that nothing writes any more.
pub(crate) fn open(path: &Path, kind: FileKind) -> Result<Opened, Diagnostic> {
    let mut first = Vec::new();
    let file = regular_file::open(path).map_err(|error| cant_read(path, &error))?;
    let read = (&file).take(6).read_to_end(&mut first);
    read.map_err(|error| cant_read(path, &error))?;
    if first.starts_with(b"FEA1") {
        let said = Diagnostic::new(
            path.display().to_string(),
            "the file is in Feather's first version, which nothing writes any more",
        );
        return Err(said.hint("write it again as Arrow, Feather version 2 or Parquet"));
    }
    guarded(path, || match &first[..] {
        b"ARROW1" => open_arrow(path, false),
        [0xff, 0xff, 0xff, 0xff, ..] => open_arrow(path, true),
        [b'P', b'A', b'R', b'1', ..] => open_parquet(path, &file),
        // Streams from before version 0.15 begin with a length.
        _ if kind == FileKind::Arrow => open_arrow(path, true),
        _ => open_parquet(path, &file),
    })
}

fn open_arrow(path: &Path, is_stream: bool) -> Result<Opened, Diagnostic> {
    let layout = IpcLayout::of_file(path, is_stream)?;
    let file = layout.open(regular_file::open(path).map_err(|error| cant_read(path, &error))?);
    let schema = match is_stream {
        true => StreamReader::try_new(file, None).map(|it| it.schema()),
        false => FileReader::try_new(file, None).map(|it| it.schema()),
    };
    let schema = schema.map_err(|error| broken(path, "Arrow", &error))?;
    let meaning = |(place, field): (usize, &Arc<Field>)| match () {
        () if layout.int128.contains(&place) => Meaning::Int128,
        () if is_uuid(field) => Meaning::Uuid,
        () => Meaning::OfType,
    };
    let meanings: Vec<Meaning> = schema.fields().iter().enumerate().map(meaning).collect();
    Ok(Opened {
        index_columns: pandas_indices(schema.metadata().get("pandas").map(String::as_str)),
        schema: plain_schema(&schema, &meanings),
        meanings,
        num_rows: None,
        layout: match is_stream {
            true => ColumnarLayout::ArrowStream(layout),
            false => ColumnarLayout::ArrowFile(layout),
        },
    })
}

fn is_uuid(field: &Field) -> bool {
    let name = field.metadata().get("ARROW:extension:name");
    name.is_some_and(|name| name == "arrow.uuid")
}

fn plain_schema(schema: &Schema, meanings: &[Meaning]) -> SchemaRef {
    let fields = schema.fields().iter().zip(meanings);
    let fields = fields.map(|(field, meaning)| {
        Field::new(field.name(), plain_type(field.data_type(), *meaning), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn open_parquet(path: &Path, file: &File) -> Result<Opened, Diagnostic> {
    let load = |skip: bool| {
        guarded(path, || {
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(skip);
            let metadata = ArrowReaderMetadata::load(file, options);
            metadata.map_err(|error| broken(path, "Parquet", &error))
        })
    };
    // An Arrow schema may be inside, which says more of some columns, and may name types that nothing here knows; what is in
    // the file can be read without it.
    let (metadata, is_blind) = match load(false) {
        Ok(metadata) => (metadata, false),
        Err(_) => (load(true)?, true),
    };
    let metadata = mended(path, metadata);
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    check_counts(path, metadata.metadata(), len)?;
    let parquet = metadata.parquet_schema();
    let meanings: Vec<Meaning> = (0..metadata.schema().fields().len())
        .map(|place| {
            let mut leaves = leaves(parquet, place);
            let is_known = leaves.any(|leaf| {
                let info = parquet.column(leaf).self_type().get_basic_info().clone();
                matches!(info.logical_type_ref(), Some(LogicalType::Uuid))
            });
            match is_known || is_uuid(metadata.schema().field(place)) {
                true => Meaning::Uuid,
                // Without the writer's schema bytes may be texts, or polars' whole numbers of 128 bits.
                false if is_blind => Meaning::Unknown,
                false => Meaning::OfType,
            }
        })
        .collect();
    let keys = metadata.metadata().file_metadata().key_value_metadata();
    let pandas = keys
        .into_iter()
        .flatten()
        .find(|entry| entry.key == "pandas");
    Ok(Opened {
        index_columns: pandas_indices(pandas.and_then(|entry| entry.value.as_deref())),
        schema: plain_schema(metadata.schema(), &meanings),
        meanings,
        num_rows: Some(metadata.metadata().file_metadata().num_rows() as u64),
        layout: ColumnarLayout::Parquet(metadata),
    })
}

/// The columns of a file below one of its roots.
fn leaves(parquet: &SchemaDescriptor, root: usize) -> impl Iterator<Item = usize> {
    (0..parquet.num_columns()).filter(move |leaf| parquet.get_column_root_idx(*leaf) == root)
}

/// The same file with types that can be read and hold what is in it.
fn mended(path: &Path, metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let (schema, parquet) = (metadata.schema(), metadata.parquet_schema());
    let fields = schema.fields().iter().enumerate().map(|(place, field)| {
        let is_int96 = leaves(parquet, place)
            .any(|leaf| parquet.column(leaf).physical_type() == PhysicalType::INT96);
        let mended = mended_type(field.data_type(), is_int96);
        Arc::new(field.as_ref().clone().with_data_type(mended))
    });
    let wanted = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    if wanted.fields() == schema.fields() {
        return metadata;
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(wanted));
    let mended = guarded(path, || {
        let mended = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options);
        mended.map_err(|error| broken(path, "Parquet", &error))
    });
    mended.unwrap_or(metadata)
}

fn mended_type(found: &DataType, is_int96: bool) -> DataType {
    let item = |field: &Field| {
        let mended = mended_type(field.data_type(), is_int96);
        Arc::new(field.clone().with_data_type(mended))
    };
    match found {
        // 64 bits of nanoseconds end in the year 2262, and Spark writes 9999-12-31 for "never".
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_int96 => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        // The decoder keeps dictionaries of texts; of other values it fails or panics.
        DataType::Dictionary(_, values)
            if !matches!(**values, DataType::Utf8 | DataType::LargeUtf8) =>
        {
            mended_type(values, is_int96)
        }
        DataType::RunEndEncoded(_, values) => mended_type(values.data_type(), is_int96),
        DataType::List(field) => DataType::List(item(field)),
        DataType::LargeList(field) => DataType::LargeList(item(field)),
        DataType::FixedSizeList(field, len) => DataType::FixedSizeList(item(field), *len),
        other => other.clone(),
    }
}

/// Refuses a file whose counts can't be: rows are divided, and memory is taken, by what the file says.
fn check_counts(path: &Path, metadata: &ParquetMetaData, len: u64) -> Result<(), Diagnostic> {
    let refused = |why: &str| Err(broken(path, "Parquet", &why));
    let num_rows = metadata.file_metadata().num_rows();
    let in_groups = metadata.row_groups().iter().try_fold(0i64, |sum, group| {
        sum.checked_add(group.num_rows())
            .filter(|_| group.num_rows() >= 0)
    });
    if num_rows < 0 || in_groups != Some(num_rows) {
        return refused("its numbers of rows contradict each other");
    }
    for group in metadata.row_groups() {
        for column in group.columns() {
            let is_flat = column.column_descr().max_rep_level() == 0;
            if is_flat && column.num_values() != group.num_rows() {
                return refused("a column has another number of values than there are rows");
            }
            let starts = [
                Some(column.data_page_offset()),
                column.dictionary_page_offset(),
            ];
            let start = starts.into_iter().flatten().min().unwrap_or(0);
            let end = u64::try_from(start)
                .ok()
                .zip(u64::try_from(column.compressed_size()).ok())
                .and_then(|(start, size)| start.checked_add(size));
            if end.is_none_or(|end| end > len) {
                return refused("a column lies behind the end of the file");
            }
            if matches!(column.compression(), Compression::LZO) {
                let name = column.column_descr().name();
                let message =
                    format!("the column `{name}` is packed with LZO, which can't be read");
                return Err(Diagnostic::new(path.display().to_string(), message)
                    .hint("write it again with another codec: snappy, gzip, brotli, lz4 or zstd"));
            }
        }
    }
    Ok(())
}

/// The columns that pandas' metadata of a file calls indices; those that are only described there have no column.
fn pandas_indices(metadata: Option<&str>) -> Vec<String> {
    let text = metadata.unwrap_or_default();
    let Some((_, behind)) = text.split_once("\"index_columns\"") else {
        return Vec::new();
    };
    let list = behind.trim_start().strip_prefix(':').map(str::trim_start);
    let Some(list) = list.and_then(|list| list.strip_prefix('[')) else {
        return Vec::new();
    };
    // Names stand in quotes; a described index is an object in braces.
    let mut names = Vec::new();
    let (mut depth, mut rest) = (0, list.chars());
    while let Some(c) = rest.next() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ']' if depth == 0 => break,
            '"' => {
                let mut name = String::new();
                while let Some(c) = rest.next().filter(|c| *c != '"') {
                    name.push(if c == '\\' {
                        rest.next().unwrap_or(c)
                    } else {
                        c
                    });
                }
                if depth == 0 {
                    names.push(name);
                }
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pandas_names_indices_that_are_columns() {
        let of = |text: &str| pandas_indices(Some(text));
        assert_eq!(
            of(
                r#"{"index_columns": ["__index_level_0__", "user \"id\""], "columns": [{"name": "x"}]}"#
            ),
            ["__index_level_0__", "user \"id\""]
        );
        let described =
            r#"{"index_columns": [{"kind": "range", "name": null, "start": 0}], "columns": []}"#;
        assert!(of(described).is_empty());
        assert!(pandas_indices(None).is_empty());
    }
}
