//! Clipping of gradients to a global norm (Pascanu, Mikolov and Bengio, 2013), with PyTorch's constants.

use super::dense::PIECE;
use crate::parameter::{Parameter, Role};
use rayon::prelude::*;

/// Scales the gradient buffers of the trained ones of `parameters` so that their norm, taken over all of them together, is
/// `max_norm` at most. Gives the norm before; parameters without a gradient count nothing. Embedding tables have no buffers
/// and are not clipped.
///
/// The sum of squares is in f64 over pieces of a fixed size, added in order: the same at any number of threads.
pub fn clip_gradient_norm(parameters: &[Parameter], max_norm: f64) -> f64 {
    let trained = || parameters.iter().filter(|p| p.role() == Role::Trained);
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
    norm
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
