//! The product of bfloat16 factors with any instructions: rounded factors are kept in f32, where each of their products is exact.

use super::super::Matrix;
use super::super::lanes::Lanes;
use super::super::packed::aligned;
use super::super::panel::{VECTORS, pack};
use super::{BLOCK, Parts, rounded};
use std::cell::RefCell;

/// Terms that are rounded at a time, a multiple of [`BLOCK`].
const DEPTH: usize = 512;
/// Rows of the left matrix that are rounded at a time: with all terms they stay in the second-level cache.
const STRIP: usize = 64;
/// Biased exponents of two factors whose sum is at least this have a product that is a multiple of the smallest normal number, as are
/// all sums of such: of 8 bits each, the last bit of the product stands for 2^(-2 bias - 14).
const NEVER_SUBNORMAL: u32 = 2 * 127 + 14 - 126;

thread_local! {
    /// Rounded factors of the right matrix and of a strip of the left one.
    static FACTORS: RefCell<[Vec<f32>; 4]> = const { RefCell::new([const { Vec::new() }; 4]) };
}

/// `out = left right` or, with `add`, `out += left right`.
///
/// # Safety
/// The processor has the instructions of `L`, both matrices and `out` hold their last element, and no size is 0.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(
    parts: Parts,
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    let width = VECTORS * L::WIDTH;
    let columns = right.columns.next_multiple_of(width);
    let depth = DEPTH.min(left.columns.next_multiple_of(BLOCK));
    let with_rest = parts == Parts::HighAndRest;
    // Taken out and put back, since the body of a closure would be compiled without the instructions of `L`.
    let mut factors = FACTORS.take();
    let [right_high, right_rest, left_high, left_rest] = &mut factors;
    let rest_length = |length: usize| if with_rest { length } else { 0 };
    let right_high = aligned(right_high, columns * depth);
    let right_rest = aligned(right_rest, rest_length(columns * depth));
    let left_high = aligned(left_high, STRIP * depth);
    let left_rest = aligned(left_rest, rest_length(STRIP * depth));
    for term in (0..left.columns).step_by(DEPTH) {
        let count = DEPTH.min(left.columns - term);
        let depth = count.next_multiple_of(BLOCK);
        // SAFETY: each panel has its place, the views hold what they say, and a strip is no longer than its buffer.
        unsafe {
            for column in (0..columns).step_by(width) {
                let panel = right_high.add(column * depth);
                pack::<L>(panel, right, term, count, column);
                panel
                    .add(count * width)
                    .write_bytes(0, (depth - count) * width);
                // A register of columns that are not there holds anything, and must not hold what is slow.
                if right.columns - column <= L::WIDTH {
                    for row in 0..count {
                        L::zero().store(panel.add(row * width + L::WIDTH));
                    }
                }
            }
            let smallest_right = round::<L>(right_high, right_rest, columns * depth, with_rest);
            for row in (0..left.rows).step_by(STRIP) {
                let rows = STRIP.min(left.rows - row);
                let from = left.data.as_ptr();
                let from = from.add(row * left.row_stride + term * left.column_stride);
                let (row_stride, term_stride) = match left.column_stride {
                    1 => (depth, 1),
                    _ => (1, rows),
                };
                copy_strip(
                    left_high,
                    from,
                    left,
                    (rows, count),
                    (row_stride, term_stride),
                );
                let smallest_left = round::<L>(left_high, left_rest, rows * depth, with_rest);
                let strip = Strip {
                    left: [left_high, left_rest],
                    row_stride,
                    term_stride,
                    panels: [right_high, right_rest],
                    depth,
                    count,
                    out: out.add(row * out_stride),
                    out_stride,
                    columns: right.columns,
                    is_first: term == 0 && !add,
                    add,
                };
                let is_never_subnormal = smallest_left[0] + smallest_right[0] >= NEVER_SUBNORMAL
                    && smallest_left[0] + smallest_right[1] >= NEVER_SUBNORMAL
                    && smallest_left[1] + smallest_right[0] >= NEVER_SUBNORMAL;
                match is_never_subnormal {
                    true => strip.run::<L>(rows, with_rest),
                    false => strip.run_flushed::<L>(rows, with_rest),
                }
            }
        }
    }
    FACTORS.set(factors);
}

