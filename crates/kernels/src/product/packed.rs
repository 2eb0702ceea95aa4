//! The product in tiles: the right matrix is packed into panels of the width of a tile, the left one is read where it lies.
//!
//! A tile's sums stay in registers over [`DEPTH`] terms, and go through the output between such parts, which rounds nothing: so each
//! output is one chain of fused multiply-adds in ascending order, whatever the tile.

use super::Matrix;
use super::lanes::Lanes;
use super::panel::{VECTORS, is_whole, pack, turned_square};
use std::cell::RefCell;

/// Terms of a part. A tile's rows of the left matrix then take 28 KiB, and stay in the first-level cache for all panels.
const DEPTH: usize = 512;
/// Terms ahead at which a panel is asked for, since it streams from the second-level cache, and rows of a transposed left matrix:
/// they lie far apart, and no processor guesses them. A power of two of more such rows would not fit into their sets of the cache.
const TERMS_AHEAD: usize = 8;
/// Most rows for which packing never pays, since so few tiles read what was packed.
const MAX_ROWS_IN_PLACE: usize = 128;
/// Values of a cache line.
pub(super) const LINE: usize = 16;

thread_local! {
    /// Panels of the right matrix.
    static PANELS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Rows of the output, as many as a tile has: rows of the left matrix from `left` on, panels of the right one, and where the sums are.
struct Strip {
    depth: usize,
    left: *const f32,
    row_stride: usize,
    term_stride: usize,
    panels: *const f32,
    /// The right matrix, and how far its rows are apart, where whole panels are read where they lie.
    in_place: Option<(*const f32, usize)>,
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
    if left.rows == 1 && right.column_stride != 1 {
        // SAFETY: the caller's.
        return unsafe { multiply_row::<L>(out, left, right, add) };
    }
    let width = VECTORS * L::WIDTH;
    let (rows, columns) = (left.rows, right.columns);
    // Taken out and put back, since the body of a closure would be compiled without the instructions of `L`.
    let mut buffer = PANELS.take();
    let panels = aligned(
        &mut buffer,
        columns.next_multiple_of(width) * DEPTH.min(left.columns),
    );
    let is_in_place = is_read_in_place(left, right);
    for term in (0..left.columns).step_by(DEPTH) {
        let depth = DEPTH.min(left.columns - term);
        for column in (0..columns).step_by(width) {
            if is_in_place && is_whole::<L>(columns - column) {
                continue;
            }
            // SAFETY: each panel has its place, and the views hold what they say.
            unsafe { pack::<L>(panels.add(column * depth), right, term, depth, column) };
        }
        for row in (0..rows).step_by(L::ROWS) {
            let first = row * left.row_stride + term * left.column_stride;
            // SAFETY: the rows are inside the views.
            let strip = unsafe {
                Strip {
                    depth,
                    left: left.data.as_ptr().add(first),
                    row_stride: left.row_stride,
                    term_stride: left.column_stride,
                    panels,
                    in_place: is_in_place.then(|| {
                        let from = right.data.as_ptr();
                        (from.wrapping_add(term * right.row_stride), right.row_stride)
                    }),
                    out: out.add(row * out_stride),
                    out_stride,
                    is_first: term == 0 && !add,
                }
            };
            // SAFETY: as above.
            unsafe { strip.run::<L>(L::ROWS.min(rows - row), columns) };
        }
    }
    PANELS.set(buffer);
}

/// Whether panels of the right matrix are read where they lie, which changes no sum.
fn is_read_in_place(left: Matrix<'_>, right: Matrix<'_>) -> bool {
    let starts_lines = right.row_stride.is_multiple_of(LINE)
        && right
            .data
            .as_ptr()
            .addr()
            .is_multiple_of(LINE * size_of::<f32>());
    // Beside the far rows of a transposed left matrix, those of a right one would meet in the same sets of the cache.
    let is_cheap = starts_lines && left.column_stride == 1;
    right.column_stride == 1 && (is_cheap || left.rows <= MAX_ROWS_IN_PLACE)
}

/// Room for `length` values from the start of a line on. The buffer only grows, so that it is allocated once a thread.
pub(super) fn aligned(buffer: &mut Vec<f32>, length: usize) -> *mut f32 {
    if buffer.len() < length + LINE {
        buffer.resize(length + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>());
    buffer[start.min(LINE)..].as_mut_ptr()
}

/// A row times a transposed matrix, a register of chains at a time. Nothing is packed, since nothing is read twice.
#[inline(always)]
unsafe fn multiply_row<L: Lanes>(out: *mut f32, left: Matrix<'_>, right: Matrix<'_>, add: bool) {
    for column in (0..right.columns).step_by(L::WIDTH) {
        let columns = L::WIDTH.min(right.columns - column);
        // SAFETY: the caller's views; `columns` columns and `terms` terms are inside them.
        unsafe {
            let out = out.add(column);
            let mut sums = match add {
                true => L::load_first(out, columns),
                false => L::zero(),
            };
            let from = right.data.as_ptr().add(column * right.column_stride);
            for term in (0..left.columns).step_by(L::WIDTH) {
                let terms = L::WIDTH.min(left.columns - term);
                let square =
                    turned_square::<L>(from.add(term), right.column_stride, columns, terms);
                for (at, values) in square.iter().enumerate().take(terms) {
                    let factor = *left.data.as_ptr().add((term + at) * left.column_stride);
                    sums = sums.multiply_add(L::splat(factor), *values);
                }
            }
            sums.store_first(out, columns);
        }
    }
}

impl Strip {
    /// The sums of `rows` rows, `columns` a row.
    #[inline(always)]
    unsafe fn run<L: Lanes>(&self, rows: usize, columns: usize) {
        let width = VECTORS * L::WIDTH;
        // A last panel with one register of columns is a tile of one register a row.
        let narrow = match columns % width {
            rest @ 1.. if rest <= L::WIDTH => rest,
            _ => 0,
        };
        macro_rules! by_rows {
            ($($count:literal)*) => {
                match (rows, self.term_stride == 1) {
                    // SAFETY: the caller's.
                    $(
                        ($count, true) => unsafe { self.tiles::<L, $count, false>(columns, narrow) },
                        ($count, false) => unsafe { self.tiles::<L, $count, true>(columns, narrow) },
                    )*
                    _ => unreachable!("{rows} rows of a tile"),
                }
            };
        }
        match L::ROWS {
            4 => by_rows!(1 2 3 4),
            6 => by_rows!(1 2 3 4 5 6),
            _ => by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }

    /// Tiles of two registers a row, then one of one register for the last `narrow` columns.
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const R: usize, const IS_TRANSPOSED: bool>(
        &self,
        columns: usize,
        narrow: usize,
    ) {
        let width = VECTORS * L::WIDTH;
        let wide = columns - narrow;
        for column in (0..wide).step_by(width) {
            // SAFETY: the caller's.
            unsafe {
                self.chains::<L, R, VECTORS, IS_TRANSPOSED>(column, width.min(wide - column))
            };
        }
        if narrow > 0 {
            // SAFETY: the caller's.
            unsafe { self.chains::<L, R, 1, IS_TRANSPOSED>(wide, narrow) };
        }
    }

    /// The chains of a tile of `R` rows of `V` registers, of which `count` columns from `column` on are there.
    #[inline(always)]
    unsafe fn chains<L: Lanes, const R: usize, const V: usize, const IS_TRANSPOSED: bool>(
        &self,
        column: usize,
        count: usize,
    ) {
        let is_whole = count == V * L::WIDTH;
        let in_vector = |vector: usize| count.saturating_sub(vector * L::WIDTH).min(L::WIDTH);
        // SAFETY: the caller's.
        unsafe {
            let out = self.out.add(column);
            let place = |row: usize, vector: usize| {
                out.wrapping_add(row * self.out_stride + vector * L::WIDTH)
            };
            let mut sums = [[L::zero(); V]; R];
            if !self.is_first {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = match is_whole {
                            true => L::load(place(row, vector)),
                            false => L::load_first(place(row, vector), in_vector(vector)),
                        };
                    }
                }
            }
            let (panel, panel_stride) = match self.in_place {
                Some((right, stride)) if is_whole => (right.add(column), stride),
                _ => (self.panels.add(column * self.depth), VECTORS * L::WIDTH),
            };
            self.add_terms::<L, R, V, IS_TRANSPOSED>(&mut sums, panel, panel_stride);
            for (row, sums) in sums.iter().enumerate() {
                for (vector, sum) in sums.iter().enumerate() {
                    match is_whole {
                        true => sum.store(place(row, vector)),
                        false => sum.store_first(place(row, vector), in_vector(vector)),
                    }
                }
            }
        }
    }

    /// Adds all terms to the chains of a tile, in ascending order.
    #[inline(always)]
    unsafe fn add_terms<L: Lanes, const R: usize, const V: usize, const IS_TRANSPOSED: bool>(
        &self,
        sums: &mut [[L; V]; R],
        mut panel: *const f32,
        panel_stride: usize,
    ) {
        debug_assert!(!IS_TRANSPOSED || self.row_stride == 1);
        // A pointer for every four rows, of which the compiler must not know that they are one: it would find each row from the
        // one before, and that chain of additions is longer than the arithmetic.
        let mut starts = [self.left; 4];
        let (mut one, mut three) = (1, 3);
        if !IS_TRANSPOSED {
            for (quarter, start) in starts.iter_mut().enumerate().take(R.div_ceil(4)) {
                *start = hidden(self.left.wrapping_add(4 * quarter * self.row_stride));
            }
            (one, three) = (self.row_stride, hidden_size(3 * self.row_stride));
        }
        for term in 0..self.depth {
            if IS_TRANSPOSED {
                let ahead = (term + TERMS_AHEAD) * self.term_stride;
                let ahead = self.left.wrapping_add(ahead);
                ask_for(ahead);
                ask_for(ahead.wrapping_add(R - 1));
            }
            for vector in (0..V).step_by(LINE / L::WIDTH) {
                ask_for(panel.wrapping_add(TERMS_AHEAD * panel_stride + vector * L::WIDTH));
            }
            // SAFETY: the caller's.
            unsafe {
                let mut right = [L::zero(); V];
                for (vector, right) in right.iter_mut().enumerate() {
                    *right = L::load(panel.add(vector * L::WIDTH));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let start = starts[row / 4];
                    let left = L::splat(match (IS_TRANSPOSED, row % 4) {
                        (true, _) => *self.left.add(term * self.term_stride + row),
                        (_, 0) => *start,
                        (_, 1) => *start.add(one),
                        (_, 2) => *start.add(2 * one),
                        _ => *start.add(three),
                    });
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = sum.multiply_add(left, right);
                    }
                }
            }
            panel = panel.wrapping_add(panel_stride);
            for start in starts.iter_mut().take(R.div_ceil(4)) {
                *start = hidden(start.wrapping_add(1));
            }
        }
    }
}

/// The same pointer, as if from elsewhere.
#[inline(always)]
fn hidden(pointer: *const f32) -> *const f32 {
    std::ptr::with_exposed_provenance(hidden_size(pointer.expose_provenance()))
}

/// The same size, as if from elsewhere.
#[inline(always)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(unused_mut, reason = "nothing is hidden there")
)]
fn hidden_size(mut size: usize) -> usize {
    // SAFETY: no instruction, so the register keeps its value.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) size, options(pure, nomem, nostack, preserves_flags));
    }
    size
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
