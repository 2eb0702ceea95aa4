//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! A stream is named by (seed, purpose, name) and read at any index, so a number never depends on how many were drawn
//! before it, on the order in which variables are built, or on threads.
//!
//! ```
//! use homebench_random::Philox;
//!
//! let stream = Philox::new(1, "init", "tower.0.weight");
//! let thousandth = stream.uniform(1000);
//! assert!((0.0..1.0).contains(&thousandth));
//! // Another stream and other draws in between change nothing.
//! let _ = (Philox::new(2, "init", "tower.0.weight").uniform(0), stream.normal(3));
//! assert_eq!(stream.uniform(1000), thousandth);
//! let mut order = stream.permutation(4);
//! order.sort();
//! assert_eq!(order, [0, 1, 2, 3]);
//! ```
//!
//! May import: `blake3`, and nothing of the workspace. Must not hold: what is done with the numbers (initial weights, dropout,
//! shuffles, made-up data), or anything that has a state or asks for the time.

// Multipliers and round count of the paper: ten rounds where seven pass its tests, for a margin. Any other value is another
// generator, and changes every number of every cell.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
// The fractions of the golden ratio and of the square root of 3, by which the key moves on from round to round.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// A named stream of random numbers with random access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The stream of `purpose` (`"init"`, `"shuffle"`, ...) and `name` (a variable path, an epoch, ...) under `seed`.
    pub fn new(seed: u64, purpose: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        for part in [purpose, name] {
            // Lengths first, so that ("ab", "c") and ("a", "bc") are two streams.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        let word = |at: usize| {
            u32::from_le_bytes([
                digest.as_bytes()[at],
                digest.as_bytes()[at + 1],
                digest.as_bytes()[at + 2],
                digest.as_bytes()[at + 3],
            ])
        };
        Self {
            key: [word(0), word(4)],
        }
    }

    /// What tells this stream from others, for a device that draws from it.
    pub fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The four numbers at `counter`.
    #[inline]
    pub fn u32x4(&self, counter: u64) -> [u32; 4] {
        block(self.key, [counter as u32, (counter >> 32) as u32, 0, 0])
    }

    /// The four numbers at `counter`, uniform in [0, 1) with 24 bits.
    #[inline]
    pub fn uniform4(&self, counter: u64) -> [f32; 4] {
        self.u32x4(counter).map(unit)
    }

    /// The `index`-th number, uniform in [0, 1) with 24 bits.
    #[inline]
    pub fn uniform(&self, index: u64) -> f32 {
        unit(self.u32x4(index / 4)[(index % 4) as usize])
    }

    /// The `index`-th number of the standard normal distribution (Box-Muller; two to a block).
    pub fn normal(&self, index: u64) -> f32 {
        let (radius, angle) = self.polar(index / 2);
        let value = if index.is_multiple_of(2) {
            radius * libm::cos(angle)
        } else {
            radius * libm::sin(angle)
        };
        value as f32
    }

    /// The two numbers of the standard normal distribution at `counter`: those that [`Self::normal`] gives at twice that and
    /// after it.
    pub fn normal2(&self, counter: u64) -> [f32; 2] {
        let (radius, angle) = self.polar(counter);
        let (sine, cosine) = libm::sincos(angle);
        [(radius * cosine) as f32, (radius * sine) as f32]
    }

    /// Radius and angle of a point of the standard normal distribution in the plane.
    fn polar(&self, counter: u64) -> (f64, f64) {
        let words = self.u32x4(counter);
        // (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * libm::log((f64::from(words[0]) + 1.0) / 4_294_967_296.0)).sqrt();
        (
            radius,
            std::f64::consts::TAU * f64::from(words[1]) / 4_294_967_296.0,
        )
    }

    /// The `index`-th number, uniform in `0..bound` without bias.
    ///
    /// # Panics
    /// With a bound of zero.
    #[inline]
    pub fn below(&self, index: u64, bound: u32) -> u32 {
        assert!(bound > 0, "a random number below 0 was asked for");
        // Lemire's multiplication; a rejected word is followed by the block's next.
        let threshold = bound.wrapping_neg() % bound;
        let mut attempt = 0u32;
        loop {
            // The last word tells these blocks from those of `u32x4`, so that the two never share a number.
            let words = block(self.key, [index as u32, (index >> 32) as u32, attempt, 1]);
            for word in words {
                let product = u64::from(word) * u64::from(bound);
                if product as u32 >= threshold {
                    return (product >> 32) as u32;
                }
            }
            attempt += 1;
        }
    }

    /// A random order of `0..num_items` (Fisher-Yates).
    pub fn permutation(&self, num_items: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..num_items).collect();
        // From the end, the draw at `last` being that of its place: the order is part of every shuffle's definition.
        for last in (1..num_items).rev() {
            let other = self.below(u64::from(last), last + 1);
            order.swap(last as usize, other as usize);
        }
        order
    }
}

#[inline]
fn unit(word: u32) -> f32 {
    // An f32 holds 24 bits; with all 32 the largest words would round up to 1.
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[inline]
fn block(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_by_two_are_those_by_one() {
        let stream = Philox::new(1, "test", "normal");
        for counter in [0, 1, 77, 1 << 50] {
            let one_by_one = [0, 1].map(|place| stream.normal(2 * counter + place));
            assert_eq!(stream.normal2(counter), one_by_one);
        }
    }

    #[test]
    fn blocks_equal_the_known_answers_of_random123() {
        assert_eq!(
            block([0, 0], [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            block([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            block(
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_name() {
        let first = Philox::new(1, "init", "a").u32x4(0);
        assert_ne!(first, Philox::new(2, "init", "a").u32x4(0));
        assert_ne!(first, Philox::new(1, "shuffle", "a").u32x4(0));
        assert_ne!(first, Philox::new(1, "inita", "").u32x4(0));
        assert_eq!(first, Philox::new(1, "init", "a").u32x4(0));
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Philox::new(3, "test", "normal");
        let count = 100_000;
        let values: Vec<f64> = (0..count).map(|i| f64::from(stream.normal(i))).collect();
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / count as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_permutation_holds_every_item_once_and_moves_them() {
        let order = Philox::new(4, "shuffle", "0").permutation(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert!(order.iter().zip(0..).filter(|(a, b)| **a == *b).count() < 20);
    }
}
