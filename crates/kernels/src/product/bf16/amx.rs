//! The product of bfloat16 factors in the tile registers of AMX.
//!
//! Both matrices are packed into tiles of 16 rows of 64 bytes, one after the other, since a tile whose rows lie apart takes four times as
//! long to load. Lines are rows of the left matrix and columns of the right one: a left tile has a line a row, a right one two terms a row.
//!
//! The instructions are written out, since Rust has no stable names for them. They flush subnormal numbers and heed no rounding mode.

use super::super::Matrix;
use super::super::lanes::{Avx512, Lanes, MOST_LANES};
use super::super::packed::{LINE, aligned};
use super::{BLOCK, Parts};
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Terms packed at a time, a multiple of [`BLOCK`]: panels of that many stay in the first-level cache while a tile's sums are made.
const DEPTH: usize = 1024;
/// Rows packed at a time, so that they stay in the second-level cache for all columns.
const STRIP: usize = 512;
/// Lines of a tile.
const LINES: usize = 16;
/// Tiles of 16 x 16 sums beside each other.
const TILES: usize = 2;
/// Words of 32 bits, two factors each, of a tile.
const WORDS: usize = LINES * LINES;

thread_local! {
    /// Packed tiles of both matrices.
    static TILES_OF: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Eight tiles of 16 rows of 64 bytes, as the processor reads it.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

const CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Rows of the left matrix, or columns of the right one.
#[derive(Clone, Copy)]
struct Lines {
    data: *const f32,
    count: usize,
    stride: usize,
    term_stride: usize,
    /// Whether a tile has a line a row and not two terms a row.
    is_left: bool,
}

impl Lines {
    fn of_rows(left: Matrix<'_>) -> Self {
        Self {
            data: left.data.as_ptr(),
            count: left.rows,
            stride: left.row_stride,
            term_stride: left.column_stride,
            is_left: true,
        }
    }

    fn of_columns(right: Matrix<'_>) -> Self {
        Self {
            is_left: false,
            ..Self::of_rows(right.transposed())
        }
    }
}

/// `out = left right` or, with `add`, `out += left right`.
///
/// # Safety
/// The process may use AMX, both matrices and `out` hold their last element, and no size is 0.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn multiply(
    parts: Parts,
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    add: bool,
) {
    let num_parts = num_parts(parts);
    let (rows, columns) = (Lines::of_rows(left), Lines::of_columns(right));
    let blocks = DEPTH.min(left.columns).div_ceil(BLOCK);
    let shared = right.tiles.filter(|tiles| tiles.parts == parts);
    let mut buffers = TILES_OF.take();
    let [of_rows, of_columns] = &mut buffers;
    let size = blocks * num_parts * WORDS;
    let of_rows = aligned(of_rows, panels(STRIP.min(rows.count)) * size);
    let of_columns = match shared {
        // Read alone.
        Some(tiles) => tiles.packed.as_ptr().cast::<f32>().cast_mut(),
        None => aligned(of_columns, panels(columns.count) * size),
    };
    // SAFETY: the caller's.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &CONFIGURATION, options(nostack, readonly)) };
    for term in (0..left.columns).step_by(DEPTH) {
        let terms = DEPTH.min(left.columns - term);
        let blocks = terms.div_ceil(BLOCK);
        // SAFETY: the buffers have room for whole pairs of tiles, and the views hold what they say.
        unsafe {
            if shared.is_none() {
                let (lines, terms) = (0..columns.count, term..term + terms);
                pack(of_columns, columns, lines, terms, num_parts);
            }
            for row in (0..rows.count).step_by(STRIP) {
                let count = STRIP.min(rows.count - row);
                let (lines, terms) = (row..row + count, term..term + terms);
                pack(of_rows, rows, lines, terms, num_parts);
                let product = Packed {
                    rows: of_rows,
                    columns: of_columns,
                    blocks,
                    num_parts,
                    out: out.add(row * out_stride),
                    out_stride,
                    is_first: term == 0 && !add,
                };
                product.run(count, columns.count);
            }
        }
    }
    // SAFETY: no tile is in use any more.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
    TILES_OF.set(buffers);
}

