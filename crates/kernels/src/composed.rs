//! Small functions of candle's stock operators that the composed references share.
//!
//! On the processor in f32, products, exponentials and sums of rows are this crate's. candle's products follow the processor's caches, its
//! sums the width of its registers, and its exponentials the platform's library: the same experiment would have other bytes elsewhere.

use crate::parameter::{argument, values};
use crate::product::{Matrix, add_or_copy, multiply};
use crate::rows::{chunks, pieces, reduce_parts, split_mut, unspecified};
use crate::simd;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a product that one task makes, or that one chain sums.
const TASK_ROWS: usize = 64;

fn is_ours(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// `1 / (1 + e^-x)`, whose gradient stays finite where `e^-x` overflows.
///
/// # Errors
/// A tensor operation fails.
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    if is_ours(xs) {
        return xs.contiguous()?.apply_op1(Sigmoid);
    }
    // By the hyperbolic tangent, which doesn't overflow.
    ((xs * 0.5)?.tanh()? + 1.0)? * 0.5
}

/// `x sigmoid(x)`.
///
/// # Errors
/// A tensor operation fails.
pub fn silu(xs: &Tensor) -> Result<Tensor> {
    if is_ours(xs) {
        return xs * sigmoid(xs)?;
    }
    xs.silu()
}

/// Softmax over the last dimension.
///
/// # Errors
/// A tensor operation fails.
pub fn softmax(xs: &Tensor) -> Result<Tensor> {
    let largest = xs.max_keepdim(D::Minus1)?.detach();
    let distances = xs.broadcast_sub(&largest)?;
    let powers = match is_ours(xs) {
        true => distances.contiguous()?.apply_op1(Exponential)?,
        false => distances.exp()?,
    };
    let sums = sum_of_rows(&powers)?;
    powers / spread(&sums, xs.dim(D::Minus1)?)?
}

/// The sum over the last dimension, which stays as one of 1.
///
/// # Errors
/// A tensor operation fails.
pub fn sum_of_rows(xs: &Tensor) -> Result<Tensor> {
    if is_ours(xs) {
        return xs.contiguous()?.apply_op1(RowSum);
    }
    xs.sum_keepdim(D::Minus1)
}

/// The mean over the last dimension, which stays as one of 1.
pub(crate) fn mean_of_rows(xs: &Tensor) -> Result<Tensor> {
    sum_of_rows(xs)? / xs.dim(D::Minus1)? as f64
}

/// Repeats a last dimension of 1 `width` times, so that no gradient is summed by candle.
///
/// # Errors
/// A tensor operation fails.
pub fn spread(xs: &Tensor, width: usize) -> Result<Tensor> {
    if is_ours(xs) {
        return xs.contiguous()?.apply_op1(Spread(width));
    }
    let mut dims = xs.dims().to_vec();
    dims[xs.rank() - 1] = width;
    xs.broadcast_as(dims)
}

/// `left right` of two matrices, or of each of two batches of as many: [.., rows, terms] by [.., terms, columns].
///
/// # Errors
/// Factors that don't meet.
pub fn matmul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    if is_ours(left) {
        return left
            .contiguous()?
            .apply_op2(&right.contiguous()?, MatrixProduct);
    }
    left.matmul(right)
}

/// A function of each number on its own, from its argument.
fn map(
    storage: &CpuStorage,
    layout: &Layout,
    of: impl Fn(f32) -> f32,
) -> Result<(CpuStorage, Shape)> {
    let xs = argument(storage, layout)?;
    let out = xs.iter().map(|x| of(*x)).collect();
    Ok((CpuStorage::F32(out), layout.shape().clone()))
}

struct Sigmoid;

impl CustomOp1 for Sigmoid {
    fn name(&self) -> &'static str {
        "sigmoid"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        map(storage, layout, simd::sigmoid)
    }

    fn bwd(&self, _xs: &Tensor, ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let slope = (ys - ys.sqr()?)?;
        Ok(Some((gradient * slope)?))
    }
}

struct Exponential;

