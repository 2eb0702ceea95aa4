//! What an operator's forward pass leaves for its backward pass.

use crate::several_passes;
use candle_core::{Result, Tensor};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Left by a forward pass in training, taken by the last backward pass through it.
pub(crate) struct Saved<T>(Mutex<Option<T>>);

impl<T> Default for Saved<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for Saved<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Saved")
    }
}

impl<T: Clone> Saved<T> {
    /// Leaves it.
    pub(crate) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Takes it; `operator` is the name that an error says.
    ///
    /// # Errors
    /// No forward pass in training was before.
    pub(crate) fn take(&self, operator: &str) -> Result<T> {
        several_passes::take(&self.0).ok_or_else(|| {
            let message = "a backward pass needs a forward pass in training";
            candle_core::Error::Msg(format!("{operator}: {message}")).bt()
        })
    }
}

/// A gradient, where there is one, of the shape of what it is of.
///
/// # Errors
/// Another number of values.
pub(crate) fn gradient_of(like: &Tensor, values: Option<Vec<f32>>) -> Result<Option<Tensor>> {
    values
        .map(|values| Tensor::from_vec(values, like.shape(), like.device()))
        .transpose()
}
