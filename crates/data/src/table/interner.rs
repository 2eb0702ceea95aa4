//! Distinct texts of a column, numbered in order of appearance.

/// Bytes of distinct texts that an interner can hold: their ends are counted in 32 bits.
const MOST_BYTES: usize = u32::MAX as usize;

/// Texts and their numbers. Ids and their order depend on the texts alone.
///
/// Texts beyond [`MOST_BYTES`] are not kept, and [`is_full`](Interner::is_full) says so from then on: whoever interns texts of
/// unknown number has to ask, so that the loop over rows needs not.
#[derive(Debug, Clone)]
pub(crate) struct Interner {
    bytes: Vec<u8>,
    /// End of each text in `bytes`, after a 0.
    ends: Vec<u32>,
    hashes: Vec<u64>,
    /// How often each was seen in training rows.
    counts: Vec<u64>,
    /// Open addressing over a power of two: the lower half of a hash, and id + 1; 0 is free.
    // Half of the hash beside the id: most strangers are told apart without a look at their text.
    slots: Vec<(u32, u32)>,
    last: u32,
    most_bytes: usize,
    is_full: bool,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: vec![0],
            hashes: Vec::new(),
            counts: Vec::new(),
            slots: vec![(0, 0); 32],
            last: u32::MAX,
            most_bytes: MOST_BYTES,
            is_full: false,
        }
    }
}

