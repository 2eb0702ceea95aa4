//! Parsed rows on their way from the first reading to the encoding: the first in memory, all others as raw numbers in a
//! temporary file per split, so that memory doesn't grow with the rows.

use super::row_lists::RowLists;
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::ArrowNativeType;
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a split's rows that stay in memory.
const KEPT_BYTES: usize = 96 << 20;

/// Some rows, row-major.
#[derive(Debug)]
pub(super) struct CodedRows {
    pub(super) num_rows: usize,
    pub(super) codes: ScalarBuffer<u32>,
    pub(super) numbers: ScalarBuffer<f64>,
    /// NaN where a task is not observed; in 64 bits until they are centred.
    pub(super) labels: ScalarBuffer<f64>,
    /// Codes of all lists, one list after another.
    pub(super) list_codes: ScalarBuffer<u32>,
    /// End of each list in `list_codes`.
    pub(super) list_ends: ScalarBuffer<u32>,
}

/// Arrays of some rows.
const ARRAYS: usize = 5;

impl CodedRows {
    pub(super) fn new(
        num_rows: usize,
        codes: Vec<u32>,
        numbers: Vec<f64>,
        labels: Vec<f64>,
        lists: RowLists,
    ) -> Self {
        Self {
            num_rows,
            codes: codes.into(),
            numbers: numbers.into(),
            labels: labels.into(),
            list_codes: lists.values.into(),
            list_ends: lists.ends.into(),
        }
    }

    fn arrays(&self) -> [&Buffer; ARRAYS] {
        [
            self.codes.inner(),
            self.numbers.inner(),
            self.labels.inner(),
            self.list_codes.inner(),
            self.list_ends.inner(),
        ]
    }
}

/// Places and lengths of a block's arrays.
#[derive(Debug, Clone, Copy)]
struct SpilledBlock {
    num_rows: usize,
    offsets: [usize; ARRAYS],
    lengths: [usize; ARRAYS],
}

/// Takes blocks one after another.
pub(super) struct Spill {
    path: PathBuf,
    kept: Vec<CodedRows>,
    kept_bytes: usize,
    /// Made when it is needed.
    sink: Option<BufWriter<File>>,
    end: usize,
    blocks: Vec<SpilledBlock>,
}

impl Spill {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            kept: Vec::new(),
            kept_bytes: 0,
            sink: None,
            end: 0,
            blocks: Vec::new(),
        }
    }

    pub(super) fn append(&mut self, rows: CodedRows) -> Result<(), Diagnostic> {
        let bytes: usize = rows.arrays().iter().map(|array| array.len()).sum();
        // Once one block went to the file all later ones do: reading gives what was kept first, and
        // rows must come back in their order.
        if self.sink.is_none() && self.kept_bytes + bytes <= KEPT_BYTES {
            self.kept_bytes += bytes;
            self.kept.push(rows);
            return Ok(());
        }
        self.write(&rows)
            .map_err(|error| crate::cant_write(&self.path, &error))
    }

    fn write(&mut self, rows: &CodedRows) -> std::io::Result<()> {
        let sink = match &mut self.sink {
            Some(sink) => sink,
            none => none.insert(BufWriter::with_capacity(1 << 20, File::create(&self.path)?)),
        };
        let mut offsets = [0; ARRAYS];
        for (offset, array) in offsets.iter_mut().zip(rows.arrays()) {
            // Every array starts at a multiple of its numbers' size.
            let padding = self.end.next_multiple_of(8) - self.end;
            sink.write_all(&[0; 8][..padding])?;
            // In this machine's byte order: no other program ever sees the file.
            sink.write_all(array.as_slice())?;
            *offset = self.end + padding;
            self.end = *offset + array.len();
        }
        self.blocks.push(SpilledBlock {
            num_rows: rows.num_rows,
            offsets,
            lengths: [
                rows.codes.len(),
                rows.numbers.len(),
                rows.labels.len(),
                rows.list_codes.len(),
                rows.list_ends.len(),
            ],
        });
        Ok(())
    }

    /// Everything that was appended, in place.
    pub(super) fn read(self) -> Result<Vec<CodedRows>, Diagnostic> {
        let Self {
            path,
            mut kept,
            sink,
            blocks,
            ..
        } = self;
        let Some(sink) = sink else {
            return Ok(kept);
        };
        let buffer = map(&path, sink).map_err(|error| crate::cant_write(&path, &error))?;
        kept.extend(blocks.into_iter().map(|block| block.rows(&buffer)));
        Ok(kept)
    }
}

/// Maps what was written, and takes the file's name away: the map keeps the bytes, and the name is no part of what is
/// prepared.
fn map(path: &Path, sink: BufWriter<File>) -> std::io::Result<Buffer> {
    drop(sink.into_inner().map_err(|error| error.into_error())?);
    let file = File::open(path)?;
    // SAFETY: the file lies in a folder of this process alone and is written no more.
    let mapped = unsafe { memmap2::Mmap::map(&file) }?;
    std::fs::remove_file(path)?;
    let (start, length) = (NonNull::from(&mapped[..]).cast::<u8>(), mapped.len());
    // SAFETY: the map stays at its place for as long as the buffer holds it.
    Ok(unsafe { Buffer::from_custom_allocation(start, length, Arc::new(mapped)) })
}

impl SpilledBlock {
    fn rows(self, buffer: &Buffer) -> CodedRows {
        fn numbers<T: ArrowNativeType>(
            buffer: &Buffer,
            offset: usize,
            length: usize,
        ) -> ScalarBuffer<T> {
            ScalarBuffer::new(
                buffer.slice_with_length(offset, length * size_of::<T>()),
                0,
                length,
            )
        }
        let [codes, values, labels, list_codes, list_ends] = self.offsets;
        let lengths = self.lengths;
        CodedRows {
            num_rows: self.num_rows,
            codes: numbers(buffer, codes, lengths[0]),
            numbers: numbers(buffer, values, lengths[1]),
            labels: numbers(buffer, labels, lengths[2]),
            list_codes: numbers(buffer, list_codes, lengths[3]),
            list_ends: numbers(buffer, list_ends, lengths[4]),
        }
    }
}
