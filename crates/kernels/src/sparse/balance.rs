//! Losses that keep experts from being left alone, over the pairs of rows and tasks that were observed.
//!
//! Sources: Shazeer et al., "Outrageously large neural networks", arXiv:1701.06538, eq. 6 to 11 (importance and load); Fedus et al.,
//! "Switch transformers", arXiv:2101.03961, eq. 4; Chen et al., "Mod-Squad", arXiv:2212.08066 (mutual information).

mod load;
pub use load::load_loss;

use super::routing::{Routed, Routing};
use super::{as_of, for_loss};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use candle_core::{Result, Tensor};

/// What is evened out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// `E sum_e f_e P_e`: shares of choices, a constant to the gradient, times mean probabilities. 1 where both are even.
    Switch,
    /// The squared coefficient of variation of the experts' summed weights.
    Importance,
    /// Less the mutual information of tasks and experts: tasks should differ, their mean should be even.
    MutualInformation,
}

/// A balance loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceLoss {
    /// What is evened out.
    pub balance: Balance,
    /// A loss per task, averaged, in place of one over the pairs of all tasks.
    pub per_task: bool,
}

impl BalanceLoss {
    /// The loss of gates' logits. A task without an observed row is left out.
    ///
    /// # Shapes
    /// - logits: [batch, tasks * experts]
    /// - observed: [batch, tasks], 0 or 1; absent: all
    /// - result: a scalar
    ///
    /// # Errors
    /// Shapes that don't fit.
    pub fn forward(
        self,
        routing: &Routing,
        logits: &Tensor,
        observed: Option<&Tensor>,
    ) -> Result<Tensor> {
        let operator = Operator {
            loss: self,
            routing: *routing,
            observed: observed_pairs(routing, logits, observed)?,
        };
        as_of(&apply_1(operator, &for_loss(logits)?)?, logits)
    }

    fn value_and_slopes(
        self,
        routing: &Routing,
        routed: &Routed,
        observed: &[bool],
    ) -> (f64, Vec<f64>) {
        let (groups, share) = Pairs::groups(routing, observed, self.per_task);
        let mut slopes = vec![0f64; routed.weights.len()];
        let mut value = 0.0;
        for pairs in &groups {
            value += share
                * match self.balance {
                    Balance::Switch => pairs.switch(routing, routed, share, &mut slopes),
                    Balance::Importance => pairs.importance(&routed.weights, share, &mut slopes),
                    Balance::MutualInformation => {
                        pairs.mutual_information(routing, routed, &mut slopes)
                    }
                };
        }
        (value, slopes)
    }
}

/// Which pairs count, row-major [rows, tasks].
fn observed_pairs(
    routing: &Routing,
    logits: &Tensor,
    observed: Option<&Tensor>,
) -> Result<Vec<bool>> {
    let (num_rows, num_columns) = logits.dims2()?;
    if num_columns != routing.num_columns() {
        candle_core::bail!(
            "expected {} logits a row, found {num_columns}",
            routing.num_columns()
        );
    }
    let Some(observed) = observed else {
        return Ok(vec![true; num_rows * routing.num_tasks]);
    };
    if observed.dims() != [num_rows, routing.num_tasks] {
        candle_core::bail!(
            "expected [{num_rows}, {}] of what is observed, found {:?}",
            routing.num_tasks,
            observed.dims()
        );
    }
    let observed: Vec<f32> = for_loss(observed)?.flatten_all()?.to_vec1()?;
    Ok(observed.iter().map(|observed| *observed != 0.0).collect())
}

/// The observed pairs of one task or of all: where each one's experts begin.
struct Pairs<'a> {
    places: Vec<usize>,
    num_experts: usize,
    observed: &'a [bool],
}

impl<'a> Pairs<'a> {
    fn new(routing: &Routing, observed: &'a [bool], task: Option<usize>) -> Self {
        let is_wanted = |pair: &usize| {
            observed[*pair] && task.is_none_or(|task| pair % routing.num_tasks == task)
        };
        Self {
            places: (0..observed.len())
                .filter(is_wanted)
                .map(|pair| pair * routing.num_experts)
                .collect(),
            num_experts: routing.num_experts,
            observed,
        }
    }

