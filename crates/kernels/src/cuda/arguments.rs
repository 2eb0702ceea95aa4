//! The arguments of a kernel, as the driver wants them: an address per value, values as the C++ side declares them.

use super::buffer::Address;
use candle_core::Result;

// By value, so that a launch needs no copy: four such lists are 2 KiB of the 4 KiB that a kernel's arguments may have.
// At most 64, for kernels take one bit for each in 64 bits.
/// Pointers of one launch; as `POINTERS` in kernels/common.cuh.
pub(super) const POINTERS: usize = 64;

/// The values of a launch, each in words of eight bytes.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    words: Vec<u64>,
    /// Per argument: its first word, and its size in bytes.
    places: Vec<(usize, usize)>,
    /// A size that no `int` holds.
    oversized: Option<usize>,
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

    /// An `int`. One that doesn't fit is refused by [`super::machine::Machine::launch`], which asks for
    /// [`Self::oversized`]: a chain of arguments has no place for an error.
    pub(super) fn int(mut self, value: usize) -> Self {
        if i32::try_from(value).is_err() {
            self.oversized = Some(value);
        }
        self.push(value as u32 as u64, 4)
    }

    /// The last size that didn't fit, if any.
    pub(super) fn oversized(&self) -> Option<usize> {
        self.oversized
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
        // Filled up: the kernel's parameter has all of its 64 places, whatever is in use.
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

/// `values` as an array of `int`s in a structure, filled up with zeros to `length`, which is even. Two are in a word, the first
/// in its low half, as they lie in memory.
///
/// # Errors
/// One doesn't fit.
pub(super) fn ints(values: &[usize], length: usize) -> Result<Vec<u64>> {
    let half = |place: usize| match values.get(place).map_or(Ok(0), |v| i32::try_from(*v)) {
        Ok(value) => Ok(value as u64),
        Err(_) => candle_core::bail!("a size of {} is too large for a device", values[place]),
    };
    let word = |word: usize| Ok(half(2 * word)? | half(2 * word + 1)? << 32);
    (0..length / 2).map(word).collect()
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
            .structure(&ints(&[1, 2], 2).unwrap());
        let places: Vec<(u64, usize)> = arguments.places().map(|(w, b)| (*w, b)).collect();
        assert_eq!(
            places,
            [(3, 4), (0x3f80_0000, 4), (7, 512), (0x2_0000_0001, 8)]
        );
        assert_eq!(ints(&[1, 2, 3], 6).unwrap(), [0x2_0000_0001, 3, 0]);
    }

    #[test]
    fn sizes_beyond_31_bits_are_found() {
        let (fits, too_large) = (i32::MAX as usize, i32::MAX as usize + 1);
        assert_eq!(Arguments::new().int(fits).oversized(), None);
        let arguments = Arguments::new().int(too_large).int(1);
        assert_eq!(arguments.oversized(), Some(too_large));
        assert!(ints(&[fits], 2).is_ok());
        let said = ints(&[1, too_large], 2).unwrap_err().to_string();
        assert!(
            said.contains("2147483648 is too large for a device"),
            "{said}"
        );
    }
}
