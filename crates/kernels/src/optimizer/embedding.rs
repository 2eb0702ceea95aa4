//! Embedding tables: gathered into a batch's input, and updated in the gathered rows alone, so that a step's cost doesn't
//! grow with a table.

use super::kept::Kept;
use super::sparse::{AHEAD, SparseRule, Table, find_distance};
use crate::cuda::{Address, Buffer, Gather, Grouped, Machine, Occurrence, update_tables};
use crate::parameter::Parameter;
use crate::rows::{blocks, split_mut};
use crate::simd::prefetch;
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Embedding tables of the same width, one per categorical feature.
#[derive(Debug)]
pub struct EmbeddingTables {
    tables: Vec<Table>,
    dim: usize,
    rule: SparseRule,
    step: u64,
}

/// Where a table's columns lie in the batch's input: each row `stride` long, the first table's units at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Width of the batch's input.
    pub stride: usize,
    /// First unit of the first table.
    pub offset: usize,
}

impl EmbeddingTables {
    /// Tables [vocabulary, dim] in the order of the ids' columns.
    ///
    /// # Errors
    /// Tables of different widths.
    pub fn new(parameters: Vec<Parameter>, rule: SparseRule) -> Result<Self> {
        let mut tables = Vec::with_capacity(parameters.len());
        let mut dim = None;
        for parameter in parameters {
            let (table, width) = Table::new(parameter, rule)?;
            if *dim.get_or_insert(width) != width {
                let path = table.parameter.path();
                candle_core::bail!("{path}: embedding tables differ in width");
            }
            tables.push(table);
        }
        let dim = dim.unwrap_or(0);
        find_distance(tables.iter_mut(), dim);
        Ok(Self {
            tables,
            dim,
            rule,
            step: 0,
        })
    }

    /// Updates done, which some rules count with.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Goes on as after so many updates; what is kept between them is set by way of [`Self::kept_mut`].
    pub fn set_steps_done(&mut self, steps: u64) {
        self.step = steps;
    }

    /// The numbers kept from update to update, under stable names: `<variable path>.first` and `.second`. To save and to
    /// restore.
    pub fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.tables.iter_mut().flat_map(Table::kept_mut)
    }

    /// The tables' variables.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.tables.iter().map(|table| &table.parameter)
    }

    /// Units of all tables together.
    pub fn output_dim(&self) -> usize {
        self.tables.len() * self.dim
    }

    /// Writes the rows of `ids` ([batch, tables]) into `out` ([batch, stride]).
    ///
    /// # Errors
    /// An id beyond its table, or buffers that don't fit.
    pub fn gather(&self, ids: &[u32], out: &mut [f32], columns: Columns) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        self.check(ids, out.len(), columns)?;
        let values = self
            .tables
            .iter()
            .map(|table| table.parameter.read())
            .collect::<Result<Vec<_>>>()?;
        let parts: Vec<Range<usize>> = blocks(0..ids.len() / num_tables).collect();
        let values: Vec<&[f32]> = values.iter().map(|values| &**values).collect();
        let is_far = self.tables[0].is_far;
        let gather = match self.dim {
            4 => gather_rows::<4>,
            8 => gather_rows::<8>,
            16 => gather_rows::<16>,
            _ => gather_rows::<0>,
        };
        split_mut(out, columns.stride, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                let ids = &ids[part.start * num_tables..part.end * num_tables];
                gather(out, ids, &values, columns, self.dim, is_far);
            });
        Ok(())
    }

    fn check(&self, ids: &[u32], batch_len: usize, columns: Columns) -> Result<()> {
        let num_rows = ids.len() / self.tables.len();
        if !ids.len().is_multiple_of(self.tables.len())
            || batch_len != num_rows * columns.stride
            || columns.offset + self.output_dim() > columns.stride
        {
            candle_core::bail!(
                "{} ids of {} tables of width {} don't fit {batch_len} values at {columns:?}",
                ids.len(),
                self.tables.len(),
                self.dim
            );
        }
        for (column, table) in self.tables.iter().enumerate() {
            table.check(ids.iter().skip(column).step_by(self.tables.len()).copied())?;
        }
        Ok(())
    }

    /// Updates the rows of `ids` from the gradient of the input that they were gathered into ([batch, stride]). Gradients of
    /// a row that occurs several times add up, in the order of the batch.
    ///
    /// # Errors
    /// An id beyond its table, buffers that don't fit, or a table that can't be written.
    pub fn update(
        &mut self,
        ids: &[u32],
        gradient: &[f32],
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        self.check(ids, gradient.len(), columns)?;
        if let Some(machine) = self.machine() {
            let mut on_device = Buffer::of_floats(machine.device(), gradient)?;
            let from = on_device.address()?;
            return self.update_on(&machine, ids, from, columns, learning_rate);
        }
        self.step += 1;
        let (factors, dim) = (self.rule.factors(learning_rate, self.step), self.dim);
        self.tables
            .par_iter_mut()
            .enumerate()
            .with_max_len(1)
            .filter(|(_, table)| !table.parameter.is_frozen())
            .try_for_each(|(column, table)| {
                let ids = ids.iter().skip(column).step_by(num_tables);
                let gradients = gradient
                    .chunks_exact(columns.stride)
                    .map(|row| &row[columns.offset + column * dim..][..dim]);
                table.sum_gradients(ids.copied().zip(gradients));
                table.apply(factors, dim)
            })
    }
}

