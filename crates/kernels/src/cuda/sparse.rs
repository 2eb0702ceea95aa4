//! The sparse step on a device: the rows that a batch touches get the sums of their gradients, and are updated.
//!
//! A batch's ids are on the host anyway; it groups them, so that the device sums each row's gradients in the order of the
//! batch, without atomics.

use super::arguments::{Arguments, POINTERS};
use super::buffer::{Address, Buffer};
use super::machine::{Grid, Machine};
use crate::optimizer::{Columns, RowFactors, UNTOUCHED};
use candle_core::Result;

/// Most occurrences of a row that one warp sums.
const SEGMENT: usize = 64;

/// An id of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occurrence {
    pub(crate) id: u32,
    /// Of the batch.
    pub(crate) row: u32,
    /// What of the row's gradient is the id's.
    pub(crate) share: f32,
}

/// A table and what is kept of it; `second` is of length 0 where one number a row is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableAddresses {
    pub(crate) values: Address,
    pub(crate) first: Address,
    pub(crate) second: Address,
}

/// One table's ids of a batch, by row of the table.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Grouped {
    /// Touched rows, in the order of the batch.
    touched: Vec<u32>,
    /// Per touched row: where its occurrences begin, and at last their number.
    starts: Vec<u32>,
    /// Rows of the batch, by touched row, each in the order of the batch.
    order: Vec<u32>,
    /// Of the gradients of `order`.
    shares: Vec<f32>,
}

/// Groups one table's ids. `slots`, one per row of the table and all [`UNTOUCHED`], are that again afterwards.
pub(crate) fn group(
    occurrences: impl Iterator<Item = Occurrence> + Clone,
    slots: &mut [u32],
) -> Grouped {
    let mut touched = Vec::new();
    let mut counts: Vec<u32> = Vec::new();
    for Occurrence { id, .. } in occurrences.clone() {
        let slot = &mut slots[id as usize];
        if *slot == UNTOUCHED {
            *slot = touched.len() as u32;
            touched.push(id);
            counts.push(0);
        }
        counts[*slot as usize] += 1;
    }
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
    let mut next = starts.clone();
    let count = starts[starts.len() - 1] as usize;
    let (mut order, mut shares) = (vec![0; count], vec![0.0; count]);
    for Occurrence { id, row, share } in occurrences {
        let place = &mut next[slots[id as usize] as usize];
        order[*place as usize] = row;
        shares[*place as usize] = share;
        *place += 1;
    }
    for id in &touched {
        slots[*id as usize] = UNTOUCHED;
    }
    Grouped {
        touched,
        starts,
        order,
        shares,
    }
}

/// The ids of several tables as the kernels read them.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    order: Vec<u32>,
    /// Bits of f32.
    shares: Vec<u32>,
    segment_starts: Vec<u32>,
    segment_tables: Vec<u32>,
    touched_ids: Vec<u32>,
    touched_tables: Vec<u32>,
    touched_starts: Vec<u32>,
}

/// Several tables' groups one after another, long ones cut into segments.
fn plan(grouped: &[Grouped]) -> Plan {
    let mut plan = Plan::default();
    for (table, grouped) in grouped.iter().enumerate() {
        let before = plan.order.len() as u32;
        for (id, range) in grouped.touched.iter().zip(grouped.starts.windows(2)) {
            plan.touched_ids.push(*id);
            plan.touched_tables.push(table as u32);
            plan.touched_starts.push(plan.segment_starts.len() as u32);
            for start in (range[0]..range[1]).step_by(SEGMENT) {
                plan.segment_starts.push(before + start);
                plan.segment_tables.push(table as u32);
            }
        }
        plan.order.extend(&grouped.order);
        plan.shares
            .extend(grouped.shares.iter().map(|s| s.to_bits()));
    }
    plan.touched_starts.push(plan.segment_starts.len() as u32);
    plan.segment_starts.push(plan.order.len() as u32);
    plan
}

/// Sums the gradients of every touched row of tables of width `dim` and takes the step. `gradient` is [batch, stride], on the
/// device.
pub(crate) fn update_tables(
    machine: &Machine,
    tables: &[TableAddresses],
    grouped: &[Grouped],
    dim: usize,
    gradient: Address,
    columns: Columns,
    factors: RowFactors,
) -> Result<()> {
    for (group, tables) in tables.chunks(POINTERS).enumerate() {
        let start = group * POINTERS;
        let plan = plan(&grouped[start..start + tables.len()]);
        // Of tables that are all frozen; a launch of no block is refused.
        if plan.touched_ids.is_empty() {
            continue;
        }
        let step = Step {
            machine,
            tables,
            dim,
            gradient,
            columns: Columns {
                offset: columns.offset + start * dim,
                ..columns
            },
        };
        step.run(&plan, factors)?;
    }
    Ok(())
}

