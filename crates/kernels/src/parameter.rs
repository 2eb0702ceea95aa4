//! Trainable tensors with a gradient buffer beside each.
//!
//! A coarse operator has more parameters than a candle operator has arguments. It holds them, and its backward pass adds
//! their gradients into these buffers, so that only activations pass through candle's graph. Composed operators leave their
//! gradients in candle's `GradStore`; [`Parameter::collect`] moves them here, and an optimiser reads buffers alone.

use crate::cuda::{Address, Buffer, Machine, add_values};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, Var};
use parking_lot::RwLockReadGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What an optimiser does with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learned from gradients.
    Trained,
    /// A running statistic: kept with the weights, never given to the optimiser.
    Statistic,
}

/// A named variable and its gradient buffer. Clones share both.
#[derive(Debug, Clone)]
pub struct Parameter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: String,
    var: Var,
    role: Role,
    is_frozen: AtomicBool,
    gradient: Mutex<Gradient>,
}

/// A buffer where the variable is, made when a gradient first arrives.
#[derive(Debug, Default)]
struct Gradient {
    buffer: Option<Buffer>,
    filled: bool,
}

impl Parameter {
    /// Wraps `var` under its variable path.
    pub fn new(path: impl Into<String>, var: Var, role: Role) -> Self {
        Self {
            inner: Arc::new(Inner {
                path: path.into(),
                var,
                role,
                is_frozen: AtomicBool::new(false),
                gradient: Mutex::default(),
            }),
        }
    }

    /// The variable path, `meta.shared.expert.0.weight`.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// The variable as a tensor of candle's graph.
    pub fn tensor(&self) -> &Tensor {
        self.inner.var.as_tensor()
    }

    /// The variable.
    pub fn var(&self) -> &Var {
        &self.inner.var
    }

    /// Learned or a statistic.
    pub fn role(&self) -> Role {
        self.inner.role
    }

    /// From here on training leaves its values as they are: no gradient arrives, and no optimiser, table or norm changes it.
    pub fn freeze(&self) {
        self.inner.is_frozen.store(true, Ordering::Relaxed);
    }

    /// Whether training leaves its values as they are.
    pub fn is_frozen(&self) -> bool {
        self.inner.is_frozen.load(Ordering::Relaxed)
    }

    /// Number of elements.
    pub fn num_elements(&self) -> usize {
        self.tensor().elem_count()
    }

    /// Locks the variable's values for reading; only for contiguous f32 on the CPU.
    pub(crate) fn read(&self) -> Result<Values<'_>> {
        values(self.tensor())
    }

    /// Gives the gradient buffer to `write`, and whether it must add (`true`) or may overwrite what is there (`false`); not
    /// where the variable is frozen.
    pub(crate) fn accumulate(&self, write: impl FnOnce(&mut [f32], bool)) {
        if self.is_frozen() {
            return;
        }
        let mut gradient = self.lock();
        let Gradient { buffer, filled } = &mut *gradient;
        let values = buffer
            .get_or_insert_with(|| Buffer::on_processor(vec![0.0; self.num_elements()]))
            .as_mut_slice();
        write(values, *filled);
        *filled = true;
    }

    /// Where the values are, to be read.
    pub(crate) fn address(&self) -> Result<Address> {
        Address::of(self.tensor())
    }

    /// Where the values are, to be written.
    pub(crate) fn address_mut(&self) -> Result<Address> {
        Address::of_mut(self.tensor())
    }

    /// Where the gradient buffer is, and whether a program must add or may overwrite what is there. The gradient counts as
    /// arrived, unless the variable is frozen: programs write it all the same, and nobody reads it.
    pub(crate) fn gradient_address(&self, machine: &Machine) -> Result<(Address, bool)> {
        let mut gradient = self.lock();
        let add = std::mem::replace(&mut gradient.filled, !self.is_frozen());
        let address = match &mut gradient.buffer {
            Some(buffer) => buffer.address()?,
            empty => empty
                .insert(machine.zeros(self.num_elements())?)
                .address()?,
        };
        Ok((address, add))
    }

    /// Where the gradient is, if one has arrived; with `consume`, it counts as used.
    pub(crate) fn arrived_gradient(&self, consume: bool) -> Result<Option<Address>> {
        let mut gradient = self.lock();
        let filled = gradient.filled;
        gradient.filled &= !consume;
        match &mut gradient.buffer {
            Some(buffer) if filled => buffer.address().map(Some),
            _ => Ok(None),
        }
    }

    /// Adds what candle's graph found for this variable, if anything, into the buffer.
    ///
    /// # Errors
    /// The gradient can't be read as f32.
    pub fn collect(&self, gradients: &GradStore) -> Result<()> {
        let Some(found) = gradients.get(self.tensor()).filter(|_| !self.is_frozen()) else {
            return Ok(());
        };
        let found = found.flatten_all()?.to_dtype(candle_core::DType::F32)?;
        if let Some(machine) = Machine::of(self.tensor()) {
            let (to, add) = self.gradient_address(&machine)?;
            let found = found.contiguous()?;
            return add_values(&machine, to, Address::of(&found)?, found.elem_count(), add);
        }
        // As it lies there: a copy of it would be read once and thrown away.
        self.add_gradient(&values(&found.contiguous()?)?);
        Ok(())
    }

    /// Adds to the gradient; only on the CPU.
    ///
    /// # Panics
    /// Another number of elements than the variable has.
    pub fn add_gradient(&self, addends: &[f32]) {
        assert_eq!(addends.len(), self.num_elements());
        self.accumulate(|values, add| {
            for (value, addend) in values.iter_mut().zip(addends) {
                *value = if add { *value + addend } else { *addend };
            }
        });
    }

    /// Calls `read` with the gradient, or a copy of it where it is on a device, and empties the buffer; not called where no
    /// gradient has arrived.
    ///
    /// # Panics
    /// The device lost it.
    pub fn consume_gradient(&self, read: impl FnOnce(&mut [f32])) {
        let mut gradient = self.lock();
        if std::mem::take(&mut gradient.filled)
            && let Some(buffer) = &mut gradient.buffer
        {
            match buffer.is_on_processor() {
                true => read(buffer.as_mut_slice()),
                false => read(&mut copy_of(buffer)),
            }
        }
    }

    /// Calls `change` with the gradient and leaves it in the buffer; not called where no gradient has arrived.
    ///
    /// # Panics
    /// The variable is on a device.
    pub fn with_gradient(&self, change: impl FnOnce(&mut [f32])) {
        let mut gradient = self.lock();
        if gradient.filled
            && let Some(buffer) = &mut gradient.buffer
        {
            change(buffer.as_mut_slice());
        }
    }

    /// A copy of the gradient, or none where no gradient has arrived since it was last consumed; waits for a device.
    ///
    /// # Panics
    /// The device lost it.
    pub fn gradient(&self) -> Option<Vec<f32>> {
        let gradient = self.lock();
        let buffer = gradient.buffer.as_ref().filter(|_| gradient.filled)?;
        Some(copy_of(buffer))
    }

    /// Changes the values in place; only for f32 on the CPU.
    ///
    /// # Errors
    /// The variable is elsewhere or of another type.
    pub fn update(&self, change: impl FnOnce(&mut [f32])) -> Result<()> {
        self.tensor().inplace_op1(&Update(Mutex::new(Some(change))))
    }

    fn lock(&self) -> MutexGuard<'_, Gradient> {
        // A panic elsewhere leaves numbers, not broken structure.
        self.inner
            .gradient
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn copy_of(gradient: &Buffer) -> Vec<f32> {
    let copy = gradient.to_vec();
    copy.expect("a gradient can be copied from where it is")
}

