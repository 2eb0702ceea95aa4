//! One embedding table: gradients summed per touched row, and those rows updated by a sparse rule.

use super::adam::{AdamConfig, StepFactors, adam_update};
use super::kept::Kept;
use crate::cuda::{Grouped, Machine, Occurrence, TableAddresses, group};
use crate::parameter::Parameter;
use crate::simd::prefetch;
use candle_core::Result;

/// How touched rows are updated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SparseRule {
    /// Adam whose moments move only when a row is touched (lazy Adam). Epsilon is added after the bias correction, as Adam's paper and
    /// PyTorch's Adam have it. PyTorch's SparseAdam adds it before: at gradients of about epsilon it moves 2 to 4.6 times less.
    Adam(AdamConfig),
    /// Adagrad with one sum of squares a row, of the mean over its units.
    RowWiseAdagrad {
        /// Added to the root of the sum.
        epsilon: f64,
        /// Decay of a touched row, times the learning rate, beside its gradient.
        weight_decay: f64,
    },
}

impl SparseRule {
    pub(super) fn factors(&self, learning_rate: f64, step: u64) -> RowFactors {
        match self {
            Self::Adam(config) => RowFactors::Adam(StepFactors::new(config, learning_rate, step)),
            Self::RowWiseAdagrad {
                epsilon,
                weight_decay,
            } => RowFactors::RowWiseAdagrad {
                rate: learning_rate,
                epsilon: *epsilon,
                keep: (1.0 - learning_rate * weight_decay) as f32,
            },
        }
    }
}

/// The factors of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowFactors {
    Adam(StepFactors),
    RowWiseAdagrad {
        rate: f64,
        epsilon: f64,
        /// What decay leaves of a weight.
        keep: f32,
    },
}

/// A table with the state of its rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) parameter: Parameter,
    pub(super) num_rows: usize,
    first: Kept,
    second: Kept,
    /// Per row: where its gradient is summed in this step.
    slots: Vec<u32>,
    touched: Vec<u32>,
    sums: Vec<f32>,
    /// Whether rows are asked for ahead. Tables that fit a core's cache together have them there.
    pub(super) is_far: bool,
}

/// Rows between the one that is read or updated and the one that is asked for from memory.
pub(super) const AHEAD: usize = 12;

/// Tables of so many bytes stay in the second-level cache of most cores.
const NEAR_BYTES: usize = 1 << 20;

/// Tells tables whose rows a step reads one after the other whether those are to be asked for ahead: 40 small tables are as far away as
/// one large one.
pub(super) fn find_distance<'a>(tables: impl Iterator<Item = &'a mut Table>, dim: usize) {
    let tables: Vec<&mut Table> = tables.collect();
    let rows: usize = tables.iter().map(|table| table.num_rows).sum();
    let is_far = rows * dim * size_of::<f32>() > NEAR_BYTES;
    for table in tables {
        table.is_far = is_far;
    }
}

/// The slot of a row that the step has not met.
pub(crate) const UNTOUCHED: u32 = u32::MAX;

impl Table {
    /// What is kept from update to update, under stable names: `<variable path>.first` and `.second`.
    pub(super) fn kept_mut(&mut self) -> [(String, &mut Kept); 2] {
        let path = self.parameter.path();
        [
            (format!("{path}.first"), &mut self.first),
            (format!("{path}.second"), &mut self.second),
        ]
    }

    /// A table [vocabulary, dim] that no step has touched, and its width.
    pub(super) fn new(parameter: Parameter, rule: SparseRule) -> Result<(Self, usize)> {
        let (num_rows, width) = parameter.tensor().dims2()?;
        let moments = num_rows * width;
        let (first, second) = match rule {
            SparseRule::Adam(_) => (moments, moments),
            SparseRule::RowWiseAdagrad { .. } => (num_rows, 0),
        };
        let table = Self {
            first: Kept::new(first, parameter.tensor()),
            second: Kept::new(second, parameter.tensor()),
            parameter,
            num_rows,
            slots: vec![UNTOUCHED; num_rows],
            touched: Vec::new(),
            sums: Vec::new(),
            is_far: false,
        };
        Ok((table, width))
    }