/// Copies `sizes` rows and terms of the left matrix in its own order, and fills the last block of terms with zeros.
#[inline(always)]
unsafe fn copy_strip(
    to: *mut f32,
    from: *const f32,
    left: Matrix<'_>,
    (rows, terms): (usize, usize),
    (row_stride, term_stride): (usize, usize),
) {
    let padded = terms.next_multiple_of(BLOCK);
    // SAFETY: the caller's views.
    unsafe {
        if left.column_stride == 1 {
            for row in 0..rows {
                let (to, from) = (to.add(row * row_stride), from.add(row * left.row_stride));
                to.copy_from_nonoverlapping(from, terms);
                to.add(terms).write_bytes(0, padded - terms);
            }
        } else {
            for term in 0..terms {
                let from = from.add(term * left.column_stride);
                to.add(term * term_stride)
                    .copy_from_nonoverlapping(from, rows);
            }
            to.add(terms * term_stride)
                .write_bytes(0, (padded - terms) * rows);
        }
    }
}

/// Rounds `length` values in place and, where asked, writes what bfloat16 makes of their rests. The smallest biased exponents of both,
/// zeros aside.
#[inline(always)]
unsafe fn round<L: Lanes>(
    values: *mut f32,
    rests: *mut f32,
    length: usize,
    with_rest: bool,
) -> [u32; 2] {
    // SAFETY: the caller's buffers, which don't overlap.
    unsafe {
        let values = std::slice::from_raw_parts_mut(values, length);
        if !with_rest {
            let mut smallest = u32::MAX;
            for value in values {
                *value = rounded(*value);
                smallest = smallest.min(size_or_none(*value));
            }
            return [smallest >> 23, u32::MAX >> 23];
        }
        let rests = std::slice::from_raw_parts_mut(rests, length);
        let mut smallest = [u32::MAX; 2];
        for (value, rest) in values.iter_mut().zip(rests) {
            let high = rounded(*value);
            *rest = rounded(*value - high);
            *value = high;
            smallest[0] = smallest[0].min(size_or_none(high));
            smallest[1] = smallest[1].min(size_or_none(*rest));
        }
        smallest.map(|size| size >> 23)
    }
}

/// Bits of `|value|`, which are in the order of sizes, and the greatest for 0.
#[inline(always)]
fn size_or_none(value: f32) -> u32 {
    (value.to_bits() & !(1 << 31)).wrapping_sub(1)
}

/// Rows of the left matrix, rounded, and all panels of the right one.
struct Strip {
    /// What bfloat16 makes of the factors, and of their rests.
    left: [*const f32; 2],
    row_stride: usize,
    term_stride: usize,
    panels: [*const f32; 2],
    /// Terms, a multiple of [`BLOCK`].
    depth: usize,
    /// Terms that are not zeros of the last block.
    count: usize,
    out: *mut f32,
    out_stride: usize,
    columns: usize,
    /// Whether the sums start from 0 and not from `out`.
    is_first: bool,
    /// Whether they started from what others left in `out`, which may be subnormal.
    add: bool,
}

impl Strip {
    #[inline(always)]
    unsafe fn run<L: Lanes>(&self, rows: usize, with_rest: bool) {
        macro_rules! tiles {
            ($most:literal: $($count:literal)*) => {
                for row in (0..rows).step_by($most) {
                    match $most.min(rows - row) {
                        // SAFETY: the caller's.
                        $($count => unsafe { self.tiles::<L, $count, false>(row, with_rest) },)*
                        _ => unreachable!("more rows than a tile has"),
                    }
                }
            };
        }
        // Two sums each, two registers of the right matrix and one of the left must fit into the registers.
        match L::ROWS {
            4 => tiles!(2: 1 2),
            6 => tiles!(3: 1 2 3),
            _ => tiles!(7: 1 2 3 4 5 6 7),
        }
    }

    /// The same where a sum may be subnormal; several times slower.
    #[inline(always)]
    unsafe fn run_flushed<L: Lanes>(&self, rows: usize, with_rest: bool) {
        for row in 0..rows {
            // SAFETY: the caller's.
            unsafe { self.tiles::<L, 1, true>(row, with_rest) };
        }
    }

