//! Parsed rows on their way from the first reading to the encoding: raw numbers in a temporary file per split, so that
//! memory doesn't grow with the rows.

use crate::diagnostic::Diagnostic;
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::ArrowNativeType;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;

/// Some rows, row-major.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) num_rows: usize,
    pub(super) codes: ScalarBuffer<u32>,
    pub(super) numbers: ScalarBuffer<f64>,
    pub(super) labels: ScalarBuffer<f32>,
}

/// Lengths of a block's three arrays.
#[derive(Debug, Clone, Copy)]
struct Block {
    num_rows: usize,
    offsets: [usize; 3],
    lengths: [usize; 3],
}

/// Writes blocks one after another.
pub(super) struct Spill {
    path: PathBuf,
    sink: BufWriter<File>,
    end: usize,
    blocks: Vec<Block>,
}

impl Spill {
    pub(super) fn create(path: PathBuf) -> Result<Self, Diagnostic> {
        let file = File::create(&path).map_err(|error| crate::data::cant_write(&path, &error))?;
        Ok(Self {
            path,
            sink: BufWriter::with_capacity(1 << 20, file),
            end: 0,
            blocks: Vec::new(),
        })
    }

    pub(super) fn append(
        &mut self,
        num_rows: usize,
        codes: Vec<u32>,
        numbers: Vec<f64>,
        labels: Vec<f32>,
    ) -> Result<(), Diagnostic> {
        let lengths = [codes.len(), numbers.len(), labels.len()];
        let mut offsets = [0; 3];
        for (offset, buffer) in offsets.iter_mut().zip([
            Buffer::from_vec(codes),
            Buffer::from_vec(numbers),
            Buffer::from_vec(labels),
        ]) {
            // Every array starts at a multiple of its numbers' size.
            let padding = self.end.next_multiple_of(8) - self.end;
            let written = self
                .sink
                .write_all(&[0; 8][..padding])
                .and_then(|()| self.sink.write_all(buffer.as_slice()));
            written.map_err(|error| crate::data::cant_write(&self.path, &error))?;
            *offset = self.end + padding;
            self.end = *offset + buffer.len();
        }
        self.blocks.push(Block {
            num_rows,
            offsets,
            lengths,
        });
        Ok(())
    }

    /// Everything that was appended, in place.
    pub(super) fn read(self) -> Result<Vec<Rows>, Diagnostic> {
        let Self {
            path,
            sink,
            end,
            blocks,
        } = self;
        let file = sink
            .into_inner()
            .map_err(|error| crate::data::cant_write(&path, error.error()))?;
        drop(file);
        if end == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: the file lies in a folder of this process alone and is written no more.
        let mapped = File::open(&path).and_then(|file| unsafe { memmap2::Mmap::map(&file) });
        let mapped = mapped.map_err(|error| crate::data::cant_write(&path, &error))?;
        let (start, length) = (NonNull::from(&mapped[..]).cast::<u8>(), mapped.len());
        // SAFETY: the map stays at its place for as long as the buffer holds it.
        let buffer = unsafe { Buffer::from_custom_allocation(start, length, Arc::new(mapped)) };
        Ok(blocks
            .into_iter()
            .map(|block| block.rows(&buffer))
            .collect())
    }
}

impl Block {
    fn rows(self, buffer: &Buffer) -> Rows {
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
        let ([codes, values, labels], lengths) = (self.offsets, self.lengths);
        Rows {
            num_rows: self.num_rows,
            codes: numbers(buffer, codes, lengths[0]),
            numbers: numbers(buffer, values, lengths[1]),
            labels: numbers(buffer, labels, lengths[2]),
        }
    }
}
