//! Candle operators whose two passes are functions of slices: what every fused operator on the processor shares.

use crate::parameter::{argument, values};
use crate::rows::InputDims;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Mutex, PoisonError};

/// Contiguous values, [inputs, rows, width].
#[derive(Clone, Copy)]
pub(crate) struct Argument<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) dims: InputDims,
}

/// What a forward pass gives: the result, its shape and, where a backward pass may follow, what that needs.
pub(crate) type Forward<T, K> = Result<(T, Shape, Option<K>)>;

/// The gradients of two arguments, where they have any.
pub(crate) type Gradients<T> = [Option<T>; 2];

/// Two arguments in, one result out, and back.
pub(crate) trait Fused: Send + Sync + 'static {
    const NAME: &'static str;

    /// What the forward pass keeps.
    type Kept: Send;

    fn forward(&self, first: Argument<'_>, second: Argument<'_>) -> Forward<Vec<f32>, Self::Kept>;

    /// The gradients of both arguments from that of the result; adds those of parameters to their buffers.
    fn backward(
        &self,
        first: Argument<'_>,
        second: Argument<'_>,
        gradient: &[f32],
        kept: Self::Kept,
    ) -> Result<Gradients<Vec<f32>>>;
}

/// From a forward pass to the one backward pass that may follow it.
pub(crate) struct Handover<K>(Mutex<Option<K>>);

impl<K> Handover<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn put(&self, kept: Option<K>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// Takes it, so that the memory is free as soon as the backward pass is done with it and not when the graph is dropped.
    pub(crate) fn take(&self, operator: &str) -> Result<K> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept {
            Some(kept) => Ok(kept),
            None => candle_core::bail!(
                "{operator}: a backward pass needs a forward pass in training, one of its own"
            ),
        }
    }
}

/// Candle asks for an operator by the number of its arguments. All are of three: an operator of one argument has it twice, and
/// the last is the anchor of [`apply`].
struct FusedOperator<F: Fused> {
    passes: F,
    kept: Handover<F::Kept>,
}

/// Applies an operator to two tensors, which may be one. A variable as `anchor` makes candle call the backward pass although
/// neither may need a gradient: parameters that the operator holds do.
pub(crate) fn apply<F: Fused>(
    passes: F,
    first: &Tensor,
    second: &Tensor,
    anchor: &Tensor,
) -> Result<Tensor> {
    let operator = FusedOperator {
        passes,
        kept: Handover::new(),
    };
    first
        .contiguous()?
        .apply_op3(&second.contiguous()?, anchor, operator)
}

impl<F: Fused> CustomOp3 for FusedOperator<F> {
    fn name(&self) -> &'static str {
        F::NAME
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
        let first = argument(first, first_layout)?;
        let second = argument(second, second_layout)?;
        let (out, shape, kept) = self.passes.forward(first, second)?;
        self.kept.put(kept);
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _anchor: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let kept = self.kept.take(F::NAME)?;
        let gradient = gradient.contiguous()?;
        // Locks for reading: a tensor that is both arguments is locked twice, which readers may do.
        let (first_values, second_values) = (values(first)?, values(second)?);
        let [of_first, of_second] = self.passes.backward(
            Argument {
                values: &first_values,
                dims: InputDims::of(first.dims())?,
            },
            Argument {
                values: &second_values,
                dims: InputDims::of(second.dims())?,
            },
            &values(&gradient)?,
            kept,
        )?;
        let like = |values: Option<Vec<f32>>, tensor: &Tensor| {
            values
                .map(|values| Tensor::from_vec(values, tensor.shape(), tensor.device()))
                .transpose()
        };
        Ok((like(of_first, first)?, like(of_second, second)?, None))
    }
}
