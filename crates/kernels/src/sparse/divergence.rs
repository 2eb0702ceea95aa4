//! How far gates are from what a prior asks of them.

use super::{as_of, for_loss};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use candle_core::{Result, Tensor};

/// Keeps a logarithm of 0 away.
const SMALL: f64 = 1e-6;

/// The mean over rows of the Jensen-Shannon divergence of each row and its target, both of sum 1, in nats.
///
/// # Shapes
/// - probabilities: [rows, units]
/// - targets: row-major, as many
/// - result: a scalar in [0, ln 2]
///
/// # Errors
/// Targets of another number.
pub fn jensen_shannon(probabilities: &Tensor, targets: Vec<f64>) -> Result<Tensor> {
    if targets.len() != probabilities.elem_count() {
        candle_core::bail!(
            "{:?} probabilities can't have {} targets",
            probabilities.dims(),
            targets.len()
        );
    }
    let operator = Divergence { targets };
    as_of(
        &apply_1(operator, &for_loss(probabilities)?)?,
        probabilities,
    )
}

struct Divergence {
    targets: Vec<f64>,
}

impl Fused<1> for Divergence {
    const NAME: &'static str = "jensen-shannon";
    /// The slopes.
    type Kept = Vec<f32>;

    fn forward(&self, [probabilities]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let rows = probabilities.dims[0] as f64;
        let probabilities = probabilities.values;
        let mut value = 0.0;
        let mut gradient = Vec::with_capacity(probabilities.len());
        for (a, r) in probabilities.iter().zip(&self.targets) {
            let a = f64::from(*a);
            let middle = (a + r) / 2.0 + SMALL;
            let logarithm = libm::log(middle);
            let (of_a, of_r) = (libm::log(a + SMALL), libm::log(r + SMALL));
            value += 0.5 * (a * (of_a - logarithm) + r * (of_r - logarithm));
            // Of a (ln(a + s) - ln m) + r (ln(r + s) - ln m), m = (a + r) / 2 + s.
            let slope = of_a - logarithm + a / (a + SMALL) - (a + r) / (2.0 * middle);
            gradient.push((0.5 * slope / rows) as f32);
        }
        Ok(Output::new(vec![(value / rows) as f32], (), gradient))
    }

    fn backward(
        &self,
        _arguments: [Argument<'_>; 1],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<1>> {
        Ok([Some(arrived.scaled_slopes())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn of(a: &[f32], r: &[f64]) -> f32 {
        let a = Tensor::from_slice(a, (1, a.len()), &Device::Cpu).unwrap();
        jensen_shannon(&a, r.to_vec()).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn it_is_0_of_equals_and_ln_2_of_what_shares_nothing() {
        assert_eq!(of(&[0.25, 0.75], &[0.25, 0.75]), 0.0);
        let apart = of(&[1.0, 0.0], &[0.0, 1.0]);
        // SMALL takes 2e-6 of it away.
        assert!((apart - std::f32::consts::LN_2).abs() < 4e-6, "{apart}");
        assert_eq!(
            of(&[0.2, 0.8], &[0.5, 0.5]),
            of(&[0.5, 0.5], &[f64::from(0.2f32), f64::from(0.8f32)])
        );
    }
}
