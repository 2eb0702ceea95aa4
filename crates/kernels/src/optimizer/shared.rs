//! Embedding tables of several widths, each read by one feature or by more.
//!
//! What [`EmbeddingTables`](super::EmbeddingTables) and [`PooledTables`](super::PooledTables) do for tables of one width that have a
//! feature each, this does for any, on the processor: a table that several features read has one gradient a row, and one state of its optimiser.

use super::embedding::Columns;
use super::kept::Kept;
use super::pooled::{Lists, Pooling, pool};
use super::sparse::{SparseRule, Table, find_distance};
use crate::cuda::is_on_processor;
use crate::parameter::Parameter;
use crate::rows::{blocks, split_mut};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// A feature that reads a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Which of the tables.
    pub table: usize,
    /// How a row's list of ids becomes one vector; absent of a feature with one id.
    pub pooling: Option<Pooling>,
}

/// A reader, where its ids are and where its units go.
#[derive(Debug)]
struct Placed {
    table: usize,
    pooling: Option<Pooling>,
    /// Its place among the single ids, or among the lists, of a row.
    column: usize,
    /// First unit among those of all readers.
    offset: usize,
    width: usize,
}

/// Tables [vocabulary, width], and the features that read them.
#[derive(Debug)]
pub struct SharedTables {
    tables: Vec<(Table, usize)>,
    readers: Vec<Placed>,
    num_single: usize,
    num_lists: usize,
    output_dim: usize,
    rule: SparseRule,
    step: u64,
}

/// The ids of a batch.
#[derive(Clone, Copy)]
struct BatchIds<'a> {
    single: &'a [u32],
    lists: Lists<'a>,
}

impl SharedTables {
    /// Readers in the order of their units: those of one id first, then those of lists, each in the order of its ids' columns.
    ///
    /// # Errors
    /// A table that is no matrix of the processor's, a reader of no table, or one of an id behind one of a list.
    pub fn new(parameters: Vec<Parameter>, readers: &[Reader], rule: SparseRule) -> Result<Self> {
        let mut tables = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            if !is_on_processor(parameter.tensor()) {
                candle_core::bail!(
                    "{}: tables that features share, or of widths of their own, are on processors alone",
                    parameter.path()
                );
            }
            let (mut table, width) = Table::new(parameter, rule)?;
            find_distance(std::iter::once(&mut table), width);
            tables.push((table, width));
        }
        let num_single = readers.iter().filter(|r| r.pooling.is_none()).count();
        let mut placed = Vec::with_capacity(readers.len());
        let mut offset = 0;
        for (place, reader) in readers.iter().enumerate() {
            if reader.pooling.is_none() != (place < num_single) {
                candle_core::bail!("features of one id come before those of lists");
            }
            let Some((_, width)) = tables.get(reader.table) else {
                candle_core::bail!("a feature reads table {} of {}", reader.table, tables.len());
            };
            placed.push(Placed {
                table: reader.table,
                pooling: reader.pooling,
                column: match reader.pooling {
                    None => place,
                    Some(_) => place - num_single,
                },
                offset,
                width: *width,
            });
            offset += width;
        }
        Ok(Self {
            tables,
            num_single,
            num_lists: placed.len() - num_single,
            readers: placed,
            output_dim: offset,
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
        let tables = self.tables.iter_mut();
        tables.flat_map(|(table, _)| table.kept_mut())
    }

    /// The tables' variables.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.tables.iter().map(|(table, _)| &table.parameter)
    }

