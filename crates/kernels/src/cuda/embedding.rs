//! Embedding tables on a device: gathered into a batch's input, and dropout of it.

use super::arguments::{Arguments, POINTERS};
use super::buffer::Address;
use super::machine::{Grid, Machine};
use crate::dropout::Dropout;
use crate::optimizer::Columns;
use candle_core::Result;

/// Tables of one width, and where their units go in a batch's input, [rows, stride].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather<'a> {
    pub(crate) tables: &'a [Address],
    pub(crate) dim: usize,
    pub(crate) num_rows: usize,
    pub(crate) out: Address,
    pub(crate) columns: Columns,
}

impl Gather<'_> {
    /// Writes the rows of `ids` ([rows, tables], on the device).
    pub(crate) fn single(&self, machine: &Machine, ids: Address) -> Result<()> {
        for first in (0..self.tables.len()).step_by(POINTERS) {
            let group = self.group(first);
            let arguments = Arguments::new()
                .pointers(group)
                .pointer(ids)
                .pointer(self.out)
                .int(self.num_rows)
                .int(group.len())
                .int(self.dim)
                .int(self.tables.len())
                .int(first)
                .int(self.columns.stride)
                .int(self.columns.offset + first * self.dim);
            machine.launch("embedding_gather", self.grid(group), &arguments)?;
        }
        Ok(())
    }

    /// Writes the pooled rows of lists: `ends` ([rows, tables]) into `ids`, both on the device. Of tables whose place in `mean`
    /// is true, the mean and otherwise the sum.
    pub(crate) fn pooled(
        &self,
        machine: &Machine,
        ids: Address,
        ends: Address,
        mean: &[bool],
    ) -> Result<()> {
        for first in (0..self.tables.len()).step_by(POINTERS) {
            let group = self.group(first);
            let of_group = mean[first..first + group.len()].iter().enumerate();
            let bits = of_group.fold(0u64, |bits, (place, mean)| bits | u64::from(*mean) << place);
            let arguments = Arguments::new()
                .pointers(group)
                .pointer(ids)
                .pointer(ends)
                .pointer(self.out)
                .int(self.num_rows)
                .int(group.len())
                .int(self.dim)
                .int(self.tables.len())
                .int(first)
                .bits(bits)
                .int(self.columns.stride)
                .int(self.columns.offset + first * self.dim);
            machine.launch("embedding_pool", self.grid(group), &arguments)?;
        }
        Ok(())
    }

    fn group(&self, first: usize) -> &[Address] {
        &self.tables[first..self.tables.len().min(first + POINTERS)]
    }

    fn grid(&self, group: &[Address]) -> Grid {
        Grid::list(self.num_rows * group.len() * self.dim)
    }
}

/// Masks `width` columns of `num_rows` rows as [`Dropout::apply`] does.
pub(crate) fn dropout(
    machine: &Machine,
    dropout: &Dropout,
    values: Address,
    num_rows: usize,
    columns: Columns,
    width: usize,
) -> Result<()> {
    if dropout.rate() == 0.0 || width == 0 {
        return Ok(());
    }
    let [key0, key1] = dropout.key();
    machine.launch(
        "dropout",
        Grid::list(num_rows * width.div_ceil(4)),
        &Arguments::new()
            .pointer(values)
            .int(num_rows)
            .int(columns.stride)
            .int(columns.offset)
            .int(width)
            .float(dropout.rate())
            .float(1.0 / (1.0 - dropout.rate()))
            .unsigned(key0)
            .unsigned(key1),
    )
}
