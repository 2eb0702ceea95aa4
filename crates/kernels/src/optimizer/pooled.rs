//! Multi-valued features: a row's list of ids becomes the sum or the mean of their rows in the table.
//!
//! As with single-valued features, a step's cost grows with the ids of its batch and not with a table. An id that a list
//! holds twice counts twice; an empty list is a zero vector and gets no gradient.

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
    #[inline]
    pub(super) fn list(&self, index: usize) -> &'a [u32] {
        let start = match index {
            0 => 0,
            index => self.ends[index - 1],
        };
        &self.ids[start as usize..self.ends[index] as usize]
    }
}

/// The ids of a batch.
#[derive(Debug, Clone, Copy)]
pub enum BatchIds<'a> {
    /// Of single-valued features, [batch, tables], row-major: every list is of one.
    Single(&'a [u32]),
    /// Of multi-valued features.
    Lists(Lists<'a>),
}

impl<'a> From<&'a [u32]> for BatchIds<'a> {
    fn from(ids: &'a [u32]) -> Self {
        Self::Single(ids)
    }
}

impl<'a> From<&'a Vec<u32>> for BatchIds<'a> {
    fn from(ids: &'a Vec<u32>) -> Self {
        Self::Single(ids)
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for BatchIds<'a> {
    fn from(ids: &'a [u32; N]) -> Self {
        Self::Single(ids)
    }
}

impl<'a> From<Lists<'a>> for BatchIds<'a> {
    fn from(lists: Lists<'a>) -> Self {
        Self::Lists(lists)
    }
}

impl<'a> BatchIds<'a> {
    /// Number of lists, over rows and tables.
    pub(super) fn num_lists(self) -> usize {
        match self {
            Self::Single(ids) => ids.len(),
            Self::Lists(lists) => lists.ends.len(),
        }
    }

    /// Number of ids in all lists.
    pub(super) fn num_ids(self) -> usize {
        match self {
            Self::Single(ids) => ids.len(),
            Self::Lists(lists) => lists.ids.len(),
        }
    }

    /// Whether the lists lie one after another and hold every id.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Self::Single(_) => true,
            Self::Lists(Lists { ids, ends }) => {
                ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == ids.len()
            }
        }
    }

    /// The ids of list `index`, counted over rows and tables.
    #[inline]
    pub(super) fn list(self, index: usize) -> &'a [u32] {
        match self {
            Self::Single(ids) => &ids[index..=index],
            Self::Lists(lists) => lists.list(index),
        }
    }
}

/// `to` = the pooled rows of `ids`, added up in their order. A list of one is a copy.
#[inline]
pub(super) fn pool(to: &mut [f32], ids: &[u32], values: &[f32], pooling: Pooling) {
    let dim = to.len();
    let row = |id: u32| &values[id as usize * dim..][..dim];
    let Some((first, others)) = ids.split_first() else {
        return to.fill(0.0);
    };
    // The first row begins the sum: of a list of one, every bit stays as it is in the table.
    to.copy_from_slice(row(*first));
    if others.is_empty() {
        return;
    }
    for id in others {
        for (to, value) in to.iter_mut().zip(row(*id)) {
            *to += value;
        }
    }
    if pooling == Pooling::Mean {
        // One division for all units.
        let share = pooling.share(ids.len());
        to.iter_mut().for_each(|value| *value *= share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{AdamConfig, Columns, PooledTables, SparseRule};
    use crate::parameter::{Parameter, Role};
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
