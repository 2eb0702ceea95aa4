//! The input of every model: embedded categorical features, pooled multi-valued ones, then numeric ones.
//!
//! The rows of a batch are gathered into a leaf of candle's graph; its gradient updates those rows alone.

use crate::ModelError;
use crate::features::{FeatureDims, Ids, Tables};
use crate::layout::TaskLayout;
use crate::var_builder::VarBuilder;
use candle_core::{Device, Tensor, Var};
use homebench_kernels::Parameter;
use homebench_kernels::cuda::{BatchParts, CopiedBatch};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::optimizer::{
    BatchRows, Columns, EmbeddingTables, Kept, PooledTables, SparseRule, gather_on_device,
    update_on_device,
};
use std::sync::{Mutex, PoisonError};

/// One set of embedding tables.
// Two kinds, since a single id's row is copied and a list's rows are pooled; both count their own steps.
#[derive(Debug)]
struct Copy {
    single: EmbeddingTables,
    lists: PooledTables,
}

/// Embedding tables, once or once per task.
///
/// ```
/// use candle_core::{DType, Device};
/// use homebench_kernels::optimizer::{Lists, SparseRule};
/// use homebench_model::{EmbeddedInput, FeatureDims, Ids, Tables, TaskGroup, TaskLayout, VarBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layout = TaskLayout {
///     tasks: vec!["click".into()],
///     groups: vec![TaskGroup { name: "feed".into(), tasks: vec![0] }],
/// };
/// let dims = FeatureDims {
///     vocabularies: vec![("author".into(), 10)],
///     lists: Vec::new(),
///     num_numeric: 1,
///     embedding_dim: 4,
/// };
/// let rule = SparseRule::RowWiseAdagrad { epsilon: 1e-8, weight_decay: 0.0 };
/// let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
/// let mut input = EmbeddedInput::new(&dims, &layout, Tables::Shared, rule, &vb)?;
///
/// // Two rows: authors 3 and 7, and a number each.
/// let ids = Ids { single: &[3, 7], lists: Lists::default() };
/// let xs = input.gather(ids, &[0.5, -0.5], 2, None)?;
/// assert_eq!(xs.dims(), [2, 4 + 1]);
///
/// // The gradient of the input updates the rows that were read, and no others.
/// let gradients = xs.sqr()?.sum_all()?.backward()?;
/// input.update(ids, gradients.get(&xs).expect("xs is a leaf"), None, 0.1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EmbeddedInput {
    copies: Vec<Copy>,
    dims: FeatureDims,
    per_task: bool,
    device: Device,
    /// For batches that nobody has copied to a device before.
    // Behind a lock, so that scoring needs no exclusive access to the tables.
    room: Mutex<Option<CopiedBatch>>,
}

/// Paths and shapes of the tables that an [`EmbeddedInput`] makes, without making any.
pub fn table_shapes(
    dims: &FeatureDims,
    layout: &TaskLayout,
    tables: Tables,
) -> Vec<(String, [usize; 2])> {
    let roots = roots(layout, tables);
    let single = dims.vocabularies.iter().map(|(name, rows)| (name, *rows));
    let lists = dims.lists.iter().map(|(name, rows, _)| (name, *rows));
    let features: Vec<(&String, usize)> = single.chain(lists).collect();
    let of_root = |root: &String| {
        let table = |(name, rows): &(&String, usize)| {
            let path = format!("{root}embedding.{name}.weight");
            (path, [*rows, dims.embedding_dim])
        };
        features.iter().map(table).collect::<Vec<_>>()
    };
    roots.iter().flat_map(of_root).collect()
}

/// What the paths of each set of tables begin with, in the order of the sets.
fn roots(layout: &TaskLayout, tables: Tables) -> Vec<String> {
    let shared = String::new();
    if !tables.per_task() {
        return vec![shared];
    }
    let of_tasks = layout.tasks.iter().map(|task| format!("task.{task}."));
    // Behind those of the tasks, as models count them.
    let behind = (tables == Tables::PerTaskAndShared).then_some(shared);
    of_tasks.chain(behind).collect()
}

