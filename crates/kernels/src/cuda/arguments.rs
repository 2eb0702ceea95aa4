//! The arguments of a kernel, as the driver wants them: an address per value, values as the C++ side declares them.

use super::buffer::Address;

/// Pointers of one launch; as `POINTERS` in kernels/common.cuh.
pub(super) const POINTERS: usize = 64;

/// The values of a launch, each in words of eight bytes.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    words: Vec<u64>,
    /// Per argument: its first word, and its size in bytes.
    places: Vec<(usize, usize)>,
}

impl Arguments {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn push(mut self, word: u64, bytes: usize) -> Self {
        self.places.push((self.words.len(), bytes));
        self.words.push(word);
        self
    }

    /// A `T *`.
    pub(super) fn pointer(self, address: Address) -> Self {
        self.push(address.raw(), 8)
    }

    /// An `int`.
    ///
    /// # Panics
    /// It doesn't fit: sizes are checked where operators are entered.
    pub(super) fn int(self, value: usize) -> Self {
        let value = i32::try_from(value).expect("sizes on a device fit 31 bits");
        self.push(u64::from(value as u32), 4)
    }

    /// An `unsigned`.
    pub(super) fn unsigned(self, value: u32) -> Self {
        self.push(u64::from(value), 4)
    }

    /// An `unsigned long long`.
    pub(super) fn bits(self, value: u64) -> Self {
        self.push(value, 8)
    }

    /// A `float`.
    pub(super) fn float(self, value: f32) -> Self {
        self.push(u64::from(value.to_bits()), 4)
    }

    /// A `double`.
    pub(super) fn double(self, value: f64) -> Self {
        self.push(value.to_bits(), 8)
    }

    /// A structure of whole words.
    pub(super) fn structure(mut self, words: &[u64]) -> Self {
        self.places.push((self.words.len(), 8 * words.len()));
        self.words.extend(words);
        self
    }

    /// A structure of an even number of `float`s.
    pub(super) fn floats(self, values: &[f32]) -> Self {
        let words: Vec<u64> = values
            .chunks(2)
            .map(|two| u64::from(two[0].to_bits()) | u64::from(two[1].to_bits()) << 32)
            .collect();
        self.structure(&words)
    }

    /// A `Pointers`: at most [`POINTERS`] addresses, null where there is none.
    pub(super) fn pointers(mut self, addresses: &[Address]) -> Self {
        assert!(addresses.len() <= POINTERS);
        self.places.push((self.words.len(), 8 * POINTERS));
        self.words.extend(addresses.iter().map(|a| a.raw()));
        self.words
            .resize(self.words.len() + POINTERS - addresses.len(), 0);
        self
    }

    /// Where each argument is, and its size in bytes.
    pub(super) fn places(&self) -> impl Iterator<Item = (&u64, usize)> {
        let of = |(first, bytes): &(usize, usize)| (&self.words[*first], *bytes);
        self.places.iter().map(of)
    }
}

/// Two `int`s in a word, the first in its low half, as they lie in a structure.
pub(super) fn pair(first: usize, second: usize) -> u64 {
    let half = |value: usize| u64::from(u32::try_from(value).expect("sizes fit 32 bits"));
    half(first) | half(second) << 32
}

/// `values` as an array of `int`s in a structure, two to a word, filled up with zeros to `length`, which is even.
pub(super) fn ints(values: &[usize], length: usize) -> impl Iterator<Item = u64> {
    let at = move |place: usize| values.get(place).copied().unwrap_or(0);
    (0..length / 2).map(move |word| pair(at(2 * word), at(2 * word + 1)))
}

/// As [`ints`], for addresses.
pub(super) fn addresses(values: &[Address], length: usize) -> impl Iterator<Item = u64> {
    (0..length).map(move |place| values.get(place).map_or(0, |address| address.raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_as_the_kernels_read_them() {
        let arguments = Arguments::new()
            .int(3)
            .float(1.0)
            .pointers(&[Address::from_raw(7)])
            .structure(&[pair(1, 2)]);
        let places: Vec<(u64, usize)> = arguments.places().map(|(w, b)| (*w, b)).collect();
        assert_eq!(
            places,
            [(3, 4), (0x3f80_0000, 4), (7, 512), (0x2_0000_0001, 8)]
        );
        assert_eq!(ints(&[1, 2, 3], 6).collect::<Vec<_>>(), [pair(1, 2), 3, 0]);
    }
}