    /// Refuses the first id beyond the table.
    pub(super) fn check(&self, mut ids: impl Iterator<Item = u32>) -> Result<()> {
        match ids.find(|id| *id as usize >= self.num_rows) {
            None => Ok(()),
            Some(id) => candle_core::bail!(
                "{}: id {id} in a table of {} rows",
                self.parameter.path(),
                self.num_rows
            ),
        }
    }

    /// Starts a step's sums.
    pub(super) fn clear_sums(&mut self) {
        self.touched.clear();
        self.sums.clear();
    }

    /// Adds `gradient`, times `share`, to the sum of a row.
    #[inline]
    pub(super) fn add_gradient(&mut self, id: u32, gradient: &[f32], share: f32) {
        let dim = gradient.len();
        let slot = &mut self.slots[id as usize];
        if *slot == UNTOUCHED {
            *slot = self.touched.len() as u32;
            self.touched.push(id);
            self.sums.extend(gradient.iter().map(|value| value * share));
        } else {
            let start = *slot as usize * dim;
            for (sum, value) in self.sums[start..start + dim].iter_mut().zip(gradient) {
                *sum += value * share;
            }
        }
    }

    /// Sums the gradients of a step, in the order of `rows`.
    pub(super) fn sum_gradients<'a>(
        &mut self,
        rows: impl Iterator<Item = (u32, &'a [f32])> + Clone,
    ) {
        self.clear_sums();
        let mut ahead = self.is_far.then(|| rows.clone().skip(AHEAD));
        for (id, gradient) in rows {
            if let Some((id, _)) = ahead.as_mut().and_then(Iterator::next) {
                prefetch(&self.slots[id as usize..][..1]);
            }
            self.add_gradient(id, gradient, 1.0);
        }
    }

    /// Updates the rows that were touched.
    pub(super) fn apply(&mut self, factors: RowFactors, dim: usize) -> Result<()> {
        let Self {
            parameter,
            first,
            second,
            slots,
            touched,
            sums,
            is_far,
            ..
        } = self;
        let (first, second) = (first.on_processor(), second.on_processor());
        parameter.update(|values| {
            let units = |id: u32| id as usize * dim..(id as usize + 1) * dim;
            for (place, (id, sums)) in touched.iter().zip(sums.chunks_exact(dim)).enumerate() {
                if *is_far && let Some(ahead) = touched.get(place + AHEAD) {
                    prefetch(&values[units(*ahead)]);
                    match factors {
                        RowFactors::Adam(_) => {
                            prefetch(&first[units(*ahead)]);
                            prefetch(&second[units(*ahead)]);
                        }
                        RowFactors::RowWiseAdagrad { .. } => {
                            prefetch(&first[*ahead as usize..][..1])
                        }
                    }
                }
                let range = units(*id);
                let id = *id as usize;
                slots[id] = UNTOUCHED;
                let row = &mut values[range.clone()];
                match factors {
                    RowFactors::Adam(factors) => {
                        let first = &mut first[range.clone()];
                        adam_update(row, first, &mut second[range], sums, factors);
                    }
                    RowFactors::RowWiseAdagrad {
                        rate,
                        epsilon,
                        keep,
                    } => {
                        let squares: f32 = sums.iter().map(|g| g * g).sum();
                        first[id] += squares / dim as f32;
                        let scale = (rate / (f64::from(first[id]).sqrt() + epsilon)) as f32;
                        for (value, slope) in row.iter_mut().zip(sums) {
                            *value = *value * keep - scale * slope;
                        }
                    }
                }
            }
        })
    }

    /// Groups the ids of a step by row, for a device.
    pub(super) fn group(
        &mut self,
        occurrences: impl Iterator<Item = Occurrence> + Clone,
    ) -> Grouped {
        group(occurrences, &mut self.slots)
    }

    /// Where everything is on a device.
    pub(super) fn addresses(&mut self, machine: &Machine) -> Result<TableAddresses> {
        Ok(TableAddresses {
            values: self.parameter.address_mut()?,
            first: self.first.address(machine)?,
            second: self.second.address(machine)?,
        })
    }
}
