//! Matrix products on borrowed slices, one thread each: callers split rows into blocks and share those between threads,
//! so that every sum has one order whatever the number of threads.
//!
//! A product is a definition: each output is one chain of fused multiply-adds over the terms in ascending order, which starts from
//! 0 or, with `add`, from what is there. Tiles and instruction sets don't change it, so every processor gives the same bytes.

mod bf16;
mod lanes;
mod packed;
mod panel;

use crate::precision::{Precision, precision};
use crate::simd::{InstructionSet, instruction_set, multiversioned};
use std::ops::Range;

/// A read-only matrix view. One of its strides is 1.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
    /// The same values as the right factor of products, packed for them.
    tiles: Option<&'a bf16::Tiles>,
}

impl<'a> Matrix<'a> {
    /// Row-major [rows, columns] whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// `data` doesn't hold the last element.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
            tiles: None,
        };
        assert!(extent(rows, columns, row_stride) <= data.len());
        matrix
    }

    /// Row-major [rows, columns] without gaps.
    ///
    /// # Panics
    /// `data` doesn't hold the last element.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// The rows aren't there.
    #[must_use]
    pub fn rows(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        // Of no rows, the first may lie behind the data.
        let first = (rows.start * self.row_stride).min(self.data.len());
        Self {
            data: &self.data[first..],
            rows: rows.len(),
            tiles: None,
            ..self
        }
    }

    /// The transposed view.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            tiles: None,
        }
    }
}

#[cfg(test)]
impl Matrix<'_> {
    fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// Elements from the first to the last of a row-major matrix, those between its rows counted.
fn extent(rows: usize, columns: usize, row_stride: usize) -> usize {
    let before_last = rows.saturating_sub(1).checked_mul(row_stride);
    let length = before_last.and_then(|before| before.checked_add(columns));
    match rows {
        0 => 0,
        _ => length.expect("a matrix fits into memory"),
    }
}

/// The right factor of many products, packed once where products need it packed. Which it is changes no byte.
#[derive(Debug)]
pub(crate) struct SharedFactor<'a> {
    matrix: Matrix<'a>,
    tiles: Option<bf16::Tiles>,
}

impl<'a> SharedFactor<'a> {
    pub(crate) fn new(matrix: Matrix<'a>) -> Self {
        let parts = bf16_parts();
        Self {
            matrix,
            tiles: parts.and_then(|parts| bf16::Tiles::new(instruction_set(), parts, matrix)),
        }
    }

    /// The matrix, as [`multiply`]'s right factor.
    pub(crate) fn matrix(&self) -> Matrix<'_> {
        Matrix {
            tiles: self.tiles.as_ref(),
            ..self.matrix
        }
    }
}

/// What becomes of factors, where they are rounded to bfloat16.
fn bf16_parts() -> Option<bf16::Parts> {
    match precision() {
        Precision::Bf16 => Some(bf16::Parts::High),
        Precision::Bf16x3 => Some(bf16::Parts::HighAndRest),
        // Of the processor's products, TF32 is none.
        Precision::F32 | Precision::Tf32 => None,
    }
}

/// `out = left right`, or `out += left right` with `add`, on the calling thread.
///
/// Each output is one chain of fused multiply-adds over the terms in ascending order, on every processor.
///
/// # Shapes
/// - left: [rows, terms]
/// - right: [terms, columns]
/// - out: row-major [rows, columns] with rows `out_stride` elements apart; what lies between them stays
///
/// # Panics
/// Numbers of terms that differ, or an `out` that doesn't hold the last element.
///
/// ```
/// use homebench_kernels::product::{Matrix, multiply};
///
/// let (left, right) = ([1.0, 2.0], [3.0, 4.0, 5.0, 6.0]);
/// let mut out = [0.0; 2];
/// multiply(&mut out, 2, Matrix::new(&left, 1, 2), Matrix::new(&right, 2, 2), false);
/// assert_eq!(out, [13.0, 16.0]);
/// ```
pub fn multiply(
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
    assert!(extent(rows, columns, out_stride) <= out.len());
    if depth == 0 {
        if !add {
            for row in 0..rows {
                out[row * out_stride..row * out_stride + columns].fill(0.0);
            }
        }
        return;
    }
    let (set, first) = (instruction_set(), out.as_mut_ptr());
    if let Some(parts) = bf16_parts() {
        // SAFETY: both views and `out` were checked to hold their last element.
        return unsafe { bf16::multiply(set, parts, first, out_stride, left, right, add) };
    }
    // One column would leave most of each register empty. As a row it is the same, since factors may change places.
    let (out_stride, left, right) = match columns == 1 && out_stride == 1 {
        true => (rows, right.transposed(), left.transposed()),
        false => (out_stride, left, right),
    };
    // SAFETY: both views and `out` were checked to hold their last element.
    unsafe { multiply_with(set, first, out_stride, left, right, add) }
}

