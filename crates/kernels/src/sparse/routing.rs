//! Which experts each (row, task) pair runs, and with what weights.

use crate::composed;
use crate::rows::{split_by_chunk, strips};
use crate::simd::{exp, multiversioned};
use crate::softmax::{divide_by_sum, softmax_gradient, subtract_largest};
use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::*;

/// How a pair chooses its experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The largest logits; of equal ones, those of the lower indices.
    TopK(usize),
    /// Two stages (SMES): experts that all tasks of a row share, by the mean of the tasks' probabilities, then more that are a
    /// task's own, by its probabilities, among those not shared. Of equal ones, the lower indices.
    SharedThenPrivate {
        /// Experts of the first stage.
        shared: usize,
        /// Experts of the second stage.
        private: usize,
    },
    /// Every expert whose weight is not 0, where weights are given in place of logits (DSelect-k).
    Nonzero,
}

/// How logits become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighting {
    /// Softmax over the chosen experts: a pair's weights sum to 1.
    Renormalised,
    /// The chosen experts' parts of the softmax over all.
    Raw,
    /// The logits are the weights.
    Given,
}

/// How the pairs of a batch are routed. Gates' logits are [batch, tasks * experts].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routing {
    /// Number of tasks.
    pub num_tasks: usize,
    /// Number of experts among which pairs choose.
    pub num_experts: usize,
    /// Which are run.
    pub choice: Choice,
    /// With what weights.
    pub weighting: Weighting,
}

/// What became of the pairs of a batch; all row-major [batch, tasks * experts].
#[derive(Debug, Clone)]
pub(super) struct Routed {
    /// Softmax over all experts; empty where weights are given.
    pub(super) probabilities: Vec<f32>,
    /// 0 where an expert is not chosen.
    pub(super) weights: Vec<f32>,
    /// Chosen, by a pair that takes part.
    pub(super) is_chosen: Vec<bool>,
}

impl Routing {
    pub(super) fn num_columns(&self) -> usize {
        self.num_tasks * self.num_experts
    }

    /// Experts that a pair chooses; an upper bound where weights are given.
    pub fn experts_per_pair(&self) -> usize {
        match self.choice {
            Choice::TopK(experts) => experts,
            Choice::SharedThenPrivate { shared, private } => shared + private,
            Choice::Nonzero => self.num_experts,
        }
    }

    /// The most experts that the tasks of a row can choose together.
    pub fn most_experts_of_row(&self) -> usize {
        let most = match self.choice {
            Choice::TopK(experts) => self.num_tasks * experts,
            Choice::SharedThenPrivate { shared, private } => shared + self.num_tasks * private,
            Choice::Nonzero => self.num_experts,
        };
        most.min(self.num_experts)
    }

    /// Whether the chosen expert's weight is 1 whatever the logits are, so that they get no gradient through it.
    pub fn has_constant_weights(&self) -> bool {
        self.weighting == Weighting::Renormalised
            && self.experts_per_pair() == 1
            && self.num_experts > 1
    }

    /// # Errors
    /// More experts chosen than there are, none, or weights that don't fit the choice.
    pub(super) fn check(&self) -> Result<()> {
        let chosen = self.experts_per_pair();
        if self.num_tasks == 0 || chosen == 0 || chosen > self.num_experts {
            candle_core::bail!(
                "{} tasks can't choose {chosen} of {} experts each",
                self.num_tasks,
                self.num_experts
            );
        }
        if (self.choice == Choice::Nonzero) != (self.weighting == Weighting::Given) {
            candle_core::bail!("{:?} can't have weights {:?}", self.choice, self.weighting);
        }
        Ok(())
    }

    /// Routes every pair. A pair whose `active` is 0 chooses nothing, and its weights are 0.
    pub(super) fn route(&self, logits: &[f32], active: Option<&[f32]>) -> Routed {
        let (num_columns, num_tasks) = (self.num_columns(), self.num_tasks);
        let num_rows = logits.len() / num_columns;
        let mut routed = Routed {
            probabilities: match self.weighting {
                Weighting::Given => Vec::new(),
                _ => logits.to_vec(),
            },
            weights: logits.to_vec(),
            is_chosen: vec![false; logits.len()],
        };
        let strips = strips(num_rows);
        let mut probabilities = split_by_chunk(&mut routed.probabilities, num_columns, &strips);
        let mut flags = &mut routed.is_chosen[..];
        let strips: Vec<_> = split_by_chunk(&mut routed.weights, num_columns, &strips)
            .into_iter()
            .zip(&mut probabilities)
            .zip(&strips)
            .map(|((mut weights, probabilities), strip)| {
                let cut = strip.len() * num_columns;
                let (is_chosen, rest) = std::mem::take(&mut flags).split_at_mut(cut);
                flags = rest;
                Strip {
                    logits: &logits[strip.start * num_columns..strip.end * num_columns],
                    active: active
                        .map(|active| &active[strip.start * num_tasks..strip.end * num_tasks]),
                    weights: weights.swap_remove(0),
                    probabilities: probabilities.pop().unwrap_or_default(),
                    is_chosen,
                }
            })
            .collect();
        strips
            .into_par_iter()
            .for_each(|strip| route_strip(self, strip));
        routed
    }

