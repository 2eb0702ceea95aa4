//! The input of a batch where a model is on a device: gathered there, and its gradient taken from there.

use super::embedding::{Columns, EmbeddingTables};
use super::pooled::{Lists, PooledTables};
use crate::cuda::{self, Address, BatchAddresses, CopiedBatch, Machine};
use crate::dropout::Dropout;
use candle_core::{Device, Result, Tensor, Var};

/// What a batch's rows are made of.
#[derive(Debug, Clone, Copy)]
pub struct BatchRows<'a> {
    /// Of single-valued features, [batch, tables], row-major; their units are the first columns of the input.
    pub ids: &'a [u32],
    /// Of multi-valued features, whose units come next.
    pub lists: Lists<'a>,
    /// Numeric features; they are the last columns of the input.
    pub num_numeric: usize,
    /// Rows of the batch.
    pub num_rows: usize,
    /// Width of the input.
    pub input_dim: usize,
}

impl BatchRows<'_> {
    fn columns(&self) -> Columns {
        Columns {
            stride: self.input_dim,
            offset: 0,
        }
    }

    /// Those of lists, behind the units of `single`.
    fn list_columns(&self, single: &EmbeddingTables) -> Columns {
        Columns {
            offset: single.output_dim(),
            ..self.columns()
        }
    }
}

/// The input of a batch on `device`, as a leaf whose gradient candle computes. The batch has been copied there.
///
/// # Shapes
/// - result: `shape`, which is [copies, batch, input_dim] or that without the first of 1
///
/// # Errors
/// An id beyond its table, another batch that was copied, or a device that fails or has no kernels.
pub fn gather_on_device(
    device: &Device,
    copies: &[(&EmbeddingTables, &PooledTables)],
    batch: &BatchRows<'_>,
    copied: &mut CopiedBatch,
    shape: &[usize],
    dropout: Option<&Dropout>,
) -> Result<Var> {
    let Some(machine) = Machine::on(device) else {
        candle_core::bail!("no kernels for {device:?}");
    };
    let num_numeric = batch.num_rows * batch.num_numeric;
    let Lists { ids, ends } = batch.lists;
    if copied.lengths() != [batch.ids.len(), ids.len(), ends.len(), num_numeric] {
        candle_core::bail!("another batch was copied to the device");
    }
    let size = batch.num_rows * batch.input_dim;
    let mut values = machine.unspecified(copies.len() * size)?;
    copied.read(|from| {
        for (index, (single, lists)) in copies.iter().enumerate() {
            let out = values.address()?.offset(index * size);
            gather_copy(&machine, single, lists, batch, from, out)?;
        }
        Ok(())
    })?;
    let all = copies.len() * batch.num_rows;
    drop_out(&machine, dropout, values.address()?, all, batch)?;
    values.into_variable(shape)
}

/// One copy's units and the numeric features, into [batch, input_dim] at `out`.
fn gather_copy(
    machine: &Machine,
    single: &EmbeddingTables,
    lists: &PooledTables,
    batch: &BatchRows<'_>,
    from: BatchAddresses,
    out: Address,
) -> Result<()> {
    let num_rows = batch.num_rows;
    let ids = (batch.ids, from.ids);
    single.gather_on(machine, ids, num_rows, out, batch.columns())?;
    let of_lists = (batch.lists, from.list_ids, from.list_ends);
    let list_columns = batch.list_columns(single);
    lists.gather_on(machine, of_lists, num_rows, out, list_columns)?;
    cuda::copy_columns(
        machine,
        out.offset(batch.input_dim - batch.num_numeric),
        batch.input_dim,
        from.numeric,
        num_rows,
        batch.num_numeric,
    )
}

/// Updates every copy's tables from the gradient of [`gather_on_device`]'s result under the same dropout; gives whether they
/// are on a device.
///
/// # Errors
/// A gradient of another shape, or a device that fails.
pub fn update_on_device(
    copies: &mut [(&mut EmbeddingTables, &mut PooledTables)],
    batch: &BatchRows<'_>,
    gradient: &Tensor,
    dropout: Option<&Dropout>,
    learning_rate: f64,
) -> Result<bool> {
    let Some(machine) = Machine::of(gradient) else {
        return Ok(false);
    };
    let size = batch.num_rows * batch.input_dim;
    if gradient.elem_count() != copies.len() * size {
        candle_core::bail!(
            "a gradient of {:?} for {} inputs of [{}, {}]",
            gradient.dims(),
            copies.len(),
            batch.num_rows,
            batch.input_dim
        );
    }
    let gradient = match dropout {
        // The mask must not reach the caller's.
        Some(_) => gradient.contiguous()?.copy()?,
        None => gradient.contiguous()?,
    };
    let all = copies.len() * batch.num_rows;
    let start = match dropout {
        Some(_) => Address::of_mut(&gradient)?,
        None => Address::of(&gradient)?,
    };
    drop_out(&machine, dropout, start, all, batch)?;
    for (index, (single, lists)) in copies.iter_mut().enumerate() {
        let gradient = start.offset(index * size);
        let list_columns = batch.list_columns(single);
        single.update_on(
            &machine,
            batch.ids,
            gradient,
            batch.columns(),
            learning_rate,
        )?;
        lists.update_on(&machine, batch.lists, gradient, list_columns, learning_rate)?;
    }
    Ok(true)
}

/// Masks the embedded units of all copies' rows, counted on from one copy to the next.
fn drop_out(
    machine: &Machine,
    dropout: Option<&Dropout>,
    values: Address,
    num_rows: usize,
    batch: &BatchRows<'_>,
) -> Result<()> {
    let Some(dropout) = dropout else {
        return Ok(());
    };
    let width = batch.input_dim - batch.num_numeric;
    cuda::dropout(machine, dropout, values, num_rows, batch.columns(), width)
}
