//! Parquet and Arrow files: the columns that are needed, batch by batch.
//!
//! A batch has at most [`BATCH_ROWS`] rows, so that memory doesn't grow with row groups. The columns of a Parquet file are
//! decoded in parallel, each by a reader of its own; batches are then converted in parallel, as pieces of text are.

mod decode;

pub(crate) use decode::Decoded;
pub(crate) use decode::{is_list, is_readable, texts};

use super::column_slots::Need;
use crate::schema::FileKind;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use homebench_diagnostic::Diagnostic;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// Most rows of a batch.
const BATCH_ROWS: usize = 1 << 16;

/// A Parquet or Arrow file whose columns have the types that are needed.
#[derive(Debug)]
pub(crate) struct ColumnarFile {
    pub(crate) path: PathBuf,
    pub(crate) num_rows: u64,
    layout: ColumnarLayout,
    /// Per column of the description: its place in the file, where it is needed.
    places: Vec<Option<usize>>,
    needs: Vec<Need>,
    schema: SchemaRef,
}

/// How the file is laid out.
#[derive(Debug)]
enum ColumnarLayout {
    Parquet(ArrowReaderMetadata),
    ArrowFile,
    ArrowStream,
}

/// Some rows of the columns that are needed.
#[derive(Debug)]
pub(crate) struct Arrays {
    pub(crate) num_rows: usize,
    /// By column of the description.
    pub(crate) arrays: Vec<Option<ArrayRef>>,
}

impl ColumnarFile {
    pub(crate) fn open(
        path: &Path,
        kind: FileKind,
        columns: &[String],
        needs: &[Need],
    ) -> Result<Self, Diagnostic> {
        let (layout, schema) = open(path, kind)?;
        let places = places(path, &schema, columns, needs)?;
        let mut file = Self {
            path: path.to_path_buf(),
            num_rows: 0,
            layout,
            places,
            needs: needs.to_vec(),
            schema,
        };
        file.num_rows = match &file.layout {
            ColumnarLayout::Parquet(metadata) => {
                metadata.metadata().file_metadata().num_rows() as u64
            }
            // Nothing else in the file says it.
            ColumnarLayout::ArrowFile | ColumnarLayout::ArrowStream => file.count_rows()?,
        };
        Ok(file)
    }

    /// The type of a column of the description, where it is needed.
    pub(crate) fn data_type(&self, column: usize) -> Option<&DataType> {
        Some(self.schema.field(self.places[column]?).data_type())
    }

    fn count_rows(&self) -> Result<u64, Diagnostic> {
        // One column is enough to count rows by.
        let place = self.places.iter().flatten().next().copied();
        let batches = self.arrow(place.into_iter().collect())?;
        let mut rows = 0;
        for batch in batches {
            rows += batch
                .map_err(|error| broken(&self.path, "Arrow", &error))?
                .num_rows() as u64;
        }
        Ok(rows)
    }

    /// The batches, in order.
    pub(crate) fn batches(&self) -> Result<Batches<'_>, Diagnostic> {
        let source = match &self.layout {
            ColumnarLayout::Parquet(metadata) => BatchSource::Parquet(self.parquet(metadata)?),
            ColumnarLayout::ArrowFile | ColumnarLayout::ArrowStream => {
                // A projection keeps the order of the file.
                let mut wanted: Vec<usize> = self.places.iter().flatten().copied().collect();
                wanted.sort_unstable();
                BatchSource::Arrow {
                    batches: self.arrow(wanted.clone())?,
                    wanted,
                    left: None,
                }
            }
        };
        Ok(Batches { file: self, source })
    }

    fn parquet(
        &self,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Vec<(usize, ParquetRecordBatchReader)>, Diagnostic> {
        let places = self.places.iter().enumerate();
        let needed = places.filter_map(|(column, place)| Some((column, (*place)?)));
        let reader = |(column, place): (usize, usize)| {
            // A handle of its own: handles that are cloned share their place in the file.
            let file = File::open(&self.path).map_err(|error| cant_read(&self.path, &error))?;
            let mask = ProjectionMask::roots(metadata.parquet_schema(), [place]);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS)
                .build();
            let reader = reader.map_err(|error| broken(&self.path, "Parquet", &error))?;
            Ok((column, reader))
        };
        needed.map(reader).collect()
    }

    fn arrow(&self, wanted: Vec<usize>) -> Result<ArrowBatches, Diagnostic> {
        let file = File::open(&self.path).map_err(|error| cant_read(&self.path, &error))?;
        let file = BufReader::with_capacity(1 << 20, file);
        let batches: Result<ArrowBatches, ArrowError> = match self.layout {
            ColumnarLayout::ArrowStream => {
                StreamReader::try_new(file, Some(wanted)).map(|it| Box::new(it) as _)
            }
            _ => FileReader::try_new(file, Some(wanted)).map(|it| Box::new(it) as _),
        };
        batches.map_err(|error| broken(&self.path, "Arrow", &error))
    }
}

type ArrowBatches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of a file.
pub(crate) struct Batches<'a> {
    file: &'a ColumnarFile,
    source: BatchSource,
}

enum BatchSource {
    /// A reader of each needed column, with the column's index.
    Parquet(Vec<(usize, ParquetRecordBatchReader)>),
    Arrow {
        batches: ArrowBatches,
        /// Places in the file of the columns of a batch.
        wanted: Vec<usize>,
        /// What is left of a batch that was too long, from a row on.
        left: Option<(RecordBatch, usize)>,
    },
}

