//! Probabilities of tasks that come after others, as logits.

use crate::ModelError;
use crate::chain;
use crate::ranker::BuildContext;
use candle_core::{Result, Tensor};
use homebench_kernels::sparse::softplus;

/// The tasks of a model in the order of their chains.
pub(crate) struct Chains {
    /// Each task behind the one that it comes after, with that one.
    order: Vec<(usize, Option<usize>)>,
}

impl Chains {
    /// # Errors
    /// No task comes after another.
    pub(crate) fn new(
        model: &str,
        context: &BuildContext<'_>,
    ) -> std::result::Result<Self, ModelError> {
        if context.after.iter().all(Option::is_none) {
            return Err(ModelError::InvalidLayout {
                message: format!(
                    "`{model}` is a model of tasks that come one after another, and here none comes after another; say so in the \
                     description, such as after = \"click\" of the task of conversions, or take another model"
                ),
            });
        }
        Ok(Self {
            order: chain::in_order(context.after),
        })
    }

    /// Each task behind the one that it comes after, with that one.
    pub(crate) fn order(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.order.iter().copied()
    }

    /// One tensor a task from its own, [tasks, ..], and from what came of the task before it; stacked in the order of the tasks.
    pub(crate) fn along(
        &self,
        own: &Tensor,
        combine: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut done: Vec<Option<Tensor>> = vec![None; self.order.len()];
        for (task, before) in self.order() {
            let own = own.get(task)?;
            done[task] = Some(match before.and_then(|before| done[before].as_ref()) {
                Some(before) => combine(before, &own)?,
                None => own,
            });
        }
        let done: Vec<Tensor> = done.into_iter().flatten().collect();
        Tensor::stack(&done, 0)
    }
}

/// The logit of `sigmoid(before) sigmoid(own)`: `own - softplus(softplus(own) - before)`.
// No probability is computed on the way, whose logarithm would be that of 0 or of 1 - 1 where logits are large.
pub(crate) fn logit_of_product(before: &Tensor, own: &Tensor) -> Result<Tensor> {
    own - softplus(&(softplus(own)? - before)?)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn the_logit_of_a_product_is_that_of_f64_with_its_slopes() {
        let logits: Vec<f32> = (-12..=12).map(|at| at as f32 * 2.5).collect();
        let pairs = logits
            .iter()
            .flat_map(|a| logits.iter().map(move |b| (*a, *b)));
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.unzip();
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        let (of_a, of_b) = (var(&a), var(&b));
        let found = logit_of_product(&of_a, &of_b).unwrap();
        let gradients = found.sum_all().unwrap().backward().unwrap();
        let of = |tensor: &Tensor| tensor.to_vec1::<f32>().unwrap();
        let slopes = [&of_a, &of_b].map(|var| of(gradients.get(var).unwrap()));
        for (at, found) in of(&found).into_iter().enumerate() {
            let (a, b) = (f64::from(a[at]), f64::from(b[at]));
            // -log(e^-a + e^-b + e^-(a+b)), with the largest power taken out.
            let powers = [-a, -b, -a - b];
            let most = powers.into_iter().fold(f64::MIN, f64::max);
            let parts = powers.map(|power| libm::exp(power - most));
            let sum: f64 = parts.iter().sum();
            let expected = -(most + libm::log(sum));
            let tolerance = 4e-6 * (1.0 + a.abs().max(b.abs()));
            assert!(
                (f64::from(found) - expected).abs() < tolerance,
                "{a} {b}: {found} {expected}"
            );
            for (slope, part) in [(slopes[0][at], parts[0]), (slopes[1][at], parts[1])] {
                let expected = (part + parts[2]) / sum;
                assert!(
                    (f64::from(slope) - expected).abs() < 1e-5,
                    "{a} {b}: {slope} {expected}"
                );
            }
        }
    }
}
