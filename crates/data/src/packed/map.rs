//! Reading a split's file in place, and giving its pages back.

use super::{BLOCK_ROWS, Widths};
use crate::mapped_file_shrank::{MappedFile, MappedKind};
use crate::page_advice;
use crate::table::guarded;
use arrow::array::{
    Array, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch,
};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{Float32Type, Schema, UInt32Type};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// Smaller files are mapped with all their pages at once, which saves a page fault for each few, and keep them; the pages of
/// larger ones are given back once they are read.
const KEPT_BYTES: u64 = 256 << 20;

/// A record batch in place.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) num_rows: usize,
    pub(crate) categorical: ScalarBuffer<u32>,
    /// Start of each list in `list_ids`, and the end of the last; empty without multi-valued features.
    pub(crate) list_offsets: ScalarBuffer<i32>,
    pub(crate) list_ids: ScalarBuffer<u32>,
    pub(crate) numeric: ScalarBuffer<f32>,
    pub(crate) labels: ScalarBuffer<f32>,
    pub(crate) users: ScalarBuffer<u32>,
    pub(crate) weights: ScalarBuffer<f32>,
}

impl Block {
    /// Whether every column has the numbers of every row: rows are found by their index alone.
    fn is_whole(&self, widths: Widths) -> bool {
        let has = |length: usize, width: usize| width.checked_mul(self.num_rows) == Some(length);
        let lists = match widths.lists {
            0 => self.list_offsets.is_empty(),
            width => {
                let ends = self.list_offsets.last().copied();
                has(self.list_offsets.len().wrapping_sub(1), width)
                    && self.list_offsets.is_sorted()
                    && self.list_offsets[0] >= 0
                    && ends.is_some_and(|end| end as usize <= self.list_ids.len())
            }
        };
        lists
            && has(self.categorical.len(), widths.categorical)
            && has(self.numeric.len(), widths.numeric)
            && has(self.labels.len(), widths.labels)
            && has(self.users.len(), widths.user)
            && has(self.weights.len(), widths.weight)
    }
}

/// A split's file in memory.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) blocks: Vec<Block>,
    file: Arc<MappedFile>,
    /// Whether pages stay in memory once they are read.
    is_kept: bool,
}

impl Mapped {
    /// Lets the system take back the memory of rows of one block that are read no more, where the file is large.
    pub(crate) fn release(&self, block: usize, rows: Range<usize>) {
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
            page_advice::give_back(&self.file, start..start + size_of_val(values));
        }
    }
}

/// Maps a file that [`PackedWriter`](super::PackedWriter) wrote; no number is copied.
///
/// # Errors
/// A file that is cut, or that another program wrote.
pub(crate) fn map(file: &File, path: &Path, widths: Widths) -> Result<Mapped, String> {
    map_keeping(file, path, widths, KEPT_BYTES)
}

/// As [`map`]; files of more than `kept_bytes` give their pages back.
fn map_keeping(
    file: &File,
    path: &Path,
    widths: Widths,
    kept_bytes: u64,
) -> Result<Mapped, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let bytes = file.metadata().map_err(failed)?.len();
    let mut options = memmap2::MmapOptions::new();
    if bytes <= kept_bytes {
        options.populate();
    }
    // SAFETY: files of the cache are written under another name, renamed when whole and never changed after. One that another
    // program changes is found out before what was learned from it is kept; one that is cut ends the process with a word.
    let mapped = unsafe { options.map(file) }.map_err(failed)?;
    let mapped = Arc::new(MappedFile::new(mapped, path, MappedKind::Prepared));
    // The decoder believes lengths, and panics on some that can't be.
    let blocks = guarded(path, || Ok(blocks(&mapped, widths)))
        .map_err(|said| format!("{}: {}", path.display(), said.message))?;
    Ok(Mapped {
        blocks: blocks.map_err(|why| format!("{}: {why}", path.display()))?,
        file: mapped,
        is_kept: bytes <= kept_bytes,
    })
}

