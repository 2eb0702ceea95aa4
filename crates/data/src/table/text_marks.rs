//! Places of a few bytes in text, 64 bytes at a time.

/// Finds the next byte of several.
pub(super) struct Marks<'a, const N: usize> {
    bytes: &'a [u8],
    wanted: [u8; N],
    /// Where the 64 bytes of the mask start.
    base: usize,
    mask: u64,
}

impl<'a, const N: usize> Marks<'a, N> {
    pub(super) fn new(bytes: &'a [u8], wanted: [u8; N]) -> Self {
        let mut marks = Self {
            bytes,
            wanted,
            base: 0,
            mask: 0,
        };
        marks.mask = marks.mask_at(0);
        marks
    }

    /// Leaves out every byte before this one, which is never before those found already.
    #[inline]
    pub(super) fn seek(&mut self, at: usize) {
        if at >= self.base + 64 {
            if at >= self.bytes.len() {
                // Past the end nothing is found.
                self.base = self.bytes.len() / 64 * 64;
                self.mask = 0;
                return;
            }
            self.base = at / 64 * 64;
            self.mask = self.mask_at(self.base);
        }
        self.mask &= u64::MAX << (at - self.base);
    }

    #[inline]
    fn mask_at(&self, base: usize) -> u64 {
        let rest = &self.bytes[base..];
        match rest.first_chunk::<64>() {
            Some(block) => mask(block, self.wanted),
            None => {
                let mut block = [0; 64];
                block[..rest.len()].copy_from_slice(rest);
                mask(&block, self.wanted) & ((1 << rest.len()) - 1)
            }
        }
    }
}

impl<const N: usize> Iterator for Marks<'_, N> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            if self.base + 64 >= self.bytes.len() {
                return None;
            }
            self.base += 64;
            self.mask = self.mask_at(self.base);
        }
        let bit = self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(self.base + bit)
    }
}

/// A bit for each byte that is one of those wanted.
#[inline]
fn mask<const N: usize>(block: &[u8; 64], wanted: [u8; N]) -> u64 {
    // SSE2 is part of every x86-64 processor, so that nothing has to be asked at run time.
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8, _mm_setzero_si128,
        };
        let quarter = |index: usize| {
            // SAFETY: every x86-64 processor has these instructions; the 16 bytes lie inside the block.
            let found = unsafe {
                let bytes = _mm_loadu_si128(block.as_ptr().add(16 * index).cast::<__m128i>());
                let mut found = _mm_setzero_si128();
                for byte in wanted {
                    let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
                    found = _mm_or_si128(found, equal);
                }
                _mm_movemask_epi8(found)
            };
            u64::from(found as u32) << (16 * index)
        };
        quarter(0) | quarter(1) | quarter(2) | quarter(3)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bits = (0..64).map(|at| u64::from(wanted.contains(&block[at])) << at);
        bits.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_once_and_none_before_the_one_sought() {
        let text: Vec<u8> = (0..300u32)
            .map(|at| b"abc,\n\""[(at * at % 6) as usize])
            .collect();
        let wanted = [b',', b'\n', b'"', b'"'];
        let expected: Vec<usize> = (0..text.len())
            .filter(|at| wanted.contains(&text[*at]))
            .collect();
        assert_eq!(Marks::new(&text, wanted).collect::<Vec<_>>(), expected);
        for from in 0..=text.len() {
            let mut marks = Marks::new(&text, wanted);
            marks.seek(from);
            assert_eq!(
                marks.next(),
                expected.iter().copied().find(|at| *at >= from)
            );
        }
        assert_eq!(Marks::new(b"", wanted).next(), None);
    }
}
