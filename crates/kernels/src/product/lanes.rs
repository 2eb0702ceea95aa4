//! Neighbouring values of a row, as the instruction sets hold them.

/// Some neighbouring values of a row of the output, and the sizes of the tiles that they make.
///
/// # Safety
/// Methods are inlined into functions that enable the instructions; they may be called where the processor has those alone.
pub(super) trait Lanes: Copy {
    /// Values in one.
    const WIDTH: usize;
    /// Most rows of a tile of two of them a row.
    const ROWS: usize;

    /// All 0.
    unsafe fn zero() -> Self;
    /// All `value`.
    unsafe fn splat(value: f32) -> Self;
    /// Reads [`WIDTH`](Self::WIDTH) values.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads `count` values, at most [`WIDTH`](Self::WIDTH) and nothing beside them; the rest is 0.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Writes [`WIDTH`](Self::WIDTH) values.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` values, at most [`WIDTH`](Self::WIDTH) and nothing beside them.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `left * right + self`, rounded once.
    unsafe fn multiply_add(self, left: Self, right: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// 0 of the same sign in place of subnormal values.
    unsafe fn flushed(self) -> Self;
    /// `left * right + self`, rounded once, and 0 of its sign where it is subnormal as an unbounded exponent would have it.
    unsafe fn multiply_add_flushed(self, left: f32, right: Self) -> Self;
    /// Turns a square, which is sized for the widest lanes: value `column` of row `row` becomes value `row` of row `column`.
    unsafe fn transpose(square: &mut [Self; MOST_LANES]);
}

/// A power of two that lifts numbers near the smallest normal one far above it.
const LIFT: f32 = 1.844_674_4e19;

/// Most values that lanes hold.
pub(super) const MOST_LANES: usize = 16;

/// Eight values without vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 8]);

impl Lanes for Portable {
    const WIDTH: usize = 8;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's values.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut values = [0.0; 8];
        // SAFETY: the caller's values.
        unsafe { from.copy_to_nonoverlapping(values.as_mut_ptr(), count.min(8)) };
        Self(values)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's values.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller's values.
        unsafe { to.copy_from_nonoverlapping(self.0.as_ptr(), count.min(8)) }
    }