    /// The pairs whose losses are averaged, those of each task or all of them, and each one's share of the mean. A task without
    /// an observed row is left out.
    fn groups(routing: &Routing, observed: &'a [bool], per_task: bool) -> (Vec<Self>, f64) {
        let tasks = match per_task {
            true => (0..routing.num_tasks).map(Some).collect(),
            false => vec![None],
        };
        let groups = tasks
            .into_iter()
            .map(|task| Self::new(routing, observed, task));
        let groups: Vec<Self> = groups.filter(|pairs| !pairs.places.is_empty()).collect();
        let share = 1.0 / groups.len().max(1) as f64;
        (groups, share)
    }

    /// Each expert's sum over the pairs, in their order.
    fn sums(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0f64; self.num_experts];
        for place in &self.places {
            for (expert, sum) in sums.iter_mut().enumerate() {
                *sum += value(place + expert);
            }
        }
        sums
    }

    fn switch(&self, routing: &Routing, routed: &Routed, share: f64, slopes: &mut [f64]) -> f64 {
        let num_pairs = self.places.len() as f64;
        let chosen = num_pairs * routing.experts_per_pair() as f64;
        let shares = self.sums(|at| f64::from(u8::from(routed.is_chosen[at])));
        let probabilities = self.sums(|at| f64::from(routed.probabilities[at]));
        let experts = self.num_experts as f64;
        for place in &self.places {
            for (expert, share_of_expert) in shares.iter().enumerate() {
                slopes[place + expert] += share * experts * share_of_expert / chosen / num_pairs;
            }
        }
        let products = shares.iter().zip(&probabilities);
        products
            .map(|(f, p)| experts * (f / chosen) * (p / num_pairs))
            .sum()
    }

    fn importance(&self, weights: &[f32], share: f64, slopes: &mut [f64]) -> f64 {
        let (value, of_sums) = squared_variation(&self.sums(|at| f64::from(weights[at])));
        for place in &self.places {
            for (expert, slope) in of_sums.iter().enumerate() {
                slopes[place + expert] += share * slope;
            }
        }
        value
    }

    /// Of all tasks at once: its groups are the tasks.
    fn mutual_information(&self, routing: &Routing, routed: &Routed, slopes: &mut [f64]) -> f64 {
        let (tasks, share) = Self::groups(routing, self.observed, true);
        let means: Vec<Vec<f64>> = tasks
            .iter()
            .map(|task| {
                let sums = task.sums(|at| f64::from(routed.probabilities[at]));
                let rows = task.places.len() as f64;
                sums.iter().map(|sum| sum / rows).collect()
            })
            .collect();
        let mean_of = |expert: usize| means.iter().map(|mean| mean[expert]).sum::<f64>() * share;
        let total: Vec<f64> = (0..self.num_experts).map(mean_of).collect();
        for (task, mean) in tasks.iter().zip(&means) {
            let factor = share / task.places.len() as f64;
            for place in &task.places {
                for expert in 0..self.num_experts {
                    let slope = libm::log(total[expert]) - libm::log(mean[expert]);
                    slopes[place + expert] += factor * slope;
                }
            }
        }
        let own = means.iter().map(|mean| entropy(mean)).sum::<f64>() * share;
        own - entropy(&total)
    }
}

/// `- sum p ln p`.
fn entropy(probabilities: &[f64]) -> f64 {
    // Softmax is positive; a probability of 0 would be no part of the sum.
    let parts = probabilities.iter().filter(|p| **p > 0.0);
    -parts.map(|p| p * libm::log(*p)).sum::<f64>()
}

/// The population variance over the squared mean, and its slopes.
fn squared_variation(values: &[f64]) -> (f64, Vec<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if mean == 0.0 {
        return (0.0, vec![0.0; values.len()]);
    }
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    let slope = |value: &f64| {
        2.0 * (value - mean) / count / (mean * mean) - 2.0 * variance / (mean * mean * mean) / count
    };
    (variance / (mean * mean), values.iter().map(slope).collect())
}

struct Operator {
    loss: BalanceLoss,
    routing: Routing,
    observed: Vec<bool>,
}

impl Fused<1> for Operator {
    const NAME: &'static str = "balance-loss";
    /// The slopes.
    type Kept = Vec<f32>;

