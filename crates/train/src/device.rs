//! The devices of this machine, and whether the one that is asked for can be used: said before any data is prepared.

use homebench_diagnostic::Diagnostic;
use std::fmt;

/// Where tensors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA device by index.
    Cuda(usize),
}

impl Device {
    /// `cpu` or `cuda`: what numbers may depend on.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(formatter, "cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected `cpu`, `cuda` or `cuda:<index>`, found `{text}`");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

/// Free memory that a device needs for the driver's context, cuBLAS and the smallest model, bytes.
// A check before any data is prepared, not a promise: activations come on top.
const LEAST_FREE_BYTES: u64 = 512 << 20;
/// Oldest compute capability that the kernels are compiled for.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);
/// What training keeps for every trained number: its value, its gradient, two moments, and the best value so far; bytes.
const BYTES_PER_PARAMETER: u64 = 5 * 4;

/// A CUDA device as the driver describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct CudaDevice {
    /// `NVIDIA A100-SXM4-40GB`.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Memory that nobody has taken.
    pub free_bytes: u64,
    /// All of its memory.
    pub total_bytes: u64,
}

/// What there is beside the processor.
#[derive(Debug, Clone, PartialEq)]
pub enum Cuda {
    /// A build without CUDA.
    NotBuiltIn,
    /// The driver's reason for giving no devices.
    NoDriver(String),
    /// By index.
    Devices(Vec<CudaDevice>),
}

/// The build's hint.
const BUILD: &str = "run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed";

impl Cuda {
    /// Asks the driver.
    pub fn find() -> Self {
        find()
    }

    /// Asks the driver where a run needs to know: opening a device takes a moment.
    pub fn find_for(device: Device) -> Self {
        match device {
            Device::Cpu => Self::NotBuiltIn,
            Device::Cuda(_) => find(),
        }
    }

    /// Why there is no CUDA device, and what to do.
    pub fn absence(&self) -> Option<Diagnostic> {
        match self {
            Self::NotBuiltIn => {
                Some(Diagnostic::new("cuda", "this build of homebench has no CUDA").hint(BUILD))
            }
            Self::NoDriver(reason) => Some(no_driver("cuda", reason)),
            Self::Devices(devices) if devices.is_empty() => Some(no_device("cuda")),
            Self::Devices(_) => None,
        }
    }

    /// Whether `device` is there and fit.
    ///
    /// # Errors
    /// A build without CUDA, no driver, no such index, a device too old, or one with too little free memory.
    pub fn check(&self, device: Device) -> Result<(), Diagnostic> {
        let Device::Cuda(index) = device else {
            return Ok(());
        };
        let source = format!("device {device}");
        let devices = match self {
            Self::NotBuiltIn => {
                let message = "this build of homebench has no CUDA";
                return Err(Diagnostic::new(source, message).hint(BUILD));
            }
            Self::NoDriver(reason) => return Err(no_driver(&source, reason)),
            Self::Devices(devices) if devices.is_empty() => return Err(no_device(&source)),
            Self::Devices(devices) => devices,
        };
        let Some(found) = devices.get(index) else {
            let last = devices.len() - 1;
            let there = match last {
                0 => "this machine has cuda:0 alone".to_owned(),
                _ => format!("this machine has cuda:0 to cuda:{last}"),
            };
            return Err(Diagnostic::new(source, format!("no such device; {there}"))
                .hint("`homebench devices` lists what there is"));
        };
        if found.capability < LEAST_CAPABILITY {
            let ((major, minor), (least_major, least_minor)) = (found.capability, LEAST_CAPABILITY);
            let message = format!(
                "{} has compute capability {major}.{minor}; the kernels need {least_major}.{least_minor} or later",
                found.name
            );
            return Err(Diagnostic::new(source, message)
                .hint("run on another device, or on the processor with `--device cpu`"));
        }
        found.has_memory(&source, LEAST_FREE_BYTES)
    }

