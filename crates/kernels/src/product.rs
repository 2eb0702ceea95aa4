//! Matrix products on borrowed slices, one thread each: callers split rows into blocks and share those between threads,
//! so that every sum has one order whatever the number of threads.

use crate::fresh::{Memory, values_of};
use crate::simd::multiversioned;

/// A read-only matrix view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major [rows, columns] whose rows start `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        assert!(rows == 0 || (rows - 1) * row_stride + columns <= data.len());
        matrix
    }

    /// Row-major [rows, columns] without gaps.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// The transposed view.
    pub(crate) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// `out = left right`, or `out += left right` with `add`; `out` is row-major with rows `out_stride` elements apart.
pub(crate) fn multiply(
    out: &mut [f32],
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    let (rows, columns) = (left.rows, right.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * out_stride + columns <= out.len());
    // SAFETY: `out` was checked to hold its last element.
    unsafe { multiply_at(out.as_mut_ptr(), out_stride, left, right, add) }
}

/// `out = left right` in new memory, row-major without gaps.
pub(crate) fn multiply_into<'a>(
    out: &'a mut Memory,
    left: Matrix<'_>,
    right: Matrix<'_>,
) -> &'a mut [f32] {
    assert_eq!(out.len(), left.rows * right.columns);
    // SAFETY: `out` holds every element, and the product writes each.
    unsafe {
        multiply_at(out.as_mut_ptr().cast(), right.columns, left, right, false);
        values_of(out)
    }
}

/// # Safety
/// From `out` on there is memory for every element: of values with `add`, and otherwise of anything.
unsafe fn multiply_at(
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    assert_eq!(left.columns, right.rows);
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    // Without terms the library would write nothing.
    if depth == 0 {
        for row in 0..if add { 0 } else { rows } {
            for column in 0..columns {
                // SAFETY: as the caller says.
                unsafe { out.add(row * out_stride + column).write(0.0) }
            }
        }
        return;
    }
    // SAFETY: both views were checked to hold their last element, and the caller answers for `out`.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out,
            // Column strides come first in this library, so 1 is the step within a row.
            1,
            out_stride as isize,
            add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            // The factor of what is in `out` already: without `add` it is not even read, so it may be anything.
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            // One thread: the library would cut the depth or the rows by the number of threads it finds.
            gemm::Parallelism::None,
        );
    }
}

// A register of AVX-512. The number is part of the result, since each lane is a sum of its own; narrower instruction
// sets keep 16 sums in more registers and so give the same bytes.
const LANES: usize = 16;

multiversioned! {
    fn dot_each(out: &mut Memory, inputs: &[f32], weights: &[f32]) {
        for (value, row) in out.iter_mut().zip(inputs.chunks_exact(weights.len())) {
            value.write(dot(row, weights));
        }
    }
}

/// `out[r] = inputs[r, :] . weights`: the product for layers of one unit, where a blocked product is slow.
pub(crate) fn dot_rows<'a>(out: &'a mut Memory, inputs: &[f32], weights: &[f32]) -> &'a mut [f32] {
    assert_eq!(out.len() * weights.len(), inputs.len());
    dot_each(out, inputs, weights);
    // SAFETY: there is a row of inputs for every element, and each was written.
    unsafe { values_of(out) }
}

/// The inner product, summed in [`LANES`] interleaved parts.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut parts = [0f32; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (a, b) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            parts[lane] = a[lane].mul_add(b[lane], parts[lane]);
        }
    }
    // What is left over is a chain of its own and not spread over lanes: its order must not depend on the length either.
    let mut sum = 0.0;
    for (a, b) in left_rest.iter().zip(right_rest) {
        sum = a.mul_add(*b, sum);
    }
    sum + sum_lanes(parts)
}

#[inline(always)]
fn sum_lanes(mut parts: [f32; LANES]) -> f32 {
    // A tree of fixed shape: lane i gets lane i + 8, then i + 4, and so on.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            parts[lane] += parts[lane + width];
        }
        width /= 2;
    }
    parts[0]
}

multiversioned! {
    /// `out = values` or, with `add`, `out += values`.
    pub(crate) fn add_or_copy(out: &mut [f32], values: &[f32], add: bool) {
        if add {
            for (value, addend) in out.iter_mut().zip(values) {
                *value += addend;
            }
        } else {
            out.copy_from_slice(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    #[test]
    fn products_of_views_equal_sums_by_hand() {
        let left: Vec<f32> = (0..6).map(|v| v as f32).collect();
        let right: Vec<f32> = (0..8).map(|v| v as f32 - 3.0).collect();
        let mut out = [1f32; 10];
        // [3, 2] from its transpose, [2, 4], into rows 5 apart... the gap stays.
        multiply(
            &mut out[..9],
            5,
            Matrix::new(&left[..4], 2, 2).transposed(),
            Matrix::new(&right, 2, 4),
            true,
        );
        let expected = |r: usize, c: usize| 1.0 + left[r] * right[c] + left[2 + r] * right[4 + c];
        for r in 0..2 {
            for c in 0..4 {
                assert_eq!(out[r * 5 + c], expected(r, c));
            }
        }
        assert_eq!(out[4], 1.0);
    }

    #[test]
    fn dots_handle_remainders() {
        for length in [1, 15, 16, 17, 50] {
            let values: Vec<f32> = (0..length).map(|v| v as f32).collect();
            let mut out = [MaybeUninit::uninit()];
            let expected: f32 = values.iter().map(|v| v * v).sum();
            assert_eq!(dot_rows(&mut out, &values, &values), [expected]);
        }
    }
}
