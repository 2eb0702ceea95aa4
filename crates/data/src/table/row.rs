//! What reading needs of a row, whatever kind of file it comes from.

use super::bad_row::Fault;

/// A row of a file; columns are those of the description.
pub(crate) trait Row {
    /// The text of a column, empty where nothing is there.
    fn text(&self, column: usize) -> &[u8];

    /// Gives every value of a column that holds several, without empty ones.
    fn values(&self, column: usize, separator: u8, visit: &mut dyn FnMut(&[u8]));

    /// Whether the values of a column that holds several are texts of the type that the description gives it already.
    fn has_typed_values(&self, _column: usize) -> bool {
        false
    }
}

/// Is shown the rows of a piece, one by one.
pub(crate) trait Visit {
    /// Takes the `index`-th row of the piece.
    ///
    /// # Errors
    /// What is wrong with it; no row after it is shown.
    fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault>;
}

/// The number of a value for hashed features: the first four bytes of its BLAKE3 hash, and 0 where nothing is there.
pub(crate) fn hash(value: &[u8]) -> u32 {
    if value.is_empty() {
        return 0;
    }
    // A published hash: ids are the same on every machine, and other programs can compute them
    // (docs/data.md).
    let digest = blake3::hash(value);
    let first: [u8; 4] = digest.as_bytes()[..4].try_into().expect("32 bytes");
    // 0 is kept for nothing there.
    u32::from_le_bytes(first).max(1)
}

/// The bucket of a hash, from 1; 0 where nothing is there.
pub(crate) fn bucket(hash: u32, buckets: u32) -> u32 {
    match hash {
        0 => 0,
        // The upper bits decide, as docs/data.md promises: 1 + floor(h * buckets / 2^32).
        hash => 1 + ((u64::from(hash) * u64::from(buckets)) >> 32) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_published_hash_and_about_even() {
        // First bytes of the BLAKE3 hash of "abc": 64 37 b3 ac.
        assert_eq!(hash(b"abc"), 0xacb3_3764);
        assert_eq!((hash(b""), bucket(0, 10)), (0, 0));
        assert_eq!(bucket(u32::MAX, 10), 10);
        let mut counts = [0; 11];
        for value in 0..10_000 {
            counts[bucket(hash(value.to_string().as_bytes()), 10) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(
            counts[1..].iter().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
    }
}
