//! Files of a prepared split: Arrow IPC, up to six fixed-size-list columns, read in place through a memory map.
//!
//! `categorical` and `user` hold `UInt32`, `numeric`, `labels` and `weight` hold `Float32`; a row of a column is one run of bytes, so that
//! gathering a row is three copies. `lists` holds lists of `UInt32`, whose offsets are read in place too. Every record batch but the last has [`BLOCK_ROWS`] rows; a column of width 0 is
//! left out.

use super::{Batch, Numbers};
use crate::diagnostic::Diagnostic;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, UInt32Type};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

/// Rows of a record batch; a power of two, so that a row's batch is a shift.
pub(super) const BLOCK_ROWS: usize = 1 << BLOCK_SHIFT;
/// Logarithm of [`BLOCK_ROWS`].
pub(super) const BLOCK_SHIFT: u32 = 16;

/// Smaller files are mapped with all their pages at once, which saves a page fault for each few, and keep them; the pages of
/// larger ones are given back once they are read.
const KEPT_BYTES: u64 = 256 << 20;

/// Numbers in a row of each column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) categorical: usize,
    pub(super) lists: usize,
    pub(super) numeric: usize,
    pub(super) labels: usize,
    /// 1 where rows belong to users.
    pub(super) user: usize,
    /// 1 where rows have weights.
    pub(super) weight: usize,
}

impl Widths {
    fn schema(self) -> Schema {
        let list = |name: &str, width: usize, item: DataType| {
            let item = Arc::new(Field::new("item", item, false));
            (width > 0)
                .then(|| Field::new(name, DataType::FixedSizeList(item, width as i32), false))
        };
        let fields = [
            list("categorical", self.categorical, DataType::UInt32),
            list("lists", self.lists, DataType::List(list_item())),
            list("numeric", self.numeric, DataType::Float32),
            list("labels", self.labels, DataType::Float32),
            list("user", self.user, DataType::UInt32),
            list("weight", self.weight, DataType::Float32),
        ];
        Schema::new(fields.into_iter().flatten().collect::<Vec<_>>())
    }
}

/// What a list of a multi-valued feature holds.
fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::UInt32, false))
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) rows: usize,
    pub(super) positives: Vec<usize>,
    /// Labels that are observed, by task.
    pub(super) observed: Vec<usize>,
    /// Of the labels of each regression, by task.
    pub(super) numbers: Vec<(usize, Numbers)>,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

