//! Writing a split's file: rows as they come, counted, measured and hashed on the way.

use super::watched::Watched;
use super::{BLOCK_ROWS, Widths, list_item};
use crate::{Batch, Numbers, cant_write};
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Schema, UInt32Type};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub(crate) rows: usize,
    pub(crate) positives: Vec<usize>,
    /// Labels that are observed, by task.
    pub(crate) observed: Vec<usize>,
    /// Ids of all rows' lists, by list.
    pub(crate) list_ids: Vec<u64>,
    /// Of the labels of each regression, by task.
    pub(crate) numbers: Vec<(usize, Numbers)>,
    pub(crate) watched: Watched,
    pub(crate) bytes: u64,
    pub(crate) blake3: String,
}

/// Writes rows as they come, in record batches of [`BLOCK_ROWS`].
pub(crate) struct PackedWriter {
    path: PathBuf,
    widths: Widths,
    schema: Arc<Schema>,
    writer: FileWriter<Hashing<BufWriter<File>>>,
    pending: Batch,
    rows: usize,
    positives: Vec<usize>,
    observed: Vec<usize>,
    list_ids: Vec<u64>,
    measured: Vec<(usize, Moments)>,
    watched: Watched,
}

/// Sums over the labels of a regression, in the order of the rows.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    /// Sum of squared distances to the mean.
    squares: f64,
    least: f32,
    most: f32,
}

impl Moments {
    fn add(&mut self, label: f32) {
        if label.is_nan() {
            return;
        }
        if self.count == 0.0 {
            (self.least, self.most) = (label, label);
        }
        (self.least, self.most) = (self.least.min(label), self.most.max(label));
        // One pass, and no difference of large sums: labels far from 0 keep their digits.
        // Welford's sums.
        self.count += 1.0;
        let distance = f64::from(label) - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (f64::from(label) - self.mean);
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            mean: self.mean,
            deviation: (self.squares / self.count.max(1.0)).sqrt(),
            least: self.least,
            most: self.most,
        }
    }
}

impl PackedWriter {
    pub(crate) fn create(path: PathBuf, widths: Widths) -> Result<Self, Diagnostic> {
        let failed = |error: &dyn std::fmt::Display| cant_write(&path, error);
        let file = File::create(&path).map_err(|error| failed(&error))?;
        let schema = Arc::new(widths.schema());
        let sink = Hashing::new(BufWriter::with_capacity(1 << 20, file));
        // Aligned to 64 bytes, as Arrow recommends, since readers use the numbers in place.
        let writer = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)
            .and_then(|options| FileWriter::try_new_with_options(sink, &schema, options))
            .map_err(|error| failed(&error))?;
        Ok(Self {
            writer,
            path,
            widths,
            schema,
            pending: Batch::default(),
            rows: 0,
            positives: vec![0; widths.labels],
            observed: vec![0; widths.labels],
            list_ids: vec![0; widths.lists],
            measured: Vec::new(),
            watched: Watched::default(),
        })
    }

    /// Measures the labels of these tasks, which are numbers.
    pub(crate) fn measuring(mut self, tasks: impl IntoIterator<Item = usize>) -> Self {
        let tasks = tasks.into_iter();
        self.measured = tasks.map(|task| (task, Moments::default())).collect();
        self
    }

    /// Counts what chains and scenarios can't be.
    pub(crate) fn watching(mut self, watched: Watched) -> Self {
        self.watched = watched;
        self
    }

    /// Appends rows.
    pub(crate) fn append(&mut self, rows: &Batch) -> Result<(), Diagnostic> {
        let widths = self.widths;
        // Of rows without labels there is nothing to count.
        for row in rows.labels.chunks_exact(widths.labels.max(1)) {
            let counts = self.positives.iter_mut().zip(&mut self.observed);
            for ((positives, observed), label) in counts.zip(row) {
                // A label that isn't observed is NaN, which compares as false.
                *positives += usize::from(*label > 0.5);
                *observed += usize::from(!label.is_nan());
            }
            for (task, moments) in &mut self.measured {
                moments.add(row[*task]);
            }
        }
        self.count_lists(&rows.list_ends);
        self.watched.count(rows, widths);
        let mut done = 0;
        while done < rows.num_rows {
            // Record batches are cut by count, wherever the source was cut: bytes depend on the
            // rows alone.
            let taken = (BLOCK_ROWS - self.pending.num_rows).min(rows.num_rows - done);
            let until = done + taken;
            let pending = &mut self.pending;
            copy(
                &mut pending.categorical,
                &rows.categorical,
                widths.categorical,
                done..until,
            );
            let lists = done * widths.lists..until * widths.lists;
            pending.extend_lists(&rows.list_ends, &rows.list_ids, lists);
            copy(
                &mut pending.numeric,
                &rows.numeric,
                widths.numeric,
                done..until,
            );
            copy(
                &mut pending.labels,
                &rows.labels,
                widths.labels,
                done..until,
            );
            copy(&mut pending.users, &rows.users, widths.user, done..until);
            copy(
                &mut pending.weights,
                &rows.weights,
                widths.weight,
                done..until,
            );
            pending.num_rows += taken;
            done = until;
            if self.pending.num_rows == BLOCK_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn count_lists(&mut self, ends: &[u32]) {
        let mut start = 0;
        for lists in ends.chunks_exact(self.widths.lists.max(1)) {
            for (count, end) in self.list_ids.iter_mut().zip(lists) {
                *count += u64::from(end - start);
                start = *end;
            }
        }
    }

    /// Writes what is left and the footer.
    pub(crate) fn finish(mut self) -> Result<Written, Diagnostic> {
        if self.pending.num_rows > 0 {
            self.flush()?;
        }
        let finished = self
            .writer
            .finish()
            .and_then(|()| Ok(self.writer.get_mut().flush()?));
        finished.map_err(|error| cant_write(&self.path, &error))?;
        let sink = self.writer.get_ref();
        Ok(Written {
            rows: self.rows,
            positives: self.positives,
            observed: self.observed,
            list_ids: self.list_ids,
            numbers: self
                .measured
                .iter()
                .map(|(task, moments)| (*task, moments.numbers()))
                .collect(),
            watched: self.watched,
            bytes: sink.bytes,
            blake3: sink.blake3(),
        })
    }

    fn flush(&mut self) -> Result<(), Diagnostic> {
        let rows = std::mem::take(&mut self.pending);
        self.rows += rows.num_rows;
        let columns = [
            list::<UInt32Type>(self.widths.categorical, rows.categorical),
            lists(self.widths.lists, &rows.list_ends, rows.list_ids),
            list::<Float32Type>(self.widths.numeric, rows.numeric),
            list::<Float32Type>(self.widths.labels, rows.labels),
            list::<UInt32Type>(self.widths.user, rows.users),
            list::<Float32Type>(self.widths.weight, rows.weights),
        ];
        let written = columns
            .into_iter()
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns))
            .and_then(|batch| self.writer.write(&batch));
        written.map_err(|error| cant_write(&self.path, &error))
    }
}

