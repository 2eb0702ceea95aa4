//! What runs launches and products: a CUDA device, or the processor in its place.

use super::arguments::Arguments;
use super::buffer::{Address, Buffer};
use super::host::{self, HostMachine};
use super::product::Product;
use candle_core::{DType, Device, Result, Tensor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Columns and rows of a block that walks over a matrix; as in kernels/common.cuh.
pub(super) const TILE_COLUMNS: usize = 32;
pub(super) const TILE_ROWS: usize = 8;
/// Threads of a block over a list of elements.
pub(super) const LIST_THREADS: usize = 256;

/// How many blocks a launch has, and of which shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: [usize; 3],
    pub(super) threads: [usize; 2],
}

impl Grid {
    /// A thread for each of `count` elements.
    pub(super) fn list(count: usize) -> Self {
        Self::lists(count, 1)
    }

    /// A thread for each of `count` elements, `times` over.
    pub(super) fn lists(count: usize, times: usize) -> Self {
        Self {
            blocks: [count.div_ceil(LIST_THREADS), times, 1],
            threads: [LIST_THREADS, 1],
        }
    }

    /// Tiles over the columns of `chunks` parts of rows of `matrices`.
    pub(super) fn tiles(width: usize, chunks: usize, matrices: usize) -> Self {
        Self {
            blocks: [width.div_ceil(TILE_COLUMNS), chunks, matrices],
            threads: [TILE_COLUMNS, TILE_ROWS],
        }
    }

    /// A warp for each of `count` rows, `times` over.
    pub(super) fn warps(count: usize, times: usize) -> Self {
        Self {
            blocks: [count.div_ceil(TILE_ROWS), times, 1],
            threads: [TILE_COLUMNS, TILE_ROWS],
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.blocks.contains(&0)
    }
}

/// Where programs run. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: Device,
    kind: Kind,
    /// Tables of whole numbers that are on the device already, by content.
    tables: Mutex<HashMap<Vec<u32>, Arc<Mutex<Buffer>>>>,
}

#[derive(Debug)]
enum Kind {
    Host(HostMachine),
    #[cfg(feature = "cuda")]
    Cuda(super::device::CudaMachine),
}

impl Machine {
    pub(super) fn host(machine: HostMachine) -> Self {
        Self::new(Device::Cpu, Kind::Host(machine))
    }

    fn new(device: Device, kind: Kind) -> Self {
        Self {
            inner: Arc::new(Inner {
                device,
                kind,
                tables: Mutex::default(),
            }),
        }
    }

    /// The machine for a tensor: its CUDA device or, in a test, the processor in place of one. None where there is no kernel
    /// for the tensor's place or type.
    pub(crate) fn of(tensor: &Tensor) -> Option<Self> {
        (tensor.dtype() == DType::F32)
            .then(|| Self::on(tensor.device()))
            .flatten()
    }

    /// The machine of a device; see [`Self::of`].
    pub(crate) fn on(device: &Device) -> Option<Self> {
        match device {
            Device::Cpu => host::current(),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Some(Self::cuda(device)),
            _ => None,
        }
    }

    /// The one machine of a CUDA device, so that tables and modules are there once.
    #[cfg(feature = "cuda")]
    fn cuda(device: &candle_core::CudaDevice) -> Self {
        use std::sync::OnceLock;
        static MACHINES: OnceLock<Mutex<Vec<(candle_core::cuda::DeviceId, Machine)>>> =
            OnceLock::new();
        let machines = MACHINES.get_or_init(Mutex::default);
        let mut machines = machines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, machine)) = machines.iter().find(|(id, _)| *id == device.id()) {
            return machine.clone();
        }
        let kind = Kind::Cuda(super::device::CudaMachine::new(device.clone()));
        let machine = Self::new(Device::Cuda(device.clone()), kind);
        machines.push((device.id(), machine.clone()));
        machine
    }

    /// Where its buffers are.
    pub(crate) fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Values that are written in full before they are read.
    pub(crate) fn unspecified(&self, length: usize) -> Result<Buffer> {
        Buffer::unspecified(self.device(), length)
    }

    /// Zeros.
    pub(crate) fn zeros(&self, length: usize) -> Result<Buffer> {
        Buffer::zeros(self.device(), length)
    }

    /// The address of a table of whole numbers, copied to the device when it is first asked for and kept there.
    pub(super) fn table(&self, values: Vec<u32>) -> Result<Address> {
        let mut tables = self
            .inner
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let buffer = match tables.get(&values) {
            Some(buffer) => buffer.clone(),
            None => {
                let buffer = Arc::new(Mutex::new(Buffer::of_ints(self.device(), &values)?));
                tables.insert(values, buffer.clone());
                buffer
            }
        };
        buffer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .address()
    }

    /// Runs a kernel; on a device, asks for it to be run after what was asked for before.
    pub(super) fn launch(&self, kernel: &str, grid: Grid, arguments: &Arguments) -> Result<()> {
        if grid.is_empty() {
            return Ok(());
        }
        match &self.inner.kind {
            Kind::Host(host) => host.launch(kernel, grid, arguments),
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => cuda.launch(kernel, grid, arguments),
        }
    }

    /// Computes a product; on a device, as [`Self::launch`].
    pub(super) fn multiply(&self, product: &Product) -> Result<()> {
        if product.rows == 0 || product.columns == 0 || product.batch == 0 {
            return Ok(());
        }
        match &self.inner.kind {
            Kind::Host(host) => {
                host.multiply(product);
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => cuda.multiply(product),
        }
    }
}

/// Whether the processor's own fused operators take a tensor: f32 that is here, and no device to stand in for.
pub(crate) fn is_on_processor(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32 && Machine::of(tensor).is_none()
}

/// Whether the work behind a tensor may still be under way when the operator that gives it returns: it is on a device, or goes
/// by the path of one.
pub fn is_deferred(tensor: &Tensor) -> bool {
    !tensor.device().is_cpu() || Machine::of(tensor).is_some()
}
