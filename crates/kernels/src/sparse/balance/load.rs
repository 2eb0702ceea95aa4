//! The loss of experts' expected loads.

use super::super::routing::Routing;
use super::super::{as_of, for_loss};
use super::{Pairs, observed_pairs, squared_variation};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2, scaled};
use crate::parameter::values;
use candle_core::{Result, Tensor};

/// The squared coefficient of variation of the experts' expected loads: of the probability, over the noise of an expert's own
/// logit, that it is among the chosen. What it must exceed is a constant to the gradient.
///
/// # Shapes
/// - logits: [batch, tasks * experts], without noise
/// - deviations: the same, of each logit's noise; above 0
/// - noisy: the same, by which pairs chose
/// - observed: [batch, tasks], 0 or 1; absent: all
/// - result: a scalar
///
/// # Errors
/// Shapes that don't fit, or a choice of every expert, whose load nothing changes.
pub fn load_loss(
    routing: &Routing,
    logits: &Tensor,
    deviations: &Tensor,
    noisy: &Tensor,
    observed: Option<&Tensor>,
    per_task: bool,
) -> Result<Tensor> {
    if routing.experts_per_pair() >= routing.num_experts {
        candle_core::bail!("the load of experts that are all chosen can't change");
    }
    let noisy = for_loss(&noisy.detach())?;
    let operator = Load {
        routing: *routing,
        thresholds: thresholds(routing, &values(&noisy)?),
        observed: observed_pairs(routing, logits, observed)?,
        per_task,
    };
    let loss = apply_2(operator, &for_loss(logits)?, &for_loss(deviations)?)?;
    as_of(&loss, logits)
}

/// For each expert of a pair: the k-th largest of the others.
fn thresholds(routing: &Routing, noisy: &[f32]) -> Vec<f32> {
    let count = routing.experts_per_pair();
    let of_pair = |pair: &[f32]| -> Vec<f32> {
        let mut sorted = pair.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        // An expert among the k largest is not one of the others: one more of them counts.
        let of = |value: &f32| match *value >= sorted[count - 1] {
            true => sorted[count],
            false => sorted[count - 1],
        };
        pair.iter().map(of).collect()
    };
    noisy
        .chunks_exact(routing.num_experts)
        .flat_map(of_pair)
        .collect()
}

/// The least deviation that a load divides by.
// A learned one can be 0: softplus of less than -17 from a device's stock operators, in f32.
const LEAST_DEVIATION: f64 = 1e-6;

struct Load {
    routing: Routing,
    thresholds: Vec<f32>,
    observed: Vec<bool>,
    per_task: bool,
}

impl Fused<2> for Load {
    const NAME: &'static str = "load-loss";
    type Kept = [Vec<f32>; 2];

    fn forward(&self, [logits, deviations]: [Argument<'_>; 2]) -> Result<Output<[Vec<f32>; 2]>> {
        let (logits, deviations) = (logits.values, deviations.values);
        if deviations.len() != logits.len() || self.thresholds.len() != logits.len() {
            candle_core::bail!("a deviation is needed for each of {} logits", logits.len());
        }
        let deviation = |at: usize| f64::from(deviations[at]).max(LEAST_DEVIATION);
        let distance = |at: usize| f64::from(logits[at] - self.thresholds[at]) / deviation(at);
        let (groups, share) = Pairs::groups(&self.routing, &self.observed, self.per_task);
        let mut gradients = [vec![0f32; logits.len()], vec![0f32; logits.len()]];
        let mut value = 0.0;
        for pairs in &groups {
            let (variation, slopes) =
                squared_variation(&pairs.sums(|at| normal_below(distance(at))));
            value += share * variation;
            for place in &pairs.places {
                for (expert, slope) in slopes.iter().enumerate() {
                    let at = place + expert;
                    let of_distance = share * slope * normal_density(distance(at));
                    gradients[0][at] = (of_distance / deviation(at)) as f32;
                    gradients[1][at] = (-of_distance * distance(at) / deviation(at)) as f32;
                }
            }
        }
        Ok(Output::new(vec![value as f32], (), gradients))
    }

    fn backward(
        &self,
        _arguments: [Argument<'_>; 2],
        arrived: Arrived<'_, [Vec<f32>; 2]>,
    ) -> Result<Gradients<2>> {
        let Arrived { kept, gradient, .. } = arrived;
        Ok(kept.map(|slopes| Some(scaled(slopes, gradient[0]))))
    }
}

/// The standard normal distribution's share below `x`.
fn normal_below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn normal_density(x: f64) -> f64 {
    const OF_ZERO: f64 = 0.398_942_280_401_432_7;
    OF_ZERO * libm::exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Choice, Weighting};
    use super::*;
    use candle_core::{Device, Var};

    fn routing(num_tasks: usize, num_experts: usize, k: usize) -> Routing {
        Routing {
            num_tasks,
            num_experts,
            choice: Choice::TopK(k),
            weighting: Weighting::Renormalised,
        }
    }

    #[test]
    fn the_load_counts_the_largest_of_the_others() {
        let routing = routing(1, 4, 2);
        // Of 3, 1, 4, 2 the second largest of the others is 2, 3, 2, 3.
        assert_eq!(
            thresholds(&routing, &[3.0, 1.0, 4.0, 2.0]),
            [2.0, 3.0, 2.0, 3.0]
        );
    }

    #[test]
    fn a_load_stays_finite_where_noise_has_died() {
        let routing = routing(1, 3, 1);
        // Two equal logits: their distance from the threshold is 0, too.
        let logits = Var::new(&[[1f32, 1.0, 0.0], [2.0, 1.0, 0.0]], &Device::Cpu).unwrap();
        let deviations = Var::new(&[[0f32; 3]; 2], &Device::Cpu).unwrap();
        let loss = load_loss(&routing, &logits, &deviations, &logits, None, false).unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_finite());
        let gradients = loss.backward().unwrap();
        for variable in [&logits, &deviations] {
            let gradient = gradients.get(variable).unwrap();
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            assert!(
                gradient.iter().all(|value| value.is_finite()),
                "{gradient:?}"
            );
        }
    }
}