impl EmbeddedInput {
    /// Tables under `embedding.<feature>.weight`, or `task.<name>.embedding...` where each task has its own, or both.
    ///
    /// # Errors
    /// Weights to load that don't fit.
    pub fn new(
        dims: &FeatureDims,
        layout: &TaskLayout,
        tables: Tables,
        rule: SparseRule,
        vb: &VarBuilder,
    ) -> Result<Self, ModelError> {
        let copy = |root: &String| -> Result<Copy, ModelError> {
            let of = |name: &String, rows: usize| {
                let vb = vb.pp(format!("{root}embedding.{name}"));
                vb.get((rows, dims.embedding_dim), "weight", tables.init())
            };
            let single = dims.vocabularies.iter().map(|(name, rows)| of(name, *rows));
            let lists = dims
                .lists
                .iter()
                .map(|(name, rows, pooling)| Ok((of(name, *rows)?, *pooling)));
            Ok(Copy {
                single: EmbeddingTables::new(single.collect::<Result<_, _>>()?, rule)?,
                lists: PooledTables::new(lists.collect::<Result<_, ModelError>>()?, rule)?,
            })
        };
        Ok(Self {
            copies: (roots(layout, tables).iter().map(copy)).collect::<Result<_, _>>()?,
            dims: dims.clone(),
            per_task: tables.per_task(),
            device: vb.device().clone(),
            room: Mutex::new(CopiedBatch::new(vb.device())?),
        })
    }

    /// Whether there are tables, and training leaves all of them as they are.
    pub fn is_frozen(&self) -> bool {
        let tables = || {
            let copies = self.copies.iter();
            copies.flat_map(|copy| copy.single.parameters().chain(copy.lists.parameters()))
        };
        tables().next().is_some() && tables().all(Parameter::is_frozen)
    }

    /// The input of a batch as a training step reads it: apart from candle's graph where nothing would use its gradient.
    pub fn of_step(&self, xs: &Var) -> Tensor {
        match self.is_frozen() {
            true => xs.as_detached_tensor(),
            false => xs.as_tensor().clone(),
        }
    }

