//! A batch's ids and numbers, copied to a device ahead of the step that reads them: on a stream of their own, from memory
//! that the device reads by itself, while earlier steps run.
//!
//! Everything of a batch is one run of 32-bit words, so that it is one copy.

use super::buffer::{Address, Buffer};
use super::machine::Machine;
use candle_core::{Device, Result};

/// Room for one batch on a device, used for one batch after another.
#[derive(Debug)]
pub struct CopiedBatch {
    place: Place,
    /// Kept from batch to batch.
    words: Vec<u32>,
    /// Where each part begins, in words, and at last their number.
    starts: [usize; 5],
}

#[derive(Debug)]
enum Place {
    Host(Option<Buffer>),
    #[cfg(feature = "cuda")]
    Cuda(super::upload::Upload),
}

/// What is copied of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchParts<'a> {
    /// Of single-valued features.
    pub ids: &'a [u32],
    /// Ids of lists.
    pub list_ids: &'a [u32],
    /// Where lists end.
    pub list_ends: &'a [u32],
    /// Numeric features.
    pub numeric: &'a [f32],
}

/// Where the parts of a batch lie on a machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchAddresses {
    pub(crate) ids: Address,
    pub(crate) list_ids: Address,
    pub(crate) list_ends: Address,
    pub(crate) numeric: Address,
}

impl CopiedBatch {
    /// Room on `device`; none where it has no kernels, as the processor has none.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(device: &Device) -> Result<Option<Self>> {
        let place = match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Place::Cuda(super::upload::Upload::new(device)?),
            _ if Machine::on(device).is_some() => Place::Host(None),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            place,
            words: Vec::new(),
            starts: [0; 5],
        }))
    }

    /// Begins to copy a batch. May be called on any thread; waits for nothing but the copy of the batch before this one.
    ///
    /// # Errors
    /// The device fails.
    pub fn fill(&mut self, parts: BatchParts<'_>) -> Result<()> {
        let words = &mut self.words;
        words.clear();
        for (part, values) in [parts.ids, parts.list_ids, parts.list_ends]
            .iter()
            .enumerate()
        {
            self.starts[part] = words.len();
            words.extend_from_slice(values);
        }
        self.starts[3] = words.len();
        words.extend(parts.numeric.iter().map(|value| value.to_bits()));
        self.starts[4] = words.len();
        match &mut self.place {
            Place::Host(buffer) => *buffer = Some(Buffer::of_ints(&Device::Cpu, words)?),
            #[cfg(feature = "cuda")]
            Place::Cuda(upload) => upload.copy(words)?,
        }
        Ok(())
    }

    /// Calls `read` with where the batch lies. What `read` launches runs when the copy has ended, and the room isn't filled again
    /// before that has run.
    pub(crate) fn read<T>(&mut self, read: impl FnOnce(BatchAddresses) -> Result<T>) -> Result<T> {
        let start = match &mut self.place {
            Place::Host(Some(buffer)) => buffer.address()?,
            Place::Host(None) => candle_core::bail!("no batch has been copied"),
            #[cfg(feature = "cuda")]
            Place::Cuda(upload) => upload.begin_reading()?,
        };
        let [ids, list_ids, list_ends, numeric, _] = self.starts.map(|part| start.offset(part));
        let result = read(BatchAddresses {
            ids,
            list_ids,
            list_ends,
            numeric,
        });
        match &mut self.place {
            Place::Host(_) => {}
            #[cfg(feature = "cuda")]
            Place::Cuda(upload) => upload.end_reading()?,
        }
        result
    }

    /// Number of words of each part: ids, list ids, list ends, numeric.
    pub(crate) fn lengths(&self) -> [usize; 4] {
        std::array::from_fn(|part| self.starts[part + 1] - self.starts[part])
    }
}