struct Update<F>(Mutex<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for Update<F> {
    fn name(&self) -> &'static str {
        "update-parameter"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("a parameter to update in place must be contiguous f32");
        };
        let change = self.0.lock().ok().and_then(|mut change| change.take());
        if let Some(change) = change {
            change(&mut values[start..end]);
        }
        Ok(())
    }
}

/// The contiguous f32 values of a CPU tensor, locked for reading.
pub(crate) struct Values<'a> {
    storage: RwLockReadGuard<'a, Storage>,
    start: usize,
    end: usize,
}

impl std::ops::Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..self.end],
            _ => unreachable!("checked when it was locked"),
        }
    }
}

/// Locks a tensor's values for reading; only for contiguous f32 on the CPU.
pub(crate) fn values(tensor: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (true, Some((start, end))) = (
        matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))),
        layout.contiguous_offsets(),
    ) else {
        candle_core::bail!(
            "a fused operator needs contiguous f32 on the CPU; found {:?} {:?}",
            tensor.dtype(),
            tensor.shape()
        );
    };
    Ok(Values {
        storage,
        start,
        end,
    })
}

/// The contiguous f32 values of an operator's argument.
pub(crate) fn argument<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => candle_core::bail!("a fused operator needs contiguous f32 arguments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn parameter() -> Parameter {
        let var = Var::from_vec(vec![1f32, 2.0], 2, &Device::Cpu).unwrap();
        Parameter::new("w", var, Role::Trained)
    }

    #[test]
    fn gradients_add_up_until_they_are_consumed() {
        let parameter = parameter();
        assert_eq!(parameter.gradient(), None);
        for _ in 0..2 {
            parameter.accumulate(|values, add| {
                for value in values {
                    *value = if add { *value + 3.0 } else { 3.0 };
                }
            });
        }
        assert_eq!(parameter.gradient(), Some(vec![6.0, 6.0]));
        parameter.consume_gradient(|_| {});
        assert_eq!(parameter.gradient(), None);
    }

    #[test]
    fn gradients_of_the_graph_are_collected() {
        let parameter = parameter();
        let loss = parameter.tensor().sqr().unwrap().sum_all().unwrap();
        parameter.collect(&loss.backward().unwrap()).unwrap();
        assert_eq!(parameter.gradient(), Some(vec![2.0, 4.0]));
    }

    #[test]
    fn no_gradient_arrives_at_a_frozen_variable() {
        let parameter = parameter();
        parameter.freeze();
        parameter.accumulate(|values, _| values.fill(1.0));
        let loss = parameter.tensor().sqr().unwrap().sum_all().unwrap();
        parameter.collect(&loss.backward().unwrap()).unwrap();
        assert_eq!(parameter.gradient(), None);
    }

    #[test]
    fn values_change_in_place() {
        let parameter = parameter();
        parameter.update(|values| values[0] = 7.0).unwrap();
        assert_eq!(parameter.tensor().to_vec1::<f32>().unwrap(), [7.0, 2.0]);
    }
}