/// Copies the rows of `ids` from tables of width `dim`. A `WIDTH` other than 0 is that width: as a constant it makes a copy a few
/// instructions in place of a call.
fn gather_rows<const WIDTH: usize>(
    out: &mut [f32],
    ids: &[u32],
    tables: &[&[f32]],
    columns: Columns,
    dim: usize,
    is_far: bool,
) {
    let dim = if WIDTH == 0 { dim } else { WIDTH };
    let units = |id: u32| id as usize * dim..(id as usize + 1) * dim;
    let rows = out.chunks_exact_mut(columns.stride);
    let rows_ahead = AHEAD.div_ceil(tables.len());
    let mut ahead = is_far.then(|| ids.chunks_exact(tables.len()).skip(rows_ahead));
    for (row, ids) in rows.zip(ids.chunks_exact(tables.len())) {
        let ahead = ahead.as_mut().and_then(Iterator::next).unwrap_or_default();
        for (id, values) in ahead.iter().zip(tables) {
            prefetch(&values[units(*id)]);
        }
        let row = &mut row[columns.offset..];
        for ((to, id), values) in row.chunks_exact_mut(dim).zip(ids).zip(tables) {
            to.copy_from_slice(&values[units(*id)]);
        }
    }
}

/// Tables on a device.
impl EmbeddingTables {
    /// The machine that the tables are on, if it isn't the processor.
    fn machine(&self) -> Option<Machine> {
        Machine::of(self.tables.first()?.parameter.tensor())
    }

