//! Instruction sets chosen at run time, and the vectorisable exponential.

use std::sync::OnceLock;

/// Names an [`InstructionSet`] that the kernels use instead of the best one. It lowers the set and never raises it.
pub const INSTRUCTIONS_VARIABLE: &str = "HOMEBENCH_INSTRUCTIONS";

/// What this processor can do, as far as the kernels tell it apart. Results are the same bytes on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Whatever the target guarantees. Fused multiply-adds outside of products are then library calls: right, but slow.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
    /// AVX-512 with BF16, and AMX with BF16, which the operating system lets this process use.
    Amx,
}

impl InstructionSet {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Amx];

    /// What [`INSTRUCTIONS_VARIABLE`] calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }

    /// The best that this processor has.
    pub fn available() -> Self {
        static FOUND: OnceLock<InstructionSet> = OnceLock::new();
        *FOUND.get_or_init(detect)
    }

    /// What the environment asks for: the best that there is where it doesn't say, or says nothing.
    ///
    /// # Errors
    /// The value of [`INSTRUCTIONS_VARIABLE`], if it names none, or one that this processor doesn't have.
    pub fn requested() -> Result<Self, String> {
        let value = std::env::var_os(INSTRUCTIONS_VARIABLE);
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Self::available());
        };
        Self::ALL
            .into_iter()
            .find(|set| value == set.name() && *set <= Self::available())
            .ok_or_else(|| value.to_string_lossy().into_owned())
    }
}

/// The instruction set that the kernels use here; found once.
///
/// # Panics
/// [`InstructionSet::requested`] refuses. Programs look at that first, and say it to their user.
pub fn instruction_set() -> InstructionSet {
    static USED: OnceLock<InstructionSet> = OnceLock::new();
    *USED.get_or_init(|| match InstructionSet::requested() {
        Ok(set) => set,
        Err(value) => panic!("{INSTRUCTIONS_VARIABLE} is {value:?}, which isn't available here"),
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> InstructionSet {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    match (avx2, avx512) {
        (true, true) if has_tiles() && may_use_tiles() => InstructionSet::Amx,
        (true, true) => InstructionSet::Avx512,
        (true, false) => InstructionSet::Avx2,
        (false, _) => InstructionSet::Portable,
    }
}

/// Whether the processor has AMX with BF16, and AVX-512 with it, whatever the operating system says.
#[cfg(not(target_arch = "x86_64"))]
pub fn has_tiles() -> bool {
    false
}

/// Whether the processor has AMX with BF16, and AVX-512 with it, whatever the operating system says.
#[cfg(target_arch = "x86_64")]
pub fn has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
    let is_known = __cpuid(0).eax >= 7;
    is_known
        && __cpuid_count(7, 0).edx & TILES_AND_BF16 == TILES_AND_BF16
        && is_x86_feature_detected!("avx512bf16")
}

/// Asks the operating system for the tile registers, which it gives to processes that ask. An exec takes them away again, so each process
/// asks for itself.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn may_use_tiles() -> bool {
    const REQUEST_STATE: libc::c_int = 0x1023;
    const TILE_DATA: libc::c_ulong = 18;
    // SAFETY: asks for a permission; no memory is handed over.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn may_use_tiles() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> InstructionSet {
    InstructionSet::Portable
}

/// Defines a function whose body is compiled once per [`InstructionSet`] and chosen at run time.
macro_rules! multiversioned {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) {
            #[inline(always)]
            fn body($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($argument: $type),*) { body($($argument),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) { body($($argument),*) }
                match $crate::simd::instruction_set() {
                    // SAFETY: the processor was found to have these features.
                    $crate::simd::InstructionSet::Amx | $crate::simd::InstructionSet::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    $crate::simd::InstructionSet::Avx2 => return unsafe { avx2($($argument),*) },
                    $crate::simd::InstructionSet::Portable => {}
                }
            }
            body($($argument),*)
        }
    };
}
pub(crate) use multiversioned;

/// `e^x` by range reduction and a polynomial, without branches, so that loops over it become vector code.
///
/// The relative error is below 2e-7 for x in [-87, 88]; beyond, x is clamped to that range, so that the result is
/// always finite and positive.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts: the first has few bits, so that its multiples are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN2_LOW, power.mul_add(-LN2_HIGH, x));
    let mut series = 1.987_569_1e-4f32;
    series = series.mul_add(rest, 1.398_199_9e-3);
    series = series.mul_add(rest, 8.333_452e-3);
    series = series.mul_add(rest, 4.166_579_6e-2);
    series = series.mul_add(rest, 1.666_666_5e-1);
    series = series.mul_add(rest, 0.5);
    let fraction = series.mul_add(rest * rest, rest) + 1.0;
    fraction * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `1 / (1 + e^-x)`; stays within (0, 1] and is finite for every finite x.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Asks for the cache lines of a row before it is needed, since rows in random order miss every cache. A hint: nothing depends on it, and
/// processors other than x86-64 are not asked.
#[inline]
pub fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let bytes = row.as_ptr_range();
        let end = bytes.end.cast::<i8>();
        let mut line = bytes
            .start
            .cast::<i8>()
            .map_addr(|address| address & !(LINE - 1));
        while line < end {
            // SAFETY: a hint that reads nothing, at any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
            line = line.wrapping_add(LINE);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_its_stated_error() {
        let mut worst = 0.0f64;
        for step in -870_000..880_000 {
            let x = step as f32 * 1e-4;
            let truth = f64::from(x).exp();
            worst = worst.max(((f64::from(exp(x)) - truth) / truth).abs());
        }
        assert!(worst < 2e-7, "{worst}");
    }

    #[test]
    fn exp_and_sigmoid_stay_finite_at_the_ends() {
        for x in [-1e30f32, -100.0, 100.0, 1e30] {
            assert!(exp(x).is_finite() && exp(x) > 0.0);
            assert!(sigmoid(x).is_finite());
        }
        assert_eq!(sigmoid(100.0), 1.0);
        assert!(sigmoid(-100.0) < 1e-37);
    }

    multiversioned! {
        fn exponentials(values: &mut [f32]) {
            for value in values {
                *value = exp(*value);
            }
        }
    }

    #[test]
    fn the_chosen_instruction_set_gives_the_same_values_as_the_portable_one() {
        let mut values: Vec<f32> = (0..1003).map(|i| (i - 500) as f32 * 0.1).collect();
        let expected: Vec<f32> = values.iter().map(|v| exp(*v)).collect();
        exponentials(&mut values);
        assert_eq!(values, expected);
    }
}