    /// Whether cells of this many trained numbers, some at once, have room on `device`. Activations come on top, so that this
    /// refuses what can't run and promises nothing.
    ///
    /// # Errors
    /// Too little free memory.
    pub fn check_memory(
        &self,
        device: Device,
        parameters: usize,
        jobs: usize,
    ) -> Result<(), Diagnostic> {
        let (Device::Cuda(index), Self::Devices(devices)) = (device, self) else {
            return Ok(());
        };
        let Some(found) = devices.get(index) else {
            return Ok(());
        };
        let of_cell = parameters as u64 * BYTES_PER_PARAMETER + LEAST_FREE_BYTES;
        found.has_memory(&format!("device {device}"), of_cell * jobs as u64)
    }
}

impl CudaDevice {
    fn has_memory(&self, source: &str, needed: u64) -> Result<(), Diagnostic> {
        if self.free_bytes >= needed {
            return Ok(());
        }
        let message = format!(
            "{} has {} of {} free; this needs {} at least",
            self.name,
            gibibytes(self.free_bytes),
            gibibytes(self.total_bytes),
            gibibytes(needed)
        );
        Err(Diagnostic::new(source, message).hint(
            "end what else runs there (`nvidia-smi` lists it), run fewer cells at once with `--jobs`, or use another device",
        ))
    }
}

fn no_driver(source: &str, reason: &str) -> Diagnostic {
    let message = format!("the CUDA driver gives no devices: {reason}");
    Diagnostic::new(source, message).hint(
        "install NVIDIA's driver and check it with `nvidia-smi`, or run on the processor with `--device cpu`",
    )
}

fn no_device(source: &str) -> Diagnostic {
    Diagnostic::new(source, "the CUDA driver sees no device").hint(
        "check CUDA_VISIBLE_DEVICES and `nvidia-smi`, or run on the processor with `--device cpu`",
    )
}

/// `39.4 GiB`.
pub fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Opens the device for tensors.
///
/// # Errors
/// A build without CUDA, or a driver that fails.
pub fn open(device: Device) -> candle_core::Result<candle_core::Device> {
    match device {
        Device::Cpu => Ok(candle_core::Device::Cpu),
        Device::Cuda(index) => {
            // One stream for every thread of the process; the default of candle is one of each thread.
            let opened = candle_core::Device::new_cuda_with_stream(index)?;
            #[cfg(feature = "cuda")]
            set_up(opened.as_cuda_device()?)?;
            Ok(opened)
        }
    }
}

/// For a process with one stream: no events around every tensor, and freed memory is kept for the next step instead of being
/// given back whenever the device is waited for.
#[cfg(feature = "cuda")]
fn set_up(device: &candle_core::CudaDevice) -> candle_core::Result<()> {
    use candle_core::cuda::WrapErr;
    use candle_core::cuda::cudarc::driver::sys;
    let mut pool = std::ptr::null_mut();
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: all work of this process is on the device's one stream; the pool is the device's own, and the driver copies the
    // threshold.
    unsafe {
        device.disable_event_tracking();
        let stream = device.cuda_stream();
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, stream.context().cu_device())
            .result()
            .w()?;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast())
            .result()
            .w()
    }
}

#[cfg(not(feature = "cuda"))]
fn find() -> Cuda {
    Cuda::NotBuiltIn
}