    /// Turns gradients of weights into gradients of logits, in place. Gradients of experts that are not chosen must be 0.
    pub(super) fn through_weights(&self, gradient: &mut [f32], routed: &Routed) {
        if self.weighting != Weighting::Given {
            softmax_gradients(gradient, self.mixing_factors(routed), self.num_experts);
        }
    }

    /// What softmax's gradient of the weights is made of.
    pub(super) fn mixing_factors<'a>(&self, routed: &'a Routed) -> &'a [f32] {
        match self.weighting {
            Weighting::Raw => &routed.probabilities,
            Weighting::Renormalised | Weighting::Given => &routed.weights,
        }
    }

    /// The weights of logits, [batch, tasks, experts], as a tensor of candle's graph.
    ///
    /// # Errors
    /// A routing that makes none, or logits of another shape than [batch, tasks * experts].
    pub fn weights(&self, logits: &Tensor) -> Result<Tensor> {
        self.check()?;
        self.weights_composed(logits, None)
    }

    /// The weights from candle's stock operators, [batch, tasks, experts]: the reference.
    pub(super) fn weights_composed(
        &self,
        logits: &Tensor,
        active: Option<&Tensor>,
    ) -> Result<Tensor> {
        let num_rows = logits.dim(0)?;
        let logits = logits.reshape((num_rows, self.num_tasks, self.num_experts))?;
        let weights = match self.weighting {
            // Nothing is learned of a weight of exactly 0: its expert is not run.
            Weighting::Given => (&logits * self.chosen_composed(&logits, &logits)?)?,
            weighting => {
                let probabilities = composed::softmax(&logits)?;
                let chosen = self.chosen_composed(&logits, &probabilities)?;
                let kept = (probabilities * chosen)?;
                match weighting {
                    Weighting::Raw => kept,
                    _ => {
                        (&kept
                            / composed::spread(&composed::sum_of_rows(&kept)?, self.num_experts)?)?
                    }
                }
            }
        };
        match active {
            Some(active) => weights.broadcast_mul(&active.detach().unsqueeze(2)?),
            None => Ok(weights),
        }
    }

    /// 1 where a pair chooses an expert, else 0; without a gradient.
    pub(super) fn chosen_composed(
        &self,
        logits: &Tensor,
        probabilities: &Tensor,
    ) -> Result<Tensor> {
        let (logits, probabilities) = (logits.detach(), probabilities.detach());
        match self.choice {
            Choice::TopK(experts) => largest_composed(&logits, experts),
            Choice::Nonzero => logits.ne(&logits.zeros_like()?)?.to_dtype(logits.dtype()),
            Choice::SharedThenPrivate { shared, private } => {
                let shared = largest_composed(&probabilities.mean_keepdim(1)?, shared)?;
                // Probabilities are positive: an expert with -1 comes after all others.
                let others = probabilities
                    .broadcast_mul(&shared.affine(-1.0, 1.0)?)?
                    .broadcast_sub(&shared)?;
                largest_composed(&others, private)?.broadcast_add(&shared)
            }
        }
    }
}

/// 1 at the `count` largest of the last dimension, of equal ones those with the lower indices.
fn largest_composed(values: &Tensor, count: usize) -> Result<Tensor> {
    let width = values.dim(D::Minus1)?;
    let own = values.unsqueeze(D::Minus1)?;
    let other = values.unsqueeze(values.rank() - 1)?;
    let larger = other.broadcast_gt(&own)?.to_dtype(DType::F32)?;
    let equal = other.broadcast_eq(&own)?.to_dtype(DType::F32)?;
    // Row: own index. Column: the other's, which counts where it is lower.
    let is_before: Vec<f32> = (0..width * width)
        .map(|at| f32::from(u8::from(at % width < at / width)))
        .collect();
    let is_before = Tensor::from_vec(is_before, (width, width), values.device())?;
    let rank = (larger + equal.broadcast_mul(&is_before)?)?.sum(D::Minus1)?;
    rank.lt(count as f64)?.to_dtype(values.dtype())
}

/// Some rows of a batch.
struct Strip<'a> {
    logits: &'a [f32],
    active: Option<&'a [f32]>,
    weights: &'a mut [f32],
    probabilities: &'a mut [f32],
    is_chosen: &'a mut [bool],
}

