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
    /// Writes the rows of `ids` ([rows, tables]) or, where `lists` are given, their pooled rows: where each list ends in `ids`
    /// ([rows, tables]), and of which tables the mean and not the sum. Ids and ends are on the device.
    pub(crate) fn launch(
        &self,
        machine: &Machine,
        ids: Address,
        lists: Option<(Address, &[bool])>,
    ) -> Result<()> {
        for first in (0..self.tables.len()).step_by(POINTERS) {
            let group = self.group(first);
            let mut kernel = "embedding_gather";
            let mut arguments = Arguments::new().pointers(group).pointer(ids);
            if let Some((ends, _)) = lists {
                kernel = "embedding_pool";
                arguments = arguments.pointer(ends);
            }
            arguments = arguments
                .pointer(self.out)
                .int(self.num_rows)
                .int(group.len())
                .int(self.dim)
                .int(self.tables.len())
                .int(first);
            if let Some((_, means)) = lists {
                let of_group = means[first..first + group.len()].iter().enumerate();
                // A bit for each table of the launch.
                let bits = of_group.fold(0u64, |bits, (place, is)| bits | u64::from(*is) << place);
                arguments = arguments.bits(bits);
            }
            arguments = arguments
                .int(self.columns.stride)
                .int(self.columns.offset + first * self.dim);
            machine.launch(kernel, self.grid(group), &arguments)?;
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
