//! Carried columns: neither inputs nor labels, they stay with each row. Keys, names of users, whatever rows are grouped by.
//!
//! They are prepared apart from what models read, in a folder of the cache of their own: asking for another column changes no prepared
//! split, no content hash, and so no id of a cell. A row's place in its source comes with them.

mod expressions;
mod kind;
mod write;

pub(crate) use expressions::with_columns;
pub(crate) use kind::CarriedKind;
pub(crate) use write::CarriedWriter;

use crate::cache::CacheWatch;
use crate::mapped_file_shrank::{MappedFile, MappedKind};
use crate::packed::{BLOCK_ROWS, record_batches};
use crate::split::CarriedFor;
use crate::table::interner::Interner;
use crate::table::{NOBODY, guarded};
use crate::{Prepared, SPLITS};
use anyhow::Result;
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use homebench_diagnostic::Diagnostic;
use std::fmt::Write;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Name of the first column of the files: the row's place in its source.
const SOURCE_ROW: &str = "source_row";

/// Carried columns of the rows of one split, in the order of the rows; read in place.
#[derive(Debug, Clone)]
pub struct CarriedRows {
    schema: SchemaRef,
    /// Each but the last has [`BLOCK_ROWS`] rows.
    batches: Vec<RecordBatch>,
    num_rows: usize,
}

/// The values of a column as numbers of distinct texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedColumn {
    /// Per row the index of its value in `values`, [`NOBODY`] where it has none.
    pub codes: Vec<u32>,
    /// Distinct values, in the order of their first rows.
    pub values: Vec<String>,
}

impl CarriedRows {
    pub(crate) fn map(file: &File, path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        // SAFETY: as of the splits: written under another name, renamed when whole, never changed after.
        let mapped = unsafe { memmap2::MmapOptions::new().map(file) }.map_err(failed)?;
        let mapped = Arc::new(MappedFile::new(mapped, path, MappedKind::Prepared));
        let batches = guarded(path, || Ok(record_batches(&mapped, None)))
            .map_err(|said| format!("{}: {}", path.display(), said.message))?;
        let batches = batches.map_err(|why| format!("{}: {why}", path.display()))?;
        let schema = batches.first().map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| format!("{}: no rows", path.display()))?;
        let is_right = (schema.fields().first()).is_some_and(|field| {
            field.name() == SOURCE_ROW && *field.data_type() == DataType::UInt64
        });
        if !is_right {
            return Err(format!("{}: the file has other columns", path.display()));
        }
        Ok(Self {
            schema,
            num_rows: batches.iter().map(RecordBatch::num_rows).sum(),
            batches,
        })
    }

    /// Number of rows: those of the split.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// Names of the carried columns, in the order in which they were asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.schema.fields()[1..]
            .iter()
            .map(|field| field.name().as_str())
    }

    /// The places of some rows in the source, from 0: counted over the files of rows that the split comes from, in the order of the
    /// description, before anything is left out. In a split by files, training files are counted apart from the others.
    pub fn source_rows(&self, rows: Range<usize>) -> Vec<u64> {
        let column = self.array(0, rows);
        column.as_primitive::<UInt64Type>().values().to_vec()
    }

    /// The fields of the carried columns.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.schema.fields()[1..].iter().map(|field| &**field)
    }

    /// A column's field: its name and type.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let found = self.schema.fields()[1..].iter().enumerate();
        let mut found = found.filter(|(_, field)| field.name() == name);
        found.next().map(|(index, field)| (index + 1, &**field))
    }

    /// Some rows of a column, by its place among those of the file.
    pub(crate) fn array(&self, column: usize, rows: Range<usize>) -> ArrayRef {
        let mut parts = Vec::new();
        let mut start = rows.start;
        while start < rows.end {
            let (block, first) = (start / BLOCK_ROWS, start % BLOCK_ROWS);
            let count = (BLOCK_ROWS - first).min(rows.end - start);
            parts.push(self.batches[block].column(column).slice(first, count));
            start += count;
        }
        match &parts[..] {
            [one] => one.clone(),
            [] => self.batches[0].column(column).slice(0, 0),
            _ => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                concat(&parts).expect("blocks of one column have one type")
            }
        }
    }

    /// The values of a column as numbers of distinct texts; nothing where it is not carried.
    pub fn coded(&self, name: &str) -> Option<CodedColumn> {
        let (column, _) = self.field(name)?;
        let mut texts = Interner::default();
        let mut codes = Vec::with_capacity(self.num_rows);
        let mut text = String::new();
        for batch in &self.batches {
            let array = batch.column(column);
            for row in 0..array.len() {
                codes.push(match array.is_null(row) {
                    true => NOBODY,
                    false => {
                        text.clear();
                        push_text(array, row, &mut text);
                        texts.intern(text.as_bytes(), 0)
                    }
                });
            }
        }
        let text = |id| String::from_utf8_lossy(texts.text(id)).into_owned();
        Some(CodedColumn {
            codes,
            values: (0..texts.len() as u32).map(text).collect(),
        })
    }
}

