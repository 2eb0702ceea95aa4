//! Where predictions go: Parquet or CSV, with the names of their columns.

use crate::carried::push_text;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int8Type, SchemaRef, UInt32Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

pub(super) const ROW: &str = "row";
pub(super) const SOURCE_ROW: &str = "source_row";
/// Before the name of a task.
pub(super) const LABEL: &str = "label_";
pub(super) const OBSERVED: &str = "observed_";
pub(super) const SCORE: &str = "score_";

/// Rows of a row group: a bound on memory.
const GROUP_ROWS: usize = 1 << 18;

/// A column that says what it is.
pub(crate) fn about(field: Field, words: &str) -> Field {
    field.with_metadata(HashMap::from([("about".to_owned(), words.to_owned())]))
}

/// The name of the column with the scores of a task.
pub(crate) fn score_name(task: &str) -> String {
    format!("{SCORE}{task}")
}

/// The layout of a file of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Parquet.
    Parquet,
    /// Text with commas, under a line of names.
    Csv,
}

/// A file that rows are appended to.
pub(crate) enum TableSink<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write + Send> TableSink<W> {
    pub(crate) fn new(sink: W, schema: &SchemaRef, format: TableFormat) -> io::Result<Self> {
        match format {
            TableFormat::Parquet => {
                let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties(schema)));
                Ok(Self::Parquet(Box::new(writer.map_err(in_io)?)))
            }
            TableFormat::Csv => {
                let mut writer = csv::Writer::from_writer(sink);
                writer.write_record(schema.fields().iter().map(|field| field.name()))?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(rows).map_err(in_io),
            Self::Csv(writer) => {
                let mut text = String::new();
                for row in 0..rows.num_rows() {
                    for column in rows.columns() {
                        text.clear();
                        if !column.is_null(row) {
                            push_value(column, row, &mut text);
                        }
                        writer.write_field(&text)?;
                    }
                    writer.write_record(None::<&[u8]>)?;
                }
                Ok(())
            }
        }
    }

    /// Writes what is left, and gives the file back.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Parquet(writer) => (*writer).into_inner().map_err(in_io),
            Self::Csv(writer) => (*writer)
                .into_inner()
                .map_err(|error| io::Error::new(error.error().kind(), error.to_string())),
        }
    }
}

fn push_value(array: &dyn Array, row: usize, text: &mut String) {
    let written = match array.data_type() {
        DataType::UInt32 => write!(text, "{}", array.as_primitive::<UInt32Type>().value(row)),
        DataType::Int8 => write!(text, "{}", array.as_primitive::<Int8Type>().value(row)),
        _ => {
            push_text(array, row, text);
            Ok(())
        }
    };
    written.expect("a text can be written to");
}

/// Numbers of models don't shrink, and packing them takes longer than writing them; whatever else stands in a row does.
fn properties(schema: &SchemaRef) -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("levels begin at 1");
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_compression(Compression::ZSTD(level));
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if [ROW, SOURCE_ROW].contains(&field.name().as_str()) {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if *field.data_type() == DataType::Float64 {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    properties.build()
}

/// An error of the file, where that is what lies behind.
fn in_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    }
}
