//! Operators of candle's graph on the processor whose two passes are functions of slices. What candle asks of each is written here.

use crate::parameter::{Values, argument, values};
use crate::saved::{Saved, gradient_of};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// Contiguous values, row-major.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) dims: &'a [usize],
}

impl Argument<'_> {
    /// Its dimensions, so many as are asked for.
    pub(crate) fn sizes<const D: usize>(&self) -> Result<[usize; D]> {
        match self.dims.try_into() {
            Ok(sizes) => Ok(sizes),
            Err(_) => candle_core::bail!("expected {D} dimensions, found {:?}", self.dims),
        }
    }
}

/// What a forward pass gives.
pub(crate) struct Output<K> {
    pub(crate) values: Vec<f32>,
    pub(crate) shape: Shape,
    /// What a backward pass needs; nothing where none may follow.
    pub(crate) kept: Option<K>,
}

impl<K> Output<K> {
    pub(crate) fn new(values: Vec<f32>, shape: impl Into<Shape>, kept: K) -> Self {
        Self {
            values,
            shape: shape.into(),
            kept: Some(kept),
        }
    }
}

/// What a backward pass has beside the arguments.
pub(crate) struct Arrived<'a, K> {
    /// The result's gradient, as many values as it has.
    pub(crate) gradient: &'a [f32],
    pub(crate) result: &'a [f32],
    pub(crate) kept: K,
}

impl Arrived<'_, Vec<f32>> {
    /// The gradient of an argument whose slopes were kept, where the result is one number.
    pub(crate) fn scaled_slopes(self) -> Vec<f32> {
        scaled(self.kept, self.gradient[0])
    }
}

/// Slopes times the gradient of the one number that they are slopes of.
pub(crate) fn scaled(mut slopes: Vec<f32>, gradient: f32) -> Vec<f32> {
    slopes.iter_mut().for_each(|slope| *slope *= gradient);
    slopes
}

/// The gradients of the arguments, where they have any.
pub(crate) type Gradients<const N: usize> = [Option<Vec<f32>>; N];

/// `N` arguments in, one result out, and back.
///
/// An operator that holds parameters takes one of them as its last argument, which it doesn't read: with a variable among the arguments
/// candle calls the backward pass although no other may need a gradient.
pub(crate) trait Fused<const N: usize>: Send + Sync + 'static {
    const NAME: &'static str;

    /// What the forward pass leaves for the backward pass.
    type Kept: Clone + Send;

    fn forward(&self, arguments: [Argument<'_>; N]) -> Result<Output<Self::Kept>>;

    /// The gradients of the arguments; adds those of parameters to their buffers.
    fn backward(
        &self,
        arguments: [Argument<'_>; N],
        arrived: Arrived<'_, Self::Kept>,
    ) -> Result<Gradients<N>>;
}

/// Applies an operator of one argument.
pub(crate) fn apply_1<F: Fused<1>>(passes: F, xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Operator::new(passes))
}

/// Applies an operator of two arguments.
pub(crate) fn apply_2<F: Fused<2>>(passes: F, first: &Tensor, second: &Tensor) -> Result<Tensor> {
    first
        .contiguous()?
        .apply_op2(&second.contiguous()?, Operator::new(passes))
}

/// Applies an operator of three arguments.
pub(crate) fn apply_3<F: Fused<3>>(
    passes: F,
    first: &Tensor,
    second: &Tensor,
    third: &Tensor,
) -> Result<Tensor> {
    first.contiguous()?.apply_op3(
        &second.contiguous()?,
        &third.contiguous()?,
        Operator::new(passes),
    )
}

struct Operator<F: Fused<N>, const N: usize> {
    passes: F,
    kept: Saved<F::Kept>,
}

impl<F: Fused<N>, const N: usize> Operator<F, N> {
    fn new(passes: F) -> Self {
        Self {
            passes,
            kept: Saved::default(),
        }
    }

    fn forward(&self, arguments: [(&CpuStorage, &Layout); N]) -> Result<(CpuStorage, Shape)> {
        let mut found = [Argument {
            values: &[],
            dims: &[],
        }; N];
        for (found, (storage, layout)) in found.iter_mut().zip(arguments) {
            *found = Argument {
                values: argument(storage, layout)?,
                dims: layout.dims(),
            };
        }
        let Output {
            values,
            shape,
            kept,
        } = self.passes.forward(found)?;
        if let Some(kept) = kept {
            self.kept.put(kept);
        }
        Ok((CpuStorage::F32(values), shape))
    }

    fn backward(
        &self,
        arguments: [&Tensor; N],
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let kept = self.kept.take(F::NAME)?;
        let gradient = gradient.contiguous()?;
        // Locks for reading: a tensor that is several arguments is locked as often, which readers may do.
        let locks = arguments.iter().map(|tensor| values(tensor));
        let locks = locks.collect::<Result<Vec<Values<'_>>>>()?;
        let read = std::array::from_fn(|place| Argument {
            values: &locks[place],
            dims: arguments[place].dims(),
        });
        let arrived = Arrived {
            gradient: &values(&gradient)?,
            result: &values(result)?,
            kept,
        };
        let found = self.passes.backward(read, arrived)?;
        let mut gradients = [const { None }; N];
        for ((tensor, found), like) in gradients.iter_mut().zip(found).zip(arguments) {
            *tensor = gradient_of(like, found)?;
        }
        Ok(gradients)
    }
}

impl<F: Fused<1>> CustomOp1 for Operator<F, 1> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward([(storage, layout)])
    }

    fn bwd(&self, xs: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [of_xs] = self.backward([xs], result, gradient)?;
        Ok(of_xs)
    }
}

impl<F: Fused<2>> CustomOp2 for Operator<F, 2> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward([(first, first_layout), (second, second_layout)])
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(self.backward([first, second], result, gradient)?.into())
    }
}

impl<F: Fused<3>> CustomOp3 for Operator<F, 3> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
        third: &CpuStorage,
        third_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward([
            (first, first_layout),
            (second, second_layout),
            (third, third_layout),
        ])
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(self
            .backward([first, second, third], result, gradient)?
            .into())
    }
}
