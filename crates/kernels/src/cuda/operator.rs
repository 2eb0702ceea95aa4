//! Candle operators whose two passes are programs: as [`crate::operator`] for the processor.

use super::buffer::{Address, Buffer};
use super::machine::Machine;
use crate::operator::{Forward, Gradients, Handover};
use crate::rows::InputDims;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// An argument of a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub(super) address: Address,
    pub(super) dims: InputDims,
}

impl Input {
    fn new(address: Address, dims: &[usize]) -> Result<Self> {
        let dims = InputDims::of(dims)?;
        Ok(Self { address, dims })
    }

    fn of(tensor: &Tensor) -> Result<Self> {
        Self::new(Address::of(tensor)?, tensor.dims())
    }

    fn of_cpu(storage: &CpuStorage, layout: &Layout) -> Result<Self> {
        Self::new(Address::of_cpu(storage, layout)?, layout.dims())
    }

    fn of_cuda(storage: &CudaStorage, layout: &Layout) -> Result<Self> {
        Self::new(Address::of_cuda(storage, layout)?, layout.dims())
    }
}

/// Two arguments in, one result out, and back.
pub(super) trait Program: Send + Sync + 'static {
    const NAME: &'static str;

    /// What the forward pass keeps.
    type Kept: Send;

    fn forward(
        &self,
        machine: &Machine,
        first: Input,
        second: Input,
    ) -> Forward<Buffer, Self::Kept>;

    /// The gradients of both arguments from that of the result; adds those of parameters to their buffers.
    fn backward(
        &self,
        machine: &Machine,
        first: Input,
        second: Input,
        gradient: Address,
        kept: Self::Kept,
    ) -> Result<Gradients<Buffer>>;
}

/// A program on a machine.
struct ProgramOperator<P: Program> {
    machine: Machine,
    program: P,
    kept: Handover<P::Kept>,
}

/// As [`crate::operator::apply`], for a program.
pub(super) fn apply<P: Program>(
    machine: Machine,
    program: P,
    first: &Tensor,
    second: &Tensor,
    anchor: &Tensor,
) -> Result<Tensor> {
    let operator = ProgramOperator {
        machine,
        program,
        kept: Handover::new(),
    };
    first
        .contiguous()?
        .apply_op3(&second.contiguous()?, anchor, operator)
}

impl<P: Program> ProgramOperator<P> {
    fn forward(&self, first: Input, second: Input) -> Result<(Buffer, Shape)> {
        let (out, shape, kept) = self.program.forward(&self.machine, first, second)?;
        // Dropped with the operator where no backward pass comes.
        self.kept.put(kept);
        Ok((out, shape))
    }
}

impl<P: Program> CustomOp3 for ProgramOperator<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn cpu_fwd(
        &self,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let first = Input::of_cpu(first, first_layout)?;
        let second = Input::of_cpu(second, second_layout)?;
        let (out, shape) = self.forward(first, second)?;
        Ok((out.into_cpu()?, shape))
    }

    fn cuda_fwd(
        &self,
        first: &CudaStorage,
        first_layout: &Layout,
        second: &CudaStorage,
        second_layout: &Layout,
        _anchor: &CudaStorage,
        _anchor_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let first = Input::of_cuda(first, first_layout)?;
        let second = Input::of_cuda(second, second_layout)?;
        let (out, shape) = self.forward(first, second)?;
        Ok((out.into_cuda()?, shape))
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _anchor: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let kept = self.kept.take(P::NAME)?;
        let gradient = gradient.contiguous()?;
        let [of_first, of_second] = self.program.backward(
            &self.machine,
            Input::of(first)?,
            Input::of(second)?,
            Address::of(&gradient)?,
            kept,
        )?;
        Ok((
            of_first.map(|buffer| buffer.into_tensor(first.shape())),
            of_second.map(|buffer| buffer.into_tensor(second.shape())),
            None,
        ))
    }
}
