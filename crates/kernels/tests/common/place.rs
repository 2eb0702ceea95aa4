//! Where tests run: `HOMEBENCH_TEST_DEVICE` is `cuda:<index>` for a CUDA device, `host` for the CUDA path on the processor, and
//! otherwise the processor.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary takes its part of this module"
)]

use candle_core::Device;
use homebench_kernels::cuda::{Order, on_host};
use homebench_kernels_on_host::{Argument, launch};
use std::cell::Cell;
use std::sync::OnceLock;

/// What `HOMEBENCH_TEST_DEVICE` says.
pub fn asked_for() -> String {
    std::env::var("HOMEBENCH_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned())
}

/// Where tensors of tests are.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE
        .get_or_init(|| match asked_for().strip_prefix("cuda") {
            None => Device::Cpu,
            Some(index) => {
                let index = index.trim_start_matches(':').parse().unwrap_or(0);
                // One stream for all tests: each runs on a thread of its own.
                Device::new_cuda_with_stream(index)
                    .expect("HOMEBENCH_TEST_DEVICE names a device that is there")
            }
        })
        .clone()
}

/// The CUDA kernels, compiled for the processor.
pub fn kernels(
    name: &str,
    sizes: [u32; 6],
    arguments: &[(*const u64, usize)],
    descending: bool,
) -> Result<(), String> {
    let arguments: Vec<Argument> = arguments
        .iter()
        .map(|(data, size)| Argument {
            data: data.cast(),
            size: *size,
        })
        .collect();
    // SAFETY: programs give good addresses; that is what is tested.
    unsafe { launch(name, sizes, &arguments, descending) }
}

/// Runs `work` where `HOMEBENCH_TEST_DEVICE` says.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match asked_for().as_str() {
        "host" => on_host(kernels, Order::Ascending, work),
        _ => work(),
    }
}

thread_local! {
    static STANDS_IN: Cell<bool> = const { Cell::new(false) };
}

/// Whether what runs now goes by the CUDA path.
pub fn is_cuda_path() -> bool {
    STANDS_IN.get() || !device().is_cpu()
}

/// Runs `work` on the processor and, by the CUDA path, on the processor in its place, threads and blocks in either order; or
/// on the CUDA device that `HOMEBENCH_TEST_DEVICE` names.
pub fn everywhere(work: impl Fn()) {
    if !device().is_cpu() {
        return work();
    }
    if asked_for() != "host" {
        work();
    }
    STANDS_IN.set(true);
    for order in [Order::Ascending, Order::Descending] {
        on_host(kernels, order, &work);
    }
    STANDS_IN.set(false);
}