/// # Safety
/// As [`packed::multiply`].
unsafe fn multiply_with(
    set: InstructionSet,
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
        unsafe fn avx512(
            out: *mut f32,
            stride: usize,
            left: Matrix<'_>,
            right: Matrix<'_>,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe { packed::multiply::<lanes::Avx512>(out, stride, left, right, add) }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(
            out: *mut f32,
            stride: usize,
            left: Matrix<'_>,
            right: Matrix<'_>,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe { packed::multiply::<lanes::Avx2>(out, stride, left, right, add) }
        }
        match set {
            // SAFETY: the caller's, and the processor was found to have these instructions.
            InstructionSet::Amx | InstructionSet::Avx512 => {
                return unsafe { avx512(out, out_stride, left, right, add) };
            }
            // SAFETY: as above.
            InstructionSet::Avx2 => return unsafe { avx2(out, out_stride, left, right, add) },
            InstructionSet::Portable => {}
        }
    }
    let _ = set;
    // SAFETY: the caller's.
    unsafe { packed::multiply::<lanes::Portable>(out, out_stride, left, right, add) }
}

const LANES: usize = 16;

/// An inner product inside of a pass over rows: summed in [`LANES`] interleaved parts, which is faster than a chain and has one order too.
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

    /// The definition.
    fn naive(out: &mut [f32], out_stride: usize, left: Matrix<'_>, right: Matrix<'_>, add: bool) {
        for row in 0..left.rows {
            for column in 0..right.columns {
                let out = &mut out[row * out_stride + column];
                let mut sum = if add { *out } else { 0.0 };
                for term in 0..left.columns {
                    sum = left.at(row, term).mul_add(right.at(term, column), sum);
                }
                *out = sum;
            }
        }
    }

    fn sets_here() -> impl Iterator<Item = InstructionSet> {
        let best = InstructionSet::available();
        InstructionSet::ALL
            .into_iter()
            .filter(move |set| *set <= best)
    }

    /// Numbers below the limits that are asked for.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }
    }

    /// A random product: remainders of every tile, one part and several, views of all kinds.
    struct Case {
        rows: usize,
        depth: usize,
        columns: usize,
        gap: usize,
        data: [Vec<f32>; 2],
        is_turned: [bool; 2],
        out: Vec<f32>,
        add: bool,
    }

    impl Case {
        fn new(trial: usize, random: &mut Random, value: fn(&mut Random) -> f32) -> Self {
            let depth = match trial % 8 {
                0 => 500 + random.below(600),
                _ => 1 + random.below(70),
            };
            let (rows, columns) = match trial % 5 {
                0 => (1, 1 + random.below(80)),
                1 => (1 + random.below(80), 1),
                _ => (1 + random.below(40), 1 + random.below(80)),
            };
            let gap = trial % 3;
            let mut values =
                |count: usize| -> Vec<f32> { (0..count).map(|_| value(random)).collect() };
            Self {
                rows,
                depth,
                columns,
                gap,
                data: [
                    values((rows.max(depth) + gap) * rows.max(depth)),
                    values((columns.max(depth) + gap) * columns.max(depth)),
                ],
                is_turned: [trial & 1 == 1, trial & 2 == 2],
                // A gap is there after the last row too, so that writing beside the columns shows.
                out: values(rows * (columns + gap)),
                add: trial & 4 == 4,
            }
        }

        fn views(&self) -> [Matrix<'_>; 2] {
            let view = |which: usize, rows: usize, columns: usize| {
                let data = &self.data[which];
                match self.is_turned[which] {
                    true => Matrix::strided(data, columns, rows, rows + self.gap).transposed(),
                    false => Matrix::strided(data, rows, columns, columns + self.gap),
                }
            };
            [
                view(0, self.rows, self.depth),
                view(1, self.depth, self.columns),
            ]
        }

        /// Compares what `multiply` gives with the definition, bit by bit.
        fn check(
            &self,
            what: &str,
            naive: impl Fn(&mut [f32], usize, Matrix<'_>, Matrix<'_>, bool),
            multiply: impl Fn(&mut [f32], usize, Matrix<'_>, Matrix<'_>, bool),
        ) {
            let [left, right] = self.views();
            let (mut expected, mut found) = (self.out.clone(), self.out.clone());
            naive(
                &mut expected,
                self.columns + self.gap,
                left,
                right,
                self.add,
            );
            multiply(&mut found, self.columns + self.gap, left, right, self.add);
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let is_equal =
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                let Self {
                    rows,
                    depth,
                    columns,
                    add,
                    ..
                } = self;
                assert!(
                    is_equal,
                    "{what}: {rows} x {depth} x {columns}, add {add}, at {at}: {found:e}, not {expected:e}"
                );
            }
        }
    }

    fn plain(random: &mut Random) -> f32 {
        random.below(2001) as f32 / 1000.0 - 1.0
    }

    #[test]
    fn every_instruction_set_gives_the_bytes_of_the_definition() {
        let mut random = Random(7);
        for trial in 0..400 {
            let case = Case::new(trial, &mut random, plain);
            for set in sets_here() {
                case.check(
                    &format!("{set:?}"),
                    naive,
                    |out, stride, left, right, add| {
                        // SAFETY: the processor has the set, and the sizes are those of the views.
                        unsafe { multiply_with(set, out.as_mut_ptr(), stride, left, right, add) }
                    },
                );
            }
            case.check("chosen", naive, multiply);
        }
    }

    #[test]
    fn every_instruction_set_gives_the_bytes_of_the_tile_instruction() {
        use bf16::Parts;
        // Any sign and fraction, the exponents between two, and now and then 0.
        fn between(random: &mut Random, low: usize, high: usize) -> f32 {
            let exponent = low + random.below(high - low);
            let fraction = random.below(1 << 23) as u32;
            let sign = (random.below(2) as u32) << 31;
            match random.below(9) {
                0 => f32::from_bits(sign),
                _ => f32::from_bits(sign | (exponent as u32) << 23 | fraction),
            }
        }
        let kinds: [fn(&mut Random) -> f32; 6] = [
            plain,
            |random| between(random, 110, 130),
            // Products around the smallest normal number, and sums that cancel there.
            |random| between(random, 60, 68),
            |random| between(random, 50, 76),
            |random| between(random, 0, 140),
            |random| between(random, 0, 256),
        ];
        let mut random = Random(11);
        for trial in 0..480 {
            let case = Case::new(trial, &mut random, kinds[trial / 8 % kinds.len()]);
            for parts in [Parts::High, Parts::HighAndRest] {
                for set in sets_here() {
                    case.check(
                        &format!("{parts:?}, {set:?}, kind {}", trial / 8 % kinds.len()),
                        |out, stride, left, right, add| {
                            bf16::tests::naive(parts, out, stride, left, right, add);
                        },
                        |out, stride, left, right, add| {
                            let out = out.as_mut_ptr();
                            let tiles = bf16::Tiles::new(set, parts, right);
                            // Packed before, and anew.
                            let right = Matrix {
                                tiles: tiles.as_ref().filter(|_| trial % 3 == 0),
                                ..right
                            };
                            // SAFETY: the processor has the set, and the sizes are those of the views.
                            unsafe { bf16::multiply(set, parts, out, stride, left, right, add) }
                        },
                    );
                }
            }
        }
    }

    #[test]
    fn dots_handle_remainders() {
        for length in [1, 15, 16, 17, 50] {
            let values: Vec<f32> = (0..length).map(|v| v as f32).collect();
            let expected: f32 = values.iter().map(|v| v * v).sum();
            assert_eq!(dot(&values, &values), expected);
        }
    }
}
