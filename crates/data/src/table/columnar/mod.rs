//! Parquet and Arrow files: the columns that are needed, batch by batch.
//!
//! A batch has at most [`BATCH_ROWS`] rows, so that memory doesn't grow with row groups. The columns of a Parquet file are
//! decoded in parallel, each by a reader of its own; batches are then converted in parallel, as pieces of text are. What a
//! damaged file makes a decoder do is caught in [`guarded`].

mod batches;
mod decode;
mod guard;
mod ipc_layout;
mod marks;
mod open_file;
mod plain_arrays;

pub(crate) use batches::Batches;
pub(crate) use decode::Decoded;
pub(crate) use decode::{is_list, is_readable, item_of, number_lists, texts};
pub(crate) use guard::guarded;
pub(crate) use open_file::open;

use super::column_slots::Need;
use super::common_types::cast_from;
use super::list_text::ListForms;
use super::raw_columns::ColumnRule;
use crate::schema::FileKind;
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use batches::{ArrowBatches, BatchSource};
use homebench_diagnostic::{Diagnostic, regular_file};
use open_file::ColumnarLayout;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use plain_arrays::{Meaning, Unreadable};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Per column of the description: what its bytes are.
    meanings: Vec<Meaning>,
    /// Per column of the description: its value in every row, where the name of a folder gives it.
    constants: Vec<Option<Constant>>,
    needs: Vec<Need>,
    schema: SchemaRef,
    /// How its texts hold several values.
    pub(crate) forms: Arc<ListForms>,
    /// Columns of the file that hold lists.
    list_places: Vec<usize>,
    /// Per column of the description: its type and its marks; none where nobody describes the file.
    pub(super) rules: Arc<[ColumnRule]>,
    /// Per column of the description: what its values become where other parts have them in another type.
    pub(super) casts: Vec<Vec<DataType>>,
    /// Whether the spaces around texts are no part of them.
    pub(super) trim_spaces: bool,
}

/// A value that every row has.
#[derive(Debug, Clone, PartialEq)]
enum Constant {
    Missing,
    Text(String),
}

/// Some rows of the columns that are needed.
#[derive(Debug)]
pub(crate) struct Arrays {
    pub(crate) num_rows: usize,
    /// By column of the description.
    pub(crate) arrays: Vec<Option<ArrayRef>>,
}

impl Arrays {
    /// Some of the rows.
    pub(crate) fn slice(&self, start: usize, num_rows: usize) -> Self {
        let slice = |array: &Option<ArrayRef>| Some(array.as_ref()?.slice(start, num_rows));
        Self {
            num_rows,
            arrays: self.arrays.iter().map(slice).collect(),
        }
    }
}

impl ColumnarFile {
    /// Opens a file that has these columns; those of `constants` are the same in every row and not in the file.
    pub(crate) fn open(
        path: &Path,
        kind: FileKind,
        columns: &[String],
        needs: &[Need],
        constants: &[(String, Option<String>)],
    ) -> Result<Self, Diagnostic> {
        let opened = open(path, kind)?;
        let constants = columns
            .iter()
            .zip(needs)
            .map(|(column, need)| constant(path, &opened.schema, column, *need, constants))
            .collect::<Result<Vec<_>, _>>()?;
        let places = places(path, &opened.schema, columns, needs, &constants)?;
        let meanings = places
            .iter()
            .map(|place| place.map_or(Meaning::OfType, |place| opened.meanings[place]));
        let mut file = Self {
            path: path.to_path_buf(),
            num_rows: opened.num_rows.unwrap_or(0),
            layout: opened.layout,
            meanings: meanings.collect(),
            places,
            constants,
            needs: needs.to_vec(),
            forms: Arc::default(),
            rules: Arc::default(),
            casts: Vec::new(),
            trim_spaces: false,
            list_places: (0..opened.schema.fields().len())
                .filter(|place| is_list(opened.schema.field(*place).data_type()))
                .collect(),
            schema: opened.schema,
        };
        if opened.num_rows.is_none() {
            // Nothing else in an Arrow file says it.
            file.num_rows = guarded(path, || file.count_rows())?;
        }
        Ok(file)
    }