impl Interner {
    /// One that holds fewer bytes, to test what happens beyond.
    #[cfg(test)]
    pub(crate) fn with_most_bytes(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            ..Self::default()
        }
    }

    /// Whether a text was left out because there was no room for it; its number is wrong.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The number of `text`, whose count of training rows grows by `count`.
    #[inline]
    pub(crate) fn intern(&mut self, text: &[u8], count: u64) -> u32 {
        // Neighbouring rows often agree.
        let id = if self.last != u32::MAX && is_same(self.text(self.last), text) {
            self.last
        } else {
            self.find_or_insert(text)
        };
        self.last = id;
        self.counts[id as usize] += count;
        id
    }

    fn find_or_insert(&mut self, text: &[u8]) -> u32 {
        let hash = hash(text);
        let slot = match self.find(text, hash) {
            Ok(id) => return id,
            Err(slot) => slot,
        };
        if self.bytes.len() + text.len() > self.most_bytes {
            self.is_full = true;
            // Every number that is given is one of a text.
            return match self.hashes.is_empty() {
                true => self.find_or_insert(b""),
                false => 0,
            };
        }
        // Numbers go by appearance and not by hash, so that they are the same for any hash and
        // table size.
        let id = self.hashes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        self.hashes.push(hash);
        self.counts.push(0);
        self.slots[slot] = (hash as u32, id + 1);
        // At most half full: with linear probing a look-up then takes 1.5 slots on average where
        // the text is there, 2.5 where it isn't (Knuth, volume 3, 6.4).
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        id
    }

    /// The number of a text, or the free slot where it belongs.
    #[inline]
    fn find(&self, text: &[u8], hash: u64) -> Result<u32, usize> {
        let mut slot = self.first_slot(hash);
        loop {
            let (low, filled) = self.slots[slot];
            let Some(id) = filled.checked_sub(1) else {
                return Err(slot);
            };
            if low == hash as u32 && is_same(self.text(id), text) {
                return Ok(id);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn grow(&mut self) {
        // Fourfold, so that the table is an eighth full after it and texts are seldom moved.
        self.slots = vec![(0, 0); self.slots.len() * 4];
        for (id, hash) in (1..).zip(&self.hashes) {
            let mut slot = self.first_slot(*hash);
            while self.slots[slot].1 != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = (*hash as u32, id);
        }
    }

    fn first_slot(&self, hash: u64) -> usize {
        // The high bits, which a multiplication mixes best.
        (hash >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// Counts a text once more.
    pub(crate) fn count_again(&mut self, id: u32) {
        self.counts[id as usize] += 1;
    }

    /// The number of a text that was seen, by its hash.
    pub(crate) fn get(&self, text: &[u8]) -> Option<u32> {
        self.find(text, hash(text)).ok()
    }

    /// The text of a number.
    #[inline]
    pub(crate) fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        &self.bytes[self.ends[id] as usize..self.ends[id + 1] as usize]
    }

    /// Training rows with the text of this number.
    pub(crate) fn count(&self, id: u32) -> u64 {
        self.counts[id as usize]
    }

    /// Bytes of all distinct texts.
    pub(crate) fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of distinct texts.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// Words of eight bytes that cover a text; the last overlaps the one before. A text of less is one word.
#[inline]
fn words(text: &[u8]) -> (impl Iterator<Item = u64>, u64) {
    let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
    let last = match text.last_chunk::<8>() {
        Some(eight) => word(eight),
        None => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => text
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
        },
    };
    let whole = text[..text.len().saturating_sub(1)].as_chunks::<8>().0;
    (whole.iter().map(word), last)
}

/// Whether two texts are equal; short ones are compared without a call.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((mut left, left_last), (mut right, right_last)) = (words(a), words(b));
    left_last == right_last && left.by_ref().eq(right.by_ref())
}

/// Eight bytes at a time; good enough for a table that compares on a match.
#[inline]
fn hash(text: &[u8]) -> u64 {
    // 2^64 over the golden ratio, odd: it spreads words that differ little over the high bits,
    // where slots come from.
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let (whole, last) = words(text);
    let hash = mix(whole.fold(text.len() as u64, mix), last);
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_numbers_while_the_table_grows() {
        let mut interner = Interner::default();
        let texts: Vec<String> = (0..5000)
            .map(|i| format!("value {}", i * 7919 % 5000))
            .collect();
        for round in 1..=2 {
            for (id, text) in texts.iter().enumerate() {
                assert_eq!(interner.intern(text.as_bytes(), 1), id as u32);
                assert_eq!(interner.count(id as u32), round);
            }
        }
        assert_eq!(interner.len(), 5000);
        assert_eq!(interner.text(4999), texts[4999].as_bytes());
        assert_eq!(interner.get(texts[77].as_bytes()), Some(77));
        assert_eq!(interner.get(b"absent"), None);
    }

    #[test]
    fn texts_that_differ_in_one_byte_or_in_length_are_two() {
        let mut interner = Interner::default();
        let mut expected = 0;
        for length in 0..40 {
            let text = vec![b'a'; length];
            assert_eq!(interner.intern(&text, 0), expected);
            expected += 1;
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'b';
                assert_eq!(interner.intern(&other, 0), expected, "{length} {at}");
                expected += 1;
                assert_eq!(interner.get(&text), Some(expected - 2 - at as u32));
            }
        }
    }

    #[test]
    fn a_text_beyond_the_room_is_left_out_and_said() {
        let mut interner = Interner::with_most_bytes(8);
        assert_eq!(interner.intern(b"four", 1), 0);
        assert_eq!(interner.intern(b"8888", 1), 1);
        assert!(!interner.is_full());
        assert_eq!(interner.intern(b"!", 1), 0);
        assert!(interner.is_full());
        // Those that are there are found still.
        assert_eq!(interner.intern(b"8888", 1), 1);
        assert_eq!((interner.len(), interner.get(b"!")), (2, None));
        let mut interner = Interner::with_most_bytes(8);
        assert_eq!(interner.intern(b"too long by far", 1), 0);
        assert!(interner.is_full());
        assert_eq!(interner.text(0), b"");
    }

    #[test]
    fn an_empty_text_is_a_text() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern(b"", 0), 0);
        assert_eq!(interner.intern(b"a", 0), 1);
        assert_eq!(interner.intern(b"", 5), 0);
        assert_eq!((interner.text(0), interner.count(0)), (&b""[..], 5));
    }
}
