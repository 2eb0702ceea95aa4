//! Memory of a machine: candle's storage, seen as addresses.

use candle_core::backend::BackendStorage;
use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CudaStorage, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, Var,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of an element; all are of one size.
const ELEMENT_BYTES: u64 = 4;

/// Where values lie on a machine. It is only good as long as what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(u64);

impl Address {
    pub(crate) const NULL: Self = Self(0);

    #[cfg(any(feature = "cuda", test))]
    pub(super) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(super) fn raw(self) -> u64 {
        self.0
    }

    /// This many elements further on.
    pub(crate) fn offset(self, elements: usize) -> Self {
        Self(self.0 + elements as u64 * ELEMENT_BYTES)
    }

    /// Of an operator's argument.
    pub(super) fn of_cpu(storage: &CpuStorage, layout: &Layout) -> Result<Self> {
        let start = match storage {
            CpuStorage::F32(values) => values.as_ptr() as u64,
            CpuStorage::U32(values) => values.as_ptr() as u64,
            _ => return Err(unsupported()),
        };
        Self(start).at(layout)
    }

    /// Of an operator's argument.
    #[cfg(feature = "cuda")]
    pub(super) fn of_cuda(storage: &CudaStorage, layout: &Layout) -> Result<Self> {
        use candle_core::cuda::CudaStorageSlice;
        use candle_core::cuda::cudarc::driver::DevicePtr;
        let stream = storage.device.cuda_stream();
        // All work is on one stream, so that the order of launches is that of reads and writes.
        let start = match &storage.slice {
            CudaStorageSlice::F32(values) => values.device_ptr(&stream).0,
            CudaStorageSlice::U32(values) => values.device_ptr(&stream).0,
            _ => return Err(unsupported()),
        };
        Self(start).at(layout)
    }

    /// Of an operator's argument.
    #[cfg(not(feature = "cuda"))]
    pub(super) fn of_cuda(_: &CudaStorage, _: &Layout) -> Result<Self> {
        Err(candle_core::Error::NotCompiledWithCudaSupport)
    }

    fn at(self, layout: &Layout) -> Result<Self> {
        match layout.contiguous_offsets() {
            Some((start, _)) => Ok(self.offset(start)),
            None => candle_core::bail!("a fused operator needs contiguous arguments"),
        }
    }

    /// Of a tensor that is read.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Self::of_cpu(storage, layout),
            Storage::Cuda(storage) => Self::of_cuda(storage, layout),
            Storage::Metal(_) => Err(unsupported()),
        }
    }

    /// Of a tensor that is written.
    pub(crate) fn of_mut(tensor: &Tensor) -> Result<Self> {
        let found = Locate(AtomicU64::new(0));
        tensor.inplace_op1(&found)?;
        Ok(Self(found.0.into_inner()))
    }
}

fn unsupported() -> candle_core::Error {
    candle_core::Error::Msg("a fused operator needs f32 on the processor or a CUDA device".into())
}

/// Finds the address of a tensor with the right to write to it.
struct Locate(AtomicU64);

impl InplaceOp1 for Locate {
    fn name(&self) -> &'static str {
        "locate"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let start = match storage {
            CpuStorage::F32(values) => values.as_mut_ptr() as u64,
            CpuStorage::U32(values) => values.as_mut_ptr() as u64,
            _ => return Err(unsupported()),
        };
        let address = Address(start).at(layout)?;
        self.0.store(address.0, Ordering::Relaxed);
        Ok(())
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let address = Address::of_cuda(storage, layout)?;
        self.0.store(address.0, Ordering::Relaxed);
        Ok(())
    }
}

/// Values that are owned: on the processor or on a device.
#[derive(Debug)]
pub(crate) struct Buffer {
    storage: Storage,
    length: usize,
}

impl Buffer {
    /// Zeros.
    pub(crate) fn zeros(device: &Device, length: usize) -> Result<Self> {
        let storage = match device {
            Device::Cpu => Storage::Cpu(CpuStorage::F32(vec![0.0; length])),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let slice = device.alloc_zeros::<f32>(length.max(1))?;
                Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self { storage, length })
    }

