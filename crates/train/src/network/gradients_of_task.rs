//! Gradients of one task's loss alone.

use super::Network;
use crate::TrainError;
use crate::relatedness::is_linear_weight;
use homebench_data::Batch;
use homebench_kernels::loss::{Targets, multi_task_loss};

impl Network {
    /// The gradients of one task's loss, by path, of the weights of linear layers that it reaches. Running statistics go on by a step.
    pub(in super::super) fn gradients_of_task(
        &self,
        batch: &Batch,
        task: usize,
    ) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
        let xs = self.input_of(batch)?;
        let logits = self.pass(batch, || self.model.forward_t(&xs, true, None))?;
        let mut task_weights = vec![0.0; self.layout.tasks.len()];
        task_weights[task] = 1.0;
        let targets = Targets {
            task_weights: Some(task_weights),
            positive_weights: self.positive_weights.clone(),
            regression: self.regression.clone(),
            ..Targets::observed(batch.labels.clone(), &batch.weights)
        };
        let gradients = multi_task_loss(&logits, &targets)?.backward()?;
        let mut found = Vec::new();
        for parameter in &self.dense {
            parameter.collect(&gradients)?;
            let is_weight = is_linear_weight(parameter.path());
            let gradient = parameter.gradient().filter(|_| is_weight);
            parameter.consume_gradient(|_| {});
            // Fused operators give a gradient to all that they are made of, zeros where the task has no part in it.
            let is_reached = |gradient: &Vec<f32>| gradient.iter().any(|value| *value != 0.0);
            if let Some(gradient) = gradient.filter(is_reached) {
                found.push((parameter.path().to_owned(), gradient));
            }
        }
        Ok(found)
    }
}