/// Writes rows as they come, in record batches of [`BLOCK_ROWS`].
pub(super) struct PackedWriter {
    path: PathBuf,
    widths: Widths,
    schema: Arc<Schema>,
    writer: FileWriter<Hashing<BufWriter<File>>>,
    pending: Batch,
    rows: usize,
    positives: Vec<usize>,
    observed: Vec<usize>,
    measured: Vec<(usize, Moments)>,
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
    pub(super) fn create(path: PathBuf, widths: Widths) -> Result<Self, Diagnostic> {
        let failed = |error: &dyn std::fmt::Display| super::cant_write(&path, error);
        let file = File::create(&path).map_err(|error| failed(&error))?;
        let schema = Arc::new(widths.schema());
        let sink = Hashing {
            sink: BufWriter::with_capacity(1 << 20, file),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
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
            measured: Vec::new(),
        })
    }

    /// Measures the labels of these tasks, which are numbers.
    pub(super) fn measuring(mut self, tasks: impl IntoIterator<Item = usize>) -> Self {
        let tasks = tasks.into_iter();
        self.measured = tasks.map(|task| (task, Moments::default())).collect();
        self
    }

    /// Appends rows.
    pub(super) fn append(&mut self, rows: &Batch) -> Result<(), Diagnostic> {
        let Widths {
            categorical,
            lists,
            numeric,
            labels,
            user,
            weight,
        } = self.widths;
        for row in rows.labels.chunks_exact(labels) {
            let counts = self.positives.iter_mut().zip(&mut self.observed);
            for ((positives, observed), label) in counts.zip(row) {
                *positives += usize::from(*label > 0.5);
                *observed += usize::from(!label.is_nan());
            }
            for (task, moments) in &mut self.measured {
                moments.add(row[*task]);
            }
        }
        let mut done = 0;
        while done < rows.num_rows {
            let taken = (BLOCK_ROWS - self.pending.num_rows).min(rows.num_rows - done);
            let until = done + taken;
            let pending = &mut self.pending;
            pending
                .categorical
                .extend_from_slice(&rows.categorical[done * categorical..until * categorical]);
            pending.extend_lists(&rows.list_ends, &rows.list_ids, done * lists..until * lists);
            pending
                .numeric
                .extend_from_slice(&rows.numeric[done * numeric..until * numeric]);
            pending
                .labels
                .extend_from_slice(&rows.labels[done * labels..until * labels]);
            pending
                .users
                .extend_from_slice(&rows.users[done * user..until * user]);
            pending
                .weights
                .extend_from_slice(&rows.weights[done * weight..until * weight]);
            pending.num_rows += taken;
            done = until;
            if self.pending.num_rows == BLOCK_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(super) fn finish(mut self) -> Result<Written, Diagnostic> {
        if self.pending.num_rows > 0 {
            self.flush()?;
        }
        let finished = self
            .writer
            .finish()
            .and_then(|()| Ok(self.writer.get_mut().flush()?));
        finished.map_err(|error| super::cant_write(&self.path, &error))?;
        let sink = self.writer.get_ref();
        Ok(Written {
            rows: self.rows,
            positives: self.positives,
            observed: self.observed,
            numbers: self
                .measured
                .iter()
                .map(|(task, moments)| (*task, moments.numbers()))
                .collect(),
            bytes: sink.bytes,
            blake3: sink.hasher.finalize().to_hex().to_string(),
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
        written.map_err(|error| super::cant_write(&self.path, &error))
    }
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
struct Hashing<W> {
    sink: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.sink.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

/// A record batch in place.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) num_rows: usize,
    pub(super) categorical: ScalarBuffer<u32>,
    /// Start of each list in `list_ids`, and the end of the last; empty without multi-valued features.
    pub(super) list_offsets: ScalarBuffer<i32>,
    pub(super) list_ids: ScalarBuffer<u32>,
    pub(super) numeric: ScalarBuffer<f32>,
    pub(super) labels: ScalarBuffer<f32>,
    pub(super) users: ScalarBuffer<u32>,
    pub(super) weights: ScalarBuffer<f32>,
}

/// A split's file in memory.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) blocks: Vec<Block>,
    file: Arc<memmap2::Mmap>,
    /// Whether pages stay in memory once they are read.
    is_kept: bool,
}

impl Mapped {
    /// Lets the system take back the memory of rows of one block that are read no more, where the file is large.
    pub(super) fn release(&self, block: usize, rows: Range<usize>) {
        if self.is_kept {
            return;
        }
        let block = &self.blocks[block];
        if !block.list_offsets.is_empty() {
            let width = (block.list_offsets.len() - 1) / block.num_rows.max(1);
            let offsets = &block.list_offsets[rows.start * width..=rows.end * width];
            let (start, end) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
            self.release_bytes(&block.list_ids[start..end]);
            self.release_bytes(offsets);
        }
        self.release_column(&block.categorical, block.num_rows, &rows);
        self.release_column(&block.numeric, block.num_rows, &rows);
        self.release_column(&block.labels, block.num_rows, &rows);
        self.release_column(&block.users, block.num_rows, &rows);
        self.release_column(&block.weights, block.num_rows, &rows);
    }

    fn release_column<T>(&self, column: &[T], num_rows: usize, rows: &Range<usize>) {
        let width = column.len() / num_rows.max(1);
        self.release_bytes(&column[rows.start * width..rows.end * width]);
    }

    fn release_bytes<T>(&self, values: &[T]) {
        // What is empty may lie anywhere.
        if !values.is_empty() {
            let start = values.as_ptr() as usize - self.file.as_ptr() as usize;
            super::pages::release(&self.file, start..start + size_of_val(values));
        }
    }
}

/// Maps a file that [`PackedWriter`] wrote; no number is copied.
///
/// # Errors
/// A file that is cut, or that another program wrote.
pub(super) fn map(path: &Path, widths: Widths) -> Result<Mapped, ArrowError> {
    map_keeping(path, widths, KEPT_BYTES)
}

/// As [`map`]; files of more than `kept_bytes` give their pages back.
fn map_keeping(path: &Path, widths: Widths, kept_bytes: u64) -> Result<Mapped, ArrowError> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut options = memmap2::MmapOptions::new();
    if bytes <= kept_bytes {
        options.populate();
    }
    // SAFETY: files of the cache are written under another name, renamed when whole and never changed after.
    let mapped = Arc::new(unsafe { options.map(&file)? });
    let refused = |what: &str| ArrowError::IpcError(what.to_owned());
    let (start, length) = (NonNull::from(&mapped[..]).cast::<u8>(), mapped.len());
    // SAFETY: the map stays at its place for as long as the buffer holds it.
    let buffer = unsafe { Buffer::from_custom_allocation(start, length, mapped.clone()) };
    let trailer = length
        .checked_sub(10)
        .ok_or_else(|| refused("the file is too short"))?;
    let tail: [u8; 10] = buffer[trailer..]
        .try_into()
        .map_err(|_| refused("the file is too short"))?;
    let footer_start = trailer
        .checked_sub(read_footer_length(tail)?)
        .ok_or_else(|| refused("the footer is longer than the file"))?;
    let footer = arrow::ipc::root_as_footer(&buffer[footer_start..trailer])
        .map_err(|error| ArrowError::IpcError(error.to_string()))?;
    let schema = try_fb_to_schema(footer.schema().ok_or_else(|| refused("no schema"))?)?;
    if schema != widths.schema() {
        return Err(refused("the file has other columns"));
    }
    let decoder = FileDecoder::new(Arc::new(schema), footer.version()).with_require_alignment(true);
    let mut blocks = Vec::new();
    for block in footer.recordBatches().into_iter().flatten() {
        let (offset, metadata, body) = (
            block.offset() as usize,
            block.metaDataLength() as usize,
            block.bodyLength() as usize,
        );
        if offset + metadata + body > footer_start {
            return Err(refused("a record batch ends behind the file"));
        }
        let data = buffer.slice_with_length(offset, metadata + body);
        let batch = decoder
            .read_record_batch(block, &data)?
            .ok_or_else(|| refused("an empty record batch"))?;
        blocks.push(unpack(&batch).ok_or_else(|| refused("a column has another type"))?);
    }
    match blocks
        .iter()
        .rev()
        .skip(1)
        .all(|block| block.num_rows == BLOCK_ROWS)
    {
        true => Ok(Mapped {
            blocks,
            file: mapped,
            is_kept: bytes <= kept_bytes,
        }),
        false => Err(refused("record batches of another size")),
    }
}

fn unpack(batch: &RecordBatch) -> Option<Block> {
    fn values<T: ArrowPrimitiveType>(
        batch: &RecordBatch,
        name: &str,
    ) -> Option<ScalarBuffer<T::Native>> {
        let Some(column) = batch.column_by_name(name) else {
            return Some(Vec::new().into());
        };
        let list = column.as_any().downcast_ref::<FixedSizeListArray>()?;
        let values = list.values().as_any().downcast_ref::<PrimitiveArray<T>>()?;
        Some(values.values().clone())
    }
    let (list_offsets, list_ids) = match batch.column_by_name("lists") {
        None => (Vec::new().into(), Vec::new().into()),
        Some(column) => {
            let rows = column.as_any().downcast_ref::<FixedSizeListArray>()?;
            let lists = rows.values().as_any().downcast_ref::<ListArray>()?;
            let ids = lists
                .values()
                .as_any()
                .downcast_ref::<PrimitiveArray<UInt32Type>>()?;
            (lists.offsets().inner().clone(), ids.values().clone())
        }
    };
    Some(Block {
        num_rows: batch.num_rows(),
        list_offsets,
        list_ids,
        categorical: values::<UInt32Type>(batch, "categorical")?,
        numeric: values::<Float32Type>(batch, "numeric")?,
        labels: values::<Float32Type>(batch, "labels")?,
        users: values::<UInt32Type>(batch, "user")?,
        weights: values::<Float32Type>(batch, "weight")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_whose_memory_was_given_back_are_read_again_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.arrow");
        let widths = Widths {
            categorical: 3,
            lists: 2,
            numeric: 1,
            labels: 1,
            user: 1,
            weight: 0,
        };
        let num_rows = BLOCK_ROWS + 1234;
        let ids = |count: usize| (0..count as u32).collect::<Vec<u32>>();
        let rows = Batch {
            num_rows,
            categorical: ids(3 * num_rows),
            // Of the two lists of a row one is empty, the other has two ids.
            list_ids: ids(2 * num_rows),
            list_ends: (0..2 * num_rows as u32)
                .map(|list| list.div_ceil(2) * 2)
                .collect(),
            numeric: ids(num_rows).into_iter().map(|id| id as f32).collect(),
            labels: vec![1.0; num_rows],
            users: ids(num_rows),
            weights: Vec::new(),
        };
        let mut writer = PackedWriter::create(path.clone(), widths).unwrap();
        writer.append(&rows).unwrap();
        writer.finish().unwrap();
        let mapped = map_keeping(&path, widths, 0).unwrap();
        for (start, count) in [
            (0, 1),
            (7, 40_000),
            (40_007, BLOCK_ROWS - 40_007),
            (0, BLOCK_ROWS),
        ] {
            mapped.release(0, start..start + count);
            let block = &mapped.blocks[0];
            assert_eq!(block.categorical[..], rows.categorical[..3 * BLOCK_ROWS]);
            assert_eq!(block.list_ids[..], rows.list_ids[..block.list_ids.len()]);
            assert_eq!(block.users[..], rows.users[..BLOCK_ROWS]);
        }
        mapped.release(1, 0..1234);
        assert_eq!(mapped.blocks[1].numeric[1233], (num_rows - 1) as f32);
        assert_eq!(mapped.blocks[1].list_offsets.len(), 2 * 1234 + 1);
    }
}
