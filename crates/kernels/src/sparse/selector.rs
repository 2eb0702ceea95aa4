//! DSelect-k: a choice of k experts that is smooth in its parameters.
//!
//! Source: Hazimeh et al., "DSelect-k: differentiable selection in the mixture of experts", arXiv:2106.03760, section 3: each of k
//! selectors writes an expert's number in binary by smooth steps, and a softmax weighs the selectors.

use super::{as_of, for_loss};
use crate::composed;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use candle_core::{D, Result, Tensor};

/// Sizes of DSelect-k's selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selectors {
    /// Selectors of a gate, k.
    pub num_selectors: usize,
    /// Experts among which they choose.
    pub num_experts: usize,
}

impl Selectors {
    /// Bits of an expert's number, m.
    pub fn num_bits(&self) -> usize {
        self.num_experts.next_power_of_two().trailing_zeros() as usize
    }

    /// How much each selector takes of each expert.
    ///
    /// # Shapes
    /// - steps: [..., selectors * bits], what the smooth steps are of, a selector's bits side by side, the lowest first
    /// - result: [..., selectors, experts]
    ///
    /// # Errors
    /// Another last dimension.
    pub fn shares(&self, steps: &Tensor) -> Result<Tensor> {
        let mut dims = steps.dims().to_vec();
        let bits = self.num_bits();
        if dims.pop() != Some(self.num_selectors * bits) {
            candle_core::bail!(
                "expected {} selectors of {bits} bits, found {:?}",
                self.num_selectors,
                steps.dims()
            );
        }
        dims.push(self.num_selectors);
        if bits == 0 {
            dims.push(1);
            return Tensor::ones(dims, steps.dtype(), steps.device());
        }
        dims.push(bits);
        let ones = smooth_step(&steps.reshape(dims)?)?;
        let mut shares: Option<Tensor> = None;
        for bit in 0..bits {
            let one = ones.narrow(D::Minus1, bit, 1)?;
            let has_bit = |expert: usize| f32::from(u8::from(expert >> bit & 1 == 1));
            let has_bit: Vec<f32> = (0..self.num_experts).map(has_bit).collect();
            let has_bit = Tensor::new(has_bit, steps.device())?.to_dtype(steps.dtype())?;
            // The step where the expert has the bit, what is left of 1 where not.
            let sign = has_bit.affine(2.0, -1.0)?;
            let factor = composed::spread(&one, self.num_experts)?
                .broadcast_mul(&sign)?
                .broadcast_add(&has_bit.affine(-1.0, 1.0)?)?;
            shares = Some(match shares {
                Some(shares) => (shares * factor)?,
                None => factor,
            });
        }
        shares.ok_or_else(|| candle_core::Error::Msg("a selector without bits".to_owned()))
    }