    /// Writes what every reader reads into `out` ([batch, stride]), the first reader's units at the offset: of one id ([batch, features])
    /// its row, of a list its rows pooled.
    ///
    /// # Errors
    /// An id beyond its table, or buffers that don't fit.
    pub fn gather(
        &self,
        single: &[u32],
        lists: Lists<'_>,
        out: &mut [f32],
        columns: Columns,
    ) -> Result<()> {
        let ids = BatchIds { single, lists };
        let num_rows = self.check(ids, out.len(), columns)?;
        let values = (self.tables.iter())
            .map(|(table, _)| table.parameter.read())
            .collect::<Result<Vec<_>>>()?;
        let parts: Vec<Range<usize>> = blocks(0..num_rows).collect();
        split_mut(out, columns.stride, &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each(|(out, part)| {
                for (row, out) in part.clone().zip(out.chunks_exact_mut(columns.stride)) {
                    for reader in &self.readers {
                        let to = &mut out[columns.offset + reader.offset..][..reader.width];
                        let ids = self.ids(ids, row, reader);
                        let values = &values[reader.table];
                        match reader.pooling {
                            Some(pooling) => pool(to, ids, values, pooling),
                            None => {
                                let start = ids[0] as usize * reader.width;
                                to.copy_from_slice(&values[start..start + reader.width]);
                            }
                        }
                    }
                }
            });
        Ok(())
    }

    /// The ids of a reader in a row.
    fn ids<'a>(&self, ids: BatchIds<'a>, row: usize, reader: &Placed) -> &'a [u32] {
        match reader.pooling {
            None => &ids.single[row * self.num_single + reader.column..][..1],
            Some(_) => ids.lists.list(row * self.num_lists + reader.column),
        }
    }

    /// Refuses what doesn't fit; gives the number of rows.
    fn check(&self, ids: BatchIds<'_>, batch_len: usize, columns: Columns) -> Result<usize> {
        let Lists {
            ids: of_lists,
            ends,
        } = ids.lists;
        let num_rows = batch_len / columns.stride.max(1);
        let is_rising =
            ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == of_lists.len();
        if !is_rising
            || ids.single.len() != num_rows * self.num_single
            || ends.len() != num_rows * self.num_lists
            || batch_len != num_rows * columns.stride
            || columns.offset + self.output_dim > columns.stride
        {
            candle_core::bail!(
                "{} ids and {} lists of {} for {} features of {} units don't fit {batch_len} values at {columns:?}",
                ids.single.len(),
                ends.len(),
                of_lists.len(),
                self.readers.len(),
                self.output_dim
            );
        }
        for reader in &self.readers {
            let of_reader = (0..num_rows).flat_map(|row| self.ids(ids, row, reader));
            self.tables[reader.table].0.check(of_reader.copied())?;
        }
        Ok(num_rows)
    }

    /// Updates the rows that were read from the gradient of the input that they were gathered into ([batch, stride]). Gradients of a row of a
    /// table add up, in the order of the batch and in each of its rows in that of the readers.
    ///
    /// # Errors
    /// An id beyond its table, buffers that don't fit, or a table that can't be written.
    pub fn update(
        &mut self,
        single: &[u32],
        lists: Lists<'_>,
        gradient: &[f32],
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let ids = BatchIds { single, lists };
        self.check(ids, gradient.len(), columns)?;
        self.step += 1;
        let factors = self.rule.factors(learning_rate, self.step);
        let mut tables = std::mem::take(&mut self.tables);
        let this = &*self;
        let updated = tables
            .par_iter_mut()
            .enumerate()
            .with_max_len(1)
            .filter(|(_, (table, _))| !table.parameter.is_frozen())
            .try_for_each(|(place, (table, width))| {
                let readers = this.readers.iter().filter(|reader| reader.table == place);
                let readers: Vec<&Placed> = readers.collect();
                table.clear_sums();
                for (row, gradient) in gradient.chunks_exact(columns.stride).enumerate() {
                    for reader in &readers {
                        let ids = this.ids(ids, row, reader);
                        let units = &gradient[columns.offset + reader.offset..][..reader.width];
                        let share = reader
                            .pooling
                            .map_or(1.0, |pooling| pooling.share(ids.len()));
                        for id in ids {
                            table.add_gradient(*id, units, share);
                        }
                    }
                }
                table.apply(factors, *width)
            });
        self.tables = tables;
        updated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{AdamConfig, EmbeddingTables, PooledTables};
    use crate::parameter::Role;
    use candle_core::{Device, Var};

    fn parameter(path: &str, rows: usize, width: usize) -> Parameter {
        let values: Vec<f32> = (0..rows * width)
            .map(|v| (v * 7 % 11) as f32 / 4.0)
            .collect();
        let var = Var::from_vec(values, (rows, width), &Device::Cpu).unwrap();
        Parameter::new(path, var, Role::Trained)
    }

    fn reader(table: usize, pooling: Option<Pooling>) -> Reader {
        Reader { table, pooling }
    }

    fn flat(parameter: &Parameter) -> Vec<f32> {
        parameter.tensor().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Two rows: ids [1, 0] and [3, 2], lists [1, 3, 1], [] and [0], [2, 1].
    const SINGLE: [u32; 4] = [1, 0, 3, 2];
    const LISTS: Lists<'static> = Lists {
        ids: &[1, 3, 1, 0, 2, 1],
        ends: &[3, 3, 4, 6],
    };

    const RULES: [SparseRule; 2] = [
        SparseRule::Adam(AdamConfig {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }),
        SparseRule::RowWiseAdagrad {
            epsilon: 1e-8,
            weight_decay: 0.1,
        },
    ];

    #[test]
    fn a_table_of_one_reader_and_one_width_is_as_the_others_have_it() {
        let poolings = [Pooling::Mean, Pooling::Sum];
        let columns = Columns {
            stride: 10,
            offset: 1,
        };
        for rule in RULES {
            let ours: Vec<Parameter> = ["a", "b", "c", "d"]
                .map(|path| parameter(path, 4, 2))
                .to_vec();
            let theirs: Vec<Parameter> = ["a", "b", "c", "d"]
                .map(|path| parameter(path, 4, 2))
                .to_vec();
            let readers: Vec<Reader> = (0..4)
                .map(|table| reader(table, table.checked_sub(2).map(|list| poolings[list])))
                .collect();
            let mut shared = SharedTables::new(ours.clone(), &readers, rule).unwrap();
            let mut single = EmbeddingTables::new(theirs[..2].to_vec(), rule).unwrap();
            let pairs = theirs[2..].iter().cloned().zip(poolings).collect();
            let mut pooled = PooledTables::new(pairs, rule).unwrap();
            let of_lists = Columns {
                offset: 5,
                ..columns
            };
            for step in 0..3 {
                let (mut found, mut expected) = (vec![-1f32; 20], vec![-1f32; 20]);
                shared.gather(&SINGLE, LISTS, &mut found, columns).unwrap();
                single.gather(&SINGLE, &mut expected, columns).unwrap();
                pooled.gather(LISTS, &mut expected, of_lists).unwrap();
                assert_eq!(found, expected);
                let slopes: Vec<f32> = (0..20).map(|i| (i * 5 % 7) as f32 - step as f32).collect();
                shared
                    .update(&SINGLE, LISTS, &slopes, columns, 0.1)
                    .unwrap();
                single.update(&SINGLE, &slopes, columns, 0.1).unwrap();
                pooled.update(LISTS, &slopes, of_lists, 0.1).unwrap();
            }
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(flat(ours), flat(theirs), "{rule:?}");
            }
            assert_eq!((shared.steps_done(), shared.kept_mut().count()), (3, 8));
        }
    }

    #[test]
    fn a_shared_row_has_the_gradients_of_all_its_readers_and_one_state() {
        // An id and a list of one table: the sum of both gradients in one step of Adam, not two steps.
        let table = parameter("item", 4, 2);
        let readers = [reader(0, None), reader(0, Some(Pooling::Mean))];
        let rule = RULES[0];
        let mut shared = SharedTables::new(vec![table.clone()], &readers, rule).unwrap();
        let columns = Columns {
            stride: 4,
            offset: 0,
        };
        let lists = Lists {
            ids: &[1, 2, 3],
            ends: &[2, 3],
        };
        let slopes = [1f32, -2., 4., 6., 0., 0., 0., 8.];
        let before = flat(&table);
        shared
            .update(&[1, 0], lists, &slopes, columns, 0.1)
            .unwrap();
        // By hand: row 1 has [1, -2] and half of [4, 6]; row 2 that half; row 3 [0, 8]; row 0 nothing but zeros.
        let alone = parameter("item", 4, 2);
        let mut expected = EmbeddingTables::new(vec![alone.clone()], rule).unwrap();
        let of_rows = [3f32, 1., 2., 3., 0., 8., 0., 0.];
        let plain = Columns {
            stride: 2,
            offset: 0,
        };
        expected
            .update(&[1, 2, 3, 0], &of_rows, plain, 0.1)
            .unwrap();
        assert_eq!(flat(&table), flat(&alone));
        assert_ne!(flat(&table), before);
        assert_eq!(shared.kept_mut().count(), 2);
    }

    #[test]
    fn widths_differ_and_frozen_tables_stay() {
        let (wide, narrow) = (parameter("wide", 4, 3), parameter("narrow", 4, 1));
        let readers = [
            reader(0, None),
            reader(1, None),
            reader(1, Some(Pooling::Sum)),
        ];
        let tables = vec![wide.clone(), narrow.clone()];
        let mut shared = SharedTables::new(tables, &readers, RULES[1]).unwrap();
        let columns = Columns {
            stride: 6,
            offset: 0,
        };
        let lists = Lists {
            ids: &[3, 3],
            ends: &[0, 2],
        };
        let mut out = vec![-1f32; 12];
        shared.gather(&SINGLE, lists, &mut out, columns).unwrap();
        let (w, n) = (flat(&wide), flat(&narrow));
        let expected = [
            w[3],
            w[4],
            w[5],
            n[0],
            0.0,
            -1.0, //
            w[9],
            w[10],
            w[11],
            n[2],
            2.0 * n[3],
            -1.0,
        ];
        assert_eq!(out, expected);
        wide.freeze();
        shared
            .update(&SINGLE, lists, &[1.0; 12], columns, 0.1)
            .unwrap();
        assert_eq!(flat(&wide), w);
        assert_ne!(flat(&narrow), n);
        let said = shared.gather(&[4, 0, 0, 0], lists, &mut out, columns);
        assert!(
            said.unwrap_err()
                .to_string()
                .contains("wide: id 4 in a table of 4 rows")
        );
        assert!(shared.gather(&[1, 0], lists, &mut out, columns).is_err());
        let turned = [reader(1, Some(Pooling::Sum)), reader(0, None)];
        assert!(SharedTables::new(vec![wide.clone(), narrow.clone()], &turned, RULES[0]).is_err());
        assert!(SharedTables::new(vec![wide], &[reader(1, None)], RULES[0]).is_err());
    }
}