impl CustomOp1 for Exponential {
    fn name(&self) -> &'static str {
        "exponential"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        map(storage, layout, simd::exp)
    }

    fn bwd(&self, _xs: &Tensor, ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((gradient * ys)?))
    }
}

struct RowSum;

impl CustomOp1 for RowSum {
    fn name(&self) -> &'static str {
        "row-sum"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = argument(storage, layout)?;
        let mut dims = layout.dims().to_vec();
        let width = dims.pop().unwrap_or(1);
        // Rows of no numbers have a sum too.
        let mut sums = vec![0f32; dims.iter().product()];
        if width > 0 {
            for (sum, row) in sums.iter_mut().zip(xs.chunks_exact(width)) {
                for value in row {
                    *sum += value;
                }
            }
        }
        dims.push(1);
        Ok((CpuStorage::F32(sums), dims.into()))
    }

    fn bwd(&self, xs: &Tensor, _sums: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(spread(gradient, xs.dim(D::Minus1)?)?))
    }
}

struct Spread(usize);

impl CustomOp1 for Spread {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = argument(storage, layout)?;
        let mut dims = layout.dims().to_vec();
        if dims.pop() != Some(1) {
            candle_core::bail!("expected a last dimension of 1, found {:?}", layout.dims());
        }
        let out = xs.iter().flat_map(|x| std::iter::repeat_n(*x, self.0));
        let out = CpuStorage::F32(out.collect());
        dims.push(self.0);
        Ok((out, dims.into()))
    }

    fn bwd(&self, _xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(sum_of_rows(gradient)?))
    }
}

/// Sizes of a batch of matrices, without gaps.
#[derive(Clone, Copy)]
struct Batch {
    count: usize,
    rows: usize,
    columns: usize,
}

impl Batch {
    fn of(dims: &[usize]) -> Result<Self> {
        let [batch @ .., rows, columns] = dims else {
            candle_core::bail!("expected matrices, found {dims:?}");
        };
        Ok(Self {
            count: batch.iter().product(),
            rows: *rows,
            columns: *columns,
        })
    }

    fn matrix<'a>(&self, data: &'a [f32], index: usize, is_transposed: bool) -> Matrix<'a> {
        let size = self.rows * self.columns;
        let data = &data[index * size..(index + 1) * size];
        let matrix = Matrix::new(data, self.rows, self.columns);
        if is_transposed {
            matrix.transposed()
        } else {
            matrix
        }
    }
}

/// One factor of a batch of products.
#[derive(Clone, Copy)]
struct Factor<'a> {
    data: &'a [f32],
    batch: Batch,
    is_transposed: bool,
}

impl<'a> Factor<'a> {
    fn matrix(&self, index: usize) -> Matrix<'a> {
        (self.batch).matrix(self.data, index, self.is_transposed)
    }

    fn sizes(&self) -> (usize, usize) {
        match self.is_transposed {
            true => (self.batch.columns, self.batch.rows),
            false => (self.batch.rows, self.batch.columns),
        }
    }
}

/// Each left matrix times each right one. Rows of the results share nothing, so they are made in any order.
fn products(left: Factor<'_>, right: Factor<'_>) -> Vec<f32> {
    let ((rows, _), (_, columns)) = (left.sizes(), right.sizes());
    let parts: Vec<Range<usize>> = pieces(0..rows, TASK_ROWS).collect();
    let mut out = unspecified(left.batch.count * rows * columns);
    split_mut(&mut out, columns, &parts)
        .into_par_iter()
        .enumerate()
        .for_each(|(task, out)| {
            let (index, part) = (task / parts.len(), &parts[task % parts.len()]);
            let left = left.matrix(index).rows(part.clone());
            multiply(out, columns, left, right.matrix(index), false);
        });
    out
}

