//! What an Arrow file says of itself, looked at before the decoder believes it: the lengths of its parts, and types that the
//! decoder doesn't know.

use arrow::ipc::{self, Int, Type};
use homebench_diagnostic::{Diagnostic, regular_file};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// An Arrow file or stream, and what has to be changed in it to be read.
#[derive(Debug, Clone, Default)]
pub(super) struct IpcLayout {
    /// Bytes to read in place of those of the file, by their place.
    patches: Vec<(u64, u8)>,
    /// Columns of whole numbers of 128 bits, which are read as 16 bytes each; by their place among the columns.
    pub(super) int128: Vec<usize>,
}

/// The most bytes that one byte of packed data stands for.
// Zstandard packs 128 KiB of one value into about ten bytes; LZ4 reaches 255.
const MOST_PACKED: u64 = 1 << 15;
/// Bytes that any buffer may have.
const SMALL_BUFFER: u64 = 1 << 20;

impl IpcLayout {
    /// Looks at every message, without its data.
    ///
    /// # Errors
    /// A part that is longer than the file, or nothing that is a message.
    pub(super) fn of_file(path: &Path, is_stream: bool) -> Result<Self, Diagnostic> {
        let file = regular_file::open(path).map_err(|error| super::cant_read(path, &error))?;
        let mut walk = IpcWalk {
            len: file.metadata().map_or(0, |metadata| metadata.len()),
            file: BufReader::new(file),
            layout: Self::default(),
        };
        let walked = match is_stream {
            true => walk.stream(),
            false => walk.file(),
        };
        walked.map_err(|why| super::broken(path, "Arrow", &why))?;
        Ok(walk.layout)
    }

    /// The file as the decoder can read it.
    pub(super) fn open(&self, file: File) -> Patched {
        Patched {
            file: BufReader::with_capacity(1 << 20, file),
            at: 0,
            patches: self.patches.clone(),
        }
    }
}

struct IpcWalk {
    file: BufReader<File>,
    len: u64,
    layout: IpcLayout,
}