#[cfg(feature = "cuda")]
fn find() -> Cuda {
    use candle_core::cuda::cudarc::driver::{CudaContext, DriverError};
    let describe = |index: usize| -> Result<CudaDevice, DriverError> {
        let context = CudaContext::new(index)?;
        let (free_bytes, total_bytes) = context.mem_get_info()?;
        Ok(CudaDevice {
            name: context.name()?,
            capability: context.compute_capability()?,
            free_bytes: free_bytes as u64,
            total_bytes: total_bytes as u64,
        })
    };
    let all =
        CudaContext::device_count().and_then(|count| (0..count as usize).map(describe).collect());
    match all {
        Ok(devices) => Cuda::Devices(devices),
        Err(error) => Cuda::NoDriver(match error.error_string() {
            Ok(text) => format!("{:?} ({})", error.0, text.to_string_lossy()),
            Err(_) => format!("{:?}", error.0),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert!("gpu".parse::<Device>().is_err());
        assert!("cuda:x".parse::<Device>().is_err());
    }

    fn device(capability: (i32, i32), free_gibibytes: u64) -> CudaDevice {
        CudaDevice {
            name: "NVIDIA A100-SXM4-40GB".to_owned(),
            capability,
            free_bytes: free_gibibytes << 30,
            total_bytes: 40 << 30,
        }
    }

    fn refusal(cuda: &Cuda, asked: Device) -> String {
        cuda.check(asked).unwrap_err().render()
    }

    #[test]
    fn the_processor_is_always_there() {
        for cuda in [Cuda::NotBuiltIn, Cuda::NoDriver("none".to_owned())] {
            assert_eq!(cuda.check(Device::Cpu), Ok(()));
        }
    }

    #[test]
    fn a_fit_device_is_taken() {
        let cuda = Cuda::Devices(vec![device((8, 0), 39)]);
        assert_eq!(cuda.check(Device::Cuda(0)), Ok(()));
        assert_eq!(cuda.absence(), None);
        assert_eq!(cuda.check_memory(Device::Cuda(0), 100_000_000, 4), Ok(()));
    }

    #[test]
    fn what_is_missing_is_said_with_its_mend() {
        insta::assert_snapshot!(refusal(&Cuda::NotBuiltIn, Device::Cuda(1)), @r"
        error: device cuda:1: this build of homebench has no CUDA
        hint: run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed
        ");
        let no_driver = Cuda::NoDriver("CUDA_ERROR_STUB_LIBRARY".to_owned());
        insta::assert_snapshot!(refusal(&no_driver, Device::Cuda(0)), @r"
        error: device cuda:0: the CUDA driver gives no devices: CUDA_ERROR_STUB_LIBRARY
        hint: install NVIDIA's driver and check it with `nvidia-smi`, or run on the processor with `--device cpu`
        ");
        insta::assert_snapshot!(refusal(&Cuda::Devices(Vec::new()), Device::Cuda(0)), @r"
        error: device cuda:0: the CUDA driver sees no device
        hint: check CUDA_VISIBLE_DEVICES and `nvidia-smi`, or run on the processor with `--device cpu`
        ");
    }

    #[test]
    fn an_index_beyond_the_last_is_refused() {
        let one = Cuda::Devices(vec![device((8, 0), 39)]);
        insta::assert_snapshot!(refusal(&one, Device::Cuda(1)), @r"
        error: device cuda:1: no such device; this machine has cuda:0 alone
        hint: `homebench devices` lists what there is
        ");
        let four = Cuda::Devices(vec![device((8, 0), 39); 4]);
        insta::assert_snapshot!(refusal(&four, Device::Cuda(4)), @r"
        error: device cuda:4: no such device; this machine has cuda:0 to cuda:3
        hint: `homebench devices` lists what there is
        ");
    }

    #[test]
    fn a_device_that_is_too_old_or_full_is_refused() {
        let old = Cuda::Devices(vec![device((7, 5), 39)]);
        insta::assert_snapshot!(refusal(&old, Device::Cuda(0)), @r"
        error: device cuda:0: NVIDIA A100-SXM4-40GB has compute capability 7.5; the kernels need 8.0 or later
        hint: run on another device, or on the processor with `--device cpu`
        ");
        let full = Cuda::Devices(vec![device((8, 0), 0)]);
        insta::assert_snapshot!(refusal(&full, Device::Cuda(0)), @r"
        error: device cuda:0: NVIDIA A100-SXM4-40GB has 0.0 GiB of 40.0 GiB free; this needs 0.5 GiB at least
        hint: end what else runs there (`nvidia-smi` lists it), run fewer cells at once with `--jobs`, or use another device
        ");
        let cuda = Cuda::Devices(vec![device((8, 0), 39)]);
        let large = cuda.check_memory(Device::Cuda(0), 1_000_000_000, 4);
        insta::assert_snapshot!(large.unwrap_err().render(), @r"
        error: device cuda:0: NVIDIA A100-SXM4-40GB has 39.0 GiB of 40.0 GiB free; this needs 76.5 GiB at least
        hint: end what else runs there (`nvidia-smi` lists it), run fewer cells at once with `--jobs`, or use another device
        ");
    }
}
