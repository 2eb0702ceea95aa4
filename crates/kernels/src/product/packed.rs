//! The product in tiles: the right matrix is packed into panels of the width of a tile, the left one is read where it lies.
//!
//! A tile's sums stay in registers over [`DEPTH`] terms, and go through the output between such parts, which rounds nothing: so each
//! output is one chain of fused multiply-adds in ascending order, whatever the tile.

use super::Matrix;
use super::lanes::Lanes;
use std::cell::RefCell;

/// Terms of a part. A tile's rows of the left matrix then take 28 KiB, and stay in the first-level cache for all panels.
const DEPTH: usize = 512;
/// Registers of a full row of a tile.
const VECTORS: usize = 2;
/// Terms ahead at which rows of a transposed left matrix are asked for: they lie far apart, and no processor guesses them.
const TERMS_AHEAD: usize = 8;
/// Bytes of a cache line.
const LINE: usize = 64;

thread_local! {
    /// Panels of the right matrix.
    static PANELS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// What a tile is made of: rows of the left matrix from `left` on, a panel, and where the sums are.
struct Tile {
    depth: usize,
    left: *const f32,
    row_stride: usize,
    term_stride: usize,
    panel: *const f32,
    out: *mut f32,
    out_stride: usize,
    /// Whether the sums start from 0 and not from `out`.
    is_first: bool,
}

/// `out = left right` or, with `add`, `out += left right`.
///
/// # Safety
/// The processor has the instructions of `L`, both matrices and `out` hold their last element, and no size is 0.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    let width = VECTORS * L::WIDTH;
    let (rows, columns) = (left.rows, right.columns);
    // Taken out and put back, since the body of a closure would be compiled without the instructions of `L`.
    let mut buffer = PANELS.take();
    let needed = columns.next_multiple_of(width) * DEPTH.min(left.columns) + LINE / 4;
    if buffer.len() < needed {
        buffer.resize(needed, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE).min(LINE / 4);
    // SAFETY: fewer than a line's values, which were added to the length.
    let panels = unsafe { buffer.as_mut_ptr().add(start) };
    for term in (0..left.columns).step_by(DEPTH) {
        let depth = DEPTH.min(left.columns - term);
        for column in (0..columns).step_by(width) {
            // SAFETY: each panel has its place, and the views hold what they say.
            unsafe { pack::<L>(panels.add(column * depth), right, term, depth, column) };
        }
        for row in (0..rows).step_by(L::ROWS) {
            for column in (0..columns).step_by(width) {
                let first = row * left.row_stride + term * left.column_stride;
                // SAFETY: rows and columns inside the views.
                let tile = unsafe {
                    Tile {
                        depth,
                        left: left.data.as_ptr().add(first),
                        row_stride: left.row_stride,
                        term_stride: left.column_stride,
                        panel: panels.add(column * depth),
                        out: out.add(row * out_stride + column),
                        out_stride,
                        is_first: term == 0 && !add,
                    }
                };
                // SAFETY: as above.
                unsafe { tile.run::<L>(L::ROWS.min(rows - row), width.min(columns - column)) };
            }
        }
    }
    PANELS.set(buffer);
}

/// Packs `depth` rows of the right matrix from `column` on, 0 where it has no more columns.
#[inline(always)]
unsafe fn pack<L: Lanes>(
    panel: *mut f32,
    right: Matrix<'_>,
    term: usize,
    depth: usize,
    column: usize,
) {
    let width = VECTORS * L::WIDTH;
    let count = width.min(right.columns - column);
    // SAFETY: the caller's views; each branch stays inside `count` columns and `depth` rows.
    unsafe {
        let from = right
            .data
            .as_ptr()
            .add(term * right.row_stride + column * right.column_stride);
        if right.column_stride == 1 && count == width {
            for row in 0..depth {
                for vector in 0..VECTORS {
                    let values = L::load(from.add(row * right.row_stride + vector * L::WIDTH));
                    values.store(panel.add(row * width + vector * L::WIDTH));
                }
            }
            return;
        }
        // Whole squares of a transposed matrix; the rest one by one.
        let is_transposed = right.row_stride == 1;
        let square = |size: usize| {
            if is_transposed {
                size - size % L::WIDTH
            } else {
                0
            }
        };
        let (columns, rows) = (square(count), square(depth));
        for at in (0..columns).step_by(L::WIDTH) {
            for row in (0..rows).step_by(L::WIDTH) {
                L::transpose(
                    from.add(at * right.column_stride + row),
                    right.column_stride,
                    panel.add(row * width + at),
                    width,
                );
            }
        }
        for row in 0..depth {
            let first = if row < rows { columns } else { 0 };
            for at in first..width {
                let value = match at < count {
                    true => *from.add(row * right.row_stride + at * right.column_stride),
                    false => 0.0,
                };
                *panel.add(row * width + at) = value;
            }
        }
    }
}

impl Tile {
    /// Adds `rows` times `columns` sums.
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self, rows: usize, columns: usize) {
        let width = VECTORS * L::WIDTH;
        // SAFETY: the caller's, here and below.
        unsafe {
            if columns == width || columns == L::WIDTH {
                return self.sums::<L>(rows, columns);
            }
            // Sums at the right edge lie in a tile of their own, so that nothing is read or written beside them.
            let mut edge = [0f32; 16 * 32];
            let (out, out_stride) = (self.out, self.out_stride);
            if !self.is_first {
                for row in 0..rows {
                    out.add(row * out_stride)
                        .copy_to_nonoverlapping(edge.as_mut_ptr().add(row * width), columns);
                }
            }
            (self.out, self.out_stride) = (edge.as_mut_ptr(), width);
            self.sums::<L>(rows, if columns < L::WIDTH { L::WIDTH } else { width });
            for row in 0..rows {
                edge.as_ptr()
                    .add(row * width)
                    .copy_to_nonoverlapping(out.add(row * out_stride), columns);
            }
        }
    }

    /// As [`run`](Self::run), where `out` has room for whole registers.
    #[inline(always)]
    unsafe fn sums<L: Lanes>(&self, rows: usize, columns: usize) {
        macro_rules! by_rows {
            ($($count:literal)*) => {
                // SAFETY: the caller's.
                unsafe {
                    match (rows, columns == L::WIDTH, self.term_stride == 1) {
                        $(
                            ($count, false, true) => self.chain::<L, $count, VECTORS, false>(),
                            ($count, false, false) => self.chain::<L, $count, VECTORS, true>(),
                            ($count, true, true) => self.chain::<L, $count, 1, false>(),
                            ($count, true, false) => self.chain::<L, $count, 1, true>(),
                        )*
                        _ => unreachable!("{rows} rows of a tile"),
                    }
                }
            };
        }
        match L::ROWS {
            4 => by_rows!(1 2 3 4),
            6 => by_rows!(1 2 3 4 5 6),
            _ => by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }

    /// The chains of `R` rows of `V` registers.
    #[inline(always)]
    unsafe fn chain<L: Lanes, const R: usize, const V: usize, const IS_TRANSPOSED: bool>(&self) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[L::zero(); V]; R];
            if !self.is_first {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(self.out.add(row * self.out_stride + vector * L::WIDTH));
                    }
                }
            }
            // A pointer for every four rows, of which the compiler must not know that they are one: it would find each row from
            // the one before, and that chain of additions is longer than the arithmetic.
            let mut starts = [self.left; 4];
            for (quarter, start) in starts.iter_mut().enumerate().take(R.div_ceil(4)) {
                *start = hidden(self.left.wrapping_add(4 * quarter * self.row_stride));
            }
            let (one, three) = (self.row_stride, hidden_size(3 * self.row_stride));
            let mut panel = self.panel;
            for term in 0..self.depth {
                if IS_TRANSPOSED {
                    let ahead = self
                        .left
                        .wrapping_add((term + TERMS_AHEAD) * self.term_stride);
                    ask_for(ahead);
                    ask_for(ahead.wrapping_add(R - 1));
                }
                let mut right = [L::zero(); V];
                for (vector, right) in right.iter_mut().enumerate() {
                    *right = L::load(panel.add(vector * L::WIDTH));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let start = starts[row / 4];
                    let left = L::splat(match row % 4 {
                        0 => *start,
                        1 => *start.add(one),
                        2 => *start.add(2 * one),
                        _ => *start.add(three),
                    });
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = sum.multiply_add(left, right);
                    }
                }
                panel = panel.wrapping_add(VECTORS * L::WIDTH);
                for start in starts.iter_mut().take(R.div_ceil(4)) {
                    *start = start.wrapping_add(self.term_stride);
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (vector, sum) in sums.iter().enumerate() {
                    sum.store(self.out.add(row * self.out_stride + vector * L::WIDTH));
                }
            }
        }
    }
}

/// The same pointer, as if from elsewhere.
#[inline(always)]
fn hidden(pointer: *const f32) -> *const f32 {
    let mut pointer = pointer;
    // SAFETY: no instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    pointer
}

/// The same size, as if from elsewhere.
#[inline(always)]
fn hidden_size(size: usize) -> usize {
    hidden(std::ptr::without_provenance(size)).addr()
}

/// Asks for a cache line, wherever it is.
#[inline(always)]
fn ask_for(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that reads nothing, at any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
