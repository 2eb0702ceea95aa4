//! Candle operators whose two passes are programs.

use super::buffer::{Address, Buffer};
use super::machine::Machine;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// An argument of a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) address: Address,
    pub(super) dims: &'a [usize],
}

impl<'a> Input<'a> {
    fn of(tensor: &'a Tensor) -> Result<Self> {
        Ok(Self {
            address: Address::of(tensor)?,
            dims: tensor.dims(),
        })
    }

    fn of_cpu(storage: &CpuStorage, layout: &'a Layout) -> Result<Self> {
        Ok(Self {
            address: Address::of_cpu(storage, layout)?,
            dims: layout.dims(),
        })
    }

    fn of_cuda(storage: &CudaStorage, layout: &'a Layout) -> Result<Self> {
        Ok(Self {
            address: Address::of_cuda(storage, layout)?,
            dims: layout.dims(),
        })
    }

    pub(super) fn num_elements(&self) -> usize {
        self.dims.iter().product()
    }
}

/// The gradients of two arguments, where they have any.
pub(super) type Gradients = [Option<Buffer>; 2];

/// Two arguments in, one result out, and back.
pub(super) trait Program: Send + Sync {
    fn name(&self) -> &'static str;

    fn forward(
        &self,
        machine: &Machine,
        first: Input<'_>,
        second: Input<'_>,
    ) -> Result<(Buffer, Shape)>;

    /// The gradients of both arguments from that of the result; adds those of parameters to their buffers.
    fn backward(
        &self,
        machine: &Machine,
        first: Input<'_>,
        second: Input<'_>,
        gradient: Address,
    ) -> Result<Gradients>;
}

/// A program on a machine.
struct Operator<P> {
    machine: Machine,
    program: P,
}

/// Applies a program to two tensors, which may be one. A variable as `anchor` makes candle call the backward pass although
/// neither may need a gradient.
pub(super) fn apply<P: Program + 'static>(
    machine: Machine,
    program: P,
    first: &Tensor,
    second: &Tensor,
    anchor: &Tensor,
) -> Result<Tensor> {
    let operator = Operator { machine, program };
    first
        .contiguous()?
        .apply_op3(&second.contiguous()?, anchor, operator)
}

impl<P: Program> CustomOp3 for Operator<P> {
    fn name(&self) -> &'static str {
        self.program.name()
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
        let (out, shape) = self.program.forward(&self.machine, first, second)?;
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
        let (out, shape) = self.program.forward(&self.machine, first, second)?;
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
        let gradient = gradient.contiguous()?;
        let [of_first, of_second] = self.program.backward(
            &self.machine,
            Input::of(first)?,
            Input::of(second)?,
            Address::of(&gradient)?,
        )?;
        Ok((
            of_first.map(|buffer| buffer.into_tensor(first.shape())),
            of_second.map(|buffer| buffer.into_tensor(second.shape())),
            None,
        ))
    }
}