    /// The weights of the experts: selectors' shares, weighed by a softmax over the selectors.
    ///
    /// # Shapes
    /// - shares: [..., selectors, experts]
    /// - logits: [..., selectors]
    /// - result: [..., experts]
    ///
    /// # Errors
    /// Shapes that don't fit.
    pub fn weights(&self, shares: &Tensor, logits: &Tensor) -> Result<Tensor> {
        let of_selectors = composed::softmax(logits)?;
        let mut sum: Option<Tensor> = None;
        for selector in 0..self.num_selectors {
            let share = shares
                .narrow(shares.rank() - 2, selector, 1)?
                .squeeze(shares.rank() - 2)?;
            let weight = of_selectors.narrow(D::Minus1, selector, 1)?;
            let part = (share * composed::spread(&weight, self.num_experts)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        sum.ok_or_else(|| candle_core::Error::Msg("a gate without selectors".to_owned()))
    }
}

/// 0 below -1/2, 1 above 1/2, between them the cubic that meets both with slope 0.
fn smooth_step(xs: &Tensor) -> Result<Tensor> {
    // Beyond its ends the cubic's slope is that at the ends, 0: clamped values need no case of their own.
    let xs = xs.clamp(-0.5, 0.5)?;
    let cube = (xs.sqr()? * &xs)?;
    ((xs * 1.5)? - (cube * 2.0)?)? + 0.5
}

/// The least sum of shares that the regulariser divides by.
// A selector whose steps have all ended may write the number of no expert: its sum is 0, and one over it no loss to train by.
const LEAST_SUM: f64 = 1e-3;

/// DSelect-k's regulariser: the mean over observed pairs and selectors of the entropy of a selector's shares, and where their number
/// is no power of two, of one over their sum, no less than a thousandth.
///
/// # Shapes
/// - shares: [batch, tasks, selectors, experts]
/// - observed: [batch, tasks], 0 or 1; absent: all
/// - result: a scalar, 0 where no pair is observed
///
/// # Errors
/// Shapes that don't fit.
pub fn selector_entropy(shares: &Tensor, observed: Option<&Tensor>) -> Result<Tensor> {
    let (rows, tasks, _, _) = shares.dims4()?;
    let observed = match observed {
        None => vec![1f32; rows * tasks],
        Some(observed) => for_loss(observed)?.flatten_all()?.to_vec1()?,
    };
    if observed.len() != rows * tasks {
        candle_core::bail!("{} pairs can't have {} flags", rows * tasks, observed.len());
    }
    let operator = Entropy { observed };
    as_of(&apply_1(operator, &for_loss(shares)?)?, shares)
}

struct Entropy {
    observed: Vec<f32>,
}

impl Fused<1> for Entropy {
    const NAME: &'static str = "selector-entropy";
    /// The slopes.
    type Kept = Vec<f32>;

    fn forward(&self, [shares]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let [_, _, selectors, experts] = shares.sizes()?;
        let shares = shares.values;
        let mut gradient = vec![0f32; shares.len()];
        let pairs = self
            .observed
            .iter()
            .filter(|observed| **observed != 0.0)
            .count();
        let scale = 1.0 / (pairs * selectors).max(1) as f64;
        let mut value = 0.0;
        let of_selectors = shares
            .chunks_exact(experts)
            .zip(gradient.chunks_exact_mut(experts));
        for (index, (shares, slopes)) in of_selectors.enumerate() {
            if self.observed[index / selectors] == 0.0 {
                continue;
            }
            let sum: f64 = shares.iter().map(|share| f64::from(*share)).sum();
            let is_open = !experts.is_power_of_two();
            if is_open {
                value += scale / sum.max(LEAST_SUM);
            }
            let of_sum = match is_open && sum > LEAST_SUM {
                true => -1.0 / (sum * sum),
                false => 0.0,
            };
            for (share, slope) in shares.iter().zip(slopes) {
                let share = f64::from(*share);
                // The slope at 0 has no bound; but there the smooth step's is 0, and so would their product be.
                let logarithm = if share > 0.0 { libm::log(share) } else { -1.0 };
                value -= scale * share * logarithm;
                *slope = (scale * (of_sum - logarithm - 1.0)) as f32;
            }
        }
        Ok(Output::new(vec![value as f32], (), gradient))
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

    #[test]
    fn a_selector_far_from_its_steps_takes_one_expert() {
        let selectors = Selectors {
            num_selectors: 1,
            num_experts: 5,
        };
        assert_eq!(selectors.num_bits(), 3);
        // Bits 1, 0, 1 from the lowest: expert 5, which isn't there; then bits 0, 0, 1: expert 4.
        let steps = Tensor::new(&[[2f32, -2.0, 2.0], [-2.0, -2.0, 2.0]], &Device::Cpu).unwrap();
        let shares = selectors.shares(&steps).unwrap();
        let shares: Vec<f32> = shares.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(shares, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_selector_that_names_no_expert_has_a_finite_loss() {
        let steps = candle_core::Var::new(&[[2f32, 0.1, 2.0]], &Device::Cpu).unwrap();
        let selectors = Selectors {
            num_selectors: 1,
            num_experts: 5,
        };
        let shares = selectors.shares(&steps).unwrap();
        let shares = shares.reshape((1, 1, 1, 5)).unwrap();
        let loss = selector_entropy(&shares, None).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 1000.0);
        let gradients = loss.backward().unwrap();
        let of_steps = gradients.get(&steps).unwrap();
        assert_eq!(of_steps.to_vec2::<f32>().unwrap(), [[0.0, 0.0, 0.0]]);
    }

    #[test]
    fn shares_between_steps_sum_to_one_for_a_power_of_two() {
        let selectors = Selectors {
            num_selectors: 2,
            num_experts: 4,
        };
        let steps = Tensor::new(&[[0.1f32, -0.3, 0.0, 0.4]], &Device::Cpu).unwrap();
        let shares = selectors.shares(&steps).unwrap();
        let sums: Vec<f32> = shares
            .sum(D::Minus1)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
    }
}