/// A tile's factors, two to a word of 32 bits.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Tile([f32; WORDS]);

/// The tiles of a right factor, as [`multiply`] would pack it; none if it would do so in pieces.
///
/// # Safety
/// The processor has AVX-512 with BF16, and the matrix holds its last element.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_right(parts: Parts, right: Matrix<'_>) -> Option<Vec<Tile>> {
    let (terms, columns) = (right.rows, Lines::of_columns(right));
    if terms == 0 || terms > DEPTH || columns.count == 0 {
        return None;
    }
    let count = panels(columns.count) * terms.div_ceil(BLOCK) * num_parts(parts);
    let mut tiles: Vec<Tile> = Vec::with_capacity(count);
    // SAFETY: room for all tiles, each of which is written whole.
    unsafe {
        let to = tiles.as_mut_ptr().cast();
        pack(to, columns, 0..columns.count, 0..terms, num_parts(parts));
        tiles.set_len(count);
    }
    Some(tiles)
}

fn num_parts(parts: Parts) -> usize {
    match parts {
        Parts::High => 1,
        Parts::HighAndRest => 2,
    }
}

/// Panels of [`LINES`] lines that some lines take. Always whole pairs, so that there is one kernel.
fn panels(lines: usize) -> usize {
    lines.next_multiple_of(TILES * LINES) / LINES
}

/// Packs some lines, whole pairs of tiles of them, and some terms, whole blocks of them; what is missing is 0.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
unsafe fn pack(
    to: *mut f32,
    lines: Lines,
    which: std::ops::Range<usize>,
    terms: std::ops::Range<usize>,
    num_parts: usize,
) {
    let blocks = terms.len().div_ceil(BLOCK);
    for panel in 0..panels(which.len()) {
        let line = which.start + panel * LINES;
        let count = LINES.min(which.end.saturating_sub(line));
        for block in 0..blocks {
            let term = terms.start + block * BLOCK;
            let depth = BLOCK.min(terms.end - term);
            // SAFETY: the caller's.
            unsafe {
                let to = to.add((panel * blocks + block) * num_parts * WORDS);
                let from = lines
                    .data
                    .wrapping_add(line * lines.stride + term * lines.term_stride);
                let sizes = (count, depth);
                match (lines.term_stride, num_parts) {
                    (1, 1) => pack_along_terms::<false>(to, from, lines, sizes),
                    (1, _) => pack_along_terms::<true>(to, from, lines, sizes),
                    (_, 1) => pack_along_lines::<false>(to, from, lines, sizes),
                    _ => pack_along_lines::<true>(to, from, lines, sizes),
                }
            }
        }
    }
}

/// A tile of lines whose terms are beside each other.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
unsafe fn pack_along_terms<const WITH_REST: bool>(
    to: *mut f32,
    from: *const f32,
    lines: Lines,
    (count, depth): (usize, usize),
) {
    let mask = ((1u64 << depth) - 1) as u32;
    let (mask, second_mask) = (mask as u16, (mask >> 16) as u16);
    // SAFETY: the caller's; masked values aren't read.
    unsafe {
        for line in 0..count {
            let from = from.add(line * lines.stride);
            let first = _mm512_maskz_loadu_ps(mask, from);
            let second = _mm512_maskz_loadu_ps(second_mask, from.wrapping_add(LINE));
            let high = to_bf16(second, first);
            write(to.add(line * LINES), high);
            if WITH_REST {
                let rest = to_bf16(
                    subtract(second, _mm512_extracti64x4_epi64::<1>(high)),
                    subtract(first, _mm512_castsi512_si256(high)),
                );
                write(to.add(WORDS + line * LINES), rest);
            }
        }
        finish::<WITH_REST>(to, count, !lines.is_left);
    }
}