    /// Values that are written in full before they are read. On the processor they are not numbers, so that a test sees one
    /// that was not.
    pub(crate) fn unspecified(device: &Device, length: usize) -> Result<Self> {
        let storage = match device {
            Device::Cpu => Storage::Cpu(CpuStorage::F32(vec![f32::NAN; length])),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                // SAFETY: callers write before they read, and every bit pattern is an f32.
                let slice = unsafe { device.alloc::<f32>(length.max(1))? };
                Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self { storage, length })
    }

    /// These values, on the processor.
    pub(crate) fn on_processor(values: Vec<f32>) -> Self {
        Self {
            length: values.len(),
            storage: Storage::Cpu(CpuStorage::F32(values)),
        }
    }

    /// A copy of `values` on `device`.
    pub(crate) fn of_floats(device: &Device, values: &[f32]) -> Result<Self> {
        if values.is_empty() {
            return Self::unspecified(device, 0);
        }
        let storage = match device {
            Device::Cpu => Storage::Cpu(CpuStorage::F32(values.to_vec())),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let slice = device.clone_htod(values)?;
                Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self {
            storage,
            length: values.len(),
        })
    }

    /// A copy of `values` on `device`.
    pub(crate) fn of_ints(device: &Device, values: &[u32]) -> Result<Self> {
        if values.is_empty() {
            return Self::unspecified(device, 0);
        }
        let storage = match device {
            Device::Cpu => Storage::Cpu(CpuStorage::U32(values.to_vec())),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let slice = device.clone_htod(values)?;
                Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self {
            storage,
            length: values.len(),
        })
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Where it lies, with the right to write.
    pub(crate) fn address(&mut self) -> Result<Address> {
        let layout = Layout::contiguous(self.length);
        match &mut self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(Address(values.as_mut_ptr() as u64)),
            Storage::Cpu(storage) => Address::of_cpu(storage, &layout),
            Storage::Cuda(storage) => Address::of_cuda(storage, &layout),
            Storage::Metal(_) => Err(unsupported()),
        }
    }

    pub(crate) fn is_on_processor(&self) -> bool {
        matches!(self.storage, Storage::Cpu(_))
    }

    /// The values, where they are on the processor.
    pub(crate) fn as_slice(&self) -> Option<&[f32]> {
        match &self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Some(values),
            _ => None,
        }
    }

    /// The values, on the processor alone.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        match &mut self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => values,
            _ => panic!("these values are not on the processor"),
        }
    }

    /// A copy of the values on the processor; waits for the device.
    pub(crate) fn to_vec(&self) -> Result<Vec<f32>> {
        let storage = match &self.storage {
            Storage::Cpu(storage) => storage.clone(),
            Storage::Cuda(storage) => storage.to_cpu_storage()?,
            Storage::Metal(_) => return Err(unsupported()),
        };
        match storage {
            CpuStorage::F32(mut values) => {
                values.truncate(self.length);
                Ok(values)
            }
            _ => Err(unsupported()),
        }
    }

    /// As a tensor outside of any graph.
    pub(crate) fn into_tensor(self, shape: impl Into<Shape>) -> Tensor {
        Tensor::from_storage(self.storage, shape, BackpropOp::none(), false)
    }

    /// As a leaf of candle's graph.
    pub(crate) fn into_variable(self, shape: impl Into<Shape>) -> Result<Var> {
        let tensor = Tensor::from_storage(self.storage, shape, BackpropOp::none(), true);
        // A variable already: nothing is copied.
        Var::from_tensor(&tensor)
    }

    /// As an operator's result on the processor.
    pub(super) fn into_cpu(self) -> Result<CpuStorage> {
        match self.storage {
            Storage::Cpu(storage) => Ok(storage),
            _ => Err(unsupported()),
        }
    }

    /// As an operator's result on a CUDA device.
    pub(super) fn into_cuda(self) -> Result<CudaStorage> {
        match self.storage {
            Storage::Cuda(storage) => Ok(storage),
            _ => Err(unsupported()),
        }
    }
}
