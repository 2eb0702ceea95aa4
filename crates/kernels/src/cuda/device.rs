//! A CUDA device: the kernels as PTX, which the driver compiles for the device when they are first used, and cuBLAS.

use super::arguments::Arguments;
use super::machine::Grid;
use super::product::{Factor, Product};
use crate::precision::{Precision, precision};
use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::cublas::{result, sys};
use candle_core::cuda::cudarc::driver::{LaunchConfig, PushKernelArg};
use candle_core::{CudaDevice, Result};

/// The kernels, compiled by the build script.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
/// What candle keeps the loaded module under.
const MODULE: &str = "homebench-kernels";

#[derive(Debug)]
pub(super) struct CudaMachine {
    device: CudaDevice,
}

impl CudaMachine {
    pub(super) fn new(device: CudaDevice) -> Self {
        Self { device }
    }

    pub(super) fn launch(&self, kernel: &str, grid: Grid, arguments: &Arguments) -> Result<()> {
        let function = self.device.get_or_load_custom_func(kernel, MODULE, PTX)?;
        let mut launch = function.builder();
        for (word, _) in arguments.places() {
            // The driver reads as many bytes from here as the kernel's parameter has.
            launch.arg(word);
        }
        let [x, y, z] = grid.blocks.map(|count| count as u32);
        let [columns, rows] = grid.threads.map(|count| count as u32);
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (columns, rows, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: number and sizes of the arguments are those of the kernel, which the tests on the processor check, and
        // programs keep what addresses point to until later work on the same stream can no longer need it.
        unsafe { launch.launch(config) }.w()?;
        Ok(())
    }

    pub(super) fn multiply(&self, product: &Product) -> Result<()> {
        let compute_type = match precision() {
            Precision::F32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
            Precision::Bf16x3 => unreachable!("refused for CUDA devices"),
        };
        let operation = |factor: Factor| match factor.transposed {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let (one, zero) = (1f32, 0f32);
        let beta = if product.add { &one } else { &zero };
        let blas = self.device.cublas_handle();
        let Product {
            left, right, out, ..
        } = *product;
        // cuBLAS takes columns for rows, so that it sees every matrix transposed: out^T = right^T left^T.
        // SAFETY: programs give addresses that hold every element; alpha and beta outlive the call.
        unsafe {
            result::gemm_strided_batched_ex(
                *blas.handle(),
                operation(right),
                operation(left),
                product.columns as i32,
                product.rows as i32,
                product.depth as i32,
                (&raw const one).cast(),
                right.address.raw() as *const _,
                sys::cudaDataType_t::CUDA_R_32F,
                right.stride as i32,
                right.step as i64,
                left.address.raw() as *const _,
                sys::cudaDataType_t::CUDA_R_32F,
                left.stride as i32,
                left.step as i64,
                std::ptr::from_ref(beta).cast(),
                out.address.raw() as *mut _,
                sys::cudaDataType_t::CUDA_R_32F,
                out.stride as i32,
                out.step as i64,
                product.batch as i32,
                compute_type,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .w()?;
        Ok(())
    }
}
