//! The bytes of TensorBoard's event files: records of TensorFlow's format, each an `Event` in protocol buffers.
//!
//! Written here, since no kept crate writes them: `tensorboard-rs` and `tboard` had their last releases years ago, and bring the schema
//! of all of TensorFlow. Of that, learning curves need two messages with five fields. Sources: `record_writer.cc`, `event.proto` and
//! `summary.proto` of TensorFlow.

use std::io::{self, Read};

/// What an event file begins with.
const VERSION: &str = "brain.Event:2";
/// Added to a rotated checksum, so that a checksum of data that has checksums in it is one of its own.
const MASK: u32 = 0xa282_ead8;
/// Bytes of a length, and of its checksum.
const HEAD: usize = 8 + 4;
/// No event of ours is longer: each has some scores of some tasks.
const LONGEST: u64 = 1 << 24;

/// The first record of a file.
pub(super) fn header(wall_seconds: f64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_seconds);
    bytes(&mut event, 3, VERSION.as_bytes());
    record(&event)
}

/// A record of scalars, by their names, after so many steps.
pub(super) fn scalars<'a>(
    wall_seconds: f64,
    step: u64,
    values: impl IntoIterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut scalar = Vec::new();
        bytes(&mut scalar, 1, tag.as_bytes());
        key(&mut scalar, 2, 5);
        // All that TensorBoard keeps of a number.
        scalar.extend((value as f32).to_le_bytes());
        bytes(&mut summary, 1, &scalar);
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_seconds);
    key(&mut event, 2, 0);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    record(&event)
}

/// Whether a file begins as one of ours: with the first record of any time, or a piece of it that a killed process left.
///
/// # Errors
/// The file can't be read.
pub(super) fn is_event_file(file: &mut impl Read) -> io::Result<bool> {
    let whole = header(0.0);
    let mut found = Vec::new();
    file.take(whole.len() as u64).read_to_end(&mut found)?;
    // Between its length and its version the record has its time, and at its end a checksum of that.
    let fixed = (0..=HEAD).chain(HEAD + 9..whole.len() - 4);
    let is_begun = fixed
        .take_while(|place| *place < found.len())
        .all(|place| found[place] == whole[place]);
    let is_whole = found.len() == whole.len();
    Ok(is_begun && (!is_whole || whole_record(&found).is_some()))
}

/// Ends of the whole records that a file begins with, in order.
///
/// # Errors
/// The file can't be read.
pub(super) fn ends_of_records(file: &mut impl Read) -> io::Result<Vec<u64>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut ends = Vec::new();
    let mut start = 0;
    while let Some(length) = whole_record(&text[start..]) {
        start += length;
        ends.push(start as u64);
    }
    Ok(ends)
}

/// The length of the record that some bytes begin with; none where it is not whole.
fn whole_record(text: &[u8]) -> Option<usize> {
    let length = text.get(..8)?;
    let number = u64::from_le_bytes(length.try_into().ok()?);
    let end = HEAD + usize::try_from(number).ok().filter(|_| number <= LONGEST)?;
    let data = text.get(HEAD..end)?;
    let is_sum = |of: &[u8], at: usize| text.get(at..at + 4) == Some(&checksum(of)[..]);
    (is_sum(length, 8) && is_sum(data, end)).then_some(end + 4)
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(MASK)
        .to_le_bytes()
}

/// What a field begins with: its number and the kind of its value.
fn key(out: &mut Vec<u8>, field: u64, kind: u64) {
    varint(out, field << 3 | kind);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by tests/golden/event_file.py, with the Python package tensorboard 2.21.0.
    #[test]
    fn records_are_those_of_the_tensorboard_package() {
        let hex = |record: Vec<u8>| -> String {
            record.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(hex(header(1.5)), HEADER);
        let values = [("loss/train/all", 0.5), ("auc/validation/click", 0.75)];
        assert_eq!(hex(scalars(2.25, 300, values)), SCALARS);
    }

    const HEADER: &str =
        "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
    const SCALARS: &str = "420000000000000079f36eaa09000000000000024010ac022a340a150a0e6c6f73732f747261696e2f616c6c150000003f0a\
        1b0a146175632f76616c69646174696f6e2f636c69636b150000403fdc09e238";

    #[test]
    fn what_was_cut_or_altered_is_no_record() {
        let whole = [header(1.0), scalars(2.0, 7, [("a", 0.5)])].concat();
        let ends = |text: &[u8]| ends_of_records(&mut &text[..]).unwrap();
        let all = ends(&whole);
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], whole.len() as u64);
        for length in 0..whole.len() {
            let expected = usize::from(length as u64 >= all[0]);
            assert_eq!(ends(&whole[..length]).len(), expected, "{length}");
        }
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            let expected = usize::from(place as u64 >= all[0]);
            assert_eq!(ends(&altered).len(), expected, "{place}");
        }
    }
}
