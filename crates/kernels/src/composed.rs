//! Small functions of candle's stock operators that the composed references share.
//!
//! On the processor in f32, products, exponentials and sums of rows are this crate's. candle's products follow the processor's caches, its
//! sums the width of its registers, and its exponentials the platform's library: the same experiment would have other bytes elsewhere.

use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1, apply_2};
use crate::product::{Matrix, add_or_copy, multiply};
use crate::rows::{chunks, pieces, reduce_parts, split_mut, unspecified};
use crate::simd;
use candle_core::{D, DType, Result, Tensor};
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
        return apply_1(Sigmoid, xs);
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
        true => apply_1(Exponential, &distances)?,
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
        return apply_1(RowSum, xs);
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
        return apply_1(Spread(width), xs);
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
        return apply_2(MatrixProduct, left, right);
    }
    left.matmul(right)
}

/// A function of each number on its own, from its argument.
fn map(xs: Argument<'_>, of: impl Fn(f32) -> f32) -> Output<()> {
    Output::new(xs.values.iter().map(|x| of(*x)).collect(), xs.dims, ())
}

/// Each gradient times what its result says of the slope.
fn times_slopes(arrived: &Arrived<'_, ()>, slope: impl Fn(f32) -> f32) -> Vec<f32> {
    let results = arrived.gradient.iter().zip(arrived.result);
    results.map(|(gradient, y)| gradient * slope(*y)).collect()
}

struct Sigmoid;

impl Fused<1> for Sigmoid {
    const NAME: &'static str = "sigmoid";
    type Kept = ();

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<()>> {
        Ok(map(xs, simd::sigmoid))
    }

    fn backward(&self, _xs: [Argument<'_>; 1], arrived: Arrived<'_, ()>) -> Result<Gradients<1>> {
        Ok([Some(times_slopes(&arrived, |y| y - y * y))])
    }
}

struct Exponential;

impl Fused<1> for Exponential {
    const NAME: &'static str = "exponential";
    type Kept = ();

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<()>> {
        Ok(map(xs, simd::exp))
    }

    fn backward(&self, _xs: [Argument<'_>; 1], arrived: Arrived<'_, ()>) -> Result<Gradients<1>> {
        Ok([Some(times_slopes(&arrived, |y| y))])
    }
}

/// The sums of `num_rows` rows, of no numbers too.
fn row_sums(xs: &[f32], num_rows: usize) -> Vec<f32> {
    let mut sums = vec![0f32; num_rows];
    let width = xs.len() / num_rows.max(1);
    if width > 0 {
        for (sum, row) in sums.iter_mut().zip(xs.chunks_exact(width)) {
            for value in row {
                *sum += value;
            }
        }
    }
    sums
}

fn repeated(xs: &[f32], width: usize) -> Vec<f32> {
    let repeated = xs.iter().flat_map(|x| std::iter::repeat_n(*x, width));
    repeated.collect()
}

struct RowSum;

impl Fused<1> for RowSum {
    const NAME: &'static str = "row-sum";
    type Kept = ();

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<()>> {
        let mut dims = xs.dims.to_vec();
        dims.pop();
        let sums = row_sums(xs.values, dims.iter().product());
        dims.push(1);
        Ok(Output::new(sums, dims, ()))
    }

    fn backward(&self, [xs]: [Argument<'_>; 1], arrived: Arrived<'_, ()>) -> Result<Gradients<1>> {
        let width = xs.dims.last().copied().unwrap_or(1);
        Ok([Some(repeated(arrived.gradient, width))])
    }
}

struct Spread(usize);

impl Fused<1> for Spread {
    const NAME: &'static str = "spread";
    type Kept = ();

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<()>> {
        let mut dims = xs.dims.to_vec();
        if dims.pop() != Some(1) {
            candle_core::bail!("expected a last dimension of 1, found {:?}", xs.dims);
        }
        dims.push(self.0);
        Ok(Output::new(repeated(xs.values, self.0), dims, ()))
    }

    fn backward(&self, [xs]: [Argument<'_>; 1], arrived: Arrived<'_, ()>) -> Result<Gradients<1>> {
        Ok([Some(row_sums(arrived.gradient, xs.values.len()))])
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
    fn new(matrices: Argument<'a>) -> Result<Self> {
        Ok(Self {
            data: matrices.values,
            batch: Batch::of(matrices.dims)?,
            is_transposed: false,
        })
    }

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

impl Fused<2> for MatrixProduct {
    const NAME: &'static str = "matrix-product";
    type Kept = ();

    fn forward(&self, [left, right]: [Argument<'_>; 2]) -> Result<Output<()>> {
        let (of_left, of_right) = (Factor::new(left)?, Factor::new(right)?);
        let (left_batch, right_batch) = (of_left.batch, of_right.batch);
        if left_batch.count != right_batch.count || left_batch.columns != right_batch.rows {
            candle_core::bail!("products of {:?} by {:?} don't fit", left.dims, right.dims);
        }
        let mut dims = left.dims.to_vec();
        dims[left.dims.len() - 1] = right_batch.columns;
        Ok(Output::new(products(of_left, of_right), dims, ()))
    }

    fn backward(
        &self,
        [left, right]: [Argument<'_>; 2],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<2>> {
        let (left, right) = (Factor::new(left)?, Factor::new(right)?);
        let of_gradient = Factor {
            data: arrived.gradient,
            batch: Batch {
                columns: right.batch.columns,
                ..left.batch
            },
            is_transposed: false,
        };
        let transposed = Factor {
            is_transposed: true,
            ..right
        };
        Ok([
            Some(products(of_gradient, transposed)),
            Some(products_over_rows(left, of_gradient)),
        ])
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