    #[inline(always)]
    unsafe fn tiles<L: Lanes, const R: usize, const FLUSH: bool>(
        &self,
        row: usize,
        with_rest: bool,
    ) {
        let width = VECTORS * L::WIDTH;
        for column in (0..self.columns).step_by(width) {
            // SAFETY: the caller's.
            unsafe {
                match self.columns - column <= L::WIDTH {
                    true => self.blocks::<L, R, 1, FLUSH>(row, column, with_rest),
                    false => self.blocks::<L, R, VECTORS, FLUSH>(row, column, with_rest),
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn blocks<L: Lanes, const R: usize, const V: usize, const FLUSH: bool>(
        &self,
        row: usize,
        column: usize,
        with_rest: bool,
    ) {
        let [high, rest] = [0, 1];
        for term in (0..self.depth).step_by(BLOCK) {
            // SAFETY: the caller's.
            unsafe {
                let is_first = self.is_first && term == 0;
                let at = (row, column, term);
                self.block::<L, R, V, FLUSH>(at, [high, high], is_first);
                if with_rest {
                    self.block::<L, R, V, FLUSH>(at, [high, rest], false);
                    self.block::<L, R, V, FLUSH>(at, [rest, high], false);
                }
            }
        }
    }

    /// Adds a block's two chains to a tile.
    #[inline(always)]
    unsafe fn block<L: Lanes, const R: usize, const V: usize, const FLUSH: bool>(
        &self,
        (row, column, term): (usize, usize, usize),
        [left, right]: [usize; 2],
        is_first: bool,
    ) {
        let width = VECTORS * L::WIDTH;
        // Zeros change no sum unless one is -0, which only flushing makes of a sum that starts from 0.
        let terms = match FLUSH {
            true => BLOCK,
            false => BLOCK.min((self.count - term).next_multiple_of(2)),
        };
        // SAFETY: the caller's.
        unsafe {
            let left = self.left[left].add(row * self.row_stride + term * self.term_stride);
            let panel = self.panels[right].add(column * self.depth + term * width);
            let (mut even, mut odd) = ([[L::zero(); V]; R], [[L::zero(); V]; R]);
            for pair in 0..terms / 2 {
                let panel = panel.add(2 * pair * width);
                let left = left.add(2 * pair * self.term_stride);
                self.add_term::<L, R, V, FLUSH>(&mut even, left, panel);
                self.add_term::<L, R, V, FLUSH>(
                    &mut odd,
                    left.add(self.term_stride),
                    panel.add(width),
                );
            }
            let flushed = |value: L| match FLUSH || self.add {
                true => value.flushed(),
                false => value,
            };
            for at in 0..R {
                for vector in 0..V {
                    let out = self
                        .out
                        .add((row + at) * self.out_stride + column + vector * L::WIDTH);
                    let count = L::WIDTH.min(self.columns - column - vector * L::WIDTH);
                    let before = match is_first {
                        true => L::zero(),
                        false if count == L::WIDTH => flushed(L::load(out)),
                        false => flushed(L::load_first(out, count)),
                    };
                    let block = flushed(even[at][vector].add(odd[at][vector]));
                    let sum = flushed(before.add(block));
                    match count == L::WIDTH {
                        true => sum.store(out),
                        false => sum.store_first(out, count),
                    }
                }
            }
        }
    }

    /// Adds one term's products to the chains of a tile.
    #[inline(always)]
    unsafe fn add_term<L: Lanes, const R: usize, const V: usize, const FLUSH: bool>(
        &self,
        chains: &mut [[L; V]; R],
        left: *const f32,
        panel: *const f32,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut right = [L::zero(); V];
            for (vector, right) in right.iter_mut().enumerate() {
                *right = L::load(panel.add(vector * L::WIDTH));
            }
            for (row, sums) in chains.iter_mut().enumerate() {
                let left = *left.add(row * self.row_stride);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = match FLUSH {
                        true => sum.multiply_add_flushed(left, right),
                        false => sum.multiply_add(L::splat(left), right),
                    };
                }
            }
        }
    }
}