/// Appends the text of a value that is there.
pub(crate) fn push_text(array: &dyn Array, row: usize, text: &mut String) {
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
    let written = match array.data_type() {
        DataType::Utf8 => write!(text, "{}", array.as_string::<i32>().value(row)),
        DataType::Int64 => write!(text, "{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => write!(text, "{}", array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => write!(text, "{}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => write!(text, "{}", array.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let nanoseconds = i128::from(times.value(row)) * 1000;
            write!(text, "{}", crate::timeline::text(nanoseconds))
        }
        other => unreachable!("no carried column is of the type {other}"),
    };
    written.expect("a text can be written to");
}

/// Carried columns of every split. Those of the test split come out with it alone.
#[derive(Debug)]
pub struct CarriedSplits {
    pub(crate) rows: [CarriedRows; SPLITS.len()],
    pub(crate) watch: CacheWatch,
}

/// What there is of a carried column in a split: counts alone, which tell nothing of single rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnCounts {
    /// Rows of the split.
    pub rows: usize,
    /// Rows without a value.
    pub missing: usize,
    /// Distinct values.
    pub values: usize,
}

impl CarriedSplits {
    /// What there is of a column, for training, validation and test in turn; nothing where it is not carried.
    pub fn counts(&self, name: &str) -> Option<[ColumnCounts; SPLITS.len()]> {
        let counts = |rows: &CarriedRows| {
            let coded = rows.coded(name)?;
            let missing = coded.codes.iter().filter(|code| **code == NOBODY).count();
            Some(ColumnCounts {
                rows: rows.num_rows(),
                missing,
                values: coded.values.len(),
            })
        };
        let [train, validation, test] = &self.rows;
        Some([counts(train)?, counts(validation)?, counts(test)?])
    }
}

impl Prepared {
    /// The same splits with columns that stay with their rows.
    ///
    /// # Errors
    /// Columns of other rows.
    pub fn with_carried(self, carried: CarriedSplits) -> Result<Self, Diagnostic> {
        self.with_columns(carried, CarriedFor::Scores)
    }

    /// The same splits with columns by which predictions name their rows.
    ///
    /// # Errors
    /// Columns of other rows.
    pub(crate) fn with_named(self, carried: CarriedSplits) -> Result<Self, Diagnostic> {
        self.with_columns(carried, CarriedFor::Predictions)
    }

    fn with_columns(
        mut self,
        carried: CarriedSplits,
        what: CarriedFor,
    ) -> Result<Self, Diagnostic> {
        let [train, validation, test] = carried.rows;
        let counts = [
            (self.train.num_rows(), &train),
            (self.validation.num_rows(), &validation),
            (self.test.num_rows(), &test),
        ];
        for (name, (expected, rows)) in SPLITS.iter().zip(counts) {
            if rows.num_rows() != expected {
                let message = format!(
                    "the {name} split has {expected} rows, and {} have carried columns",
                    rows.num_rows()
                );
                return Err(Diagnostic::new(&self.content_hash, message)
                    .hint("clear the dataset from the cache (`homebench cache clear NAME`) and run this again"));
            }
        }
        self.train = self.train.with_carried(train, what);
        self.validation = self.validation.with_carried(validation, what);
        self.test = self.test.with_carried(test, what);
        self.watch = self.watch.and(carried.watch);
        Ok(self)
    }
}

/// The places of rows as an array.
pub(crate) fn source_row_array(rows: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(rows))
}
