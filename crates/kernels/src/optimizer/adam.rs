//! Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019) in place.

use crate::simd::multiversioned;

/// Adam's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Decoupled decay of the weights, times the learning rate; 0 is Adam.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The factors of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepFactors {
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    /// 1 - beta1 and 1 - beta2, rounded once: of f32 betas they would be off by up to 5e-5.
    pub(super) complements: [f32; 2],
    pub(super) epsilon: f32,
    /// Learning rate over the first moment's bias correction.
    pub(super) rate: f32,
    /// One over the root of the second moment's bias correction.
    pub(super) inverse_root: f32,
    /// What decoupled decay leaves of a weight.
    pub(super) keep: f32,
}

impl StepFactors {
    /// In the order of `AdamFactors` in kernels/optimizer.cu.
    pub(crate) fn as_floats(&self) -> [f32; 8] {
        let [complement1, complement2] = self.complements;
        [
            self.beta1,
            self.beta2,
            complement1,
            complement2,
            self.epsilon,
            self.rate,
            self.inverse_root,
            self.keep,
        ]
    }

    pub(super) fn new(config: &AdamConfig, learning_rate: f64, step: u64) -> Self {
        let step = step as f64;
        Self {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            complements: [1.0 - config.beta1, 1.0 - config.beta2].map(|value| value as f32),
            epsilon: config.epsilon as f32,
            rate: (learning_rate / (1.0 - libm::pow(config.beta1, step))) as f32,
            inverse_root: (1.0 / (1.0 - libm::pow(config.beta2, step)).sqrt()) as f32,
            keep: (1.0 - learning_rate * config.weight_decay) as f32,
        }
    }
}

/// One step of some units.
#[inline(always)]
fn update_units(
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    factors: StepFactors,
) {
    let length = values.len();
    let (first, second) = (&mut first[..length], &mut second[..length]);
    let gradient = &gradient[..length];
    let StepFactors {
        beta1,
        beta2,
        complements,
        epsilon,
        rate,
        inverse_root,
        keep,
    } = factors;
    for index in 0..length {
        let slope = gradient[index];
        let mean = first[index].mul_add(beta1, slope * complements[0]);
        let square = second[index].mul_add(beta2, slope * slope * complements[1]);
        first[index] = mean;
        second[index] = square;
        let root = square.sqrt().mul_add(inverse_root, epsilon);
        values[index] = values[index].mul_add(keep, -rate * mean / root);
    }
}

multiversioned! {
    /// One step of neighbouring units. A row of an embedding table has few: a loop over them would leave vector registers empty, so
    /// 8 and 4 of them have code of their own.
    pub(super) fn adam_update(
        values: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradient: &[f32],
        factors: StepFactors,
    ) {
        let length = values.len();
        let most = length - length % 16;
        let (values, values_left) = values.split_at_mut(most);
        let (first, first_left) = first.split_at_mut(most);
        let (second, second_left) = second.split_at_mut(most);
        let (gradient, gradient_left) = gradient.split_at(most);
        update_units(values, first, second, gradient, factors);
        let mut done = 0;
        macro_rules! at_once {
            ($count:literal) => {
                if values_left.len() - done >= $count {
                    let units = done..done + $count;
                    update_units(
                        values_left[units.clone()].first_chunk_mut::<$count>().expect("so many"),
                        first_left[units.clone()].first_chunk_mut::<$count>().expect("so many"),
                        second_left[units.clone()].first_chunk_mut::<$count>().expect("so many"),
                        gradient_left[units].first_chunk::<$count>().expect("so many"),
                        factors,
                    );
                    done += $count;
                }
            };
        }
        at_once!(8);
        at_once!(4);
        update_units(
            &mut values_left[done..],
            &mut first_left[done..],
            &mut second_left[done..],
            &gradient_left[done..],
            factors,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Optimizer;
    use crate::{Parameter, Role};
    use candle_core::{Device, Var};

    /// Textbook Adam in f64.
    fn reference(start: f64, slope: f64, steps: u64, config: &AdamConfig, rate: f64) -> f64 {
        let (mut value, mut first, mut second) = (start, 0.0, 0.0);
        for step in 1..=steps {
            first = config.beta1 * first + (1.0 - config.beta1) * slope;
            second = config.beta2 * second + (1.0 - config.beta2) * slope * slope;
            let mean = first / (1.0 - libm::pow(config.beta1, step as f64));
            let square: f64 = second / (1.0 - libm::pow(config.beta2, step as f64));
            value -= rate * config.weight_decay * value;
            value -= rate * mean / (square.sqrt() + config.epsilon);
        }
        value
    }

    #[test]
    fn steps_equal_the_textbook_formula_with_and_without_decay() {
        for weight_decay in [0.0, 0.1] {
            let config = AdamConfig {
                weight_decay,
                ..AdamConfig::default()
            };
            let var = Var::from_vec(vec![0.5f32; 40], 40, &Device::Cpu).unwrap();
            let parameter = Parameter::new("w", var, Role::Trained);
            let mut adam = Optimizer::new(std::slice::from_ref(&parameter), config);
            for _ in 0..5 {
                parameter.accumulate(|gradient, _| {
                    for (index, slope) in gradient.iter_mut().enumerate() {
                        *slope = index as f32 - 20.0;
                    }
                });
                adam.step(0.01).unwrap();
            }
            for (index, value) in parameter
                .tensor()
                .to_vec1::<f32>()
                .unwrap()
                .iter()
                .enumerate()
            {
                let expected = reference(0.5, index as f64 - 20.0, 5, &config, 0.01);
                assert!((f64::from(*value) - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_stays() {
        let var = Var::from_vec(vec![1f32], 1, &Device::Cpu).unwrap();
        let parameter = Parameter::new("w", var, Role::Trained);
        Optimizer::new(std::slice::from_ref(&parameter), AdamConfig::default())
            .step(0.1)
            .unwrap();
        assert_eq!(parameter.tensor().to_vec1::<f32>().unwrap(), [1.0]);
    }
}
