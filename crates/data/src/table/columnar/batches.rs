//! The batches of a columnar file, one after another.

use super::guard::guarded;
use super::{Arrays, BATCH_ROWS, ColumnarFile, broken};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use homebench_diagnostic::Diagnostic;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use rayon::prelude::*;

pub(super) type ArrowBatches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of a file.
pub(crate) struct Batches<'a> {
    pub(super) file: &'a ColumnarFile,
    pub(super) source: BatchSource,
    /// Rows of the batches that were read.
    pub(super) num_rows: u64,
}

pub(super) enum BatchSource {
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
            // Every column that is needed is in the folders' names.
            BatchSource::Parquet(readers) if readers.is_empty() => {
                let left = file.num_rows - self.num_rows;
                Some(left.min(BATCH_ROWS as u64) as usize).filter(|rows| *rows > 0)
            }
            BatchSource::Parquet(readers) => {
                let read = readers.par_iter_mut().map(|(column, reader)| {
                    guarded(&file.path, || {
                        let batch = reader.next().transpose();
                        let batch = batch.map_err(|error| broken(&file.path, "Parquet", &error))?;
                        Ok(batch.map(|batch| (*column, batch.column(0).clone())))
                    })
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
                    match guarded(&file.path, || Ok(batches.next()))? {
                        None => break,
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
            // Which split a row belongs to was decided by the number of rows that the file says it has.
            return match self.num_rows == file.num_rows {
                true => Ok(None),
                false => Err(broken(
                    &file.path,
                    "a table",
                    &format!(
                        "it says that it has {} rows and has {}",
                        file.num_rows, self.num_rows
                    ),
                )),
            };
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
        for (array, constant) in arrays.iter_mut().zip(&file.constants) {
            if let Some(constant) = constant {
                *array = Some(constant.array(num_rows));
            }
        }
        self.num_rows += num_rows as u64;
        Ok(Some(Arrays { num_rows, arrays }))
    }
}