    /// Whether the file has a column of this name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.schema
            .fields()
            .iter()
            .any(|field| field.name() == name)
    }

    /// Whether the file gives the values of a column.
    pub(crate) fn has(&self, column: usize) -> bool {
        self.places[column].is_some() || self.constants[column].is_some()
    }

    /// The type that a column of the description is read as, where it is needed.
    pub(crate) fn data_type(&self, column: usize) -> Option<&DataType> {
        let found = self.schema.field(self.places[column]?).data_type();
        let mut casts = self.casts.get(column).into_iter().flatten();
        let cast = casts.find(|cast| cast_from(found, cast).is_some());
        Some(cast.unwrap_or(found))
    }

    /// The type of a column of the description as conversion knows it, where it is needed; text where the name of a folder gives it.
    pub(super) fn plain_type(&self, column: usize) -> Option<DataType> {
        let of_file = self.places[column].map(|place| {
            plain_arrays::plain_type(self.schema.field(place).data_type(), self.meanings[column])
        });
        of_file.or_else(|| {
            let constant = self.constants[column].as_ref()?;
            Some(match constant {
                Constant::Missing => DataType::Null,
                Constant::Text(_) => DataType::Utf8,
            })
        })
    }

    /// Columns of the description that are read as lists and are texts in the file.
    pub(crate) fn text_lists(&self) -> Vec<usize> {
        let is_text = |column: &usize| {
            self.needs[*column].list
                && self.places[*column].is_none_or(|place| !self.list_places.contains(&place))
        };
        (0..self.needs.len()).filter(is_text).collect()
    }

    fn count_rows(&self) -> Result<u64, Diagnostic> {
        let mut rows = 0;
        for batch in self.arrow(self.wanted_to_count())? {
            rows += batch
                .map_err(|error| broken(&self.path, "Arrow", &error))?
                .num_rows() as u64;
        }
        Ok(rows)
    }

    /// One column is enough to count rows by.
    fn wanted_to_count(&self) -> Vec<usize> {
        let place = self.places.iter().flatten().next().copied();
        place
            .or((!self.schema.fields().is_empty()).then_some(0))
            .into_iter()
            .collect()
    }

    /// The batches, in order.
    pub(crate) fn batches(&self) -> Result<Batches<'_>, Diagnostic> {
        // A projection keeps the order of the file.
        let mut wanted: Vec<usize> = self.places.iter().flatten().copied().collect();
        wanted.sort_unstable();
        let source = guarded(&self.path, || {
            Ok(match &self.layout {
                ColumnarLayout::Parquet(metadata) => BatchSource::Parquet(self.parquet(metadata)?),
                ColumnarLayout::ArrowFile(_) | ColumnarLayout::ArrowStream(_) => {
                    if wanted.is_empty() {
                        wanted = self.wanted_to_count();
                    }
                    BatchSource::Arrow {
                        batches: self.arrow(wanted.clone())?,
                        wanted,
                        left: None,
                    }
                }
            })
        })?;
        Ok(Batches {
            file: self,
            source,
            num_rows: 0,
        })
    }

    fn parquet(
        &self,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Vec<(usize, ParquetRecordBatchReader)>, Diagnostic> {
        let places = self.places.iter().enumerate();
        let needed = places.filter_map(|(column, place)| Some((column, (*place)?)));
        let reader = |(column, place): (usize, usize)| {
            // A handle of its own: handles that are cloned share their place in the file.
            let file =
                regular_file::open(&self.path).map_err(|error| cant_read(&self.path, &error))?;
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
        let file = regular_file::open(&self.path).map_err(|error| cant_read(&self.path, &error))?;
        let batches: Result<ArrowBatches, ArrowError> = match &self.layout {
            ColumnarLayout::ArrowStream(layout) => {
                StreamReader::try_new(layout.open(file), Some(wanted)).map(|it| Box::new(it) as _)
            }
            ColumnarLayout::ArrowFile(layout) => {
                FileReader::try_new(layout.open(file), Some(wanted)).map(|it| Box::new(it) as _)
            }
            ColumnarLayout::Parquet(_) => unreachable!("Parquet has readers of its own"),
        };
        batches.map_err(|error| broken(&self.path, "Arrow", &error))
    }

    /// Columns as everything reads them: of rare types as those that conversion knows, of one type in all parts, without marks of
    /// missing values. `first_row` is that of the batch in the file.
    ///
    /// # Errors
    /// A value that has no such form, with its row.
    pub(crate) fn plain(
        &self,
        batch: &Arrays,
        first_row: u64,
        names: &[String],
    ) -> Result<Arrays, Diagnostic> {
        let columns = batch.arrays.iter().zip(&self.meanings).zip(names);
        let arrays = columns
            .enumerate()
            .map(|(column, ((array, meaning), name))| {
                let Some(array) = array else { return Ok(None) };
                let plain = plain_arrays::plain(array, *meaning);
                let plain = plain.and_then(|array| self.described(column, array));
                plain.map(Some).map_err(|unreadable| {
                    let row = unreadable.row.map_or(String::new(), |row| {
                        format!("row {}, ", first_row + row as u64 + 1)
                    });
                    let message = format!("{row}column `{name}`: {}", unreadable.why);
                    Diagnostic::new(self.path.display().to_string(), message)
                        .hint("write the column as texts, or leave it out of the description")
                })
            });
        Ok(Arrays {
            num_rows: batch.num_rows,
            arrays: arrays.collect::<Result<_, _>>()?,
        })
    }
}

impl ColumnarFile {
    /// A column in the type that all parts have in common, without what stands for nothing.
    fn described(&self, column: usize, array: ArrayRef) -> Result<ArrayRef, Unreadable> {
        let mut targets = self.casts.get(column).into_iter().flatten();
        let array = match targets.find_map(|target| cast_from(array.data_type(), target)) {
            Some(target) => cast(&array, &target).map_err(Unreadable::column)?,
            None => array,
        };
        let array = match self.trim_spaces {
            true => plain_arrays::trimmed_texts(&array).map_err(Unreadable::column)?,
            false => array,
        };
        match self.rules.get(column) {
            Some(rule) => marks::without_marks(&array, rule).map_err(Unreadable::column),
            None => Ok(array),
        }
    }
}

/// The value of a column that the name of a folder gives.
fn constant(
    path: &Path,
    schema: &SchemaRef,
    column: &str,
    need: Need,
    constants: &[(String, Option<String>)],
) -> Result<Option<Constant>, Diagnostic> {
    let Some((_, value)) = constants.iter().find(|(name, _)| name == column) else {
        return Ok(None);
    };
    if schema.fields().iter().any(|field| field.name() == column) {
        return Err(super::text_chunks::in_folder_and_file(path, column));
    }
    let Some(value) = value else {
        return Ok(Some(Constant::Missing));
    };
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
    if need.number && !need.is_declared && !is_number {
        let message = format!(
            "column `{column}`: expected a number, found `{value}` in the name of its folder"
        );
        return Err(Diagnostic::new(path.display().to_string(), message).hint(
            "rename the folder, make the feature categorical, or compare with a text in quotes",
        ));
    }
    Ok(Some(Constant::Text(value.clone())))
}

impl Constant {
    fn array(&self, num_rows: usize) -> ArrayRef {
        match self {
            Self::Missing => Arc::new(StringArray::new_null(num_rows)),
            Self::Text(text) => Arc::new(StringArray::new_repeated(text, num_rows)),
        }
    }
}

/// Where the needed columns are in the file.
fn places(
    path: &Path,
    schema: &SchemaRef,
    columns: &[String],
    needs: &[Need],
    constants: &[Option<Constant>],
) -> Result<Vec<Option<usize>>, Diagnostic> {
    let name = || path.display().to_string();
    let place = |((column, need), constant): ((&String, &Need), &Option<Constant>)| {
        let fields = schema.fields();
        let mut found = (0..fields.len()).filter(|place| fields[*place].name() == column);
        let place = found.next();
        // Also of a column that nothing is made from: as in text, a name says one column.
        if found.next().is_some() {
            let message = format!("the column `{column}` is there twice");
            return Err(
                Diagnostic::new(name(), message).hint("give the columns names of their own")
            );
        }
        if !need.is_any() || constant.is_some() {
            return Ok(None);
        }
        if place.is_none() && need.may_be_absent {
            return Ok(None);
        }
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
    columns
        .iter()
        .zip(needs)
        .zip(constants)
        .map(place)
        .collect()
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