/// A step of at most [`POINTERS`] tables.
struct Step<'a> {
    machine: &'a Machine,
    tables: &'a [TableAddresses],
    dim: usize,
    gradient: Address,
    columns: Columns,
}

impl Step<'_> {
    fn run(&self, plan: &Plan, factors: RowFactors) -> Result<()> {
        // One copy to the device for all.
        let lists = [
            &plan.order,
            &plan.shares,
            &plan.segment_starts,
            &plan.segment_tables,
            &plan.touched_ids,
            &plan.touched_tables,
            &plan.touched_starts,
        ];
        let all: Vec<u32> = lists.into_iter().flatten().copied().collect();
        let mut uploaded = Buffer::of_ints(self.machine.device(), &all)?;
        let mut at = uploaded.address()?;
        let [order, shares, starts, of_segments, ids, of_rows, row_starts] = lists.map(|list| {
            let start = at;
            at = at.offset(list.len());
            start
        });
        let num_segments = plan.segment_tables.len();
        let mut sums = self.machine.unspecified(num_segments * self.dim)?;
        let sums = sums.address()?;
        self.machine.launch(
            "embedding_segment_sums",
            Grid::warps(num_segments, 1),
            &Arguments::new()
                .pointer(self.gradient)
                .pointer(sums)
                .pointer(order)
                .pointer(shares)
                .pointer(starts)
                .pointer(of_segments)
                .int(num_segments)
                .int(self.dim)
                .int(self.columns.stride)
                .int(self.columns.offset),
        )?;
        let num_touched = plan.touched_ids.len();
        let rows = |arguments: Arguments| {
            arguments
                .pointer(sums)
                .pointer(ids)
                .pointer(of_rows)
                .pointer(row_starts)
                .int(num_touched)
                .int(self.dim)
        };
        self.take(num_touched, rows, factors)
    }

    /// The rule's step of every touched row; `rows` gives the arguments that say which.
    fn take(
        &self,
        num_touched: usize,
        rows: impl Fn(Arguments) -> Arguments,
        factors: RowFactors,
    ) -> Result<()> {
        let all = |of: fn(&TableAddresses) -> Address| -> Vec<Address> {
            self.tables.iter().map(of).collect()
        };
        let arguments = Arguments::new()
            .pointers(&all(|table| table.values))
            .pointers(&all(|table| table.first));
        let grid = Grid::warps(num_touched, 1);
        match factors {
            RowFactors::Adam(factors) => {
                let arguments = rows(arguments.pointers(&all(|table| table.second)));
                let arguments = arguments.floats(&factors.as_floats());
                self.machine.launch("embedding_adam", grid, &arguments)
            }
            RowFactors::RowWiseAdagrad {
                rate,
                epsilon,
                keep,
            } => {
                let arguments = rows(arguments).double(rate).double(epsilon).float(keep);
                self.machine
                    .launch("embedding_row_wise_adagrad", grid, &arguments)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrences(ids: &[u32]) -> impl Iterator<Item = Occurrence> + Clone {
        (0..).zip(ids).map(|(row, id)| Occurrence {
            id: *id,
            row,
            share: 1.0 / (1.0 + row as f32),
        })
    }

    #[test]
    fn ids_are_grouped_in_the_order_of_the_batch_and_slots_are_free_again() {
        let mut slots = vec![UNTOUCHED; 5];
        let grouped = group(occurrences(&[3, 1, 3, 0, 3]), &mut slots);
        assert_eq!(grouped.touched, [3, 1, 0]);
        assert_eq!(grouped.starts, [0, 3, 4, 5]);
        assert_eq!(grouped.order, [0, 2, 4, 1, 3]);
        assert_eq!(grouped.shares, [1.0, 1.0 / 3.0, 0.2, 0.5, 0.25]);
        assert_eq!(slots, [UNTOUCHED; 5]);
    }

    #[test]
    fn long_groups_are_cut_and_tables_follow_one_another() {
        let mut slots = vec![UNTOUCHED; 2];
        let mut of = |count: usize| {
            let ids: Vec<u32> = std::iter::repeat_n(0, count).chain([1]).collect();
            group(occurrences(&ids), &mut slots)
        };
        let plan = plan(&[of(130), of(1)]);
        assert_eq!(plan.segment_starts, [0, 64, 128, 130, 131, 132, 133]);
        assert_eq!(plan.segment_tables, [0, 0, 0, 0, 1, 1]);
        assert_eq!(plan.touched_ids, [0, 1, 0, 1]);
        assert_eq!(plan.touched_tables, [0, 0, 1, 1]);
        assert_eq!(plan.touched_starts, [0, 3, 4, 5, 6]);
        assert_eq!((plan.order.len(), plan.shares.len()), (133, 133));
    }
}
