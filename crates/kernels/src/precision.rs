//! How exactly matrix products are computed.

use std::sync::atomic::{AtomicU8, Ordering};

/// How matrix products are computed. Everything is stored in f32 and summed in f32 whatever this is; the less exact ones round
/// the factors of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Factors in f32.
    #[default]
    F32,
    /// Factors rounded to TF32: the range of f32 with 10 bits after the point. CUDA devices have it alone; a processor multiplies
    /// in f32.
    Tf32,
    /// Factors rounded to bfloat16: the range of f32 with 7 bits after the point.
    Bf16,
    /// Factors as the sum of two numbers of bfloat16, and their products but for rest times rest. Processors have it alone.
    Bf16x3,
}

static PRECISION: AtomicU8 = AtomicU8::new(0);

/// Sets the precision of every product of this process.
///
/// On CUDA devices, products of composed operators are candle's, which knows f32 and TF32: under bfloat16 they are computed in TF32.
pub fn set_precision(precision: Precision) {
    PRECISION.store(precision as u8, Ordering::Relaxed);
    candle_core::cuda::set_gemm_reduced_precision_f32(precision != Precision::F32);
}

/// The precision of this process.
pub fn precision() -> Precision {
    match PRECISION.load(Ordering::Relaxed) {
        1 => Precision::Tf32,
        2 => Precision::Bf16,
        3 => Precision::Bf16x3,
        _ => Precision::F32,
    }
}

impl Precision {
    /// `value` as a factor of a product of a CUDA device.
    pub(crate) fn round(self, value: f32) -> f32 {
        let dropped_bits = match self {
            Self::F32 => return value,
            Self::Tf32 => 13,
            Self::Bf16 => 16,
            Self::Bf16x3 => unreachable!("refused for CUDA devices"),
        };
        if !value.is_finite() {
            return value;
        }
        // To the nearest, ties to even.
        let bits = value.to_bits();
        let half = (1u32 << (dropped_bits - 1)) - 1 + ((bits >> dropped_bits) & 1);
        f32::from_bits((bits + half) >> dropped_bits << dropped_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_rounded_to_the_nearest_number_of_their_type() {
        assert_eq!(Precision::F32.round(1.000_000_1), 1.000_000_1);
        assert_eq!(Precision::Bf16.round(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(Precision::Bf16.round(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(
            Precision::Tf32.round(1.0 + 1.0 / 1024.0),
            1.0 + 1.0 / 1024.0
        );
        assert_eq!(Precision::Tf32.round(-1.0 - 1.0 / 4096.0), -1.0);
        assert!(Precision::Bf16.round(f32::NAN).is_nan());
    }
}
