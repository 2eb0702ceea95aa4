//! The input of every model: embedded categorical features, pooled multi-valued ones, then numeric ones.
//!
//! The rows of a batch are gathered into a leaf of candle's graph; its gradient updates those rows alone.

mod attention;
mod tables;

pub use attention::TargetAttention;
pub use tables::{table_paths, table_shapes};

use crate::ModelError;
use crate::features::{FeatureDims, Ids, Tables};
use crate::layout::TaskLayout;
use crate::var_builder::VarBuilder;
use attention::{PlacedList, element_lists, placed};
use candle_core::{Device, Tensor, Var};
use homebench_kernels::Parameter;
use homebench_kernels::cuda::{BatchParts, CopiedBatch};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::optimizer::{
    BatchRows, Columns, Kept, RowGradients, SparseRule, gather_on_device, update_on_device,
};
use std::sync::{Mutex, PoisonError};
use tables::{TableSet, roots};

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
///     tables: Default::default(),
///     attention: Default::default(),
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
    copies: Vec<TableSet>,
    dims: FeatureDims,
    /// Lists that attend to a target, which [`TargetAttention`] makes units of.
    attending: Vec<PlacedList>,
    per_task: bool,
    device: Device,
    /// For batches that nobody has copied to a device before.
    // Behind a lock, so that scoring needs no exclusive access to the tables.
    room: Mutex<Option<CopiedBatch>>,
}

impl EmbeddedInput {
    /// Tables under `embedding.<feature>.weight`, or `task.<name>.embedding...` where each task has its own, or both.
    ///
    /// # Errors
    /// Weights to load that don't fit; lists that can't attend to what they are to attend to.
    pub fn new(
        dims: &FeatureDims,
        layout: &TaskLayout,
        tables: Tables,
        rule: SparseRule,
        vb: &VarBuilder,
    ) -> Result<Self, ModelError> {
        let attending = placed(dims)?;
        let copy = |root: &String| TableSet::new(root, dims, tables, rule, vb);
        Ok(Self {
            copies: (roots(layout, tables).iter().map(copy)).collect::<Result<_, ModelError>>()?,
            dims: dims.clone(),
            attending,
            per_task: tables.per_task(),
            device: vb.device().clone(),
            room: Mutex::new(CopiedBatch::new(vb.device())?),
        })
    }

    /// Whether there are tables, and training leaves all of them as they are.
    pub fn is_frozen(&self) -> bool {
        let tables = || {
            let copies = self.copies.iter();
            copies.flat_map(TableSet::parameters)
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
    /// Where lists attend to a target the leaf is packed, and [`TargetAttention::forward`] makes the input of it, dropout included.
    ///
    /// # Shapes
    /// - ids, and numeric: [batch, numeric features], row-major
    /// - result: [batch, input_dim], or [sets, batch, input_dim] with tables per task: a set a task, then the shared one if there is one;
    ///   packed as [`ElementLists`](homebench_kernels::target_attention::ElementLists) says
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
        if !self.attending.is_empty() {
            return self.gather_packed(ids, numeric);
        }
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
            copy.gather(ids, out, self.columns())?;
            self.put_numeric(numeric, out);
        }
        self.drop_out(dropout, &mut values);
        Ok(Var::from_vec(values, self.shape(num_rows), &Device::Cpu)?)
    }

    /// Every copy has the numeric features, which have no tables.
    fn put_numeric(&self, numeric: &[f32], out: &mut [f32]) {
        let (stride, num_numeric) = (self.dims.input_dim(), self.dims.num_numeric);
        // Chunks of zero columns would panic.
        if num_numeric > 0 {
            let rows = out
                .chunks_exact_mut(stride)
                .zip(numeric.chunks_exact(num_numeric));
            for (row, numeric) in rows {
                row[stride - num_numeric..].copy_from_slice(numeric);
            }
        }
    }

    /// Rows, and behind them the elements of the lists that attend to a target.
    fn gather_packed(&self, ids: Ids<'_>, numeric: &[f32]) -> Result<Var, ModelError> {
        let lists = element_lists(&self.attending, &self.dims, ids, self.copies.len())?;
        let mut values = vec![0f32; lists.packed_len()];
        for (set, copy) in self.copies.iter().enumerate() {
            let rows = &mut values[lists.rows(set)];
            copy.gather(ids, rows, self.columns())?;
            self.put_numeric(numeric, rows);
            for place in 0..self.attending.len() {
                copy.gather_elements(place, ids, &mut values[lists.elements(set, place)])?;
            }
        }
        let length = values.len();
        Ok(Var::from_vec(values, length, &Device::Cpu)?)
    }

    /// As [`Self::update`], from the gradient of what [`Self::gather_packed`] gave.
    fn update_packed(
        &mut self,
        ids: Ids<'_>,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<(), ModelError> {
        let lists = element_lists(&self.attending, &self.dims, ids, self.copies.len())?;
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        if gradient.len() != lists.packed_len() {
            let message = format!(
                "a gradient of {} numbers is not of the {} that were gathered",
                gradient.len(),
                lists.packed_len()
            );
            return Err(ModelError::Tensor { message });
        }
        let columns = self.columns();
        for (set, copy) in self.copies.iter_mut().enumerate() {
            let elements = (0..self.attending.len()).map(|place| lists.elements(set, place));
            let elements: Vec<&[f32]> = elements.map(|part| &gradient[part]).collect();
            let gradient = RowGradients {
                rows: &gradient[lists.rows(set)],
                elements: &elements,
            };
            copy.update(ids, gradient, columns, learning_rate)?;
        }
        Ok(())
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
        let copies = self.copies.iter().map(TableSet::plain);
        let copies = copies.collect::<Result<Vec<_>, ModelError>>()?;
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

    /// Updates the rows of `ids` from the gradient of [`Self::gather`]'s result under the same dropout, which a packed one has behind it.
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
        if !self.attending.is_empty() {
            return self.update_packed(ids, gradient, learning_rate);
        }
        let columns = self.columns();
        let num_rows = gradient.elem_count() / (self.copies.len() * columns.stride);
        let rows = self.rows(ids, num_rows);
        let copies = self.copies.iter_mut().map(TableSet::plain_mut);
        // Only tables that have kernels are on a device.
        if let Some(mut copies) = copies.collect::<Option<Vec<_>>>()
            && update_on_device(&mut copies, &rows, gradient, dropout, learning_rate)?
        {
            return Ok(());
        }
        // The mask of the forward pass, made again from its key instead of kept: dropped units get no gradient.
        let mut gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        self.drop_out(dropout, &mut gradient);
        let size = gradient.len() / self.copies.len();
        for (copy, gradient) in self.copies.iter_mut().zip(gradient.chunks_exact(size)) {
            let gradient = RowGradients {
                rows: gradient,
                elements: &[],
            };
            copy.update(ids, gradient, columns, learning_rate)?;
        }
        Ok(())
    }

    /// Updates done; every copy of the tables has the same.
    pub fn steps_done(&self) -> u64 {
        self.copies.first().map_or(0, TableSet::steps_done)
    }

    /// Goes on as after so many updates; what is kept between them is set by way of [`Self::kept_mut`].
    pub fn set_steps_done(&mut self, steps: u64) {
        for copy in &mut self.copies {
            copy.set_steps_done(steps);
        }
    }

    /// The numbers kept from update to update, under stable names. To save and to restore.
    pub fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.copies.iter_mut().flat_map(TableSet::kept_mut)
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
}

#[cfg(test)]
mod tests;
