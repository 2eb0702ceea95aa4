//! How an expert's outputs are distributed, on bins that are the same for every expert.
//!
//! A bin's ends are a power of two and 1.5 times it, from 2^-10 to 2^6 and mirrored, so that experts of very different scales
//! fit on one axis; beyond lie one bin each way, and values below [`ZERO`] have a bin of their own.

use super::sums::ZERO;

/// Bits of an f32 that come after its exponent and the first digit of its fraction.
const REST: u32 = 22;
/// [`ZERO`] as it is written.
// The f32 limit as a decimal: as f64 it would be written with ten digits of rounding.
const ZERO_END: f64 = 1e-6;
/// Exponents of the ends.
const LEAST: i32 = -10;
const LARGEST: i32 = 6;
/// Bins of one sign, the one below and the one above included.
const SIDE: usize = 2 * (LARGEST - LEAST) as usize + 2;
/// All bins: negative ones, zero, positive ones.
const BINS: usize = 2 * SIDE + 1;

/// Outputs by bin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram([u64; BINS]);

/// A bin that isn't empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
    /// Absent where it has no end.
    pub(super) low: Option<f64>,
    /// Absent where it has no end.
    pub(super) high: Option<f64>,
    pub(super) count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BINS])
    }
}

impl Histogram {
    pub(super) fn add(&mut self, outputs: &[f32]) {
        for output in outputs {
            self.0[place(*output)] += 1;
        }
    }

    /// The bins that hold something, by rising value.
    pub(super) fn bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let filled = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(place, count)| {
            let (low, high) = ends(place);
            Bin {
                low,
                high,
                count: *count,
            }
        })
    }
}

fn place(output: f32) -> usize {
    let size = output.abs();
    if size < ZERO {
        return SIDE;
    }
    // Exponent and first digit of the fraction, read as an integer, grow by one at each power of
    // two and at 1.5 times it: the bin is a shift, and no logarithm rounds at its edge.
    let least = 2f32.powi(LEAST).to_bits() >> REST;
    let side = (i64::from(size.to_bits() >> REST) - i64::from(least) + 1).clamp(0, SIDE as i64 - 1);
    match output < 0.0 {
        true => SIDE - 1 - side as usize,
        false => SIDE + 1 + side as usize,
    }
}

fn ends(place: usize) -> (Option<f64>, Option<f64>) {
    let of_side = |side: usize| {
        let end = |index: usize| {
            let power = 2f64.powi(LEAST + (index / 2) as i32);
            if index.is_multiple_of(2) {
                power
            } else {
                1.5 * power
            }
        };
        let low = if side == 0 { ZERO_END } else { end(side - 1) };
        (low, (side + 1 < SIDE).then(|| end(side)))
    };
    match place.checked_sub(SIDE) {
        None => {
            let (low, high) = of_side(SIDE - 1 - place);
            (high.map(|high| -high), Some(-low))
        }
        Some(0) => (Some(-ZERO_END), Some(ZERO_END)),
        Some(side) => {
            let (low, high) = of_side(side - 1);
            (Some(low), high)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_one_another_without_a_gap_and_hold_what_lies_between_their_ends() {
        assert_eq!(ends(0), (None, Some(-64.0)));
        assert_eq!(ends(BINS - 1), (Some(64.0), None));
        for bin in 1..BINS {
            assert_eq!(ends(bin - 1).1, ends(bin).0, "bin {bin}");
        }
        let mut value = 1e-8f32;
        while value < 1e4 {
            for value in [value, -value] {
                let (low, high) = ends(place(value));
                let exact = f64::from(value);
                assert!(low.is_none_or(|low| low <= exact), "{value} {low:?}");
                assert!(high.is_none_or(|high| exact <= high), "{value} {high:?}");
            }
            value *= 1.07;
        }
    }

    #[test]
    fn counts_are_of_their_bins_and_empty_ones_are_left_out() {
        let mut histogram = Histogram::default();
        histogram.add(&[0.0, -1e-7, 1.0, 1.4, 1.5, -100.0]);
        let bin = |low, high, count| Bin { low, high, count };
        assert_eq!(
            histogram.bins().collect::<Vec<_>>(),
            [
                bin(None, Some(-64.0), 1),
                bin(Some(-ZERO_END), Some(ZERO_END), 2),
                bin(Some(1.0), Some(1.5), 2),
                bin(Some(1.5), Some(2.0), 1),
            ]
        );
    }
}