/// Each left matrix transposed times each right one. Sums are over rows, so many that one chain of all would lose digits: chains of
/// [`TASK_ROWS`] rows are added in order.
fn products_over_rows(left: Factor<'_>, right: Factor<'_>) -> Vec<f32> {
    let parts = chunks(left.batch.rows);
    let columns = right.batch.columns;
    let size = left.batch.columns * columns;
    let mut out = unspecified(left.batch.count * size);
    if size == 0 {
        return out;
    }
    let mut sums = unspecified(left.batch.count * parts.len() * size);
    sums.par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(task, sums)| {
            let (index, part) = (task / parts.len(), &parts[task % parts.len()]);
            let mut chain = unspecified(size);
            for rows in pieces(part.clone(), TASK_ROWS) {
                let is_first = rows.start == part.start;
                let left = left.matrix(index).rows(rows.clone()).transposed();
                let right = right.matrix(index).rows(rows);
                multiply(&mut chain, columns, left, right, false);
                add_or_copy(sums, &chain, !is_first);
            }
        });
    let of_each = sums.chunks_exact(parts.len() * size);
    for (out, sums) in out.chunks_exact_mut(size).zip(of_each) {
        reduce_parts(out, sums, false);
    }
    out
}

struct MatrixProduct;

impl CustomOp2 for MatrixProduct {
    fn name(&self) -> &'static str {
        "matrix-product"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (of_left, of_right) = (
            Batch::of(left_layout.dims())?,
            Batch::of(right_layout.dims())?,
        );
        if of_left.count != of_right.count || of_left.columns != of_right.rows {
            candle_core::bail!(
                "products of {:?} by {:?} don't fit",
                left_layout.dims(),
                right_layout.dims()
            );
        }
        let factor = |data, batch| Factor {
            data,
            batch,
            is_transposed: false,
        };
        let out = products(
            factor(argument(left, left_layout)?, of_left),
            factor(argument(right, right_layout)?, of_right),
        );
        let mut dims = left_layout.dims().to_vec();
        dims[left_layout.dims().len() - 1] = of_right.columns;
        Ok((CpuStorage::F32(out), dims.into()))
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (of_left, of_right) = (values(left)?, values(right)?);
        let of_gradient = values(&gradient)?;
        let factor = |data, dims, is_transposed| -> Result<Factor<'_>> {
            Ok(Factor {
                data,
                batch: Batch::of(dims)?,
                is_transposed,
            })
        };
        let of_gradient = factor(&of_gradient, gradient.dims(), false)?;
        let left_gradient = products(of_gradient, factor(&of_right, right.dims(), true)?);
        let right_gradient = products_over_rows(factor(&of_left, left.dims(), false)?, of_gradient);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            Some(tensor(left_gradient, left)?),
            Some(tensor(right_gradient, right)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Values and gradients of the stock operators in f64, and of these in f32.
    #[test]
    fn products_and_exponentials_have_the_values_and_gradients_of_the_stock_operators() {
        let numbers = |count: usize, dims: (usize, usize, usize)| {
            let values: Vec<f64> = (0..count)
                .map(|at| ((at * 37) % 101) as f64 / 25.0 - 2.0)
                .collect();
            Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
        };
        let (left, right) = (
            numbers(2 * 70 * 5, (2, 70, 5)),
            numbers(2 * 5 * 3, (2, 5, 3)),
        );
        let run = |dtype| {
            let left = Var::from_tensor(&left.to_dtype(dtype).unwrap()).unwrap();
            let right = Var::from_tensor(&right.to_dtype(dtype).unwrap()).unwrap();
            let product = matmul(&left, &right).unwrap();
            let mean = spread(&mean_of_rows(&product).unwrap(), 3).unwrap();
            let out = (softmax(&product).unwrap() * silu(&product).unwrap()).unwrap();
            let out = (out * mean).unwrap();
            let gradients = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let of = |tensor: &Tensor| -> Vec<f64> {
                let flat = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
                flat.to_vec1().unwrap()
            };
            [
                of(&out),
                of(gradients.get(&left).unwrap()),
                of(gradients.get(&right).unwrap()),
            ]
        };
        for (ours, stock) in run(DType::F32).iter().zip(run(DType::F64)) {
            let largest = stock.iter().fold(0f64, |most, value| most.max(value.abs()));
            assert_eq!(ours.len(), stock.len());
            for (ours, stock) in ours.iter().zip(&stock) {
                assert!((ours - stock).abs() < 1e-6 * largest, "{ours} {stock}");
            }
        }
    }
}
