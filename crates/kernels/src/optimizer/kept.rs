//! The numbers that an optimiser keeps from step to step for a variable, where the variable is.

use crate::cuda::{Address, Buffer, Machine};
use candle_core::{Device, Result, Tensor};
use std::borrow::Cow;

/// Numbers that are 0 before the first step. They take no memory until they are needed.
#[derive(Debug)]
pub struct Kept {
    length: usize,
    device: Device,
    buffer: Option<Buffer>,
}

impl Kept {
    /// `length` numbers, on the variable's device where kernels update it there, and otherwise on the processor.
    pub(super) fn new(length: usize, variable: &Tensor) -> Self {
        Self {
            length,
            device: Machine::of(variable).map_or(Device::Cpu, |machine| machine.device().clone()),
            buffer: None,
        }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the rule keeps nothing here.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The numbers; copied where they are on a device, which is waited for.
    ///
    /// # Errors
    /// The device lost them.
    pub fn values(&self) -> Result<Cow<'_, [f32]>> {
        match &self.buffer {
            None => Ok(vec![0.0; self.length].into()),
            Some(buffer) => match buffer.as_slice() {
                Some(values) => Ok(values.into()),
                None => Ok(buffer.to_vec()?.into()),
            },
        }
    }

    /// Replaces all of them.
    ///
    /// # Errors
    /// Another number of values, or a device that fails.
    pub fn set(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.length {
            candle_core::bail!("expected {} numbers, found {}", self.length, values.len());
        }
        self.buffer = Some(Buffer::of_floats(&self.device, values)?);
        Ok(())
    }

    /// The numbers, to be changed on the processor.
    pub(super) fn on_processor(&mut self) -> &mut [f32] {
        self.buffer
            .get_or_insert_with(|| Buffer::on_processor(vec![0.0; self.length]))
            .as_mut_slice()
    }

    /// Where they are on a machine.
    pub(super) fn address(&mut self, machine: &Machine) -> Result<Address> {
        match &mut self.buffer {
            Some(buffer) => buffer.address(),
            empty => empty.insert(machine.zeros(self.length)?).address(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zero_until_they_are_set_and_keep_their_number() {
        let variable = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap();
        let mut kept = Kept::new(3, &variable);
        assert_eq!(*kept.values().unwrap(), [0.0; 3]);
        kept.on_processor()[1] = 2.0;
        assert_eq!(*kept.values().unwrap(), [0.0, 2.0, 0.0]);
        kept.set(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(kept.on_processor(), [1.0, 2.0, 3.0]);
        let said = kept.set(&[1.0]).unwrap_err().to_string();
        assert!(said.contains("expected 3 numbers, found 1"), "{said}");
    }
}
