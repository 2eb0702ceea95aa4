//! The processor in place of a CUDA device: kernels compiled for it, products by the same library as everywhere.

use super::arguments::Arguments;
use super::machine::{Grid, Machine};
use super::product::{Factor, Product};
use crate::precision::precision;
use candle_core::Result;
use std::cell::RefCell;

/// In which order threads and blocks run. What a kernel computes must not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first thread of the first block first.
    Ascending,
    /// The last thread of the last block first.
    Descending,
}

/// Runs a kernel of a name over blocks x, y, z of threads x, y, z, with the address and size of every argument.
///
/// The third argument is whether to run in descending order. What would be undefined on a device is an error.
pub type HostKernels =
    fn(&str, [u32; 6], &[(*const u64, usize)], bool) -> std::result::Result<(), String>;

#[derive(Debug, Clone, Copy)]
pub(super) struct HostMachine {
    kernels: HostKernels,
    order: Order,
}

thread_local! {
    static CURRENT: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// The machine that stands in on this thread, if one does.
pub(super) fn current() -> Option<Machine> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `work` with every fused operator of this thread going the way of CUDA devices, on the processor: for tests.
#[doc(hidden)]
pub fn on_host<T>(kernels: HostKernels, order: Order, work: impl FnOnce() -> T) -> T {
    /// Puts the machine from before back, also after a panic.
    struct Restore(Option<Machine>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let machine = Machine::host(HostMachine { kernels, order });
    let _restore = Restore(CURRENT.replace(Some(machine)));
    work()
}

impl HostMachine {
    pub(super) fn launch(&self, kernel: &str, grid: Grid, arguments: &Arguments) -> Result<()> {
        let [x, y, z] = grid.blocks.map(|count| count as u32);
        let [columns, rows] = grid.threads.map(|count| count as u32);
        let places: Vec<(*const u64, usize)> = arguments
            .places()
            .map(|(word, bytes)| (std::ptr::from_ref(word), bytes))
            .collect();
        let sizes = [x, y, z, columns, rows, 1];
        let ran = (self.kernels)(kernel, sizes, &places, self.order == Order::Descending);
        ran.map_err(candle_core::Error::Msg)
    }

    /// Factors are rounded as a device would.
    pub(super) fn multiply(&self, product: &Product) {
        for index in 0..product.batch {
            let left = rounded(product.left, product.rows, product.depth, index);
            let right = rounded(product.right, product.depth, product.columns, index);
            let start = product.out.address.offset(index * product.out.step);
            // SAFETY: programs give addresses that hold every element of a product, as devices need it too.
            unsafe {
                gemm::gemm(
                    product.rows,
                    product.columns,
                    product.depth,
                    start.raw() as *mut f32,
                    1,
                    product.out.stride as isize,
                    product.add,
                    left.as_ptr(),
                    1,
                    product.depth as isize,
                    right.as_ptr(),
                    1,
                    product.columns as isize,
                    if product.add { 1.0 } else { 0.0 },
                    1.0,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        }
    }
}

/// A copy of one factor of a batch, [rows, columns] without gaps.
fn rounded(factor: Factor, rows: usize, columns: usize, index: usize) -> Vec<f32> {
    let start = factor.address.offset(index * factor.step).raw() as *const f32;
    let precision = precision();
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let at = match factor.transposed {
                true => column * factor.stride + row,
                false => row * factor.stride + column,
            };
            // SAFETY: as in `multiply`.
            values.push(precision.round(unsafe { start.add(at).read() }));
        }
    }
    values
}