/// The blocks of a file, in place.
fn blocks(mapped: &Arc<MappedFile>, widths: Widths) -> Result<Vec<Block>, String> {
    let batches = record_batches(mapped, Some(&widths.schema()))?;
    let mut blocks: Vec<Block> = Vec::with_capacity(batches.len());
    for batch in batches {
        blocks.push(unpack(&batch, widths).ok_or("a column has another type or length")?);
    }
    Ok(blocks)
}

/// The record batches of a file, in place: each but the last has [`BLOCK_ROWS`] rows. `expected` is the schema that the file must
/// have, where it is known.
pub(crate) fn record_batches(
    mapped: &Arc<MappedFile>,
    expected: Option<&Schema>,
) -> Result<Vec<RecordBatch>, String> {
    let (start, length) = (NonNull::from(&mapped[..]).cast::<u8>(), mapped.len());
    // SAFETY: the map stays at its place for as long as the buffer holds it.
    let buffer = unsafe { Buffer::from_custom_allocation(start, length, mapped.clone()) };
    // An Arrow file ends with the length of its footer, 4 bytes, and the mark `ARROW1`.
    let tail = length.checked_sub(10).ok_or("the file is too short")?;
    let trailer: [u8; 10] = buffer[tail..]
        .try_into()
        .map_err(|_| "the file is too short")?;
    let footer_length = read_footer_length(trailer).map_err(|error| error.to_string())?;
    let footer_start = tail
        .checked_sub(footer_length)
        .ok_or("the footer is longer than the file")?;
    let footer = arrow::ipc::root_as_footer(&buffer[footer_start..tail])
        .map_err(|_| "its footer is damaged")?;
    let schema = footer.schema().ok_or("it has no columns")?;
    let schema = try_fb_to_schema(schema).map_err(|_| "its columns are damaged")?;
    if expected.is_some_and(|expected| schema != *expected) {
        return Err("the file has other columns".to_owned());
    }
    // Numbers are used in place: bytes that are not aligned must be an error, not a copy that
    // nobody sees.
    let decoder = FileDecoder::new(Arc::new(schema), footer.version()).with_require_alignment(true);
    let mut batches: Vec<RecordBatch> = Vec::new();
    for block in footer.recordBatches().into_iter().flatten() {
        let (start, length) =
            place_of(block, footer_start).ok_or("a record batch ends behind the file")?;
        let data = buffer.slice_with_length(start, length);
        let batch = decoder
            .read_record_batch(block, &data)
            .map_err(|error| format!("a record batch is damaged: {error}"))?
            .ok_or("an empty record batch")?;
        // The last may be short; a short one before it would shift every row behind it.
        if batches
            .last()
            .is_some_and(|last| last.num_rows() != BLOCK_ROWS)
        {
            return Err("record batches of another size".to_owned());
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// Where a record batch starts and how long it is, if it lies before the footer. Its place and lengths are those that the file
/// says: a damaged one must be an error and no slice beyond the map.
fn place_of(block: &arrow::ipc::Block, footer_start: usize) -> Option<(usize, usize)> {
    let offset = usize::try_from(block.offset()).ok()?;
    let metadata = usize::try_from(block.metaDataLength()).ok()?;
    let body = usize::try_from(block.bodyLength()).ok()?;
    let length = metadata.checked_add(body)?;
    let end = offset.checked_add(length)?;
    (end <= footer_start).then_some((offset, length))
}

fn unpack(batch: &RecordBatch, widths: Widths) -> Option<Block> {
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
    let block = Block {
        num_rows: batch.num_rows(),
        list_offsets,
        list_ids,
        categorical: values::<UInt32Type>(batch, "categorical")?,
        numeric: values::<Float32Type>(batch, "numeric")?,
        labels: values::<Float32Type>(batch, "labels")?,
        users: values::<UInt32Type>(batch, "user")?,
        weights: values::<Float32Type>(batch, "weight")?,
    };
    block.is_whole(widths).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Batch;
    use crate::packed::PackedWriter;

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
        let mapped = map_keeping(&File::open(&path).unwrap(), &path, widths, 0).unwrap();
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
