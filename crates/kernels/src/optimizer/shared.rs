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
    /// What it reads of it.
    pub reads: Reads,
}

/// What a feature reads of a table in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The row of one id.
    One,
    /// The rows of a list of ids, as one.
    Pooled(Pooling),
    /// The rows of a list of ids, each as it is: its units in the batch's input are 0 until something else is made of them.
    Elements,
}

/// The gradient of what readers read.
#[derive(Debug, Clone, Copy)]
pub struct RowGradients<'a> {
    /// Of the input that they were gathered into, [batch, stride].
    pub rows: &'a [f32],
    /// Of what [`SharedTables::gather_elements`] gives, [elements, width], for each reader of elements in their order.
    pub elements: &'a [&'a [f32]],
}

/// A reader, where its ids are and where its units go.
#[derive(Debug)]
struct Placed {
    table: usize,
    reads: Reads,
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
        let is_single = |reader: &Reader| reader.reads == Reads::One;
        let num_single = readers.iter().filter(|reader| is_single(reader)).count();
        let mut placed = Vec::with_capacity(readers.len());
        let mut offset = 0;
        for (place, reader) in readers.iter().enumerate() {
            if is_single(reader) != (place < num_single) {
                candle_core::bail!("features of one id come before those of lists");
            }
            let Some((_, width)) = tables.get(reader.table) else {
                candle_core::bail!("a feature reads table {} of {}", reader.table, tables.len());
            };
            placed.push(Placed {
                table: reader.table,
                reads: reader.reads,
                column: match is_single(reader) {
                    true => place,
                    false => place - num_single,
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
    /// its row, of a list its rows pooled, and zeros of one that is read element by element.
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
                        match reader.reads {
                            Reads::Pooled(pooling) => pool(to, ids, values, pooling),
                            Reads::Elements => to.fill(0.0),
                            Reads::One => {
                                let start = ids[0] as usize * reader.width;
                                to.copy_from_slice(&values[start..start + reader.width]);
                            }
                        }
                    }
                }
            });
        Ok(())
    }

    /// Writes the rows of every id of a list into `out` ([elements, width]), list after list in the order of the batch; `place` counts the
    /// readers of elements.
    ///
    /// # Errors
    /// No such reader, an id beyond its table, or a buffer that doesn't fit.
    pub fn gather_elements(&self, place: usize, lists: Lists<'_>, out: &mut [f32]) -> Result<()> {
        let Some(reader) = self.of_elements().nth(place) else {
            candle_core::bail!("there is no reader {place} of elements");
        };
        let (table, width) = &self.tables[reader.table];
        let ids = self.list_ids(lists, reader);
        let num_elements = ids.clone().count();
        if out.len() != num_elements * width {
            candle_core::bail!(
                "{num_elements} elements of {width} units don't fit {} values",
                out.len()
            );
        }
        table.check(ids.clone())?;
        let values = table.parameter.read()?;
        for (to, id) in out.chunks_exact_mut(*width).zip(ids) {
            to.copy_from_slice(&values[id as usize * width..][..*width]);
        }
        Ok(())
    }

    /// Readers of elements, in their order.
    fn of_elements(&self) -> impl Iterator<Item = &Placed> {
        let readers = self.readers.iter();
        readers.filter(|reader| reader.reads == Reads::Elements)
    }

    /// The ids of a list in every row.
    fn list_ids<'a>(
        &self,
        lists: Lists<'a>,
        reader: &Placed,
    ) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let of_reader = (reader.column..lists.ends.len()).step_by(self.num_lists);
        of_reader.flat_map(move |index| lists.list(index)).copied()
    }

    /// The ids of a reader in a row.
    fn ids<'a>(&self, ids: BatchIds<'a>, row: usize, reader: &Placed) -> &'a [u32] {
        match reader.reads {
            Reads::One => &ids.single[row * self.num_single + reader.column..][..1],
            Reads::Pooled(_) | Reads::Elements => {
                ids.lists.list(row * self.num_lists + reader.column)
            }
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

    /// Updates the rows that were read from the gradient of what was read. Gradients of a row of a table add up, in the order of the batch and
    /// in each of its rows in that of the readers.
    ///
    /// # Errors
    /// An id beyond its table, buffers that don't fit, or a table that can't be written.
    pub fn update(
        &mut self,
        single: &[u32],
        lists: Lists<'_>,
        gradient: RowGradients<'_>,
        columns: Columns,
        learning_rate: f64,
    ) -> Result<()> {
        let ids = BatchIds { single, lists };
        self.check(ids, gradient.rows.len(), columns)?;
        self.check_elements(lists, gradient.elements)?;
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
                let mut elements: Vec<&[f32]> = (readers.iter())
                    .map(|reader| this.gradient_of_elements(reader, gradient))
                    .collect();
                table.clear_sums();
                let rows = gradient.rows.chunks_exact(columns.stride);
                for (row, gradient) in rows.enumerate() {
                    for (reader, elements) in readers.iter().zip(&mut elements) {
                        let ids = this.ids(ids, row, reader);
                        let units = &gradient[columns.offset + reader.offset..][..reader.width];
                        match reader.reads {
                            Reads::One => table.add_gradient(ids[0], units, 1.0),
                            Reads::Pooled(pooling) => {
                                let share = pooling.share(ids.len());
                                for id in ids {
                                    table.add_gradient(*id, units, share);
                                }
                            }
                            Reads::Elements => {
                                for id in ids {
                                    let (units, rest) = elements.split_at(reader.width);
                                    table.add_gradient(*id, units, 1.0);
                                    *elements = rest;
                                }
                            }
                        }
                    }
                }
                table.apply(factors, *width)
            });
        self.tables = tables;
        updated
    }

    /// The gradient of a reader's elements; nothing of another reader.
    fn gradient_of_elements<'a>(&self, reader: &Placed, gradient: RowGradients<'a>) -> &'a [f32] {
        let mut of_elements = self.of_elements();
        let place = of_elements.position(|other| std::ptr::eq(other, reader));
        let gradient = place.map(|place| gradient.elements[place]);
        gradient.unwrap_or_default()
    }

    /// Refuses gradients that are not of the elements.
    fn check_elements(&self, lists: Lists<'_>, gradients: &[&[f32]]) -> Result<()> {
        let expected: Vec<usize> = (self.of_elements())
            .map(|reader| self.list_ids(lists, reader).count() * reader.width)
            .collect();
        let found: Vec<usize> = gradients.iter().map(|gradient| gradient.len()).collect();
        if found != expected {
            candle_core::bail!("gradients of {found:?} values, expected {expected:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
