//! The path of CUDA devices: kernels in CUDA C++ (`kernels/*.cu`), products by cuBLAS, and every operator as a program of
//! launches over buffers that stay on the device.
//!
//! A program says nothing of where it runs: a machine does its launches and products. One machine is a CUDA device; the
//! other is this processor, with the same kernel source compiled by a C++ compiler and run block by block, so that programs
//! and kernels are tested where there is no GPU.

mod ahead;
mod arguments;
mod buffer;
mod copies;
#[cfg(feature = "cuda")]
mod device;
mod embedding;
mod feature_gate;
mod gate_logits;
mod host;
mod loss;
mod machine;
mod mix;
mod mixture;
mod operator;
mod optimizer;
mod product;
mod sparse;
mod stacked_mlp;
mod sums;
#[cfg(feature = "cuda")]
mod upload;

pub(crate) use ahead::BatchAddresses;
pub(crate) use buffer::{Address, Buffer};
pub(crate) use copies::{add_values, copy_columns};
pub(crate) use embedding::{Gather, dropout};
pub(crate) use feature_gate::forward as feature_gates;
pub(crate) use gate_logits::forward as gate_logits;
pub(crate) use loss::forward as binary_cross_entropy;
pub(crate) use machine::{Machine, is_on_processor};
pub(crate) use mix::forward as mix;
pub(crate) use mixture::{MixtureParts, forward as mixture};
pub(crate) use optimizer::{TensorAddresses, clip, set_norms, update};
pub(crate) use sparse::{Grouped, Occurrence, TableAddresses, group, update_tables};
pub(crate) use stacked_mlp::forward as stacked_mlp;

pub use ahead::{BatchParts, CopiedBatch};
pub use host::{HostKernels, Order, on_host};
pub use machine::is_deferred;