impl Batches<'_> {
    /// The next batch, if there is one.
    ///
    /// # Errors
    /// A file that is broken further on.
    pub(crate) fn next(&mut self) -> Result<Option<Arrays>, Diagnostic> {
        let file = self.file;
        let mut arrays = vec![None; file.places.len()];
        let num_rows = match &mut self.source {
            BatchSource::Parquet(readers) => {
                let read = readers.par_iter_mut().map(|(column, reader)| {
                    let batch = reader.next().transpose();
                    let batch = batch.map_err(|error| broken(&file.path, "Parquet", &error))?;
                    Ok(batch.map(|batch| (*column, batch.column(0).clone())))
                });
                let read = read.collect::<Result<Vec<_>, Diagnostic>>()?;
                // One reader a column runs through the same row groups; a column that ends early is
                // found out below.
                let num_rows = read.iter().flatten().map(|(_, array)| array.len()).max();
                for (column, array) in read.into_iter().flatten() {
                    arrays[column] = Some(array);
                }
                num_rows
            }
            BatchSource::Arrow {
                batches,
                wanted,
                left,
            } => {
                while left.is_none() {
                    match batches.next() {
                        None => return Ok(None),
                        Some(Err(error)) => return Err(broken(&file.path, "Arrow", &error)),
                        Some(Ok(batch)) if batch.num_rows() == 0 => {}
                        Some(Ok(batch)) => *left = Some((batch, 0)),
                    }
                }
                left.take().map(|(batch, start)| {
                    // Arrow files have batches of any length; slices bound the memory of what is
                    // converted at once.
                    let count = BATCH_ROWS.min(batch.num_rows() - start);
                    for (array, place) in arrays.iter_mut().zip(&file.places) {
                        let column = place.and_then(|place| wanted.binary_search(&place).ok());
                        *array = column.map(|column| batch.column(column).slice(start, count));
                    }
                    let end = start + count;
                    *left = (end < batch.num_rows()).then_some((batch, end));
                    count
                })
            }
        };
        let Some(num_rows) = num_rows else {
            return Ok(None);
        };
        let is_even = |(array, place): (&Option<ArrayRef>, &Option<usize>)| {
            place.is_none() || array.as_ref().is_some_and(|array| array.len() == num_rows)
        };
        if !arrays.iter().zip(&file.places).all(is_even) {
            return Err(broken(
                &file.path,
                "Parquet",
                &"its columns differ in length",
            ));
        }
        Ok(Some(Arrays { num_rows, arrays }))
    }
}

/// The layout and the columns of a file.
pub(crate) fn open_schema(path: &Path, kind: FileKind) -> Result<SchemaRef, Diagnostic> {
    open(path, kind).map(|(_, schema)| schema)
}

fn open(path: &Path, kind: FileKind) -> Result<(ColumnarLayout, SchemaRef), Diagnostic> {
    let mut file = File::open(path).map_err(|error| cant_read(path, &error))?;
    if kind == FileKind::Parquet {
        let metadata = ArrowReaderMetadata::load(&file, Default::default());
        let metadata = metadata.map_err(|error| broken(path, "Parquet", &error))?;
        let schema = metadata.schema().clone();
        return Ok((ColumnarLayout::Parquet(metadata), schema));
    }
    let mut magic = Vec::new();
    let read = file.by_ref().take(6).read_to_end(&mut magic);
    read.and_then(|_| file.rewind())
        .map_err(|error| cant_read(path, &error))?;
    if magic.starts_with(b"FEA1") {
        let said = Diagnostic::new(
            path.display().to_string(),
            "the file is in Feather's first version, which nothing writes any more",
        );
        return Err(said.hint("write it again as Arrow, Feather version 2 or Parquet"));
    }
    let file = BufReader::new(file);
    let opened = match &magic[..] {
        b"ARROW1" => {
            FileReader::try_new(file, None).map(|it| (ColumnarLayout::ArrowFile, it.schema()))
        }
        _ => StreamReader::try_new(file, None).map(|it| (ColumnarLayout::ArrowStream, it.schema())),
    };
    opened.map_err(|error| broken(path, "Arrow", &error))
}

/// Where the needed columns are in the file.
fn places(
    path: &Path,
    schema: &SchemaRef,
    columns: &[String],
    needs: &[Need],
) -> Result<Vec<Option<usize>>, Diagnostic> {
    let name = || path.display().to_string();
    let place = |(column, need): (&String, &Need)| {
        if !need.is_any() {
            return Ok(None);
        }
        let fields = schema.fields();
        let place = fields.iter().position(|field| field.name() == column);
        let place = place.ok_or_else(|| {
            missing_column(
                path,
                column,
                fields.iter().map(|field| field.name().as_str()),
            )
        })?;
        let found = fields[place].data_type();
        match decode::refusal(found, *need) {
            None => Ok(Some(place)),
            Some((expected, hint)) => Err(Diagnostic::new(
                name(),
                format!("column `{column}`: expected {expected}, found the type {found}"),
            )
            .hint(hint)),
        }
    };
    columns.iter().zip(needs).map(place).collect()
}

/// A file without a column of the description.
pub(crate) fn missing_column<'a>(
    path: &Path,
    column: &str,
    found: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    const SHOWN: usize = 12;
    let found: Vec<&str> = found.collect();
    let mut list: Vec<String> = found
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if found.len() > SHOWN {
        list.push(format!("{} more", found.len() - SHOWN));
    }
    let message = format!(
        "there is no column `{column}`; the file has {}",
        list.join(", ")
    );
    let said = Diagnostic::new(path.display().to_string(), message)
        .hint("correct the name in the description, or get the right file");
    said.did_you_mean(column, found)
}

fn cant_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(
        path.display().to_string(),
        format!("can't read the file: {error}"),
    )
}

fn broken(path: &Path, kind: &str, error: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("can't be read as {kind}: {error}");
    Diagnostic::new(path.display().to_string(), message).hint(
        "the file is cut, damaged or of another kind; get it again, or name its kind with format = { kind = \"...\" }",
    )
}
