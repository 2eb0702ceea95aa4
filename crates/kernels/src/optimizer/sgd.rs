//! Stochastic gradient descent with momentum, in place, as PyTorch has it: velocity without dampening, begun at the first
//! gradient, and the learning rate outside of it.

use crate::simd::multiversioned;

/// The constants of gradient descent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SgdConfig {
    /// Share of the velocity that is kept from step to step; 0 is plain gradient descent.
    pub momentum: f64,
    /// L2 penalty: this times the weight joins the gradient, and so the velocity.
    pub weight_decay: f64,
}

/// The factors of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct SgdFactors {
    rate: f32,
    momentum: f32,
    decay: f32,
}

impl SgdFactors {
    /// In the order of the kernel's arguments.
    pub(super) fn with_momentum(&self) -> [f32; 3] {
        [self.rate, self.momentum, self.decay]
    }

    /// In the order of the kernel's arguments.
    pub(super) fn without_momentum(&self) -> [f32; 2] {
        [self.rate, self.decay]
    }

    pub(super) fn new(config: &SgdConfig, learning_rate: f64) -> Self {
        Self {
            rate: learning_rate as f32,
            momentum: config.momentum as f32,
            decay: config.weight_decay as f32,
        }
    }
}

multiversioned! {
    /// With momentum: `velocity` is as long as `values`.
    pub(super) fn momentum_update(
        values: &mut [f32],
        velocity: &mut [f32],
        gradient: &[f32],
        factors: SgdFactors,
    ) {
        let length = values.len();
        let (velocity, gradient) = (&mut velocity[..length], &gradient[..length]);
        let SgdFactors { rate, momentum, decay } = factors;
        for index in 0..length {
            let slope = values[index].mul_add(decay, gradient[index]);
            let speed = velocity[index].mul_add(momentum, slope);
            velocity[index] = speed;
            values[index] = speed.mul_add(-rate, values[index]);
        }
    }
}

multiversioned! {
    /// Without momentum, and so without a velocity to keep.
    pub(super) fn descent_update(values: &mut [f32], gradient: &[f32], factors: SgdFactors) {
        let length = values.len();
        let gradient = &gradient[..length];
        let SgdFactors { rate, decay, .. } = factors;
        for index in 0..length {
            let slope = values[index].mul_add(decay, gradient[index]);
            values[index] = slope.mul_add(-rate, values[index]);
        }
    }
}
