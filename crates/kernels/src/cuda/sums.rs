//! How sums over rows are cut on a device: by the number of rows alone, so that every sum has one order.

use super::arguments::Arguments;
use super::buffer::Address;
use super::machine::{Grid, Machine};
use candle_core::Result;

/// Most parts of a sum over rows.
const MAX_CHUNKS: usize = 32;
/// Fewest rows of a part, but for the last.
const MIN_CHUNK_ROWS: usize = 64;

/// Parts of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    pub(super) rows: usize,
    pub(super) count: usize,
}

/// The parts of `num_rows`, which isn't 0.
pub(super) fn chunks(num_rows: usize) -> Chunks {
    let rows = num_rows.div_ceil(MAX_CHUNKS).max(MIN_CHUNK_ROWS);
    Chunks {
        rows,
        count: num_rows.div_ceil(rows),
    }
}

/// The sums of the columns of [rows, width] into `out`, [width].
pub(super) fn column_sums(
    machine: &Machine,
    values: Address,
    num_rows: usize,
    width: usize,
    out: Address,
) -> Result<()> {
    let chunks = chunks(num_rows);
    let mut parts = machine.unspecified(chunks.count * width)?;
    let parts = parts.address()?;
    machine.launch(
        "column_sum_parts",
        Grid::tiles(width, chunks.count, 1),
        &Arguments::new()
            .pointer(values)
            .pointer(parts)
            .int(num_rows)
            .int(width)
            .int(chunks.rows),
    )?;
    machine.launch(
        "column_sums",
        Grid::list(width),
        &Arguments::new()
            .pointer(parts)
            .pointer(out)
            .int(chunks.count)
            .int(width),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_and_are_few() {
        for num_rows in [1, 63, 64, 65, 1000, 4096, 100_000] {
            let chunks = chunks(num_rows);
            assert!(chunks.count <= MAX_CHUNKS);
            assert!(chunks.rows * chunks.count >= num_rows);
            assert!(chunks.rows * (chunks.count - 1) < num_rows);
        }
    }
}
