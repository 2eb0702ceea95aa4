//! Embedding tables of multi-valued features: a row's list of ids becomes the sum or the mean of their rows in the table.
//!
//! As with single-valued features, a step's cost grows with the ids of its batch and not with a table. An id that a list
//! holds twice counts twice; an empty list is a zero vector and gets no gradient.

use super::embedding::Columns;
use super::kept::Kept;
use super::sparse::{SparseRule, Table, find_distance};
use crate::cuda::{Address, Buffer, Gather, Grouped, Machine, Occurrence, update_tables};
use crate::parameter::Parameter;
use crate::rows::{blocks, split_mut};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// How the vectors of a list become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their sum divided by their number.
    Mean,
}

impl Pooling {
    /// The share of each of `count` values.
    pub(super) fn share(self, count: usize) -> f32 {
        match self {
            Self::Sum => 1.0,
            Self::Mean => 1.0 / count.max(1) as f32,
        }
    }
}

/// The lists of a batch: those of a row side by side, one per table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lists<'a> {
    /// Ids of all lists, one list after another.
    pub ids: &'a [u32],
    /// End of each list in `ids`, row-major [batch, tables]; a list starts where the one before ends.
    pub ends: &'a [u32],
}

impl<'a> Lists<'a> {
    /// The ids of list `index`, counted over rows and tables.
    pub(super) fn list(&self, index: usize) -> &'a [u32] {
        let start = match index {
            0 => 0,
            index => self.ends[index - 1],
        };
        &self.ids[start as usize..self.ends[index] as usize]
    }
}

/// Embedding tables of the same width, one per multi-valued feature.
#[derive(Debug)]
pub struct PooledTables {
    tables: Vec<(Table, Pooling)>,
    dim: usize,
    rule: SparseRule,
    step: u64,
}

impl PooledTables {
    /// Tables [vocabulary, dim] with their poolings, in the order of the lists of a row.
    ///
    /// # Errors
    /// Tables of different widths.
    pub fn new(parameters: Vec<(Parameter, Pooling)>, rule: SparseRule) -> Result<Self> {
        let mut tables = Vec::with_capacity(parameters.len());
        let mut dim = None;
        for (parameter, pooling) in parameters {
            let (table, width) = Table::new(parameter, rule)?;
            if *dim.get_or_insert(width) != width {
                let path = table.parameter.path();
                candle_core::bail!("{path}: embedding tables differ in width");
            }
            tables.push((table, pooling));
        }
        let dim = dim.unwrap_or(0);
        find_distance(tables.iter_mut().map(|(table, _)| table), dim);
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
        self.tables
            .iter_mut()
            .flat_map(|(table, _)| table.kept_mut())
    }

    /// The tables' variables.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.tables.iter().map(|(table, _)| &table.parameter)
    }

    /// Units of all tables together.
    pub fn output_dim(&self) -> usize {
        self.tables.len() * self.dim
    }

    /// Writes the pooled rows of `lists` into `out` ([batch, stride]).
    ///
    /// # Errors
    /// An id beyond its table, or buffers that don't fit.
    pub fn gather(&self, lists: Lists<'_>, out: &mut [f32], columns: Columns) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        self.check(lists, out.len(), columns)?;
        let values = self
            .tables
            .iter()
            .map(|(table, _)| table.parameter.read())
            .collect::<Result<Vec<_>>>()?;
        let parts: Vec<Range<usize>> = blocks(0..lists.ends.len() / num_tables).collect();
        let dim = self.dim;
        split_mut(out, columns.stride, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                for (row, out) in part.clone().zip(out.chunks_exact_mut(columns.stride)) {
                    let units = out[columns.offset..].chunks_exact_mut(dim);
                    for (table, to) in units.take(num_tables).enumerate() {
                        let ids = lists.list(row * num_tables + table);
                        pool(to, ids, &values[table], self.tables[table].1);
                    }
                }
            });
        Ok(())
    }

    fn check(&self, lists: Lists<'_>, batch_len: usize, columns: Columns) -> Result<()> {
        let (num_tables, Lists { ids, ends }) = (self.tables.len(), lists);
        let is_rising = ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == ids.len();
        if !is_rising
            || !ends.len().is_multiple_of(num_tables)
            || batch_len != ends.len() / num_tables * columns.stride
            || columns.offset + self.output_dim() > columns.stride
        {
            candle_core::bail!(
                "{} lists of {} ids for {num_tables} tables of width {} don't fit {batch_len} values at {columns:?}",
                ends.len(),
                ids.len(),
                self.dim
            );
        }
        for (column, (table, _)) in self.tables.iter().enumerate() {
            let of_table = (column..ends.len()).step_by(num_tables);
            table.check(of_table.flat_map(|index| lists.list(index)).copied())?;
        }
        Ok(())
    }

    /// Updates the rows of the lists' ids from the gradient of the input that they were pooled into ([batch, stride]).
    /// Gradients of an id that occurs several times add up, in the order of the batch.
    ///
    /// # Errors
    /// An id beyond its table, buffers that don't fit, or a table that can't be written.
    pub fn update(
        &mut self,
        lists: Lists<'_>,
        gradient: &[f32],
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        self.check(lists, gradient.len(), columns)?;
        if let Some(machine) = self.machine() {
            let mut on_device = Buffer::of_floats(machine.device(), gradient)?;
            let from = on_device.address()?;
            return self.update_on(&machine, lists, from, columns, learning_rate);
        }
        self.step += 1;
        let (factors, dim) = (self.rule.factors(learning_rate, self.step), self.dim);
        self.tables
            .par_iter_mut()
            .enumerate()
            .with_max_len(1)
            .filter(|(_, (table, _))| !table.parameter.is_frozen())
            .try_for_each(|(column, (table, pooling))| {
                table.clear_sums();
                for (row, gradient) in gradient.chunks_exact(columns.stride).enumerate() {
                    let ids = lists.list(row * num_tables + column);
                    let gradient = &gradient[columns.offset + column * dim..][..dim];
                    let share = pooling.share(ids.len());
                    for id in ids {
                        table.add_gradient(*id, gradient, share);
                    }
                }
                table.apply(factors, dim)
            })
    }
}

