//! The input of every model: embedded categorical features beside numeric ones.
//!
//! The rows of a batch are gathered into a leaf of candle's graph; its gradient updates those rows alone.

use crate::ModelError;
use crate::layout::TaskLayout;
use crate::variables::{Init, VarBuilder};
use candle_core::{Device, Tensor, Var};
use homebench_kernels::optimizer::{Columns, EmbeddingTables, SparseRule};

/// Sizes of the features of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureDims {
    /// Name and number of rows of each table.
    pub vocabularies: Vec<(String, usize)>,
    /// Number of numeric features.
    pub num_numeric: usize,
    /// Width of each embedding.
    pub embedding_dim: usize,
}

impl FeatureDims {
    /// Width of a model's input.
    pub fn input_dim(&self) -> usize {
        self.vocabularies.len() * self.embedding_dim + self.num_numeric
    }
}

/// Standard deviation of fresh embeddings.
const INITIAL_DEVIATION: f32 = 0.05;

/// Embedding tables, once or once per task.
#[derive(Debug)]
pub struct EmbeddedInput {
    copies: Vec<EmbeddingTables>,
    dims: FeatureDims,
    per_task: bool,
}

impl EmbeddedInput {
    /// Tables under `embedding.<feature>.weight`, or `task.<name>.embedding...` where each task has its own.
    ///
    /// # Errors
    /// Weights to load that don't fit.
    pub fn new(
        dims: &FeatureDims,
        layout: &TaskLayout,
        per_task: bool,
        rule: SparseRule,
        vb: &VarBuilder,
    ) -> Result<Self, ModelError> {
        let roots: Vec<VarBuilder> = match per_task {
            true => layout
                .tasks
                .iter()
                .map(|task| vb.pp("task").pp(task))
                .collect(),
            false => vec![vb.clone()],
        };
        let tables = |root: &VarBuilder| -> Result<EmbeddingTables, ModelError> {
            let of = |(name, rows): &(String, usize)| {
                let vb = root.pp("embedding").pp(name);
                vb.get(
                    (*rows, dims.embedding_dim),
                    "weight",
                    Init::Normal(INITIAL_DEVIATION),
                )
            };
            let parameters = dims.vocabularies.iter().map(of).collect::<Result<_, _>>()?;
            Ok(EmbeddingTables::new(parameters, rule)?)
        };
        Ok(Self {
            copies: roots.iter().map(tables).collect::<Result<_, _>>()?,
            dims: dims.clone(),
            per_task,
        })
    }

    /// The input of a batch, as a leaf whose gradient candle computes.
    ///
    /// # Shapes
    /// - ids: [batch, tables], numeric: [batch, numeric features], both row-major
    /// - result: [batch, input_dim], or [tasks, batch, input_dim] with tables per task
    ///
    /// # Errors
    /// An id beyond its table.
    pub fn gather(&self, ids: &[u32], numeric: &[f32], num_rows: usize) -> Result<Var, ModelError> {
        let stride = self.dims.input_dim();
        let mut values = vec![0f32; self.copies.len() * num_rows * stride];
        for (copy, out) in self
            .copies
            .iter()
            .zip(values.chunks_exact_mut(num_rows * stride))
        {
            copy.gather(ids, out, self.columns())?;
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
        let shape = match self.per_task {
            true => vec![self.copies.len(), num_rows, stride],
            false => vec![num_rows, stride],
        };
        Ok(Var::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Updates the rows of `ids` from the gradient of [`Self::gather`]'s result.
    ///
    /// # Errors
    /// The gradient has another shape.
    pub fn update(
        &mut self,
        ids: &[u32],
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<(), ModelError> {
        if self.dims.vocabularies.is_empty() {
            return Ok(());
        }
        let columns = self.columns();
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        let size = gradient.len() / self.copies.len();
        for (copy, gradient) in self.copies.iter_mut().zip(gradient.chunks_exact(size)) {
            copy.update(ids, gradient, columns, learning_rate)?;
        }
        Ok(())
    }

    fn columns(&self) -> Columns {
        Columns {
            stride: self.dims.input_dim(),
            offset: 0,
        }
    }
}