fn route_strip(routing: &Routing, mut strip: Strip<'_>) {
    let experts = routing.num_experts;
    if routing.weighting != Weighting::Given {
        exponentials(strip.weights, experts);
        strip.probabilities.copy_from_slice(strip.weights);
        for pair in strip.probabilities.chunks_exact_mut(experts) {
            divide_by_sum(pair);
        }
    }
    choose(routing, &mut strip);
    if let Some(active) = strip.active {
        let pairs = strip.is_chosen.chunks_exact_mut(experts).zip(active);
        for (pair, _) in pairs.filter(|(_, active)| **active == 0.0) {
            pair.fill(false);
        }
    }
    let all = strip.is_chosen.iter().zip(&mut *strip.weights);
    for (_, weight) in all.filter(|(is_chosen, _)| !**is_chosen) {
        *weight = 0.0;
    }
    match routing.weighting {
        Weighting::Given => {}
        Weighting::Raw => {
            let all = strip.is_chosen.iter().zip(&mut *strip.weights);
            for ((_, weight), probability) in
                all.zip(&*strip.probabilities).filter(|((is, _), _)| **is)
            {
                *weight = *probability;
            }
        }
        Weighting::Renormalised => {
            let pairs = strip.weights.chunks_exact_mut(experts);
            let pairs = pairs.zip(strip.is_chosen.chunks_exact(experts));
            for (weights, _) in pairs.filter(|(_, is_chosen)| is_chosen.contains(&true)) {
                divide_by_sum(weights);
            }
        }
    }
}

fn choose(routing: &Routing, strip: &mut Strip<'_>) {
    let experts = routing.num_experts;
    match routing.choice {
        Choice::Nonzero => {
            for (is_chosen, weight) in strip.is_chosen.iter_mut().zip(strip.logits) {
                *is_chosen = *weight != 0.0;
            }
        }
        Choice::TopK(count) => {
            let pairs = strip.is_chosen.chunks_exact_mut(experts);
            for (is_chosen, logits) in pairs.zip(strip.logits.chunks_exact(experts)) {
                choose_largest(is_chosen, logits, count);
            }
        }
        Choice::SharedThenPrivate { shared, private } => {
            let columns = routing.num_columns();
            let mut means = vec![0f32; experts];
            let rows = strip.is_chosen.chunks_exact_mut(columns);
            for (is_chosen, probabilities) in rows.zip(strip.probabilities.chunks_exact(columns)) {
                means.fill(0.0);
                for pair in probabilities.chunks_exact(experts) {
                    for (mean, probability) in means.iter_mut().zip(pair) {
                        *mean += probability;
                    }
                }
                // The sum over tasks has the order of the mean.
                let mut is_shared = vec![false; experts];
                choose_largest(&mut is_shared, &means, shared);
                let pairs = is_chosen.chunks_exact_mut(experts);
                for (is_chosen, pair) in pairs.zip(probabilities.chunks_exact(experts)) {
                    is_chosen.copy_from_slice(&is_shared);
                    choose_largest(is_chosen, pair, private);
                }
            }
        }
    }
}

/// Marks `count` more: the largest of those not marked yet, of equal ones those with the lower indices.
fn choose_largest(is_chosen: &mut [bool], values: &[f32], count: usize) {
    for _ in 0..count {
        let mut best: Option<usize> = None;
        for (index, value) in values.iter().enumerate() {
            // By `>`, so that an equal value that comes later changes nothing.
            if !is_chosen[index] && best.is_none_or(|best| *value > values[best]) {
                best = Some(index);
            }
        }
        if let Some(best) = best {
            is_chosen[best] = true;
        }
    }
}

multiversioned! {
    /// What softmax divides, for every pair, in place.
    fn exponentials(logits: &mut [f32], num_experts: usize) {
        for pair in logits.chunks_exact_mut(num_experts) {
            subtract_largest(pair);
        }
        for value in logits.iter_mut() {
            *value = exp(*value);
        }
    }
}

multiversioned! {
    /// Turns gradients of each pair's weights into gradients of its logits, in place.
    fn softmax_gradients(gradient: &mut [f32], factors: &[f32], num_experts: usize) {
        let pairs = gradient.chunks_exact_mut(num_experts).zip(factors.chunks_exact(num_experts));
        for (gradient, factors) in pairs {
            softmax_gradient(gradient, factors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(choice: Choice, num_tasks: usize, logits: &[f32]) -> Vec<bool> {
        let routing = Routing {
            num_tasks,
            num_experts: logits.len() / num_tasks,
            choice,
            weighting: Weighting::Renormalised,
        };
        routing.route(logits, None).is_chosen
    }

    #[test]
    fn equal_logits_are_chosen_from_the_lowest_index() {
        let equal = [1.0, 2.0, 2.0, 2.0];
        assert_eq!(
            chosen(Choice::TopK(2), 1, &equal),
            [false, true, true, false]
        );
    }

    #[test]
    fn own_experts_are_never_those_that_are_shared() {
        // Task 0 wants expert 0 before 1, task 1 expert 2 before 0: together expert 0.
        let logits = [3.0, 2.0, 0.0, 2.0, 0.0, 3.0];
        let two = Choice::SharedThenPrivate {
            shared: 1,
            private: 1,
        };
        assert_eq!(
            chosen(two, 2, &logits),
            [true, true, false, true, false, true]
        );
    }
}
