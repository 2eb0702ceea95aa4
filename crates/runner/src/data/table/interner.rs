//! Distinct texts of a column, numbered in order of appearance.

/// Texts and their numbers. Ids and their order depend on the texts alone.
#[derive(Debug, Clone)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    /// End of each text in `bytes`.
    ends: Vec<u32>,
    hashes: Vec<u64>,
    /// How often each was seen in training rows.
    counts: Vec<u64>,
    /// Open addressing over a power of two; id + 1, 0 is free.
    slots: Vec<u32>,
    last: u32,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            counts: Vec::new(),
            slots: vec![0; 32],
            last: u32::MAX,
        }
    }
}

impl Interner {
    /// The number of `text`, whose count of training rows grows by `count`.
    #[inline]
    pub(super) fn intern(&mut self, text: &[u8], count: u64) -> u32 {
        // Neighbouring rows often agree.
        let id = if self.last != u32::MAX && self.text(self.last) == text {
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
        let mut slot = self.first_slot(hash);
        loop {
            match self.slots[slot] {
                0 => break,
                filled => {
                    let id = filled - 1;
                    if self.hashes[id as usize] == hash && self.text(id) == text {
                        return id;
                    }
                }
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(
            u32::try_from(self.bytes.len()).expect("distinct values of a column fit in 4 GiB"),
        );
        self.hashes.push(hash);
        self.counts.push(0);
        self.slots[slot] = id + 1;
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        id
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 4];
        for id in 0..self.hashes.len() {
            let mut slot = self.first_slot(self.hashes[id]);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = id as u32 + 1;
        }
    }

    fn first_slot(&self, hash: u64) -> usize {
        (hash >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// Counts a text once more.
    pub(super) fn count_again(&mut self, id: u32) {
        self.counts[id as usize] += 1;
    }

    /// The number of a text that was seen, by its hash.
    pub(super) fn get(&self, text: &[u8]) -> Option<u32> {
        let hash = hash(text);
        let mut slot = self.first_slot(hash);
        loop {
            let id = self.slots[slot].checked_sub(1)?;
            if self.hashes[id as usize] == hash && self.text(id) == text {
                return Some(id);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// The text of a number.
    #[inline]
    pub(super) fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 {
            0
        } else {
            self.ends[id - 1] as usize
        };
        &self.bytes[start..self.ends[id] as usize]
    }

    /// Training rows with the text of this number.
    pub(super) fn count(&self, id: u32) -> u64 {
        self.counts[id as usize]
    }

    /// Number of distinct texts.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Eight bytes at a time; good enough for a table that compares on a match.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let mut words = text.chunks_exact(8);
    let mut hash = text.len() as u64;
    for word in &mut words {
        hash = mix(
            hash,
            u64::from_le_bytes(word.try_into().expect("eight bytes")),
        );
    }
    let mut tail = [0; 8];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(hash, u64::from_le_bytes(tail)) ^ (hash >> 29)
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
    fn an_empty_text_is_a_text() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern(b"", 0), 0);
        assert_eq!(interner.intern(b"a", 0), 1);
        assert_eq!(interner.intern(b"", 5), 0);
        assert_eq!((interner.text(0), interner.count(0)), (&b""[..], 5));
    }
}