/// Appends some rows of a column that has `width` numbers a row.
fn copy<T: Copy>(column: &mut Vec<T>, from: &[T], width: usize, rows: Range<usize>) {
    column.extend_from_slice(&from[rows.start * width..rows.end * width]);
}

fn list<T: ArrowPrimitiveType>(
    width: usize,
    values: Vec<T::Native>,
) -> Result<Option<ArrayRef>, ArrowError> {
    if width == 0 {
        return Ok(None);
    }
    let item = Arc::new(Field::new("item", T::DATA_TYPE, false));
    let values = Arc::new(PrimitiveArray::<T>::new(values.into(), None));
    let array = FixedSizeListArray::try_new(item, width as i32, values, None)?;
    Ok(Some(Arc::new(array)))
}

/// The column of multi-valued features.
fn lists(width: usize, ends: &[u32], ids: Vec<u32>) -> Result<Option<ArrayRef>, ArrowError> {
    if width == 0 {
        return Ok(None);
    }
    // Offsets of Arrow's lists have 31 bits and a sign.
    let too_many = |_| ArrowError::InvalidArgumentError("more than 2^31 ids in a block".to_owned());
    let ends = ends.iter().map(|end| i32::try_from(*end).map_err(too_many));
    let offsets = std::iter::once(Ok(0)).chain(ends);
    let offsets = OffsetBuffer::new(offsets.collect::<Result<Vec<i32>, _>>()?.into());
    let ids = Arc::new(PrimitiveArray::<UInt32Type>::new(ids.into(), None));
    let values = Arc::new(ListArray::try_new(list_item(), offsets, ids, None)?);
    let item = Arc::new(Field::new("item", DataType::List(list_item()), false));
    let array = FixedSizeListArray::try_new(item, width as i32, values, None)?;
    Ok(Some(Arc::new(array)))
}

/// Counts and hashes what passes through.
pub(crate) struct Hashing<W> {
    sink: W,
    hasher: blake3::Hasher,
    pub(crate) bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self {
            sink,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    /// Of all that passed through, in hexadecimal digits.
    pub(crate) fn blake3(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.sink.write(buffer)?;
        // On the way to the disk, so that nothing is read again for its digest.
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}
