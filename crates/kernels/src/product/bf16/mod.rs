//! Products whose factors are rounded to bfloat16, as the tile instruction TDPBF16PS sums them.
//!
//! Also a definition, and no library's choice. A factor is rounded to the nearest number of bfloat16, ties to even, and subnormal ones
//! are 0. Terms are taken in blocks of [`BLOCK`], the last filled with zeros: those at even places are one chain of fused multiply-adds
//! from 0, those at odd places another, and the sum of both is added to the output, in f32. Whatever is subnormal becomes 0, of its sign,
//! once it is rounded. Processors with AMX do this in one instruction; [`emulated`] does it with any, to the same bytes.
//!
//! In three parts, a factor is what bfloat16 makes of it and what it makes of the rest. Each block then adds high times high, high times
//! rest and rest times high: 16 bits of a factor instead of 8.

#[cfg(target_arch = "x86_64")]
mod amx;
mod emulated;

use super::Matrix;
use super::lanes;
use crate::simd::InstructionSet;

/// Terms that one instruction takes.
const BLOCK: usize = 32;

/// What becomes of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Rounded to bfloat16.
    High,
    /// Rounded to bfloat16, and the rest rounded to it too.
    HighAndRest,
}

/// A right factor in the tiles that AMX multiplies.
#[derive(Debug)]
pub(super) struct Tiles {
    parts: Parts,
    #[cfg(target_arch = "x86_64")]
    packed: Vec<amx::Tile>,
}

impl Tiles {
    /// The tiles of `right`; none where products don't use any, or would pack it in pieces.
    pub(super) fn new(set: InstructionSet, parts: Parts, right: Matrix<'_>) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if set == InstructionSet::Amx {
            // SAFETY: the processor was found to have these instructions.
            let packed = unsafe { amx::pack_right(parts, right) }?;
            return Some(Self { parts, packed });
        }
        let _ = (set, parts, right);
        None
    }
}

/// `out = left right` or, with `add`, `out += left right`.
///
/// # Safety
/// The processor has the instructions of `set`, both matrices and `out` hold their last element, and no size is 0.
pub(super) unsafe fn multiply(
    set: InstructionSet,
    parts: Parts,
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
            parts: Parts,
            out: *mut f32,
            stride: usize,
            left: Matrix<'_>,
            right: Matrix<'_>,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe {
                emulated::multiply::<lanes::Avx512>(parts, out, stride, left, right, add);
            }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(
            parts: Parts,
            out: *mut f32,
            stride: usize,
            left: Matrix<'_>,
            right: Matrix<'_>,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe { emulated::multiply::<lanes::Avx2>(parts, out, stride, left, right, add) }
        }
        // SAFETY: the caller's, and the processor was found to have these instructions.
        unsafe {
            match set {
                InstructionSet::Amx => {
                    return amx::multiply(parts, out, out_stride, left, right, add);
                }
                InstructionSet::Avx512 => {
                    return avx512(parts, out, out_stride, left, right, add);
                }
                InstructionSet::Avx2 => return avx2(parts, out, out_stride, left, right, add),
                InstructionSet::Portable => {}
            }
        }
    }
    let _ = set;
    // SAFETY: the caller's.
    unsafe { emulated::multiply::<lanes::Portable>(parts, out, out_stride, left, right, add) }
}

/// `value` rounded to bfloat16: to the nearest, ties to even. A subnormal is 0, and what is not a number stays so.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> f32 {
    const SIGN: u32 = 1 << 31;
    const QUIET: u32 = 1 << 22;
    const KEPT: u32 = 0xFFFF_0000;
    let bits = value.to_bits();
    let size = bits & !SIGN;
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & KEPT;
    let number = if size < f32::MIN_POSITIVE.to_bits() {
        bits & SIGN
    } else {
        nearest
    };
    f32::from_bits(if size > f32::INFINITY.to_bits() {
        (bits | QUIET) & KEPT
    } else {
        number
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `a * b + c` as the tile instruction has it: rounded once, then 0 if what an unbounded exponent would give is subnormal.
    fn flushed_multiply_add(a: f32, b: f32, c: f32) -> f32 {
        // Exact: 16 bits, and exponents far from the ends of f64.
        let product = f64::from(a) * f64::from(b);
        let result = a.mul_add(b, c);
        if !result.is_finite() || result.abs() > f32::MIN_POSITIVE {
            return result;
        }
        // Near the smallest normal number, f64 has so many bits to spare that only a tie could be rounded twice.
        let exact = product + f64::from(c);
        let is_tiny = exact.abs() < f64::from(f32::MIN_POSITIVE) * (1.0 - 2f64.powi(-25));
        if is_tiny {
            0f32.copysign(result)
        } else {
            result
        }
    }

    fn flushed(value: f32) -> f32 {
        match value.is_subnormal() {
            true => 0f32.copysign(value),
            false => value,
        }
    }

    fn add_block(out: &mut f32, factors: impl Fn(usize) -> (f32, f32)) {
        let mut sums = [0f32; 2];
        for term in 0..BLOCK {
            let (a, b) = factors(term);
            sums[term % 2] = flushed_multiply_add(a, b, sums[term % 2]);
        }
        *out = flushed(flushed(*out) + flushed(sums[0] + sums[1]));
    }

    /// The definition.
    pub(in super::super) fn naive(
        parts: Parts,
        out: &mut [f32],
        out_stride: usize,
        left: Matrix<'_>,
        right: Matrix<'_>,
        add: bool,
    ) {
        let high = rounded;
        let rest = |value: f32| rounded(value - rounded(value));
        for row in 0..left.rows {
            for column in 0..right.columns {
                let out = &mut out[row * out_stride + column];
                if !add {
                    *out = 0.0;
                }
                for first in (0..left.columns).step_by(BLOCK) {
                    let at = |term: usize| match first + term < left.columns {
                        true => (left.at(row, first + term), right.at(first + term, column)),
                        false => (0.0, 0.0),
                    };
                    let of = |a: &dyn Fn(f32) -> f32, b: &dyn Fn(f32) -> f32, term: usize| {
                        let (left, right) = at(term);
                        (a(left), b(right))
                    };
                    add_block(out, |term| of(&high, &high, term));
                    if parts == Parts::HighAndRest {
                        add_block(out, |term| of(&high, &rest, term));
                        add_block(out, |term| of(&rest, &high, term));
                    }
                }
            }
        }
    }

    #[test]
    fn factors_are_rounded_to_the_nearest_even_and_flushed() {
        assert_eq!(rounded(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(rounded(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(rounded(-1.0 - 5.0 / 1024.0), -1.0 - 8.0 / 1024.0);
        assert_eq!(rounded(f32::MAX), f32::INFINITY);
        assert_eq!(rounded(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(rounded(f32::from_bits(0x7F80_0001)).is_nan());
        assert_eq!(rounded(1e-38).to_bits(), 0);
        assert_eq!(rounded(-1e-38).to_bits(), (-0f32).to_bits());
        assert_eq!(rounded(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
    }
}