    /// As [`Self::gather`] of `num_rows` rows, from `ids` that are `on_device` as well.
    pub(super) fn gather_on(
        &self,
        machine: &Machine,
        (ids, on_device): (&[u32], Address),
        num_rows: usize,
        out: Address,
        columns: Columns,
    ) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        self.check(ids, num_rows * columns.stride, columns)?;
        let tables = self.tables.iter().map(|table| table.parameter.address());
        let gather = Gather {
            tables: &tables.collect::<Result<Vec<Address>>>()?,
            dim: self.dim,
            num_rows,
            out,
            columns,
        };
        gather.single(machine, on_device)
    }

    /// As [`Self::update`], from a gradient on the device.
    pub(super) fn update_on(
        &mut self,
        machine: &Machine,
        ids: &[u32],
        gradient: Address,
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        self.check(ids, ids.len() / num_tables * columns.stride, columns)?;
        self.step += 1;
        let grouped: Vec<Grouped> = self
            .tables
            .par_iter_mut()
            .enumerate()
            .map(|(column, table)| {
                let is_frozen = table.parameter.is_frozen();
                let ids = ids.iter().skip(column).step_by(num_tables);
                let touched = (0..).zip(ids).filter(move |_| !is_frozen);
                table.group(touched.map(|(row, id)| Occurrence {
                    id: *id,
                    row,
                    share: 1.0,
                }))
            })
            .collect();
        let tables = self.tables.iter_mut().map(|table| table.addresses(machine));
        let factors = self.rule.factors(learning_rate, self.step);
        update_tables(
            machine,
            &tables.collect::<Result<Vec<_>>>()?,
            &grouped,
            self.dim,
            gradient,
            columns,
            factors,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::AdamConfig;
    use crate::parameter::Role;
    use candle_core::{Device, Var};

    const COLUMNS: Columns = Columns {
        stride: 5,
        offset: 1,
    };

    fn tables(rule: SparseRule) -> (Vec<Parameter>, EmbeddingTables) {
        let parameter = |path: &str, rows: usize| {
            let values = (0..rows * 2).map(|v| v as f32).collect::<Vec<_>>();
            let var = Var::from_vec(values, (rows, 2), &Device::Cpu).unwrap();
            Parameter::new(path, var, Role::Trained)
        };
        let parameters = vec![parameter("a", 4), parameter("b", 3)];
        let tables = EmbeddingTables::new(parameters.clone(), rule).unwrap();
        (parameters, tables)
    }

    #[test]
    fn gathered_rows_land_in_their_columns() {
        let (_, tables) = tables(SparseRule::RowWiseAdagrad {
            epsilon: 0.0,
            weight_decay: 0.0,
        });
        let mut out = vec![-1f32; 10];
        tables.gather(&[3, 0, 1, 2], &mut out, COLUMNS).unwrap();
        assert_eq!(out, [-1., 6., 7., 0., 1., -1., 2., 3., 4., 5.]);
        assert!(tables.gather(&[4, 0], &mut out, COLUMNS).is_err());
    }

    #[test]
    fn only_touched_rows_move_and_repeated_rows_add_up() {
        let config = AdamConfig::default();
        for rule in [
            SparseRule::Adam(config),
            SparseRule::RowWiseAdagrad {
                epsilon: 0.0,
                weight_decay: 0.0,
            },
        ] {
            let (parameters, mut tables) = tables(rule);
            let gradient = [
                0., 1., 2., 5., 5., //
                0., 3., -2., 5., 5.,
            ];
            tables
                .update(&[1, 0, 1, 2], &gradient, COLUMNS, 0.1)
                .unwrap();
            let a = parameters[0].tensor().to_vec2::<f32>().unwrap();
            assert_eq!(a[0], [0.0, 1.0]);
            assert_eq!(a[2..], [[4.0, 5.0], [6.0, 7.0]]);
            // Summed gradient [4, 0].
            let moved = match rule {
                SparseRule::Adam(_) => 0.1,
                SparseRule::RowWiseAdagrad { .. } => 0.1 * 4.0 / 8f32.sqrt(),
            };
            assert!((a[1][0] - (2.0 - moved)).abs() < 1e-6);
            assert_eq!(a[1][1], 3.0);
            assert_eq!(
                parameters[1].tensor().to_vec2::<f32>().unwrap()[1],
                [2., 3.]
            );
        }
    }

    #[test]
    fn a_frozen_table_stays_and_its_state_too() {
        let rule = SparseRule::Adam(AdamConfig::default());
        let (parameters, mut tables) = tables(rule);
        let (_, mut free) = self::tables(rule);
        parameters[0].freeze();
        let before = parameters[0].tensor().to_vec2::<f32>().unwrap();
        for tables in [&mut tables, &mut free] {
            tables
                .update(&[1, 0, 1, 2], &[1.0; 10], COLUMNS, 0.1)
                .unwrap();
        }
        assert_eq!(parameters[0].tensor().to_vec2::<f32>().unwrap(), before);
        let kept = |tables: &mut EmbeddingTables| -> Vec<Vec<f32>> {
            let values = tables.kept_mut().map(|(_, kept)| kept.values().unwrap());
            values.map(|values| values.to_vec()).collect()
        };
        let (frozen, free) = (kept(&mut tables), kept(&mut free));
        assert!(frozen[..2].iter().flatten().all(|value| *value == 0.0));
        assert!(free[0].iter().any(|value| *value != 0.0));
        // The other table's step is the one that it had.
        assert_eq!(frozen[2..], free[2..]);
    }

    /// More ids than are asked for ahead, some of them twice and one the last row.
    #[test]
    fn a_table_that_is_asked_for_ahead_gives_what_a_small_one_gives() {
        const ROWS: usize = 50;
        const FAR: usize = 200_000;
        let ids: Vec<u32> = (0..40)
            .map(|place| place * 7 % ROWS as u32)
            .chain([49])
            .collect();
        let gradient: Vec<f32> = (0..ids.len() * 2)
            .map(|place| place as f32 - 30.0)
            .collect();
        let columns = Columns {
            stride: 2,
            offset: 0,
        };
        for rule in [
            SparseRule::Adam(AdamConfig::default()),
            SparseRule::RowWiseAdagrad {
                epsilon: 1e-8,
                weight_decay: 0.1,
            },
        ] {
            // Row i of the small table is the row so far before the end of the large one.
            let after_update = |num_rows: usize| {
                let first = num_rows - ROWS;
                let of_row = |place: usize| (place as f32 - (first * 2) as f32) / 8.0;
                let values: Vec<f32> = (0..num_rows * 2).map(of_row).collect();
                let var = Var::from_vec(values, (num_rows, 2), &Device::Cpu).unwrap();
                let parameter = Parameter::new("a", var, Role::Trained);
                let mut tables = EmbeddingTables::new(vec![parameter], rule).unwrap();
                let ids: Vec<u32> = ids.iter().map(|id| id + first as u32).collect();
                let mut rows = vec![0f32; ids.len() * 2];
                tables.gather(&ids, &mut rows, columns).unwrap();
                for _ in 0..2 {
                    tables.update(&ids, &gradient, columns, 0.1).unwrap();
                }
                let mut updated = vec![0f32; ids.len() * 2];
                tables.gather(&ids, &mut updated, columns).unwrap();
                (tables.tables[0].is_far, rows, updated)
            };
            let (near, far) = (after_update(ROWS), after_update(FAR));
            assert_eq!((near.0, far.0), (false, true));
            assert_eq!((&near.1, &near.2), (&far.1, &far.2));
            assert_ne!(near.1, near.2);
        }
    }
}
