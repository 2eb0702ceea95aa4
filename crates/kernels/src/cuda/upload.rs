//! Copies to a CUDA device beside its work: two streams that wait for each other by events.

use super::buffer::Address;
use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::driver::{
    CudaEvent, CudaSlice, CudaStream, DevicePtr, PinnedHostSlice, result,
};
use candle_core::{CudaDevice, Result};
use std::sync::Arc;

/// Words on a device and the memory that they are copied from. The order of everything is by the two events alone: candle's own
/// tracking of streams is off in a run.
#[derive(Debug)]
pub(super) struct Upload {
    /// Where steps run.
    compute: Arc<CudaStream>,
    /// Where copies run.
    copies: Arc<CudaStream>,
    room: Option<Room>,
    /// The copy has ended.
    copied: CudaEvent,
    /// What read the words has ended.
    read: CudaEvent,
}

#[derive(Debug)]
struct Room {
    /// Memory of the host that the device copies from by itself.
    here: PinnedHostSlice<u32>,
    /// Of the stream of copies.
    there: CudaSlice<u32>,
}

impl Upload {
    pub(super) fn new(device: &CudaDevice) -> Result<Self> {
        let compute = device.cuda_stream();
        let context = compute.context();
        Ok(Self {
            copies: context.new_stream().w()?,
            room: None,
            copied: context.new_event(None).w()?,
            read: context.new_event(None).w()?,
            compute,
        })
    }

    /// Copies `words` once the last reader is done.
    pub(super) fn copy(&mut self, words: &[u32]) -> Result<()> {
        // The copy before may still be under way.
        self.copied.synchronize().w()?;
        self.copies.wait(&self.read).w()?;
        if self
            .room
            .as_ref()
            .is_none_or(|room| room.there.len() < words.len())
        {
            // Given back behind the wait for the last reader.
            self.room = None;
            self.room = Some(self.make_room(words.len() + words.len() / 8)?);
        }
        let Some(room) = &mut self.room else {
            candle_core::bail!("room was made for {} words", words.len());
        };
        let from = &mut room.here.as_mut_slice().w()?[..words.len()];
        from.copy_from_slice(words);
        let (to, _) = room.there.device_ptr(&self.copies);
        // SAFETY: both sides hold as many words; nobody writes to `here` before `copied`, and nothing reads `there` before it.
        unsafe { result::memcpy_htod_async(to, from, self.copies.cu_stream()) }.w()?;
        self.copied.record(&self.copies).w()
    }

    fn make_room(&self, length: usize) -> Result<Room> {
        let length = length.max(1);
        // SAFETY: every word is written before it is read, by `copy`.
        unsafe {
            Ok(Room {
                here: self
                    .copies
                    .context()
                    .alloc_pinned_with_flags(length, 0)
                    .w()?,
                there: self.copies.alloc(length).w()?,
            })
        }
    }

    /// Where the words are, for work that is asked for from now on.
    pub(super) fn begin_reading(&mut self) -> Result<Address> {
        let Some(room) = &self.room else {
            candle_core::bail!("no batch has been copied");
        };
        self.compute.wait(&self.copied).w()?;
        Ok(Address::from_raw(room.there.device_ptr(&self.compute).0))
    }

    /// Everything that reads the words has been asked for.
    pub(super) fn end_reading(&mut self) -> Result<()> {
        self.read.record(&self.compute).w()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The memory of either side must not go before what uses it has ended; a device that fails has no user left.
        let _ = self.copied.synchronize();
        let _ = self.copies.wait(&self.read);
    }
}