    #[inline(always)]
    unsafe fn multiply_add(mut self, left: Self, right: Self) -> Self {
        for (sum, (a, b)) in self.0.iter_mut().zip(left.0.iter().zip(right.0)) {
            *sum = multiply_add(*a, b, *sum);
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for (sum, addend) in self.0.iter_mut().zip(other.0) {
            *sum += addend;
        }
        self
    }

    #[inline(always)]
    unsafe fn flushed(mut self) -> Self {
        for value in &mut self.0 {
            if value.abs() < f32::MIN_POSITIVE {
                *value = 0f32.copysign(*value);
            }
        }
        self
    }

    #[inline(always)]
    unsafe fn multiply_add_flushed(mut self, left: f32, right: Self) -> Self {
        for (sum, right) in self.0.iter_mut().zip(right.0) {
            let lifted = multiply_add(left * LIFT, right, *sum * LIFT);
            let result = multiply_add(left, right, *sum);
            let is_tiny = lifted.abs() < f32::MIN_POSITIVE * LIFT;
            *sum = match result.abs() <= f32::MIN_POSITIVE && is_tiny {
                true => 0f32.copysign(result),
                false => result,
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn transpose(square: &mut [Self; MOST_LANES]) {
        let rows = *square;
        for (column, out) in square.iter_mut().take(8).enumerate() {
            for (row, out) in out.0.iter_mut().enumerate() {
                *out = rows[row].0[column];
            }
        }
    }
}

/// `a * b + c`, rounded once, on processors with and without an instruction for it.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        return a.mul_add(b, c);
    }
    // The product of two 24-bit numbers is exact in 53 bits. The sum is rounded to odd there, so that rounding it again to 24
    // bits gives what one rounding would (Boldo and Melquiond, 2008).
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    let from_product = sum - addend;
    let rest = (product - from_product) + (addend - (sum - from_product));
    let bits = sum.to_bits();
    let is_inexact_and_even = rest.abs() > 0.0 && bits & 1 == 0;
    // Towards the rest: away from zero where it has the sum's sign.
    let step = if (rest > 0.0) == (sum > 0.0) {
        1
    } else {
        u64::MAX
    };
    let odd = if is_inexact_and_even {
        bits.wrapping_add(step)
    } else {
        bits
    };
    f64::from_bits(odd) as f32
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LIFT, Lanes, MOST_LANES};
    use std::arch::x86_64::*;

    /// Eight values of AVX2 with FMA.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256);

    impl Lanes for Avx2 {
        const WIDTH: usize = 8;
        // Of 16 registers, 12 hold sums, two values of the right matrix and one of the left.
        const ROWS: usize = 6;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the trait's contract, here and below.
            Self(unsafe { _mm256_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe { Self(_mm256_maskload_ps(from, first_of_eight(count))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm256_maskstore_ps(to, first_of_eight(count), self.0) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, left: Self, right: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(left.0, right.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn flushed(self) -> Self {
            unsafe {
                let smallest = _mm256_set1_ps(f32::MIN_POSITIVE);
                let sign = _mm256_set1_ps(-0.0);
                let size = _mm256_andnot_ps(sign, self.0);
                let is_tiny = _mm256_cmp_ps::<_CMP_LT_OQ>(size, smallest);
                let zero = _mm256_and_ps(sign, self.0);
                Self(_mm256_blendv_ps(self.0, zero, is_tiny))
            }
        }

        #[inline(always)]
        unsafe fn multiply_add_flushed(self, left: f32, right: Self) -> Self {
            unsafe {
                let lift = _mm256_set1_ps(LIFT);
                let sign = _mm256_set1_ps(-0.0);
                let result = _mm256_fmadd_ps(_mm256_set1_ps(left), right.0, self.0);
                let lifted = _mm256_mul_ps(self.0, lift);
                let lifted = _mm256_fmadd_ps(_mm256_set1_ps(left * LIFT), right.0, lifted);
                let is_small = _mm256_cmp_ps::<_CMP_LE_OQ>(
                    _mm256_andnot_ps(sign, result),
                    _mm256_set1_ps(f32::MIN_POSITIVE),
                );
                let is_tiny = _mm256_cmp_ps::<_CMP_LT_OQ>(
                    _mm256_andnot_ps(sign, lifted),
                    _mm256_set1_ps(f32::MIN_POSITIVE * LIFT),
                );
                let zero = _mm256_and_ps(sign, result);
                Self(_mm256_blendv_ps(
                    result,
                    zero,
                    _mm256_and_ps(is_small, is_tiny),
                ))
            }
        }

        #[inline(always)]
        unsafe fn transpose(square: &mut [Self; MOST_LANES]) {
            unsafe {
                let mut pairs = [_mm256_setzero_ps(); 8];
                for half in 0..4 {
                    let (a, b) = (square[2 * half].0, square[2 * half + 1].0);
                    pairs[2 * half] = _mm256_unpacklo_ps(a, b);
                    pairs[2 * half + 1] = _mm256_unpackhi_ps(a, b);
                }
                let mut fours = [_mm256_setzero_ps(); 8];
                for half in 0..2 {
                    let (a, b) = (pairs[4 * half], pairs[4 * half + 1]);
                    let (c, d) = (pairs[4 * half + 2], pairs[4 * half + 3]);
                    fours[4 * half] = _mm256_shuffle_ps::<0x44>(a, c);
                    fours[4 * half + 1] = _mm256_shuffle_ps::<0xEE>(a, c);
                    fours[4 * half + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                    fours[4 * half + 3] = _mm256_shuffle_ps::<0xEE>(b, d);
                }
                for column in 0..4 {
                    let (low, high) = (fours[column], fours[4 + column]);
                    square[column] = Self(_mm256_permute2f128_ps::<0x20>(low, high));
                    square[column + 4] = Self(_mm256_permute2f128_ps::<0x31>(low, high));
                }
            }
        }
    }

    /// All bits of the first `count` of eight values.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn first_of_eight(count: usize) -> __m256i {
        let index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), index)
    }

    /// A bit for each of the first `count` of sixteen values.
    #[inline(always)]
    fn first_of_sixteen(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as u16
    }

    /// Sixteen values of AVX-512.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    impl Lanes for Avx512 {
        const WIDTH: usize = 16;
        // Of 32 registers, 28 hold sums.
        const ROWS: usize = 14;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the trait's contract, here and below.
            Self(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe { Self(_mm512_maskz_loadu_ps(first_of_sixteen(count), from)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, first_of_sixteen(count), self.0) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, left: Self, right: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(left.0, right.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn flushed(self) -> Self {
            unsafe {
                let smallest = _mm512_set1_ps(f32::MIN_POSITIVE);
                let sign = _mm512_set1_ps(-0.0);
                let is_tiny = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(self.0), smallest);
                Self(_mm512_mask_and_ps(self.0, is_tiny, self.0, sign))
            }
        }

        #[inline(always)]
        unsafe fn multiply_add_flushed(self, left: f32, right: Self) -> Self {
            unsafe {
                let sign = _mm512_set1_ps(-0.0);
                let result = _mm512_fmadd_ps(_mm512_set1_ps(left), right.0, self.0);
                let lifted = _mm512_mul_ps(self.0, _mm512_set1_ps(LIFT));
                let lifted = _mm512_fmadd_ps(_mm512_set1_ps(left * LIFT), right.0, lifted);
                let is_small = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(
                    _mm512_abs_ps(result),
                    _mm512_set1_ps(f32::MIN_POSITIVE),
                );
                let is_tiny = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(
                    is_small,
                    _mm512_abs_ps(lifted),
                    _mm512_set1_ps(f32::MIN_POSITIVE * LIFT),
                );
                Self(_mm512_mask_and_ps(result, is_tiny, result, sign))
            }
        }

        #[inline(always)]
        unsafe fn transpose(square: &mut [Self; MOST_LANES]) {
            unsafe {
                let mut pairs = [_mm512_setzero_ps(); 16];
                for half in 0..8 {
                    let (a, b) = (square[2 * half].0, square[2 * half + 1].0);
                    pairs[2 * half] = _mm512_unpacklo_ps(a, b);
                    pairs[2 * half + 1] = _mm512_unpackhi_ps(a, b);
                }
                // Columns 4 * part + column of rows 4 * quarter to 4 * quarter + 3, by quarter and column.
                let mut fours = [_mm512_setzero_ps(); 16];
                for quarter in 0..4 {
                    // Without `map`, which isn't inlined here and would be compiled without AVX-512.
                    let (a, b) = (pairs[4 * quarter], pairs[4 * quarter + 1]);
                    let (c, d) = (pairs[4 * quarter + 2], pairs[4 * quarter + 3]);
                    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                    let (c, d) = (_mm512_castps_pd(c), _mm512_castps_pd(d));
                    fours[4 * quarter] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                    fours[4 * quarter + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                    fours[4 * quarter + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                    fours[4 * quarter + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
                }
                for column in 0..4 {
                    let (a, b) = (fours[column], fours[4 + column]);
                    let (c, d) = (fours[8 + column], fours[12 + column]);
                    let even = (
                        _mm512_shuffle_f32x4::<0x88>(a, b),
                        _mm512_shuffle_f32x4::<0x88>(c, d),
                    );
                    let odd = (
                        _mm512_shuffle_f32x4::<0xDD>(a, b),
                        _mm512_shuffle_f32x4::<0xDD>(c, d),
                    );
                    square[column] = Self(_mm512_shuffle_f32x4::<0x88>(even.0, even.1));
                    square[column + 4] = Self(_mm512_shuffle_f32x4::<0x88>(odd.0, odd.1));
                    square[column + 8] = Self(_mm512_shuffle_f32x4::<0xDD>(even.0, even.1));
                    square[column + 12] = Self(_mm512_shuffle_f32x4::<0xDD>(odd.0, odd.1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_without_an_instruction_for_it_is_rounded_once() {
        let ends = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1e-38,
            -1e-45,
            3.4e38,
            -3.4e38,
            f32::INFINITY,
            f32::NAN,
            1.5e-20,
            16_777_217.0,
        ];
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Exponents near each other, so that sums cancel and round.
            f32::from_bits((state >> 33) as u32 & 0x83FF_FFFF | (100 + (state >> 60) as u32) << 23)
        };
        let random: Vec<f32> = (0..3_000_000).map(|_| next()).collect();
        let count = ends.len();
        let all_ends = (0..count.pow(3)).map(|index| {
            [index % count, index / count % count, index / count.pow(2)].map(|at| ends[at])
        });
        for [a, b, c] in all_ends.chain(
            random
                .chunks_exact(3)
                .map(|three| [three[0], three[1], three[2]]),
        ) {
            let (found, expected) = (multiply_add(a, b, c), a.mul_add(b, c));
            let is_equal =
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(
                is_equal,
                "{a:e} * {b:e} + {c:e}: {found:e}, not {expected:e}"
            );
        }
    }
}