    fn forward(&self, [logits]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let logits = logits.values;
        // Every pair is routed: who is observed is known to the sums alone.
        let routed = self.routing.route(logits, None);
        let (value, slopes) = self
            .loss
            .value_and_slopes(&self.routing, &routed, &self.observed);
        let experts = self.routing.num_experts;
        let factors = match self.loss.balance {
            Balance::Importance => self.routing.mixing_factors(&routed),
            Balance::Switch | Balance::MutualInformation => &routed.probabilities,
        };
        let is_masked = self.loss.balance == Balance::Importance;
        let mut gradient = vec![0f32; logits.len()];
        let pairs = gradient
            .chunks_exact_mut(experts)
            .zip(slopes.chunks_exact(experts));
        let pairs = pairs.zip(factors.chunks_exact(experts));
        let pairs = pairs.zip(routed.is_chosen.chunks_exact(experts));
        for (((out, slopes), factors), is_chosen) in pairs {
            // An importance is made of the chosen experts' weights alone.
            let slope = |expert: usize| match is_masked && !is_chosen[expert] {
                true => 0.0,
                false => slopes[expert],
            };
            let mean: f64 = (0..experts).map(|e| f64::from(factors[e]) * slope(e)).sum();
            for (expert, out) in out.iter_mut().enumerate() {
                *out = (f64::from(factors[expert]) * (slope(expert) - mean)) as f32;
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
    use super::super::{Choice, Weighting};
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

    fn loss(balance: Balance, routing: Routing, logits: &[f32]) -> f32 {
        let rows = logits.len() / routing.num_columns();
        let logits =
            Tensor::from_slice(logits, (rows, routing.num_columns()), &Device::Cpu).unwrap();
        let loss = BalanceLoss {
            balance,
            per_task: false,
        };
        loss.forward(&routing, &logits, None)
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    #[test]
    fn even_choices_lose_what_the_definitions_say() {
        // Each of four experts is chosen by one of four rows; together, probabilities are even.
        let mut logits = [0f32; 16];
        for row in 0..4 {
            logits[row * 5] = 1.0;
        }
        assert!((loss(Balance::Switch, routing(1, 4, 1), &logits) - 1.0).abs() < 1e-6);
        assert_eq!(loss(Balance::Importance, routing(1, 4, 1), &logits), 0.0);
    }

    #[test]
    fn one_expert_for_all_loses_as_many_as_there_are() {
        let logits = [80f32, 0.0, 0.0, 0.0].repeat(3);
        assert!((loss(Balance::Switch, routing(1, 4, 1), &logits) - 4.0).abs() < 1e-5);
    }

    #[test]
    fn tasks_that_differ_share_information_with_their_experts() {
        // Two tasks, each with an expert of its own: ln 2. The same expert for both: nothing.
        let apart = [40f32, 0.0, 0.0, 40.0];
        let value = loss(Balance::MutualInformation, routing(2, 2, 1), &apart);
        assert!((value + std::f32::consts::LN_2).abs() < 1e-5, "{value}");
        let together = [40f32, 0.0, 40.0, 0.0];
        assert!(loss(Balance::MutualInformation, routing(2, 2, 1), &together).abs() < 1e-6);
    }

    /// Central differences, by steps too small to change a choice. Shares of choices are constants then.
    #[test]
    fn slopes_are_those_of_finite_differences() {
        let routing = routing(2, 3, 2);
        let start: Vec<f32> = (0..4 * 6).map(|at| ((at * 29) % 17) as f32 / 9.0).collect();
        let observed = Tensor::new(
            &[[1f32, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]],
            &Device::Cpu,
        )
        .unwrap();
        for balance in [
            Balance::Switch,
            Balance::Importance,
            Balance::MutualInformation,
        ] {
            for per_task in [false, true] {
                if per_task && balance == Balance::MutualInformation {
                    continue;
                }
                let loss = BalanceLoss { balance, per_task };
                let at = |values: &[f32]| {
                    let values = Tensor::from_slice(values, (4, 6), &Device::Cpu).unwrap();
                    let loss = loss.forward(&routing, &values, Some(&observed)).unwrap();
                    f64::from(loss.to_scalar::<f32>().unwrap())
                };
                let logits = Tensor::from_slice(&start, (4, 6), &Device::Cpu).unwrap();
                let logits = Var::from_tensor(&logits).unwrap();
                let value = loss.forward(&routing, &logits, Some(&observed)).unwrap();
                let gradients = value.backward().unwrap();
                let slopes: Vec<f32> = gradients
                    .get(&logits)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                for (index, slope) in slopes.iter().enumerate() {
                    let side = |step: f32| {
                        let mut values = start.clone();
                        values[index] += step;
                        at(&values)
                    };
                    let step = 1.0 / 128.0;
                    let difference = (side(step) - side(-step)) / (2.0 * f64::from(step));
                    assert!(
                        (difference - f64::from(*slope)).abs() < 2e-4,
                        "{balance:?} {per_task} {index}: {difference} {slope}"
                    );
                }
            }
        }
    }
}