/// Tables on a device.
impl PooledTables {
    /// The machine that the tables are on, if it isn't the processor.
    fn machine(&self) -> Option<Machine> {
        Machine::of(self.tables.first()?.0.parameter.tensor())
    }

    /// As [`Self::gather`] of `num_rows` rows, from lists whose ids and ends are on the device as well.
    pub(super) fn gather_on(
        &self,
        machine: &Machine,
        (lists, ids, ends): (Lists<'_>, Address, Address),
        num_rows: usize,
        out: Address,
        columns: Columns,
    ) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        self.check(lists, num_rows * columns.stride, columns)?;
        let poolings = self.tables.iter().map(|(_, pooling)| pooling);
        let mean: Vec<bool> = poolings.map(|p| *p == Pooling::Mean).collect();
        let tables = self.tables.iter().map(|(t, _)| t.parameter.address());
        let gather = Gather {
            tables: &tables.collect::<Result<Vec<Address>>>()?,
            dim: self.dim,
            num_rows,
            out,
            columns,
        };
        gather.pooled(machine, ids, ends, &mean)
    }

    /// As [`Self::update`], from a gradient on the device.
    pub(super) fn update_on(
        &mut self,
        machine: &Machine,
        lists: Lists<'_>,
        gradient: Address,
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let num_tables = self.tables.len();
        if num_tables == 0 {
            return Ok(());
        }
        let num_rows = lists.ends.len() / num_tables;
        self.check(lists, num_rows * columns.stride, columns)?;
        self.step += 1;
        let grouped: Vec<Grouped> = self
            .tables
            .par_iter_mut()
            .enumerate()
            .map(|(column, (table, pooling))| {
                let pooling = *pooling;
                let touching = match table.parameter.is_frozen() {
                    true => 0,
                    false => num_rows,
                };
                table.group((0..touching).flat_map(move |row| {
                    let ids = lists.list(row * num_tables + column);
                    let share = pooling.share(ids.len());
                    ids.iter().map(move |id| Occurrence {
                        id: *id,
                        row: row as u32,
                        share,
                    })
                }))
            })
            .collect();
        let tables = self.tables.iter_mut().map(|(t, _)| t.addresses(machine));
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

/// `to` = the pooled rows of `ids`, added up in their order.
pub(super) fn pool(to: &mut [f32], ids: &[u32], values: &[f32], pooling: Pooling) {
    to.fill(0.0);
    for id in ids {
        let start = *id as usize * to.len();
        let row = &values[start..start + to.len()];
        for (to, value) in to.iter_mut().zip(row) {
            *to += value;
        }
    }
    if pooling == Pooling::Mean && ids.len() > 1 {
        let share = pooling.share(ids.len());
        to.iter_mut().for_each(|value| *value *= share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::AdamConfig;
    use crate::parameter::Role;
    use candle_core::{Device, Var};

    const COLUMNS: Columns = Columns {
        stride: 6,
        offset: 1,
    };
    /// Two rows of two lists: [1, 3, 1] and [], then [0] and [2, 1].
    const LISTS: Lists<'static> = Lists {
        ids: &[1, 3, 1, 0, 2, 1],
        ends: &[3, 3, 4, 6],
    };

    fn parameter(path: &str, rows: usize) -> Parameter {
        let values = (0..rows * 2).map(|v| v as f32).collect::<Vec<_>>();
        let var = Var::from_vec(values, (rows, 2), &Device::Cpu).unwrap();
        Parameter::new(path, var, Role::Trained)
    }

    fn tables(rule: SparseRule) -> (Vec<Parameter>, PooledTables) {
        let parameters = vec![parameter("a", 4), parameter("b", 3)];
        let poolings = [Pooling::Mean, Pooling::Sum];
        let pairs = parameters.iter().cloned().zip(poolings).collect();
        (parameters, PooledTables::new(pairs, rule).unwrap())
    }

    const ADAGRAD: SparseRule = SparseRule::RowWiseAdagrad {
        epsilon: 0.0,
        weight_decay: 0.0,
    };

    #[test]
    fn lists_are_pooled_into_their_columns_and_an_empty_one_is_zero() {
        let (_, tables) = tables(ADAGRAD);
        let mut out = vec![-1f32; 12];
        tables.gather(LISTS, &mut out, COLUMNS).unwrap();
        let mean = [(2. + 6. + 2.) / 3., (3. + 7. + 3.) / 3.];
        let expected = [
            -1., mean[0], mean[1], 0., 0., -1., //
            -1., 0., 1., 6., 8., -1.,
        ];
        for (out, expected) in out.iter().zip(expected) {
            assert!((out - expected).abs() < 1e-6, "{out} {expected}");
        }
        let beyond = Lists {
            ids: &[1, 3, 1, 0, 3, 1],
            ..LISTS
        };
        let said = tables.gather(beyond, &mut out, COLUMNS).unwrap_err();
        assert!(said.to_string().contains("b: id 3 in a table of 3 rows"));
        let short = Lists {
            ids: &[1, 3, 1, 0, 2],
            ..LISTS
        };
        assert!(tables.gather(short, &mut out, COLUMNS).is_err());
    }

    #[test]
    fn a_list_of_one_is_a_single_value() {
        use crate::optimizer::EmbeddingTables;
        let rule = SparseRule::Adam(AdamConfig::default());
        let (pooled, single) = (parameter("a", 4), parameter("a", 4));
        let mut lists = PooledTables::new(vec![(pooled.clone(), Pooling::Mean)], rule).unwrap();
        let mut values = EmbeddingTables::new(vec![single.clone()], rule).unwrap();
        let (ids, ends) = ([2u32, 0, 2], [1u32, 2, 3]);
        let columns = Columns {
            stride: 2,
            offset: 0,
        };
        for step in 0..3 {
            let gradient: Vec<f32> = (0..6).map(|i| (i * 7 % 5) as f32 - step as f32).collect();
            let of_lists = Lists {
                ids: &ids,
                ends: &ends,
            };
            lists.update(of_lists, &gradient, columns, 0.1).unwrap();
            values.update(&ids, &gradient, columns, 0.1).unwrap();
        }
        let rows = |parameter: &Parameter| parameter.tensor().to_vec2::<f32>().unwrap();
        assert_eq!(rows(&pooled), rows(&single));
    }

    #[test]
    fn the_gradient_is_that_of_the_pooled_sum_by_finite_differences() {
        // Adagrad's first step is the gradient over its own length: compare directions with a loss sum(c * out).
        let (parameters, mut tables) = tables(ADAGRAD);
        let slopes: Vec<f32> = (0..12).map(|i| (i * 5 % 7) as f32 - 2.5).collect();
        let loss = |tables: &PooledTables| {
            let mut out = vec![0f32; 12];
            tables.gather(LISTS, &mut out, COLUMNS).unwrap();
            let parts = out.iter().zip(&slopes);
            parts.map(|(a, b)| f64::from(a * b)).sum::<f64>()
        };
        let mut expected = Vec::new();
        for parameter in &parameters {
            let rows = parameter.tensor().dims2().unwrap().0;
            for index in 0..rows * 2 {
                let nudge = |by: f32| {
                    parameter.update(|values| values[index] += by).unwrap();
                };
                nudge(0.5);
                let above = loss(&tables);
                nudge(-1.0);
                let below = loss(&tables);
                nudge(0.5);
                expected.push(above - below);
            }
        }
        let before: Vec<f32> = parameters.iter().flat_map(flat).collect();
        tables.update(LISTS, &slopes, COLUMNS, 1.0).unwrap();
        let after: Vec<f32> = parameters.iter().flat_map(flat).collect();
        for (row, expected) in expected.chunks_exact(2).enumerate() {
            let length = (expected.iter().map(|g| g * g).sum::<f64>() / 2.0).sqrt();
            for unit in 0..2 {
                let moved = f64::from(before[row * 2 + unit] - after[row * 2 + unit]);
                let wanted = if length == 0.0 {
                    0.0
                } else {
                    expected[unit] / length
                };
                assert!((moved - wanted).abs() < 1e-4, "{row}: {moved} {wanted}");
            }
        }
    }

    fn flat(parameter: &Parameter) -> Vec<f32> {
        parameter.tensor().flatten_all().unwrap().to_vec1().unwrap()
    }
}
