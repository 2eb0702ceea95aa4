//! The records of a piece of delimited text, one after another.
//!
//! Text without quotes (most of it) is cut where a mask of 64 bytes at a time shows separators and line ends; nothing is
//! copied. The `csv` crate reads text with quotes.

use super::text_rows::{reader, trim};
use crate::schema::Format;

/// Reads record after record.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    format: Format,
    way: Way<'a>,
    /// Where each field of the record starts and ends.
    // Kept from record to record, which saves an allocation a row.
    bounds: Vec<(usize, usize)>,
}

enum Way<'a> {
    Plain {
        marks: Marks<'a>,
        start: usize,
    },
    Quoted {
        reader: csv::Reader<&'a [u8]>,
        record: csv::ByteRecord,
    },
}

/// The fields of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    text: &'a [u8],
    bounds: &'a [(usize, usize)],
    trim_spaces: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8], format: Format) -> Self {
        // A piece without a quote needs no state machine, whatever the format allows.
        let way = match format.quotes && memchr::memchr(b'"', bytes).is_some() {
            true => Way::Quoted {
                reader: reader(bytes, format),
                record: csv::ByteRecord::with_capacity(1024, 64),
            },
            false => Way::Plain {
                marks: Marks::new(bytes, format.separator),
                start: 0,
            },
        };
        Self {
            bytes,
            format,
            way,
            bounds: Vec::new(),
        }
    }

    /// The next record; lines without a character are none.
    ///
    /// # Errors
    /// What the `csv` crate can't read.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, csv::Error> {
        let Self {
            bytes,
            format,
            way,
            bounds,
        } = self;
        let text: &[u8] = match way {
            Way::Plain { marks, start } => loop {
                if !next_plain(bytes, marks, start, bounds) {
                    return Ok(None);
                }
                if !is_blank(bytes, bounds) {
                    break bytes;
                }
            },
            Way::Quoted { reader, record } => loop {
                if !reader.read_byte_record(record)? {
                    return Ok(None);
                }
                bounds.clear();
                let ranges = (0..record.len()).filter_map(|index| record.range(index));
                bounds.extend(ranges.map(|range| (range.start, range.end)));
                if bounds.len() != 1 || record.as_slice() != b"\r" {
                    break record.as_slice();
                }
            },
        };
        // The carriage return of a line end is no part of the last field.
        if let Some((start, end)) = bounds.last_mut()
            && *end > *start
            && text[*end - 1] == b'\r'
        {
            *end -= 1;
        }
        Ok(Some(Record {
            text,
            bounds,
            trim_spaces: format.trim_spaces,
        }))
    }
}

/// Finds the fields up to the next line end; false where no text is left.
#[inline]
fn next_plain(
    bytes: &[u8],
    marks: &mut Marks<'_>,
    start: &mut usize,
    bounds: &mut Vec<(usize, usize)>,
) -> bool {
    bounds.clear();
    if *start >= bytes.len() {
        return false;
    }
    for at in marks {
        bounds.push((*start, at));
        *start = at + 1;
        if bytes[at] == b'\n' {
            return true;
        }
    }
    // The last line has no end.
    bounds.push((*start, bytes.len()));
    *start = bytes.len() + 1;
    true
}

#[inline]
fn is_blank(text: &[u8], bounds: &[(usize, usize)]) -> bool {
    matches!(bounds, [(start, end)] if matches!(&text[*start..*end], b"" | b"\r"))
}

impl<'a> Record<'a> {
    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// A field without the spaces and line ends that belong to the layout.
    #[inline]
    pub(super) fn field(&self, column: usize) -> &'a [u8] {
        let (start, end) = self.bounds[column];
        let field = &self.text[start..end];
        match self.trim_spaces {
            true => trim(field),
            false => field,
        }
    }
}

/// Places of separators and line ends.
struct Marks<'a> {
    bytes: &'a [u8],
    separator: u8,
    /// Where the 64 bytes of the mask start.
    base: usize,
    mask: u64,
}

impl<'a> Marks<'a> {
    fn new(bytes: &'a [u8], separator: u8) -> Self {
        let mut marks = Self {
            bytes,
            separator,
            base: 0,
            mask: 0,
        };
        marks.mask = marks.mask_at(0);
        marks
    }

    #[inline]
    fn mask_at(&self, base: usize) -> u64 {
        let rest = &self.bytes[base..];
        match rest.first_chunk::<64>() {
            Some(block) => mask(block, self.separator),
            None => {
                let mut block = [0; 64];
                block[..rest.len()].copy_from_slice(rest);
                mask(&block, self.separator) & ((1 << rest.len()) - 1)
            }
        }
    }
}

impl Iterator for Marks<'_> {
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

/// A bit for each byte that is the separator or a line end.
#[inline]
fn mask(block: &[u8; 64], separator: u8) -> u64 {
    // SSE2 is part of every x86-64 processor, so that nothing has to be asked at run time.
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8,
        };
        let quarter = |index: usize| {
            // SAFETY: every x86-64 processor has these instructions; the 16 bytes lie inside the block.
            let found = unsafe {
                let bytes = _mm_loadu_si128(block.as_ptr().add(16 * index).cast::<__m128i>());
                let separators = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(separator as i8));
                let line_ends = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8));
                _mm_movemask_epi8(_mm_or_si128(separators, line_ends))
            };
            u64::from(found as u32) << (16 * index)
        };
        quarter(0) | quarter(1) | quarter(2) | quarter(3)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bits = (0..64).map(|at| u64::from(block[at] == separator || block[at] == b'\n') << at);
        bits.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Encoding;

    fn format(quotes: bool) -> Format {
        Format {
            kind: None,
            separator: b',',
            has_header: false,
            quotes,
            trim_spaces: true,
            encoding: Encoding::Utf8,
        }
    }

    fn all(text: &[u8], format: Format) -> Vec<Vec<String>> {
        let mut records = Records::new(text, format);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let field = |column| String::from_utf8_lossy(record.field(column)).into_owned();
            found.push((0..record.len()).map(field).collect());
        }
        found
    }

    #[test]
    fn lines_without_a_character_are_no_records_and_spaces_and_line_ends_no_part_of_fields() {
        let text = b"\n\r\na, b ,c\r\n\n ,,\nlast,\xff,1";
        let expected = [
            vec!["a", "b", "c"],
            vec!["", "", ""],
            vec!["last", "\u{fffd}", "1"],
        ];
        assert_eq!(all(text, format(false)), expected);
        assert_eq!(all(text, format(true)), expected);
        assert!(all(b"", format(false)).is_empty());
        assert_eq!(all(b"a,", format(false)), [["a", ""]]);
    }

    #[test]
    fn both_ways_find_the_same_fields_wherever_they_lie_in_the_mask() {
        for length in 0..150 {
            let filler = "x".repeat(length);
            let text = format!("{filler},1\n2,{filler}\r\n,{filler}\n{filler}\n");
            let plain = all(text.as_bytes(), format(false));
            // One quoted field turns the whole piece over to the csv crate.
            let quoted = all(format!("{text}\"q\"\n").as_bytes(), format(true));
            assert_eq!(plain[..], quoted[..quoted.len() - 1], "{length}");
        }
    }

    #[test]
    fn quotes_hold_separators_and_line_ends() {
        let text = b"\"a,b\",\"c\nd\"\r\n1,\"say \"\"hi\"\"\"\n";
        let expected = [["a,b", "c\nd"], ["1", "say \"hi\""]];
        assert_eq!(all(text, format(true)), expected);
    }
}
