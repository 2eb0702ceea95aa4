//! Binary cross-entropy as a program: two launches, and nothing is read back.

use super::arguments::Arguments;
use super::buffer::{Address, Buffer};
use super::machine::{Grid, LIST_THREADS, Machine};
use crate::loss::Targets;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};
use std::sync::{Mutex, PoisonError};

/// Elements of one block.
const BLOCK_ELEMENTS: usize = 1024;

pub(crate) fn forward(machine: Machine, logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    let operator = Operator {
        machine,
        targets: targets.clone(),
        slopes: Mutex::default(),
    };
    logits.contiguous()?.apply_op1(operator)
}

struct Operator {
    machine: Machine,
    targets: Targets,
    slopes: Mutex<Option<Buffer>>,
}

impl Operator {
    fn forward(&self, logits: Address, dims: &[usize]) -> Result<Buffer> {
        let (machine, device) = (&self.machine, self.machine.device());
        let count: usize = dims.iter().product();
        let num_tasks = dims[1];
        let mut labels = Buffer::of_floats(device, &self.targets.labels)?;
        let mut factors = Buffer::of_floats(device, &self.targets.factors(num_tasks))?;
        let positive = self.targets.positive_weights.as_ref();
        let mut positive = positive
            .map(|weights| Buffer::of_floats(device, weights))
            .transpose()?;
        let of_positive = positive.as_mut().map(Buffer::address).transpose()?;
        let mut slopes = machine.unspecified(count)?;
        let num_blocks = count.div_ceil(BLOCK_ELEMENTS);
        // Of doubles.
        let mut parts = machine.unspecified(2 * num_blocks)?;
        machine.launch(
            "loss_parts",
            Grid {
                blocks: [num_blocks, 1, 1],
                threads: [LIST_THREADS, 1],
            },
            &Arguments::new()
                .pointer(logits)
                .pointer(labels.address()?)
                .pointer(factors.address()?)
                .pointer(of_positive.unwrap_or(Address::NULL))
                .pointer(slopes.address()?)
                .pointer(parts.address()?)
                .int(count)
                .int(num_tasks)
                .int(BLOCK_ELEMENTS),
        )?;
        let mut loss = machine.unspecified(1)?;
        machine.launch(
            "loss_total",
            Grid {
                blocks: [1, 1, 1],
                threads: [32, 1],
            },
            &Arguments::new()
                .pointer(parts.address()?)
                .pointer(loss.address()?)
                .int(num_blocks),
        )?;
        *self.slopes.lock().unwrap_or_else(PoisonError::into_inner) = Some(slopes);
        Ok(loss)
    }
}

impl CustomOp1 for Operator {
    fn name(&self) -> &'static str {
        "binary-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let loss = self.forward(Address::of_cpu(storage, layout)?, layout.dims())?;
        Ok((loss.into_cpu()?, Shape::from(())))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let loss = self.forward(Address::of_cuda(storage, layout)?, layout.dims())?;
        Ok((loss.into_cuda()?, Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut slopes = self.slopes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slopes) = slopes.as_mut() else {
            candle_core::bail!("binary-cross-entropy: a backward pass needs a forward pass");
        };
        let gradient = gradient.contiguous()?;
        let mut out = self.machine.unspecified(slopes.len())?;
        self.machine.launch(
            "scale_by",
            Grid::list(slopes.len()),
            &Arguments::new()
                .pointer(slopes.address()?)
                .pointer(Address::of(&gradient)?)
                .pointer(out.address()?)
                .int(slopes.len()),
        )?;
        Ok(Some(out.into_tensor(logits.shape())))
    }
}
