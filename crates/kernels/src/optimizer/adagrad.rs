//! Adagrad (Duchi, Hazan and Singer, 2011), in place, with PyTorch's constants.

use crate::simd::multiversioned;

/// Adagrad's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdagradConfig {
    /// Added to the root of the sum of squares.
    pub epsilon: f64,
    /// L2 penalty: this times the weight joins the gradient, and so the sum of squares.
    pub weight_decay: f64,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self {
            epsilon: 1e-10,
            weight_decay: 0.0,
        }
    }
}

/// The factors of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdagradFactors {
    rate: f32,
    epsilon: f32,
    decay: f32,
}

impl AdagradFactors {
    /// In the order of the kernel's arguments.
    pub(super) fn as_floats(&self) -> [f32; 3] {
        [self.rate, self.epsilon, self.decay]
    }

    pub(super) fn new(config: &AdagradConfig, learning_rate: f64) -> Self {
        Self {
            rate: learning_rate as f32,
            epsilon: config.epsilon as f32,
            decay: config.weight_decay as f32,
        }
    }
}

multiversioned! {
    pub(super) fn adagrad_update(
        values: &mut [f32],
        squares: &mut [f32],
        gradient: &[f32],
        factors: AdagradFactors,
    ) {
        let length = values.len();
        let (squares, gradient) = (&mut squares[..length], &gradient[..length]);
        let AdagradFactors { rate, epsilon, decay } = factors;
        for index in 0..length {
            let slope = values[index].mul_add(decay, gradient[index]);
            let square = slope.mul_add(slope, squares[index]);
            squares[index] = square;
            values[index] -= rate * slope / (square.sqrt() + epsilon);
        }
    }
}
