//! The gradients that sets of experts receive: the Euclidean norm over all weights of a set, a mean over steps.

use candle_core::Result;
use homebench_kernels::Parameter;
use homebench_kernels::optimizer::{SetNorms, set_norms_on_device};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Norms are taken at the first step after an evaluation and at every one of this many from there, which costs a part of
/// what reading all gradients at every step would.
const EVERY: usize = 8;

/// Sums that run in step, so that adding up is vector code with one order.
// A gradient is one sum here, so that the width and the order of the last addition are part of the
// results.
const LANES: usize = 16;

/// Mean gradient norms of sets of experts since the last evaluation.
pub(crate) struct GradientNorms {
    /// Each set's path and its variables' places among the dense ones.
    sets: Vec<(String, Vec<usize>)>,
    sums: Vec<f64>,
    /// Norms of a device that nobody has waited for yet.
    unread: Vec<SetNorms>,
    /// Steps since the last evaluation.
    steps: usize,
    measured: usize,
}

/// What [`GradientNorms`] has summed since the last evaluation, for a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NormsSoFar {
    steps: usize,
    measured: usize,
    sums: Vec<f64>,
}

impl GradientNorms {
    /// Of sets of experts, in the order of their paths: each path and its variables' places among the dense ones.
    pub(crate) fn new(sets: Vec<(String, Vec<usize>)>) -> Self {
        Self {
            sums: vec![0.0; sets.len()],
            sets,
            unread: Vec::new(),
            steps: 0,
            measured: 0,
        }
    }

    /// Looks at the gradients of a step, before they are clipped. On a device, nothing is waited for.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn measure(&mut self, dense: &[Parameter]) -> Result<()> {
        let is_due = self.steps.is_multiple_of(EVERY);
        self.steps += 1;
        if !is_due {
            return Ok(());
        }
        self.measured += 1;
        let sets = self.sets.iter().map(|(_, places)| {
            let of_set = places.iter().map(|place| &dense[*place]);
            of_set.collect()
        });
        if let Some(norms) = set_norms_on_device(&sets.collect::<Vec<Vec<_>>>())? {
            self.unread.push(norms);
            return Ok(());
        }
        let of_expert = self.sets.iter().flat_map(|(_, places)| places);
        let places: Vec<usize> = of_expert.copied().collect();
        // Variables in parallel, each by one thread; their squares are then added in the order of
        // the variables.
        let squares: Vec<f64> = places
            .par_iter()
            .map(|place| {
                let mut square = 0.0;
                dense[*place].with_gradient(|gradient| square = sum_of_squares(gradient));
                square
            })
            .collect();
        let mut squares = squares.into_iter();
        for ((_, places), sum) in self.sets.iter().zip(&mut self.sums) {
            *sum += squares.by_ref().take(places.len()).sum::<f64>().sqrt();
        }
        Ok(())
    }

    /// Waits for the device, where there is one, and takes its norms.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn settle(&mut self) -> Result<()> {
        for norms in std::mem::take(&mut self.unread) {
            for (sum, norm) in self.sums.iter_mut().zip(norms.values()?) {
                *sum += norm;
            }
        }
        Ok(())
    }

    /// To be asked for after [`Self::settle`].
    pub(crate) fn so_far(&self) -> NormsSoFar {
        NormsSoFar {
            steps: self.steps,
            measured: self.measured,
            sums: self.sums.clone(),
        }
    }

    /// Goes on from there; false where it is of other sets.
    pub(crate) fn go_on_from(&mut self, found: NormsSoFar) -> bool {
        let fits = found.sums.len() == self.sums.len();
        if fits {
            (self.steps, self.measured, self.sums) = (found.steps, found.measured, found.sums);
        }
        fits
    }

    /// Each set's mean norm, and a new beginning; nothing where no step was made.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn take(&mut self) -> Result<BTreeMap<String, f64>> {
        self.settle()?;
        let measured = std::mem::take(&mut self.measured);
        self.steps = 0;
        let sums = self.sums.iter_mut().map(std::mem::take);
        let means = self.sets.iter().zip(sums);
        Ok(means
            .filter(|_| measured > 0)
            .map(|((path, _), sum)| (path.clone(), sum / measured as f64))
            .collect())
    }
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor, Var};
    use homebench_kernels::Role;

    fn parameter(path: &str, gradient: &[f32]) -> Parameter {
        let var = Var::zeros(gradient.len(), DType::F32, &Device::Cpu).unwrap();
        let parameter = Parameter::new(path, var, Role::Trained);
        let factors = Tensor::new(gradient, &Device::Cpu).unwrap();
        let product = parameter.tensor().mul(&factors).unwrap();
        let loss = product.sum_all().unwrap();
        parameter.collect(&loss.backward().unwrap()).unwrap();
        parameter
    }

    #[test]
    fn a_norm_is_of_all_weights_of_a_set_and_a_mean_over_measured_steps() {
        let dense = [
            parameter("task.expert.expert.0.bias", &[3.0]),
            parameter("task.expert.expert.0.weight", &[0.0, 4.0]),
            parameter("task.expert.tower.0.weight", &[100.0]),
            parameter("shared.expert.1.weight", &[1.0; 100]),
        ];
        let set = |path: &str, places: &[usize]| (path.to_owned(), places.to_vec());
        let mut norms = GradientNorms::new(vec![
            set("shared.expert", &[3]),
            set("task.expert.expert", &[0, 1]),
        ]);
        assert!(norms.take().unwrap().is_empty());
        (0..9).for_each(|_| norms.measure(&dense).unwrap());
        let expected = [("shared.expert", 10.0), ("task.expert.expert", 5.0)];
        let expected = expected.map(|(path, norm)| (path.to_owned(), norm));
        assert_eq!(norms.take().unwrap(), expected.into());
        assert!(norms.take().unwrap().is_empty(), "nothing since");
    }
}
