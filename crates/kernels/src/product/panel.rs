//! Panels of the right matrix: as wide as a tile, a row after the other, so that a tile reads them in order.

use super::Matrix;
use super::lanes::{Lanes, MOST_LANES};

/// Registers of a full row of a tile.
pub(super) const VECTORS: usize = 2;

/// Whether the first of the panels that `columns` more columns make has no values missing.
#[inline(always)]
pub(super) fn is_whole<L: Lanes>(columns: usize) -> bool {
    columns >= VECTORS * L::WIDTH || columns == L::WIDTH
}

/// Packs `depth` rows of the right matrix from `column` on, 0 where a register has no more columns.
///
/// # Safety
/// The processor has the instructions of `L`, the matrix holds its last element, and the panel has room for `depth` whole rows.
#[inline(always)]
pub(super) unsafe fn pack<L: Lanes>(
    panel: *mut f32,
    right: Matrix<'_>,
    term: usize,
    depth: usize,
    column: usize,
) {
    let width = VECTORS * L::WIDTH;
    let count = width.min(right.columns - column);
    // SAFETY: the caller's views; each branch reads `count` columns of `depth` rows and writes whole registers.
    unsafe {
        let first = term * right.row_stride + column * right.column_stride;
        let from = right.data.as_ptr().add(first);
        for at in (0..width).step_by(L::WIDTH) {
            let count = count.saturating_sub(at).min(L::WIDTH);
            if count == 0 {
                // A panel of one register a row: nothing reads the other.
                break;
            }
            let from = from.add(at * right.column_stride);
            if right.column_stride != 1 {
                pack_transposed::<L>(panel.add(at), from, right.column_stride, count, depth);
                continue;
            }
            for row in 0..depth {
                let from = from.add(row * right.row_stride);
                let values = match count == L::WIDTH {
                    true => L::load(from),
                    false => L::load_first(from, count),
                };
                values.store(panel.add(row * width + at));
            }
        }
    }
}

/// Packs `count` columns, each of `depth` neighbouring values and `column_stride` from the next.
#[inline(always)]
unsafe fn pack_transposed<L: Lanes>(
    panel: *mut f32,
    from: *const f32,
    column_stride: usize,
    count: usize,
    depth: usize,
) {
    for row in (0..depth).step_by(L::WIDTH) {
        let rows = L::WIDTH.min(depth - row);
        // SAFETY: the caller's, for `rows` values of `count` columns.
        unsafe {
            let square = turned_square::<L>(from.add(row), column_stride, count, rows);
            for (at, values) in square.iter().enumerate().take(rows) {
                values.store(panel.add((row + at) * VECTORS * L::WIDTH));
            }
        }
    }
}

/// `rows` rows of `columns` columns, each of which has its values beside each other, `column_stride` from the next.
///
/// # Safety
/// The processor has the instructions of `L`, the columns are there, and neither count is above its lanes.
#[inline(always)]
pub(super) unsafe fn turned_square<L: Lanes>(
    from: *const f32,
    column_stride: usize,
    columns: usize,
    rows: usize,
) -> [L; MOST_LANES] {
    // SAFETY: the caller's.
    unsafe {
        let mut square = [L::zero(); MOST_LANES];
        for (column, values) in square.iter_mut().enumerate().take(columns) {
            let from = from.add(column * column_stride);
            *values = match rows == L::WIDTH {
                true => L::load(from),
                false => L::load_first(from, rows),
            };
        }
        L::transpose(&mut square);
        square
    }
}