impl IpcWalk {
    /// The bytes of a part, whose length the file says.
    fn bytes(&mut self, start: u64, len: u64) -> Result<Vec<u8>, String> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(format!(
                "a part of {len} bytes at byte {start} ends behind the file's {} bytes",
                self.len
            ));
        }
        let mut bytes = vec![0; len as usize];
        let read = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn word(&mut self, start: u64) -> Result<i32, String> {
        let bytes = self.bytes(start, 4)?;
        Ok(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn file(&mut self) -> Result<(), String> {
        const END: u64 = 10;
        let cut = "its end is missing";
        let end = self.len.checked_sub(END).ok_or(cut)?;
        if self.bytes(end + 4, 6)? != b"ARROW1" {
            return Err(cut.to_owned());
        }
        let len = u64::try_from(self.word(end)?).map_err(|_| cut)?;
        let start = end.checked_sub(len).ok_or(cut)?;
        let bytes = self.bytes(start, len)?;
        let footer = ipc::root_as_footer(&bytes).map_err(|error| error.to_string())?;
        if let Some(schema) = footer.schema() {
            self.layout.note_types(&schema, start);
        }
        let blocks = footer.dictionaries().into_iter().flatten();
        for block in blocks.chain(footer.recordBatches().into_iter().flatten()) {
            let part =
                |value: i64| u64::try_from(value).map_err(|_| "a negative length".to_owned());
            let (start, head) = (part(block.offset())?, part(block.metaDataLength().into())?);
            self.check_inside(start, head)?;
            self.check_inside(start + head, part(block.bodyLength())?)?;
            self.message(start)?;
        }
        Ok(())
    }

    fn stream(&mut self) -> Result<(), String> {
        let mut at = 0;
        let mut is_first = true;
        // A stream may end without its mark.
        while at + 4 <= self.len {
            let Some(end) = self.message(at)? else {
                break;
            };
            is_first = false;
            at = end;
        }
        match is_first {
            true => Err("it has no columns".to_owned()),
            false => Ok(()),
        }
    }

    fn check_inside(&self, start: u64, len: u64) -> Result<(), String> {
        match start.checked_add(len).is_some_and(|end| end <= self.len) {
            true => Ok(()),
            false => Err(format!(
                "a part of {len} bytes at byte {start} ends behind the file's {} bytes",
                self.len
            )),
        }
    }

    /// Looks at the message at a place; where it ends with its data, or nothing where it is the mark of the end.
    fn message(&mut self, start: u64) -> Result<Option<u64>, String> {
        let (mut head, mut len) = (start + 4, self.word(start)?);
        // Files from before version 0.15 have no mark before the length.
        if len == -1 {
            (head, len) = (start + 8, self.word(start + 4)?);
        }
        let len = u64::try_from(len).map_err(|_| "a negative length".to_owned())?;
        if len == 0 {
            return Ok(None);
        }
        let bytes = self.bytes(head, len)?;
        let message = ipc::root_as_message(&bytes).map_err(|error| error.to_string())?;
        let body =
            u64::try_from(message.bodyLength()).map_err(|_| "a negative length".to_owned())?;
        self.check_inside(head + len, body)?;
        if let Some(schema) = message.header_as_schema() {
            self.layout.note_types(&schema, head);
        }
        let batch = message
            .header_as_record_batch()
            .or_else(|| message.header_as_dictionary_batch()?.data());
        if let Some(batch) = batch.filter(|batch| batch.compression().is_some()) {
            for buffer in batch.buffers().into_iter().flatten() {
                self.packed_buffer(head + len, body, buffer.offset(), buffer.length())?;
            }
        }
        Ok(Some(head + len + body))
    }

    /// Checks the length that a packed buffer says that it has unpacked: the decoder reserves so much memory.
    fn packed_buffer(
        &mut self,
        body_start: u64,
        body: u64,
        offset: i64,
        len: i64,
    ) -> Result<(), String> {
        let (Ok(offset), Ok(len)) = (u64::try_from(offset), u64::try_from(len)) else {
            return Err("a negative length".to_owned());
        };
        if offset.checked_add(len).is_none_or(|end| end > body) {
            return Err("a buffer ends behind its data".to_owned());
        }
        if len < 8 {
            return Ok(());
        }
        let bytes = self.bytes(body_start + offset, 8)?;
        let unpacked = i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        match unpacked < -1
            || unpacked.max(0) as u64 > len.saturating_mul(MOST_PACKED).max(SMALL_BUFFER)
        {
            true => Err(format!(
                "{len} packed bytes are said to be {unpacked} unpacked"
            )),
            false => Ok(()),
        }
    }
}

impl IpcLayout {
    /// Notes the columns of 128-bit numbers of a schema that starts at a place of the file.
    fn note_types(&mut self, schema: &ipc::Schema<'_>, start: u64) {
        self.int128.clear();
        for (index, field) in schema.fields().into_iter().flatten().enumerate() {
            let Some(int) = field.type_as_int().filter(|int| int.bitWidth() == 128) else {
                continue;
            };
            if field.dictionary().is_some() {
                continue;
            }
            // A column of 16 bytes is laid out in the same way, and both types have their width as their first field: with two
            // numbers changed the decoder reads one as the other.
            let of_field = field._tab.vtable().get(ipc::Field::VT_TYPE_TYPE);
            let of_width = int._tab.vtable().get(Int::VT_BITWIDTH);
            if of_field == 0 || of_width == 0 {
                continue;
            }
            let kind = start + (field._tab.loc() + usize::from(of_field)) as u64;
            self.patches.push((kind, Type::FixedSizeBinary.0));
            let width = start + (int._tab.loc() + usize::from(of_width)) as u64;
            let bytes = 16i32.to_le_bytes().into_iter().zip(width..);
            self.patches.extend(bytes.map(|(byte, at)| (at, byte)));
            self.int128.push(index);
        }
    }
}

/// A file of which some bytes are read as others.
pub(super) struct Patched {
    file: BufReader<File>,
    at: u64,
    patches: Vec<(u64, u8)>,
}

impl Read for Patched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        for (place, byte) in &self.patches {
            if let Some(index) = place.checked_sub(self.at)
                && index < count as u64
            {
                buffer[index as usize] = *byte;
            }
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Patched {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}
