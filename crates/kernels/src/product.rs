//! Matrix products on borrowed slices, one thread each: callers split rows into blocks and share those between threads,
//! so that every sum has one order whatever the number of threads.

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
    assert_eq!(left.columns, right.rows);
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * out_stride + columns <= out.len());
    if depth == 0 {
        if !add {
            for row in 0..rows {
                out[row * out_stride..row * out_stride + columns].fill(0.0);
            }
        }
        return;
    }
    // SAFETY: both views and `out` were checked to hold their last element.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

const LANES: usize = 16;

multiversioned! {
    /// `out[r] = inputs[r, :] . weights`: the product for layers of one unit, where a blocked product is slow.
    pub(crate) fn dot_rows(out: &mut [f32], inputs: &[f32], weights: &[f32]) {
        for (value, row) in out.iter_mut().zip(inputs.chunks_exact(weights.len())) {
            *value = dot(row, weights);
        }
    }
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
    let mut sum = 0.0;
    for (a, b) in left_rest.iter().zip(right_rest) {
        sum = a.mul_add(*b, sum);
    }
    sum + sum_lanes(parts)
}

#[inline(always)]
fn sum_lanes(mut parts: [f32; LANES]) -> f32 {
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
            let mut out = [0f32];
            dot_rows(&mut out, &values, &values);
            let expected: f32 = values.iter().map(|v| v * v).sum();
            assert_eq!(out[0], expected);
        }
    }
}
