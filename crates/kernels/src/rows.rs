//! How rows are shared between threads: a partition that depends on the number of rows alone, so that every sum over
//! rows has the same order at any number of threads.

use std::ops::Range;

/// Most parts that rows are split into; each may run on a thread of its own and has its own partial sums.
const MAX_CHUNKS: usize = 4;
/// Fewest rows of a part, but for the last.
const MIN_CHUNK_ROWS: usize = 64;
/// Rows handled at a time, so that a block's inner activations stay in the second-level cache.
pub(crate) const BLOCK_ROWS: usize = 512;

/// The parts of `0..num_rows`.
pub(crate) fn chunks(num_rows: usize) -> Vec<Range<usize>> {
    let rows = num_rows
        .div_ceil(MAX_CHUNKS)
        .next_multiple_of(16)
        .max(MIN_CHUNK_ROWS);
    pieces(0..num_rows, rows).collect()
}

/// The blocks of a part.
pub(crate) fn blocks(chunk: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    pieces(chunk, BLOCK_ROWS)
}

/// Few enough rows that those of every expert and output stay in the second-level cache between two readings. Only for
/// passes without sums over rows.
pub(crate) fn strips(num_rows: usize) -> Vec<Range<usize>> {
    const STRIP_ROWS: usize = 64;
    pieces(0..num_rows, STRIP_ROWS).collect()
}

/// Pieces of `rows` rows, the last with what is left.
pub(crate) fn pieces(range: Range<usize>, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(rows)
        .map(move |start| start..end.min(start + rows))
}

/// Cuts [matrices, rows, width] into one slice per (matrix, chunk), chunks innermost.
pub(crate) fn split_mut<'a>(
    data: &'a mut [f32],
    width: usize,
    chunks: &[Range<usize>],
) -> Vec<&'a mut [f32]> {
    let mut rest = data;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        for chunk in chunks {
            let (part, tail) = rest.split_at_mut(chunk.len() * width);
            parts.push(part);
            rest = tail;
        }
    }
    parts
}

/// As [`split_mut`], grouped by chunk: for each, its slice of every matrix.
pub(crate) fn split_by_chunk<'a>(
    data: &'a mut [f32],
    width: usize,
    chunks: &[Range<usize>],
) -> Vec<Vec<&'a mut [f32]>> {
    let mut groups: Vec<Vec<&mut [f32]>> = chunks.iter().map(|_| Vec::new()).collect();
    for (index, part) in split_mut(data, width, chunks).into_iter().enumerate() {
        groups[index % chunks.len()].push(part);
    }
    groups
}

/// The rows `range` of matrix `index` in [matrices, rows, width].
pub(crate) fn rows_of<'a>(
    data: &'a [f32],
    index: usize,
    num_rows: usize,
    range: &Range<usize>,
    width: usize,
) -> &'a [f32] {
    let start = (index * num_rows + range.start) * width;
    &data[start..start + range.len() * width]
}

/// Adds up the chunks' parts of a sum, in order: `out (+)= part 0 + part 1 + ...`.
pub(crate) fn reduce_parts(out: &mut [f32], parts: &[f32], add: bool) {
    for (index, part) in parts.chunks_exact(out.len()).enumerate() {
        crate::product::add_or_copy(out, part, add || index > 0);
    }
}

/// A vector of this length whose values are unspecified: for outputs that are written in full before they are read.
///
/// Clearing would be a pass over memory of its own, a fifth of the time of a training step.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) fn unspecified(length: usize) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(length);
    // SAFETY: the capacity is there. A float that nobody wrote is not a float to the compiler, and a slice of such would be undefined
    // behaviour. It has to assume that the assembly, which gets the pointer and may write to memory, wrote all of them; in fact it is
    // empty. What is there is whatever memory holds, and callers write before they read.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) values.as_mut_ptr(), options(nostack, preserves_flags));
        values.set_len(length);
    }
    values
}

/// A vector of this length, for outputs that are written in full before they are read.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn unspecified(length: usize) -> Vec<f32> {
    vec![0.0; length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once() {
        for num_rows in [1, 2, 63, 64, 65, 255, 1000, 4096, 5000] {
            let parts = chunks(num_rows);
            assert!(parts.len() <= MAX_CHUNKS);
            let mut next = 0;
            for part in &parts {
                for block in blocks(part.clone()) {
                    assert_eq!(block.start, next);
                    assert!(block.end > block.start);
                    next = block.end;
                }
            }
            assert_eq!(next, num_rows);
        }
    }

    #[test]
    fn splitting_follows_matrices_and_chunks() {
        let mut data: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let parts = split_mut(&mut data, 2, &[0..2, 2..3]);
        let starts: Vec<f32> = parts.iter().map(|p| p[0]).collect();
        assert_eq!(starts, [0.0, 4.0, 6.0, 10.0]);
    }
}
