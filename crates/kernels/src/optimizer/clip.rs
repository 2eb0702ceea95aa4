//! Clipping of gradients to a global norm (Pascanu, Mikolov and Bengio, 2013), with PyTorch's constants.

use super::dense::PIECE;
use crate::cuda::{self, Address, Buffer, Machine, TensorAddresses};
use crate::parameter::{Parameter, Role};
use candle_core::Result;
use rayon::prelude::*;

/// The norm of gradients before they were clipped. On a device it stays there until it is asked for.
#[derive(Debug)]
pub struct GradientNorm(Place);

#[derive(Debug)]
enum Place {
    Here(f64),
    /// [norm, factor].
    Device(Buffer),
}

impl GradientNorm {
    /// The norm; waits for a device.
    ///
    /// # Errors
    /// The device lost it.
    pub fn value(&self) -> Result<f64> {
        match &self.0 {
            Place::Here(norm) => Ok(*norm),
            Place::Device(buffer) => Ok(f64::from(buffer.to_vec()?[0])),
        }
    }
}

/// Scales the gradient buffers of the trained ones of `parameters` so that their norm, taken over all of them together, is
/// `max_norm` at most. Gives the norm before; parameters without a gradient count nothing. Embedding tables have no buffers
/// and are not clipped.
///
/// The sum of squares is in f64 over pieces of a fixed size, added in order: the same at any number of threads.
///
/// # Errors
/// A device fails.
pub fn clip_gradient_norm(parameters: &[Parameter], max_norm: f64) -> Result<GradientNorm> {
    let trained = || parameters.iter().filter(|p| p.role() == Role::Trained);
    let machine = trained().find_map(|parameter| Machine::of(parameter.tensor()));
    if let Some(machine) = machine {
        let tensors = trained().map(on_device).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<_> = tensors.into_iter().flatten().collect();
        let clipped = cuda::clip(&machine, &tensors, max_norm)?;
        return Ok(GradientNorm(Place::Device(clipped)));
    }
    let mut squares = 0f64;
    for parameter in trained() {
        parameter.with_gradient(|gradient| {
            let pieces: Vec<f64> = gradient.par_chunks(PIECE).map(sum_of_squares).collect();
            squares += pieces.iter().sum::<f64>();
        });
    }
    let norm = squares.sqrt();
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 {
        let factor = factor as f32;
        for parameter in trained() {
            parameter.with_gradient(|gradient| {
                gradient.par_chunks_mut(PIECE).for_each(|piece| {
                    piece.iter_mut().for_each(|slope| *slope *= factor);
                });
            });
        }
    }
    Ok(GradientNorm(Place::Here(norm)))
}

/// The Euclidean norms of the gradients of sets of parameters, on a device until they are asked for.
#[derive(Debug)]
pub struct SetNorms {
    /// [norm, factor] of each set.
    buffer: Buffer,
}

impl SetNorms {
    /// The norm of each set; waits for the device.
    ///
    /// # Errors
    /// The device lost them.
    pub fn values(&self) -> Result<Vec<f64>> {
        let values = self.buffer.to_vec()?;
        let (pairs, _) = values.as_chunks::<2>();
        Ok(pairs.iter().map(|[norm, _]| f64::from(*norm)).collect())
    }
}

/// The norms of the gradient buffers of sets of parameters, where these are on a device; none where they are on the processor.
/// A parameter without a gradient counts nothing.
///
/// # Errors
/// A device fails.
pub fn set_norms_on_device(sets: &[Vec<&Parameter>]) -> Result<Option<SetNorms>> {
    let mut all = sets.iter().flatten();
    let Some(machine) = all.find_map(|parameter| Machine::of(parameter.tensor())) else {
        return Ok(None);
    };
    let sets = sets.iter().map(|set| {
        let tensors = set.iter().map(|parameter| on_device(parameter));
        Ok(tensors
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    });
    let sets = sets.collect::<Result<Vec<Vec<_>>>>()?;
    let buffer = cuda::set_norms(&machine, &sets)?;
    Ok(Some(SetNorms { buffer }))
}

/// Where a parameter's gradient is, if one has arrived.
fn on_device(parameter: &Parameter) -> Result<Option<TensorAddresses>> {
    let gradient = parameter.arrived_gradient(false)?;
    Ok(gradient.map(|gradient| TensorAddresses {
        values: Address::NULL,
        gradient,
        first: Address::NULL,
        second: Address::NULL,
        num_elements: parameter.num_elements(),
    }))
}

/// In eight sums side by side, so that it becomes vector code, added up in a fixed order.
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let rest = rest.iter().map(|value| f64::from(*value).powi(2));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}
