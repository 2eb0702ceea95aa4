//! Many small copies in few launches.

use super::arguments::{Arguments, addresses, ints};
use super::buffer::Address;
use super::machine::{Grid, LIST_THREADS, Machine};
use candle_core::Result;

/// Copies of one launch; as in kernels/copies.cu.
const COPIES: usize = 24;
/// Most blocks of one copy.
const MAX_BLOCKS: usize = 64;

/// A matrix, [rows, columns], copied or added; rows lie strides apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) to: Address,
    pub(super) to_stride: usize,
    /// Null for zeros.
    pub(super) from: Address,
    /// 0 to repeat one row.
    pub(super) from_stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) add: bool,
}

impl Copy {
    /// `count` values that follow one another.
    pub(super) fn values(to: Address, from: Address, count: usize, add: bool) -> Self {
        Self {
            to,
            to_stride: count,
            from,
            from_stride: count,
            rows: 1,
            columns: count,
            add,
        }
    }
}

/// Copies in the order in which they are pushed, as far as they write to the same place.
pub(super) struct Copies<'a> {
    machine: &'a Machine,
    pending: Vec<Copy>,
}

impl<'a> Copies<'a> {
    pub(super) fn new(machine: &'a Machine) -> Self {
        Self {
            machine,
            pending: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, copy: Copy) -> Result<()> {
        if copy.rows == 0 || copy.columns == 0 {
            return Ok(());
        }
        // Copies of one launch run side by side.
        let writes_again = self.pending.iter().any(|other| other.to == copy.to);
        if writes_again || self.pending.len() == COPIES {
            self.launch()?;
        }
        self.pending.push(copy);
        Ok(())
    }

    /// Runs what was pushed since the last launch.
    pub(super) fn launch(&mut self) -> Result<()> {
        let copies = std::mem::take(&mut self.pending);
        let largest = copies.iter().map(|copy| copy.rows * copy.columns).max();
        let Some(largest) = largest else {
            return Ok(());
        };
        let field = |of: fn(&Copy) -> usize| copies.iter().map(of).collect::<Vec<_>>();
        let to: Vec<Address> = copies.iter().map(|copy| copy.to).collect();
        let from: Vec<Address> = copies.iter().map(|copy| copy.from).collect();
        let words: Vec<u64> = addresses(&to, COPIES)
            .chain(addresses(&from, COPIES))
            .chain(ints(&field(|c| c.to_stride), COPIES))
            .chain(ints(&field(|c| c.from_stride), COPIES))
            .chain(ints(&field(|c| c.rows), COPIES))
            .chain(ints(&field(|c| c.columns), COPIES))
            .chain(ints(&field(|c| usize::from(c.add)), COPIES))
            .collect();
        let mut grid = Grid::lists(largest.min(MAX_BLOCKS * LIST_THREADS), copies.len());
        grid.threads = [LIST_THREADS, 1];
        let arguments = Arguments::new().structure(&words);
        self.machine.launch("copy_blocks", grid, &arguments)
    }
}

/// `to = from` or, with `add`, `to += from`, over `count` values.
pub(crate) fn add_values(
    machine: &Machine,
    to: Address,
    from: Address,
    count: usize,
    add: bool,
) -> Result<()> {
    let mut copies = Copies::new(machine);
    copies.push(Copy::values(to, from, count, add))?;
    copies.launch()
}

/// Copies [rows, width] from `from` into columns of [rows, stride] that begin at `to`.
pub(crate) fn copy_columns(
    machine: &Machine,
    to: Address,
    stride: usize,
    from: Address,
    rows: usize,
    width: usize,
) -> Result<()> {
    let mut copies = Copies::new(machine);
    copies.push(Copy {
        to,
        to_stride: stride,
        from,
        from_stride: width,
        rows,
        columns: width,
        add: false,
    })?;
    copies.launch()
}