    /// Where the tables are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The input of a batch, as a leaf whose gradient candle computes. Dropout drops embedded units, never numeric features.
    ///
    /// # Shapes
    /// - ids, and numeric: [batch, numeric features], row-major
    /// - result: [batch, input_dim], or [sets, batch, input_dim] with tables per task: a set a task, then the shared one if there is one
    ///
    /// # Errors
    /// An id beyond its table.
    pub fn gather(
        &self,
        ids: Ids<'_>,
        numeric: &[f32],
        num_rows: usize,
        dropout: Option<&Dropout>,
    ) -> Result<Var, ModelError> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = &mut *room {
            room.fill(BatchParts {
                ids: ids.single,
                list_ids: ids.lists.ids,
                list_ends: ids.lists.ends,
                numeric,
            })?;
            return self.gather_copied(ids, room, num_rows, dropout);
        }
        // Rows are laid out as the model reads them, so that no operator has to concatenate columns.
        let stride = self.dims.input_dim();
        let mut values = vec![0f32; self.copies.len() * num_rows * stride];
        for (copy, out) in self
            .copies
            .iter()
            .zip(values.chunks_exact_mut(num_rows * stride))
        {
            copy.single.gather(ids.single, out, self.columns())?;
            copy.lists.gather(ids.lists, out, self.list_columns())?;
            // Every copy has the numeric features, which have no tables. Chunks of zero columns would panic.
            let num_numeric = self.dims.num_numeric;
            if num_numeric > 0 {
                let rows = out
                    .chunks_exact_mut(stride)
                    .zip(numeric.chunks_exact(num_numeric));
                for (row, numeric) in rows {
                    row[stride - num_numeric..].copy_from_slice(numeric);
                }
            }
        }
        self.drop_out(dropout, &mut values);
        Ok(Var::from_vec(values, self.shape(num_rows), &Device::Cpu)?)
    }

    /// As [`Self::gather`], of a batch that has been copied to this input's device.
    ///
    /// # Errors
    /// An id beyond its table, another batch that was copied, or a device that fails.
    pub fn gather_copied(
        &self,
        ids: Ids<'_>,
        copied: &mut CopiedBatch,
        num_rows: usize,
        dropout: Option<&Dropout>,
    ) -> Result<Var, ModelError> {
        let copies: Vec<_> = self.copies.iter().map(|c| (&c.single, &c.lists)).collect();
        let rows = self.rows(ids, num_rows);
        let shape = self.shape(num_rows);
        let xs = gather_on_device(&self.device, &copies, &rows, copied, &shape, dropout)?;
        Ok(xs)
    }

    /// Of the input of a batch.
    fn shape(&self, num_rows: usize) -> Vec<usize> {
        let stride = self.dims.input_dim();
        match self.per_task {
            true => vec![self.copies.len(), num_rows, stride],
            false => vec![num_rows, stride],
        }
    }

    /// Updates the rows of `ids` from the gradient of [`Self::gather`]'s result under the same dropout.
    ///
    /// # Errors
    /// The gradient has another shape.
    pub fn update(
        &mut self,
        ids: Ids<'_>,
        gradient: &Tensor,
        dropout: Option<&Dropout>,
        learning_rate: f64,
    ) -> Result<(), ModelError> {
        // Only the gradient of the embedded columns is of use; without any there is nothing to update.
        if self.dims.num_embedded() == 0 {
            return Ok(());
        }
        let (columns, list_columns) = (self.columns(), self.list_columns());
        let num_rows = gradient.elem_count() / (self.copies.len() * columns.stride);
        let rows = self.rows(ids, num_rows);
        let copies = self.copies.iter_mut();
        let mut copies: Vec<_> = copies.map(|c| (&mut c.single, &mut c.lists)).collect();
        if update_on_device(&mut copies, &rows, gradient, dropout, learning_rate)? {
            return Ok(());
        }
        // The mask of the forward pass, made again from its key instead of kept: dropped units get no gradient.
        let mut gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        self.drop_out(dropout, &mut gradient);
        let size = gradient.len() / self.copies.len();
        for (copy, gradient) in self.copies.iter_mut().zip(gradient.chunks_exact(size)) {
            copy.single
                .update(ids.single, gradient, columns, learning_rate)?;
            copy.lists
                .update(ids.lists, gradient, list_columns, learning_rate)?;
        }
        Ok(())
    }

    /// Updates done; every copy of the tables has the same.
    pub fn steps_done(&self) -> u64 {
        self.copies.first().map_or(0, |copy| {
            // A set without tables counts nothing.
            let (single, lists) = (copy.single.steps_done(), copy.lists.steps_done());
            single.max(lists)
        })
    }

    /// Goes on as after so many updates; what is kept between them is set by way of [`Self::kept_mut`].
    pub fn set_steps_done(&mut self, steps: u64) {
        for copy in &mut self.copies {
            copy.single.set_steps_done(steps);
            copy.lists.set_steps_done(steps);
        }
    }

    /// The numbers kept from update to update, under stable names. To save and to restore.
    pub fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.copies
            .iter_mut()
            .flat_map(|copy| copy.single.kept_mut().chain(copy.lists.kept_mut()))
    }

    fn rows<'a>(&self, ids: Ids<'a>, num_rows: usize) -> BatchRows<'a> {
        BatchRows {
            ids: ids.single,
            lists: ids.lists,
            num_numeric: self.dims.num_numeric,
            num_rows,
            input_dim: self.dims.input_dim(),
        }
    }

    /// Masks every copy's embedded units; the copies' rows are counted on from one to the next.
    fn drop_out(&self, dropout: Option<&Dropout>, values: &mut [f32]) {
        if let Some(dropout) = dropout {
            dropout.apply(values, self.columns(), self.dims.num_embedded());
        }
    }

    fn columns(&self) -> Columns {
        Columns {
            stride: self.dims.input_dim(),
            offset: 0,
        }
    }

    /// Pooled lists come after the single values.
    fn list_columns(&self) -> Columns {
        Columns {
            offset: self.dims.vocabularies.len() * self.dims.embedding_dim,
            ..self.columns()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use homebench_kernels::optimizer::{Lists, Pooling};

    fn single(ids: &[u32]) -> Ids<'_> {
        Ids {
            single: ids,
            lists: Lists::default(),
        }
    }

    /// One table of 64 rows of 4 units beside a numeric feature.
    fn input() -> EmbeddedInput {
        built(&FeatureDims {
            vocabularies: vec![("author".to_owned(), 64)],
            lists: Vec::new(),
            num_numeric: 1,
            embedding_dim: 4,
        })
    }

    fn built(dims: &FeatureDims) -> EmbeddedInput {
        let layout = TaskLayout {
            tasks: vec!["click".to_owned()],
            groups: Vec::new(),
        };
        let rule = SparseRule::RowWiseAdagrad {
            epsilon: 1e-10,
            weight_decay: 0.0,
        };
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        EmbeddedInput::new(dims, &layout, Tables::Shared, rule, &vb).unwrap()
    }

    #[test]
    fn dropped_units_are_cleared_and_get_no_gradient_and_numbers_stay() {
        let mut input = input();
        let ids: Vec<u32> = (0..64).collect();
        let numeric = [7f32; 64];
        let dropout = Dropout::new(0.5, 1, 0, "embedding");
        let rows = |input: &EmbeddedInput, dropout| -> Vec<Vec<f32>> {
            let xs = input.gather(single(&ids), &numeric, 64, dropout).unwrap();
            xs.to_vec2::<f32>().unwrap()
        };
        let before = rows(&input, None);
        let dropped = rows(&input, Some(&dropout));
        let ones = Tensor::ones((64, 5), DType::F32, &Device::Cpu).unwrap();
        input
            .update(single(&ids), &ones, Some(&dropout), 0.1)
            .unwrap();
        let after = rows(&input, None);
        let mut num_dropped = 0;
        for ((before, dropped), after) in before.iter().zip(&dropped).zip(&after) {
            assert_eq!((before[4], dropped[4]), (7.0, 7.0));
            for unit in 0..4 {
                if dropped[unit] == 0.0 {
                    num_dropped += 1;
                    assert_eq!(after[unit], before[unit]);
                } else {
                    assert_eq!(dropped[unit], 2.0 * before[unit]);
                    assert!(after[unit] < before[unit]);
                }
            }
        }
        assert!((90..166).contains(&num_dropped), "{num_dropped} of 256");
    }

    #[test]
    fn the_shapes_of_tables_are_those_that_are_made() {
        let dims = FeatureDims {
            vocabularies: vec![("author".to_owned(), 5), ("topic".to_owned(), 3)],
            lists: vec![("tags".to_owned(), 7, Pooling::Sum)],
            num_numeric: 1,
            embedding_dim: 2,
        };
        let layout = TaskLayout {
            tasks: vec!["click".to_owned(), "like".to_owned()],
            groups: Vec::new(),
        };
        let rule = SparseRule::RowWiseAdagrad {
            epsilon: 1e-10,
            weight_decay: 0.0,
        };
        for tables in [Tables::Shared, Tables::PerTask] {
            let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
            let input = EmbeddedInput::new(&dims, &layout, tables, rule, &vb).unwrap();
            let made = vb.finish().unwrap();
            let made = made.parameters().iter().map(|table| {
                let (rows, width) = table.tensor().dims2().unwrap();
                (table.path().to_owned(), [rows, width])
            });
            let mut expected = table_shapes(&dims, &layout, tables);
            expected.sort();
            assert_eq!(made.collect::<Vec<_>>(), expected);
            assert!(!input.is_frozen());
        }
    }

    #[test]
    fn frozen_tables_read_no_gradient_and_stay() {
        let mut input = input();
        let xs = input.gather(single(&[3]), &[7.0], 1, None).unwrap();
        assert!(input.of_step(&xs).is_variable());
        input.copies[0]
            .single
            .parameters()
            .for_each(Parameter::freeze);
        assert!(input.is_frozen() && !input.of_step(&xs).track_op());
        let slopes = Tensor::ones((1, 5), DType::F32, &Device::Cpu).unwrap();
        input.update(single(&[3]), &slopes, None, 0.1).unwrap();
        let again = input.gather(single(&[3]), &[7.0], 1, None).unwrap();
        assert_eq!(
            again.to_vec2::<f32>().unwrap(),
            xs.to_vec2::<f32>().unwrap()
        );
    }

    #[test]
    fn lists_lie_between_single_values_and_numbers_and_move_with_their_own_gradient() {
        let mut input = built(&FeatureDims {
            vocabularies: vec![("author".to_owned(), 5)],
            lists: vec![("tags".to_owned(), 7, Pooling::Sum)],
            num_numeric: 1,
            embedding_dim: 2,
        });
        assert_eq!(input.dims.input_dim(), 5);
        let ids = Ids {
            single: &[1, 4],
            lists: Lists {
                ids: &[6, 2, 6],
                ends: &[2, 3],
            },
        };
        let rows = |input: &EmbeddedInput| {
            let xs = input.gather(ids, &[7.0, 8.0], 2, None).unwrap();
            xs.to_vec2::<f32>().unwrap()
        };
        let before = rows(&input);
        assert_eq!((before[0][4], before[1][4]), (7.0, 8.0));
        // A gradient of the lists' units alone: authors stay, and tag 6 moves in both rows alike.
        let slopes = [0f32, 0., 1., 1., 9., 0., 0., 1., 1., 9.];
        let slopes = Tensor::from_slice(&slopes, (2, 5), &Device::Cpu).unwrap();
        input.update(ids, &slopes, None, 0.1).unwrap();
        let after = rows(&input);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before[..2], after[..2]);
            assert!(after[2] < before[2] && after[3] < before[3]);
        }
        let moved = before[1][2] - after[1][2];
        assert!((before[0][2] - after[0][2] - 2.0 * moved).abs() < 1e-6);
    }
}