/// A tile of lines that are beside each other, term by term.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
unsafe fn pack_along_lines<const WITH_REST: bool>(
    to: *mut f32,
    from: *const f32,
    lines: Lines,
    (count, depth): (usize, usize),
) {
    let mask = ((1u32 << count) - 1) as u16;
    let pairs = depth.div_ceil(2);
    // SAFETY: the caller's; masked values and a term that isn't there aren't read.
    unsafe {
        for pair in 0..pairs {
            let from = from.add(2 * pair * lines.term_stride);
            let second_mask = if 2 * pair + 1 < depth { mask } else { 0 };
            let first = _mm512_maskz_loadu_ps(mask, from);
            let second = _mm512_maskz_loadu_ps(second_mask, from.wrapping_add(lines.term_stride));
            let high = to_bf16(second, first);
            write(to.add(pair * LINES), in_pairs(high));
            if WITH_REST {
                let rest = to_bf16(
                    subtract(second, _mm512_extracti64x4_epi64::<1>(high)),
                    subtract(first, _mm512_castsi512_si256(high)),
                );
                write(to.add(WORDS + pair * LINES), in_pairs(rest));
            }
        }
        finish::<WITH_REST>(to, pairs, lines.is_left);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn write(to: *mut f32, words: __m512i) {
    // SAFETY: the caller's place.
    unsafe { _mm512_storeu_si512(to.cast(), words) }
}

/// Fills the rows of a tile that are not there with zeros and, where lines must be its columns, turns it; and that of the rests likewise.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
unsafe fn finish<const WITH_REST: bool>(to: *mut f32, rows: usize, is_turned: bool) {
    const { assert!(LINES == MOST_LANES) };
    for part in 0..1 + usize::from(WITH_REST) {
        // SAFETY: the caller's tiles.
        unsafe {
            let to = to.add(part * WORDS);
            for row in rows..LINES {
                write(to.add(row * LINES), _mm512_setzero_si512());
            }
            if !is_turned {
                continue;
            }
            let mut square = [Avx512::zero(); LINES];
            for (row, words) in square.iter_mut().enumerate() {
                *words = Avx512::load(to.add(row * LINES));
            }
            Avx512::transpose(&mut square);
            for (row, words) in square.iter().enumerate() {
                words.store(to.add(row * LINES));
            }
        }
    }
}

/// Both rounded to bfloat16, `low` in the lower half.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn to_bf16(high: __m512, low: __m512) -> __m512i {
    // SAFETY: of the same size, and any bits are values of both.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// `values` less what bfloat16 made of them.
#[inline]
#[target_feature(enable = "avx512f")]
fn subtract(values: __m512, high: __m256i) -> __m512 {
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
    _mm512_sub_ps(values, _mm512_castsi512_ps(high))
}

/// The 16 numbers of the lower half, each with its neighbour of the upper half behind it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn in_pairs(numbers: __m512i) -> __m512i {
    const ORDER: [u16; 32] = {
        let mut order = [0; 32];
        let mut at = 0;
        while at < 32 {
            order[at] = (at / 2 + at % 2 * 16) as u16;
            at += 1;
        }
        order
    };
    // SAFETY: as long as the register.
    let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
    _mm512_permutexvar_epi16(order, numbers)
}

/// Packed matrices, and where their product belongs.
struct Packed {
    rows: *const f32,
    columns: *const f32,
    blocks: usize,
    num_parts: usize,
    out: *mut f32,
    out_stride: usize,
    /// Whether the sums start from 0 and not from `out`.
    is_first: bool,
}

impl Packed {
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn run(&self, rows: usize, columns: usize) {
        const SIDE: usize = TILES * LINES;
        // Where fewer rows or columns are left than tiles have.
        let mut edge = Edge([0.0; SIDE * SIDE]);
        for column in (0..columns).step_by(SIDE) {
            for row in (0..rows).step_by(SIDE) {
                let (height, width) = (SIDE.min(rows - row), SIDE.min(columns - column));
                // SAFETY: the caller's.
                unsafe {
                    let out = self.out.add(row * self.out_stride + column);
                    if (height, width) == (SIDE, SIDE) {
                        self.tiles(row / LINES, column / LINES, out, self.out_stride);
                        continue;
                    }
                    let edge = edge.0.as_mut_ptr();
                    for at in (0..height).filter(|_| !self.is_first) {
                        let out = out.add(at * self.out_stride);
                        edge.add(at * SIDE).copy_from_nonoverlapping(out, width);
                    }
                    self.tiles(row / LINES, column / LINES, edge, SIDE);
                    for at in 0..height {
                        let out = out.add(at * self.out_stride);
                        out.copy_from_nonoverlapping(edge.add(at * SIDE), width);
                    }
                }
            }
        }
    }

    /// The sums of two by two tiles.
    #[inline]
    unsafe fn tiles(&self, row: usize, column: usize, out: *mut f32, out_stride: usize) {
        let stride = self.blocks * self.num_parts * WORDS;
        // SAFETY: the caller's; the tiles are configured.
        unsafe {
            let left = self.rows.add(row * stride);
            let right = self.columns.add(column * stride);
            let (below, beside) = (left.add(stride), right.add(stride));
            // One statement a kind of product, since tiles hold nothing between statements that the compiler knows of.
            macro_rules! sums {
                ($advance:literal: $($rest:literal),* $(,)?) => {
                    asm!(
                        "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                        "test {is_first}, {is_first}",
                        "jnz 2f",
                        "tileloadd tmm0, [{out} + {out_line} * 1]",
                        "tileloadd tmm1, [{out} + {out_line} * 1 + 64]",
                        "tileloadd tmm2, [{out_below} + {out_line} * 1]",
                        "tileloadd tmm3, [{out_below} + {out_line} * 1 + 64]",
                        "2:",
                        "tileloadd tmm4, [{left} + {line} * 1]",
                        "tileloadd tmm6, [{right} + {line} * 1]",
                        "tileloadd tmm5, [{below} + {line} * 1]",
                        "tileloadd tmm7, [{beside} + {line} * 1]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "tdpbf16ps tmm2, tmm5, tmm6",
                        "tdpbf16ps tmm3, tmm5, tmm7",
                        $($rest,)*
                        concat!("add {left}, ", $advance),
                        concat!("add {below}, ", $advance),
                        concat!("add {right}, ", $advance),
                        concat!("add {beside}, ", $advance),
                        "dec {blocks}",
                        "jnz 2b",
                        "tilestored [{out} + {out_line} * 1], tmm0",
                        "tilestored [{out} + {out_line} * 1 + 64], tmm1",
                        "tilestored [{out_below} + {out_line} * 1], tmm2",
                        "tilestored [{out_below} + {out_line} * 1 + 64], tmm3",
                        left = inout(reg) left => _,
                        below = inout(reg) below => _,
                        right = inout(reg) right => _,
                        beside = inout(reg) beside => _,
                        blocks = inout(reg) self.blocks => _,
                        line = in(reg) 64usize,
                        out = in(reg) out,
                        out_below = in(reg) out.add(LINES * out_stride),
                        out_line = in(reg) out_stride * size_of::<f32>(),
                        is_first = in(reg) usize::from(self.is_first),
                        options(nostack),
                    )
                };
            }
            match self.num_parts {
                1 => sums!("1024":),
                _ => sums!(
                    "2048":
                    // High times rest.
                    "tileloadd tmm6, [{right} + {line} * 1 + 1024]",
                    "tileloadd tmm7, [{beside} + {line} * 1 + 1024]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    // Rest times high.
                    "tileloadd tmm4, [{left} + {line} * 1 + 1024]",
                    "tileloadd tmm6, [{right} + {line} * 1]",
                    "tileloadd tmm5, [{below} + {line} * 1 + 1024]",
                    "tileloadd tmm7, [{beside} + {line} * 1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                ),
            }
        }
    }
}

/// Sums of two by two tiles.
#[repr(align(64))]
struct Edge([f32; TILES * LINES * TILES * LINES]);
